//! What is read: which events and deliveries are meant, and where in the log a reader is.

use std::ops::RangeInclusive;

use hookplane_proto::v1;
use hookplane_rules::Timestamp;

/// Where in the log a reader is. Only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor(pub u64);

/// Which events or deliveries are meant. What is none or empty means any.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// An org's name.
    pub org: Option<String>,
    /// A group's uid.
    pub group_uid: Option<String>,
    /// A webhook's uid.
    pub webhook_uid: Option<String>,
    /// An event's id.
    pub event_id: Option<String>,
    /// An event type, and all below it at a dot.
    pub event_type: Option<String>,
    /// A delivery's status.
    pub status: Option<v1::DeliveryStatus>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
    /// Words of the payload, see [`super::words`]: all of them, the last as the beginning of one.
    pub text: Option<String>,
    /// A delivery's destination; of events, with a delivery to it.
    pub destination: Option<String>,
    /// Events that no webhook matched. Of deliveries there are none then.
    pub unmatched: bool,
}

/// Where the tail is at some moment. The two differ where several replicas write at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Nothing new will come at or before it.
    pub whole: Cursor,
    /// What was answered as kept by then is at or before it.
    pub last: Cursor,
    /// Between the two, where those were writing who had not ended by then. What comes there comes later.
    pub open: Vec<RangeInclusive<Cursor>>,
}

impl Reach {
    /// Whether what is there was there at that moment.
    pub fn had(&self, cursor: Cursor) -> bool {
        cursor <= self.last && !self.open.iter().any(|open| open.contains(&cursor))
    }
}

/// One line of the tail.
#[derive(Debug, Clone)]
pub struct TailItem {
    /// After this item.
    pub cursor: Cursor,
    /// The event.
    pub event: v1::Event,
    /// None for an event that no webhook matched.
    pub delivery: Option<v1::Delivery>,
    /// True when this is a change of a delivery that was there before.
    pub change: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_open_at_a_moment_was_not_there_yet() {
        let reach = Reach {
            whole: Cursor(9),
            last: Cursor(49),
            open: vec![Cursor(10)..=Cursor(19), Cursor(30)..=Cursor(39)],
        };
        let had = |at| reach.had(Cursor(at));
        assert!([0, 9, 20, 29, 40, 49].into_iter().all(had));
        assert!(![10, 19, 30, 39, 50].into_iter().any(had));
    }
}
