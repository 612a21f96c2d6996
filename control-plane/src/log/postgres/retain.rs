//! Deletes what is settled and aged, a bounded step at a time, so that nothing waits long behind it. Several replicas may be at it at once.

use super::Shared;
use super::fault::Fault;
use super::leases::{NOW, millis};
use crate::log::LogError;

/// When what is settled may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) max_age: std::time::Duration,
    pub(super) dedup_age: std::time::Duration,
}

/// Events one step looks at.
const STEP_EVENTS: i64 = 256;

/// Changes one step looks at: they are small.
const STEP_CHANGES: i64 = 4096;

/// Dedup rows one step looks at: they are small, and neighbours share a page.
const STEP_KEYS: i64 = 4096;

/// All of it, step by step. Says how many events went.
pub(super) async fn retain(shared: &Shared, retention: Retention) -> Result<u64, LogError> {
    let age = millis(retention.max_age);
    let (mut after, mut gone) = (0i64, 0u64);
    while let Some((last, some)) = events(shared, age, after).await? {
        (after, gone) = (last, gone + some);
    }
    while changes(shared, age).await? {}
    let age = millis(retention.dedup_age).saturating_mul(2);
    let mut after = (String::new(), Vec::new());
    while let Some(last) = dedup(shared, age, &after).await? {
        after = last;
    }
    Ok(gone)
}

/// One step over the events behind one, oldest first: pending, leased and held are not settled. Says the last one looked at, and how many went.
///
/// Its deliveries are locked before they are judged, so that none that is put back meanwhile goes. One that another holds is left for the
/// next time.
async fn events(shared: &Shared, age: i64, after: i64) -> Result<Option<(i64, u64)>, Fault> {
    let sql = format!(
        "WITH {NOW}, step AS MATERIALIZED (
             SELECT group_uid, id, seq, deliveries, received < (SELECT ms FROM now) - $1 AS aged FROM events WHERE seq > $2 ORDER BY seq LIMIT $3
         ), held AS MATERIALIZED (
             SELECT d.group_uid, d.event_id, d.status NOT IN (1, 2, 4) AND d.updated < (SELECT ms FROM now) - $1 AS goes
             FROM step JOIN deliveries d ON d.group_uid = step.group_uid AND d.event_id = step.id WHERE step.aged
             ORDER BY d.group_uid, d.event_id, d.n FOR UPDATE OF d SKIP LOCKED
         ), old AS MATERIALIZED (
             SELECT group_uid, id FROM step
             WHERE aged AND deliveries = (SELECT count(*) FROM held WHERE held.group_uid = step.group_uid AND held.event_id = step.id AND goes)
         ), d AS (
             DELETE FROM deliveries d USING old WHERE d.group_uid = old.group_uid AND d.event_id = old.id
         ), u AS (
             DELETE FROM duplicates u USING old WHERE u.group_uid = old.group_uid AND u.event_id = old.id
         ), e AS (
             DELETE FROM events e USING old WHERE e.group_uid = old.group_uid AND e.id = old.id RETURNING 1
         )
         SELECT (SELECT max(seq) FROM step), (SELECT count(*) FROM e)"
    );
    let mut session = shared.pool.call().await?;
    let row = session
        .query_opt(&sql, &[&age, &after, &STEP_EVENTS])
        .await?;
    let Some(row) = row else { return Ok(None) };
    let (last, gone): (Option<i64>, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(last.map(|last| (last, gone.unsigned_abs())))
}

/// One step over the oldest changes. Says whether there may be more.
async fn changes(shared: &Shared, age: i64) -> Result<bool, Fault> {
    let sql = format!(
        "WITH {NOW}, oldest AS MATERIALIZED (SELECT group_uid, seq, at FROM changes ORDER BY seq LIMIT $2),
         gone AS (
             DELETE FROM changes c USING oldest, now
             WHERE c.group_uid = oldest.group_uid AND c.seq = oldest.seq AND oldest.at < now.ms - $1 RETURNING 1
         )
         SELECT count(*) FROM gone"
    );
    let mut session = shared.pool.call().await?;
    let row = session.query_opt(&sql, &[&age, &STEP_CHANGES]).await?;
    let gone: i64 = row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
    Ok(gone > 0)
}

/// One step over the dedup rows behind a key, in the order in which they lie: those that were seen longer ago than `age` go. Says where to go on.
///
/// The age is two windows, not one: the row of a name has to be there as long as one of another body is looked for behind it.
async fn dedup(
    shared: &Shared,
    age: i64,
    after: &(String, Vec<u8>),
) -> Result<Option<(String, Vec<u8>)>, Fault> {
    let sql = format!(
        "WITH {NOW}, step AS MATERIALIZED (
             SELECT group_uid, key, seen FROM dedup WHERE (group_uid, key) > ($2, $3) ORDER BY group_uid, key LIMIT $4
         ), gone AS (
             DELETE FROM dedup USING step, now
             WHERE dedup.group_uid = step.group_uid AND dedup.key = step.key AND step.seen < now.ms - $1 AND dedup.seen < now.ms - $1
         )
         SELECT group_uid, key FROM step ORDER BY group_uid DESC, key DESC LIMIT 1"
    );
    let mut session = shared.pool.call().await?;
    let row = session
        .query_opt(&sql, &[&age, &after.0, &after.1, &STEP_KEYS])
        .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .transpose()
}
