//! Who works on what: leases, how they end, and putting deliveries back.

use hookplane_proto::v1::{AttemptOutcome, DeliveryStatus};
use rusqlite::{OptionalExtension, params};

use super::attempts;
use super::fault::Fault;
use super::read::{DELIVERY_COLUMNS, EVENT_COLUMNS, RawDelivery, RawEvent, place};
use super::tables::{Change, Held, Tables, millis};
use super::token::{parse, random, token};
use crate::log::{LEASE_BYTES, PutBack, Queue, Settle, Settlement};

/// The longest a delivery may be put off or leased, so that a wrong figure doesn't hide it for ever: 24 hours.
const MAX_DELAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Leases that are ended in one transaction, so that no append waits long behind them.
const EXPIRE_AT_ONCE: usize = 256;

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

/// Hands out what is due, oldest first, no more of it than the writer reads in a moment.
pub(super) fn lease(
    tables: &mut Tables<'_>,
    queue: &Queue,
    max: usize,
    duration: std::time::Duration,
) -> Result<Vec<RawLease>, Fault> {
    let now = tables.memory.time.now();
    let expires = now + millis(duration).clamp(1, MAX_DELAY_MS);
    let (mut leases, mut bytes) = (Vec::new(), 0);
    {
        let mut statement = tables.db.prepare_cached(&format!(
            "SELECT {DELIVERY_COLUMNS}, {EVENT_COLUMNS}
             FROM deliveries d INDEXED BY deliveries_pending JOIN events e ON e.seq = d.event_seq
             WHERE d.status = {PENDING} AND d.webhook_uid = ?1 AND d.destination = ?2 AND d.waits = 0 AND d.due <= ?3
             ORDER BY d.due, d.seq LIMIT ?4"
        ))?;
        let mut rows = statement.query(params![
            queue.webhook_uid,
            queue.destination,
            now,
            i64::try_from(max).unwrap_or(i64::MAX)
        ])?;
        while let Some(row) = rows.next()? {
            let event = RawEvent::read(row, RawDelivery::COLUMNS)?;
            bytes += event.bytes();
            leases.push(RawLease {
                token: String::new(),
                delivery: RawDelivery::read(row, 0)?,
                event,
                expires,
            });
            if bytes >= LEASE_BYTES {
                break;
            }
        }
    }
    for lease in &mut leases {
        let nonce = random()?;
        let delivery = lease.delivery.seq;
        lease.token = token(&tables.memory.token_key, delivery, nonce)?;
        lease.delivery.attempts += 1;
        lease.delivery.status = LEASED;
        lease.delivery.updated = tables.clock;
        let ordered = !lease.delivery.order_key.is_empty();
        let pushed = !lease.delivery.destination.is_empty();
        tables.change(Change {
            delivery,
            ordered,
            status: DeliveryStatus::Leased,
            attempts: lease.delivery.attempts,
            due: None,
            reason: "",
        })?;
        let held = Held {
            nonce,
            expires,
            attempts: lease.delivery.attempts,
            began: tables.clock,
            mapping_version: lease.delivery.mapping_version,
            ordered,
            pushed,
        };
        tables.memory.leases.set(delivery, Some(held));
    }
    Ok(leases)
}

