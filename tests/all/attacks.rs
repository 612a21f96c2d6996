//! Attacks that need the whole product: what is signed is sent again, and what is kept is taken away.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use hookplane_tests::http::post;
use hookplane_tests::product::Dev;
use hookplane_tests::signers;

const GROUP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: github}
spec:
  connector: github
  signatureSecrets: [{value: s3cret-s3cret}]
  registeredEvents: ["*"]
  refuseSuspectedReplays: true
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: github, name: all}
spec: {label: All, active: true, events: ["*"]}
"#;

// Promise 4: the same signed bytes under another unsigned id. The group is there, so it is no 404.
#[test]
fn a_replay_under_another_id_is_refused_as_a_forgery_where_the_group_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    dev.apply(GROUP);
    let url = dev.callback_url("acme/github");
    let body = br#"{"ref": "refs/heads/main"}"#;
    let sent = |delivery: &str| {
        let headers = signers::github("s3cret-s3cret", "push", delivery, body);
        post(&url, &headers, body).unwrap()
    };
    assert_eq!(sent("one").status, 200);
    assert_eq!(sent("one").receipt(), "duplicate");
    assert_eq!(sent("two").status, 401);
    assert_eq!(dev.items(&["events"]).len(), 1);

    // Events are the tenants' data: nobody else on the machine reads them, wherever the data directory is.
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        if entry.file_type().unwrap().is_file()
            && !entry.file_name().to_string_lossy().ends_with(".log")
        {
            assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", entry.path());
        }
    }
}

// Signed JSON called a form: the texts of others in it would be fields.
#[test]
fn signed_json_that_is_called_a_form_is_kept_undecodable() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    dev.apply(GROUP);
    let url = dev.callback_url("acme/github");
    let body = br#"{"title": "x&payload=%7B%22action%22%3A%22deleted%22%7D&y"}"#;
    let mut headers = signers::github("s3cret-s3cret", "repository", "one", body);
    for (name, value) in &mut headers {
        if name.eq_ignore_ascii_case("content-type") {
            *value = "application/x-www-form-urlencoded".to_owned();
        }
    }
    assert_eq!(post(&url, &headers, body).unwrap().status, 200);
    let events = dev.items(&["events"]);
    assert_eq!(events[0]["spec"]["type"], "repository");
    assert_eq!(events[0]["status"]["flags"][0], "undecodable");
}

/// Opens streams of HTTP/2 and takes each back at once, until the other end has enough.
fn reset_rapidly(url: &str) {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    };
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(4, 0, 0, b""));
    for stream in (1..2_000).step_by(2) {
        // GET http / of :authority x, whole; then CANCEL.
        sent.extend(frame(1, 5, stream, b"\x82\x86\x84\x01\x01x"));
        sent.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    // It may be cut off in the middle.
    let _ = stream.write_all(&sent);
    let _ = stream.read_to_end(&mut Vec::new());
}

// A line for each connection would be a log that outsiders fill.
#[test]
fn resets_end_their_connection_and_leave_no_line_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    for url in [dev.listener_url(), dev.api_url()] {
        for _ in 0..3 {
            reset_rapidly(&url);
        }
    }
    let printed = dev.printed();
    assert!(!printed.contains("h2::"), "{printed}");
    dev.apply(GROUP);
    let url = dev.callback_url("acme/github");
    let headers = signers::github("s3cret-s3cret", "push", "one", b"{}");
    assert_eq!(post(&url, &headers, b"{}").unwrap().status, 200);
}
