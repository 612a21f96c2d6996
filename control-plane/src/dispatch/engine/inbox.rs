//! The queues that a lane has to look into, each once, in turn.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::lock;
use crate::dispatch::target::LaneKey;
use crate::log::Queue;

#[derive(Default)]
pub(super) struct Inbox {
    ready: Mutex<VecDeque<Queue>>,
    pub(super) told: Notify,
}

impl Inbox {
    /// Behind all others, unless it is there.
    pub(super) fn put(&self, queue: Queue) {
        let mut ready = lock(&self.ready);
        // A destination is named by few webhooks.
        if !ready.contains(&queue) {
            ready.push_back(queue);
            self.told.notify_one();
        }
    }

    /// Before all others: it has its turn still.
    pub(super) fn put_back(&self, queue: Queue) {
        let mut ready = lock(&self.ready);
        if !ready.contains(&queue) {
            ready.push_front(queue);
        }
    }

    pub(super) fn next(&self) -> Option<Queue> {
        lock(&self.ready).pop_front()
    }

    /// Whatever is there is looked for anew.
    pub(super) fn clear(&self) {
        lock(&self.ready).clear();
    }

    /// Takes it out of those that run, unless something came. Whoever puts something in holds that lock.
    pub(super) fn leave(
        &self,
        running: &Mutex<HashMap<LaneKey, Arc<Inbox>>>,
        key: &LaneKey,
    ) -> bool {
        let mut running = lock(running);
        let done = lock(&self.ready).is_empty();
        if done {
            running.remove(key);
        }
        done
    }
}
