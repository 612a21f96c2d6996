//! Keeps one callback, and decides in the same transaction what of it was there before.
//!
//! Per event three statements where nothing repeats: its dedup key, the event, a delivery.
//!
//! | seen before within the window | with | then |
//! |---|---|---|
//! | the event's own id | | our own resend: answered as the first time |
//! | the delivery key | the same body | a duplicate: counted, not kept |
//! | the delivery key | another body | kept, flagged `ID_REUSED` (the id decides alone, so the key doesn't hold the body) |
//! | the id key | another delivery key | kept, flagged `ID_REUSED` |
//! | the content key | a delivery id | kept, flagged `SUSPECTED_REPLAY`, or refused where the group says so |
//! | the content key | no delivery id | kept, flagged `REPEAT` |

use hookplane_proto::v1::{DeliveryStatus, EventFlag};
use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::fault::Fault;
use super::schema::checksum;
use super::tables::{Tables, millis};
use crate::log::{Appended, Dedup, NewDelivery};

/// A callback with its events encoded, which is done before it waits.
pub(super) struct Prepared {
    pub(super) org: String,
    pub(super) group_uid: String,
    pub(super) refuse_suspected_replays: bool,
    pub(super) dedup_window: std::time::Duration,
    pub(super) events: Vec<PreparedEvent>,
}

pub(super) struct PreparedEvent {
    pub(super) id: String,
    pub(super) group: String,
    pub(super) event_type: String,
    pub(super) received: i64,
    pub(super) record: Vec<u8>,
    pub(super) dedup: Dedup,
    pub(super) deliveries: Vec<NewDelivery>,
}

const DELIVERY: i64 = 1;
const ID: i64 = 2;
const CONTENT: i64 = 3;
const OTHER_BODY: i64 = 4;

/// What the dedup rows say of one event.
enum Seen {
    Duplicate(String),
    Replay(String),
    New { flags: i64, of: Option<String> },
}

/// What was under a key, when it was under another event.
struct Earlier {
    event_id: String,
    body_digest: Vec<u8>,
}

/// Keeps what is new of a callback.
pub(super) fn append(tables: &mut Tables<'_>, callback: &Prepared) -> Result<Appended, Fault> {
    let mut replay_of = None;
    let kept = tables.whole(|tables| {
        let kept = append_events(tables, callback)?;
        if let Appended::Replay { of } = &kept {
            // Nothing of it stays, its dedup rows neither: undone like a failure.
            replay_of = Some(of.clone());
            return Err(Fault::Own(crate::log::LogError::Unavailable(
                "refused replay".into(),
            )));
        }
        Ok(kept)
    });
    match replay_of {
        Some(of) => Ok(Appended::Replay { of }),
        None => kept,
    }
}

fn append_events(tables: &mut Tables<'_>, callback: &Prepared) -> Result<Appended, Fault> {
    let mut event_ids = Vec::new();
    let mut duplicates_of = Vec::new();
    let mut resent = false;
    for event in &callback.events {
        match see(tables, callback, event)? {
            Seen::Duplicate(of) => duplicates_of.push(of),
            Seen::Replay(of) => return Ok(Appended::Replay { of }),
            Seen::New { flags, of } => {
                resent |= !insert(tables, callback, event, flags, of)?;
                event_ids.push(event.id.clone());
            }
        }
    }
    if !resent {
        for of in &duplicates_of {
            tables
                .db
                .prepare_cached(
                    "INSERT INTO duplicates (event_id, count) VALUES (?1, 1) ON CONFLICT (event_id) DO UPDATE SET count = count + 1",
                )?
                .execute([of])?;
        }
    }
    match duplicates_of.into_iter().next() {
        Some(of) if event_ids.is_empty() => Ok(Appended::Duplicate { of }),
        _ => Ok(Appended::Kept { event_ids }),
    }
}

