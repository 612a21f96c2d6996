//! Recorded events through a webhook as it is and as it would be.

use hookplane_proto::v1;
use tonic::Code;
use v1::DifferenceKind as Kind;
use v1::preview_service_client::PreviewServiceClient;

use super::previews::{as_saved, field, mapping};
use super::report::{Reporting, callback};
use super::rig::Rig;
use crate::fake_control_plane::Failure;

async fn compare(
    rig: &Rig,
    webhook: v1::Webhook,
    last: u32,
) -> Result<v1::CompareResponse, tonic::Status> {
    let request = v1::CompareRequest {
        webhook: Some(webhook),
        last,
        ..Default::default()
    };
    let mut client = PreviewServiceClient::new(rig.api());
    Ok(client.compare(request).await?.into_inner())
}

/// With `code/all` of such a filter, and events of which the n-th is of n.
async fn kept(count: usize, filter: &str) -> Result<(Rig, v1::Webhook, Vec<String>), Failure> {
    let rig = Rig::start().await?;
    let group = rig
        .group("code", |spec| spec.capture_unmatched = true)
        .await?;
    let webhook = rig.webhook("code", "all", filter).await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    let mut ids = Vec::new();
    for n in 0..count {
        let body = format!(r#"{{"id":"o-{n}","n":{n},"total":{n}.50,"lines":[{{"sku":"s"}}]}}"#);
        let one = callback(&group, &format!("d-{n}"), body.as_bytes());
        ids.push(stream.report(one).await?.event_id);
    }
    Ok((rig, webhook, ids))
}

fn of_kind(answer: &v1::CompareResponse, kind: Kind) -> Vec<&str> {
    let differences = answer.differences.iter();
    differences
        .filter(|one| one.kind() == kind)
        .map(|one| one.event_id.as_str())
        .collect()
}

#[tokio::test]
async fn a_changed_filter_tells_who_newly_gets_what_and_who_no_longer() -> Result<(), Failure> {
    let (rig, webhook, ids) = kept(6, "payload.n < 4").await?;
    let changed = as_saved(&webhook, |spec| spec.filter = "payload.n > 1".into());
    let answer = compare(&rig, changed, 0).await?;
    assert_eq!(answer.looked_at, 6);
    assert_eq!((answer.newly_delivered, answer.no_longer_delivered), (2, 2));
    assert_eq!((answer.changed, answer.newly_held), (0, 0));
    // The newest first.
    assert_eq!(of_kind(&answer, Kind::NewlyDelivered), [&ids[5], &ids[4]]);
    assert_eq!(
        of_kind(&answer, Kind::NoLongerDelivered),
        [&ids[1], &ids[0]]
    );
    let reason = &answer.differences.last().ok_or("a difference")?.reason;
    assert!(reason.contains("payload.n > 1"), "{reason}");
    // No more than were asked for.
    let changed = as_saved(&webhook, |spec| spec.filter = "payload.n > 1".into());
    let answer = compare(&rig, changed, 2).await?;
    assert_eq!((answer.looked_at, answer.newly_delivered), (2, 2));
    assert_eq!(answer.no_longer_delivered, 0);
    // As it is.
    let same = compare(&rig, webhook, 0).await?;
    assert_eq!((same.looked_at, same.differences.len()), (6, 0));
    Ok(())
}

#[tokio::test]
async fn a_filter_that_errs_holds_and_a_webhook_that_is_new_gets_all() -> Result<(), Failure> {
    let (rig, webhook, _) = kept(3, "").await?;
    let erring = as_saved(&webhook, |spec| {
        spec.filter = "payload.n.contains('x')".into()
    });
    let answer = compare(&rig, erring, 0).await?;
    assert_eq!((answer.newly_held, answer.no_longer_delivered), (3, 0));
    let mut new = webhook;
    let metadata = new.metadata.get_or_insert_default();
    (metadata.name, metadata.uid) = ("new".to_owned(), String::new());
    metadata.etag.clear();
    let answer = compare(&rig, new, 0).await?;
    assert_eq!((answer.newly_delivered, answer.differences.len()), (3, 3));
    Ok(())
}

#[tokio::test]
async fn a_changed_mapping_tells_which_fields_change_and_how_often() -> Result<(), Failure> {
    let (rig, _, _) = kept(4, "").await?;
    let webhook = rig
        .update_webhook("code", "all", |spec| spec.mapping = Some(mapping()))
        .await?;
    let changed = as_saved(&webhook, |spec| {
        let mapping = spec.mapping.get_or_insert_default();
        let base = mapping.base.get_or_insert_default();
        base.fields.insert("N__c".into(), field("payload.n"));
        let sku = v1::FieldMapping {
            convert: vec!["upper".into()],
            ..field("item.sku")
        };
        base.children[0].fields.insert("Sku__c".into(), sku);
    });
    let answer = compare(&rig, changed, 0).await?;
    assert_eq!((answer.looked_at, answer.changed), (4, 4), "{answer:?}");
    let fields: Vec<_> = answer
        .changed_fields
        .iter()
        .map(|one| (one.field.as_str(), one.events))
        .collect();
    let expected = [
        ("base.children[*].fields.Sku__c", 4),
        ("base.fields.N__c", 4),
    ];
    assert_eq!(fields, expected);
    let newest = &answer.differences[0].fields;
    let told: Vec<_> = newest
        .iter()
        .map(|one| (one.field.as_str(), one.old.as_str(), one.new.as_str()))
        .collect();
    let expected = [
        ("base.children[0].fields.Sku__c", "\"s\"", "\"S\""),
        ("base.fields.N__c", "", "3"),
    ];
    assert_eq!(told, expected);
    // A field that finds no value holds the delivery.
    let failing = as_saved(&webhook, |spec| {
        let base = spec
            .mapping
            .get_or_insert_default()
            .base
            .get_or_insert_default();
        let total = base.fields.get_mut("Total__c");
        if let Some(total) = total {
            total.from = "payload.gone".into();
        }
    });
    let answer = compare(&rig, failing, 0).await?;
    assert_eq!(answer.newly_held, 4, "{answer:?}");
    let reason = &answer.differences[0].reason;
    assert!(reason.contains("base.fields.Total__c"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn more_than_ten_thousand_events_are_not_compared() -> Result<(), Failure> {
    let (rig, webhook, _) = kept(0, "").await?;
    let refused = compare(&rig, webhook.clone(), 10_001).await.err();
    let refused = refused.ok_or("it was compared")?;
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("last: "));
    let none = compare(&rig, webhook, 10_000).await?;
    assert_eq!((none.looked_at, none.cut_short.as_str()), (0, ""));
    Ok(())
}

super::backends::on_cluster!(
    a_changed_filter_tells_who_newly_gets_what_and_who_no_longer,
    a_filter_that_errs_holds_and_a_webhook_that_is_new_gets_all,
    a_changed_mapping_tells_which_fields_change_and_how_often,
);
