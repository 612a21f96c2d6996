//! Deletes what is settled and aged, a bounded step at a time, so that no append waits long behind it.

use rusqlite::params;

use super::fault::Fault;
use super::tables::Tables;

/// Rows one step looks at.
const STEP_ROWS: i64 = 256;

/// Pages one step gives back to the file system: 4 MiB.
const STEP_PAGES: i64 = 1024;

/// Where a sweep is, and what it did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sweep {
    pub(super) after: i64,
    pub(super) events: u64,
    pub(super) done: bool,
}

/// One step over the events received before `horizon`, oldest first. Pending, leased and held are not settled.
pub(super) fn events(
    tables: &mut Tables<'_>,
    horizon: i64,
    mut sweep: Sweep,
) -> Result<Sweep, Fault> {
    let rows: Vec<(i64, String, i64, bool)> = tables
        .db
        .prepare_cached(
            "SELECT e.seq, e.id, e.deliveries, e.received < ?2 AND NOT EXISTS (
                 SELECT 1 FROM deliveries d
                 WHERE d.seq > e.seq AND d.seq <= e.seq + e.deliveries AND (d.status IN (1, 2, 4) OR d.updated >= ?2))
             FROM events e WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?3",
        )?
        .query_map(params![sweep.after, horizon, STEP_ROWS], |row| {
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

/// One step over changes and dedup rows, and of giving space back. Says whether there may be more.
pub(super) fn rest(
    tables: &mut Tables<'_>,
    horizon: i64,
    dedup_horizon: i64,
) -> Result<bool, Fault> {
    let changes = tables
        .db
        .prepare_cached(
            "DELETE FROM changes WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM changes ORDER BY seq LIMIT ?2) WHERE at < ?1)",
        )?
        .execute([horizon, STEP_ROWS])?;
    let dedup = tables
        .db
        .prepare_cached(
            "DELETE FROM dedup WHERE (group_uid, kind, key) IN
                 (SELECT group_uid, kind, key FROM dedup INDEXED BY dedup_by_age WHERE seen < ?1 ORDER BY seen LIMIT ?2)",
        )?
        .execute([dedup_horizon, STEP_ROWS])?;
    let free: i64 = tables
        .db
        .pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let mut vacuum = tables
        .db
        .prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    let mut pages = vacuum.query([])?;
    while pages.next()?.is_some() {}
    Ok(changes > 0 || dedup > 0 || free > STEP_PAGES)
}

/// Numbers are never taken twice, even when the rows that had the last ones are gone.
pub(super) fn remember_seq(tables: &Tables<'_>) -> Result<(), Fault> {
    tables
        .db
        .prepare_cached("INSERT INTO meta (name, value) VALUES ('last_seq', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?
        .execute([tables.memory.next_seq - 1])?;
    Ok(())
}
