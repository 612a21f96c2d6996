//! How many lines a second a reader is given, where it asked for a bound.

use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Pace {
    pub(super) most: usize,
    began: Instant,
    given: usize,
}

impl Pace {
    /// 0: as many as come.
    pub(super) fn new(max_per_second: u32, now: Instant) -> Self {
        Self {
            most: match max_per_second {
                0 => usize::MAX,
                most => most as usize,
            },
            began: now,
            given: 0,
        }
    }

    /// Lines that are left of the second. What is read when it is full would wait, and more behind it.
    pub(super) fn left(&mut self, now: Instant) -> usize {
        if now >= self.next() {
            self.began = now;
            self.given = 0;
        }
        self.most.saturating_sub(self.given)
    }

    pub(super) fn give(&mut self) {
        self.given = self.given.saturating_add(1);
    }

    /// When there are some again.
    pub(super) fn next(&self) -> Instant {
        self.began + SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_and_the_next_as_many_again() {
        let now = Instant::now();
        let mut pace = Pace::new(3, now);
        for left in [3, 2, 1] {
            assert_eq!(pace.left(now), left);
            pace.give();
        }
        assert_eq!(pace.left(now + SECOND / 2), 0);
        let next = pace.next();
        assert_eq!((next, pace.left(next)), (now + SECOND, 3));
        // Seconds of silence save nothing up.
        assert_eq!(pace.left(now + 60 * SECOND), 3);
    }

    #[test]
    fn without_a_bound_there_are_always_some_left() {
        let now = Instant::now();
        let mut pace = Pace::new(0, now);
        for _ in 0..10_000 {
            pace.give();
        }
        assert!(pace.left(now) > 1_000_000);
    }
}
