//! What a log counts, for metrics.

use std::time::Duration;

/// Since it was opened; `waiting` and `leased` are of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits, each synced once.
    pub commits: u64,
    /// Spent in them.
    pub commit_time: Duration,
    /// Appends, leases and settlements in them.
    pub pieces: u64,
    /// Of those, what waits to be begun.
    pub waiting: u64,
    /// Deliveries that are leased.
    pub leased: u64,
    /// Attempts that were acknowledged.
    pub acked: u64,
    /// Attempts that failed by the subscriber's word.
    pub nacked: u64,
    /// Leases that ran out.
    pub expired: u64,
    /// Leases given back by a stream that ended.
    pub returned: u64,
    /// Deliveries held from the start.
    pub held: u64,
    /// Deliveries that became dead letters.
    pub dead: u64,
    /// Deliveries dropped with their webhook.
    pub dropped: u64,
}

impl Stats {
    /// What became of deliveries, by name.
    pub fn outcomes(&self) -> [(&'static str, u64); 7] {
        [
            ("acked", self.acked),
            ("nacked", self.nacked),
            ("expired", self.expired),
            ("returned", self.returned),
            ("held", self.held),
            ("dead", self.dead),
            ("dropped", self.dropped),
        ]
    }
}
