//! Which queues wait.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use crate::log::{Queue, Waiting};

/// A step from one queue to the next, whatever waits in either.
const NEXT: &str = "SELECT webhook_uid, destination FROM deliveries INDEXED BY deliveries_pending
     WHERE status = 1 AND (webhook_uid, destination) > (?1, ?2) ORDER BY webhook_uid, destination LIMIT 1";

/// Of those that wait for none of their order key, or of those that do.
const DUE: &str = "SELECT min(due) FROM deliveries INDEXED BY deliveries_pending
     WHERE status = 1 AND webhook_uid = ?1 AND destination = ?2 AND waits = ?3";

/// Those beyond one, in order; `now` is on the log's own time line.
pub(super) fn waiting(
    db: &Connection,
    after: Option<&Queue>,
    limit: usize,
    now: i64,
) -> Result<Vec<Waiting>, Fault> {
    let mut next = db.prepare_cached(NEXT)?;
    let mut due = db.prepare_cached(DUE)?;
    let mut at = after.cloned().unwrap_or(Queue::of_subscribers(""));
    let mut found = Vec::new();
    while found.len() < limit {
        let step = next.query_row(params![at.webhook_uid, at.destination], |row| {
            Ok(Queue {
                webhook_uid: row.get(0)?,
                destination: row.get(1)?,
            })
        });
        let Some(queue) = step.optional()? else { break };
        at = queue.clone();
        if queue.destination.is_empty() {
            continue;
        }
        let mut first = |waits: i64| -> Result<Option<i64>, Fault> {
            let due = due.query_row(
                params![queue.webhook_uid, queue.destination, waits],
                |row| row.get(0),
            );
            Ok(due?)
        };
        let due = match first(0)? {
            Some(due) => due,
            None => first(1)?.unwrap_or(now),
        };
        let due_in = Duration::from_millis(due.saturating_sub(now).max(0).unsigned_abs());
        found.push(Waiting { queue, due_in });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::embedded::schema;

    #[test]
    fn each_queue_costs_a_step() {
        let dir = tempfile::tempdir().expect("a directory");
        let (_lock, _, db) = schema::open(dir.path(), false).expect("opens");
        for (sql, values, index) in [
            (
                NEXT,
                &["w", "d"][..],
                "deliveries_pending ((webhook_uid,destination)>(?,?))",
            ),
            (
                DUE,
                &["w", "d", "0"],
                "deliveries_pending (webhook_uid=? AND destination=? AND waits=?)",
            ),
        ] {
            let mut plan = db
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .expect("is SQL");
            let values = rusqlite::params_from_iter(values);
            let rows = plan.query_map(values, |row| row.get::<_, String>(3));
            let plan: Vec<String> = rows
                .expect("runs")
                .collect::<Result<_, _>>()
                .expect("reads");
            let plan = plan.join("; ");
            assert!(
                plan.contains(index) && !plan.contains("TEMP B-TREE"),
                "{plan}"
            );
        }
    }
}
