//! When a destination is left alone: it failed time and again, or it asked for a pause. Pure.
//!
//! ```text
//!   closed ── 5 failures on end ──▶ open ── its time is over ──▶ one probe ── answered ──▶ closed
//!                                    ▲                               │
//!                                    └── twice as long, to 5 min ◀── failed
//! ```

use std::time::Duration;

use hookplane_rules::Timestamp;

/// On end, with nothing delivered in between.
const FAILURES: u32 = 5;
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// Of a pause that was asked for. A wish for more is one to look at.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    open: Option<Open>,
    pause: Option<Shut>,
}

/// Left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shut {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// For an operator.
    pub(crate) reason: String,
}

#[derive(Debug)]
struct Open {
    shut: Shut,
    /// How long it was last left alone.
    time: Duration,
    probing: bool,
}

/// What may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Anything.
    Open,
    /// One request, to see.
    Probe,
    /// Nothing until then.
    Shut(Timestamp),
    /// Nothing while a probe is under way.
    Probing,
}

fn after(now: Timestamp, time: Duration) -> Timestamp {
    Timestamp(
        now.0
            .saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
    )
}

impl Breaker {
    /// A clock that was set back holds nothing up for longer than it may.
    fn is_over(shut: &Shut, longest: Duration, now: Timestamp) -> bool {
        now >= shut.until || after(now, longest) < shut.until
    }

    pub(crate) fn gate(&self, now: Timestamp) -> Gate {
        if let Some(pause) = &self.pause
            && !Self::is_over(pause, LONGEST_PAUSE, now)
        {
            return Gate::Shut(pause.until);
        }
        match &self.open {
            None => Gate::Open,
            Some(open) if open.probing => Gate::Probing,
            Some(open) if Self::is_over(&open.shut, LONGEST, now) => Gate::Probe,
            Some(open) => Gate::Shut(open.shut.until),
        }
    }

    /// The one request is on its way.
    pub(crate) fn probe(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = true;
        }
    }

    /// The one request wasn't sent after all.
    pub(crate) fn no_probe(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = false;
        }
    }

    /// It answered. Says whether that ended its being left alone.
    pub(crate) fn answered(&mut self) -> bool {
        self.failures = 0;
        self.pause = None;
        self.open.take().is_some()
    }

    /// It didn't, or said no. Says whether it is left alone from now on. `share` is random, from 0 to 1; `wish` is what it asked for.
    pub(crate) fn failed(
        &mut self,
        now: Timestamp,
        reason: &str,
        wish: Option<Duration>,
        share: f64,
    ) -> bool {
        self.failures = self.failures.saturating_add(1);
        let (since, time) = match &self.open {
            None if self.failures < FAILURES => return false,
            None => (now, FIRST),
            // What was on its way when it opened says nothing new.
            Some(open) if !open.probing => return false,
            Some(open) => (open.shut.since, (open.time * 2).min(LONGEST)),
        };
        let opened = self.open.is_none();
        // Replicas that opened together don't all come back together.
        let jittered = time.mul_f64(0.75 + share.clamp(0.0, 1.0) / 4.0);
        let wait = jittered.max(wish.unwrap_or_default().min(LONGEST));
        self.open = Some(Open {
            shut: Shut {
                since,
                until: after(now, wait),
                reason: reason.to_owned(),
            },
            time,
            probing: false,
        });
        opened
    }

    /// It asked for a pause. Says whether that is news.
    pub(crate) fn pause(&mut self, now: Timestamp, time: Duration, reason: &str) -> bool {
        let news = self.pause.is_none();
        let since = self.pause.as_ref().map_or(now, |pause| pause.since);
        self.no_probe();
        self.pause = Some(Shut {
            since,
            until: after(now, time.min(LONGEST_PAUSE)),
            reason: reason.to_owned(),
        });
        news
    }

    /// Since it failed, where it did.
    pub(crate) fn failing(&self) -> Option<&Shut> {
        self.open.as_ref().map(|open| &open.shut)
    }

    /// The pause that it asked for.
    pub(crate) fn pausing(&self, now: Timestamp) -> Option<&Shut> {
        self.pause
            .as_ref()
            .filter(|pause| !Self::is_over(pause, LONGEST_PAUSE, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(1_700_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        after(T, Duration::from_secs(seconds))
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for n in 1..=FAILURES {
            assert_eq!(breaker.gate(T), Gate::Open);
            assert_eq!(breaker.failed(T, "no", None, 1.0), n == FAILURES);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_on_end_and_tries_one_at_a_time_ever_more_seldom() {
        let mut breaker = opened();
        let mut now = 0;
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(breaker.gate(at(now)), Gate::Shut(at(now + wait)), "{wait}");
            now += wait;
            assert_eq!(breaker.gate(at(now)), Gate::Probe);
            breaker.probe();
            assert_eq!(breaker.gate(at(now)), Gate::Probing);
            assert!(!breaker.failed(at(now), "no", None, 1.0));
        }
        breaker.probe();
        assert!(breaker.answered());
        assert_eq!(breaker.gate(at(now)), Gate::Open);
        assert!(!breaker.answered());
    }

    #[test]
    fn one_that_answers_now_and_then_never_opens_it() {
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..FAILURES {
                assert!(!breaker.failed(T, "no", None, 0.0));
            }
            breaker.answered();
        }
        assert_eq!(breaker.gate(T), Gate::Open);
    }

    #[test]
    fn late_failures_do_not_prolong_it_and_a_late_answer_ends_it() {
        let mut breaker = opened();
        assert!(!breaker.failed(at(3), "late", None, 1.0));
        assert_eq!(breaker.gate(at(3)), Gate::Shut(at(5)));
        assert!(breaker.answered());
        assert_eq!(breaker.gate(at(3)), Gate::Open);
    }

    #[test]
    fn a_pause_ends_by_itself_and_with_an_answer() {
        let mut breaker = Breaker::default();
        assert!(breaker.pause(T, Duration::from_secs(60), "limit"));
        assert!(!breaker.pause(at(1), Duration::from_secs(60), "limit"));
        assert_eq!(breaker.gate(at(60)), Gate::Shut(at(61)));
        assert_eq!(breaker.pausing(at(60)).unwrap().since, T);
        assert_eq!(breaker.gate(at(61)), Gate::Open);
        breaker.answered();
        assert_eq!(breaker.pausing(at(2)), None);
    }

    #[test]
    fn a_clock_set_back_holds_nothing_up() {
        let breaker = opened();
        let before = Timestamp(T.0 - 24 * 60 * 60 * 1000);
        assert_eq!(breaker.gate(before), Gate::Probe);
    }
}
