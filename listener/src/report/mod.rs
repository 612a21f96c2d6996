//! Reports: what is genuine goes to the control plane, and waits here for the word that it is durable.
//!
//! ```text
//!   connections ─▶ queue ─▶ outbox ─┬─▶ stream to one replica ──▶ ┐
//!                             ▲     └─▶ stream to another ──────▶ ├─ answer per callback
//!                             └── without an answer in time ◀─────┘
//! ```
//!
//! Two long-lived streams, each on a connection of its own to a replica of its own (one, where only one is known), with many batches in
//! flight. A batch is whatever waits when the last one has left: no timer on the quiet path. What has no answer after a third of its budget,
//! is turned back, or was on a stream that is lost, goes on the other one under the same request id; the first answer counts.
//!
//! Guarantees: a callback is answered as kept only if the control plane said so; nobody waits beyond its deadline; what waits is bounded,
//! and what doesn't fit is turned away at once.

mod lane;
mod news;
mod outbox;
mod pending;
mod stream;

use hookplane_proto::v1;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::body::Share;
use crate::respond::Receipt;

pub(crate) use pending::Pending;
pub(crate) use stream::{LANES, run};

/// Callbacks between a connection and the report client. It picks them up as they come, so this only has to bridge moments.
const QUEUE: usize = 1024;

/// What the control plane said of one callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Kept { receipt: Receipt, event_id: String },
    NotKept,
    GroupGone(String),
    ReplayRefused(String),
}

impl Answer {
    /// None for "retry later" and for whatever a newer control plane may say: neither is a promise.
    fn from_wire(answer: v1::CallbackAnswer) -> Option<Self> {
        match answer.kind() {
            v1::AnswerKind::Kept => Some(Self::Kept {
                receipt: match answer.receipt() {
                    v1::Receipt::Synced => Receipt::Synced,
                    v1::Receipt::Replicated => Receipt::Replicated,
                    // Of what we don't know, the least is promised.
                    v1::Receipt::Degraded | v1::Receipt::Unspecified => Receipt::Degraded,
                },
                event_id: answer.event_id,
            }),
            v1::AnswerKind::Duplicate => Some(Self::Kept {
                receipt: Receipt::Duplicate,
                event_id: answer.event_id,
            }),
            v1::AnswerKind::NotKept => Some(Self::NotKept),
            v1::AnswerKind::Refused => Some(Self::GroupGone(answer.reason)),
            v1::AnswerKind::ReplayRefused => Some(Self::ReplayRefused(answer.reason)),
            v1::AnswerKind::RetryLater | v1::AnswerKind::Unspecified => None,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// No room; turned away at once.
    Full,
    /// The budget is used up.
    TooLate,
}

/// Where connections hand in what is genuine.
pub(crate) struct Reporter {
    queue: mpsc::Sender<Pending>,
}

impl Reporter {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Pending>) {
        let (queue, reports) = mpsc::channel(QUEUE);
        (Self { queue }, reports)
    }

    /// Waits until the control plane has answered, at most until `deadline`.
    pub(crate) async fn report(
        &self,
        callback: v1::ReportedCallback,
        deadline: Instant,
        share: Share,
    ) -> Result<Answer, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let pending = Pending::new(callback, deadline, answer, share);
        self.queue.try_send(pending).map_err(|_| Unanswered::Full)?;
        match tokio::time::timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            // Given up by the client, because no retry fits into what is left of the budget; or by us.
            Ok(Err(_)) | Err(_) => Err(Unanswered::TooLate),
        }
    }
}

#[cfg(test)]
mod tests;
