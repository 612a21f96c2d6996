//! Where events are kept until they are settled, and a while longer.
//!
//! The promise everything rests on: when [`DeliveryLog::append`] answers [`Appended::Kept`], the event, its dedup row and one delivery per
//! matched webhook are durable, all of them or none. Whether something is a duplicate is decided in that same transaction.

mod activity;
mod counts;
pub mod embedded;
pub(crate) mod notes;
pub mod postgres;
mod stats;
mod stored;
pub mod words;

use std::ops::RangeInclusive;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use tokio::sync::watch;

pub use activity::{Activity, ActivityOf, Bucket};
pub use notes::{MAX_SHAPE_BYTES, MAX_SHAPES, Note, NoteKind, Notes, NotesOf};
pub use stats::Stats;

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

/// What is leased from: one webhook's deliveries to one of its destinations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue {
    /// The webhook's uid.
    pub webhook_uid: String,
    /// Empty: its subscribers.
    pub destination: String,
}

impl Queue {
    /// What a webhook's subscribers lease from.
    pub fn of_subscribers(webhook_uid: impl Into<String>) -> Self {
        Self {
            webhook_uid: webhook_uid.into(),
            destination: String::new(),
        }
    }
}

/// A queue with pending deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub queue: Queue,
    /// Until the first of them is due, by the log's clock; zero when it is. One that waits for another of its order key may not be leased then.
    pub due_in: Duration,
}

/// A delivery that is put back to pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBack {
    /// Its id.
    pub delivery_id: String,
    /// The mapping's version that it is for from now on. None: as it was.
    pub mapping_version: Option<u32>,
}

impl From<String> for PutBack {
    /// With the mapping it has.
    fn from(delivery_id: String) -> Self {
        Self {
            delivery_id,
            mapping_version: None,
        }
    }
}

/// Bytes of the events of one lease, as they are stored, after which it has no further one: no more is read in one piece of work, however many
/// deliveries are asked for.
pub const LEASE_BYTES: usize = 16 << 20;

/// A delivery handed to a subscriber for a while.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Names this attempt. Settling needs it.
    pub token: String,
    /// With its attempts counted, this one included.
    pub delivery: v1::Delivery,
    /// What is delivered.
    pub event: v1::Event,
    /// When it comes back unless settled or extended, by the log's clock.
    pub expires: Timestamp,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Delivered. Taken from a stale lease too, unless the delivery is settled already.
    Ack,
    /// Again after a delay; none means the usual back-off. Ignored from a stale lease. Dead once the attempts are used up,
    /// unless it has a destination: who pushes there says itself when to give up.
    Nack {
        /// Before the next attempt.
        delay: Option<Duration>,
        /// For an operator.
        reason: String,
        /// Dead now.
        give_up: bool,
    },
    /// Still at work: the lease starts anew. Ignored from a stale lease.
    Extend(Duration),
    /// Not to be delivered as it is: waits for an operator, who is told why. The attempt isn't counted. Ignored from a stale lease.
    Hold {
        /// What to mend before a replay.
        reason: String,
    },
    /// Gives the lease back as if it had not been taken: no attempt counted. For a stream that ends.
    Return,
}

/// One settlement.
#[derive(Debug, Clone, PartialEq)]
pub struct Settle {
    /// Of the lease.
    pub token: String,
    /// How it ended.
    pub settlement: Settlement,
    /// What is remembered of the attempt, where something is: kept with the delivery, the newest 50. Its number and whether it was the last
    /// are the log's to say.
    pub attempt: Option<v1::Attempt>,
}

impl From<(String, Settlement)> for Settle {
    fn from((token, settlement): (String, Settlement)) -> Self {
        Self {
            token,
            settlement,
            attempt: None,
        }
    }
}

/// Where in the log a reader is. Only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor(pub u64);

