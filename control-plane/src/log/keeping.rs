//! How long a group's events are kept, and what is kept of it.

use std::time::Duration;

/// When what is settled of one group may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Whose.
    pub group_uid: String,
    /// Settled events kept longer ago than this go.
    pub max_age: Duration,
    /// Those that no webhook matched, when kept longer ago than this.
    pub unmatched_age: Duration,
    /// The oldest settled ones go until the group's are no more than so many bytes. None: any size.
    pub max_bytes: Option<u64>,
}

impl Retention {
    /// By age alone.
    pub fn of_age(group_uid: impl Into<String>, max_age: Duration) -> Self {
        Self {
            group_uid: group_uid.into(),
            max_age,
            unmatched_age: max_age,
            max_bytes: None,
        }
    }
}

/// What is kept of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The org's name.
    pub org: String,
    /// The group's uid. It may be gone.
    pub group_uid: String,
    /// Events.
    pub events: u64,
    /// Of their records. Near enough: what came in the last moments may be missing.
    pub bytes: u64,
}
