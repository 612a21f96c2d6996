//! When a delivery is tried again.
//!
//! The wait doubles from a second to an hour. Half of it is random, so that what failed together doesn't come back together; not all of it, so that
//! the 15 attempts there are by default reach over an hour and a half at the least, and over three at most.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// After this many attempts; `share` is random, from 0 to 1.
pub(super) fn after(attempts: u32, share: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let wait = (FIRST * 2u32.pow(doublings)).min(LONGEST);
    wait.mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_away_for_an_hour_gets_everything_by_default() {
        let shortest: Duration = (1..15).map(|n| after(n, 0.0)).sum();
        let longest: Duration = (1..15).map(|n| after(n, 1.0)).sum();
        assert!(shortest > Duration::from_secs(90 * 60), "{shortest:?}");
        assert!(longest < Duration::from_secs(4 * 3600), "{longest:?}");
    }

    #[test]
    fn it_begins_with_a_second_and_ends_at_an_hour() {
        assert_eq!(after(1, 1.0), FIRST);
        assert_eq!(after(1, 0.0), FIRST / 2);
        assert_eq!(after(4, 1.0), FIRST * 8);
        assert_eq!(after(u32::MAX, 1.0), LONGEST);
    }
}
