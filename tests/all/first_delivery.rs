//! The main job, as a newcomer does it.

use hookplane_tests::http::post;
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

/// A group for GitHub with one webhook that takes pull requests against main.
const SHOP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{value: s3cret}]
  registeredEvents: [push, pull_request]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: to-main}
spec:
  label: Pull requests to main
  active: true
  events: [pull_request]
  filter: payload.pull_request.base.ref == "main"
  destinations:
    - subscribe: {}
"#;

#[test]
fn the_line_that_dev_prints_delivers_a_first_callback() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    let line = eventually("dev prints a line to paste", || {
        dev.printed()
            .lines()
            .find(|line| line.contains(" send demo/github "))
            .map(|line| line.trim().to_owned())
    });
    let output = std::process::Command::new("sh")
        .args(["-c", &line])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{line}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for word in ["200", "synced", "everything", "delivered"] {
        assert!(said.contains(word), "`{word}` is missing: {said}");
    }
    let deliveries = dev.items(&["deliveries", "demo/github/everything"]);
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0]["status"]["status"], "delivered");
    let events = dev.items(&["events", "demo/github"]);
    assert!(
        events[0]["status"]["flags"]
            .as_array()
            .is_some_and(|flags| flags.iter().any(|flag| flag == "test")),
        "a sample is marked: {events:?}"
    );
    let timestamp = &events[0]["spec"]["payload"]["head_commit"]["timestamp"];
    assert!(
        timestamp.as_str().is_some_and(|time| time.ends_with('Z')),
        "the sample's times are filled in: {events:?}"
    );
}

#[test]
fn a_forged_callback_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(SHOP);
    let url = dev.callback_url("acme/code");
    let body = br#"{"action":"opened","pull_request":{"base":{"ref":"main"}}}"#;
    let answer = post(
        &url,
        &signers::github("wrong", "pull_request", "d-1", body),
        body,
    )
    .unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(answer.body, b"Unauthorized", "the outsider is told no more");
    let refusal = eventually("the refusal can be read", || {
        dev.items(&["refusals", "acme/code"]).first().cloned()
    });
    let text = refusal.to_string();
    assert!(text.contains("signature") && text.contains("401"), "{text}");
    assert!(dev.items(&["events", "acme/code"]).is_empty());
}

#[test]
fn a_matched_callback_is_one_line_of_the_tail() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(SHOP);
    let url = dev.callback_url("acme/code");
    let to = |branch: &str| {
        format!(
            r#"{{"action":"opened","total":12.50,"pull_request":{{"base":{{"ref":"{branch}"}}}}}}"#
        )
    };
    for (delivery, branch) in [("d-1", "main"), ("d-2", "other"), ("d-1", "main")] {
        let body = to(branch);
        let headers = signers::github("s3cret", "pull_request", delivery, body.as_bytes());
        let answer = post(&url, &headers, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{delivery}");
        let receipt = if branch == "other" {
            "not-kept"
        } else {
            "synced"
        };
        if answer.receipt() != "duplicate" {
            assert_eq!(answer.receipt(), receipt, "{delivery}");
        }
    }
    let lines = dev.tail("acme/code/to-main", &[]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!(line["event"]["type"], "pull_request.opened");
    assert_eq!(line["event"]["deliveryId"], "d-1");
    assert_eq!(line["delivery"]["status"], "pending");
    assert_eq!(line["webhook"], "to-main");
    assert!(
        line["event"]["id"]
            .as_str()
            .is_some_and(|id| id.len() >= 36)
    );
    let raw = dev.ok(&[
        "tail",
        "acme/code",
        "-o",
        "json",
        "--from-start",
        "--max",
        "1",
    ]);
    assert!(raw.contains("12.50"), "numbers are as they came: {raw}");
}

#[test]
fn a_duplicate_is_answered_2xx_and_not_delivered_again() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(SHOP);
    let url = dev.callback_url("acme/code");
    let body = br#"{"action":"closed","pull_request":{"base":{"ref":"main"}}}"#;
    let headers = signers::github("s3cret", "pull_request", "same", body);
    let first = post(&url, &headers, body).unwrap();
    let again = post(&url, &headers, body).unwrap();
    assert_eq!((first.status, first.receipt()), (200, "synced"));
    assert_eq!((again.status, again.receipt()), (200, "duplicate"));
    assert_eq!(
        first.header("hookplane-event-id"),
        again.header("hookplane-event-id"),
        "a duplicate names its original"
    );
    assert_eq!(dev.tail("acme/code", &[]).len(), 1);
}

