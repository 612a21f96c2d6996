//! What waits to be kept, what is on its way on which stream, and what may be sent next.
//!
//! ```text
//!  push ─▶ waiting ─ next_batch ─▶ in flight on a stream ─ answered ─▶ done
//!             ▲                      │ retry later · stream lost · a third of the budget without an answer
//!             │                      ▼
//!             │◀── no stream ── to another stream: at once the first time ──▶ in flight there as well
//!             └────────── later, with jitter, from the second time on ◀───────────────────┘
//! ```
//!
//! A callback may be in flight on several streams, under one request id, so that the control plane recognises what is sent again. It leaves
//! with the first answer, or when nobody waits for it any more; what comes later about it says nothing.

mod carrier;

use std::collections::{HashMap, VecDeque};

use hookplane_proto::encoded_report as encoded;
use hookplane_proto::v1;
use tokio::time::Instant;

use super::Answer;
use super::pending::Pending;
use crate::backoff;
use carrier::{Batch, Carrier};

/// Callbacks in a batch.
pub(super) const MAX_BATCH_CALLBACKS: usize = 256;
/// Bytes in a batch of more than one callback.
pub(super) const MAX_BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Callbacks here that are not in flight. Bodies are bounded by bytes as well, by their shares.
pub(super) const MAX_WAITING: usize = 4096;
/// While callbacks can't be sent, those that nobody waits for any more are looked for this often.
const PRUNE_EVERY: std::time::Duration = std::time::Duration::from_millis(250);

/// Of this run, never used again.
pub(super) type StreamId = u64;
/// The same of a callback.
type Key = u64;

/// A callback, and where it is.
struct Held {
    pending: Pending,
    /// Streams that it is in flight on.
    on: Vec<StreamId>,
    /// Waits to go on one stream in particular.
    is_queued: bool,
    /// How often it was turned back, lost, or not answered in time.
    failures: u32,
}

/// Where [`Outbox::move_on`] put one.
enum Placed {
    Queued,
    /// No stream takes it.
    Nowhere,
}

/// See the module.
pub(super) struct Outbox {
    held: HashMap<Key, Held>,
    waiting: VecDeque<Key>,
    later: Vec<(Instant, Key)>,
    /// Two, and those that end.
    carriers: Vec<Carrier>,
    /// Takes what is new: all on one stream makes fuller batches than some on each.
    preferred: Option<StreamId>,
    next: u64,
    /// Not later than the next thing that is due.
    due: Option<Instant>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            held: HashMap::new(),
            waiting: VecDeque::new(),
            later: Vec::new(),
            carriers: Vec::new(),
            preferred: None,
            next: 1,
            due: None,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn push(&mut self, pending: Pending) {
        let key = self.number();
        let held = Held {
            pending,
            on: Vec::new(),
            is_queued: false,
            failures: 0,
        };
        self.held.insert(key, held);
        self.waiting.push_back(key);
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() + self.later.len() >= MAX_WAITING
    }

    /// A stream on which the control plane has said welcome.
    pub(super) fn open(&mut self, welcome: &v1::ReportWelcome) -> StreamId {
        let id = self.number();
        let credit = (welcome.credit_callbacks, welcome.credit_bytes);
        self.carriers.push(Carrier::new(id, credit));
        id
    }

    /// What may be in flight there from now on. What is above it already stays.
    pub(super) fn credit(&mut self, stream: StreamId, credit: v1::ReportCredit) {
        if let Some(carrier) = self.carrier(stream) {
            carrier.set_credit((credit.callbacks, credit.bytes));
        }
    }

    /// Nothing new goes there; what is there is still answered.
    pub(super) fn retire(&mut self, stream: StreamId) {
        let Some(carrier) = self.carrier(stream) else {
            return;
        };
        carrier.retiring = true;
        let again = std::mem::take(&mut carrier.again);
        self.without(stream);
        let now = Instant::now();
        for key in again {
            self.elsewhere(key, now);
        }
    }

    /// Whether a stream that takes nothing new has been answered for all that it had.
    pub(super) fn is_settled(&self, stream: StreamId) -> bool {
        self.carriers
            .iter()
            .find(|carrier| carrier.id == stream)
            .is_none_or(|carrier| carrier.retiring && carrier.batches.is_empty())
    }

    /// The stream is gone: what was in flight on it goes on another one at once, before what came after it.
    pub(super) fn lost(&mut self, stream: StreamId, now: Instant) {
        let Some(at) = self.carriers.iter().position(|c| c.id == stream) else {
            return;
        };
        let lost = self.carriers.swap_remove(at);
        self.without(stream);
        let mut batches: Vec<_> = lost.batches.into_iter().collect();
        batches.sort_by_key(|(id, _)| *id);
        let flying = batches.into_iter().flat_map(|(_, batch)| batch.keys);
        let mut first = Vec::new();
        for key in flying {
            if let Some(held) = self.held.get_mut(&key) {
                held.on.retain(|on| *on != stream);
                first.extend(self.failed(key, None, now));
            }
        }
        for key in first.into_iter().rev() {
            self.waiting.push_front(key);
        }
        for key in lost.again {
            self.elsewhere(key, now);
        }
    }

