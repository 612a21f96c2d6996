//! How long to wait before the next attempt: full jitter, so that a fleet doesn't come back as a herd (risk 23).

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// Attempts in a row that failed.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// A wait of anything from none to 100 ms, doubled with each failure in a row up to 30 s.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = wait_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

/// The wait after so many earlier failures in a row.
pub(crate) fn wait_after(failures: u32) -> Duration {
    // Without randomness the whole bound is waited: slower, never a herd at full speed.
    let share = getrandom::u32().unwrap_or(u32::MAX);
    bound_after(failures).mul_f64(f64::from(share) / f64::from(u32::MAX))
}

fn bound_after(failures: u32) -> Duration {
    // 100 ms doubled nine times is above 30 s.
    FIRST.saturating_mul(1 << failures.min(9)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_from_100_ms_and_stops_at_30_s() {
        assert_eq!(bound_after(0), Duration::from_millis(100));
        assert_eq!(bound_after(3), Duration::from_millis(800));
        assert_eq!(bound_after(8), Duration::from_millis(25_600));
        assert_eq!(bound_after(9), LONGEST);
        assert_eq!(bound_after(u32::MAX), LONGEST);
    }

    // Risk 23: reconnect herd.
    #[test]
    fn waits_differ_and_stay_below_their_bound() {
        let waits: Vec<_> = (0..64)
            .map(|_| {
                let mut backoff = Backoff { failures: 20 };
                backoff.next()
            })
            .collect();
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}
