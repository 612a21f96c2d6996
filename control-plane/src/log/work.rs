//! What is leased and settled: a delivery of a queue, for a while, and how its attempt ended.

use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::Timestamp;

/// What is leased from: one webhook's deliveries to one of its destinations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue {
    /// The webhook's uid.
    pub webhook_uid: String,
    /// Empty: its subscribers.
    pub destination: String,
}

impl Queue {
    /// What a webhook's subscribers lease from.
    pub fn of_subscribers(webhook_uid: impl Into<String>) -> Self {
        Self {
            webhook_uid: webhook_uid.into(),
            destination: String::new(),
        }
    }
}

/// A queue with pending deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub queue: Queue,
    /// Until the first of them is due, by the log's clock; zero when it is. One that waits for another of its order key may not be leased then.
    pub due_in: Duration,
}

/// A delivery that is put back to pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBack {
    /// Its id.
    pub delivery_id: String,
    /// The mapping's version that it is for from now on. None: as it was.
    pub mapping_version: Option<u32>,
}

impl From<String> for PutBack {
    /// With the mapping it has.
    fn from(delivery_id: String) -> Self {
        Self {
            delivery_id,
            mapping_version: None,
        }
    }
}

/// Bytes of the events of one lease, as they are stored, after which it has no further one: no more is read in one piece of work, however many
/// deliveries are asked for.
pub const LEASE_BYTES: usize = 16 << 20;

/// A delivery handed to a subscriber for a while.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Names this attempt. Settling needs it.
    pub token: String,
    /// With its attempts counted, this one included.
    pub delivery: v1::Delivery,
    /// What is delivered.
    pub event: v1::Event,
    /// When it comes back unless settled or extended, by the log's clock.
    pub expires: Timestamp,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Delivered. Taken from a stale lease too, unless the delivery is settled already.
    Ack,
    /// Again after a delay; none means the usual back-off. Ignored from a stale lease. Dead once the attempts are used up,
    /// unless it has a destination: who pushes there says itself when to give up.
    Nack {
        /// Before the next attempt.
        delay: Option<Duration>,
        /// For an operator.
        reason: String,
        /// Dead now.
        give_up: bool,
    },
    /// Still at work: the lease starts anew. Ignored from a stale lease.
    Extend(Duration),
    /// Not to be delivered as it is: waits for an operator, who is told why. The attempt isn't counted. Ignored from a stale lease.
    Hold {
        /// What to mend before a replay.
        reason: String,
    },
    /// Gives the lease back as if it had not been taken: no attempt counted. For a stream that ends.
    Return,
}

/// One settlement.
#[derive(Debug, Clone, PartialEq)]
pub struct Settle {
    /// Of the lease.
    pub token: String,
    /// How it ended.
    pub settlement: Settlement,
    /// What is remembered of the attempt, where something is: kept with the delivery, the newest 50. Its number and whether it was the last
    /// are the log's to say.
    pub attempt: Option<v1::Attempt>,
}

impl From<(String, Settlement)> for Settle {
    fn from((token, settlement): (String, Settlement)) -> Self {
        Self {
            token,
            settlement,
            attempt: None,
        }
    }
}