    fn without(&mut self, stream: StreamId) {
        if self.preferred == Some(stream) {
            self.preferred = None;
        }
    }

    fn carrier(&mut self, stream: StreamId) -> Option<&mut Carrier> {
        self.carriers.iter_mut().find(|c| c.id == stream)
    }

    /// The stream that takes what is new: the one it was, while that one is well and has room.
    fn taker(&self) -> Option<StreamId> {
        let open = || self.carriers.iter().filter(|c| !c.retiring);
        let first = self.waiting.front().and_then(|key| self.held.get(key));
        let bytes = first.map_or(0, |held| held.pending.bytes());
        let room = |carrier: &&Carrier| carrier.room().has(0, 0, bytes);
        let preferred = self.preferred.and_then(|id| open().find(|c| c.id == id));
        preferred
            .filter(|carrier| !carrier.slow && room(carrier))
            .or_else(|| open().find(|carrier| !carrier.slow && room(carrier)))
            .or_else(|| open().find(room))
            .map(|carrier| carrier.id)
    }

    /// Where news goes: one stream at a time.
    pub(super) fn preferred(&mut self) -> Option<StreamId> {
        let well = |c: &&Carrier| !c.retiring && !c.slow;
        let is_well = |id| self.carriers.iter().any(|c| c.id == id && well(&c));
        if !self.preferred.is_some_and(is_well) {
            let open = || self.carriers.iter().filter(|c| !c.retiring);
            let next = open().find(well).or_else(|| open().next());
            self.preferred = next.map(|carrier| carrier.id);
        }
        self.preferred
    }

    /// Whether there is something to send on a stream and credit for it.
    pub(super) fn can_send(&self, stream: StreamId) -> bool {
        let Some(carrier) = self.carriers.iter().find(|c| c.id == stream) else {
            return false;
        };
        if carrier.retiring {
            return false;
        }
        if let Some(key) = carrier.again.front() {
            let bytes = self.held.get(key).map_or(0, |held| held.pending.bytes());
            return carrier.room().has(0, 0, bytes);
        }
        !self.waiting.is_empty() && self.taker() == Some(stream)
    }

    /// What is to go on this stream, as much as a batch and the credit take.
    pub(super) fn next_batch(&mut self, stream: StreamId, now: Instant) -> Option<encoded::Batch> {
        let takes_new = self.taker() == Some(stream);
        let carrier = self.carriers.iter_mut().find(|c| c.id == stream)?;
        let room = carrier.room();
        let mut batch = Batch::new(now);
        let mut callbacks = Vec::new();
        loop {
            let from = match carrier.again.is_empty() {
                false => &mut carrier.again,
                true if takes_new => &mut self.waiting,
                true => break,
            };
            let Some(key) = from.front().copied() else {
                break;
            };
            let Some(held) = self.held.get_mut(&key) else {
                from.pop_front();
                continue;
            };
            if !held.pending.is_wanted(now) {
                from.pop_front();
                if held.on.is_empty() {
                    self.held.remove(&key);
                }
                continue;
            }
            if held.on.contains(&stream) {
                from.pop_front();
                held.is_queued = false;
                continue;
            }
            let (count, bytes) = (callbacks.len(), held.pending.bytes());
            let full = count > 0
                && (count >= MAX_BATCH_CALLBACKS || batch.bytes + bytes > MAX_BATCH_BYTES);
            if full || !room.has(count, batch.bytes, bytes) {
                break;
            }
            from.pop_front();
            held.is_queued = false;
            held.on.push(stream);
            batch.add(key, &held.pending, now);
            callbacks.push(held.pending.to_send(now));
        }
        if callbacks.is_empty() {
            return None;
        }
        let batch_id = self.next;
        self.next += 1;
        self.due = sooner(self.due, batch.overdue);
        carrier.send(batch_id, batch);
        if takes_new {
            self.preferred = self.preferred.or(Some(stream));
        }
        Some(encoded::Batch {
            batch_id,
            callbacks,
        })
    }

    /// Hands answers to those who wait. An answer to a batch that isn't in flight there says nothing.
    pub(super) fn answered(
        &mut self,
        stream: StreamId,
        answer: v1::ReportBatchAnswer,
        now: Instant,
    ) {
        let Some(batch) = self
            .carrier(stream)
            .and_then(|carrier| carrier.answered(answer.batch_id))
        else {
            return;
        };
        let mut answers = answer.callbacks.into_iter();
        for key in batch.keys {
            // Nothing said about one is no promise about it: it goes again.
            let answer = answers.next().and_then(Answer::from_wire);
            let Some(held) = self.held.get_mut(&key) else {
                continue;
            };
            match answer {
                Some(answer) => {
                    if let Some(held) = self.held.remove(&key) {
                        held.pending.answer(answer);
                    }
                }
                None => {
                    held.on.retain(|on| *on != stream);
                    self.turned_back(key, stream, now);
                }
            }
        }
    }

