//! GitHub's own example payloads, each through the binary: what comes out of the tail is what went in.

use hookplane_tests::http::Connection;
use hookplane_tests::product::Dev;
use hookplane_tests::signers;
use serde_json::Value;

use hookplane_tests::catalogue::path;

#[test]
fn real_payloads_are_kept_typed_and_handed_out_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(
        r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{name: old, value: retired}, {name: new, value: s3cret}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: all}
spec: {label: All, active: true, events: ["*"]}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: public-pushes}
spec:
  label: Pushes to public repositories
  active: true
  events: [push]
  filter: payload.repository.private == false && payload.commits.all(c, c.id != "")
"#,
    );
    let url = dev.callback_url("acme/code");
    let mut sent: Vec<(String, Value)> = Vec::new();
    let mut connection = Connection::open(&url).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(path("fixtures/github"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|name| name == "json"))
        .collect();
    files.sort();
    for file in files {
        let event_type = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let body = std::fs::read(&file).unwrap();
        let event = event_type.split('.').next().unwrap();
        let headers = signers::github("s3cret", event, &event_type, &body);
        let answer = connection.request("POST", &url, &headers, &body).unwrap();
        assert_eq!(answer.status, 200, "{event_type}");
        assert_eq!(answer.receipt(), "synced", "{event_type}");
        sent.push((event_type, serde_json::from_slice(&body).unwrap()));
    }
    assert!(sent.len() >= 15, "the payloads are there: {}", sent.len());
    let lines = dev.tail("acme/code/all", &[]);
    let got: Vec<(String, Value)> = lines
        .iter()
        .map(|line| {
            let event_type = line["event"]["type"].as_str().unwrap().to_owned();
            (event_type, line["payload"].clone())
        })
        .collect();
    assert!(
        got == sent,
        "{:?}",
        got.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    assert_eq!(dev.tail("acme/code/public-pushes", &[]).len(), 1);
}
