//! What readers ask: single things, lists newest first, and the tail.
//!
//! Every selection walks an index in the order of the answer and filters on columns of that index, so a page costs what it shows and never a sort.

use hookplane_proto::v1;
use prost::Message;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::fault::Fault;
use super::schema::checksum;
use crate::log::{Cursor, LogError, Selection, TailItem};

/// What [`RawDelivery::read`] reads, of `deliveries d JOIN events e`.
pub(super) const DELIVERY_COLUMNS: &str = "d.seq, d.event_seq, e.id, e.org, e.group_name, d.webhook, d.webhook_uid, d.status, d.attempts, d.reason, \
     d.idempotency_key, d.created, d.updated, e.type";

/// What [`RawEvent::read`] reads, of `events e`.
pub(super) const EVENT_COLUMNS: &str = "e.seq, e.flags, e.duplicate_of, e.checksum, e.record, \
     coalesce((SELECT count FROM duplicates WHERE event_id = e.id), 0)";

/// A row of a delivery.
#[derive(Debug, Clone)]
pub(super) struct RawDelivery {
    pub(super) seq: i64,
    event_seq: i64,
    event_id: String,
    org: String,
    group: String,
    webhook: String,
    webhook_uid: String,
    pub(super) status: i64,
    pub(super) attempts: i64,
    reason: String,
    idempotency_key: String,
    created: i64,
    pub(super) updated: i64,
    event_type: String,
}

impl RawDelivery {
    pub(super) const COLUMNS: usize = 14;

    pub(super) fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(at)?,
            event_seq: row.get(at + 1)?,
            event_id: row.get(at + 2)?,
            org: row.get(at + 3)?,
            group: row.get(at + 4)?,
            webhook: row.get(at + 5)?,
            webhook_uid: row.get(at + 6)?,
            status: row.get(at + 7)?,
            attempts: row.get(at + 8)?,
            reason: row.get(at + 9)?,
            idempotency_key: row.get(at + 10)?,
            created: row.get(at + 11)?,
            updated: row.get(at + 12)?,
            event_type: row.get(at + 13)?,
        })
    }

    pub(super) fn decode(self) -> v1::Delivery {
        v1::Delivery {
            id: format!("{}-{}", self.event_id, self.seq - self.event_seq),
            event_id: self.event_id,
            org: self.org,
            group: self.group,
            webhook: self.webhook,
            webhook_uid: self.webhook_uid,
            status: i32::try_from(self.status).unwrap_or(0),
            attempts: u32::try_from(self.attempts).unwrap_or(0),
            reason: self.reason,
            idempotency_key: self.idempotency_key,
            create_time: Some(stamp(self.created)),
            update_time: Some(stamp(self.updated)),
            event_type: self.event_type,
        }
    }
}

fn stamp(millis: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: millis.div_euclid(1000),
        nanos: i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or(0),
    }
}

/// A row of an event.
pub(super) struct RawEvent {
    seq: i64,
    flags: i64,
    duplicate_of: Option<String>,
    checksum: i64,
    record: Vec<u8>,
    duplicates: i64,
}

impl RawEvent {
    pub(super) fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(at)?,
            flags: row.get(at + 1)?,
            duplicate_of: row.get(at + 2)?,
            checksum: row.get(at + 3)?,
            record: row.get(at + 4)?,
            duplicates: row.get(at + 5)?,
        })
    }

    /// Not done by the writer: it costs more than the rest of a lease.
    pub(super) fn decode(self) -> Result<v1::Event, LogError> {
        let damaged = |why: &str| {
            LogError::Damaged(format!(
                "the record of event {} {why}; restore the log from a backup",
                self.seq
            ))
        };
        if checksum(&self.record) != self.checksum {
            return Err(damaged("is not what was written"));
        }
        let mut event =
            v1::Event::decode(self.record.as_slice()).map_err(|_| damaged("can't be decoded"))?;
        for flag in 1..i32::try_from(i64::BITS).unwrap_or(0) {
            if self.flags & (1 << flag) != 0 && !event.flags.contains(&flag) {
                event.flags.push(flag);
            }
        }
        if let Some(of) = self.duplicate_of {
            event.duplicate_of = of;
        }
        event.duplicates = u32::try_from(self.duplicates).unwrap_or(u32::MAX);
        Ok(event)
    }
}

pub(super) fn event(db: &Connection, id: &str) -> Result<Option<RawEvent>, Fault> {
    Ok(db
        .prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS} FROM events e WHERE e.id = ?1"
        ))?
        .query_row([id], |row| RawEvent::read(row, 0))
        .optional()?)
}

/// A delivery's id: its event's, and which of the event's it is.
pub(super) fn parse_delivery_id(id: &str) -> Option<(&str, i64)> {
    let (event, ordinal) = id.rsplit_once('-')?;
    let plain = !ordinal.starts_with('0') && ordinal.bytes().all(|byte| byte.is_ascii_digit());
    Some((event, ordinal.parse().ok().filter(|_| plain)?))
}

