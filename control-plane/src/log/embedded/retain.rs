//! Deletes what is settled and aged, a bounded step at a time, so that no append waits long behind it.

use rusqlite::params;

use super::EmbeddedLog;
use super::fault::Fault;
use super::read::seq;
use super::tables::{Tables, millis};
use crate::log::LogError;

/// When what is settled may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) max_age: std::time::Duration,
    pub(super) dedup_age: std::time::Duration,
}

/// Rows one step looks at.
const STEP_ROWS: i64 = 256;

/// Pages one step gives back to the file system: 4 MiB.
const STEP_PAGES: i64 = 1024;

/// Dedup rows one step looks at: they are small, and neighbours share a page.
const STEP_KEYS: i64 = 4096;

/// All of it, step by step. Says how many events went.
pub(super) async fn all(log: &EmbeddedLog, retention: Retention) -> Result<u64, LogError> {
    let now = log.shared.clock.now().0;
    let horizon = now.saturating_sub(millis(retention.max_age));
    // An event's claims go with it: they have to be in the table first.
    let until = seq(*log.shared.newest.borrow());
    while log
        .write(64, move |tables| Ok(tables.memory.recent.rush(until)))
        .await?
    {}
    let mut sweep = Sweep::to(until);
    while !sweep.done {
        sweep = log
            .write(64, move |tables| events(tables, horizon, sweep))
            .await?;
    }
    while log
        .write(64, move |tables| changes(tables, horizon))
        .await?
    {}
    let dedup_horizon = now.saturating_sub(millis(retention.dedup_age).saturating_mul(2));
    let mut after = Some(Vec::new());
    while let Some(key) = after {
        after = log
            .write(64, move |tables| dedup(tables, dedup_horizon, &key))
            .await?;
    }
    while log.write(64, |tables| space(tables)).await? {}
    Ok(sweep.events)
}

/// Where a sweep is, and what it did.
#[derive(Debug, Clone, Copy)]
struct Sweep {
    after: i64,
    until: i64,
    events: u64,
    done: bool,
}

impl Sweep {
    /// Over all events up to that one.
    fn to(until: i64) -> Self {
        Self {
            after: 0,
            until,
            events: 0,
            done: false,
        }
    }
}

/// One step over the events received before `horizon`, oldest first. Pending, leased and held are not settled.
fn events(tables: &mut Tables<'_>, horizon: i64, mut sweep: Sweep) -> Result<Sweep, Fault> {
    let rows: Vec<(i64, String, i64, bool)> = tables
        .db
        .prepare_cached(
            "SELECT e.seq, e.id, e.deliveries, e.received < ?2 AND NOT EXISTS (
                 SELECT 1 FROM deliveries d
                 WHERE d.seq > e.seq AND d.seq <= e.seq + e.deliveries AND (d.status IN (1, 2, 4) OR d.updated >= ?2))
             FROM events e WHERE e.seq > ?1 AND e.seq <= ?4 ORDER BY e.seq LIMIT ?3",
        )?
        .query_map(params![sweep.after, horizon, STEP_ROWS, sweep.until], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    sweep.done = rows.is_empty();
    for (seq, id, deliveries, goes) in rows {
        sweep.after = seq;
        if !goes {
            continue;
        }
        tables
            .db
            .prepare_cached("DELETE FROM deliveries WHERE seq > ?1 AND seq <= ?1 + ?2")?
            .execute([seq, deliveries])?;
        tables
            .db
            .prepare_cached("DELETE FROM events WHERE seq = ?1")?
            .execute([seq])?;
        tables
            .db
            .prepare_cached("DELETE FROM duplicates WHERE event_id = ?1")?
            .execute([id])?;
        sweep.events += 1;
    }
    remember_seq(tables)?;
    Ok(sweep)
}

/// One step over changes. Says whether there may be more.
fn changes(tables: &Tables<'_>, horizon: i64) -> Result<bool, Fault> {
    let gone = tables
        .db
        .prepare_cached(
            "DELETE FROM changes WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM changes ORDER BY seq LIMIT ?2) WHERE at < ?1)",
        )?
        .execute([horizon, STEP_ROWS])?;
    Ok(gone > 0)
}

/// One step over the dedup rows behind a key, in the order in which they lie: those that were seen before `horizon` go. Says where to go on.
///
/// The horizon is two windows back, not one: the row of a name has to be there as long as one of another body is looked for behind it.
fn dedup(tables: &Tables<'_>, horizon: i64, after: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let last: Option<Vec<u8>> = tables
        .db
        .prepare_cached(
            "SELECT max(key) FROM (SELECT key FROM dedup WHERE key > ?1 ORDER BY key LIMIT ?2)",
        )?
        .query_row(params![after, STEP_KEYS], |row| row.get(0))?;
    if let Some(last) = &last {
        tables
            .db
            .prepare_cached("DELETE FROM dedup WHERE key > ?1 AND key <= ?2 AND seen < ?3")?
            .execute(params![after, last, horizon])?;
    }
    Ok(last)
}

/// Gives space back to the file system. Says whether there may be more.
fn space(tables: &Tables<'_>) -> Result<bool, Fault> {
    let free: i64 = tables
        .db
        .pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let mut vacuum = tables
        .db
        .prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    let mut pages = vacuum.query([])?;
    while pages.next()?.is_some() {}
    Ok(free > STEP_PAGES)
}

/// Numbers are never taken twice, even when the rows that had the last ones are gone.
pub(super) fn remember_seq(tables: &Tables<'_>) -> Result<(), Fault> {
    tables
        .db
        .prepare_cached("INSERT INTO meta (name, value) VALUES ('last_seq', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?
        .execute([tables.memory.next_seq - 1])?;
    Ok(())
}
