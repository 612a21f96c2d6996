//! Mappings as they are saved: checked, and each change a version that stays.

use hookplane_control_plane::keys;
use hookplane_control_plane::store::{Store, Transaction, Write};
use hookplane_proto::v1;
use prost::Message;

use super::rig::{GROUP, Rig, WEBHOOK, webhook_of, wrong_fields};

const PUSHES: &str = "orgs/acme/groups/code/webhooks/pushes";

fn mapping(from: &str) -> v1::Mapping {
    let field = v1::FieldMapping {
        from: from.to_owned(),
        ..Default::default()
    };
    v1::Mapping {
        active: true,
        base: Some(v1::RecordMapping {
            object: "Commit".to_owned(),
            fields: [("Id".to_owned(), field)].into(),
            ..Default::default()
        }),
    }
}

async fn with_webhook() -> Rig {
    let rig = Rig::start().await;
    rig.apply(GROUP).await.unwrap();
    rig.apply(WEBHOOK).await.unwrap();
    rig
}

async fn update(
    rig: &Rig,
    set: impl FnOnce(&mut v1::WebhookSpec),
) -> Result<v1::Webhook, tonic::Status> {
    let mut webhook = rig.webhook(PUSHES).await?;
    set(webhook.spec.as_mut().unwrap());
    let request = v1::UpdateWebhookRequest {
        webhook: Some(webhook),
        ..Default::default()
    };
    Ok(rig.webhooks().update_webhook(request).await?.into_inner())
}

/// The version that maps new events, and the newest.
fn versions(webhook: v1::Webhook) -> (u32, u32) {
    let status = webhook.status.unwrap();
    (status.mapping_version, status.newest_mapping_version)
}

