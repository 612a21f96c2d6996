//! Where configuration lives: a small key-value store with one revision line, preconditions, and a watch.
//!
//! Every write gives the whole store a new revision. Revisions only grow, unless the store is put back to an older copy; what tells one line of
//! revisions from another is a key like any other (`config::epoch`).
//!
//! A backend promises: a transaction is atomic and durable before [`Store::commit`] returns; a watch brings every change after its
//! revision, in order, once, and all changes of one revision together. It bounds every call itself: past that the answer is
//! [`StoreError::Unavailable`], which for a commit says nothing about whether it was made.

mod bounds;
mod embedded;
pub mod etcd;

pub use embedded::EmbeddedStore;

use std::pin::Pin;

use bytes::Bytes;
use tokio_stream::Stream;

/// A point on the store's one version line. 0 is before the first write.
pub type Revision = u64;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Bytes,
    /// Of the last write of this key.
    pub revision: Revision,
}

/// What must hold for a transaction to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// The key has no value.
    Absent,
    /// The key has a value, of any revision.
    Present,
    /// The key's last write had this revision.
    At(Revision),
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Put(String, Bytes),
    /// Removes a key. Removing what isn't there is no error.
    Delete(String),
}

/// All or nothing. At most [`MAX_WRITES`] writes and checks together, and [`MAX_TRANSACTION_BYTES`].
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Keys and what must hold for them.
    pub checks: Vec<(String, Precondition)>,
    /// Made in order.
    pub writes: Vec<Write>,
}

/// Checks and writes of one transaction, so that every backend has the same bound: etcd takes 128 by default, and one of them is the mark by
/// which the store there knows its own transactions.
pub const MAX_WRITES: usize = 127;

/// A value's size, in bytes: below what etcd takes in one request (1.5 MiB).
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// Keys and values of one transaction together, in bytes: likewise.
pub const MAX_TRANSACTION_BYTES: usize = 1280 * 1024;

/// All changes of one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Their revision.
    pub revision: Revision,
    /// Keys with their new value; none for a key that was removed.
    pub keys: Vec<(String, Option<Bytes>)>,
}

/// A list, and the revision it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// In order of their keys.
    pub entries: Vec<Entry>,
    /// Of the store when it was listed.
    pub revision: Revision,
}

/// What a watch brings. After an error it ends.
pub type Changes = Pin<Box<dyn Stream<Item = Result<Change, StoreError>> + Send>>;

/// What went wrong, by what the caller should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A precondition didn't hold: read again and decide anew.
    #[error("`{key}` was changed by somebody else")]
    Conflict {
        /// The first key whose check failed.
        key: String,
    },
    /// The revision asked for is no longer remembered: list again and compare.
    #[error("the store no longer remembers revision {asked}; the oldest is {oldest}")]
    Compacted {
        /// What was asked for.
        asked: Revision,
        /// What can be asked for.
        oldest: Revision,
    },
    /// More or larger than the store takes: make it smaller.
    #[error("{0}")]
    TooLarge(String),
    /// The store can't be reached or can't write: try again later.
    #[error("config store: {0}")]
    Unavailable(String),
    /// What is stored can't be read: page someone.
    #[error("config store is damaged: {0}")]
    Damaged(String),
}

/// The seam. See the module for what a backend promises.
#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// One key.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// At most `limit` keys that begin with `prefix`, those after `after` in order. For a whole list page by page at one revision,
    /// `at` takes the first page's revision; none means now. [`StoreError::Compacted`] when it is no longer remembered.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Listing, StoreError>;

    /// Makes the writes if all checks hold, and says at which revision. One that changes nothing (no writes, or removals of what isn't there)
    /// is at a revision that there was already.
    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError>;

    /// Every change after `after` of keys that begin with `prefix`. [`StoreError::Compacted`], here or as the stream's first word, when that is no
    /// longer remembered.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError>;
}
