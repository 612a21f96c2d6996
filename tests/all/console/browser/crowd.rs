//! An org in which there is much of everything, and whose names are as long as names may be; and one with nothing in it.

use std::fmt::Write as _;

use hookplane_tests::http::post;
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

const SECRET: &str = "crowd-secret";
/// Rows of each list that has pages.
const ROWS: usize = 300;

pub(super) struct Crowd {
    /// A token that may look at it.
    pub(super) viewer: String,
    pub(super) group: String,
    pub(super) webhook: String,
    pub(super) destination: String,
}

/// 63 characters without a place to break.
fn long(first: char) -> String {
    format!("{first}{}", "w".repeat(62))
}

impl Crowd {
    pub(super) fn of(dev: &Dev) -> Self {
        let (group, webhook, destination) = (long('g'), long('h'), long('d'));
        dev.apply(&manifest(&group, &webhook, &destination));
        let token = ["token", "create", "--org", "crowd", "--role", "viewer"];
        let crowd = Self {
            viewer: dev.ok(&token).trim().to_owned(),
            group,
            webhook,
            destination,
        };
        crowd.fill(dev);
        crowd
    }

    /// What came: kept, not wanted, held, and refused.
    fn fill(&self, dev: &Dev) {
        let url = dev.callback_url(&format!("crowd/{}", self.group));
        let send = |secret: &str, event: &str, delivery: &str, body: &str| {
            let headers = signers::github(secret, event, delivery, body.as_bytes());
            post(&url, &headers, body.as_bytes()).unwrap().status
        };
        for index in 0..ROWS {
            let body = format!(r#"{{"ref":"refs/heads/{}","n":{index}}}"#, "b".repeat(120));
            // Of every second one the mapping's path is missing.
            let body = match index % 2 {
                0 => body,
                _ => body.replace("\"ref\"", "\"other\""),
            };
            assert_eq!(
                send(SECRET, "push", &format!("delivery-{index}"), &body),
                200
            );
        }
        for index in 0..20 {
            assert_eq!(
                send("wrong", "push", &format!("refused-{index}"), "{}"),
                401
            );
        }
        eventually("some are held, and the refusals are told", || {
            let held = dev.items(&["deliveries", "crowd", "--status", "held"]);
            let refused = dev.items(&["refusals", "crowd"]);
            (!held.is_empty() && refused.len() >= 20).then_some(())
        });
    }
}

fn manifest(group: &str, webhook: &str, destination: &str) -> String {
    let label = "L".repeat(200);
    let mut text = format!(
        r#"
apiVersion: hookplane.dev/v1
kind: Org
metadata: {{name: empty}}
spec: {{displayName: Nothing yet}}
---
apiVersion: hookplane.dev/v1
kind: Destination
metadata: {{org: crowd, name: {destination}}}
spec:
  displayName: {label}
  http: {{url: "http://127.0.0.1:9/{}", headers: {{x-key: {{value: secret}}}}}}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {{org: crowd, name: {group}}}
spec:
  connector: github
  displayName: {label}
  signatureSecrets: [{{value: {SECRET}, name: {}}}]
  registeredEvents: ["*"]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: crowd, group: {group}, name: {webhook}}}
spec:
  label: {label}
  active: true
  events: ["*"]
  filter: payload.n >= 0
  mapping:
    active: true
    base:
      object: {}__c
      operation: upsert
      key: Ref__c
      fields:
        Ref__c: {{from: payload.ref, onMissing: fail}}
        {}__c: {{from: payload.n, type: string, default: "{label}"}}
  destinations: [{{ref: {destination}}}, {{subscribe: {{}}}}]
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {{org: crowd, name: many}}
spec:
  connector: github
  displayName: Many
  signatureSecrets: [{{value: {SECRET}}}]
  registeredEvents: ["*"]
"#,
        "p".repeat(150),
        "s".repeat(63),
        "O".repeat(40),
        "F".repeat(37),
    );
    for index in 0..ROWS {
        write!(
            text,
            "---\napiVersion: hookplane.dev/v1\nkind: Webhook\nmetadata: {{org: crowd, group: many, name: webhook-{index:03}}}\n\
             spec: {{label: Webhook {index}, active: {}, events: [push, issues], filter: payload.n == {index}}}\n",
            index % 3 == 0
        )
        .unwrap();
    }
    for index in 0..60 {
        write!(
            text,
            "---\napiVersion: hookplane.dev/v1\nkind: WebhookGroup\nmetadata: {{org: crowd, name: group-{index:02}}}\n\
             spec: {{connector: github, displayName: Group {index}, externalId: octo/{index}, signatureSecrets: [{{value: {SECRET}}}], registeredEvents: [push]}}\n"
        )
        .unwrap();
    }
    text
}
