//! What waits for a writer: bounded in callbacks and in bytes, refused at once when full.
//!
//! There is no timer: each writer that is free takes what waits. Callbacks that share a key don't share a transaction: what tells repeats would have
//! to look at itself.
//!
//! ```text
//!   push ─▶ waiting ─────────────▶ a batch ──▶ kept
//!              ▲  └ its key is in the way │
//!              │           ▼              │ it failed
//!              │        the side: one by one, by at most half of the writers
//!              └ of a batch that failed, each to go alone
//! ```
//!
//! What failed alone goes to the side, and whatever shares a key with it: a row that is held, or that can't be read, costs those who want it their
//! answers, and the others at most half of the writers.

use std::collections::{HashMap, HashSet, VecDeque};
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
    /// It is one of the side's.
    pub(super) aside: bool,
    pub(super) reply: oneshot::Sender<Result<Appended, LogError>>,
}

impl Waiting {
    /// Nobody waits for the answer any more, so it needn't be begun.
    fn is_over(&self, now: Instant) -> bool {
        self.deadline <= now || self.reply.is_closed()
    }

    /// The caller may have gone: its deadline passed.
    fn answer(self, answer: Result<Appended, LogError>) {
        drop(self.reply.send(answer));
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Those that failed alone, and that share a key with one that did.
    side: VecDeque<Waiting>,
    /// How many at the side, taken ones too, have the mark.
    side_marks: HashMap<u64, usize>,
    /// Writers that are at one of the side.
    side_taken: usize,
    /// The side's turn: it and the batches take turns where there is one writer for both.
    side_next: bool,
    /// Of all that wait.
    bytes: usize,
    /// Taken, and neither answered nor given back.
    taken: usize,
    closed: bool,
}

impl State {
    fn len(&self) -> usize {
        self.waiting.len() + self.side.len()
    }

    fn mark(&mut self, waiting: &Waiting) {
        for mark in &waiting.callback.marks {
            *self.side_marks.entry(*mark).or_default() += 1;
        }
    }

    fn unmark(&mut self, waiting: &Waiting) {
        for mark in &waiting.callback.marks {
            if let Some(count) = self.side_marks.get_mut(mark) {
                *count -= 1;
                if *count == 0 {
                    self.side_marks.remove(mark);
                }
            }
        }
    }
}

pub(super) struct Queue {
    callbacks: usize,
    bytes: usize,
    batch_callbacks: usize,
    batch_bytes: usize,
    /// Writers that the side may have at a time.
    side_writers: usize,
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
            side_writers: (options.writers / 2).max(1),
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
        let full = state.len() >= self.callbacks
            || (state.bytes > 0 && state.bytes + waiting.bytes > self.bytes);
        if full {
            return Err(LogError::Unavailable(format!(
                "{} callbacks wait to be written already",
                state.len()
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
        self.state().len() as u64
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
        let side = state.side_next || state.waiting.is_empty();
        let mut batch: Vec<Waiting> = Vec::new();
        if side && state.side_taken < self.side_writers {
            batch.extend(self.take_of_side(&mut state, now));
        }
        if batch.is_empty() {
            batch = self.take_of_waiting(&mut state, now);
        }
        if batch.is_empty() && state.side_taken < self.side_writers {
            batch.extend(self.take_of_side(&mut state, now));
        }
        state.taken += batch.len();
        self.settle_if_done(&state);
        // A push wakes one writer, which may not have taken all.
        let more = !state.waiting.is_empty()
            || (!state.side.is_empty() && state.side_taken < self.side_writers);
        let more = more && !batch.is_empty();
        drop(state);
        if more {
            self.ready.notify_one();
        }
        batch
    }

    /// The next one of the side. Its marks stay until it is answered.
    fn take_of_side(&self, state: &mut State, now: Instant) -> Option<Waiting> {
        state.side_next = false;
        while let Some(next) = state.side.pop_front() {
            state.bytes -= next.bytes;
            if next.is_over(now) {
                state.unmark(&next);
                next.answer(Err(self.trouble.time_was_up()));
                continue;
            }
            state.side_taken += 1;
            return Some(next);
        }
        None
    }

    /// All that fit one transaction.
    fn take_of_waiting(&self, state: &mut State, now: Instant) -> Vec<Waiting> {
        state.side_next = true;
        let mut batch: Vec<Waiting> = Vec::new();
        let (mut bytes, mut keys) = (0, HashSet::new());
        let mut at = 0;
        while let Some(next) = state.waiting.get(at) {
            if next.is_over(now) {
                if let Some(gone) = state.waiting.remove(at) {
                    state.bytes -= gone.bytes;
                    gone.answer(Err(self.trouble.time_was_up()));
                }
                continue;
            }
            let marks = &next.callback.marks;
            if marks.iter().any(|mark| state.side_marks.contains_key(mark)) {
                if let Some(mut next) = state.waiting.remove(at) {
                    next.aside = true;
                    state.mark(&next);
                    state.side.push_back(next);
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
        batch
    }

    /// Answers what was taken.
    pub(super) fn answer(
        &self,
        answers: impl ExactSizeIterator<Item = (Waiting, Result<Appended, LogError>)>,
    ) {
        let mut state = self.state();
        state.taken -= answers.len();
        for (waiting, answer) in answers {
            if waiting.aside {
                state.side_taken -= 1;
                state.unmark(&waiting);
            }
            waiting.answer(answer);
        }
        self.settle_if_done(&state);
        let more = !state.side.is_empty();
        drop(state);
        if more {
            self.ready.notify_one();
        }
    }

    /// Takes back what is to be tried again. It was let in before, so it is not measured again. What failed alone goes to the side: in front it would
    /// keep writers busy that the others need (risk 43).
    pub(super) fn give_back(&self, again: Vec<Waiting>, to_side: bool) {
        let mut state = self.state();
        state.taken -= again.len();
        for mut waiting in again.into_iter().rev() {
            state.bytes += waiting.bytes;
            if waiting.aside {
                state.side_taken -= 1;
                state.side.push_back(waiting);
            } else if to_side {
                waiting.aside = true;
                state.mark(&waiting);
                state.side.push_back(waiting);
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
        if state.closed && state.len() == 0 && state.taken == 0 {
            self.done.send_replace(true);
        }
    }
}
