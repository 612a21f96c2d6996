//! Two logs over one database of PostgreSQL: what one replica does is true for the other, whatever becomes of either.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{
    DeliveryLog, Lease, LogError, Queue, Retention, Settle, Settlement, TailItem,
};
use hookplane_proto::v1::DeliveryStatus;
use hookplane_tests::log_suite::backends::{InPostgres, open_postgres};
use hookplane_tests::log_suite::{callback, keep, tail_until};
use tokio::time::Instant;

use crate::fake_control_plane::{PATIENCE, eventually};

const ATTEMPTS: u32 = 3;
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// One replica's.
pub(super) async fn open(url: &str) -> Arc<PostgresLog> {
    let options = PostgresOptions {
        url: url.to_owned(),
        accept_weaker_durability: true,
        max_attempts: ATTEMPTS,
        first_back_off: Duration::from_millis(1),
        longest_back_off: Duration::from_millis(1),
        ..PostgresOptions::default()
    };
    let opened = open_postgres(options, Arc::default()).await;
    opened.unwrap_or_else(|error| panic!("opens: {error}"))
}

/// Two replicas over a database of their own.
pub(super) async fn two() -> (Arc<PostgresLog>, Arc<PostgresLog>, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let url = InPostgres::shared().url(dir.path());
    (open(&url).await, open(&url).await, url)
}

/// Waits as a subscriber does.
pub(super) async fn lease_one(log: &PostgresLog, duration: Duration) -> Lease {
    let deadline = Instant::now() + PATIENCE;
    let mut newest = log.newest();
    loop {
        if let Some(lease) = log
            .lease(&Queue::of_subscribers("w"), 1, duration)
            .await
            .expect("leases")
            .pop()
        {
            return lease;
        }
        tokio::time::timeout_at(deadline, newest.changed())
            .await
            .expect("due in time")
            .expect("open");
    }
}

pub(super) async fn settle(log: &PostgresLog, lease: &Lease, settlement: Settlement) -> bool {
    let settled = log
        .settle(vec![(lease.token.clone(), settlement).into()])
        .await;
    settled.expect("settles") == [true]
}

fn nack() -> Settlement {
    Settlement::Nack {
        delay: None,
        reason: "not today".into(),
        give_up: false,
    }
}

#[tokio::test]
async fn what_one_replica_leases_another_settles() {
    let (a, b, _) = two().await;
    keep(&*a, "e").await;
    let lease = lease_one(&a, MINUTE).await;
    assert!(
        b.lease(&Queue::of_subscribers("w"), 10, MINUTE)
            .await
            .expect("leases")
            .is_empty()
    );
    assert!(settle(&b, &lease, Settlement::Extend(MINUTE)).await);
    assert!(settle(&b, &lease, Settlement::Ack).await);
    assert!(
        !settle(&a, &lease, Settlement::Ack).await,
        "settled already"
    );
    let delivery = a.delivery(&lease.delivery.id).await.expect("there");
    assert_eq!(delivery.status(), DeliveryStatus::Delivered);
    assert_eq!((a.stats().acked, b.stats().acked), (0, 1));
}

// No election and no sweeper: whoever asks for work finds what a dead replica had.
#[tokio::test]
async fn leases_of_a_replica_that_died_come_back_and_count() {
    let (a, b, _) = two().await;
    for id in ["one", "two"] {
        keep(&*a, id).await;
    }
    let held = a
        .lease(&Queue::of_subscribers("w"), 2, Duration::from_secs(2))
        .await;
    assert_eq!(held.expect("leases").len(), 2);
    // Killed: it gives nothing back.
    drop(a);
    let mut back = BTreeSet::new();
    for _ in 0..2 {
        let lease = lease_one(&b, MINUTE).await;
        assert_eq!(lease.delivery.attempts, 2);
        back.insert(lease.event.id);
    }
    assert_eq!(back, ["one", "two"].map(String::from).into());
    assert_eq!(b.stats().expired, 2);
}

// Take out `FOR UPDATE SKIP LOCKED` and some are handed out twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_lease_at_once_never_hand_out_a_delivery_twice() {
    const COUNT: usize = 400;
    let (a, b, _) = two().await;
    let keeps = (0..COUNT).map(|n| {
        let a = a.clone();
        tokio::spawn(async move { keep(&*a, &format!("e{n}")).await })
    });
    for kept in keeps.collect::<Vec<_>>() {
        kept.await.expect("kept");
    }
    let takers = [&a, &b, &a, &b, &a, &b].map(|log| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let leases = log
                    .lease(&Queue::of_subscribers("w"), 7, MINUTE)
                    .await
                    .expect("leases");
                if leases.is_empty() {
                    return taken;
                }
                taken.extend(leases);
            }
        })
    });
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.expect("takes"));
    }
    assert!(taken.iter().all(|lease| lease.delivery.attempts == 1));
    let ids: BTreeSet<_> = taken.iter().map(|lease| &lease.delivery.id).collect();
    assert_eq!((taken.len(), ids.len()), (COUNT, COUNT));
}

