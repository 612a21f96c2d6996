//! What is known elsewhere, read when a scrape asks.

use std::sync::atomic::AtomicU64;

use hookplane_proto::v1::Receipt;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::ByName;
use crate::config::{Fleet, View};
use crate::log::DeliveryLog;

/// Pools shown. A fleet has a few; past this something makes them up.
const MAX_POOLS: usize = 100;

const RECEIPTS: [(Receipt, &str); 3] = [
    (Receipt::Synced, "synced"),
    (Receipt::Replicated, "replicated"),
    (Receipt::Degraded, "degraded"),
];

/// As of the last scrape.
pub(super) struct Sampled {
    commits: Counter,
    commit_seconds: Counter<f64, AtomicU64>,
    pieces: Counter,
    queue: Gauge,
    receipts: Family<[(&'static str, &'static str); 1], Gauge>,
    weaknesses: Family<[(&'static str, String); 1], Gauge>,
    outcomes: ByName,
    leases: Gauge,
    listeners: Family<[(&'static str, String); 2], Gauge>,
    revision: Gauge,
    encodings: Counter,
    lag: Gauge<f64, AtomicU64>,
}

impl Sampled {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let sampled = Self {
            commits: Counter::default(),
            commit_seconds: Counter::default(),
            pieces: Counter::default(),
            queue: Gauge::default(),
            receipts: Family::default(),
            weaknesses: Family::default(),
            outcomes: Family::default(),
            leases: Gauge::default(),
            listeners: Family::default(),
            revision: Gauge::default(),
            encodings: Counter::default(),
            lag: Gauge::default(),
        };
        registry.register(
            "log_commits",
            "Commits of the event log",
            sampled.commits.clone(),
        );
        registry.register_with_unit(
            "log_commit",
            "Time spent in commits of the event log",
            Unit::Seconds,
            sampled.commit_seconds.clone(),
        );
        registry.register(
            "log_pieces",
            "Appends, leases and settlements that were committed",
            sampled.pieces.clone(),
        );
        registry.register(
            "log_queue",
            "Appends, leases and settlements that wait",
            sampled.queue.clone(),
        );
        registry.register(
            "log_receipt",
            "1 for how safe what is kept is",
            sampled.receipts.clone(),
        );
        registry.register(
            "log_weakness",
            "1 for each thing that makes it weaker than promised",
            sampled.weaknesses.clone(),
        );
        registry.register(
            "deliveries",
            "Attempts and ends of deliveries",
            sampled.outcomes.clone(),
        );
        registry.register(
            "leases",
            "Deliveries that subscribers hold",
            sampled.leases.clone(),
        );
        registry.register("listeners", "Listeners here", sampled.listeners.clone());
        registry.register(
            "store_revision",
            "Of the configuration that this replica has seen",
            sampled.revision.clone(),
        );
        registry.register(
            "config_encodings",
            "Versions of resources that were encoded for listeners",
            sampled.encodings.clone(),
        );
        registry.register_with_unit(
            "store_lag",
            "From a write of this replica to its own watch bringing it",
            Unit::Seconds,
            sampled.lag.clone(),
        );
        for (name, _) in crate::log::Stats::default().outcomes() {
            sampled.outcome(name);
        }
        sampled
    }

    fn outcome(&self, name: &'static str) -> Counter {
        self.outcomes.get_or_create_owned(&[("outcome", name)])
    }

    pub(super) fn take(&self, log: &dyn DeliveryLog, fleet: &Fleet, view: &View) {
        let stats = log.stats();
        raise(&self.commits, stats.commits);
        raise(&self.pieces, stats.pieces);
        let spent = stats.commit_time.as_secs_f64();
        self.commit_seconds
            .inc_by((spent - self.commit_seconds.get()).max(0.0));
        self.queue.set(whole(stats.waiting));
        self.leases.set(whole(stats.leased));
        for (name, count) in stats.outcomes() {
            raise(&self.outcome(name), count);
        }
        let durability = log.durability();
        for (of, name) in RECEIPTS {
            self.receipts
                .get_or_create(&[("receipt", name)])
                .set((of == durability.receipt).into());
        }
        // The server's settings, so a few. One that is mended is gone here too.
        self.weaknesses.clear();
        for reason in durability.reasons {
            self.weaknesses.get_or_create(&[("reason", reason)]).set(1);
        }
        self.revision.set(whole(view.revision()));
        raise(&self.encodings, view.encodings());
        if let Some(lag) = view.lag() {
            self.lag.set(lag.as_secs_f64());
        }
        self.take_listeners(fleet);
    }

    fn take_listeners(&self, fleet: &Fleet) {
        // A pool that is gone is gone here too.
        self.listeners.clear();
        for (pool, (connected, ready)) in fleet.own_pools().into_iter().take(MAX_POOLS) {
            for (state, count) in [("connected", connected), ("ready", ready)] {
                let labels = [("pool", pool.to_string()), ("state", state.to_owned())];
                self.listeners.get_or_create(&labels).set(count.into());
            }
        }
    }
}

/// Counters never go back.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
