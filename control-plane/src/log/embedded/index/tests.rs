//! What the index has of what the log has.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::Going;
use crate::log::embedded::EmbeddedLog;
use crate::log::embedded::filled::{DELIVERED, Stretch, filled, opened};
use crate::log::{DeliveryLog, Retention, Selection};

const EVENTS: u64 = 10;

async fn index_all(log: &EmbeddedLog) {
    while log.index().await.expect("indexes") {}
}

/// How many are found by their type, which the index leads to; and how many it counts.
async fn found(log: &EmbeddedLog) -> (usize, u64) {
    let of_type = Selection {
        event_type: Some("order".into()),
        ..Selection::default()
    };
    let events = log.events(&of_type, None, 100).await.expect("reads");
    let usage = log.usage().await.expect("reads");
    (events.len(), usage.iter().map(|usage| usage.events).sum())
}

fn rows(dir: &Path, table: &str) -> i64 {
    let index = Connection::open(dir.join("index.db")).expect("opens");
    let sql = format!("SELECT count(*) FROM {table}");
    index.query_row(&sql, [], |row| row.get(0)).expect("reads")
}

// What is taken out of the index before it goes is put in again where it stays, also when the process ended in between; and what went is nowhere.
#[tokio::test]
async fn what_leaves_the_log_leaves_the_index_and_nothing_else_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = filled(dir.path(), &[Stretch(EVENTS, 10, Some(DELIVERED))]);
    index_all(&log).await;
    assert_eq!(found(&log).await, (10, 10));
    {
        let mut index = log.shared.index.lock().await;
        let going = [2, 4, 6].map(|seq| Going { seq, bytes: 0 });
        index.forget("g", &going).expect("forgets");
    }
    assert_eq!(found(&log).await, (7, 7));
    log.close().await;
    drop(log);
    assert_eq!(rows(dir.path(), "going"), 3);
    let log = opened(dir.path());
    assert_eq!(found(&log).await, (7, 7), "they are on their way");
    index_all(&log).await;
    assert_eq!(found(&log).await, (10, 10), "they are there after all");
    let by_age = Retention::of_age("g", Duration::from_secs(24 * 3600));
    assert_eq!(log.retain(&by_age).await, Ok(EVENTS));
    log.close().await;
    drop(log);
    for again in 0..2 {
        let log = opened(dir.path());
        index_all(&log).await;
        assert_eq!(found(&log).await, (0, 0));
        log.close().await;
        for table in ["going", "words_docsize", "usage"] {
            assert_eq!(rows(dir.path(), table), 0, "{table}, {again}");
        }
    }
}
