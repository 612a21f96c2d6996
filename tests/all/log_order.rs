//! Order keys, with several logs over one database of PostgreSQL: what has one key goes one after the other, whoever leases and settles it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{DeliveryLog, Lease, Queue, Settlement};
use hookplane_tests::log_suite::backends::{InPostgres, open_postgres};
use hookplane_tests::log_suite::callback;
use tokio::time::{Instant, timeout};

use crate::fake_control_plane::{PATIENCE, eventually};

const KEYS: usize = 5;
const EACH: usize = 12;
const REPLICAS: usize = 3;
const MINUTE: Duration = Duration::from_secs(60);

async fn open(url: &str) -> Arc<PostgresLog> {
    let options = PostgresOptions {
        url: url.to_owned(),
        accept_weaker_durability: true,
        ..PostgresOptions::default()
    };
    let opened = open_postgres(options, Arc::default()).await;
    opened.unwrap_or_else(|error| panic!("opens: {error}"))
}

fn database() -> String {
    let dir = tempfile::tempdir().expect("a directory");
    InPostgres::shared().url(dir.path())
}

fn queue() -> Queue {
    Queue {
        webhook_uid: "w".into(),
        destination: "crm".into(),
    }
}

async fn append(log: &PostgresLog, id: &str, key: &str) {
    let mut new = callback(id, None, None, 0);
    let delivery = &mut new.events[0].deliveries[0];
    delivery.destination = "crm".into();
    delivery.order_key = key.into();
    let kept = log.append(new, Instant::now() + PATIENCE).await;
    kept.expect("is kept");
}

async fn lease(log: &PostgresLog, max: usize) -> Vec<Lease> {
    log.lease(&queue(), max, MINUTE).await.expect("leases")
}

async fn settle(log: &PostgresLog, lease: &Lease, settlement: Settlement) {
    let settled = log
        .settle(vec![(lease.token.clone(), settlement).into()])
        .await;
    assert_eq!(settled, Ok(vec![true]));
}

/// What is seen of one key.
#[derive(Default)]
struct Seen {
    in_flight: Option<String>,
    done: Vec<String>,
}

