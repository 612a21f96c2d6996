//! The embedded log where its index can't be had: all but searches of text goes on, and those say so.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::{
    DeliveryLog, LogError, Queue, Retention, Selection, Settlement,
};
use hookplane_proto::v1::PayloadFormat;
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::{callback, key};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn open(dir: &Path, clock: &Arc<TestClock>) -> Arc<EmbeddedLog> {
    let options = Options {
        sync: false,
        ..Options::default()
    };
    EmbeddedLog::open(dir, clock.clone(), options).expect("opens")
}

async fn keep(log: &EmbeddedLog, id: &str) {
    let mut new = callback(id, None, None, 0);
    let event = &mut new.events[0];
    event.dedup.delivery_key = Some(key(id));
    event.event.format = PayloadFormat::Json.into();
    event.event.body = format!(r#"{{"word": "of{id}"}}"#).into_bytes().into();
    let deadline = tokio::time::Instant::now() + MINUTE;
    log.append(new, deadline).await.expect("is taken");
}

async fn deliver(log: &EmbeddedLog) {
    let queue = Queue::of_subscribers("w");
    let leases = log.lease(&queue, 100, MINUTE).await.expect("leases");
    let acks = leases
        .into_iter()
        .map(|lease| (lease.token, Settlement::Ack));
    log.settle(acks.map(Into::into).collect())
        .await
        .expect("settles");
}

fn of_text(text: &str) -> Selection {
    Selection {
        text: Some(text.into()),
        ..Selection::default()
    }
}

async fn ids(log: &EmbeddedLog, selection: &Selection) -> Vec<String> {
    let events = log.events(selection, None, 100).await.expect("reads");
    let deliveries = log.deliveries(selection, None, 100).await.expect("reads");
    let of_deliveries: Vec<_> = deliveries.iter().map(|(_, one)| &one.event_id).collect();
    let of_events: Vec<_> = events.iter().map(|(_, one)| &one.id).collect();
    assert_eq!(of_events, of_deliveries);
    events.into_iter().map(|(_, event)| event.id).collect()
}

async fn index_all(log: &EmbeddedLog) {
    while log.index().await.expect("indexes") {}
}

/// It says what to do.
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, LogError>) {
    let Err(LogError::Unavailable(what)) = answer else {
        panic!("{answer:?}");
    };
    assert!(what.contains("move index.db away"), "{what}");
}

async fn usage(log: &EmbeddedLog) -> Vec<u64> {
    let usage = log.usage().await.expect("reads");
    usage.into_iter().map(|usage| usage.events).collect()
}

// Risk 5: events are kept, delivered, listed and retained without the index, which can't even be made.
#[tokio::test]
async fn log_without_an_index_does_all_but_search() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(TestClock::default());
    let index = dir.path().join("index.db");
    std::fs::create_dir_all(index.join("in the way")).expect("is made");
    let log = open(dir.path(), &clock);
    keep(&log, "a").await;
    keep(&log, "b").await;
    deliver(&log).await;
    clock.advance(DAY * 3);
    keep(&log, "c").await;
    let any = Selection::default();
    for selection in [
        any.clone(),
        Selection {
            org: Some("acme".into()),
            event_type: Some("order".into()),
            ..any.clone()
        },
        Selection {
            webhook_uid: Some("w".into()),
            since: Some(hookplane_rules::Timestamp(1)),
            ..any.clone()
        },
    ] {
        assert_eq!(
            ids(&log, &selection).await,
            ["c", "b", "a"],
            "{selection:?}"
        );
    }
    assert_refused(log.events(&of_text("ofc"), None, 10).await);
    assert_refused(log.deliveries(&of_text("ofc"), None, 10).await);
    assert_refused(log.index().await);
    assert_eq!(usage(&log).await, [0], "it is there, and not counted");
    assert_eq!(log.retain(&Retention::of_age("g", DAY)).await, Ok(2));
    assert_eq!(ids(&log, &any).await, ["c"]);
    log.close().await;
    drop(log);
    let log = open(dir.path(), &clock);
    assert_eq!(ids(&log, &any).await, ["c"]);
    // Once it can be made it is, and nobody has to say so.
    std::fs::remove_dir_all(&index).expect("removes");
    index_all(&log).await;
    assert_eq!(ids(&log, &of_text("ofc")).await, ["c"]);
    assert_eq!(usage(&log).await, [1]);
    log.close().await;
}

// What goes while another program keeps the index from being opened isn't found or counted in it afterwards.
#[tokio::test]
async fn what_went_without_the_index_is_not_in_it_later() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(TestClock::default());
    let log = open(dir.path(), &clock);
    for id in ["a", "b", "c"] {
        keep(&log, id).await;
    }
    deliver(&log).await;
    index_all(&log).await;
    log.close().await;
    drop(log);
    let other = rusqlite::Connection::open(dir.path().join("index.db")).expect("opens");
    other
        .execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE mark SET seq = seq",
        )
        .expect("locks");
    let log = open(dir.path(), &clock);
    assert_refused(log.events(&of_text("ofa"), None, 10).await);
    keep(&log, "d").await;
    clock.advance(DAY * 3);
    assert_eq!(log.retain(&Retention::of_age("g", DAY)).await, Ok(3));
    drop(other);
    index_all(&log).await;
    assert_eq!(usage(&log).await, [1]);
    for (text, found) in [("ofd", 1), ("ofa", 0)] {
        assert_eq!(ids(&log, &of_text(text)).await.len(), found, "{text}");
    }
    log.close().await;
}

// As the error says, its file may be moved away at any time.
#[tokio::test]
async fn index_that_is_moved_away_is_made_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(TestClock::default());
    let log = open(dir.path(), &clock);
    keep(&log, "a").await;
    index_all(&log).await;
    assert_eq!(ids(&log, &of_text("ofa")).await, ["a"]);
    std::fs::remove_file(dir.path().join("index.db")).expect("removes");
    keep(&log, "b").await;
    index_all(&log).await;
    for id in ["a", "b"] {
        assert_eq!(ids(&log, &of_text(&format!("of{id}"))).await, [id]);
    }
    log.close().await;
    drop(log);
    let log = open(dir.path(), &clock);
    assert_eq!(ids(&log, &of_text("ofb")).await, ["b"]);
    log.close().await;
}
