//! What all connections share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hookplane_rules::{Clock, Plan};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::body::Buffers;
use crate::doctor::Doctor;
use crate::keys::RemoteKeys;
use crate::learn::Learner;
use crate::limit::{Buckets, Source};
use crate::link::Link;
use crate::metrics::Metrics;
use crate::refusals::Refusals;
use crate::report::{Pending, Reporter};
use crate::{Config, Limits};

/// Source addresses remembered: 16 shards of 4,096, about 4 MiB.
const MAX_SOURCES: usize = 65_536;
/// Groups with a limit of their own; outsiders can't add any.
const MAX_LIMITED_GROUPS: usize = 1_048_576;

pub(crate) struct State {
    /// Listener's name, for refusals.
    pub(crate) name: String,
    pub(crate) pool: String,
    /// Swapped as a whole by `sync`, read once per request.
    pub(crate) plan: ArcSwap<Plan>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) link: Link,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) reporter: Reporter,
    pub(crate) refusals: Refusals,
    pub(crate) doctor: Doctor,
    pub(crate) learner: Learner,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sources: Buckets<Source>,
    pub(crate) groups: Buckets<String>,
    pub(crate) keys: Arc<RemoteKeys>,
}

impl State {
    pub(crate) fn new(
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> (Arc<Self>, mpsc::Receiver<Pending>) {
        let (reporter, reports) = Reporter::new();
        let state = Self {
            name: config.name.clone(),
            pool: config.pool.clone(),
            plan: ArcSwap::default(),
            keys: RemoteKeys::new(config.keys.clone(), Arc::clone(&clock)),
            clock,
            limits: config.limits.clone(),
            link: Link::new(),
            buffers: Arc::new(Buffers::new(config.limits.max_buffered_bytes)),
            reporter,
            refusals: Refusals::default(),
            doctor: Doctor::default(),
            learner: Learner::default(),
            metrics: config.metrics.clone(),
            sources: Buckets::new(MAX_SOURCES),
            groups: Buckets::new(MAX_LIMITED_GROUPS),
        };
        let state = Arc::new(state);
        state.metrics.watch(&state);
        (state, reports)
    }
    /// Whether a decision by the plan of this revision is what the control plane would decide now.
    pub(crate) fn is_current(&self, plan_revision: u64) -> bool {
        self.plan.load().revision() == plan_revision
            && self.link.is_current(plan_revision, Instant::now())
    }
}
