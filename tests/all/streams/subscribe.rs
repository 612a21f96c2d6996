//! Durable pulls: leases out, settlements in.

use std::collections::BTreeSet;

use hookplane_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use v1::DeliveryStatus;
use v1::subscribe_request::Kind;
use v1::subscription_service_client::SubscriptionServiceClient;

use super::report::{Reporting, callback};
use super::rig::{ATTEMPTS, MESSAGE_BYTES, Rig, api, webhook_path};
use crate::fake_control_plane::{Failure, eventually, soon};

/// A subscriber's side of the stream.
pub(super) struct Subscriber {
    to: mpsc::Sender<v1::SubscribeRequest>,
    from: Streaming<v1::SubscribeResponse>,
}

impl Subscriber {
    pub(super) async fn start(
        rig: &Rig,
        webhook: &str,
        max_in_flight: u32,
        lease_seconds: u32,
    ) -> Result<Self, Failure> {
        Self::start_at(&rig.url, webhook, max_in_flight, lease_seconds).await
    }

    /// The same at a control plane of the test's own.
    pub(super) async fn start_at(
        url: &str,
        webhook: &str,
        max_in_flight: u32,
        lease_seconds: u32,
    ) -> Result<Self, Failure> {
        let (to, requests) = mpsc::channel(64);
        let start = v1::SubscribeStart {
            webhook: webhook_path(webhook),
            max_in_flight,
            lease_seconds,
        };
        let start = v1::SubscribeRequest {
            kind: Some(Kind::Start(start)),
        };
        soon(to.send(start)).await??;
        let mut client =
            SubscriptionServiceClient::new(api(url)).max_decoding_message_size(MESSAGE_BYTES);
        let from = soon(client.subscribe(ReceiverStream::new(requests)))
            .await??
            .into_inner();
        Ok(Self { to, from })
    }

    async fn say(&self, kind: Kind) -> Result<(), Failure> {
        Ok(soon(self.to.send(v1::SubscribeRequest { kind: Some(kind) })).await??)
    }

    pub(super) async fn ack(&self, lease: &v1::SubscribeResponse) -> Result<(), Failure> {
        let lease_token = lease.lease_token.clone();
        self.say(Kind::Ack(v1::Ack { lease_token })).await
    }

    pub(super) async fn nack(
        &self,
        lease: &v1::SubscribeResponse,
        set: impl FnOnce(&mut v1::Nack),
    ) -> Result<(), Failure> {
        let mut nack = v1::Nack {
            lease_token: lease.lease_token.clone(),
            reason: "not today".to_owned(),
            ..Default::default()
        };
        set(&mut nack);
        self.say(Kind::Nack(nack)).await
    }

    pub(super) async fn next(&mut self) -> Result<v1::SubscribeResponse, Failure> {
        soon(self.from.message())
            .await??
            .ok_or_else(|| "the stream ended".into())
    }

    /// Ends it, and waits until the control plane has ended it as well: what it had leased is given back by then.
    pub(super) async fn leave(self) -> Result<(), Failure> {
        let Self { to, mut from } = self;
        drop(to);
        while let Ok(Some(_)) = soon(from.message()).await? {}
        Ok(())
    }

    /// Why the stream ended.
    pub(super) async fn end(&mut self) -> Result<Status, Failure> {
        soon(async {
            loop {
                match self.from.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Err("it ended well".into()),
                    Err(status) => return Ok(status),
                }
            }
        })
        .await?
    }
}

pub(super) fn delivery(lease: &v1::SubscribeResponse) -> v1::Delivery {
    lease.delivery.clone().unwrap_or_default()
}

/// The delivery `code/all` has, once it has that status.
pub(super) async fn becomes(rig: &Rig, status: DeliveryStatus) -> Result<v1::Delivery, Failure> {
    eventually(async || {
        Ok(rig
            .deliveries("code/all")
            .await?
            .into_iter()
            .find(|delivery| delivery.status() == status))
    })
    .await
}