/// Which events or deliveries are meant. What is none or empty means any.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// An org's name.
    pub org: Option<String>,
    /// A group's uid.
    pub group_uid: Option<String>,
    /// A webhook's uid.
    pub webhook_uid: Option<String>,
    /// An event's id.
    pub event_id: Option<String>,
    /// An event type, and all below it at a dot.
    pub event_type: Option<String>,
    /// A delivery's status.
    pub status: Option<v1::DeliveryStatus>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
    /// Words of the payload, see [`words`]: all of them, the last as the beginning of one.
    pub text: Option<String>,
    /// A delivery's destination; of events, with a delivery to it.
    pub destination: Option<String>,
    /// Events that no webhook matched. Of deliveries there are none then.
    pub unmatched: bool,
}

/// Where the tail is at some moment. The two differ where several replicas write at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Nothing new will come at or before it.
    pub whole: Cursor,
    /// What was answered as kept by then is at or before it.
    pub last: Cursor,
    /// Between the two, where those were writing who had not ended by then. What comes there comes later.
    pub open: Vec<RangeInclusive<Cursor>>,
}

impl Reach {
    /// Whether what is there was there at that moment.
    pub fn had(&self, cursor: Cursor) -> bool {
        cursor <= self.last && !self.open.iter().any(|open| open.contains(&cursor))
    }
}

/// One line of the tail.
#[derive(Debug, Clone)]
pub struct TailItem {
    /// After this item.
    pub cursor: Cursor,
    /// The event.
    pub event: v1::Event,
    /// None for an event that no webhook matched.
    pub delivery: Option<v1::Delivery>,
    /// True when this is a change of a delivery that was there before.
    pub change: bool,
}

/// When what is settled of one group may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Whose.
    pub group_uid: String,
    /// Settled events kept longer ago than this go.
    pub max_age: Duration,
    /// Those that no webhook matched, when kept longer ago than this.
    pub unmatched_age: Duration,
    /// The oldest settled ones go until the group's are no more than so many bytes. None: any size.
    pub max_bytes: Option<u64>,
}

impl Retention {
    /// By age alone.
    pub fn of_age(group_uid: impl Into<String>, max_age: Duration) -> Self {
        Self {
            group_uid: group_uid.into(),
            max_age,
            unmatched_age: max_age,
            max_bytes: None,
        }
    }
}

/// What is kept of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The org's name.
    pub org: String,
    /// The group's uid. It may be gone.
    pub group_uid: String,
    /// Events.
    pub events: u64,
    /// Of their records. Near enough: what came in the last moments may be missing.
    pub bytes: u64,
}

/// What went wrong, by what the caller should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Not kept for now (overload, a full disk, a slow sync): answer 503 and let the provider send again.
    #[error("event log: {0}")]
    Unavailable(String),
    /// A write or sync failed, and what the disk holds is no longer known: nothing is taken until the log is opened again.
    #[error("event log takes no writes: {0}")]
    Failed(String),
    /// What is stored can't be read: page someone.
    #[error("event log is damaged: {0}")]
    Damaged(String),
    /// There is no such event or delivery.
    #[error("no such {0}")]
    NotFound(String),
}

/// How safe what a log keeps is, and why it isn't safer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// As it is told in every receipt.
    pub receipt: v1::Receipt,
    /// What is weaker than promised, and what to set; empty when nothing is.
    pub reasons: Vec<String>,
}