/// Settles one attempt. Says whether that changed anything.
pub(super) fn settle(tables: &mut Tables<'_>, settle: &Settle) -> Result<bool, Fault> {
    let Some((delivery, nonce)) = parse(&tables.memory.token_key, &settle.token) else {
        return Ok(false);
    };
    let held = tables.memory.leases.get(delivery);
    let held = held.filter(|held| held.nonce == nonce);
    let change = |status, attempts, ordered| Change {
        delivery,
        ordered,
        status,
        attempts,
        due: None,
        reason: "",
    };
    let (seq, number, outcome) = match (&settle.settlement, held) {
        (Settlement::Ack, _) => {
            let (attempts, ordered) = match held {
                Some(held) => (held.attempts, held.ordered),
                None => match state(tables, delivery)? {
                    Some(of) if [PENDING, LEASED, HELD].contains(&of.status) => {
                        (of.attempts, of.ordered)
                    }
                    _ => return Ok(false),
                },
            };
            tables.memory.leases.set(delivery, None);
            tables.memory.counted.acked += 1;
            let delivered = change(DeliveryStatus::Delivered, attempts, ordered);
            let seq = tables.change(delivered)?;
            (seq, attempts, AttemptOutcome::Delivered)
        }
        (_, None) => return Ok(false),
        (
            Settlement::Nack {
                delay,
                reason,
                give_up,
            },
            Some(held),
        ) => {
            tables.memory.counted.nacked += 1;
            let delay = delay.map(millis);
            let (seq, outcome) = failed(tables, delivery, held, delay, reason, *give_up)?;
            (seq, held.attempts, outcome)
        }
        (Settlement::Extend(duration), Some(held)) => {
            let held = Held {
                expires: tables.memory.time.now() + millis(*duration).clamp(1, MAX_DELAY_MS),
                ..held
            };
            tables.memory.leases.set(delivery, Some(held));
            return Ok(true);
        }
        (Settlement::Hold { reason }, Some(held)) => {
            tables.memory.leases.set(delivery, None);
            tables.memory.counted.held += 1;
            let uncounted = (held.attempts - 1).max(0);
            let seq = tables.change(Change {
                reason,
                ..change(DeliveryStatus::Held, uncounted, held.ordered)
            })?;
            (seq, held.attempts, AttemptOutcome::Held)
        }
        (Settlement::Return, Some(held)) => {
            tables.memory.leases.set(delivery, None);
            tables.memory.counted.returned += 1;
            let uncounted = (held.attempts - 1).max(0);
            tables.change(change(DeliveryStatus::Pending, uncounted, held.ordered))?;
            return Ok(true);
        }
    };
    if let Some(attempt) = &settle.attempt {
        attempts::remember(tables, delivery, seq, attempt, number, outcome)?;
    }
    Ok(true)
}

/// What a delivery's row says.
struct State {
    status: i64,
    attempts: i64,
    mapping_version: i64,
    updated: i64,
    ordered: bool,
    pushed: bool,
}

impl State {
    /// As a lease of it, where nothing else is known of that.
    fn held(&self) -> Held {
        Held {
            nonce: 0,
            expires: 0,
            attempts: self.attempts,
            began: self.updated,
            mapping_version: self.mapping_version,
            ordered: self.ordered,
            pushed: self.pushed,
        }
    }
}

fn state(tables: &Tables<'_>, delivery: i64) -> Result<Option<State>, Fault> {
    Ok(tables
        .db
        .prepare_cached(
            "SELECT status, attempts, mapping_version, updated, order_key <> '', destination <> '' FROM deliveries WHERE seq = ?1",
        )?
        .query_row([delivery], |row| {
            Ok(State {
                status: row.get(0)?,
                attempts: row.get(1)?,
                mapping_version: row.get(2)?,
                updated: row.get(3)?,
                ordered: row.get(4)?,
                pushed: row.get(5)?,
            })
        })
        .optional()?)
}