/// With the webhook `code/all`, and events for it.
pub(super) async fn kept(count: usize) -> Result<Rig, Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let callbacks = (0..count)
        .map(|n| {
            callback(
                &group,
                &format!("d-{n}"),
                format!("{{\"n\":{n}}}").as_bytes(),
            )
        })
        .collect();
    Reporting::connect(&rig, "").await?.batch(callbacks).await?;
    Ok(rig)
}

#[tokio::test]
async fn what_is_acknowledged_is_delivered() -> Result<(), Failure> {
    let rig = kept(1).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 0, 0).await?;
    let lease = subscriber.next().await?;
    assert_eq!(lease.payload_json, r#"{"n":0}"#);
    assert_eq!(delivery(&lease).attempts, 1);
    assert!(!delivery(&lease).idempotency_key.is_empty());
    assert_eq!(
        lease.event.as_ref().map(|e| &e.body[..]),
        Some(&br#"{"n":0}"#[..])
    );
    becomes(&rig, DeliveryStatus::Leased).await?;
    subscriber.ack(&lease).await?;
    assert_eq!(becomes(&rig, DeliveryStatus::Delivered).await?.attempts, 1);
    Ok(())
}

#[tokio::test]
async fn what_comes_while_a_subscriber_waits_is_handed_over() -> Result<(), Failure> {
    let rig = kept(1).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 0, 0).await?;
    let lease = subscriber.next().await?;
    subscriber.ack(&lease).await?;
    let group = rig.get_group("code").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    for n in 0..5 {
        stream
            .report(callback(&group, &format!("later-{n}"), b"{}"))
            .await?;
        let lease = subscriber.next().await?;
        assert_eq!(
            lease.event.as_ref().map(|e| e.delivery_id.clone()),
            Some(format!("later-{n}"))
        );
        subscriber.ack(&lease).await?;
    }
    Ok(())
}

// Risk 10: a poison event is neither retried for ever nor dropped.
#[tokio::test]
async fn attempts_end_in_a_dead_letter_that_can_be_replayed() -> Result<(), Failure> {
    let rig = kept(1).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 0, 0).await?;
    let mut key = String::new();
    for attempt in 1..=ATTEMPTS {
        let lease = subscriber.next().await?;
        assert_eq!(delivery(&lease).attempts, attempt);
        key = delivery(&lease).idempotency_key;
        subscriber.nack(&lease, |_| {}).await?;
    }
    let dead = becomes(&rig, DeliveryStatus::Dead).await?;
    assert_eq!(
        (dead.attempts, dead.reason.as_str()),
        (ATTEMPTS, "not today")
    );
    let replayed = rig
        .events()
        .replay_deliveries(v1::ReplayDeliveriesRequest {
            delivery_ids: vec![dead.id],
            ..Default::default()
        })
        .await?
        .into_inner()
        .replayed;
    assert_eq!(replayed, 1);
    let lease = subscriber.next().await?;
    assert_eq!(delivery(&lease).attempts, 1);
    assert_eq!(delivery(&lease).idempotency_key, key);
    subscriber.nack(&lease, |nack| nack.give_up = true).await?;
    assert_eq!(becomes(&rig, DeliveryStatus::Dead).await?.attempts, 1);
    Ok(())
}

#[tokio::test]
async fn a_delay_puts_the_next_attempt_off() -> Result<(), Failure> {
    let rig = kept(2).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 1, 0).await?;
    let first = subscriber.next().await?;
    subscriber
        .nack(&first, |nack| nack.delay_seconds = 3_600)
        .await?;
    let second = subscriber.next().await?;
    assert_ne!(delivery(&first).id, delivery(&second).id);
    subscriber.nack(&second, |_| {}).await?;
    let again = subscriber.next().await?;
    assert_eq!(delivery(&again).id, delivery(&second).id);
    Ok(())
}