/// The seam. See the module for what a backend promises.
///
/// Every call is bounded in time by the backend, in PostgreSQL to ten seconds: past it the answer is [`LogError::Unavailable`].
#[async_trait::async_trait]
pub trait DeliveryLog: Send + Sync + 'static {
    /// How safe what it keeps is. Shown in every receipt.
    fn receipt(&self) -> v1::Receipt;

    /// The same with the reasons, for operators. Cheap.
    fn durability(&self) -> Durability;

    /// What is remembered beside the events.
    fn notes(&self) -> &dyn Notes;

    /// What it counted since it was opened. Cheap, and never waits for the disk.
    fn stats(&self) -> Stats;

    /// Keeps one callback. Calls made at the same time share a commit. `deadline` bounds the wait: past it the answer is
    /// [`LogError::Unavailable`], and the callback may or may not be kept.
    async fn append(
        &self,
        callback: NewCallback,
        deadline: tokio::time::Instant,
    ) -> Result<Appended, LogError>;

    /// Takes at most `max` pending deliveries of a queue that are due, oldest first; of one order key only the oldest that is pending or leased.
    /// No further one once their events have [`LEASE_BYTES`].
    async fn lease(
        &self,
        queue: &Queue,
        max: usize,
        duration: Duration,
    ) -> Result<Vec<Lease>, LogError>;

    /// Settles attempts. The answer says for each whether it changed anything.
    async fn settle(&self, settlements: Vec<Settle>) -> Result<Vec<bool>, LogError>;

    /// The queues beyond `after` that have pending deliveries, in order, at most `limit`; without those of subscribers. Costs a step for each, not
    /// for each delivery.
    async fn waiting(&self, after: Option<&Queue>, limit: usize) -> Result<Vec<Waiting>, LogError>;

    /// One event, with how many duplicates were recognised.
    async fn event(&self, id: &str) -> Result<v1::Event, LogError>;

    /// One delivery, with its history.
    async fn delivery(&self, id: &str) -> Result<v1::Delivery, LogError>;

    /// Newest first, those before `before`, at most `limit`; with each the cursor to go on from.
    async fn events(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Event)>, LogError>;

    /// Newest first, those before `before`, at most `limit`; with each the cursor to go on from.
    async fn deliveries(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Delivery)>, LogError>;

    /// What came or changed after `after`, in order, at most `limit`. Without `changes` only what is new. The second value is where to go on
    /// from even when nothing was selected. Nothing appears later that was passed by: what was just kept may take moments to be shown.
    async fn tail(
        &self,
        selection: &Selection,
        after: Cursor,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError>;

    /// Where the tail is now, whoever wrote it.
    async fn reach(&self) -> Result<Reach, LogError>;

    /// The newest cursor, and a call whenever it grows or something becomes due. Within moments of what another replica did, and at the
    /// latest when it is looked again.
    fn newest(&self) -> watch::Receiver<Cursor>;

    /// Puts settled or held deliveries back to pending, attempts at 0, idempotency key unchanged. Says how many.
    async fn replay(&self, deliveries: &[PutBack]) -> Result<u32, LogError>;

    /// Makes deliveries of an event that is kept, but for those that it has for the same webhook and destination. Says how many.
    async fn add_deliveries(
        &self,
        event_id: &str,
        deliveries: Vec<NewDelivery>,
    ) -> Result<u32, LogError>;

    /// Drops all unsettled deliveries of a webhook that was deleted. Says how many.
    async fn drop_deliveries(&self, webhook_uid: &str, reason: &str) -> Result<u32, LogError>;

    /// What is kept of each group.
    async fn usage(&self) -> Result<Vec<Usage>, LogError>;

    /// Deletes what is settled of a group and may go, never anything else, some of it: says how many events went, and is called again until
    /// none did. Gives the space back to the file system or to later events.
    async fn retain(&self, retention: &Retention) -> Result<u64, LogError>;

    /// Deletes some dedup rows older than this: at least the longest window of any group. Says how many.
    async fn forget_repeats(&self, older_than: Duration) -> Result<u64, LogError>;

    /// Makes some of what was kept lately findable by its text, oldest first. Says whether there is more. Of several replicas one at a time does.
    async fn index(&self) -> Result<bool, LogError>;

    /// Ends: everything taken is durable, everything later is refused.
    async fn close(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_open_at_a_moment_was_not_there_yet() {
        let reach = Reach {
            whole: Cursor(9),
            last: Cursor(49),
            open: vec![Cursor(10)..=Cursor(19), Cursor(30)..=Cursor(39)],
        };
        let had = |at| reach.had(Cursor(at));
        assert!([0, 9, 20, 29, 40, 49].into_iter().all(had));
        assert!(![10, 19, 30, 39, 50].into_iter().any(had));
    }
}
