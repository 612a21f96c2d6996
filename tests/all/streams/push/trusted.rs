//! Destinations over TLS, and whom an operator trusts beside the public roots.

use std::time::Duration;

use hookplane_tests::destinations::{Receiver, Reply};
use hookplane_tests::http::post;
use hookplane_tests::pki::Pki;
use hookplane_tests::product::{Listen, Serve, eventually};
use hookplane_tests::signers;

const GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_destination_that_the_operators_authority_vouches_for_is_sent_to_and_another_is_not() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let others = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Pki::new(folder.path()), Pki::new(others.path()));
    let start = |pki: &Pki| {
        pki.issue("receiver", GOOD_FOR);
        let receiver = Receiver::start_tls(pki, "receiver", |_| Reply::Status(200));
        runtime.block_on(receiver).unwrap()
    };
    let (trusted, unknown) = (start(&ours), start(&theirs));
    let ca_file = ours.ca_file();
    let more = [
        "--destination-ca",
        ca_file.to_str().unwrap(),
        "--allow-destinations",
        "127.0.0.0/8",
    ];
    let serve = Serve::start(folder.path(), &more);
    let _listen = Listen::start(&serve, "one", &[]);
    serve.apply(&format!(
        r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {{org: acme, name: code}}
spec: {{connector: github, signatureSecrets: [{{value: s3cret}}], registeredEvents: ["*"]}}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: acme, group: code, name: all}}
spec:
  label: All
  active: true
  events: ["*"]
  destinations: [{{name: trusted, http: {{url: "{}/in"}}}}, {{name: unknown, http: {{url: "{}/in"}}}}]
"#,
        trusted.url, unknown.url
    ));
    let url = serve.callback_url("acme/code");
    let headers = signers::github("s3cret", "push", "d-1", b"{}");
    assert_eq!(post(&url, &headers, b"{}").unwrap().status, 200);
    let of = |destination: &str, wanted: fn(&serde_json::Value) -> bool| {
        eventually(
            &format!("the one for {destination} is as it should be"),
            || {
                let all = serve.items(&["deliveries", "acme/code/all"]);
                all.into_iter().find(|one| {
                    let text = one.to_string();
                    text.contains(&format!(r#""{destination}""#)) && wanted(one)
                })
            },
        )
    };
    of("trusted", |one| one["status"]["status"] == "delivered");
    of("unknown", |one| {
        let reason = one["status"]["reason"].as_str().unwrap_or_default();
        one["status"]["status"] == "pending" && reason.contains("TLS to 127.0.0.1")
    });
    assert_eq!((trusted.count(), unknown.count()), (1, 0));
}
