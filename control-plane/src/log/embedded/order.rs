//! Order keys: of the deliveries of one queue and key, one at a time may be leased, the oldest first.
//!
//! ```text
//!   made or back to pending ─▶ waits = 1 ─┬─▶ none of its key is leased, and it is the oldest ─▶ waits = 0 ─▶ leased
//!                                         └─▶ stays behind, until one of its key changes
//! ```
//!
//! So what may be leased is told by an index alone, and a backlog of one key costs a lease nothing: at most one of a key is pending with
//! `waits = 0`. What has no key never waits.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;

/// Something of a delivery's key has changed: lets the oldest that is pending be leased, unless another is.
pub(super) fn let_next(db: &Connection, delivery: i64) -> Result<(), Fault> {
    let queue: Option<(String, String, String)> = db
        .prepare_cached(
            "SELECT webhook_uid, destination, order_key FROM deliveries WHERE seq = ?1",
        )?
        .query_row([delivery], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((webhook, destination, key)) = queue else {
        return Ok(());
    };
    let first = |status: i64, waits: i64| -> Result<Option<i64>, Fault> {
        let mut first = db.prepare_cached(FIRST)?;
        let found = first.query_row(params![webhook, destination, key, status, waits], |row| {
            row.get(0)
        });
        Ok(found?)
    };
    let free = first(1, 0)?;
    let next = match first(2, 0)? {
        Some(_) => None,
        None => [free, first(1, 1)?].into_iter().flatten().min(),
    };
    if free == next {
        return Ok(());
    }
    let mut set = db.prepare_cached("UPDATE deliveries SET waits = ?2 WHERE seq = ?1")?;
    for (delivery, waits) in [(free, 1), (next, 0)] {
        if let Some(delivery) = delivery {
            set.execute([delivery, waits])?;
        }
    }
    Ok(())
}

const FIRST: &str = "SELECT min(seq) FROM deliveries INDEXED BY deliveries_ordered
     WHERE webhook_uid = ?1 AND destination = ?2 AND order_key = ?3 AND status = ?4 AND waits = ?5 AND status < 3 AND order_key <> ''";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::embedded::schema;

    #[test]
    fn backlog_of_a_key_is_not_walked() {
        let dir = tempfile::tempdir().expect("a directory");
        let (_lock, _, db) = schema::open(dir.path(), false).expect("opens");
        let mut plan = db
            .prepare(&format!("EXPLAIN QUERY PLAN {FIRST}"))
            .expect("is SQL");
        let plan: String = plan
            .query_row(params!["w", "d", "k", 1, 1], |row| row.get(3))
            .expect("runs");
        assert!(
            plan.contains("deliveries_ordered (webhook_uid=? AND destination=? AND order_key=? AND status=? AND waits=?)"),
            "{plan}"
        );
    }
}
