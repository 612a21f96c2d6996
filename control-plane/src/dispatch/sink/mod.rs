//! Where deliveries are pushed to. A sink sends; when, how often and how many at a time is the engine's.
//!
//! ```text
//!   engine ─ leases ─▶ Job (event, records) ─▶ Sink::deliver ─▶ Outcome ─▶ engine settles
//! ```

pub(crate) mod http;
mod make;
pub mod salesforce;

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;

use crate::dispatch::client::SendError;
use crate::log::Lease;
use crate::mapping::Record;

pub(crate) use make::make;

/// One delivery at work.
#[derive(Debug)]
pub struct Job {
    /// Event, delivery and token.
    pub lease: Lease,
    /// What the mapping made of it. None: handed over as it came.
    pub record: Option<Record>,
    /// The webhook's name as the API has it: `orgs/acme/groups/shop-prod/webhooks/order-paid`.
    pub webhook: String,
}

/// What a destination waits whose address must not be connected to: nothing was sent, and no delivery is at fault. Whoever mends it ends that.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_secs(60);
/// What one waits whose name came to no look-up: nothing was sent, and others of its org are at fault.
pub(crate) const CROWDED_PAUSE: Duration = Duration::from_secs(5);

/// What a destination waits that nothing was sent to. None: something was, or may have been.
pub(crate) fn unsent_pause(error: &SendError) -> Option<Duration> {
    match error {
        SendError::Refused(_) => Some(REFUSED_PAUSE),
        SendError::Crowded(_) => Some(CROWDED_PAUSE),
        SendError::Timeout(_) | SendError::Broken(_) => None,
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What the engine does next.
    pub verdict: Verdict,
    /// Of HTTP, where there was an answer.
    pub status: Option<u16>,
    /// For an operator; never a credential.
    pub reason: String,
    /// The answer's beginning, at most 2,048 bytes; never a credential.
    pub excerpt: String,
}

/// What comes of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered.
    Done,
    /// Again, after a while; where the target says when, not before that.
    Retry {
        /// What it said.
        after: Option<Duration>,
    },
    /// Trying again would change nothing: to the dead letters.
    GiveUp,
    /// The whole destination waits; this delivery comes again and the attempt isn't counted.
    Pause {
        /// At least so long.
        time: Duration,
    },
}

/// A destination that can be sent to. Made anew when its configuration changes.
#[async_trait::async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Deliveries that one request may carry.
    fn batch(&self) -> usize;

    /// The same with another timeout of one request: connections, tokens and what else it knows stay.
    fn with_timeout(&self, timeout: Duration) -> Arc<dyn Sink>;

    /// Sends. One outcome for each job, in order. The engine bounds the time; dropped at any await, it leaves nothing behind.
    async fn deliver(&self, jobs: &[Job]) -> Vec<Outcome>;

    /// Exactly what would be sent for this job alone, credentials as `***`.
    fn preview(&self, job: &Job) -> Vec<v1::OutboundRequest>;

    /// Whether it has a description.
    fn describes(&self) -> bool {
        false
    }

    /// Its objects, or the fields of one. None: it has no description.
    async fn describe(&self, object: &str) -> Option<Result<Vec<v1::ObjectDescription>, String>>;
}
