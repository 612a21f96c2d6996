//! Webhooks: created, cloned, changed, deleted.

use hookplane_proto::v1;
use tonic::Code;

use super::rig::{GROUP, Rig, WEBHOOK, webhook_of, wrong_fields};

const TEMPLATE: &str = "orgs/acme/groups/code/webhooks/template";
const PUSHES: &str = "orgs/acme/groups/code/webhooks/pushes";

async fn with_group() -> Rig {
    let rig = Rig::start().await;
    rig.apply(GROUP).await.unwrap();
    rig
}

fn create(webhook: v1::Webhook) -> v1::CreateWebhookRequest {
    v1::CreateWebhookRequest {
        parent: "orgs/acme/groups/code".to_owned(),
        webhook: Some(webhook),
        validate_only: false,
    }
}

fn update(webhook: v1::Webhook, mask: &[&str]) -> v1::UpdateWebhookRequest {
    let paths: Vec<String> = mask.iter().map(|p| (*p).to_owned()).collect();
    v1::UpdateWebhookRequest {
        webhook: Some(webhook),
        update_mask: (!paths.is_empty()).then_some(prost_types::FieldMask { paths }),
        validate_only: false,
    }
}

#[tokio::test]
async fn a_webhook_is_checked_by_the_rules_that_listeners_run() {
    let rig = with_group().await;
    type Spoil = fn(&mut v1::WebhookSpec);
    let cases: [(&str, Spoil); 4] = [
        ("spec.events[0]", |s| s.events = vec!["release".into()]),
        ("spec.filter", |s| s.filter = "payload.a ==".into()),
        ("spec.events", |s| s.events.clear()),
        ("spec.label", |s| s.label = "x".repeat(257)),
    ];
    for (field, spoil) in cases {
        let mut webhook = webhook_of(WEBHOOK);
        spoil(webhook.spec.as_mut().unwrap());
        let status = rig.webhooks().create_webhook(create(webhook)).await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert_eq!(wrong_fields(&status), [field], "{status}");
    }
    let made = rig
        .webhooks()
        .create_webhook(create(webhook_of(WEBHOOK)))
        .await;
    let made = made.unwrap().into_inner();
    assert_eq!(rig.webhook(PUSHES).await.unwrap(), made);
    let again = rig
        .webhooks()
        .create_webhook(create(webhook_of(WEBHOOK)))
        .await;
    assert_eq!(again.unwrap_err().code(), Code::AlreadyExists);
    let mut orphan = webhook_of(WEBHOOK);
    orphan.metadata.as_mut().unwrap().group = "other".to_owned();
    let mut request = create(orphan);
    request.parent = "orgs/acme/groups/other".to_owned();
    let missing = rig.webhooks().create_webhook(request).await;
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
    rig.stop().await;
}

#[tokio::test]
async fn a_clone_is_inactive_unless_asked_and_another_webhook() {
    let rig = with_group().await;
    rig.apply(WEBHOOK).await.unwrap();
    let request = v1::CloneWebhookRequest {
        name: PUSHES.to_owned(),
        new_name: "copy".to_owned(),
        ..Default::default()
    };
    let copy = rig.webhooks().clone_webhook(request.clone()).await;
    let copy = copy.unwrap().into_inner();
    let original = rig.webhook(PUSHES).await.unwrap();
    let (spec, of) = (copy.spec.unwrap(), original.spec.unwrap());
    assert!(!spec.active && of.active);
    assert_eq!((spec.label, spec.events), (of.label, of.events));
    assert_ne!(copy.metadata.unwrap().uid, original.metadata.unwrap().uid);
    let again = rig.webhooks().clone_webhook(request).await;
    assert_eq!(again.unwrap_err().code(), Code::AlreadyExists);
    let of_template = v1::CloneWebhookRequest {
        name: TEMPLATE.to_owned(),
        new_name: "prs".to_owned(),
        label: "Pull requests".to_owned(),
        events: vec!["pull_request".to_owned()],
        active: true,
        filter: Some("payload.number > 1".to_owned()),
    };
    let made = rig.webhooks().clone_webhook(of_template.clone()).await;
    let spec = made.unwrap().into_inner().spec.unwrap();
    assert!(spec.active && spec.label == "Pull requests");
    assert_eq!(spec.filter, "payload.number > 1");
    let nameless = v1::CloneWebhookRequest {
        new_name: "Not A Name".to_owned(),
        ..of_template.clone()
    };
    let nameless = rig.webhooks().clone_webhook(nameless).await;
    assert_eq!(wrong_fields(&nameless.unwrap_err()), ["new_name"]);
    let empty = v1::CloneWebhookRequest {
        new_name: "empty".to_owned(),
        events: Vec::new(),
        ..of_template
    };
    let empty = rig.webhooks().clone_webhook(empty).await;
    assert_eq!(wrong_fields(&empty.unwrap_err()), ["spec.events"]);
    rig.stop().await;
}

#[tokio::test]
async fn an_update_needs_the_newest_etag_and_changes_what_its_mask_names() {
    let rig = with_group().await;
    rig.apply(WEBHOOK).await.unwrap();
    let old = rig.webhook(PUSHES).await.unwrap();
    let mut webhook = old.clone();
    let spec = webhook.spec.as_mut().unwrap();
    spec.active = false;
    spec.events = vec!["pull_request".to_owned()];
    let new = rig
        .webhooks()
        .update_webhook(update(webhook.clone(), &["active"]))
        .await;
    let new = new.unwrap().into_inner();
    assert!(!new.spec.as_ref().unwrap().active);
    assert_eq!(new.spec.unwrap().events, ["push"]);
    let stale = rig
        .webhooks()
        .update_webhook(update(webhook.clone(), &[]))
        .await;
    assert_eq!(stale.unwrap_err().code(), Code::Aborted);
    let delete = |name: &str, etag: &str| v1::DeleteWebhookRequest {
        name: name.to_owned(),
        etag: etag.to_owned(),
        discard_pending: true,
    };
    let stale = delete(PUSHES, &old.metadata.unwrap().etag);
    let stale = rig.webhooks().delete_webhook(stale).await;
    assert_eq!(stale.unwrap_err().code(), Code::Aborted);
    let newest = delete(PUSHES, &new.metadata.unwrap().etag);
    rig.webhooks().delete_webhook(newest).await.unwrap();
    assert_eq!(
        rig.webhook(PUSHES).await.unwrap_err().code(),
        Code::NotFound
    );
    rig.stop().await;
}

#[tokio::test]
async fn the_template_is_never_active_and_never_deleted_alone() {
    let rig = with_group().await;
    let mut template = rig.webhook(TEMPLATE).await.unwrap();
    let spec = template.spec.as_mut().unwrap();
    spec.active = true;
    spec.events = vec!["push".to_owned()];
    let active = rig.webhooks().update_webhook(update(template, &[])).await;
    assert_eq!(wrong_fields(&active.unwrap_err()), ["spec.active"]);
    let request = v1::DeleteWebhookRequest {
        name: TEMPLATE.to_owned(),
        etag: String::new(),
        discard_pending: true,
    };
    let deleted = rig.webhooks().delete_webhook(request).await;
    assert_eq!(deleted.unwrap_err().code(), Code::FailedPrecondition);
    rig.stop().await;
}
