//! What the embedded log takes up on the disk, and what becomes of a log of an earlier version.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::{
    DeliveryLog, LogError, Queue, Retention, Selection, Settle, Settlement,
};
use hookplane_proto::v1::{self, DeliveryStatus, PayloadFormat};
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::{callback, keep, key};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn unsynced() -> Options {
    Options {
        sync: false,
        ..Options::default()
    }
}

fn open(dir: &Path, clock: &Arc<TestClock>) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(dir, clock.clone(), unsynced()).expect("opens")
}

/// An event of 2 KiB of words that are in no other.
async fn keep_words(log: &EmbeddedLog, id: &str) {
    let mut new = callback(id, None, None, 0);
    let event = &mut new.events[0];
    event.dedup.delivery_key = Some(key(id));
    event.event.format = PayloadFormat::Json.into();
    let words = (0..150).map(|number| format!("{id}x{number} "));
    event.event.body = words.collect::<String>().into_bytes().into();
    let deadline = tokio::time::Instant::now() + MINUTE;
    log.append(new, deadline).await.expect("is taken");
}

async fn deliver_all(log: &EmbeddedLog, webhook: &str) {
    loop {
        let queue = Queue::of_subscribers(webhook);
        let leases = log.lease(&queue, 1_000, MINUTE).await;
        let leases = leases.expect("leases");
        if leases.is_empty() {
            return;
        }
        let settled = leases.into_iter().map(|lease| Settle {
            token: lease.token,
            settlement: Settlement::Ack,
            attempt: Some(v1::Attempt {
                excerpt: "x".repeat(500),
                ..Default::default()
            }),
        });
        log.settle(settled.collect()).await.expect("settles");
    }
}

fn bytes_of(dir: &Path) -> u64 {
    let files = ["events.db", "events.db-wal", "index.db", "index.db-wal"];
    let sizes = files.iter().map(|name| {
        let file = std::fs::metadata(dir.join(name));
        file.map_or(0, |file| file.len())
    });
    sizes.sum()
}

// Risk 5: what is settled and aged goes, and its space serves what comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_log_that_is_retained_do_not_grow_for_ever() {
    const ROUNDS: usize = 8;
    const EVENTS: usize = 200;
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(TestClock::default());
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        let log = open(dir.path(), &clock);
        for number in 0..EVENTS {
            keep_words(&log, &format!("e{round}n{number}")).await;
        }
        deliver_all(&log, "w").await;
        while log.index().await.expect("indexes") {}
        clock.advance(DAY * 3);
        while log
            .retain(&Retention::of_age("g", DAY))
            .await
            .expect("retains")
            > 0
        {}
        log.forget_repeats(DAY).await.expect("forgets");
        assert_eq!(log.usage().await, Ok(Vec::new()));
        log.close().await;
        drop(log);
        sizes.push(bytes_of(dir.path()));
    }
    let (second, last) = (sizes[1], sizes[ROUNDS - 1]);
    assert!(last <= second + second / 4, "{sizes:?}");
    // All that is left is less than one round's events.
    assert!(last < (EVENTS * 2048) as u64 * 3, "{sizes:?}");
}

// What is lost of the index is made anew from the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_or_damaged_index_is_made_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(TestClock::default());
    let text = Selection {
        text: Some("anew".into()),
        ..Selection::default()
    };
    let log = open(dir.path(), &clock);
    let mut new = callback("a", None, None, 0);
    new.events[0].event.format = PayloadFormat::Json.into();
    new.events[0].event.body = b"\"anew\"".to_vec().into();
    let deadline = tokio::time::Instant::now() + MINUTE;
    log.append(new, deadline).await.expect("is taken");
    log.close().await;
    drop(log);
    let index = dir.path().join("index.db");
    for damage in [&b""[..], b"not a database, and longer than the header of one is, which is 100 bytes; so that it is looked at in whole."] {
        let log = open(dir.path(), &clock);
        while log.index().await.expect("indexes") {}
        let found = log.events(&text, None, 10).await.expect("reads");
        assert_eq!(found.len(), 1);
        assert_eq!(log.usage().await.expect("reads")[0].events, 1);
        log.close().await;
        drop(log);
        for name in ["index.db-wal", "index.db-shm"] {
            drop(std::fs::remove_file(dir.path().join(name)));
        }
        std::fs::write(&index, damage).expect("writes");
    }
    let log = open(dir.path(), &clock);
    while log.index().await.expect("indexes") {}
    let found = log.events(&text, None, 10).await.expect("reads");
    assert_eq!(found.len(), 1);
    log.close().await;
}