/// An attempt failed: again later, or dead once the attempts are used up. Says with which change.
fn failed(
    tables: &mut Tables<'_>,
    delivery: i64,
    held: Held,
    delay: Option<i64>,
    reason: &str,
    give_up: bool,
) -> Result<(i64, AttemptOutcome), Fault> {
    tables.memory.leases.set(delivery, None);
    let mut change = Change {
        delivery,
        ordered: held.ordered,
        status: DeliveryStatus::Dead,
        attempts: held.attempts,
        due: None,
        reason,
    };
    let most = i64::from(tables.memory.options.max_attempts);
    if give_up || (!held.pushed && held.attempts >= most) {
        tables.memory.counted.dead += 1;
        return Ok((tables.change(change)?, AttemptOutcome::GaveUp));
    }
    let delay = match delay {
        Some(delay) => delay,
        None => back_off(tables, held.attempts)?,
    };
    change.due = Some(tables.memory.time.now() + delay.clamp(0, MAX_DELAY_MS));
    change.status = DeliveryStatus::Pending;
    Ok((tables.change(change)?, AttemptOutcome::Retry))
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
    const REASON: &str = "the lease ran out";
    let now = tables.memory.time.now();
    let expired = tables.memory.leases.expired(now, EXPIRE_AT_ONCE);
    for delivery in &expired {
        match tables.memory.leases.get(*delivery) {
            Some(held) => {
                let (seq, _) = failed(tables, *delivery, held, None, REASON, false)?;
                attempts::remember_expired(tables, *delivery, seq, held, REASON)?;
                tables.memory.counted.expired += 1;
            }
            None => tables.memory.leases.set(*delivery, None),
        }
    }
    Ok(!expired.is_empty())
}

/// At opening: no lease of before holds, and each counts as an attempt. What waits is due soon even if the machine's clock was set back.
pub(super) fn void_all(tables: &mut Tables<'_>) -> Result<(), Fault> {
    let now = tables.memory.time.now();
    const REASON: &str = "the log was opened again while it was leased";
    let leased: Vec<i64> = tables
        .db
        .prepare("SELECT seq FROM deliveries WHERE status = 2")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for delivery in leased {
        if let Some(state) = state(tables, delivery)? {
            let held = state.held();
            let (seq, _) = failed(tables, delivery, held, Some(0), REASON, false)?;
            attempts::remember_expired(tables, delivery, seq, held, REASON)?;
        }
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
pub(super) fn replay(tables: &mut Tables<'_>, put_back: &PutBack) -> Result<bool, Fault> {
    let Some(delivery) = place(tables.db, &put_back.delivery_id)? else {
        return Ok(false);
    };
    let Some(state) = state(tables, delivery)? else {
        return Ok(false);
    };
    if [PENDING, LEASED].contains(&state.status) {
        return Ok(false);
    }
    if let Some(version) = put_back.mapping_version {
        tables
            .db
            .prepare_cached("UPDATE deliveries SET mapping_version = ?2 WHERE seq = ?1")?
            .execute(params![delivery, version])?;
    }
    let due = tables.memory.time.now();
    tables.change(Change {
        delivery,
        ordered: state.ordered,
        status: DeliveryStatus::Pending,
        attempts: 0,
        due: Some(due),
        reason: "",
    })?;
    Ok(true)
}

/// Drops at most `limit` unsettled deliveries of a webhook. Says how many.
pub(super) fn drop_some(
    tables: &mut Tables<'_>,
    webhook_uid: &str,
    reason: &str,
    limit: i64,
) -> Result<u32, Fault> {
    let deliveries: Vec<(i64, i64, bool)> = tables
        .db
        .prepare_cached(
            "SELECT seq, attempts, order_key <> '' FROM deliveries WHERE webhook_uid = ?1 AND status = 1
             UNION ALL SELECT seq, attempts, order_key <> '' FROM deliveries INDEXED BY deliveries_leased WHERE status = 2 AND webhook_uid = ?1
             UNION ALL SELECT seq, attempts, order_key <> '' FROM deliveries INDEXED BY deliveries_stuck_of
                 WHERE webhook_uid = ?1 AND status = 4 AND status >= 4
             LIMIT ?2",
        )?
        .query_map(params![webhook_uid, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (delivery, attempts, ordered) in &deliveries {
        tables.memory.leases.set(*delivery, None);
        tables.change(Change {
            delivery: *delivery,
            ordered: *ordered,
            status: DeliveryStatus::Dropped,
            attempts: *attempts,
            due: None,
            reason,
        })?;
        tables.memory.counted.dropped += 1;
    }
    Ok(u32::try_from(deliveries.len()).unwrap_or(u32::MAX))
}
