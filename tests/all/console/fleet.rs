//! The fleet page.

use hookplane_tests::http::post;
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

use super::Visitor;

const GROUP: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{value: s3cret-s3cret}]
  registeredEvents: [push]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: all}
spec: {label: All, active: true, events: ["*"]}
"#;

#[test]
fn the_fleet_shows_what_each_listener_accepted_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let visitor = Visitor::signed_in(&dev, &dev.token());
    let counted = || dev.items(&["listeners"])[0]["status"]["lastMinute"].clone();
    eventually("the listener is there", || {
        counted().is_object().then_some(())
    });
    assert_eq!(counted()["accepted"], 0);
    dev.apply(GROUP);
    let url = dev.callback_url("acme/code");
    let send = |secret: &str, event: &str, delivery: &str| {
        let headers = signers::github(secret, event, delivery, b"{}");
        post(&url, &headers, b"{}").unwrap().status
    };
    // Kept, a repeat of it, and one that isn't registered.
    for (event, delivery) in [("push", "one"), ("push", "one"), ("issues", "two")] {
        assert_eq!(send("s3cret-s3cret", event, delivery), 200);
    }
    assert_eq!(send("another-secret", "push", "three"), 401);
    // Listeners tell what they decide alone once a second.
    eventually("all of them are counted", || {
        (counted()["accepted"] == 3 && counted()["refused"] == 1).then_some(())
    });
    let page = visitor.page("/fleet");
    assert!(
        page.contains("0.05 callbacks accepted and 0.02 refused a second"),
        "{page}"
    );
    assert!(page.contains("<td class=\"number\">0.05</td><td class=\"number\">0.02</td>"));
    // Come to from an org, it keeps the org's menu.
    assert!(
        visitor
            .page("/orgs/acme")
            .contains("href=\"/fleet?org=acme\"")
    );
    let deliveries = "href=\"/orgs/acme/deliveries\"";
    assert!(visitor.page("/fleet?org=acme").contains(deliveries) && !page.contains(deliveries));
    let table = dev.ok(&["get", "listeners"]);
    assert!(
        table.contains("ACCEPTED/S") && table.contains("0.05"),
        "{table}"
    );
}