// Damage that is found while it is open harms no event, and is mended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn index_that_is_damaged_while_it_is_open_is_made_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(TestClock::default());
    let log = open(dir.path(), &clock);
    for number in 0..50 {
        keep_words(&log, &format!("e{number}")).await;
    }
    while log.index().await.expect("indexes") {}
    log.close().await;
    drop(log);
    let index = rusqlite::Connection::open(dir.path().join("index.db")).expect("opens");
    // What says where a word is stays, and what is there goes.
    let leaves = "UPDATE words_data SET block = randomblob(length(block)) WHERE id > 100";
    assert!(index.execute(leaves, []).expect("writes") > 0);
    index.close().map_err(|(_, error)| error).expect("closes");
    let log = open(dir.path(), &clock);
    let text = |word: &str| Selection {
        text: Some(word.into()),
        ..Selection::default()
    };
    let mut refused = 0;
    for number in 0..50 {
        let word = format!("e{number}x7");
        let found = log.events(&text(&word), None, 10).await;
        refused += i32::from(matches!(found, Err(LogError::Unavailable(_))));
    }
    assert!(refused > 0, "it is damaged");
    assert_eq!(
        log.events(&Selection::default(), None, 100)
            .await
            .expect("reads")
            .len(),
        50
    );
    keep_words(&log, "after").await;
    while log.index().await.expect("indexes") {}
    for id in ["e0", "e49", "after"] {
        let found = log.events(&text(&format!("{id}x149")), None, 10).await;
        assert_eq!(found.expect("reads").len(), 1, "{id}");
    }
    assert_eq!(log.usage().await.expect("reads")[0].events, 51);
    log.close().await;
}

// An index that was made of a later log, as after a restored backup, doesn't answer for what has its numbers now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn index_of_a_later_log_is_made_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(TestClock::default());
    let log = open(dir.path(), &clock);
    keep(log.as_ref(), "a").await;
    log.close().await;
    drop(log);
    let backup = std::fs::read(dir.path().join("events.db")).expect("reads");
    let log = open(dir.path(), &clock);
    for id in ["b", "c"] {
        keep(log.as_ref(), id).await;
    }
    while log.index().await.expect("indexes") {}
    log.close().await;
    drop(log);
    std::fs::write(dir.path().join("events.db"), backup).expect("writes");
    let log = open(dir.path(), &clock);
    while log.index().await.expect("indexes") {}
    assert_eq!(log.usage().await.expect("reads")[0].events, 1);
    log.close().await;
}

/// Takes away what version 3 brought.
const BEFORE: &str = "
    DROP INDEX deliveries_pending; DROP INDEX deliveries_ordered; DROP INDEX deliveries_stuck_of;
    DROP TABLE added; DROP TABLE queues; DROP TABLE attempts; DROP TABLE shapes;
    ALTER TABLE deliveries DROP COLUMN destination;
    ALTER TABLE deliveries DROP COLUMN order_key;
    ALTER TABLE deliveries DROP COLUMN mapping_version;
    ALTER TABLE deliveries DROP COLUMN waits;
    ALTER TABLE deliveries DROP COLUMN further;
    ALTER TABLE deliveries DROP COLUMN added;
    ALTER TABLE deliveries DROP COLUMN changed;
    ALTER TABLE changes DROP COLUMN before;
    CREATE INDEX deliveries_pending ON deliveries (webhook_uid, due, seq) WHERE status = 1;
    UPDATE deliveries SET status = 2 WHERE webhook_uid = 'v';
    PRAGMA user_version = 2";

// Risk 4: a log of the version before is read, delivered, and retained as if it had been made by this one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_of_the_version_before_is_brought_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(TestClock::default());
    let log = open(dir.path(), &clock);
    let mut first = callback("a", Some(1), None, 0);
    let mut second = first.events[0].deliveries[0].clone();
    second.webhook_uid = "v".into();
    first.events[0].deliveries.push(second);
    let deadline = tokio::time::Instant::now() + MINUTE;
    log.append(first, deadline).await.expect("is taken");
    keep(log.as_ref(), "b").await;
    let leases = log.lease(&Queue::of_subscribers("v"), 1, MINUTE).await;
    assert_eq!(leases.expect("leases").len(), 1);
    log.close().await;
    drop(log);
    let old = rusqlite::Connection::open(dir.path().join("events.db")).expect("opens");
    old.execute_batch(BEFORE).expect("is SQL");
    old.close().map_err(|(_, error)| error).expect("closes");
    std::fs::remove_file(dir.path().join("index.db")).expect("removes");
    let log = open(dir.path(), &clock);
    while log.index().await.expect("indexes") {}
    let group = Selection {
        group_uid: Some("g".into()),
        ..Selection::default()
    };
    let listed = log.deliveries(&group, None, 10).await.expect("reads");
    let ids: Vec<_> = listed.iter().map(|(_, one)| one.id.as_str()).collect();
    assert_eq!(ids, ["b-1", "a-2", "a-1"]);
    let delivery = log.delivery("a-2").await.expect("there");
    assert_eq!(
        delivery.status(),
        DeliveryStatus::Pending,
        "its lease ended"
    );
    assert_eq!((&*delivery.destination, delivery.attempts), ("", 1));
    let repeat = callback("c", Some(1), None, 0);
    let deadline = tokio::time::Instant::now() + MINUTE;
    let answer = log.append(repeat, deadline).await.expect("is taken");
    assert!(
        matches!(&answer, hookplane_control_plane::log::Appended::Duplicate { of } if of == "a"),
        "{answer:?}"
    );
    deliver_all(&log, "w").await;
    deliver_all(&log, "v").await;
    clock.advance(DAY * 30);
    while log
        .retain(&Retention::of_age("g", DAY))
        .await
        .expect("retains")
        > 0
    {}
    log.close().await;
    drop(log);
    let db = rusqlite::Connection::open(dir.path().join("events.db")).expect("opens");
    for table in ["events", "deliveries", "changes", "attempts"] {
        let rows: i64 = db
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get(0)
            })
            .expect("reads");
        assert_eq!(rows, 0, "{table}");
    }
}
