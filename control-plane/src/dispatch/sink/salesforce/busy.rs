//! Records that are being written. Two requests that write to one record, or to two children of one parent, lock each other out: here the second
//! waits instead.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// By a hash of object and key: that two fall together costs a wait.
#[derive(Debug, Default)]
pub(super) struct Busy {
    taken: Mutex<HashSet<u64>>,
    freed: Notify,
}

/// Frees its records when it is dropped.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    busy: &'a Busy,
    records: HashSet<u64>,
}

/// Keys are the same whatever their case, as Salesforce has it.
pub(super) fn record(object: &str, key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.to_ascii_lowercase().hash(&mut hasher);
    key.to_lowercase().hash(&mut hasher);
    hasher.finish()
}

impl Busy {
    /// Waits until all of them are free, and takes all at once: nobody holds some while waiting for others.
    pub(super) async fn take(&self, records: HashSet<u64>) -> Taken<'_> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // What is freed between the look and the wait counts.
            freed.as_mut().enable();
            if self.try_take(&records) {
                return Taken {
                    busy: self,
                    records,
                };
            }
            freed.await;
        }
    }

    fn try_take(&self, records: &HashSet<u64>) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.is_disjoint(records) {
            return false;
        }
        taken.extend(records);
        true
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut taken = self
            .busy
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for record in &self.records {
            taken.remove(record);
        }
        drop(taken);
        self.busy.freed.notify_waiters();
    }
}
