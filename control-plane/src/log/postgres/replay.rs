//! What operators do with deliveries: put them back, make more of an event, or drop those of a webhook that is gone.

use super::Shared;
use super::append::{order_hash, status, storable, version};
use super::fault::Fault;
use super::leases::{NOW, noted};
use crate::log::stored::parse_delivery_id;
use crate::log::{LogError, NewDelivery, PutBack};

/// Deliveries dropped in one transaction.
const DROP_STEP: i64 = 500;

/// As `add_deliveries_v1` says it.
const NO_EVENT: &str = "HK003";

/// Puts deliveries that are settled or held back to pending, attempts at 0. Says how many.
pub(super) async fn replay(shared: &Shared, deliveries: &[PutBack]) -> Result<u32, LogError> {
    let (mut events, mut numbers, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for put_back in deliveries {
        if let Some((event, n)) = parse_delivery_id(&put_back.delivery_id)
            && let Ok(n) = i32::try_from(n)
        {
            events.push(event);
            numbers.push(n);
            versions.push(put_back.mapping_version.map(version));
        }
    }
    // An id that a listener used again in another group means the first one.
    let sql = format!(
        "WITH {NOW}, named AS MATERIALIZED (
             SELECT DISTINCT ON (s.event_id, s.n) e.group_uid, s.event_id, s.n, s.version
             FROM unnest($1::text[], $2::int[], $3::int[]) AS s (event_id, n, version) JOIN events e ON e.id = s.event_id AND s.n BETWEEN 1 AND e.deliveries
             ORDER BY s.event_id, s.n, e.seq
         ), found AS MATERIALIZED (
             SELECT d.group_uid, d.event_id, d.n, named.version
             FROM named JOIN deliveries d ON d.group_uid = named.group_uid AND d.event_id = named.event_id AND d.n = named.n
             WHERE d.status NOT IN (1, 2) ORDER BY d.group_uid, d.event_id, d.n FOR UPDATE OF d
         ), d AS (
             UPDATE deliveries SET status = 1, attempts = 0, due = now.ms, lease = 0, updated = now.ms, reason = '',
                 turn = CASE WHEN order_hash <> 0 THEN 1 ELSE 0 END, mapping_version = coalesce(found.version, mapping_version)
             FROM found, now
             WHERE deliveries.group_uid = found.group_uid AND deliveries.event_id = found.event_id AND deliveries.n = found.n
             RETURNING deliveries.*
         ), {noted}
         SELECT count(*), ARRAY(SELECT DISTINCT webhook_uid FROM d) FROM d",
        noted = noted("d"),
    );
    let mut session = shared.pool.call().await?;
    let before = session.warnings();
    let row = session
        .query_opt(&sql, &[&events, &numbers, &versions])
        .await?;
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
             (SELECT group_uid, event_id, n FROM deliveries WHERE webhook_uid = $1 AND status = 1 AND turn = 0 AND destination = '' LIMIT $3)
             UNION ALL (SELECT group_uid, event_id, n FROM deliveries WHERE webhook_uid = $1 AND status = 1 AND turn = 0 AND destination <> '' LIMIT $3)
             UNION ALL (SELECT group_uid, event_id, n FROM deliveries WHERE webhook_uid = $1 AND status = 1 AND turn > 0 LIMIT $3)
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

/// Makes deliveries of an event that is kept, but for those that it has. Says how many.
pub(super) async fn add_deliveries(
    shared: &Shared,
    event_id: &str,
    deliveries: Vec<NewDelivery>,
) -> Result<u32, LogError> {
    let new: Vec<NewDelivery> = deliveries.into_iter().map(storable).collect();
    let texts = |of: fn(&NewDelivery) -> &str| new.iter().map(of).collect::<Vec<_>>();
    let hashes: Vec<i64> = new.iter().map(|new| order_hash(&new.order_key)).collect();
    let versions: Vec<i32> = new.iter().map(|new| version(new.mapping_version)).collect();
    let statuses: Vec<i16> = new.iter().map(status).collect();
    let mut session = shared.pool.call().await?;
    let before = session.warnings();
    let made = session
        .query(
            "SELECT webhook_uid, status FROM add_deliveries_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            &[
                &event_id,
                &texts(|new| &new.webhook_uid),
                &texts(|new| &new.webhook),
                &texts(|new| &new.destination),
                &texts(|new| &new.order_key),
                &hashes,
                &versions,
                &statuses,
                &texts(|new| new.hold.as_deref().unwrap_or("")),
                &texts(|new| &new.idempotency_key),
            ],
        )
        .await;
    let made = match made {
        Err(fault)
            if fault
                .code
                .as_ref()
                .is_some_and(|code| code.code() == NO_EVENT) =>
        {
            return Err(LogError::NotFound(format!("event {event_id}")));
        }
        made => made?,
    };
    session.check_warnings(before)?;
    drop(session);
    let mut webhooks = Vec::new();
    for row in &made {
        let status: i16 = row.try_get(1).map_err(Fault::from)?;
        if status == 1 {
            webhooks.push(row.try_get(0).map_err(Fault::from)?);
        } else {
            shared.counted().held += 1;
        }
    }
    if !made.is_empty() {
        shared.wake.kept(webhooks);
    }
    Ok(u32::try_from(made.len()).unwrap_or(u32::MAX))
}

fn count(row: Option<&tokio_postgres::Row>, at: usize) -> Result<u32, Fault> {
    let counted: i64 = row.map(|row| row.try_get(at)).transpose()?.unwrap_or(0);
    Ok(u32::try_from(counted).unwrap_or(u32::MAX))
}