// Risk 10, with two replicas: whichever saw the attempts, they add up and end.
#[tokio::test]
async fn attempts_at_two_replicas_end_in_one_dead_letter() {
    let (a, b, _) = two().await;
    keep(&*a, "e").await;
    let first = lease_one(&a, MINUTE).await;
    assert!(settle(&a, &first, nack()).await);
    // This one runs out.
    let second = lease_one(&b, Duration::from_millis(1)).await;
    let third = lease_one(&a, MINUTE).await;
    let attempts = [&first, &second, &third].map(|lease| lease.delivery.attempts);
    assert_eq!(attempts, [1, 2, 3]);
    assert!(!settle(&b, &second, nack()).await, "stale");
    assert!(settle(&b, &third, nack()).await);
    for log in [&a, &b] {
        let dead = log.delivery("e-1").await.expect("there");
        assert_eq!(dead.status(), DeliveryStatus::Dead);
        assert_eq!(
            (dead.attempts, dead.reason.as_str()),
            (ATTEMPTS, "not today")
        );
    }
    assert_eq!(b.replay(&["e-1".to_owned().into()]).await, Ok(1));
    let again = lease_one(&a, MINUTE).await;
    assert_eq!(again.delivery.attempts, 1);
    assert!(
        settle(&b, &second, Settlement::Ack).await,
        "a stale ack settles"
    );
    assert!(!settle(&a, &again, nack()).await);
}

// Risk 10: leases that nobody looks after end as well, and the last of them in a dead letter.
#[tokio::test]
async fn a_lease_that_runs_out_is_seen_without_anybody_asking_for_work() {
    let (a, b, _) = two().await;
    keep(&*a, "e").await;
    for attempt in 1..=ATTEMPTS {
        let lease = lease_one(&a, Duration::from_millis(1)).await;
        assert_eq!(lease.delivery.attempts, attempt);
    }
    drop(a);
    let dead = |line: &TailItem| {
        let status = line.delivery.as_ref().map(|delivery| delivery.status());
        line.change && status == Some(DeliveryStatus::Dead)
    };
    let (lines, _) = tail_until(&*b, dead).await;
    let changes = lines.iter().filter(|line| line.change);
    let statuses: Vec<_> = changes
        .filter_map(|line| line.delivery.as_ref())
        .map(|delivery| (delivery.status(), delivery.attempts))
        .collect();
    use DeliveryStatus::{Dead, Leased, Pending};
    assert_eq!(
        statuses,
        [
            (Leased, 1),
            (Pending, 1),
            (Leased, 2),
            (Pending, 2),
            (Leased, 3),
            (Dead, 3)
        ]
    );
}

// Else two replicas that settle the same in opposite order wait for each other, until PostgreSQL ends one: take `ORDER BY` out of the
// statement and the last of the batch is locked while it waits for the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_takes_its_rows_in_the_order_of_their_keys() {
    let (a, _b, url) = two().await;
    // As they lie in the table, and as they are settled, the last comes first.
    for id in ["e3", "e2", "e1"] {
        keep(&*a, id).await;
    }
    let leases = a
        .lease(&Queue::of_subscribers("w"), 3, MINUTE)
        .await
        .expect("leases");
    let leases = leases.into_iter();
    let back: Vec<Settle> = leases
        .map(|lease| (lease.token, Settlement::Ack).into())
        .collect();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let driver = tokio::spawn(connection);
    let lock = |id: &str| {
        format!("SELECT n FROM hookplane.deliveries WHERE event_id = '{id}' FOR UPDATE NOWAIT")
    };
    client
        .batch_execute(&format!("BEGIN; {}", lock("e1")))
        .await
        .expect("locks");
    let settle = || {
        let (a, back) = (a.clone(), back.clone());
        tokio::spawn(async move { a.settle(back).await })
    };
    let mut settling = settle();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    eventually(async || {
        // On a busy machine it may have waited for as long as it does for a lock, and nobody looked.
        if settling.is_finished() {
            settling = settle();
        }
        let waits: i64 = client.query_one(waits, &[]).await?.get(0);
        Ok((waits > 0).then_some(()))
    })
    .await
    .expect("it waits");
    client
        .batch_execute(&lock("e3"))
        .await
        .expect("nobody has it");
    client.batch_execute("COMMIT").await.expect("commits");
    // Or it waits for long enough only now.
    match settling.await.expect("ends") {
        Ok(settled) => assert_eq!(settled, [true; 3]),
        Err(error) => assert!(matches!(error, LogError::Unavailable(_)), "{error}"),
    }
    driver.abort();
}

