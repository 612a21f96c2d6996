//! Replays of what is pushed.

use hookplane_proto::v1;
use v1::{DeliveryStatus, ReplayMapping};

use super::{Shop, http, own, willing};
use crate::fake_control_plane::{Failure, until};
use crate::streams::rig::webhook_path;

/// One field of this name.
fn mapping(field: &str) -> v1::Mapping {
    let from = v1::FieldMapping {
        from: "payload.id".to_owned(),
        ..Default::default()
    };
    let base = v1::RecordMapping {
        object: "Order__c".to_owned(),
        fields: [(field.to_owned(), from)].into(),
        ..Default::default()
    };
    v1::Mapping {
        active: true,
        base: Some(base),
    }
}

#[tokio::test]
async fn a_replay_sends_what_the_mapping_of_then_or_of_now_makes_with_the_same_key()
-> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let receiver = willing().await?;
    let destinations = vec![own("", http(&receiver.url))];
    let made = shop.rig.pushed("orders", destinations, |spec| {
        spec.mapping = Some(mapping("Then__c"));
    });
    made.await?;
    shop.event("d-1", r#"{"id": "o-1"}"#).await?;
    shop.rig
        .all_are("shop/orders", 1, DeliveryStatus::Delivered)
        .await?;
    shop.rig
        .update_webhook("shop", "orders", |spec| {
            spec.mapping = Some(mapping("Now__c"));
        })
        .await?;
    let replays = [
        (ReplayMapping::Then, 1),
        (ReplayMapping::Now, 2),
        (ReplayMapping::Then, 2),
    ];
    for (times, (with, version)) in replays.into_iter().enumerate() {
        let request = v1::ReplayRequest {
            parent: webhook_path("shop/orders"),
            status: DeliveryStatus::Delivered.into(),
            mapping: with.into(),
            ..Default::default()
        };
        let mut progress = shop.rig.events().replay(request).await?.into_inner();
        while progress.message().await?.is_some() {}
        until(|| receiver.count() == times + 2).await?;
        let delivered = shop
            .rig
            .all_are("shop/orders", 1, DeliveryStatus::Delivered)
            .await?;
        assert_eq!(delivered[0].mapping_version, version, "{with:?}");
    }
    let received = receiver.received();
    let fields: Vec<bool> = received
        .iter()
        .map(|one| one.text().contains("Then__c"))
        .collect();
    // The mapping of then is the one that the delivery had last.
    assert_eq!(fields, [true, true, false, false]);
    for one in &received {
        assert_eq!(one.header("webhook-id"), received[0].header("webhook-id"));
        assert_eq!(one.header("hookplane-attempt"), "1");
    }
    Ok(())
}
