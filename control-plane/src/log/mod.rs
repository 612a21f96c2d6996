//! Where events are kept until they are settled, and a while longer.
//!
//! The promise everything rests on: when [`DeliveryLog::append`] answers [`Appended::Kept`], the event, its dedup row and one delivery per
//! matched webhook are durable, all of them or none. Whether something is a duplicate is decided in that same transaction.

mod activity;
mod counts;
pub mod embedded;
mod keeping;
mod kept;
pub(crate) mod notes;
pub mod postgres;
mod reading;
mod stats;
mod stored;
pub mod words;
mod work;

use std::time::Duration;

use hookplane_proto::v1;
use tokio::sync::watch;

pub use activity::{Activity, ActivityOf, Bucket};
pub use keeping::{Retention, Usage};
pub use kept::{Appended, Dedup, NewCallback, NewDelivery, NewEvent};
pub use notes::{MAX_SHAPE_BYTES, MAX_SHAPES, Note, NoteKind, Notes, NotesOf};
pub use reading::{Cursor, Reach, Selection, TailItem};
pub use stats::Stats;
pub use work::{LEASE_BYTES, Lease, PutBack, Queue, Settle, Settlement, Waiting};

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

    /// The other end of it: of what came or changed after `after` and before `before` the newest, in order, at most `limit`; fewer are all there
    /// were, unless words are looked for. The second value is up to where it looked without `before`: there [`DeliveryLog::tail`] goes on.
    async fn tail_newest(
        &self,
        selection: &Selection,
        after: Cursor,
        before: Option<Cursor>,
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
    /// none did. It looks at a bounded number of events that stay: what it doesn't come to, later calls do. Gives the space back to the file
    /// system or to later events.
    async fn retain(&self, retention: &Retention) -> Result<u64, LogError>;

    /// Deletes some dedup rows older than this: at least the longest window of any group. Says how many.
    async fn forget_repeats(&self, older_than: Duration) -> Result<u64, LogError>;

    /// Makes some of what was kept lately findable by its text, oldest first. Says whether there is more. Of several replicas one at a time does.
    async fn index(&self) -> Result<bool, LogError>;

    /// Ends: everything taken is durable, everything later is refused.
    async fn close(&self);
}
