//! `serve` and `listen` as processes of their own.

use std::process::Command;

use hookplane_tests::http::Connection;
use hookplane_tests::product::{CODE, CODE_SECRET, Listen, Serve, binary};
use hookplane_tests::signers;

use crate::providers::now_seconds;
use crate::vectors_live::faketime;

/// Posts a signed callback, and gives the status.
fn post(listen: &Listen, callback_url: &str, id: &str) -> u16 {
    let url = listen.url(callback_url);
    let headers = signers::github(CODE_SECRET, "push", id, b"{}");
    let answer = Connection::open(&url)
        .unwrap()
        .request("POST", &url, &headers, b"{}");
    answer.unwrap().status
}

/// Arguments that must be refused with this code. Gives stderr.
fn refused(arguments: &[&str], code: i32) -> String {
    let output = Command::new(binary())
        .args(arguments)
        .current_dir(std::env::temp_dir())
        .env_remove("HOOKPLANE_TOKEN")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    stderr
}

#[test]
fn apart_the_two_servers_do_what_they_do_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(folder.path(), &[]);
    let mut one = Listen::start(&serve, "one", &[]);
    let mut two = Listen::start(&serve, "two", &[]);
    serve.apply(CODE);
    let url = serve.callback_url("acme/code");
    assert_eq!(post(&one, &url, "1"), 200);
    assert_eq!(post(&two, &url, "2"), 200);
    // A repeat is known wherever it comes in.
    assert_eq!(post(&two, &url, "1"), 200);
    assert_eq!(serve.tail("acme/code/all", &[]).len(), 2);

    assert!(one.metrics().contains("hookplane_listener_callbacks_total"));
    assert!(
        serve
            .metrics()
            .contains("hookplane_control_plane_callbacks_total")
    );

    // Both restart, the listener without anything of its own on disk.
    serve.process().restart();
    serve.wait_until_ready();
    two.restart();
    two.wait_until_ready();
    assert_eq!(post(&two, &url, "3"), 200);
    assert_eq!(serve.tail("acme/code/all", &[]).len(), 3);

    one.signal("TERM");
    two.signal("INT");
    serve.process().signal("TERM");
    assert_eq!(one.wait(), Some(0), "{}", one.printed());
    assert_eq!(two.wait(), Some(0), "{}", two.printed());
    assert_eq!(serve.process().wait(), Some(0));
}

const STRIPE: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: pay}
spec:
  connector: stripe
  signatureSecrets: [{value: whsec_apart}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: pay, name: all}
spec: {label: All, active: true, events: ["*"]}
"#;

// Risk 44: our own clock is off, and everything genuine looks stale.
#[test]
fn a_listener_whose_clock_is_off_calls_nothing_genuine_forged() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(folder.path(), &[]);
    let right = Listen::start(&serve, "right", &[]);
    // 400 s ahead; Stripe's window is 300 s.
    let environment = [
        ("LD_PRELOAD", faketime().to_str().unwrap()),
        ("FAKETIME", "+400s"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let ahead = Listen::start_in(&serve, "ahead", &environment);
    serve.apply(STRIPE);
    let url = serve.callback_url("acme/pay");
    let post = |listen: &Listen, secret: &str, seconds: i64| {
        let body = br#"{"id":"evt_1","type":"charge.succeeded","object":"event"}"#;
        let seconds = now_seconds() + seconds;
        let headers = signers::stripe(secret, seconds, body);
        let url = listen.url(&url);
        let mut connection = Connection::open(&url).unwrap();
        let answer = connection.request("POST", &url, &headers, body);
        answer.unwrap().status
    };
    assert_eq!(post(&right, "whsec_apart", 0), 200);
    assert_eq!(post(&right, "whsec_apart", -400), 401);
    assert_eq!(post(&ahead, "whsec_apart", 0), 503);
    // What it can tell without a clock it goes on telling.
    assert_eq!(post(&ahead, "another", 0), 401);
    assert_eq!(post(&ahead, "whsec_apart", 200), 200);
    assert!(ahead.printed().contains("clock is not the control plane's"));
    assert_eq!(right.printed().matches("clock").count(), 0);
}

#[test]
fn what_would_be_open_or_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let embedded = format!("embedded:{}", at("data"));
    let (key, token) = (at("seal.key"), at("admin.token"));
    let serve = |api: &str, store: &str, log: &str, more: &[&str], code: i32| {
        let mut all = vec![
            "serve",
            "--api",
            api,
            "--store",
            store,
            "--log",
            log,
            "--seal-key",
            &key,
        ];
        all.extend_from_slice(more);
        refused(&all, code)
    };
    let here = "127.0.0.1:0";
    let token = ["--bootstrap-token", token.as_str()];
    let far = serve(here, "etcd://127.0.0.1:1,b:2", &embedded, &token, 1);
    assert!(far.contains("--store: b is not loopback") && far.contains("--store-tls-ca"));
    let far = serve(here, &embedded, "postgres://u:hidden@h/d", &token, 1);
    assert!(far.contains("--log: h is not loopback") && !far.contains("hidden"));
    let slip = serve(here, &embedded, "postgre://u:hidden@h/d", &token, 2);
    assert!(slip.contains("say embedded:DIR or postgres://") && !slip.contains("hidden"));
    for slip in ["etcds://u:hidden@h:1", "etcd://u:hidden@127.0.0.1:1"] {
        let slip = serve(here, slip, &embedded, &token, 2);
        assert!(slip.contains("--store") && !slip.contains("hidden"));
    }
    let idle = [token[0], token[1], "--accept-weaker-durability"];
    assert!(serve(here, &embedded, &embedded, &idle, 2).contains("is for etcd or PostgreSQL"));
    assert!(serve(here, &embedded, &embedded, &[], 1).contains("--bootstrap-token"));
    assert!(serve("0.0.0.0:0", &embedded, &embedded, &token, 1).contains("without TLS"));
    let away = [
        "listen",
        "--control-plane",
        "http://10.0.0.1:1",
        "--listen",
        here,
    ];
    assert!(refused(&away, 1).contains("plain http"));
    let no_token = [
        "listen",
        "--control-plane",
        "http://127.0.0.1:1",
        "--listen",
        here,
    ];
    assert!(refused(&no_token, 1).contains("--token-file"));
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_store_whose_seal_key_is_gone_is_not_given_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(folder.path(), &[]);
    serve.process().signal("TERM");
    assert_eq!(serve.process().wait(), Some(0));
    let key = folder.path().join("seal.key");
    std::fs::remove_file(&key).unwrap();
    serve.process().restart();
    assert_eq!(serve.process().wait(), Some(1));
    assert!(serve.process().printed().contains("seal.key is missing"));
    assert!(!key.exists());
}