/// Puts an event's keys in, and says what they met.
fn see(tables: &Tables<'_>, callback: &Prepared, event: &PreparedEvent) -> Result<Seen, Fault> {
    let dedup = &event.dedup;
    let mut flags = 0;
    let mut of = None;
    let mut flag = |flag: EventFlag, earlier: Earlier| {
        flags |= 1i64 << (flag as i32);
        of.get_or_insert(earlier.event_id);
    };
    if let Some(key) = &dedup.delivery_key
        && let Some(earlier) = claim(tables, callback, event, DELIVERY, key)?
    {
        // Two items of one callback are two, whatever they say: when in doubt, keep both.
        let same_callback = callback
            .events
            .iter()
            .any(|other| other.id == earlier.event_id);
        if earlier.body_digest == dedup.body_digest && !same_callback {
            return Ok(Seen::Duplicate(earlier.event_id));
        }
        // The row stays with the first body. A row of its own tells a resend of this one.
        let mut both = Sha256::new();
        both.update(key);
        both.update(dedup.body_digest);
        if let Some(same) = claim(tables, callback, event, OTHER_BODY, &both.finalize().into())?
            && !callback
                .events
                .iter()
                .any(|other| other.id == same.event_id)
        {
            return Ok(Seen::Duplicate(same.event_id));
        }
        if !same_callback {
            flag(EventFlag::IdReused, earlier);
        }
    }
    if let Some(key) = &dedup.id_key
        && let Some(earlier) = claim(tables, callback, event, ID, key)?
        && !callback
            .events
            .iter()
            .any(|other| other.id == earlier.event_id)
    {
        flag(EventFlag::IdReused, earlier);
    }
    if let Some(key) = &dedup.content_key
        && let Some(earlier) = claim(tables, callback, event, CONTENT, key)?
        && !callback
            .events
            .iter()
            .any(|other| other.id == earlier.event_id)
    {
        match dedup.delivery_key {
            Some(_) if callback.refuse_suspected_replays => {
                return Ok(Seen::Replay(earlier.event_id));
            }
            Some(_) => flag(EventFlag::SuspectedReplay, earlier),
            None => flag(EventFlag::Repeat, earlier),
        }
    }
    Ok(Seen::New { flags, of })
}

/// Takes a key for this event, unless another event took it within the window. The row is written in any case: it waits for what wrote it first.
fn claim(
    tables: &Tables<'_>,
    callback: &Prepared,
    event: &PreparedEvent,
    kind: i64,
    key: &[u8; 32],
) -> Result<Option<Earlier>, Fault> {
    let horizon = tables.clock.saturating_sub(millis(callback.dedup_window));
    let (event_id, body_digest): (String, Vec<u8>) = tables
        .db
        .prepare_cached(
            "INSERT INTO dedup (group_uid, kind, key, event_id, body_digest, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (group_uid, kind, key) DO UPDATE SET
                 event_id    = iif(seen < ?7, excluded.event_id, event_id),
                 body_digest = iif(seen < ?7, excluded.body_digest, body_digest),
                 seen        = iif(seen < ?7, excluded.seen, seen)
             RETURNING event_id, body_digest",
        )?
        .query_row(
            params![callback.group_uid, kind, key, event.id, event.dedup.body_digest, tables.clock, horizon],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
    Ok((event_id != event.id).then_some(Earlier {
        event_id,
        body_digest,
    }))
}

/// Puts an event in with its deliveries. False when it was there: our own resend.
fn insert(
    tables: &mut Tables<'_>,
    callback: &Prepared,
    event: &PreparedEvent,
    flags: i64,
    of: Option<String>,
) -> Result<bool, Fault> {
    let seq = tables.take_seqs(1 + event.deliveries.len());
    let inserted: Option<i64> = tables
        .db
        .prepare_cached(
            "INSERT INTO events (seq, id, org, group_uid, group_name, type, received, deliveries, flags, duplicate_of, checksum, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (id) DO NOTHING RETURNING seq",
        )?
        .query_row(
            params![
                seq,
                event.id,
                callback.org,
                callback.group_uid,
                event.group,
                event.event_type,
                event.received,
                i64::try_from(event.deliveries.len()).unwrap_or(0),
                flags,
                of,
                checksum(&event.record),
                event.record,
            ],
            |row| row.get(0),
        )
        .optional()?;
    if inserted.is_none() {
        return Ok(false);
    }
    let due = tables.memory.time.now();
    for (delivery_seq, delivery) in (seq + 1..).zip(&event.deliveries) {
        let status = match delivery.hold {
            Some(_) => {
                tables.memory.counted.held += 1;
                DeliveryStatus::Held
            }
            None => DeliveryStatus::Pending,
        };
        tables
            .db
            .prepare_cached(
                "INSERT INTO deliveries (seq, event_seq, org, group_uid, webhook_uid, webhook, status, attempts, due, created, updated, reason, idempotency_key)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9, ?9, ?10, ?11)",
            )?
            .execute(params![
                delivery_seq,
                seq,
                callback.org,
                callback.group_uid,
                delivery.webhook_uid,
                delivery.webhook,
                status as i32,
                due,
                tables.clock,
                delivery.hold.as_deref().unwrap_or(""),
                delivery.idempotency_key,
            ])?;
    }
    Ok(true)
}
