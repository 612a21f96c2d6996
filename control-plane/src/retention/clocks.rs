//! Whether the wall clock may decide what is old: one that is set far ahead would have everything that is settled deleted at once.
//!
//! It is compared with the machine's steady clock from round to round, and at the start with the newest event. Where it is too far ahead nothing goes for
//! an hour, in which whoever looks after the machine can set it right: an old log that was switched off for long only waits that hour.

use std::sync::Arc;
use std::time::Duration;

use hookplane_rules::{Clock, Timestamp};
use tokio::time::Instant;

use crate::log::{DeliveryLog, LogError, Selection};

/// Further than the steady clock from one round to the next.
const MAX_JUMP: Duration = Duration::from_secs(60 * 60);
/// Further than the newest event, at the start.
const MAX_SILENCE: Duration = Duration::from_secs(24 * 60 * 60);
/// Nothing goes for as long.
const REST: Duration = Duration::from_secs(60 * 60);

pub(super) struct Clocks {
    clock: Arc<dyn Clock>,
    /// Both, as of the last round.
    last: Option<(Instant, Timestamp)>,
    rests_until: Option<Instant>,
}

impl Clocks {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            last: None,
            rests_until: None,
        }
    }

    /// Asked before each round.
    pub(super) async fn may_delete(&mut self, log: &dyn DeliveryLog) -> Result<bool, LogError> {
        let newest = match self.last {
            Some(_) => None,
            None => newest(log).await?,
        };
        Ok(self.judge(Instant::now(), self.clock.now(), newest))
    }

    /// `newest` is when the newest event came, for the first time that it is asked.
    fn judge(&mut self, steady: Instant, wall: Timestamp, newest: Option<Timestamp>) -> bool {
        let (since, most) = match (self.last.replace((steady, wall)), newest) {
            (Some((then, was)), _) => (was, steady.duration_since(then) + MAX_JUMP),
            (None, Some(newest)) => (newest, MAX_SILENCE),
            (None, None) => (wall, MAX_SILENCE),
        };
        let ahead = wall.0.saturating_sub(since.0);
        if u128::try_from(ahead).is_ok_and(|ahead| ahead > most.as_millis()) {
            tracing::warn!(
                ahead_seconds = ahead / 1000,
                "the clock is far ahead of what it was, or of the newest event: nothing is deleted for an hour; set the clock if it is wrong"
            );
            self.rests_until = Some(steady + REST);
        }
        self.rests_until.is_none_or(|until| until <= steady)
    }
}

/// None where there is none, or where it doesn't say.
async fn newest(log: &dyn DeliveryLog) -> Result<Option<Timestamp>, LogError> {
    let events = match log.events(&Selection::default(), None, 1).await {
        // Whoever reads it is told. Nothing follows for the others.
        Err(LogError::Damaged(_)) => return Ok(None),
        events => events?,
    };
    let time = events
        .first()
        .and_then(|(_, event)| event.receive_time.as_ref());
    Ok(time.map(hookplane_rules::time::from_wire))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
    }

    fn hours(count: i64) -> Timestamp {
        Timestamp(count * 60 * 60 * 1000)
    }

    #[test]
    fn a_clock_that_leaps_ahead_deletes_nothing_for_an_hour() {
        let minute = Duration::from_secs(60);
        let began = Instant::now();
        let mut clocks = Clocks::new(Arc::new(Still));
        assert!(clocks.judge(began, hours(100), Some(hours(99))));
        assert!(clocks.judge(began + minute, hours(101), None));
        assert!(!clocks.judge(began + minute * 2, hours(9_000), None));
        assert!(!clocks.judge(began + minute * 61, hours(9_001), None));
        assert!(clocks.judge(began + minute * 62, hours(9_001), None));
        // Set back it deletes less, not more.
        assert!(clocks.judge(began + minute * 63, hours(101), None));
    }

    #[test]
    fn a_start_long_after_the_newest_event_waits_for_an_hour() {
        let began = Instant::now();
        let hour = Duration::from_secs(60 * 60);
        let mut clocks = Clocks::new(Arc::new(Still));
        assert!(!clocks.judge(began, hours(100), Some(hours(50))));
        assert!(clocks.judge(began + hour, hours(101), None));
        let mut empty = Clocks::new(Arc::new(Still));
        assert!(empty.judge(began, hours(100), None));
    }
}
