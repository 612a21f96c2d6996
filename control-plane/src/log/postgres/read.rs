//! Rows as they are read, and single ones by their id. Lists are in `list`, the tail is in `tail`.

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use hookplane_rules::time::to_wire;
use tokio_postgres::Row;

use super::Shared;
use super::attempts;
use super::fault::Fault;
use crate::log::stored::{self, parse_delivery_id};
use crate::log::{Cursor, LogError};

/// What [`delivery_at`] reads, of `deliveries d JOIN events e`.
pub(super) const DELIVERY_COLUMNS: &str = "d.event_id, d.n, d.org, e.group_name, d.webhook, d.webhook_uid, d.status, d.attempts, d.reason, \
     d.idempotency_key, d.created, d.updated, e.type, d.destination, d.order_key, d.mapping_version, \
     CASE WHEN d.status = 1 THEN d.due END AS next_due";

/// How many those are.
pub(super) const DELIVERY_WIDTH: usize = 17;

/// What [`event_at`] reads, of `events e`.
pub(super) const EVENT_COLUMNS: &str = "e.id, e.flags, e.duplicate_of, e.record, \
     coalesce((SELECT u.count FROM duplicates u WHERE u.group_uid = e.group_uid AND u.event_id = e.id), 0)";

/// How many those are.
pub(super) const EVENT_WIDTH: usize = 5;

/// How a delivery and its event belong together.
pub(super) const OF_EVENT: &str = "e.group_uid = d.group_uid AND e.id = d.event_id";

/// The event of `d`, looked up for each by itself: `OFFSET 0` keeps the planner from joining it in another way.
pub(super) const EVENT_OF_IT: &str = "LATERAL (SELECT * FROM events e WHERE e.group_uid = d.group_uid AND e.id = d.event_id OFFSET 0) e";

/// A delivery from a row, its columns beginning at `at`.
pub(super) fn delivery_at(row: &Row, at: usize) -> Result<v1::Delivery, Fault> {
    let event_id: String = row.try_get(at)?;
    let attempts: i32 = row.try_get(at + 7)?;
    let next_due: Option<i64> = row.try_get(at + 16)?;
    Ok(v1::Delivery {
        id: format!("{event_id}-{}", row.try_get::<_, i32>(at + 1)?),
        event_id,
        org: row.try_get(at + 2)?,
        group: row.try_get(at + 3)?,
        webhook: row.try_get(at + 4)?,
        webhook_uid: row.try_get(at + 5)?,
        status: row.try_get::<_, i16>(at + 6)?.into(),
        attempts: u32::try_from(attempts).unwrap_or(0),
        reason: row.try_get(at + 8)?,
        idempotency_key: row.try_get(at + 9)?,
        create_time: Some(to_wire(Timestamp(row.try_get(at + 10)?))),
        update_time: Some(to_wire(Timestamp(row.try_get(at + 11)?))),
        event_type: row.try_get(at + 12)?,
        destination: row.try_get(at + 13)?,
        order_key: row.try_get(at + 14)?,
        mapping_version: u32::try_from(row.try_get::<_, i32>(at + 15)?).unwrap_or(0),
        next_attempt_time: next_due.map(|due| to_wire(Timestamp(due))),
        history: Vec::new(),
    })
}

/// An event from a row, its columns beginning at `at`.
pub(super) fn event_at(row: &Row, at: usize) -> Result<v1::Event, LogError> {
    let read = || -> Result<_, Fault> {
        let id: String = row.try_get(at)?;
        Ok((id, row.try_get(at + 1)?, row.try_get(at + 2)?))
    };
    let (id, flags, duplicate_of) = read()?;
    let record: &[u8] = row.try_get(at + 3).map_err(Fault::from)?;
    let duplicates = row.try_get(at + 4).map_err(Fault::from)?;
    stored::event(record, flags, duplicate_of, duplicates).map_err(|_| {
        LogError::Damaged(format!(
            "the record of event {id} can't be decoded; restore the database from a backup"
        ))
    })
}

/// One event. An id that a listener used again in another group means the first one.
pub(super) async fn event(shared: &Shared, id: &str) -> Result<v1::Event, LogError> {
    let sql =
        format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.id = $1 ORDER BY e.seq LIMIT 1");
    let row = shared.pool.read().await?.query_opt(&sql, &[&id]).await?;
    match row {
        Some(row) => event_at(&row, 0),
        None => Err(LogError::NotFound(format!("event {id}"))),
    }
}

/// One delivery, with its history.
pub(super) async fn delivery(shared: &Shared, id: &str) -> Result<v1::Delivery, LogError> {
    let missing = || LogError::NotFound(format!("delivery {id}"));
    let (event_id, n) = parse_delivery_id(id).ok_or_else(missing)?;
    let n = i32::try_from(n).map_err(|_| missing())?;
    let sql = format!(
        "SELECT {DELIVERY_COLUMNS}, d.group_uid FROM events e JOIN deliveries d ON {OF_EVENT} WHERE e.id = $1 AND d.n = $2 ORDER BY e.seq LIMIT 1"
    );
    let mut session = shared.pool.read().await?;
    let row = session.query_opt(&sql, &[&event_id, &n]).await?;
    let row = row.ok_or_else(missing)?;
    let group_uid: &str = row.try_get(DELIVERY_WIDTH).map_err(Fault::from)?;
    Ok(v1::Delivery {
        history: attempts::history(&mut session, group_uid, event_id, n).await?,
        ..delivery_at(&row, 0)?
    })
}

pub(super) fn seq(cursor: Cursor) -> i64 {
    i64::try_from(cursor.0).unwrap_or(i64::MAX)
}

pub(super) fn cursor(seq: i64) -> Cursor {
    Cursor(u64::try_from(seq).unwrap_or(0))
}
