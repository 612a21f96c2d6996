//! Makes deliveries: with their event, or of one that is kept already.

use hookplane_proto::v1::DeliveryStatus;
use rusqlite::{OptionalExtension, params};

use super::fault::Fault;
use super::order;
use super::tables::Tables;
use crate::log::{LogError, NewDelivery};

/// Where a delivery goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) seq: i64,
    pub(super) event_seq: i64,
    pub(super) org: &'a str,
    pub(super) group_uid: &'a str,
    /// Its event has one for the same webhook.
    pub(super) further: bool,
    /// 0: behind its event; else which of the event's it is.
    pub(super) added: i64,
}

pub(super) fn insert(
    tables: &mut Tables<'_>,
    place: Place<'_>,
    delivery: &NewDelivery,
) -> Result<(), Fault> {
    let status = match delivery.hold {
        Some(_) => {
            tables.memory.counted.held += 1;
            DeliveryStatus::Held
        }
        None => DeliveryStatus::Pending,
    };
    let waits = !delivery.order_key.is_empty() && status == DeliveryStatus::Pending;
    let due = tables.memory.time.now();
    tables
        .db
        .prepare_cached(
            "INSERT INTO deliveries (seq, event_seq, webhook_uid, webhook, status, attempts, due, created, updated, reason, idempotency_key,
                                     destination, order_key, mapping_version, waits, further, added)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            place.seq,
            place.event_seq,
            delivery.webhook_uid,
            delivery.webhook,
            status as i32,
            due,
            tables.clock,
            delivery.hold.as_deref().unwrap_or(""),
            delivery.idempotency_key,
            delivery.destination,
            delivery.order_key,
            delivery.mapping_version,
            waits,
            place.further,
            place.added,
        ])?;
    if waits {
        order::let_next(tables.db, place.seq)?;
    }
    let queues = &mut tables.memory.queues;
    if !queues.knows(&delivery.webhook_uid, &delivery.destination) {
        tables
            .db
            .prepare_cached("INSERT OR IGNORE INTO queues (webhook_uid, destination, org, group_uid) VALUES (?1, ?2, ?3, ?4)")?
            .execute([
                &*delivery.webhook_uid,
                &*delivery.destination,
                place.org,
                place.group_uid,
            ])?;
        queues.put(&delivery.webhook_uid, &delivery.destination);
    }
    Ok(())
}

/// Makes those that the event doesn't have. Says how many.
pub(super) fn add(
    tables: &mut Tables<'_>,
    event_id: &str,
    deliveries: &[NewDelivery],
) -> Result<u32, Fault> {
    let event: Option<(i64, i64, String, String)> = tables
        .db
        .prepare_cached("SELECT seq, deliveries, org, group_uid FROM events WHERE id = ?1")?
        .query_row([event_id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((event_seq, made, org, group_uid)) = event else {
        let unknown = LogError::NotFound(format!("event {event_id}"));
        return Err(Fault::Own(unknown));
    };
    let mut there: Vec<(String, String)> = tables
        .db
        .prepare_cached(
            "SELECT webhook_uid, destination FROM deliveries WHERE seq > ?1 AND seq <= ?1 + ?2
             UNION ALL SELECT d.webhook_uid, d.destination FROM added a CROSS JOIN deliveries d ON d.seq = a.seq WHERE a.event_seq = ?1",
        )?
        .query_map([event_seq, made], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let last: i64 = tables
        .db
        .prepare_cached("SELECT coalesce(max(n), ?2) FROM added WHERE event_seq = ?1")?
        .query_row([event_seq, made], |row| row.get(0))?;
    let mut n = last;
    for delivery in deliveries {
        let queue = (delivery.webhook_uid.clone(), delivery.destination.clone());
        if there.contains(&queue) {
            continue;
        }
        n += 1;
        let place = Place {
            seq: tables.take_seqs(1),
            event_seq,
            org: &org,
            group_uid: &group_uid,
            further: there.iter().any(|(webhook, _)| *webhook == queue.0),
            added: n,
        };
        insert(tables, place, delivery)?;
        tables
            .db
            .prepare_cached("INSERT INTO added (seq, event_seq, n, org, group_uid, webhook_uid) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![place.seq, event_seq, n, org, group_uid, delivery.webhook_uid])?;
        there.push(queue);
    }
    Ok(u32::try_from(n - last).unwrap_or(u32::MAX))
}
