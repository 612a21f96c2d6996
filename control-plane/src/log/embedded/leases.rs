//! Who works on what: leases, how they end, and putting deliveries back.
//!
//! A token names its delivery and attempt and is signed with the log's own key, so that an ack from a lease that has ended, even before a
//! restart, is still known as genuine.

use hmac::{Hmac, KeyInit, Mac};
use hookplane_proto::v1::DeliveryStatus;
use rusqlite::{OptionalExtension, params};
use sha2::Sha256;

use super::fault::Fault;
use super::read::{DELIVERY_COLUMNS, EVENT_COLUMNS, RawDelivery, RawEvent};
use super::tables::{Held, Tables, millis};
use crate::log::{LogError, Settlement};

/// The longest a delivery may be put off or leased, so that a wrong figure doesn't hide it for ever: 24 hours.
const MAX_DELAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Leases that are ended in one transaction, so that no append waits long behind them.
const EXPIRE_AT_ONCE: usize = 256;

/// Of the signature, in bytes: 128 bits can't be guessed.
const SIGNATURE_BYTES: usize = 16;

const PENDING: i64 = DeliveryStatus::Pending as i64;
const LEASED: i64 = DeliveryStatus::Leased as i64;
const HELD: i64 = DeliveryStatus::Held as i64;

/// A lease before its rows are decoded.
pub(super) struct RawLease {
    pub(super) token: String,
    pub(super) delivery: RawDelivery,
    pub(super) event: RawEvent,
    pub(super) expires: i64,
}

fn random() -> Result<u64, Fault> {
    getrandom::u64()
        .map_err(|error| Fault::Own(LogError::Unavailable(format!("no random numbers: {error}"))))
}

fn signature(key: &[u8; 32], named: &[u8]) -> Result<Hmac<Sha256>, Fault> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|error| Fault::Own(LogError::Unavailable(format!("lease token: {error}"))))?;
    mac.update(named);
    Ok(mac)
}

fn token(key: &[u8; 32], delivery: i64, nonce: u64) -> Result<String, Fault> {
    let mut bytes = delivery.to_be_bytes().to_vec();
    bytes.extend(nonce.to_be_bytes());
    let signature = signature(key, &bytes)?.finalize().into_bytes();
    bytes.extend(&signature[..SIGNATURE_BYTES]);
    Ok(hex::encode(bytes))
}

/// The delivery and the nonce, when we made the token.
fn parse(key: &[u8; 32], token: &str) -> Option<(i64, u64)> {
    let mut bytes = [0u8; 16 + SIGNATURE_BYTES];
    hex::decode_to_slice(token, &mut bytes).ok()?;
    let (named, signed) = bytes.split_at(16);
    signature(key, named)
        .ok()?
        .verify_truncated_left(signed)
        .ok()?;
    let (delivery, nonce) = named.split_at(8);
    Some((
        i64::from_be_bytes(delivery.try_into().ok()?),
        u64::from_be_bytes(nonce.try_into().ok()?),
    ))
}

/// Hands out what is due, oldest first.
pub(super) fn lease(
    tables: &mut Tables<'_>,
    webhook_uid: &str,
    max: usize,
    duration: std::time::Duration,
) -> Result<Vec<RawLease>, Fault> {
    let now = tables.memory.time.now();
    let expires = now + millis(duration).clamp(1, MAX_DELAY_MS);
    let mut leases = Vec::new();
    {
        let mut statement = tables.db.prepare_cached(&format!(
            "SELECT {DELIVERY_COLUMNS}, {EVENT_COLUMNS}
             FROM deliveries d INDEXED BY deliveries_pending JOIN events e ON e.seq = d.event_seq
             WHERE d.status = {PENDING} AND d.webhook_uid = ?1 AND d.due <= ?2 ORDER BY d.due, d.seq LIMIT ?3"
        ))?;
        let mut rows = statement.query(params![
            webhook_uid,
            now,
            i64::try_from(max).unwrap_or(i64::MAX)
        ])?;
        while let Some(row) = rows.next()? {
            leases.push(RawLease {
                token: String::new(),
                delivery: RawDelivery::read(row, 0)?,
                event: RawEvent::read(row, RawDelivery::COLUMNS)?,
                expires,
            });
        }
    }
    for lease in &mut leases {
        let nonce = random()?;
        let delivery = lease.delivery.seq;
        lease.token = token(&tables.memory.token_key, delivery, nonce)?;
        lease.delivery.attempts += 1;
        lease.delivery.status = LEASED;
        lease.delivery.updated = tables.clock;
        tables.change(
            delivery,
            DeliveryStatus::Leased,
            lease.delivery.attempts,
            None,
            "",
        )?;
        let held = Held {
            nonce,
            expires,
            attempts: lease.delivery.attempts,
        };
        tables.memory.leases.set(delivery, Some(held));
    }
    Ok(leases)
}

