//! What a scrape reads: counters, gauges and one histogram, in the text form of OpenMetrics, which Prometheus takes.
//!
//! Counting is a relaxed addition to a counter that was looked up when the listener was made: no lock, no allocation. What is known
//! elsewhere already (the plan's revision, whether a stream is up) is read when a scrape asks for it.
//!
//! Labels are clauses and outcomes, fixed lists. Never an org, a group, a path or anything an outsider sends: what one group refused or
//! left out is counted in `get group`.
//!
//! | name | labels | what |
//! | --- | --- | --- |
//! | `hookplane_listener_callbacks_total` | `outcome` | answered: `kept`, `duplicate`, `not-registered`, `not-matched`, `handshake`, `refused` (4xx), `unavailable` (503) |
//! | `hookplane_listener_refused_total` | `clause`, `status` | not answered 2xx, by the clause that `get refusals` shows |
//! | `hookplane_listener_diagnosed_total` | `cause` | refusals whose likely cause was looked for, by what was found: one of a group a second at most, and within 1 % of a core |
//! | `hookplane_listener_held_total` | | kept callbacks with a webhook whose filter couldn't be told: its delivery is held |
//! | `hookplane_listener_answer_seconds` | `le` | histogram: from the end of the head to the answer |
//! | `hookplane_listener_in_flight` | | requests being answered |
//! | `hookplane_listener_reports_in_flight` | | callbacks handed in for the control plane, without an answer yet |
//! | `hookplane_listener_plan_revision` | | of the configuration in use |
//! | `hookplane_listener_plan_applied_timestamp_seconds` | | when a change was applied last; its age is `time()` less this |
//! | `hookplane_listener_resources_refused_total` | | resources of the configuration that this listener refused |
//! | `hookplane_listener_config_stream_up` | | 1 while the config stream is connected |
//! | `hookplane_listener_connects_total` | `stream` | times the `config` or a `report` stream was connected: the first, and each reconnect |
//! | `hookplane_listener_config_stream_lost_total` | | times the config stream was lost |
//! | `hookplane_listener_clock_off` | | 1 while the clock is known to be off, which turns timestamp failures into 503 |

mod histogram;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use hookplane_rules::{Cause, Timestamp};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::respond::Why;
use crate::state::State;
use histogram::Histogram;

/// What a request is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Kept,
    Duplicate,
    NotRegistered,
    NotMatched,
    Handshake,
}

impl Outcome {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Kept, "kept"),
        (Self::Duplicate, "duplicate"),
        (Self::NotRegistered, "not-registered"),
        (Self::NotMatched, "not-matched"),
        (Self::Handshake, "handshake"),
    ];
}

/// One listener's. Made by the caller, who serves [`Metrics::render`] where a scrape can reach it.
pub struct Metrics {
    registry: Registry,
    answered: [Counter; Outcome::ALL.len()],
    refused: Counter,
    unavailable: Counter,
    clauses: Vec<(Why, Counter)>,
    causes: Vec<(Cause, Counter)>,
    held: Counter,
    answer_time: Arc<Histogram>,
    in_flight: Gauge,
    reports_in_flight: Gauge,
    plan_applied: Gauge,
    resources_refused: Counter,
    sampled: Sampled,
    /// Of the listener that runs with these.
    state: OnceLock<Weak<State>>,
}

