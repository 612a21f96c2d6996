//! Rows as they are read, and single ones by their id. Lists are in `list`, the tail is in `tail`.

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use hookplane_rules::time::to_wire;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::attempts;
use super::fault::Fault;
use super::index::Words;
use super::schema::checksum;
use crate::log::stored::{self, parse_delivery_id};
use crate::log::{Cursor, LogError};

/// What [`RawDelivery::read`] reads, of `deliveries d JOIN events e`.
pub(super) const DELIVERY_COLUMNS: &str = "d.seq, d.event_seq, e.id, e.org, e.group_name, d.webhook, d.webhook_uid, d.status, d.attempts, d.reason, \
     d.idempotency_key, d.created, d.updated, e.type, d.destination, d.order_key, d.mapping_version, d.added, d.due";

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
    pub(super) reason: String,
    idempotency_key: String,
    created: i64,
    pub(super) updated: i64,
    event_type: String,
    pub(super) destination: String,
    pub(super) order_key: String,
    pub(super) mapping_version: i64,
    added: i64,
    due: i64,
}

impl RawDelivery {
    pub(super) const COLUMNS: usize = 19;

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
            destination: row.get(at + 14)?,
            order_key: row.get(at + 15)?,
            mapping_version: row.get(at + 16)?,
            added: row.get(at + 17)?,
            due: row.get(at + 18)?,
        })
    }

    pub(super) fn decode(self) -> v1::Delivery {
        let n = match self.added {
            0 => self.seq - self.event_seq,
            n => n,
        };
        let pending = self.status == i64::from(v1::DeliveryStatus::Pending as i32);
        v1::Delivery {
            id: format!("{}-{n}", self.event_id),
            event_id: self.event_id,
            org: self.org,
            group: self.group,
            webhook: self.webhook,
            webhook_uid: self.webhook_uid,
            status: i32::try_from(self.status).unwrap_or(0),
            attempts: u32::try_from(self.attempts).unwrap_or(0),
            reason: self.reason,
            idempotency_key: self.idempotency_key,
            create_time: Some(to_wire(Timestamp(self.created))),
            update_time: Some(to_wire(Timestamp(self.updated))),
            event_type: self.event_type,
            destination: self.destination,
            order_key: self.order_key,
            mapping_version: u32::try_from(self.mapping_version).unwrap_or(0),
            next_attempt_time: pending.then(|| to_wire(Timestamp(self.due))),
            ..Default::default()
        }
    }
}

/// A row of an event.
#[derive(Clone)]
pub(super) struct RawEvent {
    pub(super) seq: i64,
    flags: i64,
    duplicate_of: Option<String>,
    checksum: i64,
    record: Vec<u8>,
    duplicates: i64,
}

impl RawEvent {
    pub(super) const COLUMNS: usize = 6;

    /// Of its record.
    pub(super) fn bytes(&self) -> usize {
        self.record.len()
    }

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
        stored::event(&self.record, self.flags, self.duplicate_of, self.duplicates)
            .map_err(|_| damaged("can't be decoded"))
    }
}

impl RawEvent {
    /// Whether it has the words that are looked for.
    pub(super) fn has(&self, words: &Words) -> Result<bool, Fault> {
        match self.clone().decode() {
            Ok(event) => Ok(words.are_in(&event)),
            Err(LogError::Damaged(what)) => Err(Fault::Damaged(what)),
            Err(error) => Err(Fault::Own(error)),
        }
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

/// A delivery's number, by its id: behind its event, or added later.
pub(super) fn place(db: &Connection, id: &str) -> Result<Option<i64>, Fault> {
    let Some((event_id, n)) = parse_delivery_id(id) else {
        return Ok(None);
    };
    Ok(db
        .prepare_cached(
            "SELECT e.seq + ?2 FROM events e WHERE e.id = ?1 AND ?2 BETWEEN 1 AND e.deliveries
             UNION ALL SELECT a.seq FROM events e CROSS JOIN added a ON a.event_seq = e.seq WHERE e.id = ?1 AND a.n = ?2",
        )?
        .query_row(params![event_id, n], |row| row.get(0))
        .optional()?)
}

/// Records of attempts, oldest first.
type Attempts = Vec<Vec<u8>>;

/// One delivery with the records of its attempts.
pub(super) fn delivery(
    db: &Connection,
    id: &str,
) -> Result<Option<(RawDelivery, Attempts)>, Fault> {
    let Some(seq) = place(db, id)? else {
        return Ok(None);
    };
    let Some(delivery) = delivery_at(db, seq)? else {
        return Ok(None);
    };
    Ok(Some((delivery, attempts::of(db, seq)?)))
}

pub(super) fn delivery_at(db: &Connection, seq: i64) -> Result<Option<RawDelivery>, Fault> {
    Ok(db
        .prepare_cached(&format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries d CROSS JOIN events e ON e.seq = d.event_seq WHERE d.seq = ?1"
        ))?
        .query_row([seq], |row| RawDelivery::read(row, 0))
        .optional()?)
}

pub(super) fn event_at(db: &Connection, seq: i64) -> Result<Option<RawEvent>, Fault> {
    Ok(db
        .prepare_cached(&format!(
            "SELECT {EVENT_COLUMNS} FROM events e WHERE e.seq = ?1"
        ))?
        .query_row([seq], |row| RawEvent::read(row, 0))
        .optional()?)
}

pub(super) fn seq(cursor: Cursor) -> i64 {
    i64::try_from(cursor.0).unwrap_or(i64::MAX)
}

pub(super) fn cursor(seq: i64) -> Cursor {
    Cursor(u64::try_from(seq).unwrap_or(0))
}
