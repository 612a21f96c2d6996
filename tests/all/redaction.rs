//! What a group redacts is in no file, no answer and no line that is printed; neither is a secret that a provider sends in the body.

use std::path::Path;

use hookplane_tests::http::post;
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

const PLANTED: &str = "planted-value-5a1c9e";
const PASSCODE: &str = "planted-passcode-77aa01";
/// What is looked for: all of either, and a word of each, since a search's index has words.
const ABSENT: [&str; 4] = [PLANTED, PASSCODE, "5a1c9e", "77aa01"];

const MANIFEST: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{value: code-secret}]
  registeredEvents: ["*"]
  captureUnmatched: true
  redact: [{path: payload.user.email}, {path: "payload.notes[*].text", mask: true}]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: all}
spec: {label: All, active: true, events: [issues], filter: "has(payload.user)"}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: design}
spec:
  connector: figma
  signatureSecrets: [{value: planted-passcode-77aa01}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: design, name: all}
spec: {label: All, active: true, events: ["*"]}
"#;

// Risk: secrets at rest. What must not be written is looked for in every byte of the data directory, the left_in of the databases among them.
#[test]
fn what_is_redacted_is_nowhere_and_two_that_differ_in_it_alone_are_two() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut dev = Dev::start_with(&data, &[("RUST_LOG", "trace")]);
    dev.apply(MANIFEST);
    std::fs::remove_file(data.with_extension("yaml")).unwrap();
    let code = dev.callback_url("acme/code");
    let body = |value: &str| {
        format!(
            r#"{{"action": "opened", "user": {{"email": "{value}", "id": 7.10}}, "notes": [{{"text": "{value}"}}]}}"#
        )
    };
    let send = |event: &str, delivery: &str, body: &str| {
        let headers = signers::github("code-secret", event, delivery, body.as_bytes());
        let answer = post(&code, &headers, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200);
        answer
            .header("hookplane-receipt")
            .unwrap_or_default()
            .to_owned()
    };
    let (one, two) = (body(PLANTED), body(&format!("{PLANTED}-too")));
    assert_eq!(send("issues", "d-1", &one), "synced");
    assert_eq!(send("issues", "d-1", &one), "duplicate");
    // The same id, and only what is redacted differs: not a repeat.
    assert_eq!(send("issues", "d-1", &two), "synced");
    // Captured for nobody, and undecodable.
    assert_eq!(send("push", "d-2", &one), "synced");
    assert_eq!(send("push", "d-3", &format!("{one} {PLANTED}")), "synced");

    let design = dev.callback_url("acme/design");
    let figma =
        format!(r#"{{"event_type": "FILE_UPDATE", "passcode": "{PASSCODE}", "webhook_id": "1"}}"#);
    let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
    assert_eq!(
        post(&design, &headers, figma.as_bytes()).unwrap().status,
        200
    );
    let wrong = figma.replace(PASSCODE, "wrong");
    assert_eq!(
        post(&design, &headers, wrong.as_bytes()).unwrap().status,
        401
    );

    eventually("a search finds what is left", || {
        let found = dev.items(&["events", "acme/code", "--text", "opened"]);
        (found.len() == 3).then_some(())
    });
    let events = dev.items(&["events", "acme/code"]);
    assert_eq!(events.len(), 4);
    let kept: Vec<&str> = events
        .iter()
        .filter_map(|event| event["body"].as_str())
        .collect();
    let mut said = format!("{events:?}{kept:?}");
    let tailed = dev.tail("acme/code/all", &[]);
    assert_eq!(tailed.len(), 2);
    let left =
        serde_json::json!({"action": "opened", "user": {"id": 7.10}, "notes": [{"text": "***"}]});
    assert_eq!(tailed[0]["payload"], left);
    for arguments in [
        &["get", "events", "-o", "yaml"][..],
        &["get", "deliveries", "-o", "json"],
        &["get", "refusals"],
        &["get", "refusals", "--not-kept", "-o", "json"],
        &[
            "tail",
            "--from-start",
            "--no-follow",
            "--events",
            "-o",
            "json",
        ],
    ] {
        said.push_str(&dev.ok(arguments));
    }
    // Shown: that something was taken out, and where.
    assert!(
        said.contains("payload.user.email") && said.contains("payload.passcode"),
        "{said}"
    );
    let mut left_in = 0;
    for planted in ABSENT {
        absent(planted, said.as_bytes(), "what was answered");
        files(&data, &mut |path, bytes| {
            absent(planted, bytes, &path.display().to_string());
            left_in += usize::from(has(bytes, "opened"));
        });
    }
    assert!(left_in > 0, "what is left is found by looking so");
    dev.signal("TERM");
    dev.wait();
    for planted in ABSENT {
        absent(planted, dev.printed().as_bytes(), "what was printed");
        files(&data, &mut |path, bytes| {
            absent(planted, bytes, &path.display().to_string())
        });
    }
}

#[test]
fn bounds_are_kept_and_what_is_set_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    let group = |more: &str| {
        format!(
            "apiVersion: hookplane.dev/v1\nkind: WebhookGroup\nmetadata: {{org: acme, name: code}}\nspec:\n  connector: github\n  signatureSecrets: [{{value: code-secret}}]\n{more}\n"
        )
    };
    for (more, field) in [
        (
            "  redact: [{path: payload.a}, {path: nothing}]",
            "spec.redact[1].path",
        ),
        ("  captureDays: 91", "spec.captureDays"),
        ("  retention: {maxDays: 3651}", "spec.retention.maxDays"),
    ] {
        let path = dev.manifest_file(&group(more));
        let said = dev.refused(&["apply", "-f", &path], 1);
        assert!(said.contains(field), "{said}");
    }
    let org = "apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: acme}\nspec: {retention: {maxDays: DAYS, maxBytes: 1000000}}\n---\n";
    let path = dev.manifest_file(&org.replace("DAYS", "3651"));
    assert!(
        dev.refused(&["apply", "-f", &path], 1)
            .contains("spec.retention.maxDays")
    );
    let more = "  redact: [{path: payload.a, mask: true}]\n  captureDays: 3\n  retention: {maxDays: 5, maxBytes: 2000}";
    dev.apply(&(org.replace("DAYS", "10") + &group(more)));
    let spec = &dev.items(&["groups", "acme/code"])[0]["spec"];
    assert_eq!(
        spec["redact"],
        serde_json::json!([{"path": "payload.a", "mask": true}])
    );
    assert_eq!(spec["captureDays"], 3);
    assert_eq!(spec["retention"]["maxDays"], 5);
    assert_eq!(
        dev.items(&["orgs", "acme"])[0]["spec"]["retention"]["maxDays"],
        10
    );
    // What is read can be applied, and changes nothing.
    let yaml = dev.ok(&["get", "groups", "acme/code", "-o", "yaml"])
        + "---\n"
        + &dev.ok(&["get", "orgs", "acme", "-o", "yaml"]);
    let again = dev.apply(&yaml);
    assert!(!again.contains("update"), "{again}");
}

fn absent(planted: &str, bytes: &[u8], place: &str) {
    assert!(!has(bytes, planted), "{planted} is in {place}");
}

fn has(bytes: &[u8], word: &str) -> bool {
    let mut parts = bytes.windows(word.len());
    parts.any(|part| part == word.as_bytes())
}

fn files(folder: &Path, look: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, look),
            false => look(&path, &std::fs::read(&path).unwrap()),
        }
    }
}
