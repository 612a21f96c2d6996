//! What a scrape reads: counters, gauges and one histogram, in the text form of OpenMetrics, which Prometheus takes.
//!
//! What is counted on a callback's way is a relaxed addition to a counter that was looked up beforehand. What is known elsewhere already
//! (the fleet, the view, the event log) is read when a scrape asks for it.
//!
//! Each replica is scraped by itself and counts what went through it: sums over replicas are the scraper's to make. What an operator asks of
//! the API is of all of them.
//!
//! Labels are outcomes and pools: fixed lists, or few and named by the operator. Never an org, a group, a path or what an outsider sends:
//! what one group refused or left out is counted in `get group`.
//!
//! | name | labels | what |
//! | --- | --- | --- |
//! | `hookplane_control_plane_callbacks_total` | `outcome` | reported and answered: `kept`, `duplicate`, `not-kept`, `refused`, `replay-refused`, `retry-later` |
//! | `hookplane_control_plane_batch_seconds` | `le` | histogram: from a batch's arrival to its answer; its count is the batches |
//! | `hookplane_control_plane_log_commits_total` | | commits of the event log, each synced once |
//! | `hookplane_control_plane_log_commit_seconds_total` | | time spent in them |
//! | `hookplane_control_plane_log_pieces_total` | | appends, leases and settlements in them |
//! | `hookplane_control_plane_log_queue` | | of those, how many wait |
//! | `hookplane_control_plane_log_receipt` | `receipt` | 1 for how safe what it keeps is: `synced`, `replicated` or `degraded` |
//! | `hookplane_control_plane_log_weakness` | `reason` | 1 for each thing that makes that weaker than promised; none when nothing does |
//! | `hookplane_control_plane_log_kept_events` | | events in the log, as of the last look at what may go |
//! | `hookplane_control_plane_log_kept_bytes` | | of their bodies and heads |
//! | `hookplane_control_plane_log_retention_timestamp_seconds` | | when what may go was last deleted, all of it; 0 before the first time |
//! | `hookplane_control_plane_log_index_lag_seconds` | | for how long some of what is kept can't be found by its text yet; 0 when all can |
//! | `hookplane_control_plane_drift_warnings_total` | | paths that a webhook reads and that are gone or have become something else |
//! | `hookplane_control_plane_deliveries_total` | `outcome` | attempts and ends: `acked`, `nacked`, `expired`, `returned`, `held`, `dead`, `dropped` |
//! | `hookplane_control_plane_pushes_total` | `outcome` | attempts to deliver to destinations: `delivered`, `retried`, `gave-up`, `paused` |
//! | `hookplane_control_plane_destinations` | `state` | destinations that are left alone: `failing`, or `waiting` because they asked for it |
//! | `hookplane_control_plane_leases` | | deliveries that subscribers hold |
//! | `hookplane_control_plane_subscribers` | | open `Subscribe` streams |
//! | `hookplane_control_plane_listeners` | `pool`, `state` | listeners `connected` to this replica, and of those `ready` |
//! | `hookplane_control_plane_config_pushes_total` | `kind` | sent to listeners: `list` (everything) or `delta` |
//! | `hookplane_control_plane_config_nacks_total` | | pushes with a resource that a listener refused |
//! | `hookplane_control_plane_store_revision` | | of the configuration that this replica has seen |
//! | `hookplane_control_plane_config_encodings_total` | | versions of resources encoded for listeners: one for each change, however many there are |
//! | `hookplane_control_plane_store_lag_seconds` | | from a write of this replica to its own watch bringing it, measured every 5 s |
//! | `hookplane_control_plane_refused_calls_total` | `code` | calls of the API answered `unauthenticated` or `permission-denied` |

mod calls;
mod sampled;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use hookplane_proto::v1::AnswerKind;
use hookplane_rules::Timestamp;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::config::{Fleet, View};
use crate::context::Context;
use crate::dispatch::sink::{Outcome, Verdict};
use crate::log::DeliveryLog;
use crate::retention::Kept;
pub(crate) use calls::RefusedCalls;
use sampled::Sampled;
use tokio::time::Instant;

/// Upper bounds of a batch's time, in seconds: a disk sync takes one to ten milliseconds, and the shortest patience of a provider is 3 s.
const BOUNDS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.4,
];

