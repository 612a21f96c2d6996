//! What was learned of each event type, as whoever learns it gave it.

use bytes::Bytes;

use super::Shared;
use super::fault::Fault;
use super::statement::text;
use crate::log::{LogError, MAX_SHAPE_BYTES, MAX_SHAPES};

/// Of one group.
pub(super) async fn shapes(
    shared: &Shared,
    group_uid: &str,
) -> Result<Vec<(String, Bytes)>, LogError> {
    let mut session = shared.pool.read().await?;
    let sql = "SELECT type, record FROM shapes WHERE group_uid = $1 ORDER BY type";
    let rows = session.query(sql, &[&group_uid]).await?;
    let read = |row: &tokio_postgres::Row| -> Result<_, Fault> {
        let record: Vec<u8> = row.try_get(1)?;
        Ok((row.try_get(0)?, record.into()))
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// In place of what was; what is too large or one type too many is not kept.
pub(super) async fn remember(
    shared: &Shared,
    group_uid: &str,
    event_type: &str,
    record: Bytes,
) -> Result<(), LogError> {
    if record.len() > MAX_SHAPE_BYTES {
        return Ok(());
    }
    // Replicas that remember a new type at the same moment don't see each other's: a group can have one more for each.
    let sql = "INSERT INTO shapes (group_uid, type, record) SELECT $1, $2, $3
        WHERE (SELECT count(*) FROM shapes WHERE group_uid = $1) < $4 OR EXISTS (SELECT FROM shapes WHERE group_uid = $1 AND type = $2)
        ON CONFLICT (group_uid, type) DO UPDATE SET record = excluded.record";
    let most = i64::try_from(MAX_SHAPES).unwrap_or(i64::MAX);
    let mut session = shared.pool.call().await?;
    session
        .query(sql, &[&group_uid, &text(event_type), &&record[..], &most])
        .await?;
    Ok(())
}
