//! A callback as it waits: what of it tells repeats, and what it becomes.
//!
//! What became of it is decided by `append.sql`, in the transaction that keeps it:
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
//! its digest. These are the embedded log's rules, and one suite holds for both.

use std::hash::{DefaultHasher, Hash, Hasher};

use hookplane_proto::v1::DeliveryStatus;
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Shared;
use super::line::PLACES;
use super::queue::Waiting;
use super::statement::text;
use crate::log::{Appended, Dedup, LogError, NewCallback, NewDelivery, NewEvent};

/// A callback with its events encoded, which is done before it waits.
pub(super) struct Prepared {
    pub(super) org: String,
    pub(super) group_uid: String,
    pub(super) refuse_suspected_replays: bool,
    pub(super) dedup_window_ms: i64,
    pub(super) events: Vec<PreparedEvent>,
    /// Of its keys and ids: callbacks with one in common don't share a transaction.
    pub(super) marks: Vec<u64>,
}

pub(super) struct PreparedEvent {
    pub(super) id: String,
    pub(super) group: String,
    pub(super) event_type: String,
    pub(super) received: i64,
    pub(super) record: Vec<u8>,
    pub(super) keys: Keys,
    pub(super) deliveries: Vec<NewDelivery>,
}

/// As they are kept: what a key tells, and 128 bits of its MAC, which can't be met by chance.
#[derive(Default)]
pub(super) struct Keys {
    /// The delivery's name at the provider, whatever the body.
    pub(super) name: Option<Vec<u8>>,
    pub(super) body: Option<Vec<u8>>,
    /// The name with this body, should it not be the first one's.
    pub(super) other: Option<Vec<u8>>,
    /// The signed bytes.
    pub(super) content: Option<Vec<u8>>,
}

impl Keys {
    fn new(dedup: &Dedup) -> Self {
        let key = |kind: u8, mac: &[u8]| {
            let mut key = vec![kind];
            key.extend_from_slice(&mac[..16]);
            key
        };
        let content = dedup.content_key.map(|content| key(3, &content));
        let Some(delivery) = &dedup.delivery_key else {
            return Self {
                content,
                ..Self::default()
            };
        };
        let (name, body) = match &dedup.id_key {
            Some(id) => (id, delivery),
            None => (delivery, &dedup.body_digest),
        };
        let both = Sha256::new().chain_update(name).chain_update(body);
        Self {
            name: Some(key(1, name)),
            body: Some(body[..16].to_vec()),
            other: Some(key(2, &both.finalize())),
            content,
        }
    }
}

impl Prepared {
    fn new(callback: NewCallback) -> Self {
        let events: Vec<_> = callback
            .events
            .into_iter()
            .map(PreparedEvent::new)
            .collect();
        let mut marks = Vec::new();
        for event in &events {
            let keys = &event.keys;
            for key in [&keys.name, &keys.other, &keys.content]
                .into_iter()
                .flatten()
            {
                marks.push(mark(&callback.group_uid, key));
            }
            marks.push(mark(&callback.group_uid, event.id.as_bytes()));
        }
        Self {
            org: callback.org,
            group_uid: callback.group_uid,
            refuse_suspected_replays: callback.refuse_suspected_replays,
            dedup_window_ms: i64::try_from(callback.dedup_window.as_millis())
                .unwrap_or(i64::MAX / 4)
                .min(i64::MAX / 4),
            events,
            marks,
        }
    }

    /// What it costs to keep waiting, about.
    fn bytes(&self) -> usize {
        let row = |delivery: &NewDelivery| 512 + delivery.order_key.len();
        let rows = |event: &PreparedEvent| event.deliveries.iter().map(row).sum::<usize>();
        let events = self.events.iter();
        events
            .map(|event| 512 + event.record.len() + rows(event))
            .sum()
    }

    /// Rows of its own on the line.
    pub(super) fn rows(&self) -> usize {
        let events = self.events.iter();
        events.map(|event| 1 + event.deliveries.len()).sum()
    }
}

impl PreparedEvent {
    fn new(new: NewEvent) -> Self {
        Self {
            record: new.event.encode_to_vec(),
            received: new.event.receive_time.map_or(0, |at| {
                at.seconds
                    .saturating_mul(1000)
                    .saturating_add(i64::from(at.nanos / 1_000_000))
            }),
            keys: Keys::new(&new.dedup),
            id: new.event.id,
            group: new.event.group,
            // Senders choose them. The record has them as they came.
            event_type: text(&new.event.r#type),
            deliveries: new.deliveries.into_iter().map(storable).collect(),
        }
    }
}

/// Pending, or held from the start.
pub(super) fn status(delivery: &NewDelivery) -> i16 {
    let status = match delivery.hold {
        Some(_) => DeliveryStatus::Held,
        None => DeliveryStatus::Pending,
    };
    status as i16
}

/// As the type text can hold it: what a payload says may be in its reason and its order key.
pub(super) fn storable(delivery: NewDelivery) -> NewDelivery {
    NewDelivery {
        hold: delivery.hold.as_deref().map(text),
        order_key: text(&delivery.order_key),
        ..delivery
    }
}

/// Stands for an order key where keys are compared: what a sender chose can be longer than a row of an index. 0 is none.
pub(super) fn order_hash(key: &str) -> i64 {
    if key.is_empty() {
        return 0;
    }
    let digest = Sha256::digest(key.as_bytes());
    let first = digest.first_chunk().copied().unwrap_or_default();
    match i64::from_be_bytes(first) {
        0 => 1,
        hash => hash,
    }
}

/// A mapping's version as it is stored.
pub(super) fn version(version: u32) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}

fn mark(group_uid: &str, key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (group_uid, key).hash(&mut hasher);
    hasher.finish()
}

/// Hands a callback to the writers, and waits for what became of it.
pub(super) async fn append(
    shared: &Shared,
    callback: NewCallback,
    deadline: Instant,
) -> Result<Appended, LogError> {
    if Instant::now() >= deadline {
        return Err(LogError::Unavailable("its time was up".into()));
    }
    shared.durability.check()?;
    let callback = Prepared::new(callback);
    if callback.rows() > PLACES as usize {
        return Err(LogError::Unavailable(format!(
            "a callback of {} events and deliveries is too large; {PLACES} are taken",
            callback.rows()
        )));
    }
    let (reply, answer) = oneshot::channel();
    shared.queue.push(Waiting {
        bytes: callback.bytes(),
        callback,
        deadline,
        alone: false,
        aside: false,
        reply,
    })?;
    match tokio::time::timeout_at(deadline, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(LogError::Unavailable("it is closed".into())),
        Err(_) => Err(shared.trouble.time_was_up()),
    }
}