    /// One replica can't keep it now: the other one may. With no other, it waits a moment even the first time.
    fn turned_back(&mut self, key: Key, stream: StreamId, now: Instant) {
        let others = self.carriers.iter().any(|c| c.id != stream && !c.retiring);
        if others {
            let homeless = self.failed(key, Some(stream), now);
            self.waiting.extend(homeless);
            return;
        }
        if let Some(held) = self.held.get_mut(&key) {
            held.failures += 1;
        }
        self.postpone(key, now);
    }

    /// Sends it on another stream. Returns it if it is to go at once, and there is none.
    fn failed(&mut self, key: Key, not: Option<StreamId>, now: Instant) -> Option<Key> {
        let held = self.held.get_mut(&key)?;
        held.failures += 1;
        // The second time and after it something is wrong with more than one stream.
        if held.failures > 1 {
            self.postpone(key, now);
            return None;
        }
        match self.move_on(key, not) {
            Placed::Nowhere if self.is_flying(key) => {
                self.postpone(key, now);
                None
            }
            Placed::Nowhere => Some(key),
            Placed::Queued => None,
        }
    }

    fn is_flying(&self, key: Key) -> bool {
        self.held.get(&key).is_some_and(|held| !held.on.is_empty())
    }

    /// Puts it where it isn't yet.
    fn move_on(&mut self, key: Key, not: Option<StreamId>) -> Placed {
        let Some(held) = self.held.get_mut(&key) else {
            return Placed::Queued;
        };
        if held.is_queued {
            return Placed::Queued;
        }
        let others = self
            .carriers
            .iter_mut()
            .filter(|c| !c.retiring && Some(c.id) != not && !held.on.contains(&c.id));
        let Some(carrier) = others.min_by_key(|carrier| carrier.slow) else {
            return Placed::Nowhere;
        };
        held.is_queued = true;
        carrier.again.push_back(key);
        Placed::Queued
    }

    /// The same for what waited for a stream that takes nothing any more. That is no failure.
    fn elsewhere(&mut self, key: Key, now: Instant) {
        if let Some(held) = self.held.get_mut(&key) {
            held.is_queued = false;
        }
        self.place(key, now);
    }

    fn place(&mut self, key: Key, now: Instant) {
        match self.move_on(key, None) {
            Placed::Queued => {}
            // On every stream there is: until one of them answers, or another one comes.
            Placed::Nowhere if self.is_flying(key) => {
                if let Some(held) = self.held.get_mut(&key) {
                    held.failures += 1;
                }
                self.postpone(key, now);
            }
            Placed::Nowhere => self.waiting.push_back(key),
        }
    }

    /// Later, unless that is too late; then it is given up at once.
    fn postpone(&mut self, key: Key, now: Instant) {
        let Some(held) = self.held.get(&key) else {
            return;
        };
        let due = now + backoff::wait_after(held.failures.saturating_sub(1));
        if held.pending.is_wanted(due) {
            self.later.push((due, key));
            self.due = sooner(self.due, due);
        } else if held.on.is_empty() {
            self.held.remove(&key);
        }
    }

    /// When [`Self::tick`] has something to do, at the earliest.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if self.waiting.is_empty() {
            self.due
        } else {
            let prune = now + PRUNE_EVERY;
            Some(self.due.map_or(prune, |due| due.min(prune)))
        }
    }

    /// Sees to what is due: what was to go later, and what has no answer after a third of its budget.
    pub(super) fn tick(&mut self, now: Instant) {
        self.due = None;
        let later: Vec<Key> = self
            .later
            .extract_if(.., |(due, _)| *due <= now)
            .map(|(_, key)| key)
            .collect();
        for key in later {
            self.place(key, now);
        }
        let overdue: Vec<Key> = self
            .carriers
            .iter_mut()
            .flat_map(|carrier| carrier.overdue(now))
            .collect();
        for key in overdue {
            let homeless = self.failed(key, None, now);
            self.waiting.extend(homeless);
        }
        for key in self.carriers.iter().flat_map(|c| c.expired(now)) {
            self.held.remove(&key);
        }
        self.prune(now);
        let dues = self.carriers.iter().filter_map(|c| c.next_due(now));
        let next = dues.min();
        let later = self.later.iter().map(|(due, _)| *due).min();
        self.due = [self.due, next, later].into_iter().flatten().min();
    }

    /// Forgets what nobody waits for any more.
    pub(super) fn prune(&mut self, now: Instant) {
        let held = &mut self.held;
        let mut is_wanted = |key: &Key| {
            let wanted = held.get(key).is_some_and(|h| h.pending.is_wanted(now));
            if !wanted && held.get(key).is_some_and(|h| h.on.is_empty()) {
                held.remove(key);
            }
            wanted
        };
        self.waiting.retain(&mut is_wanted);
        self.later.retain(|(_, key)| is_wanted(key));
    }
}

fn sooner(due: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(due.map_or(other, |due| due.min(other)))
}

#[cfg(test)]
mod tests;
