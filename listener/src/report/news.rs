//! Counters and refusals on their way: sent on one stream, again on the next when that one is lost, until they are noted.
//!
//! One round is on its way at a time. What is counted meanwhile adds up in [`Refusals`], which is bounded.

use std::collections::VecDeque;

use hookplane_proto::encoded_report::Kind;

use super::outbox::StreamId;
use crate::refusals::Refusals;

/// See the module.
#[derive(Default)]
pub(super) struct News {
    /// Of this run; only grows.
    sequence: u64,
    unnoted: VecDeque<(u64, Kind)>,
    /// How many of them have been sent, and where.
    sent: usize,
    on: Option<StreamId>,
}

impl News {
    /// Takes what there is, unless the last round is still on its way.
    pub(super) fn collect(&mut self, refusals: &Refusals) {
        if !self.unnoted.is_empty() {
            return;
        }
        for mut message in refusals.take() {
            self.sequence += 1;
            match &mut message {
                Kind::Refusals(refusals) => refusals.sequence = self.sequence,
                Kind::Counters(counters) => counters.sequence = self.sequence,
                Kind::Hello(_) | Kind::Batch(_) => continue,
            }
            self.unnoted.push_back((self.sequence, message));
        }
    }

    /// Whether something is to be sent on this stream, which is the one that news goes on.
    pub(super) fn waits_for(&self, stream: StreamId) -> bool {
        self.on.is_none_or(|on| on == stream) && self.sent < self.unnoted.len()
    }

    pub(super) fn next(&mut self, stream: StreamId) -> Option<Kind> {
        let (_, message) = self.unnoted.get(self.sent)?;
        self.sent += 1;
        self.on = Some(stream);
        Some(message.clone())
    }

    /// All up to this one was taken.
    pub(super) fn noted(&mut self, sequence: u64) {
        while self.unnoted.front().is_some_and(|(of, _)| *of <= sequence) {
            self.unnoted.pop_front();
            self.sent = self.sent.saturating_sub(1);
        }
        if self.unnoted.is_empty() {
            self.on = None;
        }
    }

    /// What wasn't noted goes on another stream, under its old number: a replica that had taken it counts it once.
    pub(super) fn lost(&mut self, stream: StreamId) {
        if self.on == Some(stream) {
            self.on = None;
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusals::Count;

    fn sequence_of(kind: Option<Kind>) -> Option<(u64, u64)> {
        match kind? {
            Kind::Counters(counters) => {
                Some((counters.sequence, counters.groups[0].not_registered))
            }
            _ => None,
        }
    }

    #[test]
    fn what_a_lost_stream_took_with_it_goes_on_the_next_under_its_old_number() {
        let (refusals, mut news) = (Refusals::default(), News::default());
        refusals.not_kept("g", Count::NotRegistered);
        news.collect(&refusals);
        assert!(news.waits_for(1));
        assert_eq!(sequence_of(news.next(1)), Some((1, 1)));
        assert!(!news.waits_for(1), "once");
        assert!(!news.waits_for(2), "on one stream");
        // What is counted meanwhile adds up and doesn't mix with it.
        refusals.not_kept("g", Count::NotRegistered);
        refusals.not_kept("g", Count::NotRegistered);
        news.collect(&refusals);
        news.lost(1);
        assert_eq!(sequence_of(news.next(2)), Some((1, 1)));
        news.lost(1);
        assert!(!news.waits_for(2), "it isn't on that one any more");
        news.noted(1);
        news.collect(&refusals);
        assert_eq!(sequence_of(news.next(1)), Some((2, 2)));
        news.noted(1);
        assert!(!news.waits_for(1));
        news.noted(2);
        news.collect(&refusals);
        assert!(!news.waits_for(1), "nothing new");
    }
}
