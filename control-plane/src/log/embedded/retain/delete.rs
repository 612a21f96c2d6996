//! Deletes events with all that belongs to them, and gives their space back.

use rusqlite::OptionalExtension;

use crate::log::LogError;
use crate::log::embedded::EmbeddedLog;
use crate::log::embedded::attempts;
use crate::log::embedded::fault::Fault;
use crate::log::embedded::index::{Going, Index};
use crate::log::embedded::tables::Tables;

/// Pages one step gives back to the file system: 4 MiB.
const STEP_PAGES: i64 = 512;

/// Of the log of before that doesn't link them, changes that go in one step.
const STEP_CHANGES: i64 = 256;

/// Pending, leased and held are not settled.
pub(super) const GOES: &str = "NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq > e.seq AND d.seq <= e.seq + e.deliveries AND +d.status IN (1, 2, 4))
     AND NOT EXISTS (SELECT 1 FROM added a CROSS JOIN deliveries d ON d.seq = a.seq WHERE a.event_seq = e.seq AND +d.status IN (1, 2, 4))";

/// Says how many events went, and their bytes.
pub(super) async fn delete(
    log: &EmbeddedLog,
    group_uid: &str,
    going: Vec<Going>,
) -> Result<(u64, u64), LogError> {
    // An event's claims go with it: they have to be in the table first.
    let until = going.last().map_or(0, |event| event.seq);
    while log
        .write(64, move |tables| Ok(tables.memory.recent.rush(until)))
        .await?
    {}
    // Nothing is put into the index until the log has deleted it, or said that it didn't: the writer holds it, whatever becomes of the caller. What
    // stays after all is put in again by the next step of the index.
    let mut index = log.shared.index.clone().lock_owned().await;
    let (group_uid, out) = (group_uid.to_owned(), going.clone());
    let index = tokio::task::spawn_blocking(move || index.forget(&group_uid, &out).map(|()| index))
        .await
        .map_err(|error| LogError::Unavailable(format!("index: {error}")))?
        .map_err(Fault::answer)?;
    let bytes = going.clone();
    let deleted = log
        .write(64 * going.len(), move |tables| {
            let _held = &index;
            let mut deleted = Vec::new();
            for event in &going {
                if delete_one(tables, event.seq)? {
                    deleted.push(event.seq);
                }
            }
            remember_seq(tables)?;
            Ok(deleted)
        })
        .await?;
    let went = bytes.iter().filter(|event| deleted.contains(&event.seq));
    Ok((
        deleted.len() as u64,
        went.map(|event| event.bytes.unsigned_abs()).sum(),
    ))
}

/// With all that belongs to it. Says whether it went: one that was put back meanwhile stays.
fn delete_one(tables: &Tables<'_>, seq: i64) -> Result<bool, Fault> {
    let db = tables.db;
    let event: Option<(String, i64)> = db
        .prepare_cached(&format!(
            "SELECT e.id, e.deliveries FROM events e WHERE e.seq = ?1 AND {GOES}"
        ))?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((id, made)) = event else {
        return Ok(false);
    };
    let deliveries: Vec<(i64, i64)> = db
        .prepare_cached(
            "SELECT seq, changed FROM deliveries WHERE seq > ?1 AND seq <= ?1 + ?2
             UNION ALL SELECT d.seq, d.changed FROM added a CROSS JOIN deliveries d ON d.seq = a.seq WHERE a.event_seq = ?1",
        )?
        .query_map([seq, made], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (delivery, changed) in deliveries {
        let mut change = changed;
        while change != 0 {
            let before = db
                .prepare_cached("DELETE FROM changes WHERE seq = ?1 RETURNING before")?
                .query_row([change], |row| row.get(0))
                .optional()?;
            change = before.unwrap_or(0);
        }
        attempts::forget(db, delivery)?;
        db.prepare_cached("DELETE FROM deliveries WHERE seq = ?1")?
            .execute([delivery])?;
    }
    db.prepare_cached("DELETE FROM added WHERE event_seq = ?1")?
        .execute([seq])?;
    db.prepare_cached("DELETE FROM events WHERE seq = ?1")?
        .execute([seq])?;
    db.prepare_cached("DELETE FROM duplicates WHERE event_id = ?1")?
        .execute([id])?;
    Ok(true)
}

/// Gives back what events that are gone took up.
pub(super) async fn tidy(log: &EmbeddedLog, horizon: i64) -> Result<(), LogError> {
    while log
        .write(64, move |tables| unlinked(tables, horizon))
        .await?
    {}
    while log.write(64, |tables| space(tables)).await? {}
    let first = log
        .read(|db| {
            let mut first = db.prepare_cached("SELECT coalesce(min(seq), 0) FROM events")?;
            Ok(first.query_row([], |row| row.get(0))?)
        })
        .await?;
    let mut index = log.shared.index.clone().lock_owned().await;
    tokio::task::spawn_blocking(move || Index::shrink(&mut index, first))
        .await
        .map_err(|error| LogError::Unavailable(format!("index: {error}")))?
        .map_err(Fault::answer)
}

/// One step over changes that don't say which came before them: of a log of an earlier version. Says whether there may be more.
fn unlinked(tables: &Tables<'_>, horizon: i64) -> Result<bool, Fault> {
    let gone = tables
        .db
        .prepare_cached(
            "DELETE FROM changes WHERE seq IN (
                 SELECT seq FROM (SELECT seq, at FROM changes ORDER BY seq LIMIT ?2)
                 WHERE at < ?1 AND seq <= (SELECT value FROM meta WHERE name = 'unlinked_seq'))",
        )?
        .execute([horizon, STEP_CHANGES])?;
    Ok(gone > 0)
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
pub(in crate::log::embedded) fn remember_seq(tables: &Tables<'_>) -> Result<(), Fault> {
    tables
        .db
        .prepare_cached("INSERT INTO meta (name, value) VALUES ('last_seq', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value")?
        .execute([tables.memory.next_seq - 1])?;
    Ok(())
}
