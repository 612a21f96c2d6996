//! What waits to be kept, what is on its way, and what may be sent next.
//!
//! ```text
//!  push ─▶ waiting ─ next_batch ─▶ in flight ─ answered ─▶ done
//!             ▲ ▲                    │   └─ retry later ─▶ later ─ due ─┐
//!             │ └──── stream lost ───┘                                  │
//!             └─────────────────────────────────────────────────────────┘
//! ```
//!
//! A callback is in one place at a time, and leaves when it is answered or nobody waits for it any more. Its request id stays the same, so
//! the control plane recognises what is sent again.

use std::collections::{HashMap, VecDeque};

use hookplane_proto::v1;
use prost::Message;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Answer;
use crate::backoff;
use crate::body::Share;

/// Callbacks in a batch.
pub(super) const MAX_BATCH_CALLBACKS: usize = 256;
/// Bytes in a batch of more than one callback.
pub(super) const MAX_BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Callbacks here that are not in flight. Bodies are bounded by bytes as well, by their shares.
pub(super) const MAX_WAITING: usize = 4096;
/// A callback, at most: a body of 25 MiB and its items, and what is known of them. Below the 56 MiB that the control plane takes.
const MAX_CALLBACK_BYTES: u64 = 54 * 1024 * 1024;
/// What a callback takes in a batch besides itself: its tag, its length, and the budget that is filled in when it is sent.
const OVERHEAD_BYTES: u64 = 32;
/// In flight where the control plane doesn't say.
const DEFAULT_CREDIT_CALLBACKS: u32 = 4096;
const DEFAULT_CREDIT_BYTES: u64 = 64 * 1024 * 1024;

/// One callback that somebody waits for.
pub(crate) struct Pending {
    pub(super) callback: v1::ReportedCallback,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Answer>,
    /// Given back when the callback leaves.
    pub(super) _share: Share,
    /// How often it was turned back.
    pub(super) returned: u32,
    /// As it is sent.
    bytes: u64,
}

impl Pending {
    pub(super) fn new(
        mut callback: v1::ReportedCallback,
        deadline: Instant,
        answer: oneshot::Sender<Answer>,
        share: Share,
    ) -> Self {
        // Verdicts included: many events for many webhooks come to more than their bodies, and a message too large would end the stream for
        // all that is on it.
        let mut bytes = size(&callback);
        if bytes > MAX_CALLBACK_BYTES {
            // The control plane matches by itself what was matched with the oldest of plans.
            callback.plan_revision = 0;
            for event in &mut callback.events {
                event.matches = Vec::new();
            }
            bytes = size(&callback);
        }
        Self {
            callback,
            deadline,
            answer,
            _share: share,
            returned: 0,
            bytes,
        }
    }

    fn is_wanted(&self, now: Instant) -> bool {
        self.deadline > now && !self.answer.is_closed()
    }
}

fn size(callback: &v1::ReportedCallback) -> u64 {
    callback.encoded_len() as u64 + OVERHEAD_BYTES
}

struct Batch {
    callbacks: Vec<Pending>,
    bytes: u64,
}

