//! What became of a delivery, try by try: with the replays in between.

use hookplane_proto::v1;
use v1::{AttemptOutcome, DeliveryStatus};

use crate::moment::Moment;
use crate::words;

/// As many as the API tells: with so many there may have been more before them.
const TOLD: usize = 50;

/// One try, as it is told.
pub(super) struct Tried {
    pub(super) number: u32,
    pub(super) time: Option<Moment>,
    pub(super) latency: String,
    pub(super) outcome: &'static str,
    pub(super) class: &'static str,
    /// Of HTTP; 0: there was no answer.
    pub(super) status: u32,
    pub(super) reason: String,
    pub(super) excerpt: String,
    pub(super) mapping_version: u32,
    /// Before it the delivery was put back.
    pub(super) replayed: bool,
}

impl Tried {
    fn of(attempt: v1::Attempt) -> Self {
        let (outcome, class) = words::outcome(attempt.outcome());
        Self {
            number: attempt.number,
            time: Moment::of(attempt.start_time.as_ref()),
            latency: match attempt.latency_milliseconds {
                0 => String::new(),
                latency => format!("{} ms", words::number(latency.into())),
            },
            outcome,
            class,
            status: attempt.status,
            reason: attempt.reason,
            excerpt: attempt.excerpt,
            mapping_version: attempt.mapping_version,
            replayed: false,
        }
    }
}

/// Oldest first. The API counts anew with a replay; here the count goes through, where the first one is told.
pub(super) fn tries(history: Vec<v1::Attempt>) -> Vec<Tried> {
    let whole = history.len() < TOLD;
    let mut before = 0;
    let mut tries: Vec<Tried> = Vec::new();
    for (count, attempt) in (1..).zip(history) {
        let mut tried = Tried::of(attempt);
        tried.replayed = tried.number <= before;
        before = tried.number;
        if whole {
            tried.number = count;
        }
        tries.push(tried);
    }
    tries
}

/// It was put back, and nothing was tried since.
pub(super) fn is_put_back(status: DeliveryStatus, history: &[v1::Attempt]) -> bool {
    let waits = matches!(status, DeliveryStatus::Pending | DeliveryStatus::Leased);
    let ended = history.last().is_some_and(|last| {
        matches!(
            last.outcome(),
            AttemptOutcome::Delivered | AttemptOutcome::GaveUp | AttemptOutcome::Held
        )
    });
    waits && ended
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32, outcome: AttemptOutcome) -> v1::Attempt {
        v1::Attempt {
            number,
            outcome: outcome.into(),
            ..Default::default()
        }
    }

    #[test]
    fn attempts_are_counted_through_and_a_replay_is_told_between_them() {
        let history = vec![
            attempt(1, AttemptOutcome::Retry),
            attempt(2, AttemptOutcome::GaveUp),
            attempt(1, AttemptOutcome::Delivered),
            attempt(1, AttemptOutcome::Delivered),
        ];
        assert!(is_put_back(DeliveryStatus::Pending, &history));
        assert!(!is_put_back(DeliveryStatus::Delivered, &history));
        assert!(!is_put_back(DeliveryStatus::Pending, &history[..1]));
        let told: Vec<_> = tries(history)
            .iter()
            .map(|t| (t.number, t.replayed))
            .collect();
        assert_eq!(told, [(1, false), (2, false), (3, true), (4, true)]);
    }

    #[test]
    fn where_earlier_ones_are_not_told_the_numbers_are_those_of_the_api() {
        let history = (7..57).map(|n| attempt(n, AttemptOutcome::Retry)).collect();
        let told = tries(history);
        assert_eq!((told[0].number, told[49].number), (7, 56));
    }
}
