//! What the embedded log takes up on the disk, and what becomes of it when its index is lost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::{
    DeliveryLog, LogError, Queue, Retention, Selection, Settle, Settlement,
};
use hookplane_proto::v1::{self, PayloadFormat};
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::{callback, keep, key};
use hookplane_tests::waiting::blocking::eventually;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn unsynced() -> Options {
    Options {
        sync: false,
        ..Options::default()
    }
}

/// Again as soon as it was closed: a process that another test begins at that moment has its lock open until it is begun.
fn open(dir: &Path, clock: &Arc<TestClock>) -> Arc<EmbeddedLog> {
    eventually("the log opens", || {
        match EmbeddedLog::open(dir, clock.clone(), unsynced()) {
            Ok(log) => Some(log),
            Err(error) if error.to_string().contains("in use") => None,
            Err(error) => panic!("{error}"),
        }
    })
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

// Risk 5: a limit of bytes holds while the log is open, whatever waits; what it writes ahead is written over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_log_that_is_cut_to_its_size_do_not_grow_while_it_is_open() {
    const ROUNDS: usize = 40;
    const EVENTS: usize = 60;
    const BODY: usize = 30 << 10;
    /// A round's events, about.
    const LIMIT: u64 = 2 << 20;
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path(), &Arc::new(TestClock::default()));
    let retention = Retention {
        max_bytes: Some(LIMIT),
        ..Retention::of_age("g", DAY)
    };
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        for number in 0..EVENTS {
            let mut new = callback(&format!("e{round}n{number}"), None, None, 0);
            new.events[0].event.body = vec![b'x'; BODY].into();
            if number == 0 {
                new.events[0].deliveries[0].webhook_uid = "waits".into();
            }
            let deadline = tokio::time::Instant::now() + MINUTE;
            log.append(new, deadline).await.expect("is taken");
        }
        deliver_all(&log, "w").await;
        while log.index().await.expect("indexes") {}
        while log.retain(&retention).await.expect("retains") > 0 {}
        let usage = log.usage().await.expect("reads");
        assert!(usage[0].bytes <= LIMIT, "{usage:?}");
        sizes.push(bytes_of(dir.path()));
    }
    let written = (ROUNDS * EVENTS * BODY) as u64;
    let largest = sizes.iter().max().expect("some");
    assert!(*largest < written / 2, "{sizes:?} of {written}");
    let waits = Queue::of_subscribers("waits");
    let leases = log.lease(&waits, 1_000, MINUTE).await.expect("leases");
    assert_eq!(leases.len(), ROUNDS, "all that waited is there");
    log.close().await;
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
