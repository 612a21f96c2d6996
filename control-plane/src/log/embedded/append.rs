//! Keeps one callback, and decides in the same transaction what of it was there before.
//!
//! First everything is decided, then it is written: an event with the keys it is the first with, and a delivery for each webhook.
//!
//! | seen before within the window | with | then |
//! |---|---|---|
//! | the event's own id | | our own resend: answered as the first time |
//! | the name | the same body | a duplicate: counted, not kept |
//! | the name | another body | kept, flagged `ID_REUSED` |
//! | the name, with another body | the same other body | a duplicate |
//! | the content key | a delivery id | kept, flagged `SUSPECTED_REPLAY`, or refused where the group says so |
//! | the content key | no delivery id | kept, flagged `REPEAT` |
//!
//! The name is the id key, and the body then what the delivery key says more; where the id decides alone it is the delivery key, and the body
//! its digest.

use std::collections::BTreeSet;

use hookplane_proto::v1::EventFlag;
use prost::Message;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::dedup::{Claim, Kind, Short, key, short};
use super::fault::Fault;
use super::made::{self, Place};
use super::schema::checksum;
use super::tables::{Tables, millis};
use crate::log::{Appended, Dedup, NewCallback, NewDelivery, NewEvent};

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
    pub(super) checksum: i64,
    pub(super) dedup: Dedup,
    pub(super) deliveries: Vec<NewDelivery>,
}

impl Prepared {
    pub(super) fn new(callback: NewCallback) -> Self {
        Self {
            org: callback.org,
            group_uid: callback.group_uid,
            refuse_suspected_replays: callback.refuse_suspected_replays,
            dedup_window: callback.dedup_window,
            events: callback
                .events
                .into_iter()
                .map(PreparedEvent::new)
                .collect(),
        }
    }

    /// What it costs to keep waiting, about.
    pub(super) fn bytes(&self) -> usize {
        let rows = |event: &PreparedEvent| 512 * (1 + event.deliveries.len());
        let events = self.events.iter();
        events.map(|event| event.record.len() + rows(event)).sum()
    }
}

impl PreparedEvent {
    fn new(new: NewEvent) -> Self {
        let record = new.event.encode_to_vec();
        Self {
            checksum: checksum(&record),
            record,
            received: new.event.receive_time.map_or(0, |at| {
                at.seconds
                    .saturating_mul(1000)
                    .saturating_add(i64::from(at.nanos / 1_000_000))
            }),
            id: new.event.id,
            group: new.event.group,
            event_type: new.event.r#type,
            dedup: new.dedup,
            deliveries: new.deliveries,
        }
    }
}

/// What the keys say of one event.
enum Seen {
    Duplicate(String),
    Replay(String),
    New(Found),
}

/// What a new event's row says of earlier ones.
#[derive(Default)]
struct Found {
    flags: i64,
    of: Option<String>,
    claims: Vec<u8>,
}

impl Found {
    fn flag(&mut self, flag: EventFlag, earlier: Claim) {
        self.flags |= 1i64 << (flag as i32);
        self.of.get_or_insert(earlier.event_id);
    }
}

/// Keeps what is new of a callback.
pub(super) fn append(tables: &mut Tables<'_>, callback: &Prepared) -> Result<Appended, Fault> {
    let mark = tables.memory.recent.mark();
    let ids: BTreeSet<&str> = callback.events.iter().map(|event| &*event.id).collect();
    let mut decided = Vec::with_capacity(callback.events.len());
    for event in &callback.events {
        let seen = see(tables, callback, &ids, event)?;
        if let Seen::Replay(of) = seen {
            // Nothing of it stays, its claims neither.
            tables.memory.recent.back_to(mark);
            return Ok(Appended::Replay { of });
        }
        decided.push(seen);
    }
    let mut event_ids = Vec::new();
    let mut duplicates_of = Vec::new();
    let mut resent = false;
    for (event, seen) in callback.events.iter().zip(decided) {
        match seen {
            Seen::Duplicate(of) | Seen::Replay(of) => duplicates_of.push(of),
            Seen::New(found) => {
                resent |= !insert(tables, callback, event, &found)?;
                event_ids.push(event.id.clone());
            }
        }
    }
    if !resent {
        for of in &duplicates_of {
            count_duplicate(tables.db, &callback.group_uid, of)?;
        }
    }
    match duplicates_of.into_iter().next() {
        Some(of) if event_ids.is_empty() => Ok(Appended::Duplicate { of }),
        _ => Ok(Appended::Kept { event_ids }),
    }
}

/// Of the same group, whatever was claimed under that id: listeners mint ids, and one may have been another group's before.
fn count_duplicate(db: &Connection, group_uid: &str, of: &str) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT INTO duplicates (event_id, count) SELECT id, 1 FROM events WHERE id = ?1 AND group_uid = ?2 ON CONFLICT (event_id) DO UPDATE SET count = count + 1",
    )?
    .execute([of, group_uid])?;
    Ok(())
}

