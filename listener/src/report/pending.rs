//! One callback that somebody waits for, encoded once.

use std::time::Duration;

use hookplane_proto::encoded_report as encoded;
use hookplane_proto::v1;
use prost::Message;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Answer;
use crate::body::Share;

/// A callback, at most: a body of 25 MiB and its items, and what is known of them. Below the 56 MiB that the control plane takes.
pub(super) const MAX_CALLBACK_BYTES: u64 = 54 * 1024 * 1024;
/// What a callback takes in a batch besides itself: its tag, its length, and the budget that is filled in when it is sent.
const OVERHEAD_BYTES: u64 = 32;
/// Without an answer for this part of its budget a callback goes to another replica as well: then there is as much time again, and a third
/// for one more attempt.
const PARTS: u32 = 3;

/// See the module.
pub(crate) struct Pending {
    callback: encoded::Callback,
    deadline: Instant,
    patience: Duration,
    answer: oneshot::Sender<Answer>,
    bytes: u64,
    /// Given back when the callback leaves.
    _share: Share,
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
        if !is_small(&callback)
            && callback.encoded_len() as u64 + OVERHEAD_BYTES > MAX_CALLBACK_BYTES
        {
            // The control plane matches by itself what was matched with the oldest of plans.
            callback.plan_revision = 0;
            for event in &mut callback.events {
                event.matches = Vec::new();
            }
        }
        let callback = encoded::Callback::new(callback);
        let patience = deadline.saturating_duration_since(Instant::now()) / PARTS;
        Self {
            bytes: callback.encoded_len() as u64 + OVERHEAD_BYTES,
            callback,
            deadline,
            patience,
            answer,
            _share: share,
        }
    }

    /// As it is sent.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long one replica has for it.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn is_wanted(&self, now: Instant) -> bool {
        self.deadline > now && !self.answer.is_closed()
    }

    /// With what is left of its budget. Shares the bytes.
    pub(super) fn to_send(&self, now: Instant) -> encoded::Callback {
        let left = self.deadline.saturating_duration_since(now).as_millis();
        let mut callback = self.callback.clone();
        callback.budget_milliseconds = u32::try_from(left).unwrap_or(u32::MAX).max(1);
        callback
    }

    /// Nobody may be there any more; then the provider sends again and is told that it is a duplicate.
    pub(super) fn answer(self, answer: Answer) {
        drop(self.answer.send(answer));
    }
}

/// Whether it is far below the bound, as nearly all are: then it need not be measured. A verdict's reason is bounded by the body it quotes.
fn is_small(callback: &v1::ReportedCallback) -> bool {
    let [event] = &callback.events[..] else {
        return false;
    };
    callback.body.len() <= 1024 * 1024 && event.matches.len() <= 16
}
