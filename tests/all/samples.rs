//! The hostile provider: what `send --all-variants` posts, and whether its table tells the truth.

use std::process::Output;

use hookplane_tests::product::Dev;
use serde_json::Value;

/// Two that sign, one with a URL check, one that signs the URL, one of the org's own, one whose key is the provider's alone.
const GROUPS: &str = r#"
apiVersion: hookplane.dev/v1
kind: Connector
metadata: {org: acme, name: erp}
spec:
  displayName: ERP
  description: Orders.
  functions:
    - name: orders
      displayName: Orders
      description: Orders.
      setup: Ask for it.
      events:
        - name: order.paid
          description: An order was paid
          sample:
            contentType: application/json
            body: '{"type": "order.paid", "id": "{uuid}"}'
  protocol:
    contentTypes: [application/json]
    maxBodyBytes: 2000
    schemes:
      - name: hmac
        hmac: {hash: sha256, content: "{timestamp}.{body}", signature: "header:X-Sig", encoding: hex, key: {decode: raw}}
        timestamp: {location: "header:X-Time", unit: seconds, toleranceSeconds: 300, window: both}
    handshakes:
      - name: ping
        when: {method: POST, present: "query:ping"}
        unverified: true
        challenge: {location: "query:ping", maxLength: 20}
        reply: {status: 202, contentType: text/plain, body: "{challenge}"}
    extract:
      eventType: [{from: json:/type}]
      deliveryId: [{from: json:/id}]
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: github}
spec: {connector: github, signatureSecrets: [{value: secret-of-github}], registeredEvents: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: stripe}
spec: {connector: stripe, signatureSecrets: [{value: whsec_c2VjcmV0LW9mLXN0cmlwZQ}], registeredEvents: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: slack}
spec: {connector: slack, signatureSecrets: [{value: secret-of-slack}], registeredEvents: ["*"], captureUnmatched: true}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: twilio}
spec: {connector: twilio, signatureSecrets: [{value: secret-of-twilio}], registeredEvents: ["*"], captureUnmatched: true}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: erp}
spec: {connector: erp, signatureSecrets: [{value: secret-of-erp}], registeredEvents: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: discord}
spec:
  connector: discord
  signatureSecrets: [{value: d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: gitlab}
spec: {connector: gitlab, signatureSecrets: [{value: secret-of-gitlab}], registeredEvents: ["*"], captureUnmatched: true}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: github, name: all}
spec: {label: All, active: true, events: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: erp, name: all}
spec: {label: All, active: true, events: ["*"]}
"#;

fn send(dev: &Dev, group: &str, more: &[&str]) -> (Output, Vec<Value>) {
    let arguments = [&["send", group, "--all-variants", "-o", "json"], more].concat();
    let output = dev.run(&arguments);
    let said = serde_json::from_slice(&output.stdout);
    let said: Value = said.unwrap_or_else(|error| {
        let why = String::from_utf8_lossy(&output.stderr);
        panic!("{group}: {error}: {why}")
    });
    let items = said["items"].as_array().cloned().unwrap_or_default();
    (output, items)
}

fn of<'a>(items: &'a [Value], variant: &str) -> Vec<&'a Value> {
    items
        .iter()
        .filter(|item| item["variant"] == variant)
        .collect()
}