/// Known elsewhere, and read at a scrape.
#[derive(Default)]
struct Sampled {
    plan_revision: Gauge,
    config_up: Gauge,
    config_connects: Counter,
    report_connects: Counter,
    config_losses: Counter,
    clock_off: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
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
        let mut registry = Registry::with_prefix("hookplane_listener");
        let outcomes = Family::<[(&str, &str); 1], Counter>::default();
        registry.register("callbacks", "Requests answered", outcomes.clone());
        let outcome = |name| outcomes.get_or_create_owned(&[("outcome", name)]);
        let by_clause = Family::<[(&str, String); 2], Counter>::default();
        registry.register("refused", "Requests not answered 2xx", by_clause.clone());
        let clauses = Why::ALL
            .into_iter()
            .map(|why| {
                let labels = [
                    ("clause", why.clause().to_owned()),
                    ("status", why.status().as_u16().to_string()),
                ];
                (why, by_clause.get_or_create_owned(&labels))
            })
            .collect();
        let by_cause = Family::<[(&str, &str); 1], Counter>::default();
        registry.register(
            "diagnosed",
            "Refusals whose likely cause was looked for",
            by_cause.clone(),
        );
        let causes = Cause::ALL
            .into_iter()
            .map(|cause| {
                let counter = by_cause.get_or_create_owned(&[("cause", cause.name())]);
                (cause, counter)
            })
            .collect();
        let connects = Family::<[(&str, &str); 1], Counter>::default();
        registry.register(
            "connects",
            "Times a stream to the control plane was connected",
            connects.clone(),
        );
        let connects = |stream| connects.get_or_create_owned(&[("stream", stream)]);
        let sampled = Sampled {
            config_connects: connects("config"),
            report_connects: connects("report"),
            ..Sampled::default()
        };
        let metrics = Self {
            answered: Outcome::ALL.map(|(_, name)| outcome(name)),
            refused: outcome("refused"),
            unavailable: outcome("unavailable"),
            clauses,
            causes,
            held: Counter::default(),
            answer_time: Arc::default(),
            in_flight: Gauge::default(),
            reports_in_flight: Gauge::default(),
            plan_applied: Gauge::default(),
            resources_refused: Counter::default(),
            sampled,
            state: OnceLock::new(),
            registry,
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "held",
            "Kept callbacks of which a delivery is held",
            self.held.clone(),
        );
        registry.register_collector(Box::new(Arc::clone(&self.answer_time)));
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
            registry.register(name, help, gauge.clone());
        };
        gauge("in_flight", "Requests being answered", &self.in_flight);
        gauge(
            "reports_in_flight",
            "Callbacks that wait for the control plane's answer",
            &self.reports_in_flight,
        );
        let sampled = &self.sampled;
        gauge(
            "plan_revision",
            "Revision of the configuration in use",
            &sampled.plan_revision,
        );
        gauge(
            "config_stream_up",
            "1 while the config stream is connected",
            &sampled.config_up,
        );
        gauge(
            "clock_off",
            "1 while the clock is known to be off",
            &sampled.clock_off,
        );
        registry.register_with_unit(
            "plan_applied_timestamp",
            "When a change of the configuration was applied last",
            Unit::Seconds,
            self.plan_applied.clone(),
        );
        registry.register(
            "resources_refused",
            "Resources of the configuration that were refused",
            self.resources_refused.clone(),
        );
        registry.register(
            "config_stream_lost",
            "Times the config stream was lost",
            sampled.config_losses.clone(),
        );
        self
    }

    /// All of it as text, now.
    pub fn render(&self) -> String {
        if let Some(state) = self.state.get().and_then(Weak::upgrade) {
            self.sampled.take(&state);
        }
        let mut text = String::new();
        // Writing into a string never fails; what there is of it is the answer either way.
        let _ = text::encode(&mut text, &self.registry);
        text
    }

    /// Reads from this listener from now on.
    pub(crate) fn watch(&self, state: &Arc<State>) {
        // Made once, for one listener.
        let _ = self.state.set(Arc::downgrade(state));
    }

    /// A request is being answered as long as what this returns is held.
    pub(crate) fn request(&self) -> InFlight<'_> {
        InFlight::new(&self.in_flight)
    }

    /// A callback waits for the control plane as long as what this returns is held.
    pub(crate) fn report(&self) -> InFlight<'_> {
        InFlight::new(&self.reports_in_flight)
    }

    pub(crate) fn answered(&self, outcome: Outcome) {
        for ((of, _), counter) in Outcome::ALL.iter().zip(&self.answered) {
            if *of == outcome {
                counter.inc();
            }
        }
    }

    pub(crate) fn refused(&self, why: Why) {
        if why.status().is_server_error() {
            self.unavailable.inc();
        } else {
            self.refused.inc();
        }
        if let Some((_, counter)) = self.clauses.iter().find(|(of, _)| *of == why) {
            counter.inc();
        }
    }

    pub(crate) fn diagnosed(&self, cause: Cause) {
        if let Some((_, counter)) = self.causes.iter().find(|(of, _)| *of == cause) {
            counter.inc();
        }
    }

    pub(crate) fn held(&self) {
        self.held.inc();
    }

    pub(crate) fn took(&self, time: Duration) {
        self.answer_time.observe(time);
    }

    /// A plan is in use that refused so many resources.
    pub(crate) fn plan_applied(&self, now: Timestamp, refused: usize) {
        self.plan_applied.set(now.seconds());
        self.resources_refused.inc_by(refused as u64);
    }
}

impl Sampled {
    fn take(&self, state: &State) {
        use std::sync::atomic::Ordering::Relaxed;

        let revision = state.plan.load().revision();
        self.plan_revision
            .set(i64::try_from(revision).unwrap_or(i64::MAX));
        self.config_up.set((!state.link.is_down()).into());
        self.clock_off.set(state.link.clock_off().into());
        for (counter, count) in [
            (&self.config_connects, state.link.config_connects()),
            (&self.report_connects, state.link.report_connects()),
            (&self.config_losses, state.link.config_losses()),
        ] {
            // Two scrapes at a time may read in either order; a counter never goes back.
            counter.inner().fetch_max(count, Relaxed);
        }
    }
}

/// Counted while it is there: a connection that ends drops what was under way on it.
pub(crate) struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_and_clause_is_there_before_it_happens() {
        let text = Metrics::new().render();
        for (_, name) in Outcome::ALL {
            let line = format!("hookplane_listener_callbacks_total{{outcome=\"{name}\"}} 0\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        for why in Why::ALL {
            let clause = format!("clause=\"{}\"", why.clause());
            assert!(text.contains(&clause), "{clause}{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn what_is_under_way_is_counted_until_it_is_dropped() {
        let metrics = Metrics::new();
        let one = metrics.request();
        assert!(
            metrics
                .render()
                .contains("\nhookplane_listener_in_flight 1\n")
        );
        drop(one);
        assert!(
            metrics
                .render()
                .contains("\nhookplane_listener_in_flight 0\n")
        );
    }

    #[test]
    fn a_refusal_is_counted_once_as_an_outcome_and_once_by_its_clause() {
        let metrics = Metrics::new();
        metrics.refused(Why::UnknownUrl);
        metrics.refused(Why::NotDurable);
        let text = metrics.render();
        for line in [
            "callbacks_total{outcome=\"refused\"} 1\n",
            "callbacks_total{outcome=\"unavailable\"} 1\n",
            "refused_total{clause=\"unknown-url\",status=\"404\"} 1\n",
            "refused_total{clause=\"not-durable\",status=\"503\"} 1\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
