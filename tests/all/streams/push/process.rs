//! The product itself, killed in mid-delivery.

use std::collections::HashMap;

use hookplane_tests::destinations::{Receiver, Reply};
use hookplane_tests::http::post;
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

// Nothing that was answered 2xx is lost when the process is killed while it delivers, and what is sent again has the same key.
#[test]
fn what_was_under_way_at_a_kill_is_delivered_after_it_with_the_same_key() {
    const EVENTS: usize = 20;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // Takes it in, and never says so.
    let receiver = runtime.block_on(Receiver::start(|_| Reply::Never)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(&folder.path().join("data"));
    dev.apply(&format!(
        r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {{org: acme, name: code}}
spec: {{connector: github, signatureSecrets: [{{value: s3cret}}], registeredEvents: ["*"]}}
---
apiVersion: hookplane.dev/v1
kind: Destination
metadata: {{org: acme, name: erp}}
spec: {{http: {{url: "{}/in", headers: {{X-Key: {{value: k}}}}}}}}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: acme, group: code, name: all}}
spec: {{label: All, active: true, events: ["*"], destinations: [{{ref: erp}}]}}
"#,
        receiver.url
    ));
    let url = dev.callback_url("acme/code");
    for n in 0..EVENTS {
        let body = format!(r#"{{"n": {n}}}"#);
        let headers = signers::github("s3cret", "push", &format!("d-{n}"), body.as_bytes());
        assert_eq!(post(&url, &headers, body.as_bytes()).unwrap().status, 200);
    }
    eventually("some are under way", || {
        (receiver.count() > 3).then_some(())
    });
    let before: Vec<_> = receiver.received();
    dev.kill();
    receiver.say(|_| Reply::Status(200));
    dev.restart();
    eventually("all are delivered", || {
        let all = dev.items(&["deliveries", "acme/code/all"]);
        let done = all
            .iter()
            .filter(|one| one["status"]["status"] == "delivered")
            .count();
        (done == EVENTS).then_some(())
    });
    let mut keys: HashMap<String, String> = HashMap::new();
    for one in receiver.received() {
        let key = one.header("webhook-id").to_owned();
        let known = keys.entry(one.text()).or_insert_with(|| key.clone());
        assert_eq!(*known, key, "the same event has the same key");
    }
    assert_eq!(keys.len(), EVENTS);
    let again = receiver.received().split_off(before.len());
    for one in before {
        assert!(
            again.iter().any(|other| other.body == one.body),
            "sent again: {}",
            one.text()
        );
    }
    let item = dev.items(&["destinations", "acme/erp"]).remove(0);
    assert_eq!(item["status"]["state"], "active", "{item}");
    assert_eq!(
        item["spec"]["http"]["headers"]["X-Key"],
        serde_json::json!({}),
        "{item}"
    );
}