#[tokio::test]
async fn the_end_of_a_stream_returns_its_leases_uncounted() -> Result<(), Failure> {
    let rig = kept(3).await?;
    let mut first = Subscriber::start(&rig, "code/all", 0, 0).await?;
    let mut held = BTreeSet::new();
    for _ in 0..3 {
        held.insert(delivery(&first.next().await?).id);
    }
    let mut second = Subscriber::start(&rig, "code/all", 0, 0).await?;
    drop(first);
    for _ in 0..3 {
        let lease = second.next().await?;
        assert_eq!(
            delivery(&lease).attempts,
            1,
            "a lease given back is no attempt"
        );
        assert!(held.remove(&delivery(&lease).id));
        second.ack(&lease).await?;
    }
    Ok(())
}

#[tokio::test]
async fn subscribers_of_one_webhook_share_its_deliveries() -> Result<(), Failure> {
    const COUNT: usize = 20;
    let rig = kept(COUNT).await?;
    let mut one = Subscriber::start(&rig, "code/all", 2, 0).await?;
    let mut other = Subscriber::start(&rig, "code/all", 2, 0).await?;
    // Each can hold two at a time, so while one keeps what it has the other gets all the rest.
    let keeps = [one.next().await?, one.next().await?];
    let mut seen: BTreeSet<String> = keeps.iter().map(|lease| delivery(lease).id).collect();
    for _ in 2..COUNT {
        let lease = other.next().await?;
        assert!(seen.insert(delivery(&lease).id), "handed out twice");
        other.ack(&lease).await?;
    }
    for lease in &keeps {
        one.ack(lease).await?;
    }
    eventually(async || {
        let all = rig.deliveries("code/all").await?;
        let delivered =
            |d: &v1::Delivery| d.status() == DeliveryStatus::Delivered && d.attempts == 1;
        Ok((all.len() == COUNT && all.iter().all(delivered)).then_some(()))
    })
    .await
}

// A subscriber that was slow did its work all the same.
#[tokio::test]
async fn a_stale_ack_settles_and_a_stale_nack_is_ignored() -> Result<(), Failure> {
    let rig = kept(1).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 1, 2).await?;
    let stale = subscriber.next().await?;
    let fresh = subscriber.next().await?;
    assert_eq!(delivery(&fresh).id, delivery(&stale).id);
    assert_eq!(
        delivery(&fresh).attempts,
        2,
        "an expiry counts as an attempt"
    );
    assert_ne!(fresh.lease_token, stale.lease_token);
    subscriber.nack(&stale, |nack| nack.give_up = true).await?;
    subscriber.ack(&stale).await?;
    let settled = becomes(&rig, DeliveryStatus::Delivered).await?;
    // On a busy machine the fresh one has run out by then, too.
    assert!(settled.attempts >= 2, "{settled:?}");
    subscriber.nack(&fresh, |_| {}).await?;
    // A settled one doesn't come back: what comes next is another event.
    let group = rig.get_group("code").await?;
    let mut stream = Reporting::connect(&rig, "").await?;
    stream.report(callback(&group, "another", b"{}")).await?;
    loop {
        let next = delivery(&subscriber.next().await?);
        if next.id != settled.id {
            return Ok(());
        }
        assert!(next.attempts <= settled.attempts, "it came back");
    }
}

#[tokio::test]
async fn an_extended_lease_outlives_its_first_time() -> Result<(), Failure> {
    let rig = kept(2).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 2, 4).await?;
    let extended = subscriber.next().await?;
    let left = subscriber.next().await?;
    let extend = v1::Extend {
        lease_token: extended.lease_token.clone(),
        lease_seconds: 600,
    };
    subscriber.say(Kind::Extend(extend)).await?;
    // The one beside it runs out and comes back; it does not.
    let again = subscriber.next().await?;
    assert_eq!(delivery(&again).id, delivery(&left).id);
    assert_eq!(delivery(&again).attempts, 2);
    subscriber.ack(&extended).await?;
    assert_eq!(becomes(&rig, DeliveryStatus::Delivered).await?.attempts, 1);
    Ok(())
}

