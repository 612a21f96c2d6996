//! How much is kept of each group: counted as it is indexed, and what isn't yet.

use super::Shared;
use super::fault::Fault;
use super::pool::Session;
use crate::log::{LogError, Usage};

/// Events behind the mark that are counted when somebody asks: more are only missing while what was kept before is indexed.
const LATELY: i64 = 10_000;

/// What is kept of each group that has something: also where what was counted says otherwise.
pub(super) async fn usage(shared: &Shared) -> Result<Vec<Usage>, LogError> {
    let sql = format!(
        "WITH RECURSIVE there AS (
             (SELECT group_uid, org FROM events ORDER BY group_uid, seq LIMIT 1)
             UNION ALL
             SELECT next.group_uid, next.org FROM there, LATERAL (
                 SELECT group_uid, org FROM events WHERE group_uid > there.group_uid ORDER BY group_uid, seq LIMIT 1
             ) AS next
         )
         SELECT min(org), group_uid, sum(events)::bigint, sum(bytes)::bigint FROM (
             SELECT org, group_uid, events, bytes, false AS has_some FROM totals
             UNION ALL
             SELECT org, group_uid, 0, 0, true FROM there
             UNION ALL
             (SELECT org, group_uid, 1, octet_length(record), true FROM events WHERE seq > (SELECT seq FROM text_mark) ORDER BY seq LIMIT {LATELY})
         ) AS parts GROUP BY group_uid HAVING sum(events) > 0 OR bool_or(has_some) ORDER BY group_uid"
    );
    let mut session = shared.pool.read().await?;
    let rows = session.query(&sql, &[]).await?;
    let read = |row: &tokio_postgres::Row| -> Result<Usage, Fault> {
        Ok(Usage {
            org: row.try_get(0)?,
            group_uid: row.try_get(1)?,
            events: u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or_default(),
            bytes: u64::try_from(row.try_get::<_, i64>(3)?).unwrap_or_default(),
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// Bytes of one group.
pub(super) async fn bytes(session: &mut Session<'_>, group_uid: &str) -> Result<i64, Fault> {
    let sql = format!(
        "SELECT coalesce((SELECT bytes FROM totals WHERE group_uid = $1), 0) + coalesce((SELECT sum(bytes) FROM (
             SELECT octet_length(record)::bigint AS bytes FROM events
             WHERE group_uid = $1 AND seq > (SELECT seq FROM text_mark) ORDER BY seq LIMIT {LATELY}
         ) AS lately), 0)::bigint"
    );
    let row = session.query_opt(&sql, &[&group_uid]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
}
