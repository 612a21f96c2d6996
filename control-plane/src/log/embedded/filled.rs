//! For tests: a log whose tables were filled directly, with more events than a test can wait for.

use std::path::Path;
use std::sync::Arc;

use hookplane_rules::{Clock, Timestamp};

use super::schema::{self, checksum};
use super::{EmbeddedLog, Options};

/// Statuses of deliveries.
pub(super) const PENDING: i32 = 1;
pub(super) const DELIVERED: i32 = 3;
pub(super) const HELD: i32 = 4;

/// It stands still.
struct AtDay(i64);

impl Clock for AtDay {
    fn now(&self) -> Timestamp {
        Timestamp(at(self.0))
    }
}

fn at(day: i64) -> i64 {
    day * 24 * 3600 * 1000
}

/// Of a group: so many events, all kept that day, each with one delivery of a status, or none.
pub(super) struct Stretch(pub(super) u64, pub(super) i64, pub(super) Option<i32>);

/// On day 100. Events have the places 2, 4, 6 and so on.
pub(super) fn filled(dir: &Path, stretches: &[Stretch]) -> Arc<EmbeddedLog> {
    let (lock, _, db) = schema::open(dir, false).expect("opens");
    let sum = checksum(b"");
    let mut first = 1;
    db.execute_batch("BEGIN").expect("begins");
    for Stretch(events, day, status) in stretches {
        let last = first + events - 1;
        let numbers = format!(
            "WITH RECURSIVE n (n) AS (VALUES ({first}) UNION ALL SELECT n + 1 FROM n WHERE n < {last})"
        );
        let (made, kept) = (i64::from(status.is_some()), at(*day));
        db.execute_batch(&format!(
            "{numbers} INSERT INTO events (seq, id, org, group_uid, group_name, type, received, kept, deliveries, flags, claims, checksum, record)
             SELECT 2 * n, 'e' || n, 'acme', 'g', 'g', 'order', {kept}, {kept}, {made}, 0, x'', {sum}, x'' FROM n"
        ))
        .expect("inserts");
        if let Some(status) = status {
            db.execute_batch(&format!(
                "{numbers} INSERT INTO deliveries (seq, event_seq, webhook_uid, webhook, status, attempts, due, created, updated, reason, idempotency_key)
                 SELECT 2 * n + 1, 2 * n, 'w', 'w', {status}, 0, 0, 0, 0, '', '' FROM n"
            ))
            .expect("inserts");
        }
        first = last + 1;
    }
    db.execute_batch("COMMIT").expect("commits");
    drop(db);
    drop(lock);
    opened(dir)
}

/// Again, on the same day.
pub(super) fn opened(dir: &Path) -> Arc<EmbeddedLog> {
    let options = Options {
        sync: false,
        ..Options::default()
    };
    EmbeddedLog::open(dir, Arc::new(AtDay(100)), options).expect("opens")
}
