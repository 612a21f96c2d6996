//! So many requests a second, with a burst of as many. Pure.

use std::time::Duration;

use hookplane_rules::Timestamp;

/// A bucket that fills as time passes. Full at first.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    per_second: Option<u32>,
    /// What was there at `at`.
    left: f64,
    at: Timestamp,
}

impl Rate {
    /// This rate from now on. What is left stays.
    fn set(&mut self, per_second: Option<u32>, now: Timestamp) {
        self.fill(now);
        if self.per_second == per_second {
            return;
        }
        let most = per_second.map_or(0.0, f64::from);
        self.left = if self.per_second.is_none() {
            most
        } else {
            self.left.min(most)
        };
        self.per_second = per_second;
    }

    fn fill(&mut self, now: Timestamp) {
        if let Some(per_second) = self.per_second.map(f64::from) {
            // Of a clock that was set back nothing is gained, and nothing held up.
            let passed = now.0.saturating_sub(self.at.0).max(0) as f64 / 1_000.0;
            self.left = (self.left + passed * per_second).min(per_second);
        }
        self.at = now;
    }

    /// How many may go now, of so many wanted.
    pub(crate) fn room(&mut self, per_second: Option<u32>, wanted: usize, now: Timestamp) -> usize {
        self.set(per_second, now);
        match per_second {
            None => wanted,
            Some(_) => wanted.min(self.left.max(0.0) as usize),
        }
    }

    /// So many go.
    pub(crate) fn take(&mut self, taken: usize) {
        if self.per_second.is_some() {
            self.left -= taken as f64;
        }
    }

    /// How long until the next may go, where it may not now.
    pub(crate) fn next(&self) -> Option<Duration> {
        let per_second = f64::from(self.per_second?);
        let lacking = (1.0 - self.left).max(0.0);
        // A little later than exact, so that what wakes then finds one.
        Some(Duration::from_secs_f64(lacking / per_second) + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    fn at(millis: i64) -> Timestamp {
        Timestamp(START.0 + millis)
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut rate = Rate::default();
        let room = |rate: &mut Rate, millis| rate.room(Some(10), 64, at(millis));
        assert_eq!(room(&mut rate, 0), 10);
        rate.take(10);
        assert_eq!(room(&mut rate, 0), 0);
        let next = rate.next().unwrap();
        assert!(next <= Duration::from_millis(102));
        assert_eq!(room(&mut rate, 102), 1);
        assert_eq!(room(&mut rate, 60_000), 10, "no more than a burst");
        rate.take(10);
        assert_eq!(room(&mut rate, 0), 0, "the clock was set back");
        assert_eq!(room(&mut rate, 500), 5);
    }

    #[test]
    fn without_a_rate_all_may_go() {
        let mut rate = Rate::default();
        rate.take(1000);
        assert_eq!((rate.room(None, 64, START), rate.next()), (64, None));
        assert_eq!(rate.room(Some(5), 64, START), 5);
        rate.take(5);
        assert_eq!(rate.room(Some(50), 64, START), 0, "what is left stays");
    }
}
