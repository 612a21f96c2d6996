//! So many requests a second, with a burst of as many.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket that fills as time passes. Full at first.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: Option<u32>,
    /// What was there at `at`.
    left: f64,
    at: Instant,
}

impl Rate {
    pub(super) fn new(per_second: Option<u32>, now: Instant) -> Self {
        Self {
            per_second,
            left: per_second.map_or(0.0, f64::from),
            at: now,
        }
    }

    /// Another rate from now on. What is left stays.
    pub(super) fn set(&mut self, per_second: Option<u32>, now: Instant) {
        if self.per_second != per_second {
            self.fill(now);
            let most = per_second.map_or(0.0, f64::from);
            self.left = if self.per_second.is_none() {
                most
            } else {
                self.left.min(most)
            };
            self.per_second = per_second;
        }
    }

    fn fill(&mut self, now: Instant) {
        if let Some(per_second) = self.per_second.map(f64::from) {
            let passed = now.saturating_duration_since(self.at).as_secs_f64();
            self.left = (self.left + passed * per_second).min(per_second);
        }
        self.at = now;
    }

    /// How many may go now, of so many wanted.
    pub(super) fn room(&mut self, wanted: usize, now: Instant) -> usize {
        self.fill(now);
        match self.per_second {
            None => wanted,
            Some(_) => wanted.min(self.left.max(0.0) as usize),
        }
    }

    /// So many go.
    pub(super) fn take(&mut self, taken: usize) {
        if self.per_second.is_some() {
            self.left -= taken as f64;
        }
    }

    /// When the next may go, where it may not now.
    pub(super) fn next(&self) -> Option<Instant> {
        let per_second = f64::from(self.per_second?);
        let lacking = (1.0 - self.left).max(0.0);
        // A little later than exact, so that what wakes then finds one.
        Some(self.at + Duration::from_secs_f64(lacking / per_second) + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut rate = Rate::new(Some(10), start);
        assert_eq!(rate.room(64, start), 10);
        rate.take(10);
        assert_eq!(rate.room(64, start), 0);
        let next = rate.next().unwrap();
        assert!(next - start <= Duration::from_millis(102));
        assert_eq!(rate.room(64, next), 1);
        assert_eq!(
            rate.room(64, start + Duration::from_secs(60)),
            10,
            "no more than a burst"
        );
    }

    #[test]
    fn without_a_rate_all_may_go() {
        let now = Instant::now();
        let mut rate = Rate::new(None, now);
        rate.take(1000);
        assert_eq!((rate.room(64, now), rate.next()), (64, None));
        rate.set(Some(5), now);
        assert_eq!(rate.room(64, now), 5);
    }
}
