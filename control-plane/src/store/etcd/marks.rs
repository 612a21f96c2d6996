//! Marks: what a commit leaves in its own transaction, so that it can be tried again without being made twice.
//!
//! A mark is a key that one commit of one process has to itself for as long as it takes. The transaction holds only if the mark is as it was, and
//! writes another value to it. So of several attempts with the same words at most one is ever made, however late the others arrive; and whoever
//! finds the mark with this commit's value knows that it was made, and at which revision.
//!
//! Marks are kept for the next commits, as many as there were commits at a time, outside of what the seam's keys can be. They hang on a lease,
//! so that those of a process that is gone go with it; a mark is not used in the second half of its lease, so that none goes under a commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::fault::Fault;
use super::members::Members;
use crate::store::{Revision, StoreError};

/// Sorts after every key of the seam, all of which begin with what stands before it in ASCII.
pub(super) const AFTER_KEYS: &str = "~";
/// How long marks outlive their process.
const LEASE: Duration = Duration::from_secs(3600);

/// The marks of one process.
pub(super) struct Marks {
    /// What all their keys begin with.
    prefix: String,
    made: AtomicU64,
    free: Mutex<Vec<Mark>>,
    lease: tokio::sync::Mutex<Option<Lease>>,
}

/// One that a commit has to itself.
pub(super) struct Mark {
    pub(super) key: String,
    /// Of its last write; 0 when there was none.
    pub(super) revision: Revision,
    pub(super) lease: i64,
    use_until: Instant,
}

#[derive(Clone, Copy)]
struct Lease {
    id: i64,
    use_until: Instant,
}

impl Marks {
    /// Under the store's prefix, where a user with rights to that may write them.
    pub(super) fn new(store_prefix: &str) -> Result<Self, StoreError> {
        Ok(Self {
            prefix: format!(
                "{store_prefix}{AFTER_KEYS}marks/{}/",
                hex::encode(random()?)
            ),
            made: AtomicU64::new(0),
            free: Mutex::default(),
            lease: tokio::sync::Mutex::default(),
        })
    }

    pub(super) async fn take(&self, members: &Members, deadline: Instant) -> Result<Mark, Fault> {
        let now = Instant::now();
        let free = {
            let mut free = self.free();
            free.retain(|mark| mark.use_until > now);
            free.pop()
        };
        if let Some(mark) = free {
            return Ok(mark);
        }
        let lease = self.lease(members, deadline).await?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Mark {
            key: format!("{}{number}", self.prefix),
            revision: 0,
            lease: lease.id,
            use_until: lease.use_until,
        })
    }

    /// Only one whose revision is known: another attempt of the commit may still be on its way, and must find that it is another one.
    pub(super) fn give_back(&self, mark: Mark) {
        self.free().push(mark);
    }

    /// The store doesn't know the lease any more, nor the marks that hang on it.
    pub(super) async fn forget(&self, lease: i64) {
        self.free().retain(|mark| mark.lease != lease);
        let mut held = self.lease.lock().await;
        if held.is_some_and(|held| held.id == lease) {
            *held = None;
        }
    }

    async fn lease(&self, members: &Members, deadline: Instant) -> Result<Lease, Fault> {
        let mut held = self.lease.lock().await;
        if let Some(lease) = *held
            && lease.use_until > Instant::now()
        {
            return Ok(lease);
        }
        let use_until = Instant::now() + LEASE / 2;
        // One that is granted and not heard of ends by itself.
        let seconds = i64::try_from(LEASE.as_secs()).unwrap_or(i64::MAX);
        let granted = members
            .call(deadline, |mut etcd| async move {
                etcd.lease_grant(seconds, None).await
            })
            .await?;
        let lease = Lease {
            id: granted.id(),
            use_until,
        };
        *held = Some(lease);
        Ok(lease)
    }

    fn free(&self) -> MutexGuard<'_, Vec<Mark>> {
        // Whole whenever the lock is free.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of 128 bits: no two are the same.
pub(super) fn random() -> Result<[u8; 16], StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| StoreError::Unavailable(format!("no randomness from the system: {e}")))?;
    Ok(bytes)
}