/// One label with a name from a fixed list.
type ByName = Family<[(&'static str, &'static str); 1], Counter>;

/// One control plane's. Made by the caller, who serves [`Metrics::render`] where a scrape can reach it.
pub struct Metrics {
    registry: Registry,
    answers: [(AnswerKind, Counter); 6],
    pushes: [Counter; 4],
    left_alone: [Gauge; 2],
    batches: Histogram,
    lists: Counter,
    deltas: Counter,
    nacks: Counter,
    unauthenticated: Counter,
    denied: Counter,
    subscribers: Gauge,
    kept_events: Gauge,
    kept_bytes: Gauge,
    retained: Gauge,
    index_lag: Gauge<f64, AtomicU64>,
    /// Since when some of what is kept can't be found.
    indexing_since: Mutex<Option<Instant>>,
    drifts: Counter,
    sampled: Mutex<Sampled>,
    watched: OnceLock<Watched>,
}

/// Where the rest is known. Not held: these end when the server does.
struct Watched {
    log: Weak<dyn DeliveryLog>,
    fleet: Weak<Fleet>,
    view: Weak<View>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// What [`Metrics::render`] gives, as `Content-Type`.
    pub const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// All at nothing.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("hookplane_control_plane");
        let mut family = |name: &str, help: &str| {
            let family = ByName::default();
            registry.register(name, help, family.clone());
            move |label, value| family.get_or_create_owned(&[(label, value)])
        };
        let callback = family("callbacks", "Callbacks that listeners reported");
        let push = family("config_pushes", "Configurations sent to listeners");
        let refused = family("refused_calls", "Calls of the API refused to their caller");
        let attempt = family("pushes", "Attempts to deliver to destinations");
        let left_alone = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        let answer = |kind, name| (kind, callback("outcome", name));
        let metrics = Self {
            answers: [
                answer(AnswerKind::Kept, "kept"),
                answer(AnswerKind::Duplicate, "duplicate"),
                answer(AnswerKind::NotKept, "not-kept"),
                answer(AnswerKind::Refused, "refused"),
                answer(AnswerKind::ReplayRefused, "replay-refused"),
                answer(AnswerKind::RetryLater, "retry-later"),
            ],
            pushes: ["delivered", "retried", "gave-up", "paused"]
                .map(|outcome| attempt("outcome", outcome)),
            left_alone: ["failing", "waiting"]
                .map(|state| left_alone.get_or_create_owned(&[("state", state)])),
            batches: Histogram::new(BOUNDS),
            lists: push("kind", "list"),
            deltas: push("kind", "delta"),
            nacks: Counter::default(),
            unauthenticated: refused("code", "unauthenticated"),
            denied: refused("code", "permission-denied"),
            subscribers: Gauge::default(),
            kept_events: Gauge::default(),
            kept_bytes: Gauge::default(),
            retained: Gauge::default(),
            index_lag: Gauge::default(),
            indexing_since: Mutex::default(),
            drifts: Counter::default(),
            sampled: Mutex::new(Sampled::new(&mut registry)),
            watched: OnceLock::new(),
            registry,
        };
        metrics.registered(left_alone)
    }

    fn registered(mut self, left_alone: Family<[(&'static str, &'static str); 1], Gauge>) -> Self {
        self.registry.register(
            "destinations",
            "Destinations that are left alone",
            left_alone,
        );
        self.registry.register_with_unit(
            "batch",
            "From the arrival of a listener's batch to its answer",
            Unit::Seconds,
            self.batches.clone(),
        );
        self.registry.register(
            "config_nacks",
            "Pushes with a resource that a listener refused",
            self.nacks.clone(),
        );
        self.registry.register(
            "subscribers",
            "Open streams of subscribers",
            self.subscribers.clone(),
        );
        let registry = &mut self.registry;
        for (name, help, gauge) in [
            ("log_kept_events", "Events in the log", &self.kept_events),
            ("log_kept_bytes", "Their bodies and heads", &self.kept_bytes),
            (
                "log_retention_timestamp_seconds",
                "When what may go was last deleted",
                &self.retained,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register_with_unit(
            "log_index_lag",
            "For how long some of what is kept can't be found by its text",
            Unit::Seconds,
            self.index_lag.clone(),
        );
        registry.register(
            "drift_warnings",
            "Paths that a webhook reads and that are not what they were",
            self.drifts.clone(),
        );
        self
    }

    /// All of it as text, now.
    pub fn render(&self) -> String {
        // Held while it is written: one scrape at a time, so that none sees another's figures half set.
        let sampled = self.sampled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = self.watched.get()
            && let (Some(log), Some(fleet), Some(view)) = (
                watched.log.upgrade(),
                watched.fleet.upgrade(),
                watched.view.upgrade(),
            )
        {
            sampled.take(&*log, &fleet, &view);
        }
        let since = *self
            .indexing_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.index_lag
            .set(since.map_or(0.0, |since| since.elapsed().as_secs_f64()));
        let mut text = String::new();
        // Writing into a string never fails; what there is of it is the answer either way.
        let _ = text::encode(&mut text, &self.registry);
        text
    }

    /// Reads from these from now on.
    pub(crate) fn watch(&self, context: &Context) {
        // Made once, for one server.
        let _ = self.watched.set(Watched {
            log: Arc::downgrade(&context.log),
            fleet: Arc::downgrade(&context.fleet),
            view: Arc::downgrade(&context.view),
        });
    }

    pub(crate) fn answered(&self, kind: AnswerKind) {
        if let Some((_, counter)) = self.answers.iter().find(|(of, _)| *of == kind) {
            counter.inc();
        }
    }

    /// What came of one request to a destination, for each delivery in it.
    pub(crate) fn attempted(&self, outcomes: &[Outcome]) {
        let [delivered, retried, gave_up, paused] = &self.pushes;
        for outcome in outcomes {
            match outcome.verdict {
                Verdict::Done => delivered.inc(),
                Verdict::Retry { .. } => retried.inc(),
                Verdict::GiveUp => gave_up.inc(),
                Verdict::Pause { .. } => paused.inc(),
            };
        }
    }

    /// How many destinations are left alone now.
    pub(crate) fn left_alone(&self, failing: u64, waiting: u64) {
        for (gauge, count) in self.left_alone.iter().zip([failing, waiting]) {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn batch(&self, time: Duration) {
        self.batches.observe(time.as_secs_f64());
    }

    /// Everything was sent to a listener, or only what changed.
    pub(crate) fn pushed(&self, everything: bool) {
        if everything {
            self.lists.inc();
        } else {
            self.deltas.inc();
        }
    }

    pub(crate) fn nacked(&self) {
        self.nacks.inc();
    }

    /// All that may go is gone.
    pub(crate) fn retained(&self, kept: Kept, now: Timestamp) {
        let whole = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.kept_events.set(whole(kept.events));
        self.kept_bytes.set(whole(kept.bytes));
        self.retained.set(now.0 / 1_000);
    }

    /// Some of what is kept can't be found by its text since then; none: all can.
    pub(crate) fn indexing_since(&self, since: Option<Instant>) {
        *self
            .indexing_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// So many paths that webhooks read are newly not what they were.
    pub(crate) fn drifted(&self, count: u64) {
        self.drifts.inc_by(count);
    }

    /// A stream is open as long as what this returns is held.
    pub(crate) fn subscriber(&self) -> Subscribed {
        self.subscribers.inc();
        Subscribed(self.subscribers.clone())
    }
}

/// Counted while it is there.
pub(crate) struct Subscribed(Gauge);

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_happen_is_there_before_it_does() {
        let metrics = Metrics::new();
        metrics.answered(AnswerKind::RetryLater);
        let text = metrics.render();
        for line in [
            "hookplane_control_plane_callbacks_total{outcome=\"kept\"} 0\n",
            "hookplane_control_plane_callbacks_total{outcome=\"retry-later\"} 1\n",
            "hookplane_control_plane_config_pushes_total{kind=\"list\"} 0\n",
            "hookplane_control_plane_deliveries_total{outcome=\"dead\"} 0\n",
            "hookplane_control_plane_refused_calls_total{code=\"permission-denied\"} 0\n",
            "hookplane_control_plane_subscribers 0\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_subscriber_is_counted_until_its_stream_ends() {
        let metrics = Metrics::new();
        let stream = metrics.subscriber();
        assert!(metrics.render().contains("plane_subscribers 1\n"));
        drop(stream);
        assert!(metrics.render().contains("plane_subscribers 0\n"));
    }
}
