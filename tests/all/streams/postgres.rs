//! Two control planes over one store and one database of PostgreSQL, each with a log of its own: any of them serves any subscriber.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::postgres::PostgresOptions;
use hookplane_control_plane::log::{DeliveryLog, Queue, Settlement};
use hookplane_control_plane::server::STREAM_AGE;
use hookplane_proto::v1;
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::backends::{InPostgres, open_postgres};
use v1::event_service_client::EventServiceClient;

use super::replicas::Replica;
use super::report::{Reporting, callback};
use super::rig::{ATTEMPTS, Rig, api, uid};
use super::subscribe::{Subscriber, delivery};
use crate::fake_control_plane::{Failure, eventually, soon};

/// Of the leases whose replica dies: they run out, they are not given back. Not before it dies.
const LEASE_SECONDS: u32 = 4;

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
        let log: Arc<dyn DeliveryLog> = open_postgres(options, self.rig.clock.clone()).await?;
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

// The line is whole up to a transaction that somebody else has open, and what was answered meanwhile lies beyond it: begin there and show all
// that comes, and a tail begins with what was before it; begin beyond it, and it never has what that transaction keeps.
#[tokio::test]
async fn a_tail_begins_with_its_answer_while_a_transaction_is_open() -> Result<(), Failure> {
    // Of the test's own: an open transaction is in everybody's way.
    let postgres = Postgres::start_alone(&["fsync = off"]);
    let options = PostgresOptions {
        url: postgres.database("open"),
        accept_weaker_durability: true,
        ..PostgresOptions::default()
    };
    let log = open_postgres(options.clone(), Arc::default()).await?;
    let behind = log.clone();
    let rig = Rig::start_with(move |_| behind).await?;
    let group = rig.group("code", |_| {}).await?;
    let webhook = rig.webhook("code", "all", "").await?;
    let mut stream = Reporting::connect(&rig, "").await?;

    let (client, connection) = tokio_postgres::connect(&options.url, tokio_postgres::NoTls).await?;
    let driver = tokio::spawn(connection);
    client
        .batch_execute("BEGIN; SET search_path = hookplane; SELECT line_place()")
        .await?;
    stream.report(callback(&group, "before", b"{}")).await?;
    let minute = Duration::from_secs(60);
    let mut leases = log
        .lease(&Queue::of_subscribers(uid(&webhook.metadata)), 1, minute)
        .await?;
    let lease = leases.pop().ok_or("it is due")?;

    let request = v1::TailRequest {
        parent: "orgs/acme/groups/code/webhooks/all".to_owned(),
        changes: true,
        ..Default::default()
    };
    let mut tail = rig.events().tail(request).await?.into_inner();
    stream.report(callback(&group, "after", b"{}")).await?;
    let settled = log
        .settle(vec![(lease.token, Settlement::Ack).into()])
        .await?;
    assert_eq!(settled, [true]);
    client
        .batch_execute(
            "INSERT INTO events SELECT group_uid, 'late', line_place(), org, group_name, type, received, kept, 1, flags, duplicate_of, record
                 FROM events WHERE seq = (SELECT min(seq) FROM events);
             INSERT INTO deliveries SELECT group_uid, 'late', n, line_place() + 1, org, webhook_uid, webhook, 1, 0, due, 0, created, updated,
                 reason, 'late' FROM deliveries WHERE seq = (SELECT min(seq) FROM deliveries);
             COMMIT",
        )
        .await?;
    let mut shown = Vec::new();
    while shown.len() < 3 {
        let line = soon(tail.message()).await??.ok_or("the tail ended")?;
        let delivery = line.delivery.unwrap_or_default();
        let name = match &*delivery.event_id {
            "late" => "late".to_owned(),
            _ => line.event.unwrap_or_default().delivery_id,
        };
        shown.push((name, delivery.status()));
    }
    use v1::DeliveryStatus::{Delivered, Pending};
    let expected = [("late", Pending), ("after", Pending), ("before", Delivered)];
    assert_eq!(
        shown,
        expected.map(|(name, status)| (name.to_owned(), status))
    );
    driver.abort();
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
