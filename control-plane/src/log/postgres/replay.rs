//! What operators do with deliveries: put them back, or drop those of a webhook that is gone.

use super::Shared;
use super::fault::Fault;
use super::leases::{NOW, noted};
use crate::log::LogError;
use crate::log::stored::parse_delivery_id;

/// Deliveries dropped in one transaction.
const DROP_STEP: i64 = 500;

/// Puts deliveries that are settled or held back to pending, attempts at 0. Says how many.
pub(super) async fn replay(shared: &Shared, delivery_ids: &[String]) -> Result<u32, LogError> {
    let (mut events, mut numbers) = (Vec::new(), Vec::new());
    for id in delivery_ids {
        if let Some((event, n)) = parse_delivery_id(id)
            && let Ok(n) = i32::try_from(n)
        {
            events.push(event);
            numbers.push(n);
        }
    }
    // An id that a listener used again in another group means the first one.
    let sql = format!(
        "WITH {NOW}, named AS MATERIALIZED (
             SELECT DISTINCT ON (s.event_id, s.n) e.group_uid, s.event_id, s.n
             FROM unnest($1::text[], $2::int[]) AS s (event_id, n) JOIN events e ON e.id = s.event_id AND s.n BETWEEN 1 AND e.deliveries
             ORDER BY s.event_id, s.n, e.seq
         ), found AS MATERIALIZED (
             SELECT d.group_uid, d.event_id, d.n
             FROM named JOIN deliveries d ON d.group_uid = named.group_uid AND d.event_id = named.event_id AND d.n = named.n
             WHERE d.status NOT IN (1, 2) ORDER BY d.group_uid, d.event_id, d.n FOR UPDATE OF d
         ), d AS (
             UPDATE deliveries SET status = 1, attempts = 0, due = now.ms, lease = 0, updated = now.ms, reason = '' FROM found, now
             WHERE deliveries.group_uid = found.group_uid AND deliveries.event_id = found.event_id AND deliveries.n = found.n
             RETURNING deliveries.*
         ), {noted}
         SELECT count(*), ARRAY(SELECT DISTINCT webhook_uid FROM d) FROM d",
        noted = noted("d"),
    );
    let mut session = shared.pool.call().await?;
    let before = session.warnings();
    let row = session.query_opt(&sql, &[&events, &numbers]).await?;
    session.check_warnings(before)?;
    drop(session);
    if let Some(row) = &row {
        shared.wake.kept(row.try_get(1).map_err(Fault::from)?);
    }
    Ok(count(row.as_ref(), 0)?)
}

/// Drops all unsettled deliveries of a webhook, some at a time. Says how many.
pub(super) async fn drop_deliveries(
    shared: &Shared,
    webhook_uid: &str,
    reason: &str,
) -> Result<u32, LogError> {
    // Each status by an index that holds nothing that is settled, of which a webhook can have millions.
    let sql = format!(
        "WITH {NOW}, chosen AS MATERIALIZED (
             (SELECT group_uid, event_id, n FROM deliveries WHERE webhook_uid = $1 AND status = 1 LIMIT $3)
             UNION ALL (SELECT group_uid, event_id, n FROM deliveries WHERE webhook_uid = $1 AND status = 2 LIMIT $3)
             UNION ALL (SELECT group_uid, event_id, n FROM deliveries WHERE webhook_uid = $1 AND status = 4 LIMIT $3)
         ), found AS MATERIALIZED (
             SELECT d.group_uid, d.event_id, d.n
             FROM chosen JOIN deliveries d ON d.group_uid = chosen.group_uid AND d.event_id = chosen.event_id AND d.n = chosen.n
             WHERE d.status IN (1, 2, 4) ORDER BY d.group_uid, d.event_id, d.n FOR UPDATE OF d
         ), d AS (
             UPDATE deliveries SET status = 6, lease = 0, updated = now.ms, reason = $2 FROM found, now
             WHERE deliveries.group_uid = found.group_uid AND deliveries.event_id = found.event_id AND deliveries.n = found.n
             RETURNING deliveries.*
         ), {noted}
         SELECT (SELECT count(*) FROM chosen), count(*) FROM d",
        noted = noted("d"),
    );
    let mut dropped = 0;
    loop {
        let mut session = shared.pool.call().await?;
        let before = session.warnings();
        let row = session
            .query_opt(&sql, &[&webhook_uid, &reason, &DROP_STEP])
            .await?;
        // Whoever asked forgets the webhook then, so it has to be kept.
        session.check_warnings(before)?;
        drop(session);
        let some = count(row.as_ref(), 1)?;
        dropped += some;
        shared.counted().dropped += u64::from(some);
        if some > 0 {
            shared.wake.changed();
        }
        // Those that were settled since they were chosen are not counted, and there may be more behind them.
        if count(row.as_ref(), 0)? == 0 {
            return Ok(dropped);
        }
    }
}

fn count(row: Option<&tokio_postgres::Row>, at: usize) -> Result<u32, Fault> {
    let counted: i64 = row.map(|row| row.try_get(at)).transpose()?.unwrap_or(0);
    Ok(u32::try_from(counted).unwrap_or(u32::MAX))
}
