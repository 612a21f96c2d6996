//! What this replica knows of each destination: how it is doing, and its sink, which keeps connections and tokens.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookplane_proto::v1;
use hookplane_rules::{Timestamp, time::to_wire};
use v1::DestinationState;

use super::engine::breaker::{Breaker, Gate, Shut};
use super::sink::{Sink, make};
use super::target::{EndpointKey, Limits, Resolved, Target};
use crate::context::Context;

/// All of them.
#[derive(Default)]
pub struct Endpoints {
    known: Mutex<HashMap<EndpointKey, Arc<Endpoint>>>,
}

/// One destination, whoever delivers to it.
#[derive(Default)]
pub(crate) struct Endpoint {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    breaker: Breaker,
    delivered: u64,
    failed: u64,
    /// Sealed; and how much at a time.
    of: Option<(Target, Limits)>,
    sink: Option<Arc<dyn Sink>>,
}

impl State {
    /// As it is configured now. Whatever was wrong with the one before says nothing of this one.
    fn configured(&mut self, resolved: &Resolved) {
        let is_same = |(target, limits): &(Target, Limits)| {
            target == resolved.target() && *limits == resolved.limits
        };
        if !self.of.as_ref().is_some_and(is_same) {
            self.of = Some((resolved.target().clone(), resolved.limits));
            self.sink = None;
            self.breaker = Breaker::default();
        }
    }
}

/// How many destinations there are of each state, for scrapes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct States {
    pub(crate) failing: u64,
    pub(crate) waiting: u64,
}

impl Endpoints {
    fn lock(&self) -> MutexGuard<'_, HashMap<EndpointKey, Arc<Endpoint>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &EndpointKey) -> Arc<Endpoint> {
        Arc::clone(self.lock().entry(key.clone()).or_default())
    }

    /// How a destination is doing here.
    pub(crate) fn status(&self, resolved: &Resolved, now: Timestamp) -> v1::DestinationStatus {
        let endpoint = self.lock().get(&resolved.endpoint).cloned().unwrap_or_default();
        let mut state = endpoint.lock();
        state.configured(resolved);
        let shown = |state_of: DestinationState, shut: Option<&Shut>| v1::DestinationStatus {
            state: state_of.into(),
            reason: shut.map(|shut| shut.reason.clone()).unwrap_or_default(),
            since: shut.map(|shut| to_wire(shut.since)),
            retry_time: shut.map(|shut| to_wire(shut.until)),
            delivered: state.delivered,
            failed: state.failed,
        };
        if resolved.endpoint_paused || resolved.queue_paused {
            return shown(DestinationState::Paused, None);
        }
        if let Some(shut) = state.breaker.failing() {
            return shown(DestinationState::Failing, Some(shut));
        }
        match state.breaker.pausing(now) {
            Some(shut) => shown(DestinationState::Waiting, Some(shut)),
            None => shown(DestinationState::Active, None),
        }
    }

    /// The sink of a destination as it is configured now. One that is the same as before is kept.
    pub(crate) fn sink(
        &self,
        context: &Context,
        resolved: &Resolved,
    ) -> Result<Arc<dyn Sink>, String> {
        let endpoint = self.get(&resolved.endpoint);
        let mut state = endpoint.lock();
        state.configured(resolved);
        if let Some(sink) = &state.sink {
            return Ok(Arc::clone(sink));
        }
        let opened = resolved
            .open(&context.seal)
            .map_err(|error| error.to_string())?;
        let sink = make(context, &opened, resolved.limits.timeout)?;
        state.sink = Some(Arc::clone(&sink));
        Ok(sink)
    }

    /// Forgets those that are gone.
    pub(crate) fn retain(&self, there: &HashSet<String>) {
        self.lock().retain(|key, _| {
            let (EndpointKey::Named(uid) | EndpointKey::Own(uid, _)) = key;
            there.contains(uid)
        });
    }

    pub(crate) fn states(&self, now: Timestamp) -> States {
        let all: Vec<Arc<Endpoint>> = self.lock().values().cloned().collect();
        let mut states = States::default();
        for endpoint in all {
            let state = endpoint.lock();
            if state.breaker.failing().is_some() {
                states.failing += 1;
            } else if state.breaker.pausing(now).is_some() {
                states.waiting += 1;
            }
        }
        states
    }
}

impl Endpoint {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets how it was doing where it is configured otherwise than before.
    pub(crate) fn configured(&self, resolved: &Resolved) {
        self.lock().configured(resolved);
    }

    pub(crate) fn gate(&self, now: Timestamp) -> Gate {
        self.lock().breaker.gate(now)
    }

    /// What the destination's state is decided by.
    pub(crate) fn breaker<T>(&self, with: impl FnOnce(&mut Breaker) -> T) -> T {
        with(&mut self.lock().breaker)
    }

    pub(crate) fn count(&self, delivered: u64, failed: u64) {
        let mut state = self.lock();
        state.delivered += delivered;
        state.failed += failed;
    }
}