async fn stored(rig: &Rig) -> Vec<(String, v1::Mapping)> {
    let listing = rig
        .store
        .list(keys::MAPPINGS, None, 1_000, None)
        .await
        .unwrap();
    let entries = listing.entries.into_iter();
    entries
        .map(|e| (e.key, v1::Mapping::decode(e.value).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_changed_mapping_is_a_new_version_and_no_number_is_used_again() {
    let rig = with_webhook().await;
    assert_eq!(versions(rig.webhook(PUSHES).await.unwrap()), (0, 0));
    type Change = fn(&mut v1::WebhookSpec);
    let steps: [(Change, (u32, u32)); 9] = [
        (|spec| spec.mapping = Some(mapping("payload.a")), (1, 1)),
        (|spec| spec.label = "Other".to_owned(), (1, 1)),
        (|spec| spec.mapping = Some(mapping("payload.b")), (2, 2)),
        (|spec| spec.mapping.as_mut().unwrap().active = false, (0, 2)),
        (|spec| spec.mapping.as_mut().unwrap().active = true, (2, 2)),
        (|spec| spec.mapping = None, (0, 2)),
        (|spec| spec.mapping = Some(mapping("payload.b")), (2, 2)),
        (|spec| spec.mapping = Some(mapping("payload.a")), (3, 3)),
        (
            |spec| {
                spec.mapping = Some(v1::Mapping {
                    active: false,
                    ..mapping("payload.c")
                });
            },
            (0, 4),
        ),
    ];
    for (number, (change, expected)) in steps.into_iter().enumerate() {
        let updated = update(&rig, change).await.unwrap();
        assert_eq!(versions(updated), expected, "step {number}");
        assert_eq!(
            versions(rig.webhook(PUSHES).await.unwrap()),
            expected,
            "step {number}"
        );
    }
    let kept = stored(&rig).await;
    let uid = rig.webhook(PUSHES).await.unwrap().metadata.unwrap().uid;
    let expected = ["payload.a", "payload.b", "payload.a", "payload.c"];
    assert_eq!(kept.len(), expected.len());
    for ((number, from), (key, saved)) in (1..).zip(expected).zip(kept) {
        assert_eq!(key, keys::mapping(&uid, number));
        assert_eq!(saved, mapping(from), "v{number}");
        let read = version(&rig, number).await.unwrap();
        assert_eq!(read.mapping, Some(mapping(from)), "v{number}");
        assert_eq!((read.version, &read.webhook_uid), (number, &uid));
        assert!(read.create_time.is_some() && !read.token_id.is_empty());
    }
    for none in [0, 5] {
        let status = version(&rig, none).await.unwrap_err();
        assert_eq!(wrong_fields(&status), ["version"], "{status}");
    }
    rig.stop().await;
}

async fn version(rig: &Rig, version: u32) -> Result<v1::MappingVersion, tonic::Status> {
    let name = PUSHES.to_owned();
    let request = v1::GetMappingVersionRequest { name, version };
    let mut api = rig.webhooks();
    Ok(api.get_mapping_version(request).await?.into_inner())
}

// What an older program saved has neither; what it doesn't keep any more is told apart from what never was.
#[tokio::test]
async fn a_version_of_an_older_program_is_read_and_one_that_is_not_kept_is_not_found() {
    let rig = with_webhook().await;
    for from in ["payload.a", "payload.b"] {
        update(&rig, |spec| spec.mapping = Some(mapping(from)))
            .await
            .unwrap();
    }
    let uid = rig.webhook(PUSHES).await.unwrap().metadata.unwrap().uid;
    let writes = vec![
        Write::Put(
            keys::mapping(&uid, 2),
            mapping("payload.b").encode_to_vec().into(),
        ),
        Write::Delete(keys::mapping(&uid, 1)),
    ];
    let checks = Vec::new();
    rig.store
        .commit(Transaction { checks, writes })
        .await
        .unwrap();
    let older = version(&rig, 2).await.unwrap();
    assert_eq!(older.mapping, Some(mapping("payload.b")));
    assert!(older.create_time.is_none() && older.token_id.is_empty());
    let status = version(&rig, 1).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert!(status.message().contains("the newest 200"), "{status}");
    rig.stop().await;
}

/// Saves without looking whether somebody else did.
async fn save_blindly(rig: &Rig, from: &str) -> Result<v1::Webhook, tonic::Status> {
    let mut webhook = rig.webhook(PUSHES).await?;
    webhook.metadata.as_mut().unwrap().etag.clear();
    webhook.spec.as_mut().unwrap().mapping = Some(mapping(from));
    let request = v1::UpdateWebhookRequest {
        webhook: Some(webhook),
        ..Default::default()
    };
    Ok(rig.webhooks().update_webhook(request).await?.into_inner())
}

// A version never changes: deliveries made for it count on that. Who saves at the same time as another is refused, or has the next one.
#[tokio::test]
async fn of_several_who_save_at_once_nobody_writes_anothers_version() {
    let rig = with_webhook().await;
    let mut of = std::collections::BTreeMap::new();
    for round in 0..10 {
        let from = |n: u32| format!("payload.f{round}_{n}");
        let sources = [from(0), from(1), from(2), from(3)];
        let [a, b, c, d] = &sources;
        let saved = tokio::join!(
            save_blindly(&rig, a),
            save_blindly(&rig, b),
            save_blindly(&rig, c),
            save_blindly(&rig, d)
        );
        let all = [saved.0, saved.1, saved.2, saved.3];
        assert!(all.iter().any(Result::is_ok), "{all:?}");
        for (from, saved) in sources.into_iter().zip(all) {
            match saved {
                Ok(webhook) => {
                    let (version, _) = versions(webhook);
                    assert_eq!(of.insert(version, from), None, "v{version} twice");
                }
                Err(status) => assert_eq!(status.code(), tonic::Code::Aborted, "{status}"),
            }
        }
    }
    let uid = rig.webhook(PUSHES).await.unwrap().metadata.unwrap().uid;
    let kept: std::collections::BTreeMap<_, _> = stored(&rig).await.into_iter().collect();
    assert_eq!(kept.len(), of.len());
    for (version, from) in of {
        assert_eq!(
            kept[&keys::mapping(&uid, version)],
            mapping(&from),
            "v{version}"
        );
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_mapping_is_checked_when_it_is_saved_active_or_not() {
    let rig = with_webhook().await;
    for active in [true, false] {
        let status = update(&rig, |spec| {
            spec.mapping = Some(v1::Mapping {
                active,
                ..mapping("item.a")
            });
            spec.filter = "payload.a ==".to_owned();
        })
        .await
        .unwrap_err();
        assert_eq!(
            wrong_fields(&status),
            ["spec.filter", "spec.mapping.base.fields.Id.from"],
            "{status}"
        );
    }
    let large = "a".repeat(300 * 1024);
    let status = update(&rig, |spec| spec.mapping = Some(mapping(&large)))
        .await
        .unwrap_err();
    assert_eq!(wrong_fields(&status), ["spec.mapping"]);
    assert!(stored(&rig).await.is_empty());
    // Nothing is written for a question.
    let mut webhook = rig.webhook(PUSHES).await.unwrap();
    webhook.spec.as_mut().unwrap().mapping = Some(mapping("payload.a"));
    let request = v1::UpdateWebhookRequest {
        webhook: Some(webhook),
        validate_only: true,
        ..Default::default()
    };
    let answer = rig.webhooks().update_webhook(request).await.unwrap();
    assert_eq!(versions(answer.into_inner()), (1, 1));
    assert!(stored(&rig).await.is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn a_clone_has_versions_of_its_own() {
    let rig = with_webhook().await;
    for from in ["payload.a", "payload.b"] {
        update(&rig, |spec| spec.mapping = Some(mapping(from)))
            .await
            .unwrap();
    }
    let request = v1::CloneWebhookRequest {
        name: PUSHES.to_owned(),
        new_name: "copy".to_owned(),
        active: true,
        ..Default::default()
    };
    let copy = rig
        .webhooks()
        .clone_webhook(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        copy.spec.clone().unwrap().mapping,
        Some(mapping("payload.b"))
    );
    assert_eq!(versions(copy), (1, 1));
    assert_eq!(stored(&rig).await.len(), 3);
    rig.stop().await;
}

#[tokio::test]
async fn two_hundred_versions_are_kept_and_go_with_their_webhook() {
    let rig = with_webhook().await;
    for number in 1..=203 {
        let from = format!("payload.f{number}");
        let updated = update(&rig, |spec| spec.mapping = Some(mapping(&from)))
            .await
            .unwrap();
        assert_eq!(versions(updated), (number, number));
    }
    let kept = stored(&rig).await;
    assert_eq!(kept.len(), 200);
    assert_eq!(kept[0].1, mapping("payload.f4"));
    let mut other = webhook_of(WEBHOOK);
    other.metadata.as_mut().unwrap().name = "other".to_owned();
    other.spec.as_mut().unwrap().mapping = Some(mapping("payload.a"));
    let request = v1::CreateWebhookRequest {
        parent: "orgs/acme/groups/code".to_owned(),
        webhook: Some(other),
        validate_only: false,
    };
    rig.webhooks().create_webhook(request).await.unwrap();
    let request = v1::DeleteWebhookRequest {
        name: PUSHES.to_owned(),
        ..Default::default()
    };
    rig.webhooks().delete_webhook(request).await.unwrap();
    assert_eq!(stored(&rig).await.len(), 1, "another webhook's stay");
    let request = v1::DeleteWebhookGroupRequest {
        name: "orgs/acme/groups/code".to_owned(),
        ..Default::default()
    };
    rig.groups().delete_webhook_group(request).await.unwrap();
    assert!(stored(&rig).await.is_empty());
    rig.stop().await;
}

const MAPPED: &str = r#"apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: mapped}
spec:
  label: Mapped
  active: true
  events: [push]
  mapping:
    active: true
    base:
      object: Commit
      fields:
        A: {from: payload.a, onMissing: null}
        B: {from: payload.b, default: none}
        C: {from: payload.c, default: ""}
"#;

#[tokio::test]
async fn a_mapping_that_is_left_out_is_removed_and_one_that_is_the_same_changes_nothing() {
    let rig = with_webhook().await;
    rig.apply(MAPPED).await.unwrap();
    let again = rig.plan(MAPPED).await.unwrap();
    assert_eq!(again[0].action(), v1::ChangeAction::Unchanged, "{again:?}");
    let before = rig
        .webhook("orgs/acme/groups/code/webhooks/mapped")
        .await
        .unwrap();
    rig.apply(MAPPED).await.unwrap();
    let after = rig
        .webhook("orgs/acme/groups/code/webhooks/mapped")
        .await
        .unwrap();
    assert_eq!(before, after);
    let without = &MAPPED[..MAPPED.find("  mapping:").unwrap()];
    let answers = rig.apply(without).await.unwrap();
    let change = answers[0].change.clone().unwrap();
    assert_eq!(change.changed_fields, ["spec.mapping"]);
    let after = rig
        .webhook("orgs/acme/groups/code/webhooks/mapped")
        .await
        .unwrap();
    assert!(after.spec.clone().unwrap().mapping.is_none());
    assert_eq!(versions(after), (0, 1));
    rig.stop().await;
}