// Two replicas that lease at once, or of which one settles what the other's wait for. Take `turn = 0` out of the lease and several of a key are in
// flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_lease_at_once_keep_the_order_of_each_key() {
    let url = database();
    let mut logs = Vec::new();
    for _ in 0..REPLICAS {
        logs.push(open(&url).await);
    }
    let seen = Arc::<Mutex<HashMap<String, Seen>>>::default();
    let mut tasks = tokio::task::JoinSet::new();
    // They come while they are delivered, each key's one after the other.
    for key in 0..KEYS {
        let logs = logs.clone();
        tasks.spawn(async move {
            for number in 0..EACH {
                let log = &logs[(key + number) % REPLICAS];
                append(log, &format!("{key}-{number:02}"), &format!("key {key}")).await;
            }
        });
    }
    let deadline = Instant::now() + PATIENCE;
    for worker in 0..2 * REPLICAS {
        let (log, seen) = (logs[worker % REPLICAS].clone(), seen.clone());
        tasks.spawn(async move {
            let mut newest = log.newest();
            let done = || -> usize {
                let seen = seen.lock().expect("whole");
                seen.values().map(|key| key.done.len()).sum()
            };
            while done() < KEYS * EACH {
                assert!(Instant::now() < deadline, "{} are delivered", done());
                let leases = lease(&log, 3).await;
                if leases.is_empty() {
                    // Or another worker did the last.
                    drop(timeout(Duration::from_millis(50), newest.changed()).await);
                }
                for lease in &leases {
                    let mut seen = seen.lock().expect("whole");
                    let key = seen.entry(lease.delivery.order_key.clone()).or_default();
                    let other = key.in_flight.replace(lease.event.id.clone());
                    assert_eq!(other, None, "beside {}", lease.event.id);
                }
                for lease in leases {
                    let ack = lease.delivery.attempts > 1 || !lease.event.id.ends_with('3');
                    {
                        // Before it is settled: from then on the next may be leased.
                        let mut seen = seen.lock().expect("whole");
                        let key = seen.entry(lease.delivery.order_key.clone()).or_default();
                        key.in_flight = None;
                        if ack {
                            key.done.push(lease.event.id.clone());
                        }
                    }
                    let settlement = if ack {
                        Settlement::Ack
                    } else {
                        Settlement::Nack {
                            delay: Some(Duration::ZERO),
                            reason: "again".into(),
                            give_up: false,
                        }
                    };
                    settle(&log, &lease, settlement).await;
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("doesn't panic");
    }
    let seen = seen.lock().expect("whole");
    assert_eq!(seen.len(), KEYS);
    for (key, seen) in seen.iter() {
        assert!(seen.done.is_sorted(), "{key}: {:?}", seen.done);
        assert_eq!(seen.done.len(), EACH);
    }
}

// What comes while the one before it is being settled is not left waiting for nobody. Let `take_turns` make one wait without holding the row of the one
// that has the turn, and the second is never leased.
#[tokio::test]
async fn what_comes_while_the_one_before_it_is_settled_has_the_turn_then() {
    let url = database();
    let log = open(&url).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let driver = tokio::spawn(connection);
    append(&log, "a", "k").await;
    let first = lease(&log, 9).await;
    assert_eq!(first.len(), 1);
    // As another replica's settlement, that hasn't ended.
    client
        .batch_execute("BEGIN; UPDATE hookplane.deliveries SET status = 3 WHERE event_id = 'a'")
        .await
        .expect("updates");
    append(&log, "b", "k").await;
    assert!(lease(&log, 9).await.is_empty());
    client.batch_execute("COMMIT").await.expect("commits");
    let deadline = Instant::now() + PATIENCE;
    let mut newest = log.newest();
    loop {
        let leases = lease(&log, 9).await;
        if let [lease] = &leases[..] {
            assert_eq!(lease.event.id, "b");
            break;
        }
        let changed = tokio::time::timeout_at(deadline, newest.changed()).await;
        changed.expect("it is leased").expect("open");
    }
    drop(client);
    driver.await.expect("ends").expect("well");
    log.close().await;
}

// Whoever delivers need not ask again and again for what waits behind a lease: it is due when that ends, and a settlement before is told. Let `waiting` say
// that it is due now and the engine asks for it without an end.
#[tokio::test]
async fn what_waits_for_one_that_is_leased_is_due_when_its_lease_ends() {
    let url = database();
    let (log, other) = (open(&url).await, open(&url).await);
    for id in ["a", "b"] {
        append(&log, id, "k").await;
    }
    let due = async |log: &PostgresLog| {
        let waiting = log.waiting(None, 9).await.expect("reads");
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].queue, queue());
        waiting[0].due_in
    };
    assert_eq!(due(&log).await, Duration::ZERO, "nobody has looked");
    let leases = lease(&log, 9).await;
    assert_eq!(leases.len(), 1);
    for log in [&log, &other] {
        let due = due(log).await;
        assert!(Duration::ZERO < due && due <= MINUTE, "{due:?}");
    }
    // What comes meanwhile has to be looked at, and waits then as well.
    append(&log, "c", "k").await;
    assert_eq!(due(&log).await, Duration::ZERO);
    assert!(lease(&other, 9).await.is_empty());
    assert!(due(&other).await > Duration::ZERO);
    let mut newest = other.newest();
    newest.borrow_and_update();
    settle(&log, &leases[0], Settlement::Ack).await;
    let told = timeout(PATIENCE, newest.changed()).await;
    told.expect("is told").expect("open");
    assert_eq!(due(&other).await, Duration::ZERO);
    for log in [log, other] {
        log.close().await;
    }
}

// Two replicas look at a key at once, and each sees something that the other doesn't: both would give the turn. Take `UNIQUE` out of `deliveries_turn` and
// both of the key are leased.
#[tokio::test]
async fn of_two_that_give_the_turn_of_a_key_at_once_one_does() {
    let url = database();
    let log = open(&url).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    tokio::spawn(connection);
    for id in ["a", "b"] {
        append(&log, id, "k").await;
    }
    // As one that saw only the second, since the first's append took longer.
    client
        .batch_execute("BEGIN; UPDATE hookplane.deliveries SET turn = 0 WHERE event_id = 'b'")
        .await
        .expect("updates");
    let leasing = {
        let log = log.clone();
        tokio::spawn(async move { log.lease(&queue(), 9, MINUTE).await })
    };
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    eventually(async || {
        let waits: i64 = client.query_one(waits, &[]).await?.get(0);
        Ok((waits > 0 || leasing.is_finished()).then_some(()))
    })
    .await
    .expect("it gets there");
    client.batch_execute("COMMIT").await.expect("commits");
    let mut leased = leasing.await.expect("no panic").expect("leases").len();
    for _ in 0..3 {
        leased += lease(&log, 9).await.len();
    }
    assert_eq!(leased, 1);
    log.close().await;
}

// One replica leases the first of a key, and its commit is on its way: another one sees the first as pending, and the second.
#[tokio::test]
async fn the_second_of_a_key_waits_for_a_lease_that_is_not_committed_yet() {
    let url = database();
    let log = open(&url).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let driver = tokio::spawn(connection);
    for id in ["a", "b"] {
        append(&log, id, "k").await;
    }
    client
        .batch_execute(
            "BEGIN; UPDATE hookplane.deliveries SET status = 2, turn = 0, due = due + 60000 WHERE event_id = 'a'",
        )
        .await
        .expect("updates");
    assert!(lease(&log, 9).await.is_empty());
    client.batch_execute("COMMIT").await.expect("commits");
    assert!(lease(&log, 9).await.is_empty());
    drop(client);
    driver.await.expect("ends").expect("well");
    log.close().await;
}