#[tokio::test]
async fn a_deleted_webhook_ends_its_streams() -> Result<(), Failure> {
    let rig = kept(0).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 0, 0).await?;
    rig.delete_webhook("code", "all").await?;
    assert_eq!(subscriber.end().await?.code(), Code::NotFound);
    let mut late = Subscriber::start(&rig, "code/all", 0, 0).await?;
    assert_eq!(late.end().await?.code(), Code::NotFound);
    Ok(())
}

// Promise 8: a lease is its stream's.
#[tokio::test]
async fn somebody_elses_lease_can_not_be_settled() -> Result<(), Failure> {
    let rig = kept(1).await?;
    rig.webhook("code", "other", "").await?;
    let mut holder = Subscriber::start(&rig, "code/all", 0, 0).await?;
    let lease = holder.next().await?;
    let mut thief = Subscriber::start(&rig, "code/other", 0, 0).await?;
    thief.ack(&lease).await?;
    assert_eq!(thief.end().await?.code(), Code::InvalidArgument);
    becomes(&rig, DeliveryStatus::Leased).await?;
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_subscribed_to_says_why() -> Result<(), Failure> {
    let rig = kept(0).await?;
    for (webhook, max, code) in [
        ("code/template", 0, Code::InvalidArgument),
        ("code/-", 0, Code::InvalidArgument),
        ("code/nowhere", 0, Code::NotFound),
        ("code/all", 1_001, Code::InvalidArgument),
    ] {
        let mut subscriber = Subscriber::start(&rig, webhook, max, 0).await?;
        assert_eq!(subscriber.end().await?.code(), code, "{webhook}");
    }
    Ok(())
}

// Risk 22: subscribers are told, and the server ends.
#[tokio::test]
async fn at_shutdown_subscribers_are_told() -> Result<(), Failure> {
    let mut rig = kept(1).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 0, 0).await?;
    subscriber.next().await?;
    rig.stop.cancel();
    assert_eq!(subscriber.end().await?.code(), Code::Unavailable);
    drop(subscriber);
    soon(&mut rig.server).await???;
    Ok(())
}

super::backends::on_cluster!(
    what_is_acknowledged_is_delivered,
    what_comes_while_a_subscriber_waits_is_handed_over,
    attempts_end_in_a_dead_letter_that_can_be_replayed,
    a_delay_puts_the_next_attempt_off,
    the_end_of_a_stream_returns_its_leases_uncounted,
    subscribers_of_one_webhook_share_its_deliveries,
    a_stale_ack_settles_and_a_stale_nack_is_ignored,
    an_extended_lease_outlives_its_first_time,
    a_deleted_webhook_ends_its_streams,
    somebody_elses_lease_can_not_be_settled,
    at_shutdown_subscribers_are_told,
);

// Words that come together are settled in one write, which a mistake among them doesn't undo.
#[tokio::test]
async fn what_was_said_before_a_mistake_counts() -> Result<(), Failure> {
    const COUNT: usize = 16;
    let rig = kept(COUNT).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 16, 0).await?;
    let mut leases = Vec::new();
    for _ in 0..COUNT {
        leases.push(subscriber.next().await?);
    }
    for lease in &leases {
        subscriber.ack(lease).await?;
    }
    let mut wrong = leases[0].clone();
    wrong.lease_token = "made-up".to_owned();
    subscriber.ack(&wrong).await?;
    assert_eq!(subscriber.end().await?.code(), Code::InvalidArgument);
    let done = eventually(async || {
        let all = rig.deliveries("code/all").await?;
        let done = all
            .iter()
            .filter(|delivery| delivery.status() == DeliveryStatus::Delivered);
        Ok((done.count() == COUNT).then_some(COUNT))
    });
    assert_eq!(done.await?, COUNT);
    Ok(())
}
