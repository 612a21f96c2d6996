//! What was learned of event types, as it was given.

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::fault::Fault;
use super::tables::Tables;
use crate::log::MAX_SHAPES;

pub(super) fn of(db: &Connection, group_uid: &str) -> Result<Vec<(String, Bytes)>, Fault> {
    let mut read =
        db.prepare_cached("SELECT type, record FROM shapes WHERE group_uid = ?1 ORDER BY type")?;
    let rows = read.query_map([group_uid], |row| {
        Ok((row.get(0)?, Bytes::from(row.get::<_, Vec<u8>>(1)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// In place of what was, or where there is room.
pub(super) fn remember(
    tables: &Tables<'_>,
    group_uid: &str,
    event_type: &str,
    record: &[u8],
) -> Result<(), Fault> {
    let renewed = tables
        .db
        .prepare_cached("UPDATE shapes SET record = ?3 WHERE group_uid = ?1 AND type = ?2")?
        .execute(params![group_uid, event_type, record])?;
    if renewed == 0 {
        tables
            .db
            .prepare_cached(
                "INSERT INTO shapes (group_uid, type, record) SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM shapes WHERE group_uid = ?1) < ?4",
            )?
            .execute(params![group_uid, event_type, record, i64::try_from(MAX_SHAPES).unwrap_or(0)])?;
    }
    Ok(())
}

pub(super) fn forget(tables: &Tables<'_>, group_uid: &str) -> Result<(), Fault> {
    tables
        .db
        .prepare_cached("DELETE FROM shapes WHERE group_uid = ?1")?
        .execute([group_uid])?;
    Ok(())
}
