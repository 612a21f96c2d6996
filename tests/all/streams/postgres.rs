//! Two control planes over one store and one database of PostgreSQL, each with a log of its own: any of them serves any subscriber.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::server::STREAM_AGE;
use hookplane_proto::v1;
use hookplane_tests::log_suite::backends::InPostgres;
use v1::event_service_client::EventServiceClient;

use super::replicas::Replica;
use super::report::{Reporting, callback};
use super::rig::{ATTEMPTS, Rig, api, eventually};
use super::subscribe::{Subscriber, delivery};
use crate::fake_control_plane::{Failure, soon};

/// Of the leases whose replica dies: they run out, they are not given back.
const LEASE_SECONDS: u32 = 1;

/// The rig's own control plane is where groups are made.
struct Two {
    rig: Rig,
    group: v1::WebhookGroup,
    url: String,
}

impl Two {
    async fn start() -> Result<Self, Failure> {
        let rig = Rig::start().await?;
        let group = rig.group("code", |_| {}).await?;
        rig.webhook("code", "all", "").await?;
        let url = InPostgres::shared().url(rig.folder.path());
        Ok(Self { rig, group, url })
    }

    /// One more control plane.
    async fn replica(&self) -> Result<Replica, Failure> {
        let options = PostgresOptions {
            url: self.url.clone(),
            max_attempts: ATTEMPTS,
            first_back_off: Duration::from_millis(1),
            longest_back_off: Duration::from_millis(1),
            ..PostgresOptions::default()
        };
        let log: Arc<dyn DeliveryLog> = PostgresLog::open(options, self.rig.clock.clone()).await?;
        Replica::start_over(&self.rig, log, STREAM_AGE).await
    }

    /// Callbacks that come in at a replica.
    async fn report(&self, at: &Replica, ids: std::ops::Range<usize>) -> Result<(), Failure> {
        let callbacks = ids
            .map(|n| {
                callback(
                    &self.group,
                    &format!("d-{n}"),
                    format!("{{\"n\":{n}}}").as_bytes(),
                )
            })
            .collect();
        Reporting::connect_to(&at.proxy.url(), "", "1")
            .await?
            .batch(callbacks)
            .await?;
        Ok(())
    }
}

fn id(lease: &v1::SubscribeResponse) -> String {
    lease
        .event
        .as_ref()
        .map(|event| event.delivery_id.clone())
        .unwrap_or_default()
}

// Leases live in the log, so any replica serves any subscriber; and those of a replica that dies come back.
#[tokio::test]
async fn a_subscriber_whose_replica_dies_gets_the_rest_from_another() -> Result<(), Failure> {
    const COUNT: usize = 10;
    const HELD: usize = 4;
    let two = Two::start().await?;
    let (a, b) = (two.replica().await?, two.replica().await?);
    let mut subscriber =
        Subscriber::start_at(&a.proxy.url(), "code/all", HELD as u32, LEASE_SECONDS).await?;
    // It waits at one, and they come in at the other.
    two.report(&b, 0..COUNT).await?;
    let mut delivered = BTreeMap::new();
    let first = subscriber.next().await?;
    delivered.insert(id(&first), delivery(&first).attempts);
    subscriber.ack(&first).await?;
    let mut held = Vec::new();
    for _ in 0..HELD {
        held.push(id(&subscriber.next().await?));
    }
    drop(a);
    let mut subscriber = Subscriber::start_at(&b.proxy.url(), "code/all", 1, 60).await?;
    while delivered.len() < COUNT {
        let lease = subscriber.next().await?;
        let again = delivered.insert(id(&lease), delivery(&lease).attempts);
        assert_eq!(
            again,
            None,
            "delivered once, since nothing was slow: {}",
            id(&lease)
        );
        subscriber.ack(&lease).await?;
    }
    for (id, attempts) in &delivered {
        let expected = if held.contains(id) { 2 } else { 1 };
        assert_eq!(
            *attempts, expected,
            "{id}: a lease that ran out is an attempt"
        );
    }
    Ok(())
}

// And those of a stream that ends with its replica alive are given back, and leased elsewhere at once, uncounted.
#[tokio::test]
async fn a_stream_that_ends_gives_its_leases_to_another_replicas_subscriber() -> Result<(), Failure>
{
    let two = Two::start().await?;
    let (a, b) = (two.replica().await?, two.replica().await?);
    two.report(&b, 0..3).await?;
    let mut first = Subscriber::start_at(&a.proxy.url(), "code/all", 3, 600).await?;
    for _ in 0..3 {
        first.next().await?;
    }
    let mut second = Subscriber::start_at(&b.proxy.url(), "code/all", 3, 600).await?;
    drop(first);
    for _ in 0..3 {
        let lease = second.next().await?;
        assert_eq!(delivery(&lease).attempts, 1);
        second.ack(&lease).await?;
    }
    Ok(())
}

// What was answered at one replica is in a tail at the other that begins after it, to its end.
#[tokio::test]
async fn a_tail_to_the_newest_has_what_another_replica_answered_before() -> Result<(), Failure> {
    let two = Two::start().await?;
    let (a, b) = (two.replica().await?, two.replica().await?);
    for n in 0..10 {
        two.report(&b, n..n + 1).await?;
        let request = v1::TailRequest {
            parent: "orgs/acme/groups/code/webhooks/all".to_owned(),
            from_start: true,
            no_follow: true,
            ..Default::default()
        };
        let mut tail = EventServiceClient::new(api(&a.proxy.url()))
            .tail(request)
            .await?
            .into_inner();
        let mut lines = 0;
        while soon(tail.message()).await??.is_some() {
            lines += 1;
        }
        assert_eq!(lines, n + 1);
    }
    Ok(())
}

// Risk 10, with two replicas: attempts add up wherever they are made, and the dead letter is seen and replayed at either.
#[tokio::test]
async fn attempts_at_two_replicas_end_in_a_dead_letter_seen_at_both() -> Result<(), Failure> {
    let two = Two::start().await?;
    let replicas = [two.replica().await?, two.replica().await?];
    two.report(&replicas[0], 0..1).await?;
    for attempt in 1..=ATTEMPTS {
        let at = &replicas[attempt as usize % 2];
        let mut subscriber = Subscriber::start_at(&at.proxy.url(), "code/all", 1, 60).await?;
        let lease = subscriber.next().await?;
        assert_eq!(delivery(&lease).attempts, attempt);
        subscriber.nack(&lease, |_| {}).await?;
        // Before its stream ends, which gives back what it holds.
        let name = format!("deliveries/{}", delivery(&lease).id);
        let mut events = EventServiceClient::new(api(&at.proxy.url()));
        eventually(async || {
            let request = v1::GetDeliveryRequest { name: name.clone() };
            let now = events.get_delivery(request).await?.into_inner();
            // It may have it again by then.
            let ended = now.status() != v1::DeliveryStatus::Leased || now.attempts > attempt;
            Ok(ended.then_some(()))
        })
        .await?;
    }
    for at in &replicas {
        let mut events = EventServiceClient::new(api(&at.proxy.url()));
        let dead = eventually(async || {
            let request = v1::ListDeliveriesRequest {
                parent: "orgs/acme/groups/code/webhooks/all".to_owned(),
                status: v1::DeliveryStatus::Dead.into(),
                ..Default::default()
            };
            let listed = events.list_deliveries(request).await?.into_inner();
            Ok(listed.deliveries.into_iter().next())
        })
        .await?;
        assert_eq!(dead.attempts, ATTEMPTS);
    }
    Ok(())
}
