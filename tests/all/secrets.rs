//! Promise 6: secrets are write-only. Plants some, uses everything, then looks for them in all that was written, printed or answered.

use std::path::Path;

use base64::Engine as _;
use hookplane_tests::http::post;
use hookplane_tests::product::Dev;
use hookplane_tests::signers;

const SECRETS: [&str; 3] = [
    "planted-secret-one-8d1f",
    "planted-secret-two-77aa",
    "planted-token-of-gitlab-19c2",
];

#[test]
fn no_secret_is_ever_written_printed_or_answered() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // Everything the product can log.
    let mut dev = Dev::start_with(&data, &[("RUST_LOG", "trace")]);
    let manifest = format!(
        r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {{org: acme, name: code}}
spec:
  connector: github
  signatureSecrets: [{{name: old, value: {}}}, {{name: new, value: {}}}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: acme, group: code, name: all}}
spec: {{label: All, active: true, events: ["*"]}}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {{org: acme, name: lab}}
spec:
  connector: gitlab
  signatureSecrets: [{{value: {}}}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: acme, group: lab, name: all}}
spec: {{label: All, active: true, events: ["*"]}}
"#,
        SECRETS[0], SECRETS[1], SECRETS[2]
    );
    let path = dev.manifest_file(&manifest);
    let mut said = String::new();
    let mut run = |dev: &Dev, arguments: &[&str]| {
        let output = dev.run(arguments);
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    };
    run(&dev, &["apply", "-f", &path, "--dry-run"]);
    run(&dev, &["apply", "-f", &path]);
    run(&dev, &["apply", "-f", &path]);
    std::fs::remove_file(&path).unwrap();
    // A mistake beside a secret: the message may quote the field, not the value.
    let wrong = manifest.replace("signatureSecrets: [{value", "signatureSecrets: [{valeu");
    let path = dev.manifest_file(&wrong);
    run(&dev, &["apply", "-f", &path]);
    std::fs::remove_file(&path).unwrap();

    let (code, lab) = (dev.callback_url("acme/code"), dev.callback_url("acme/lab"));
    let body = br#"{"action":"opened"}"#;
    let mut answers = Vec::new();
    for secret in [SECRETS[0], SECRETS[1], "wrong"] {
        let headers = signers::github(
            secret,
            "issues",
            secret.split('-').next_back().unwrap(),
            body,
        );
        answers.push(post(&code, &headers, body).unwrap());
    }
    for token in [SECRETS[2], "wrong"] {
        answers.push(post(&lab, &signers::gitlab(token, "Push Hook", "u-1"), body).unwrap());
    }
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 401, 200, 401]);

    for kind in [
        "orgs",
        "connectors",
        "functions",
        "groups",
        "webhooks",
        "events",
        "deliveries",
        "refusals",
        "listeners",
    ] {
        for form in ["table", "json", "yaml"] {
            run(&dev, &["get", kind, "-o", form]);
        }
    }
    run(
        &dev,
        &[
            "tail",
            "-o",
            "json",
            "--from-start",
            "--no-follow",
            "--events",
            "--changes",
        ],
    );
    run(&dev, &["send", "acme/code", "push"]);
    run(&dev, &["send", "acme/lab", "push"]);
    let token = dev.token();
    dev.signal("TERM");
    dev.wait();

    for answer in &answers {
        said.push_str(&format!(
            "{answer:?}{}",
            String::from_utf8_lossy(&answer.body)
        ));
    }
    for secret in SECRETS {
        absent(secret, said.as_bytes(), "what was printed or answered");
        absent(secret, dev.printed().as_bytes(), "what dev printed");
        in_files(&data, secret);
    }
    absent(&token, said.as_bytes(), "what was printed or answered");
    assert!(
        data.join("config.db").exists(),
        "the place that was searched is the one that is written"
    );
}

/// Looks for a secret as it is, in hex, and in base64.
fn absent(secret: &str, haystack: &[u8], place: &str) {
    let forms = [
        secret.to_owned(),
        hex::encode(secret),
        base64::engine::general_purpose::STANDARD.encode(secret),
    ];
    for form in forms {
        assert!(
            !haystack
                .windows(form.len())
                .any(|window| window == form.as_bytes()),
            "a secret is in {place}"
        );
    }
}

fn in_files(folder: &Path, secret: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            in_files(&path, secret);
        } else {
            absent(
                secret,
                &std::fs::read(&path).unwrap(),
                &path.display().to_string(),
            );
        }
    }
}
