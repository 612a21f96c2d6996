//! One stream's part: what is in flight on it, and how much may be.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use super::{Key, StreamId};
use crate::report::pending::Pending;

/// In flight where the control plane doesn't say.
const DEFAULT_CREDIT_CALLBACKS: u32 = 4096;
const DEFAULT_CREDIT_BYTES: u64 = 64 * 1024 * 1024;

/// What went in one message.
pub(super) struct Batch {
    pub(super) keys: Vec<Key>,
    pub(super) bytes: u64,
    /// When the first of it has waited for a third of its budget.
    pub(super) overdue: Instant,
    /// When nobody waits for any of it.
    expires: Instant,
    told_overdue: bool,
}

impl Batch {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            keys: Vec::new(),
            bytes: 0,
            overdue: now,
            expires: now,
            told_overdue: false,
        }
    }

    pub(super) fn add(&mut self, key: Key, pending: &Pending, now: Instant) {
        let overdue = now + pending.patience();
        self.overdue = match self.keys.is_empty() {
            true => overdue,
            false => self.overdue.min(overdue),
        };
        self.expires = self.expires.max(pending.deadline());
        self.bytes += pending.bytes();
        self.keys.push(key);
    }
}

/// What is in flight, and what may be.
pub(super) struct Room {
    callbacks: usize,
    bytes: u64,
    credit: (usize, u64),
}

impl Room {
    /// For one more, after so many more.
    pub(super) fn has(&self, more_callbacks: usize, more_bytes: u64, next: u64) -> bool {
        let (callbacks, bytes) = self.credit;
        let flying = self.callbacks + more_callbacks;
        // A callback larger than all the credit goes alone, rather than never.
        flying == 0 || (flying < callbacks && self.bytes + more_bytes + next <= bytes)
    }
}

/// See the module.
pub(super) struct Carrier {
    pub(super) id: StreamId,
    pub(super) batches: HashMap<u64, Batch>,
    callbacks: usize,
    bytes: u64,
    credit: (usize, u64),
    /// Failed on another stream; goes here next.
    pub(super) again: VecDeque<Key>,
    /// Something on it has no answer in time: what is new goes elsewhere until it answers again.
    pub(super) slow: bool,
    /// Takes nothing new.
    pub(super) retiring: bool,
}

impl Carrier {
    pub(super) fn new(id: StreamId, credit: (u32, u64)) -> Self {
        let mut carrier = Self {
            id,
            batches: HashMap::new(),
            callbacks: 0,
            bytes: 0,
            credit: (0, 0),
            again: VecDeque::new(),
            slow: false,
            retiring: false,
        };
        carrier.set_credit(credit);
        carrier
    }

    pub(super) fn set_credit(&mut self, (callbacks, bytes): (u32, u64)) {
        let callbacks = match callbacks {
            0 => DEFAULT_CREDIT_CALLBACKS,
            said => said,
        };
        let bytes = match bytes {
            0 => DEFAULT_CREDIT_BYTES,
            said => said,
        };
        self.credit = (usize::try_from(callbacks).unwrap_or(usize::MAX), bytes);
    }

    pub(super) fn room(&self) -> Room {
        Room {
            callbacks: self.callbacks,
            bytes: self.bytes,
            credit: self.credit,
        }
    }

    pub(super) fn send(&mut self, id: u64, batch: Batch) {
        self.callbacks += batch.keys.len();
        self.bytes += batch.bytes;
        self.batches.insert(id, batch);
    }

    pub(super) fn answered(&mut self, id: u64) -> Option<Batch> {
        let batch = self.batches.remove(&id)?;
        self.callbacks -= batch.keys.len();
        self.bytes -= batch.bytes;
        self.slow = false;
        Some(batch)
    }

    /// What should have been answered by now, told once.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Key> {
        let mut overdue = Vec::new();
        for batch in self.batches.values_mut() {
            if batch.overdue <= now && !batch.told_overdue {
                batch.told_overdue = true;
                self.slow = true;
                overdue.extend_from_slice(&batch.keys);
            }
        }
        overdue
    }

    /// What nobody waits for any more. It counts against the credit all the same until it is answered.
    pub(super) fn expired(&self, now: Instant) -> Vec<Key> {
        let over = |batch: &&Batch| batch.expires <= now;
        let batches = self.batches.values().filter(over);
        batches
            .flat_map(|batch| batch.keys.iter().copied())
            .collect()
    }

    /// When to look at it again.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let due = |batch: &Batch| match batch.told_overdue {
            true => batch.expires,
            false => batch.overdue,
        };
        let dues = self.batches.values().map(due);
        // What has expired is of no more interest, answered or not.
        dues.filter(|due| *due > now).min()
    }
}
