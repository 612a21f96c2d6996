//! What `apply` takes, and how it says what is wrong.

use hookplane_tests::product::Dev;

const GROUP: &str = r#"apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{value: s3cret}]
  registeredEvents: [push, pull_request]
"#;

const WEBHOOK: &str = r#"apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: pushes}
spec:
  label: Pushes
  active: true
  events: [push]
"#;

fn dev() -> (tempfile::TempDir, Dev) {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    (folder, dev)
}

/// Applies a bad file: refused, with these words in the message, and nothing of it applied.
fn refused(dev: &Dev, manifest: &str, words: &[&str]) {
    let path = dev.manifest_file(manifest);
    let said = dev.refused(&["apply", "-f", &path], 1);
    for word in words {
        assert!(said.contains(word), "`{word}` is missing: {said}");
    }
    let there: Vec<_> = dev
        .items(&["groups"])
        .into_iter()
        .filter(|group| group["metadata"]["org"] == "acme")
        .collect();
    assert!(there.is_empty(), "nothing is half applied: {there:?}");
}

#[test]
fn each_mistake_names_its_place_and_applies_nothing() {
    let (_folder, dev) = dev();
    let unknown_field = GROUP.replace("registeredEvents", "registeredEvent");
    refused(&dev, &unknown_field, &["registeredEvent", ":7:"]);
    let unknown_connector = GROUP.replace("github", "githup");
    refused(
        &dev,
        &unknown_connector,
        &["spec.connector", "githup", ":5:"],
    );
    let unregistered = format!("{GROUP}---\n{}", WEBHOOK.replace("[push]", "[release]"));
    refused(&dev, &unregistered, &["spec.events[0]", "release", ":15:"]);
    let bad_filter = format!("{GROUP}---\n{WEBHOOK}  filter: payload.a ==\n");
    refused(&dev, &bad_filter, &["spec.filter", ":16:"]);
    // A value's file ends, and is none that never would.
    for (file, word) in [("/dev/zero", "it is no file"), ("large", "larger than")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        if file == "large" {
            std::fs::write(&path, vec![b'x'; 1024 * 1024]).unwrap();
        }
        let from = format!("{{file: \"{}\"}}", path.display());
        let manifest = GROUP.replace("{value: s3cret}", &from);
        refused(&dev, &manifest, &[word, ":6:"]);
    }
    let deep = format!(
        "{GROUP}---\n{WEBHOOK}  filter: {}true{}\n",
        "(".repeat(200),
        ")".repeat(200)
    );
    refused(&dev, &deep, &["spec.filter"]);
    let nested =
        format!("{GROUP}---\n{WEBHOOK}  filter: payload.a.all(a, a.all(b, b.all(c, c == 1)))\n");
    refused(&dev, &nested, &["spec.filter"]);
    let no_secret = GROUP.replace("  signatureSecrets: [{value: s3cret}]\n", "");
    refused(&dev, &no_secret, &["spec.signatureSecrets"]);
    refused(&dev, WEBHOOK, &["code"]);
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let (_folder, dev) = dev();
    let path = dev.manifest_file(&format!("{GROUP}---\n{WEBHOOK}"));
    let said = dev.ok(&["apply", "-f", &path, "--dry-run"]);
    assert!(said.contains("acme") && said.contains("create"), "{said}");
    dev.refused(&["get", "group", "acme/code"], 1);
    dev.refused(&["get", "org", "acme"], 1);
}

#[test]
fn what_get_prints_can_be_applied_and_changes_nothing() {
    let (_folder, dev) = dev();
    dev.apply(&format!("{GROUP}---\n{WEBHOOK}"));
    for kind in ["groups", "webhooks"] {
        let printed = dev.ok(&["get", kind, "acme/code", "-o", "yaml"]);
        assert!(!printed.contains("s3cret"), "{printed}");
        let before = dev.items(&[kind, "acme/code"]);
        let path = dev.manifest_file(&printed);
        let said = dev.ok(&["apply", "-f", &path]);
        assert!(said.contains("unchanged"), "{said}");
        assert_eq!(dev.items(&[kind, "acme/code"]), before);
    }
}

#[test]
fn an_absent_secret_keeps_the_stored_one_and_the_plan_says_which() {
    let (_folder, dev) = dev();
    dev.apply(GROUP);
    let path = dev.manifest_file(GROUP);
    let same = dev.ok(&["apply", "-f", &path, "--dry-run"]);
    assert!(same.contains("unchanged"), "{same}");
    let path = dev.manifest_file(&GROUP.replace("s3cret", "other"));
    let changed = dev.ok(&["apply", "-f", &path, "--dry-run"]);
    assert!(changed.contains("secret: changed"), "{changed}");
    assert!(!changed.contains("other"));
    let path = dev.manifest_file(&GROUP.replace("  signatureSecrets: [{value: s3cret}]\n", ""));
    let absent = dev.ok(&["apply", "-f", &path]);
    assert!(!absent.contains("secret: changed"), "{absent}");
}

#[test]
fn an_org_brings_its_own_connector() {
    let (_folder, dev) = dev();
    let connector = r#"apiVersion: hookplane.dev/v1
kind: Connector
metadata: {org: acme, name: erp}
spec:
  displayName: Our ERP
  functions:
    - name: orders
      events: [{name: order.made}, {name: order.paid}]
  protocol:
    contentTypes: [application/json]
    schemes:
      - name: hmac
        hmac: {hash: sha256, content: "{body}", signature: "header:X-Erp-Signature", encoding: hex, key: {decode: raw}}
    extract:
      eventType: [{from: "json:/kind"}]
      deliveryId: [{from: "json:/id"}]
"#;
    let rest = format!("{GROUP}---\n{WEBHOOK}")
        .replace("connector: github", "connector: erp")
        .replace("[push, pull_request]", "[\"*\"]")
        .replace("[push]", "[order.paid]");
    dev.apply(&format!("{connector}---\n{rest}"));
    assert_eq!(dev.items(&["connectors", "acme/erp"]).len(), 1);
    let wrong = connector.replace("{body}", "{bodi}");
    let path = dev.manifest_file(&wrong);
    let said = dev.refused(&["apply", "-f", &path], 1);
    assert!(said.contains("bodi") && said.contains(":13:"), "{said}");
}

#[test]
fn what_is_not_there_is_an_error_and_not_an_empty_list() {
    let (_folder, dev) = dev();
    dev.apply(GROUP);
    for missing in [
        &["get", "groups", "acmee"][..],
        &["get", "webhooks", "acme/coed"],
        &["get", "events", "acmee"],
        &["get", "deliveries", "acme/code/pushs"],
        &["tail", "acmee", "--no-follow"],
    ] {
        let said = dev.refused(missing, 1);
        assert!(said.contains("acme"), "{said}");
    }
    assert!(dev.items(&["webhooks", "acme/code"]).len() == 1);
}

#[test]
fn wrong_usage_ends_with_2() {
    let (_folder, dev) = dev();
    dev.refused(&["get", "nonsense"], 2);
    dev.refused(&["apply"], 2);
    dev.refused(&["frobnicate"], 2);
}
