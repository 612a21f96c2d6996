//! What a plan keeps of each group, counted by the allocator: a listener may have a hundred thousand of them.

use hookplane_proto::v1;
use hookplane_proto::v1::ConfigResource;
use hookplane_proto::v1::config_resource::Body;
use hookplane_rules::Plan;
use peak_alloc::PeakAlloc;
use prost::Message;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Beyond the texts that people wrote of it and its webhooks, counted once. They are kept twice: as they came, and compiled.
const BYTES_PER_GROUP: usize = 2_816;
/// The maps are trees of hashes, and each has seeds of its own: now and then one takes some bytes more. What a group takes is the least of so many.
const PLANS: usize = 8;
/// So many that what they share counts for nothing.
const GROUPS: usize = 2_000;

const CONNECTOR: &str = r#"
functions:
  - name: repository
    events: [{name: push}, {name: pull_request}]
protocol:
  schemes:
    - name: sha256
      hmac:
        hash: sha256
        content: "{body}"
        signature: header:X-Hub-Signature-256
        format: {prefix: "sha256="}
        encoding: hex
  extract:
    eventType: [{from: "header:X-GitHub-Event"}]
    deliveryId: [{from: "header:X-GitHub-Delivery"}]
"#;
const VERSION: &str = "f5b7c1f9a1f0c4a7a5d1c8f3e6b2d4907a8b9c0d1e2f30415263748596a7b8c9";

fn resource(uid: String, group_uid: &str, body: Body) -> ConfigResource {
    ConfigResource {
        uid,
        revision: 7,
        group_uid: group_uid.to_owned(),
        body: Some(body),
    }
}

fn connector() -> ConfigResource {
    let connector = v1::Connector {
        metadata: Some(v1::Metadata {
            name: "github".to_owned(),
            ..Default::default()
        }),
        spec: Some(saphyr_serde::from_str(CONNECTOR).expect("it reads")),
    };
    resource(VERSION.to_owned(), "", Body::Connector(connector))
}

fn uid(kind: usize, number: usize) -> String {
    format!("01a20a4e-cd4b-74d6-ad5{kind}-0000{number:08x}")
}

/// As the API makes one: with its template, and a webhook that somebody added.
fn group(number: usize) -> [ConfigResource; 3] {
    let group_uid = uid(0, number);
    let name = format!("g{number:06}");
    let metadata = |group: &str, name: &str, uid: &str| {
        Some(v1::Metadata {
            org: "acme".to_owned(),
            group: group.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            ..Default::default()
        })
    };
    let group = v1::WebhookGroup {
        metadata: metadata("", &name, &group_uid),
        spec: Some(v1::WebhookGroupSpec {
            connector: "github".to_owned(),
            function: "repository".to_owned(),
            signature_secrets: vec![v1::SignatureSecret {
                name: "secret-1".to_owned(),
                value: format!("the secret of {name}"),
                ..Default::default()
            }],
            registered_events: vec!["push".to_owned(), "pull_request".to_owned()],
            ..Default::default()
        }),
        status: Some(v1::WebhookGroupStatus {
            callback_url: format!("https://hooks.example.com/acme/github/repository/{number:032x}"),
            connector_version: VERSION.to_owned(),
            ..Default::default()
        }),
    };
    let webhook = |kind: usize, webhook: &str, spec: v1::WebhookSpec| {
        let uid = uid(kind, number);
        let webhook = v1::Webhook {
            metadata: metadata(&name, webhook, &uid),
            spec: Some(spec),
            status: None,
        };
        resource(uid, &group_uid, Body::Webhook(webhook))
    };
    let template = webhook(1, "template", v1::WebhookSpec::default());
    let wanted = webhook(
        2,
        "to-main",
        v1::WebhookSpec {
            label: "Pull requests to main".to_owned(),
            active: true,
            events: vec!["pull_request".to_owned()],
            filter: "payload.pull_request.base.ref == \"main\"".to_owned(),
            destinations: vec![v1::WebhookDestination {
                subscribe: Some(v1::SubscribeDestination {}),
                ..Default::default()
            }],
            ..Default::default()
        },
    );
    [
        resource(group_uid.clone(), &group_uid, Body::Group(group)),
        template,
        wanted,
    ]
}

fn kept_of_a_group() -> usize {
    let before = Plan::default().change(&[], vec![connector()], 7).plan;
    let empty = ALLOCATED.current_usage();
    let list = (0..GROUPS).flat_map(group).collect();
    let applied = before.change(&[], list, 8);
    assert!(applied.refused.is_empty(), "{:?}", applied.refused.first());
    drop(applied.refused);
    let kept = (ALLOCATED.current_usage() - empty) / GROUPS;
    assert_eq!(applied.plan.revision(), 8);
    kept
}

#[test]
fn a_plan_keeps_a_bounded_part_of_a_group_beyond_its_texts() {
    let texts: usize = group(0).iter().map(Message::encoded_len).sum();
    let kept = (0..PLANS).map(|_| kept_of_a_group()).min().unwrap_or(0);
    assert!(kept > texts, "the allocator counts");
    assert!(
        kept <= texts + BYTES_PER_GROUP,
        "a group with {texts} bytes of texts takes {kept}"
    );
}
