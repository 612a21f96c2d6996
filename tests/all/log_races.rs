//! Two replicas over one database of PostgreSQL that are at the same rows at the same moment.

use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::postgres::PostgresLog;
use hookplane_control_plane::log::{
    DeliveryLog, NewDelivery, Queue, Retention, Selection, Settlement,
};
use hookplane_proto::v1::DeliveryStatus;
use hookplane_tests::log_suite::{callback, keep};
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls};

use crate::fake_control_plane::{PATIENCE, eventually};
use crate::log_replicas::{MINUTE, lease_one, settle, two};

/// As another replica that hasn't committed yet.
async fn other(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
    tokio::spawn(connection);
    let path = "SET search_path = hookplane, pg_catalog";
    client.batch_execute(path).await.expect("sets");
    client
}

async fn ids(log: &PostgresLog) -> Vec<String> {
    let events = log.events(&Selection::default(), None, 100).await;
    let events = events.expect("reads").into_iter();
    events.map(|(_, event)| event.id).collect()
}

fn to(webhook: &str) -> NewDelivery {
    NewDelivery {
        webhook_uid: webhook.into(),
        webhook: webhook.into(),
        destination: "crm".into(),
        idempotency_key: webhook.into(),
        ..NewDelivery::default()
    }
}

// Risk 5: what is put back, or has a delivery added, while retention looks at it stays, and retention waits for nobody. Take the locks, or the second look,
// out of `retain` and what is pending goes; take `SKIP LOCKED` out and it waits for as long as the other one does.
#[tokio::test]
async fn what_is_put_back_or_added_to_at_that_moment_stays() {
    let (log, _, url) = two().await;
    for id in ["back", "added", "goes"] {
        keep(&*log, id).await;
        let lease = lease_one(&log, MINUTE).await;
        assert!(settle(&log, &lease, Settlement::Ack).await);
    }
    let other = other(&url).await;
    let all = Retention::of_age("g", Duration::ZERO);
    let aged = "UPDATE events SET kept = kept - 1000";
    other.batch_execute(aged).await.expect("ages");
    other
        .batch_execute(
            "BEGIN; UPDATE deliveries SET status = 1 WHERE event_id = 'back';
             SELECT add_deliveries_v1('added', '{x}', '{x}', '{crm}', '{\"\"}', '{0}', '{0}', '{1}', '{\"\"}', '{x}')",
        )
        .await
        .expect("is under way");
    assert_eq!(log.retain(&all).await, Ok(1));
    other.batch_execute("COMMIT").await.expect("commits");
    assert_eq!(log.retain(&all).await, Ok(0));
    assert_eq!(ids(&log).await, ["added", "back"]);
    let back = log.delivery("back-1").await.expect("there");
    assert_eq!(back.status(), DeliveryStatus::Pending);
    let added = log.delivery("added-2").await.expect("there");
    assert_eq!(added.status(), DeliveryStatus::Pending);
}

// And the other way round: retention has looked, and its commit is on its way. Take the lock of the event out of `add_deliveries_v1` and a delivery is made of
// an event that goes.
#[tokio::test]
async fn nothing_is_added_to_an_event_that_goes() {
    let (log, _, url) = two().await;
    keep(&*log, "goes").await;
    let other = other(&url).await;
    other
        .batch_execute(
            "BEGIN; SELECT FROM events WHERE id = 'goes' FOR UPDATE; DELETE FROM deliveries WHERE event_id = 'goes';
             DELETE FROM events WHERE id = 'goes'",
        )
        .await
        .expect("is under way");
    let adding = {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.add_deliveries("goes", vec![to("x")]).await })
    };
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    eventually(async || {
        let waits: i64 = other.query_one(waits, &[]).await?.get(0);
        Ok((waits > 0 || adding.is_finished()).then_some(()))
    })
    .await
    .expect("it gets there");
    other.batch_execute("COMMIT").await.expect("commits");
    let added = adding.await.expect("no panic");
    assert!(added.is_err(), "{added:?}");
    let left = "SELECT count(*) FROM deliveries";
    let left = other.query_one(left, &[]).await.expect("reads");
    assert_eq!(left.get::<_, i64>(0), 0);
}

// Risk 6, of replays: whoever makes deliveries of an event a second time makes none, at the same moment too, and two that make different ones both do.
// Take the lock of the event out of `add_deliveries_v1` and one of them fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_add_to_an_event_at_once_make_each_delivery_once() {
    const EVENTS: usize = 20;
    let (a, b, _) = two().await;
    for n in 0..EVENTS {
        let mut new = callback(&format!("e{n}"), None, None, 0);
        new.events[0].deliveries.clear();
        let kept = a.append(new, Instant::now() + PATIENCE).await;
        kept.expect("is kept");
    }
    let adds = [(&a, "x"), (&b, "x"), (&a, "y"), (&b, "y")].map(|(log, webhook)| {
        let log = Arc::clone(log);
        tokio::spawn(async move {
            let mut made = 0;
            for n in 0..EVENTS {
                let new = vec![to(webhook), to("both")];
                let added = log.add_deliveries(&format!("e{n}"), new).await;
                made += added.expect("adds");
            }
            made
        })
    });
    let mut made = 0;
    for add in adds {
        made += add.await.expect("no panic");
    }
    assert_eq!(made as usize, 3 * EVENTS);
    for webhook in ["x", "y", "both"] {
        let queue = Queue {
            webhook_uid: webhook.into(),
            destination: "crm".into(),
        };
        let leases = b.lease(&queue, 100, MINUTE).await.expect("leases");
        assert_eq!(leases.len(), EVENTS, "{webhook}");
    }
}
