//! The queues that a lane has to look into, each once, in turn.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::lock;
use crate::dispatch::target::EndpointKey;
use crate::log::Queue;

#[derive(Default)]
pub(super) struct Inbox {
    ready: Mutex<Ready>,
    pub(super) told: Notify,
}

/// The same queues twice: in turn, and to be found. A destination may be named by thousands of webhooks.
#[derive(Default)]
struct Ready {
    turns: VecDeque<Queue>,
    there: HashSet<Queue>,
}

impl Inbox {
    /// Behind all others, unless it is there.
    pub(super) fn put(&self, queue: Queue) {
        let mut ready = lock(&self.ready);
        if ready.there.insert(queue.clone()) {
            ready.turns.push_back(queue);
            self.told.notify_one();
        }
    }

    /// Before all others: it has its turn still.
    pub(super) fn put_back(&self, queue: Queue) {
        let mut ready = lock(&self.ready);
        if ready.there.insert(queue.clone()) {
            ready.turns.push_front(queue);
        }
    }

    pub(super) fn next(&self) -> Option<Queue> {
        let mut ready = lock(&self.ready);
        let next = ready.turns.pop_front()?;
        ready.there.remove(&next);
        Some(next)
    }

    /// Whatever is there is looked for anew.
    pub(super) fn clear(&self) {
        *lock(&self.ready) = Ready::default();
    }

    /// Takes it out of those that run, unless something came. Whoever puts something in holds that lock.
    pub(super) fn leave(
        &self,
        running: &Mutex<HashMap<EndpointKey, Arc<Inbox>>>,
        key: &EndpointKey,
    ) -> bool {
        let mut running = lock(running);
        let done = lock(&self.ready).turns.is_empty();
        if done {
            running.remove(key);
        }
        done
    }
}