/// Settles one attempt. Says whether that changed anything.
pub(super) fn settle(
    tables: &mut Tables<'_>,
    token: &str,
    settlement: &Settlement,
) -> Result<bool, Fault> {
    let Some((delivery, nonce)) = parse(&tables.memory.token_key, token) else {
        return Ok(false);
    };
    let held = tables.memory.leases.get(delivery);
    let current = held.filter(|held| held.nonce == nonce);
    let (status, attempts) = match current {
        Some(held) => (LEASED, held.attempts),
        None => match state(tables, delivery)? {
            Some(state) => state,
            None => return Ok(false),
        },
    };
    match settlement {
        Settlement::Ack => {
            if ![PENDING, LEASED, HELD].contains(&status) {
                return Ok(false);
            }
            tables.memory.leases.set(delivery, None);
            tables.change(delivery, DeliveryStatus::Delivered, attempts, None, "")?;
            tables.memory.counted.acked += 1;
        }
        _ if current.is_none() => return Ok(false),
        Settlement::Nack {
            delay,
            reason,
            give_up,
        } => {
            let delay = delay.map(millis);
            failed(tables, delivery, attempts, delay, reason, *give_up)?;
            tables.memory.counted.nacked += 1;
        }
        Settlement::Extend(duration) => {
            let held = Held {
                nonce,
                expires: tables.memory.time.now() + millis(*duration).clamp(1, MAX_DELAY_MS),
                attempts,
            };
            tables.memory.leases.set(delivery, Some(held));
        }
        Settlement::Hold { reason } => {
            tables.memory.leases.set(delivery, None);
            tables.change(
                delivery,
                DeliveryStatus::Held,
                (attempts - 1).max(0),
                None,
                reason,
            )?;
        }
        Settlement::Return => {
            tables.memory.leases.set(delivery, None);
            tables.change(
                delivery,
                DeliveryStatus::Pending,
                (attempts - 1).max(0),
                None,
                "",
            )?;
            tables.memory.counted.returned += 1;
        }
    }
    Ok(true)
}

