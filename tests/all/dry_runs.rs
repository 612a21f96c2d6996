//! What a file would do, told before any of it is saved: by the built binary, as people ask it.

use hookplane_tests::product::Dev;
use serde_json::Value;

/// An order of a shop's to a CRM and to an endpoint. None of its secrets is set here.
const ORDERS: &str = r#"
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: fresh, group: shop, name: paid}
spec:
  label: Order paid
  active: true
  events: [orders/paid]
  orderBy: payload.id
  mapping:
    active: true
    base:
      object: Order__c
      key: Shop_Id__c
      fields:
        Shop_Id__c: {from: payload.id, type: string}
        Total__c: {from: payload.total_price, type: decimal}
  destinations:
    - ref: crm
    - http: {url: "https://hooks.example.com/orders", signingSecret: {env: HOOKPLANE_TEST_UNSET_1}, headers: {x-key: {env: HOOKPLANE_TEST_UNSET_2}}}
    - subscribe: {}
---
apiVersion: hookplane.dev/v1
kind: Destination
metadata: {org: fresh, name: crm}
spec:
  salesforce: {url: "https://acme.my.salesforce.com", clientId: app, username: u@example.com, privateKey: {file: no-such-key.pem}}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: fresh, name: shop}
spec:
  connector: shopify
  signatureSecrets: [{env: HOOKPLANE_TEST_UNSET_3}]
  registeredEvents: [orders/paid]
"#;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

// Whatever the order of its documents.
#[test]
fn a_file_is_previewed_before_any_of_it_is_saved_and_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    let file = dev.manifest_file(ORDERS);
    let shown = json(&dev.ok(&["preview", "-f", &file, "-o", "json"]));
    assert_eq!(shown["matched"], true, "{shown}");
    assert_eq!(shown["event"]["sample"], "orders/paid", "{shown}");
    assert_eq!(shown["records"][0]["object"], "Order__c", "{shown}");
    let requests: Vec<_> = shown["requests"].as_array().unwrap().iter().collect();
    let to: Vec<_> = requests.iter().map(|one| &one["destination"]).collect();
    assert_eq!(to, ["crm", "http"], "{shown}");
    assert_eq!(requests[0]["headers"]["authorization"], "Bearer ***");
    assert_eq!(requests[1]["headers"]["webhook-signature"], "v1,***");
    assert_eq!(requests[1]["headers"]["x-key"], "***");
    let payload = folder.path().join("order.json");
    std::fs::write(&payload, r#"{"id":7,"total_price":"12.50"}"#).unwrap();
    let payload = payload.to_str().unwrap();
    let arguments = ["preview", "fresh/shop/paid", "-f", &file];
    let of_payload = ["--payload", payload, "--type", "orders/paid"];
    let text = dev.ok(&[&arguments[..], &of_payload].concat());
    assert!(
        text.contains("order:    after earlier ones of `7`"),
        "{text}"
    );
    assert!(text.contains("Total__c = 12.50"), "{text}");
    // A destination that would have to be asked needs its own, and is not asked without.
    let checked = json(&dev.ok(&["preview", "--check", "-f", &file, "-o", "json"]));
    let check = &checked["checks"][0];
    assert_eq!(check["destination"], "crm", "{checked}");
    let why = check["notChecked"].as_str().unwrap();
    assert!(why.contains("salesforce.privateKey"), "{why}");
    // It was no save, and a save still needs them.
    dev.refused(&["get", "group", "fresh/shop"], 1);
    dev.refused(&["get", "org", "fresh"], 1);
    let said = dev.refused(&["apply", "-f", &file], 1);
    assert!(said.contains("HOOKPLANE_TEST_UNSET_1"), "{said}");
}

#[test]
fn a_preview_says_which_document_of_the_file_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    let file = dev.manifest_file(&ORDERS.replace("connector: shopify", "connector: shopifi"));
    let said = dev.refused(&["preview", "-f", &file], 1);
    assert!(said.contains("shopifi"), "{said}");
    assert!(said.contains("group fresh/shop"), "{said}");
}

const CODE: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{value: s3cret}]
  registeredEvents: [push, issues]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: all}
spec: {label: All, active: true, events: ["*"], destinations: [{subscribe: {}}]}
"#;

#[test]
fn a_file_is_compared_with_what_is_saved_also_where_its_group_changes() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(CODE);
    dev.ok(&["send", "acme/code", "push"]);
    dev.ok(&["send", "acme/code", "issues.opened"]);
    // Neither is the secret there.
    let unset = CODE.replace("value: s3cret", "env: HOOKPLANE_TEST_UNSET_1");
    let narrower = unset.replace("[push, issues]", "[push]");
    let narrower = narrower.replace("events: [\"*\"]", "events: [push]");
    let compare = |manifest: &str| {
        let file = dev.manifest_file(manifest);
        let told = json(&dev.ok(&["compare", "-f", &file, "-o", "json"]));
        told["items"][0].clone()
    };
    let same = compare(&unset);
    assert_eq!(
        (&same["lookedAt"], &same["noLongerDelivered"]),
        (&2.into(), &0.into()),
        "{same}"
    );
    let of_group = compare(&unset.replace("[push, issues]", "[push]"));
    assert_eq!(of_group["noLongerDelivered"], 1, "{of_group}");
    assert!(
        of_group["differences"][0]["type"]
            .as_str()
            .unwrap()
            .starts_with("issues"),
        "{of_group}"
    );
    assert_eq!(compare(&narrower)["noLongerDelivered"], 1);
    // What has no events yet has nothing to differ in.
    let new = compare(
        &unset
            .replace("name: code", "name: new")
            .replace("group: code", "group: new"),
    );
    assert_eq!(new["lookedAt"], 0, "{new}");
}

// `apply` tells it before it saves.
#[test]
fn apply_tells_what_would_differ_and_a_dry_run_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(CODE);
    dev.ok(&["send", "acme/code", "push"]);
    let filter = || {
        let webhook = json(&dev.ok(&["get", "webhook", "acme/code/all", "-o", "json"]));
        webhook["items"][0]["spec"]["filter"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let changed = CODE.replace("label: All,", "label: All, filter: payload.ref == 'no',");
    let file = dev.manifest_file(&changed);
    for arguments in [
        &["apply", "-f", &file, "--dry-run"][..],
        &["apply", "-f", &file, "--dry-run", "--compare"],
    ] {
        let told = dev.ok(arguments);
        assert!(
            told.contains("webhook acme/code/all: 1 recorded events looked at"),
            "{told}"
        );
        assert!(told.contains("no longer delivered  1"), "{told}");
        assert_eq!(filter(), "");
    }
    // Told first, and then saved: nobody sits there to be asked.
    let told = dev.ok(&["apply", "-f", &file, "--compare"]);
    assert!(told.contains("no longer delivered  1"), "{told}");
    assert_eq!(filter(), "payload.ref == 'no'");
    // Without a word nothing is compared where nobody could be asked.
    let told = dev.ok(&["apply", "-f", &dev.manifest_file(CODE)]);
    assert!(!told.contains("recorded events"), "{told}");
    assert_eq!(filter(), "");
}