#[tokio::test]
async fn what_is_said_twice_of_a_delivery_in_one_batch_is_taken_in_turn() {
    let (a, _b, _) = two().await;
    keep(&*a, "e").await;
    let token = lease_one(&a, MINUTE).await.token;
    let settled = a
        .settle(vec![
            (token.clone(), Settlement::Extend(MINUTE)).into(),
            (token.clone(), nack()).into(),
            (token.clone(), nack()).into(),
            (token, Settlement::Ack).into(),
        ])
        .await;
    assert_eq!(settled, Ok(vec![true, true, false, true]));
}

// What is counted of a group is what there is of it, and what can be found, also where one replica indexes while another deletes. Take the lock out of
// either and they drift apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_add_up_while_one_indexes_and_another_deletes() {
    const EVENTS: usize = 200;
    let (a, b, url) = two().await;
    let retention = Retention::of_age("g", Duration::ZERO);
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    {
        let (a, over) = (a.clone(), over.clone());
        tasks.spawn(async move {
            for number in 0..EVENTS {
                let mut new = callback(&format!("e{number}"), None, None, 0);
                // Every other one stays, since nobody takes it.
                if number % 2 == 0 {
                    new.events[0].deliveries.clear();
                }
                let kept = a.append(new, Instant::now() + PATIENCE).await;
                kept.expect("is kept");
            }
            over.store(true, Ordering::Relaxed);
        });
    }
    for log in [a.clone(), b.clone()] {
        let over = over.clone();
        tasks.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                log.index().await.expect("indexes");
            }
        });
    }
    {
        let (b, over, retention) = (b.clone(), over.clone(), retention.clone());
        tasks.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                b.retain(&retention).await.expect("deletes");
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("doesn't panic");
    }
    while b.retain(&retention).await.expect("deletes") > 0 {}
    while a.index().await.expect("indexes") {}
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let driver = tokio::spawn(connection);
    let there = "SELECT (SELECT count(*) FROM hookplane.events), (SELECT sum(octet_length(record)) FROM hookplane.events)::bigint,
        (SELECT count(*) FROM hookplane.texts)";
    let there = client.query_one(there, &[]).await.expect("reads");
    let usage = a.usage().await.expect("reads").remove(0);
    assert_eq!(usage.events, EVENTS as u64 / 2);
    assert_eq!(there.get::<_, i64>(0).unsigned_abs(), usage.events);
    assert_eq!(there.get::<_, i64>(1).unsigned_abs(), usage.bytes);
    assert_eq!(there.get::<_, i64>(2).unsigned_abs(), usage.events);
    drop(client);
    driver.await.expect("ends").expect("well");
    a.close().await;
    b.close().await;
}

/// Subscribers at A hear of these appends at B, one after the other.
async fn hears(a: &PostgresLog, b: &PostgresLog, ids: &[&str]) {
    for id in ids {
        let (lease, ()) = tokio::join!(lease_one(a, MINUTE), keep(b, id));
        assert_eq!(lease.event.id, *id);
        assert!(settle(a, &lease, Settlement::Ack).await);
    }
}

// Any replica serves any subscriber, whichever took the callback in.
#[tokio::test]
async fn a_subscriber_hears_what_another_replica_keeps() {
    let (a, b, url) = two().await;
    // Somebody else who listens hears it too: it isn't only the look every two seconds.
    let (client, mut connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let (heard, mut told) = tokio::sync::mpsc::unbounded_channel();
    let driver = tokio::spawn(async move {
        while let Some(Ok(message)) =
            std::future::poll_fn(|context| connection.poll_message(context)).await
        {
            if let tokio_postgres::AsyncMessage::Notification(_) = message
                && heard.send(()).is_err()
            {
                return;
            }
        }
    });
    client
        .batch_execute("LISTEN hookplane")
        .await
        .expect("listens");
    hears(&a, &b, &["one", "two", "three"]).await;
    let told = tokio::time::timeout(PATIENCE, told.recv()).await;
    assert_eq!(told, Ok(Some(())));
    driver.abort();
}

// A notification that is lost costs time, and nothing else; and so does the connection that hears them.
#[tokio::test]
async fn a_replica_whose_ear_is_cut_off_hears_again() {
    let (a, b, url) = two().await;
    hears(&a, &b, &["one"]).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let driver = tokio::spawn(connection);
    let cut = client
        .query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%pg_snapshot_xmin%'",
            &[],
        )
        .await
        .expect("cuts");
    assert!(!cut.is_empty());
    hears(&a, &b, &["two", "three"]).await;
    hears(&b, &a, &["four"]).await;
    driver.abort();
}