#[test]
fn every_variant_comes_to_what_was_said_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(GROUPS);
    let signed = [
        "good",
        "replayed",
        "body-changed",
        "signature-changed",
        "other-key",
        "unsigned",
        "oversized",
        "wrong-method",
    ];
    let timed = [
        "too-old",
        "too-far-ahead",
        "handshake",
        "handshake-out-of-shape",
    ];
    for (group, posted) in [
        ("acme/github", [&signed[..], &["wrong-media-type"]].concat()),
        ("acme/stripe", [&signed[..], &["too-old"]].concat()),
        (
            "acme/slack",
            [
                &signed[..],
                &["too-old", "handshake", "handshake-out-of-shape"],
            ]
            .concat(),
        ),
        ("acme/twilio", signed.to_vec()),
        (
            "acme/erp",
            [&signed[..], &timed, &["wrong-media-type"]].concat(),
        ),
        (
            "acme/discord",
            vec!["signature-changed", "unsigned", "oversized", "wrong-method"],
        ),
    ] {
        let (output, items) = send(&dev, group, &[]);
        let wrong: Vec<&Value> = items.iter().filter(|item| item["ok"] == false).collect();
        assert!(wrong.is_empty(), "{group}: {wrong:#?}");
        assert!(output.status.success(), "{group}");
        for variant in posted {
            let found = of(&items, variant);
            assert!(!found.is_empty(), "{group}: {variant} is missing");
            assert!(
                found.iter().any(|item| item["ok"] == true),
                "{group}: {variant} is not posted: {found:#?}"
            );
        }
    }
    let (_, discord) = send(&dev, "acme/discord", &[]);
    let good = of(&discord, "good")[0];
    assert_eq!(good["ok"], Value::Null);
    assert!(
        good["notPosted"].as_str().unwrap().contains("private key"),
        "it is said that nobody else can sign: {good}"
    );

    // Of all that was posted to it, GitHub's group keeps one event, and that is a test.
    let events = dev.items(&["events", "acme/github"]);
    assert_eq!(events.len(), 1, "{events:#?}");
    let flags = events[0]["status"]["flags"].as_array().unwrap();
    assert!(flags.iter().any(|flag| flag == "test"), "{events:#?}");
    // What no webhook wants is expected to be left out.
    let (output, stripe) = send(&dev, "acme/stripe", &[]);
    let good = of(&stripe, "good")[0];
    assert_eq!(good["got"]["receipt"], "not-kept");
    let about = good["about"].as_str().unwrap();
    assert!(about.contains("no active webhook takes it"), "{about}");
    // The event that was chosen is named.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("as "), "{said}");
    let (_, erp) = send(&dev, "acme/erp", &[]);
    assert_eq!(of(&erp, "replayed")[0]["got"]["receipt"], "duplicate");
}

#[test]
fn a_secret_that_was_changed_at_the_provider_shows() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(GROUPS);
    let file = |name: &str, secret: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, secret).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", "secret-of-erp\n"), file("wrong", "another"));
    let (output, items) = send(&dev, "acme/erp", &["--secret-file", &right]);
    assert!(output.status.success(), "{items:#?}");

    let (output, items) = send(&dev, "acme/erp", &["--secret-file", &wrong]);
    assert_eq!(output.status.code(), Some(1), "{items:#?}");
    for variant in ["good", "replayed"] {
        let item = of(&items, variant)[0];
        assert_eq!(item["ok"], false, "{item:#?}");
        assert_eq!(item["got"]["clause"], "signature", "{item:#?}");
    }
    assert_eq!(of(&items, "unsigned")[0]["ok"], true);

    let arguments = [
        "send",
        "acme/erp",
        "--all-variants",
        "--secret-file",
        &wrong,
    ];
    let output = dev.run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    let good = table.lines().find(|line| line.starts_with("good")).unwrap();
    assert!(
        good.contains("401 signature") && good.contains("NOT"),
        "{table}"
    );
}

#[test]
fn a_token_is_posted_with_the_callers_own_copy_of_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(GROUPS);
    let said = dev.refused(&["send", "acme/gitlab", "push"], 1);
    assert!(said.contains("--secret-file FILE"), "{said}");
    let (output, items) = send(&dev, "acme/gitlab", &[]);
    assert!(output.status.success(), "{items:#?}");
    for (variant, ok) in [("good", Value::Null), ("other-key", true.into())] {
        let item = of(&items, variant)[0];
        assert_eq!(item["ok"], ok, "{item:#?}");
    }
    let why = of(&items, "good")[0]["notPosted"].as_str().unwrap();
    assert!(why.contains("--secret-file FILE"), "{why}");

    let file = folder.path().join("secret");
    std::fs::write(&file, "secret-of-gitlab").unwrap();
    let own = ["--secret-file", file.to_str().unwrap()];
    let said = dev.ok(&[&["send", "acme/gitlab", "push"], &own[..]].concat());
    assert!(said.starts_with("200 "), "{said}");
    let (output, items) = send(&dev, "acme/gitlab", &own);
    assert!(output.status.success(), "{items:#?}");
    assert_eq!(of(&items, "good")[0]["ok"], true);
}

#[test]
fn an_event_or_all_variants_must_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.refused(&["send", "demo/github"], 2);
    dev.refused(&["send", "demo/github", "push", "-o", "json"], 2);
    dev.refused(&["send", "demo/github", "no-such", "--all-variants"], 1);
}
