//! What the streams tell the request path: whether there is a plan and whether it is the newest, how long the config stream has been away,
//! whether our clock is off.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::report::LANES;

/// Without the stream for longer than this, a callback URL that we don't know may be one that we haven't heard of.
pub(crate) const DOUBT_AFTER: Duration = Duration::from_secs(10);
/// The control plane says something on the config stream every 5 s. Without a word for longer, the stream may be dead and nobody has noticed.
const SILENT_AFTER: Duration = Duration::from_secs(6);
const UP: u64 = u64::MAX;

pub(crate) struct Link {
    start: Instant,
    has_plan: AtomicBool,
    /// Milliseconds after `start` at which the stream was lost; `UP` while it is there.
    down_since: AtomicU64,
    /// Milliseconds after `start` at which something last came on the stream.
    heard: AtomicU64,
    /// The revision of the pool's last change, as each report stream says. 0 without one.
    changed: [AtomicU64; LANES],
    clock_off: AtomicBool,
    /// Set when reporting has connected for the first time.
    reporting: watch::Sender<bool>,
    /// Set when there is a plan as well.
    ready: watch::Sender<bool>,
    /// For metrics: times connected, and times lost.
    config_connects: AtomicU64,
    config_losses: AtomicU64,
    report_connects: AtomicU64,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            has_plan: AtomicBool::new(false),
            down_since: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            changed: Default::default(),
            clock_off: AtomicBool::new(false),
            reporting: watch::Sender::new(false),
            ready: watch::Sender::new(false),
            config_connects: AtomicU64::new(0),
            config_losses: AtomicU64::new(0),
            report_connects: AtomicU64::new(0),
        }
    }

    pub(crate) fn planned(&self) {
        self.has_plan.store(true, Relaxed);
        self.settle_ready();
    }

    pub(crate) fn has_plan(&self) -> bool {
        self.has_plan.load(Relaxed)
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(UP - 1)
    }

    /// Something came on the config stream.
    pub(crate) fn heard(&self) {
        self.heard.store(self.millis(), Relaxed);
    }

    /// A report stream's word on what is newest.
    pub(crate) fn report_plan(&self, lane: usize, revision: u64) {
        self.changed[lane].store(revision, Relaxed);
    }

    pub(crate) fn report_lost(&self, lane: usize) {
        self.changed[lane].store(0, Relaxed);
    }

    /// Whether what a plan of `revision` says at `now` is what the control plane would say (risk 45): its stream is there and not silent, and
    /// no report stream has told of a newer one.
    pub(crate) fn is_current(&self, revision: u64, now: Instant) -> bool {
        let heard = self.start + Duration::from_millis(self.heard.load(Relaxed));
        !self.is_down()
            && now.saturating_duration_since(heard) <= SILENT_AFTER
            && self
                .changed
                .iter()
                .all(|changed| changed.load(Relaxed) <= revision)
    }

    /// The latest revision that a report stream has told of, if that is after this one; else 0.
    pub(crate) fn later_than(&self, revision: u64) -> u64 {
        let told = self.changed.iter().map(|changed| changed.load(Relaxed));
        told.filter(|told| *told > revision).max().unwrap_or(0)
    }

    pub(crate) fn up(&self) {
        self.heard();
        self.config_connects.fetch_add(1, Relaxed);
        self.down_since.store(UP, Relaxed);
    }

    pub(crate) fn down(&self) {
        let now = self.millis();
        // The first loss counts, not each failed attempt after it.
        if self
            .down_since
            .compare_exchange(UP, now, Relaxed, Relaxed)
            .is_ok()
        {
            self.config_losses.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down_since.load(Relaxed) != UP
    }

    /// True when an unknown URL proves nothing: no plan yet, or none heard of for a while.
    pub(crate) fn in_doubt(&self, now: Instant) -> bool {
        if !self.has_plan() {
            return true;
        }
        let down_since = self.down_since.load(Relaxed);
        down_since != UP
            && now.saturating_duration_since(self.start + Duration::from_millis(down_since))
                > DOUBT_AFTER
    }

    /// Returns whether that is news.
    pub(crate) fn set_clock_off(&self, off: bool) -> bool {
        self.clock_off.swap(off, Relaxed) != off
    }

    pub(crate) fn clock_off(&self) -> bool {
        self.clock_off.load(Relaxed)
    }

    pub(crate) fn reporting_connected(&self) {
        self.report_connects.fetch_add(1, Relaxed);
        self.reporting.send_replace(true);
        self.settle_ready();
    }

    /// Ready for good: losing the control plane later changes nothing.
    fn settle_ready(&self) {
        // The last of the two to come sees both, since each is set before this is called.
        if self.has_plan() && *self.reporting.borrow() {
            self.ready.send_replace(true);
        }
    }

    pub(crate) fn watch_ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    pub(crate) fn config_connects(&self) -> u64 {
        self.config_connects.load(Relaxed)
    }

    pub(crate) fn config_losses(&self) -> u64 {
        self.config_losses.load(Relaxed)
    }

    pub(crate) fn report_connects(&self) -> u64 {
        self.report_connects.load(Relaxed)
    }

    pub(crate) fn watch_reporting(&self) -> watch::Receiver<bool> {
        self.reporting.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_urls_are_in_doubt_before_a_plan_and_after_ten_seconds_without_stream() {
        let link = Link::new();
        let now = Instant::now();
        assert!(link.in_doubt(now), "no plan yet");
        link.up();
        link.planned();
        assert!(!link.in_doubt(now));
        link.down();
        link.down();
        assert!(!link.in_doubt(Instant::now() + Duration::from_secs(9)));
        assert!(link.in_doubt(Instant::now() + Duration::from_secs(11)));
        link.up();
        assert!(!link.in_doubt(Instant::now() + Duration::from_secs(11)));
    }
    // Risk 45: a plan's "nobody wants it" counts only while the plan is known to be the newest.
    #[test]
    fn a_plan_is_current_while_its_stream_speaks_and_nobody_knows_of_a_newer_one() {
        let link = Link::new();
        let now = Instant::now();
        assert!(!link.is_current(5, now), "no stream yet");
        link.up();
        assert!(link.is_current(5, now));
        assert!(!link.is_current(5, now + Duration::from_secs(7)), "silent");
        link.report_plan(1, 6);
        assert!(
            !link.is_current(5, now),
            "a report stream knows of a newer one"
        );
        assert!(link.is_current(6, now));
        link.report_plan(1, 4);
        assert!(link.is_current(5, now), "its newest word counts");
        link.report_plan(0, 9);
        link.report_lost(0);
        assert!(link.is_current(5, now), "a lost stream's word doesn't");
        link.down();
        assert!(!link.is_current(5, now));
    }
}
