//! What is appended: one callback with its events, what tells their repeats, and the deliveries that are made with them.

use std::time::Duration;

use hookplane_proto::v1;

/// One genuine request, to be kept whole or not at all.
#[derive(Debug, Clone)]
pub struct NewCallback {
    /// The org's name.
    pub org: String,
    /// The group's uid.
    pub group_uid: String,
    /// One, or one per item of a batch.
    pub events: Vec<NewEvent>,
    /// From the group: refuse signed bytes that were seen under another delivery id.
    pub refuse_suspected_replays: bool,
    /// From the group: how long a repeat is known as one. What was seen longer ago doesn't count.
    pub dedup_window: Duration,
}

/// One event with what tells its repeats and what it becomes.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// As it is kept. Its id is unique: appending the same id again is our own resend, answered like the first time.
    pub event: v1::Event,
    /// How repeats are told.
    pub dedup: Dedup,
    /// One per matched webhook.
    pub deliveries: Vec<NewDelivery>,
}

/// What tells a repeat. Each key is a MAC under a key of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    /// Over the group, the provider's delivery id, and the body's digest unless the id decides alone. None when the provider names no
    /// delivery.
    pub delivery_key: Option<[u8; 32]>,
    /// Over the group and the delivery id, where the id doesn't decide alone: the same id with another body is kept and flagged.
    pub id_key: Option<[u8; 32]>,
    /// Over the group and the signed bytes, where the signature doesn't cover the delivery id (the same bytes under another id are a suspected
    /// replay) or there is no delivery id (a repeat is flagged).
    pub content_key: Option<[u8; 32]>,
    /// Over the body: tells whether the same id came with another body where the id decides alone.
    pub body_digest: [u8; 32],
}

/// A delivery to be made with its event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewDelivery {
    /// The webhook's uid.
    pub webhook_uid: String,
    /// Its name.
    pub webhook: String,
    /// Which of the webhook's destinations it is for. Empty: its subscribers.
    pub destination: String,
    /// Deliveries of the same webhook, destination and key are leased one after the other, as they were made. Empty: it waits for none.
    pub order_key: String,
    /// The mapping's version that it is for. 0: none.
    pub mapping_version: u32,
    /// Pending, or held for a reason.
    pub hold: Option<String>,
    /// Handed to every sink.
    pub idempotency_key: String,
}

/// What became of one callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Durable. The ids of its events that are new.
    Kept {
        /// In order.
        event_ids: Vec<String>,
    },
    /// All of it was durable already.
    Duplicate {
        /// The (first) original event.
        of: String,
    },
    /// A suspected replay that the group refuses.
    Replay {
        /// The event that had the same signed bytes.
        of: String,
    },
}