fn state(tables: &Tables<'_>, delivery: i64) -> Result<Option<(i64, i64)>, Fault> {
    Ok(tables
        .db
        .prepare_cached("SELECT status, attempts FROM deliveries WHERE seq = ?1")?
        .query_row([delivery], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// An attempt failed: again later, or dead once the attempts are used up.
fn failed(
    tables: &mut Tables<'_>,
    delivery: i64,
    attempts: i64,
    delay: Option<i64>,
    reason: &str,
    give_up: bool,
) -> Result<(), Fault> {
    tables.memory.leases.set(delivery, None);
    if give_up || attempts >= i64::from(tables.memory.options.max_attempts) {
        tables.memory.counted.dead += 1;
        return tables.change(delivery, DeliveryStatus::Dead, attempts, None, reason);
    }
    let delay = match delay {
        Some(delay) => delay,
        None => back_off(tables, attempts)?,
    };
    let due = tables.memory.time.now() + delay.clamp(0, MAX_DELAY_MS);
    tables.change(
        delivery,
        DeliveryStatus::Pending,
        attempts,
        Some(due),
        reason,
    )
}

/// Twice as long after each attempt; half of it is random, so that what failed together doesn't come back together.
fn back_off(tables: &Tables<'_>, attempts: i64) -> Result<i64, Fault> {
    let options = &tables.memory.options;
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(30);
    let longest = millis(options.first_back_off)
        .saturating_mul(1 << doublings)
        .min(millis(options.longest_back_off));
    let half = (longest / 2).max(1);
    let jitter = i64::try_from(random()? % half.unsigned_abs()).unwrap_or(0);
    Ok(half + jitter)
}

/// Ends the leases that ran out; each counts as an attempt that failed.
pub(super) fn expire(tables: &mut Tables<'_>) -> Result<bool, Fault> {
    let now = tables.memory.time.now();
    let expired = tables.memory.leases.expired(now, EXPIRE_AT_ONCE);
    for delivery in &expired {
        match state(tables, *delivery)? {
            Some((LEASED, attempts)) => {
                failed(
                    tables,
                    *delivery,
                    attempts,
                    None,
                    "the lease ran out",
                    false,
                )?;
                tables.memory.counted.expired += 1;
            }
            _ => tables.memory.leases.set(*delivery, None),
        }
    }
    Ok(!expired.is_empty())
}

/// At opening: no lease of before holds, and each counts as an attempt. What waits is due soon even if the machine's clock was set back.
pub(super) fn void_all(tables: &mut Tables<'_>) -> Result<(), Fault> {
    let now = tables.memory.time.now();
    let leased: Vec<(i64, i64)> = tables
        .db
        .prepare("SELECT seq, attempts FROM deliveries WHERE status = 2")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (delivery, attempts) in leased {
        failed(
            tables,
            delivery,
            attempts,
            Some(0),
            "the log was opened again while it was leased",
            false,
        )?;
    }
    tables.db.execute(
        "UPDATE deliveries SET due = ?1 WHERE status = 1 AND attempts = 0 AND due > ?1",
        [now],
    )?;
    tables.db.execute(
        "UPDATE deliveries SET due = ?1 WHERE status = 1 AND due > ?1",
        [now + MAX_DELAY_MS],
    )?;
    let mut waiting = tables
        .db
        .prepare("SELECT DISTINCT due FROM deliveries WHERE status = 1 AND due > ?1")?;
    let mut rows = waiting.query([now])?;
    while let Some(row) = rows.next()? {
        tables.memory.due.add(row.get(0)?);
    }
    Ok(())
}

/// Puts one delivery that is settled or held back to pending, its attempts at 0.
pub(super) fn replay(tables: &mut Tables<'_>, event_id: &str, ordinal: i64) -> Result<bool, Fault> {
    let found: Option<(i64, i64)> = tables
        .db
        .prepare_cached(
            "SELECT d.seq, d.status FROM events e JOIN deliveries d ON d.seq = e.seq + ?2 WHERE e.id = ?1 AND ?2 BETWEEN 1 AND e.deliveries",
        )?
        .query_row(params![event_id, ordinal], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((delivery, status)) = found else {
        return Ok(false);
    };
    if [PENDING, LEASED].contains(&status) {
        return Ok(false);
    }
    let due = tables.memory.time.now();
    tables.change(delivery, DeliveryStatus::Pending, 0, Some(due), "")?;
    Ok(true)
}

/// Drops at most `limit` unsettled deliveries of a webhook. Says how many.
pub(super) fn drop_some(
    tables: &mut Tables<'_>,
    webhook_uid: &str,
    reason: &str,
    limit: i64,
) -> Result<u32, Fault> {
    let deliveries: Vec<(i64, i64)> = tables
        .db
        .prepare_cached(
            "SELECT seq, attempts FROM deliveries WHERE webhook_uid = ?1 AND status = 1
             UNION ALL SELECT seq, attempts FROM deliveries INDEXED BY deliveries_leased WHERE status = 2 AND webhook_uid = ?1
             UNION ALL SELECT seq, attempts FROM deliveries INDEXED BY deliveries_stuck WHERE status >= 4 AND status = 4 AND webhook_uid = ?1
             LIMIT ?2",
        )?
        .query_map(params![webhook_uid, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (delivery, attempts) in &deliveries {
        tables.memory.leases.set(*delivery, None);
        tables.change(*delivery, DeliveryStatus::Dropped, *attempts, None, reason)?;
        tables.memory.counted.dropped += 1;
    }
    Ok(u32::try_from(deliveries.len()).unwrap_or(u32::MAX))
}