pub(super) fn delivery(db: &Connection, id: &str) -> Result<Option<RawDelivery>, Fault> {
    let Some((event_id, ordinal)) = parse_delivery_id(id) else {
        return Ok(None);
    };
    Ok(db
        .prepare_cached(&format!(
            "SELECT {DELIVERY_COLUMNS} FROM events e JOIN deliveries d ON d.seq = e.seq + ?2
             WHERE e.id = ?1 AND ?2 BETWEEN 1 AND e.deliveries"
        ))?
        .query_row(params![event_id, ordinal], |row| RawDelivery::read(row, 0))
        .optional()?)
}

/// A WHERE clause with its values.
#[derive(Default)]
struct Where {
    sql: String,
    values: Vec<Value>,
}

impl Where {
    fn and(&mut self, clause: &str, value: impl Into<Value>) {
        self.sql.push_str(if self.sql.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        self.sql.push_str(clause);
        self.values.push(value.into());
    }

    /// What concerns the event of a selection.
    fn event(&mut self, selection: &Selection) {
        if let Some(id) = &selection.event_id {
            self.and("e.id = ?", id.clone());
        }
        if let Some(name) = &selection.event_type {
            // The character after a dot ends what is below it.
            self.and("(e.type = ?", name.clone());
            self.sql.push_str(" OR (e.type >= ? AND e.type < ?))");
            self.values.push(format!("{name}.").into());
            self.values.push(format!("{name}/").into());
        }
        if let Some(since) = selection.since {
            self.and("e.received >= ?", since.0);
        }
        if let Some(until) = selection.until {
            self.and("e.received < ?", until.0);
        }
    }

    /// The narrowest of what an index leads with.
    fn scope(&mut self, table: char, selection: &Selection) {
        match (&selection.group_uid, &selection.org) {
            (Some(group), org) => {
                self.and(&format!("{table}.group_uid = ?"), group.clone());
                if let Some(org) = org {
                    // The plus keeps the planner on the group's index.
                    self.and(&format!("+{table}.org = ?"), org.clone());
                }
            }
            (None, Some(org)) => self.and(&format!("{table}.org = ?"), org.clone()),
            (None, None) => {}
        }
    }

    fn limit(&mut self, limit: usize) {
        self.values
            .push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    }
}

fn seq(cursor: Cursor) -> i64 {
    i64::try_from(cursor.0).unwrap_or(i64::MAX)
}

fn cursor(seq: i64) -> Cursor {
    Cursor(u64::try_from(seq).unwrap_or(0))
}

pub(super) fn events(
    db: &Connection,
    selection: &Selection,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Vec<(Cursor, RawEvent)>, Fault> {
    let mut clause = Where::default();
    clause.scope('e', selection);
    clause.event(selection);
    if let Some(webhook) = &selection.webhook_uid {
        clause.and(
            "EXISTS (SELECT 1 FROM deliveries d WHERE d.seq > e.seq AND d.seq <= e.seq + e.deliveries AND +d.webhook_uid = ?)",
            webhook.clone(),
        );
    }
    if let Some(status) = selection.status {
        clause.and(
            "EXISTS (SELECT 1 FROM deliveries d WHERE d.seq > e.seq AND d.seq <= e.seq + e.deliveries AND +d.status = ?)",
            i64::from(status as i32),
        );
    }
    if let Some(before) = before {
        clause.and("e.seq < ?", seq(before));
    }
    clause.limit(limit);
    let mut statement = db.prepare_cached(&format!(
        "SELECT {EVENT_COLUMNS} FROM events e{} ORDER BY e.seq DESC LIMIT ?",
        clause.sql
    ))?;
    let rows = statement.query_map(params_from_iter(clause.values), |row| {
        let event = RawEvent::read(row, 0)?;
        Ok((cursor(event.seq), event))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn delivery_clause(selection: &Selection) -> Where {
    let mut clause = Where::default();
    match &selection.webhook_uid {
        Some(webhook) => {
            clause.and("d.webhook_uid = ?", webhook.clone());
            if let Some(group) = &selection.group_uid {
                clause.and("+d.group_uid = ?", group.clone());
            }
            if let Some(org) = &selection.org {
                clause.and("+d.org = ?", org.clone());
            }
        }
        None => clause.scope('d', selection),
    }
    clause.event(selection);
    clause
}

pub(super) fn deliveries(
    db: &Connection,
    selection: &Selection,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Vec<(Cursor, RawDelivery)>, Fault> {
    let mut clause = delivery_clause(selection);
    if let Some(status) = selection.status {
        // Written out, so that the planner sees what the partial indices hold.
        let status = status as i32;
        clause.sql.push_str(if clause.sql.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        clause.sql.push_str(&format!("d.status = {status}"));
        if status >= v1::DeliveryStatus::Held as i32 {
            // SQLite sees an index's own condition and draws no conclusions.
            clause.sql.push_str(" AND d.status >= 4");
        }
    }
    if let Some(before) = before {
        clause.and("d.seq < ?", seq(before));
    }
    // By event: its deliveries follow it on the line.
    let join = if selection.event_id.is_some() {
        "events e CROSS JOIN deliveries d ON d.seq > e.seq AND d.seq <= e.seq + e.deliveries"
    } else {
        "deliveries d CROSS JOIN events e ON e.seq = d.event_seq"
    };
    clause.limit(limit);
    let mut statement = db.prepare_cached(&format!(
        "SELECT {DELIVERY_COLUMNS} FROM {join}{} ORDER BY d.seq DESC LIMIT ?",
        clause.sql
    ))?;
    let rows = statement.query_map(params_from_iter(clause.values), |row| {
        let delivery = RawDelivery::read(row, 0)?;
        Ok((cursor(delivery.seq), delivery))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A line of the tail before it is decoded.
pub(super) struct RawItem {
    seq: i64,
    event: RawEvent,
    delivery: Option<RawDelivery>,
    change: bool,
}

impl RawItem {
    pub(super) fn decode(self) -> Result<TailItem, LogError> {
        Ok(TailItem {
            cursor: cursor(self.seq),
            event: self.event.decode()?,
            delivery: self.delivery.map(RawDelivery::decode),
            change: self.change,
        })
    }
}

/// Three walks up the line (deliveries, events without any, changes), merged. `newest` was committed when the call began.
pub(super) fn tail(
    db: &Connection,
    selection: &Selection,
    after: Cursor,
    newest: Cursor,
    changes: bool,
    limit: usize,
) -> Result<(Vec<RawItem>, Cursor), Fault> {
    let range = [Value::Integer(seq(after)), Value::Integer(seq(newest))];
    let take = Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX));
    let mut items = Vec::new();
    let mut walk = |from: &str, at: &str, mut clause: Where, kind: Walk| -> Result<(), Fault> {
        clause.and(&format!("{at} > ?"), range[0].clone());
        clause.and(&format!("{at} <= ?"), range[1].clone());
        clause.values.push(take.clone());
        let columns = match kind {
            Walk::Events => format!("{EVENT_COLUMNS}, {at}"),
            Walk::Deliveries => format!("{EVENT_COLUMNS}, {at}, {DELIVERY_COLUMNS}"),
            Walk::Changes => {
                format!(
                    "{EVENT_COLUMNS}, {at}, {DELIVERY_COLUMNS}, c.status, c.attempts, c.reason, c.at"
                )
            }
        };
        let mut statement = db.prepare_cached(&format!(
            "SELECT {columns} FROM {from}{} ORDER BY {at} LIMIT ?",
            clause.sql
        ))?;
        let mut rows = statement.query(params_from_iter(clause.values))?;
        while let Some(row) = rows.next()? {
            let mut delivery = match kind {
                Walk::Events => None,
                _ => Some(RawDelivery::read(row, 7)?),
            };
            if let (Walk::Changes, Some(delivery)) = (kind, &mut delivery) {
                let at = 7 + RawDelivery::COLUMNS;
                delivery.status = row.get(at)?;
                delivery.attempts = row.get(at + 1)?;
                delivery.reason = row.get(at + 2)?;
                delivery.updated = row.get(at + 3)?;
            }
            let event = RawEvent::read(row, 0)?;
            items.push(RawItem {
                seq: row.get(6)?,
                event,
                delivery,
                change: kind == Walk::Changes,
            });
        }
        Ok(())
    };
    let mut clause = delivery_clause(selection);
    if let Some(status) = selection.status {
        clause.and("+d.status = ?", i64::from(status as i32));
    }
    walk(
        "deliveries d CROSS JOIN events e ON e.seq = d.event_seq",
        "d.seq",
        clause,
        Walk::Deliveries,
    )?;
    if selection.webhook_uid.is_none() && selection.status.is_none() {
        let mut clause = Where::default();
        clause.and("e.deliveries = ?", 0i64);
        clause.scope('e', selection);
        clause.event(selection);
        walk("events e", "e.seq", clause, Walk::Events)?;
    }
    if changes {
        let mut clause = delivery_clause(selection);
        if let Some(status) = selection.status {
            clause.and("c.status = ?", i64::from(status as i32));
        }
        let from = "changes c CROSS JOIN deliveries d ON d.seq = c.delivery_seq CROSS JOIN events e ON e.seq = d.event_seq";
        walk(from, "c.seq", clause, Walk::Changes)?;
    }
    items.sort_by_key(|item| item.seq);
    let more = items.len() >= limit;
    items.truncate(limit);
    let next = match items.last() {
        Some(last) if more => cursor(last.seq),
        _ => newest.max(after),
    };
    Ok((items, next))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    Deliveries,
    Events,
    Changes,
}
