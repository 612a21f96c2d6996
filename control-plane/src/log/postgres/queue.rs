//! What waits for a writer: bounded in callbacks and in bytes, refused at once when full.
//!
//! There is no timer: each writer that is free takes what waits. Callbacks that share a key don't share a transaction: what tells repeats would have
//! to look at itself.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::PostgresOptions;
use super::append::Prepared;
use super::trouble::Trouble;
use crate::log::{Appended, LogError};

/// A callback that no writer has taken, or that one has given back.
pub(super) struct Waiting {
    pub(super) callback: Prepared,
    pub(super) bytes: usize,
    pub(super) deadline: Instant,
    /// One it shared a transaction with failed, or it did: it goes by itself.
    pub(super) alone: bool,
    pub(super) reply: oneshot::Sender<Result<Appended, LogError>>,
}

impl Waiting {
    /// The caller may have gone: its deadline passed.
    pub(super) fn answer(self, answer: Result<Appended, LogError>) {
        drop(self.reply.send(answer));
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// Taken, and neither answered nor given back.
    taken: usize,
    closed: bool,
}

pub(super) struct Queue {
    callbacks: usize,
    bytes: usize,
    batch_callbacks: usize,
    batch_bytes: usize,
    state: Mutex<State>,
    ready: Notify,
    /// True once it is closed and nothing waits or is at work.
    done: watch::Sender<bool>,
    trouble: Arc<Trouble>,
}

impl Queue {
    pub(super) fn new(options: &PostgresOptions, trouble: Arc<Trouble>) -> Self {
        Self {
            callbacks: options.queue_callbacks,
            bytes: options.queue_bytes,
            batch_callbacks: options.batch_callbacks,
            batch_bytes: options.batch_bytes,
            state: Mutex::default(),
            ready: Notify::new(),
            done: watch::Sender::new(false),
            trouble,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; were it so, the queue would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a callback or refuses it, without waiting.
    pub(super) fn push(&self, waiting: Waiting) -> Result<(), LogError> {
        let mut state = self.state();
        if state.closed {
            return Err(LogError::Unavailable("it is closed".into()));
        }
        let full = state.waiting.len() >= self.callbacks
            || (state.bytes > 0 && state.bytes + waiting.bytes > self.bytes);
        if full {
            return Err(LogError::Unavailable(format!(
                "{} callbacks wait to be written already",
                state.waiting.len()
            )));
        }
        state.bytes += waiting.bytes;
        state.waiting.push_back(waiting);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// How much waits.
    pub(super) fn len(&self) -> u64 {
        self.state().waiting.len() as u64
    }

    /// Waits for callbacks, and takes all that fit one transaction.
    pub(super) async fn take(&self) -> Vec<Waiting> {
        loop {
            let batch = self.take_some();
            if !batch.is_empty() {
                return batch;
            }
            self.ready.notified().await;
        }
    }

    fn take_some(&self) -> Vec<Waiting> {
        let mut state = self.state();
        let now = Instant::now();
        let mut batch: Vec<Waiting> = Vec::new();
        let (mut bytes, mut keys) = (0, HashSet::new());
        let mut at = 0;
        while let Some(next) = state.waiting.get(at) {
            if next.deadline <= now || next.reply.is_closed() {
                // Nobody waits for the answer any more, so it needn't be begun.
                if let Some(gone) = state.waiting.remove(at) {
                    state.bytes -= gone.bytes;
                    gone.answer(Err(self.trouble.time_was_up()));
                }
                continue;
            }
            let full = batch.len() >= self.batch_callbacks || bytes + next.bytes > self.batch_bytes;
            if !batch.is_empty() && (full || next.alone) {
                break;
            }
            if next.callback.marks.iter().any(|mark| keys.contains(mark)) {
                at += 1;
                continue;
            }
            keys.extend(next.callback.marks.iter().copied());
            let Some(next) = state.waiting.remove(at) else {
                break;
            };
            bytes += next.bytes;
            state.bytes -= next.bytes;
            let alone = next.alone;
            batch.push(next);
            if alone {
                break;
            }
        }
        state.taken += batch.len();
        self.settle_if_done(&state);
        // A push wakes one writer, which may not have taken all.
        let more = !batch.is_empty() && !state.waiting.is_empty();
        drop(state);
        if more {
            self.ready.notify_one();
        }
        batch
    }

    /// So many that were taken have their answers.
    pub(super) fn answered(&self, count: usize) {
        let mut state = self.state();
        state.taken -= count;
        self.settle_if_done(&state);
    }

    /// Takes back what is to be tried again. It was let in before, so it is not measured again. What is blocked by itself waits behind all others:
    /// in front it would keep a writer busy that they need (risk 43).
    pub(super) fn give_back(&self, again: Vec<Waiting>, behind: bool) {
        let mut state = self.state();
        state.taken -= again.len();
        for waiting in again.into_iter().rev() {
            state.bytes += waiting.bytes;
            if behind {
                state.waiting.push_back(waiting);
            } else {
                state.waiting.push_front(waiting);
            }
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Refuses everything from now on, and waits until what was let in is answered.
    pub(super) async fn close(&self) {
        let mut done = self.done.subscribe();
        {
            let mut state = self.state();
            state.closed = true;
            self.settle_if_done(&state);
        }
        self.ready.notify_one();
        // The sender lives as long as this.
        drop(done.wait_for(|done| *done).await);
    }

    fn settle_if_done(&self, state: &State) {
        if state.closed && state.waiting.is_empty() && state.taken == 0 {
            self.done.send_replace(true);
        }
    }
}
