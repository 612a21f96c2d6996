//! What waits for a destination that was taken out.

use hookplane_proto::v1;
use tonic::Code;
use v1::DeliveryStatus;

use super::{Shop, http, own, willing};
use crate::fake_control_plane::{Failure, eventually, until};
use crate::streams::rig::webhook_path;
use crate::streams::subscribe::{Subscriber, delivery};

async fn held(shop: &Shop, count: usize) -> Result<Vec<v1::Delivery>, Failure> {
    eventually(async || {
        let mut all = shop.rig.deliveries("shop/orders").await?;
        all.retain(|one| one.status() == DeliveryStatus::Held);
        Ok((all.len() == count).then_some(all))
    })
    .await
}

#[tokio::test]
async fn what_waits_for_subscribers_that_are_no_more_is_held_and_can_be_replayed()
-> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let receiver = willing().await?;
    shop.rig.webhook("shop", "orders", "").await?;
    for n in 0..3 {
        shop.event(&format!("d-{n}"), "{}").await?;
    }
    let mut subscriber = Subscriber::start(&shop.rig, "shop/orders", 1, 600).await?;
    subscriber.next().await?;
    // From now on it is pushed.
    let pushed = own("", http(&receiver.url));
    shop.rig
        .update_webhook("shop", "orders", |spec| spec.destinations = vec![pushed])
        .await?;
    let end = subscriber.end().await?;
    assert_eq!(end.code(), Code::FailedPrecondition, "{end}");
    assert!(end.message().contains("subscribe"), "{end}");
    let waited = held(&shop, 3).await?;
    for one in &waited {
        assert_eq!((one.destination.as_str(), one.attempts), ("subscribe", 0));
        assert!(one.reason.contains("add it again"), "{}", one.reason);
    }
    let mut refused = Subscriber::start(&shop.rig, "shop/orders", 1, 0).await?;
    assert_eq!(refused.end().await?.code(), Code::FailedPrecondition);
    // What comes now is for the one that is there, and nobody's else.
    shop.event("d-new", "{}").await?;
    until(|| receiver.count() == 1).await?;
    // Added again, and replayed.
    let both = vec![
        own("", http(&receiver.url)),
        v1::WebhookDestination {
            subscribe: Some(v1::SubscribeDestination {}),
            ..Default::default()
        },
    ];
    shop.rig
        .update_webhook("shop", "orders", |spec| spec.destinations = both)
        .await?;
    let request = v1::ReplayRequest {
        parent: webhook_path("shop/orders"),
        status: DeliveryStatus::Held.into(),
        ..Default::default()
    };
    let mut progress = shop.rig.events().replay(request).await?.into_inner();
    while progress.message().await?.is_some() {}
    let mut subscriber = Subscriber::start(&shop.rig, "shop/orders", 0, 0).await?;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let lease = subscriber.next().await?;
        keys.push(delivery(&lease).idempotency_key);
        subscriber.ack(&lease).await?;
    }
    let expected = waited.iter().rev().map(|one| one.idempotency_key.clone());
    assert_eq!(keys, expected.collect::<Vec<_>>());
    Ok(())
}