#[test]
fn what_was_kept_survives_a_restart_and_so_do_url_and_token() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(&folder.path().join("data"));
    dev.apply(SHOP);
    let (url, token) = (dev.callback_url("acme/code"), dev.token());
    let body = br#"{"action":"opened","pull_request":{"base":{"ref":"main"}}}"#;
    let headers = signers::github("s3cret", "pull_request", "d-1", body);
    assert_eq!(post(&url, &headers, body).unwrap().status, 200);
    dev.restart();
    assert_eq!(dev.callback_url("acme/code"), url);
    assert_eq!(dev.token(), token);
    assert_eq!(dev.tail("acme/code", &[]).len(), 1);
    assert_eq!(post(&url, &headers, body).unwrap().receipt(), "duplicate");
}

#[test]
fn callback_urls_follow_a_listener_that_moves() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(&folder.path().join("data"));
    dev.apply(SHOP);
    let before = dev.callback_url("acme/code");
    dev.restart_elsewhere();
    let after = dev.callback_url("acme/code");
    assert!(after.starts_with(&dev.listener_url()), "{after}");
    let token = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    assert_eq!(token(&after), token(&before));
    let body = br#"{"action":"opened","pull_request":{"base":{"ref":"main"}}}"#;
    let headers = signers::github("s3cret", "pull_request", "d-1", body);
    assert_eq!(post(&after, &headers, body).unwrap().receipt(), "synced");
}

#[test]
fn clone_from_the_template_then_edit_and_delete() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    dev.apply(SHOP);
    dev.ok(&[
        "clone",
        "webhook",
        "acme/code/template",
        "pushes",
        "--label",
        "Pushes",
        "--event",
        "push",
        "--active",
    ]);
    let pushes = &dev.items(&["webhooks", "acme/code/pushes"])[0];
    assert_eq!(pushes["spec"]["label"], "Pushes");
    assert_eq!(pushes["spec"]["active"], true);
    let names: Vec<_> = dev
        .items(&["webhooks", "acme/code"])
        .iter()
        .map(|webhook| webhook["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["pushes", "template", "to-main"]);
    dev.refused(&["delete", "webhook", "acme/code/template"], 1);
    dev.ok(&["delete", "webhook", "acme/code/pushes"]);
    dev.ok(&["delete", "group", "acme/code"]);
    dev.refused(&["get", "group", "acme/code"], 1);
}

#[test]
fn sigterm_drains_and_ends_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(&folder.path().join("data"));
    dev.signal("TERM");
    assert_eq!(dev.wait(), Some(0));
}

#[test]
fn an_ordinary_run_logs_no_warning() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(&folder.path().join("data"));
    dev.apply(SHOP);
    let url = dev.callback_url("acme/code");
    let body = br#"{"action":"opened","pull_request":{"base":{"ref":"main"}}}"#;
    let headers = signers::github("s3cret", "pull_request", "d-1", body);
    assert_eq!(post(&url, &headers, body).unwrap().status, 200);
    dev.signal("TERM");
    assert_eq!(dev.wait(), Some(0));
    let printed = dev.printed();
    for level in [" WARN ", " ERROR "] {
        assert!(!printed.contains(level), "{printed}");
    }
}