/// Claims an event's keys, and says what they met.
fn see(
    tables: &mut Tables<'_>,
    callback: &Prepared,
    ids: &BTreeSet<&str>,
    event: &PreparedEvent,
) -> Result<Seen, Fault> {
    let dedup = &event.dedup;
    let group = &callback.group_uid;
    // Two items of one callback are two, whatever they say: when in doubt, keep both.
    let of_another = |claim: &Claim| !ids.contains(&*claim.event_id);
    let mark = tables.memory.recent.mark();
    let mut found = Found::default();
    if let Some(delivery) = &dedup.delivery_key {
        let (name, body) = match &dedup.id_key {
            Some(id) => (id, delivery),
            None => (delivery, &dedup.body_digest),
        };
        // Its row stays with the first body. A row of its own tells a resend of this one.
        let other = || {
            let both = Sha256::new().chain_update(name).chain_update(body);
            key(group, Kind::OtherBody, &both.finalize().into())
        };
        let (name, body) = (key(group, Kind::Name, name), short(body));
        match look(tables, callback, event, &name)? {
            Look::Free => claim(tables, event, name, body),
            Look::Aged => {
                // Another body may have come later than the first.
                if let Look::Taken(same) = look(tables, callback, event, &other())?
                    && of_another(&same)
                {
                    return Ok(Seen::Duplicate(same.event_id));
                }
                claim(tables, event, name, body);
            }
            Look::Taken(earlier) => {
                let another = of_another(&earlier);
                if earlier.body == body && another {
                    return Ok(Seen::Duplicate(earlier.event_id));
                }
                let other = other();
                match look(tables, callback, event, &other)? {
                    Look::Taken(same) if of_another(&same) => {
                        return Ok(Seen::Duplicate(same.event_id));
                    }
                    Look::Taken(_) | Look::Own => {}
                    Look::Free | Look::Aged => claim(tables, event, other, body),
                }
                if another {
                    found.flag(EventFlag::IdReused, earlier);
                }
            }
            Look::Own => {}
        }
    }
    if let Some(content) = &dedup.content_key {
        let content = key(group, Kind::Content, content);
        match look(tables, callback, event, &content)? {
            Look::Free | Look::Aged => claim(tables, event, content, Short::default()),
            Look::Taken(earlier) if of_another(&earlier) => match dedup.delivery_key {
                Some(_) if callback.refuse_suspected_replays => {
                    return Ok(Seen::Replay(earlier.event_id));
                }
                Some(_) => found.flag(EventFlag::SuspectedReplay, earlier),
                None => found.flag(EventFlag::Repeat, earlier),
            },
            Look::Taken(_) | Look::Own => {}
        }
    }
    found.claims = tables.memory.recent.packed(mark);
    Ok(Seen::New(found))
}

/// How a key is found.
enum Look {
    /// Nobody's.
    Free,
    /// Somebody's, too long ago to count.
    Aged,
    /// This very event's: our own resend.
    Own,
    Taken(Claim),
}

fn look(
    tables: &Tables<'_>,
    callback: &Prepared,
    event: &PreparedEvent,
    key: &Short,
) -> Result<Look, Fault> {
    let horizon = tables.clock.saturating_sub(millis(callback.dedup_window));
    Ok(match tables.memory.recent.claimed(tables.db, key)? {
        None => Look::Free,
        Some(claim) if claim.event_id == event.id => Look::Own,
        Some(claim) if claim.seen < horizon => Look::Aged,
        Some(claim) => Look::Taken(claim),
    })
}

fn claim(tables: &mut Tables<'_>, event: &PreparedEvent, key: Short, body: Short) {
    let claim = Claim {
        event_id: event.id.clone(),
        body,
        seen: tables.clock,
    };
    tables.memory.recent.claim(key, claim);
}

/// Puts an event in with its deliveries. False when it was there: our own resend.
fn insert(
    tables: &mut Tables<'_>,
    callback: &Prepared,
    event: &PreparedEvent,
    found: &Found,
) -> Result<bool, Fault> {
    let seq = tables.take_seqs(1 + event.deliveries.len());
    let inserted = tables
        .db
        .prepare_cached(
            "INSERT INTO events (seq, id, org, group_uid, group_name, type, received, kept, deliveries, flags, duplicate_of, claims, checksum, record)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            seq,
            event.id,
            callback.org,
            callback.group_uid,
            event.group,
            event.event_type,
            event.received,
            tables.clock,
            i64::try_from(event.deliveries.len()).unwrap_or(0),
            found.flags,
            found.of,
            found.claims,
            event.checksum,
            event.record,
        ])?;
    if inserted == 0 {
        return Ok(false);
    }
    for (at, delivery) in event.deliveries.iter().enumerate() {
        let webhook = &delivery.webhook_uid;
        let before = &mut event.deliveries[..at].iter();
        let place = Place {
            seq: seq + 1 + i64::try_from(at).unwrap_or(0),
            event_seq: seq,
            org: &callback.org,
            group_uid: &callback.group_uid,
            further: before.any(|earlier| earlier.webhook_uid == *webhook),
            added: 0,
        };
        made::insert(tables, place, delivery)?;
    }
    Ok(true)
}