pub(super) struct Outbox {
    waiting: VecDeque<Pending>,
    later: Vec<(Instant, Pending)>,
    in_flight: HashMap<u64, Batch>,
    next_id: u64,
    flying_callbacks: usize,
    flying_bytes: u64,
    /// None until the control plane has said welcome on this stream.
    credit: Option<(usize, u64)>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            later: Vec::new(),
            in_flight: HashMap::new(),
            next_id: 1,
            flying_callbacks: 0,
            flying_bytes: 0,
            credit: None,
        }
    }

    pub(super) fn push(&mut self, pending: Pending) {
        self.waiting.push_back(pending);
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() + self.later.len() >= MAX_WAITING
    }

    /// Forgets what nobody waits for any more.
    pub(super) fn prune(&mut self, now: Instant) {
        self.waiting.retain(|pending| pending.is_wanted(now));
        self.later.retain(|(_, pending)| pending.is_wanted(now));
    }

    pub(super) fn welcome(&mut self, welcome: v1::ReportWelcome) {
        let or = |said: u32, default: u32| if said == 0 { default } else { said };
        let callbacks = or(welcome.credit_callbacks, DEFAULT_CREDIT_CALLBACKS);
        let bytes = match welcome.credit_bytes {
            0 => DEFAULT_CREDIT_BYTES,
            said => said,
        };
        self.credit = Some((usize::try_from(callbacks).unwrap_or(usize::MAX), bytes));
    }

    /// When the next of what was to be sent later is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.later.iter().map(|(due, _)| *due).min()
    }

    pub(super) fn take_due(&mut self, now: Instant) {
        let due: Vec<_> = self
            .later
            .extract_if(.., |(due, _)| *due <= now)
            .map(|(_, pending)| pending)
            .collect();
        self.waiting.extend(due);
    }

    /// Whether there is something to send and credit for it.
    pub(super) fn can_send(&self) -> bool {
        self.waiting
            .front()
            .is_some_and(|first| self.has_credit(0, 0, first.bytes))
    }

    fn has_credit(&self, more_callbacks: usize, more_bytes: u64, next: u64) -> bool {
        let Some((callbacks, bytes)) = self.credit else {
            return false;
        };
        let flying = self.flying_callbacks + more_callbacks;
        // A callback larger than all the credit goes alone, rather than never.
        flying == 0 || (flying < callbacks && self.flying_bytes + more_bytes + next <= bytes)
    }

    /// What waits, as much as a batch and the credit take.
    pub(super) fn next_batch(&mut self, now: Instant) -> Option<v1::ReportBatch> {
        let mut batch = Batch {
            callbacks: Vec::new(),
            bytes: 0,
        };
        while let Some(next) = self.waiting.front() {
            let bytes = next.bytes;
            if !next.is_wanted(now) {
                self.waiting.pop_front();
                continue;
            }
            let count = batch.callbacks.len();
            let full = count > 0
                && (count >= MAX_BATCH_CALLBACKS || batch.bytes + bytes > MAX_BATCH_BYTES);
            if full || !self.has_credit(count, batch.bytes, bytes) {
                break;
            }
            batch.bytes += bytes;
            batch.callbacks.extend(self.waiting.pop_front());
        }
        if batch.callbacks.is_empty() {
            return None;
        }
        let batch_id = self.next_id;
        self.next_id += 1;
        let callbacks = batch
            .callbacks
            .iter()
            .map(|pending| {
                let mut callback = pending.callback.clone();
                let left = pending.deadline.saturating_duration_since(now).as_millis();
                callback.budget_milliseconds = u32::try_from(left).unwrap_or(u32::MAX).max(1);
                callback
            })
            .collect();
        self.flying_callbacks += batch.callbacks.len();
        self.flying_bytes += batch.bytes;
        self.in_flight.insert(batch_id, batch);
        Some(v1::ReportBatch {
            batch_id,
            callbacks,
        })
    }

    /// Hands answers to those who wait. An answer to a batch that isn't in flight says nothing.
    pub(super) fn answered(&mut self, answer: v1::ReportBatchAnswer, now: Instant) {
        let Some(batch) = self.in_flight.remove(&answer.batch_id) else {
            return;
        };
        self.flying_callbacks -= batch.callbacks.len();
        self.flying_bytes -= batch.bytes;
        let mut answers = answer.callbacks.into_iter();
        for mut pending in batch.callbacks {
            // Nothing said about one is no promise about it: it goes again.
            match answers.next().and_then(Answer::from_wire) {
                // Whoever waited may have given up meanwhile; the provider will send again and be told it is a duplicate.
                Some(answer) => drop(pending.answer.send(answer)),
                None => {
                    let due = now + backoff::wait_after(pending.returned);
                    pending.returned += 1;
                    if due < pending.deadline {
                        self.later.push((due, pending));
                    }
                }
            }
        }
    }

    /// The stream is gone: all that was in flight waits again, before what came after it.
    pub(super) fn lost(&mut self) {
        self.credit = None;
        self.flying_callbacks = 0;
        self.flying_bytes = 0;
        let mut batches: Vec<_> = self.in_flight.drain().collect();
        batches.sort_by_key(|(id, _)| *id);
        for (_, batch) in batches.into_iter().rev() {
            for pending in batch.callbacks.into_iter().rev() {
                self.waiting.push_front(pending);
            }
        }
    }
}

#[cfg(test)]
mod tests;
