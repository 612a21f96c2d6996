//! Two logs over one database of PostgreSQL: what one replica does is true for the other, whatever becomes of either.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{
    Cursor, DeliveryLog, Lease, LogError, Queue, Retention, Selection, Settle, Settlement, TailItem,
};
use hookplane_proto::v1::DeliveryStatus;
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::backends::{InPostgres, open_postgres};
use hookplane_tests::log_suite::{callback, keep, numbered, tail_until};
use tokio::time::Instant;

use crate::fake_control_plane::{PATIENCE, eventually};

const ATTEMPTS: u32 = 3;
const MINUTE: Duration = Duration::from_secs(60);

/// One replica's.
async fn open(url: &str) -> Arc<PostgresLog> {
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
async fn two() -> (Arc<PostgresLog>, Arc<PostgresLog>, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let url = InPostgres::shared().url(dir.path());
    (open(&url).await, open(&url).await, url)
}

/// Waits as a subscriber does.
async fn lease_one(log: &PostgresLog, duration: Duration) -> Lease {
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

async fn settle(log: &PostgresLog, lease: &Lease, settlement: Settlement) -> bool {
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

/// Subscribers at A hear of this many appends at B, one after the other.
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

/// A server of the test's own: what is open or broken there is in nobody's way.
fn server(settings: &[&str]) -> Postgres {
    let mut all = vec!["fsync = off"];
    all.extend(settings);
    Postgres::start_alone(&all)
}

/// The ids of deliveries, in order.
fn ids(lines: &[TailItem]) -> Vec<&str> {
    let deliveries = lines.iter().filter_map(|line| line.delivery.as_ref());
    deliveries.map(|delivery| &*delivery.event_id).collect()
}

// Risk 13, of the tail: transactions end in another order than they took their numbers. Let the line go to `pg_snapshot_xmax` and the
// one that commits late is passed by for good.
#[tokio::test]
async fn the_tail_never_passes_by_what_commits_late() {
    let postgres = server(&[]);
    let url = postgres.database("late");
    let (a, b) = (open(&url).await, open(&url).await);
    keep(&*a, "before").await;
    let (_, after) = tail_until(&*a, |line| line.event.id == "before").await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let driver = tokio::spawn(connection);
    // As an append that takes its number and is slow to commit.
    client
        .batch_execute(
            "BEGIN; SET search_path = hookplane;
             INSERT INTO events SELECT group_uid, 'late', line_place(), org, group_name, type, received, kept, deliveries, flags, duplicate_of, record
                 FROM events WHERE id = 'before';
             INSERT INTO deliveries SELECT group_uid, 'late', n, line_place() + 1, org, webhook_uid, webhook, status, attempts, due, lease, created,
                 updated, reason, 'late' FROM deliveries WHERE event_id = 'before'",
        )
        .await
        .expect("is open");
    for id in ["after-1", "after-2"] {
        keep(&*b, id).await;
    }
    let any = Selection::default();
    // Whoever asks for work need not wait for it.
    assert_eq!(lease_one(&b, MINUTE).await.event.id, "before");
    assert_eq!(lease_one(&a, MINUTE).await.event.id, "after-1");
    let (lines, next) = a.tail(&any, after, false, 100).await.expect("reads");
    assert_eq!(
        ids(&lines),
        Vec::<&str>::new(),
        "it would pass by the late one"
    );
    client.batch_execute("COMMIT").await.expect("commits");
    let deadline = Instant::now() + PATIENCE;
    let mut newest = a.newest();
    let (mut seen, mut at) = (Vec::new(), next);
    while seen.len() < 3 {
        let (lines, next) = a.tail(&any, at, false, 100).await.expect("reads");
        seen.extend(ids(&lines).into_iter().map(str::to_owned));
        if next == at {
            let changed = tokio::time::timeout_at(deadline, newest.changed()).await;
            changed.expect("comes").expect("open");
        }
        at = next;
    }
    assert_eq!(seen, ["late", "after-1", "after-2"]);
    driver.abort();
}

/// What the tail has behind `after`, once it has that event.
async fn goes_on(log: &PostgresLog, after: Cursor, until: &str) -> Vec<String> {
    let any = Selection::default();
    let deadline = Instant::now() + PATIENCE;
    let mut newest = log.newest();
    loop {
        // It may not be up again.
        if let Ok((lines, _)) = log.tail(&any, after, false, 1000).await {
            let ids: Vec<_> = ids(&lines).into_iter().map(str::to_owned).collect();
            if ids.iter().any(|id| id == until) {
                return ids;
            }
        }
        tokio::time::timeout_at(deadline, newest.changed())
            .await
            .expect("comes after what was read")
            .expect("open");
    }
}

/// Until it takes what is kept again.
async fn keep_again(log: &PostgresLog, id: &str) {
    let append = async || {
        let new = callback(id, None, None, 0);
        Ok(log.append(new, Instant::now() + PATIENCE).await.ok())
    };
    eventually(append).await.expect("it takes them again");
}

// Risk 13, of the tail: after a crash PostgreSQL gives out numbers again that were taken and left no trace. Make the table `line` a logged one
// and what comes then is numbered below what readers have passed.
#[tokio::test]
async fn the_tail_goes_on_after_a_crash_that_takes_numbers_back() {
    let mut postgres = server(&["wal_writer_delay = 10s"]);
    let url = postgres.database("crash");
    let log = open(&url).await;
    keep(&*log, "before").await;
    // Numbers that leave no trace.
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let driver = tokio::spawn(connection);
    for _ in 0..200 {
        client
            .batch_execute("BEGIN; SELECT pg_current_xact_id(); ROLLBACK")
            .await
            .expect("takes a number");
    }
    // Whoever reads is beyond them.
    let mut newest = log.newest();
    newest.borrow_and_update();
    keep_lease(&log).await;
    let (_, after) = tail_until(&*log, |line| line.change).await;
    driver.abort();
    postgres.kill(0);
    postgres.restart(0);
    keep_again(&log, "after").await;
    assert_eq!(goes_on(&log, after, "after").await, ["after"]);
    // And so for one that opens it only then.
    let other = open(&url).await;
    keep(&*other, "later").await;
    assert_eq!(goes_on(&other, after, "later").await, ["after", "later"]);
}

/// Something that is not synced, and is on the line.
async fn keep_lease(log: &PostgresLog) {
    lease_one(log, MINUTE).await;
}

// Risk 26, of the log: moved to a new server by PostgreSQL's own tools and no other command, which numbers its transactions from the start. Take
// `continue_beyond` out of `open` and what comes then lies before all that was there.
#[tokio::test]
async fn the_tail_goes_on_after_a_restore_on_a_new_server() {
    let old = server(&[]);
    let url = old.database("moved");
    let log = open(&url).await;
    for _ in 0..3 {
        old.sql("moved", "DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$");
    }
    for n in 0..8 {
        let deadline = Instant::now() + PATIENCE;
        log.append(numbered("e", n, 10), deadline)
            .await
            .expect("kept");
    }
    let lease = lease_one(&log, MINUTE).await;
    let (_, after) = tail_until(&*log, |line| line.change).await;
    log.close().await;
    let new = server(&[]);
    let to = new.database("moved");
    let dumped = std::process::Command::new("bash")
        .args([
            "-c",
            "set -o pipefail; pg_dump -d \"$1\" | psql -X -q -v ON_ERROR_STOP=1 -d \"$2\"",
            "-",
            &old.node_url(0, "moved"),
            &new.node_url(0, "moved"),
        ])
        .output()
        .expect("runs");
    assert!(
        dumped.status.success(),
        "{}",
        String::from_utf8_lossy(&dumped.stderr)
    );
    let log = open(&to).await;
    keep(&*log, "after").await;
    assert_eq!(goes_on(&log, after, "after").await, ["after"]);
    // A token of before is as good as it was.
    assert!(settle(&log, &lease, Settlement::Ack).await);
    let repeated = log.append(numbered("e", 3, 10), Instant::now() + PATIENCE);
    repeated.await.expect("our own resend");
    let all = log
        .events(&Selection::default(), None, 100)
        .await
        .expect("reads");
    assert_eq!(all.len(), 8 + 2 * 2 + 1, "nothing is kept twice");
    assert_eq!(all[0].1.id, "after", "the newest");
}
