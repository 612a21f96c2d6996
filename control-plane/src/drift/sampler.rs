//! Which events are looked at: of each type the first few, then one a second.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// Types that are remembered. Past it all begin anew.
const MAX_TYPES: usize = 10_000;
/// At once, so that what comes seldom is known soon.
const BURST: u32 = 60;
const EACH: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Sampler {
    hasher: RandomState,
    /// By a hash, since two types that share one are only looked at more seldom. Until when each has had its share.
    spent: HashMap<u64, Instant>,
}

impl Sampler {
    /// True when it is this event's turn.
    pub(super) fn takes(&mut self, group_uid: &str, event_type: &str, now: Instant) -> bool {
        let key = self.hasher.hash_one((group_uid, event_type));
        if self.spent.len() >= MAX_TYPES && !self.spent.contains_key(&key) {
            self.spent.clear();
        }
        let spent = self.spent.entry(key).or_insert(now);
        let until = (*spent).max(now) + EACH;
        let is_its_turn = until <= now + EACH * BURST;
        if is_its_turn {
            *spent = until;
        }
        is_its_turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_first_few_one_a_second_of_each_type_is_looked_at() {
        let (mut sampler, start) = (Sampler::default(), Instant::now());
        let at_once = (0..1_000)
            .filter(|_| sampler.takes("g", "a", start))
            .count();
        assert_eq!(at_once, BURST as usize);
        assert!(sampler.takes("g", "b", start) && sampler.takes("h", "a", start));
        let later =
            (1..=10_000).filter(|n| sampler.takes("g", "a", start + Duration::from_millis(*n)));
        assert_eq!(later.count(), 10);
    }

    #[test]
    fn types_that_are_made_up_take_no_more_memory_than_there_is() {
        let (mut sampler, start) = (Sampler::default(), Instant::now());
        for n in 0..3 * MAX_TYPES {
            sampler.takes("g", &n.to_string(), start);
        }
        assert!(sampler.spent.len() <= MAX_TYPES);
    }
}
