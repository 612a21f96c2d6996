//! What this replica knows of each destination: how it is doing, and its sink, which keeps connections and tokens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::{Timestamp, time::to_wire};
use v1::DestinationState;

use super::engine::breaker::{Breaker, Gate, Shut};
use super::engine::rate::Rate;
use super::sink::{Sink, make};
use super::target::{EndpointKey, Resolved, Target, has_own};
use crate::config::View;
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
    /// Kept while nothing is sent: what comes now and then doesn't begin with a burst each time.
    rate: Rate,
    delivered: u64,
    failed: u64,
    /// Sealed; and the timeout that the sink was made with.
    of: Option<(Target, Duration)>,
    sink: Option<Arc<dyn Sink>>,
}

impl State {
    /// As it is configured now. Whatever was wrong with another target says nothing of this one; limits are no other target.
    fn configured(&mut self, resolved: &Resolved) {
        let now = resolved.limits.timeout;
        match &mut self.of {
            Some((target, timeout)) if target == resolved.target() => {
                if *timeout != now {
                    *timeout = now;
                    self.sink = self.sink.take().map(|sink| sink.with_timeout(now));
                }
            }
            _ => {
                self.of = Some((resolved.target().clone(), now));
                self.sink = None;
                self.breaker = Breaker::default();
            }
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
        let endpoint = self
            .lock()
            .get(&resolved.endpoint)
            .cloned()
            .unwrap_or_default();
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

    /// Webhooks' own that something was to be sent to: the webhook's uid, and the name in it.
    pub(crate) fn own(&self) -> Vec<(String, String)> {
        let known = self.lock();
        let own = known.keys().filter_map(|key| match key {
            EndpointKey::Own(uid, name) => Some((uid.clone(), name.clone())),
            EndpointKey::Named(_) => None,
        });
        own.collect()
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
        let sink = make(context, &resolved.org, &opened, resolved.limits.timeout)?;
        state.sink = Some(Arc::clone(&sink));
        Ok(sink)
    }

    /// Forgets those that are gone: with all of a webhook, or out of one that is still there.
    pub(crate) fn forget_gone(&self, view: &View) {
        let named = view.destinations();
        // Aside: nobody waits for the view while all are locked.
        let mut gone: Vec<EndpointKey> = self.lock().keys().cloned().collect();
        gone.retain(|key| match key {
            EndpointKey::Named(uid) => !named.contains(uid),
            EndpointKey::Own(uid, name) => !view.webhook(uid).is_some_and(|of| has_own(&of, name)),
        });
        let mut known = self.lock();
        for key in &gone {
            known.remove(key);
        }
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

    /// The same for what became of a request that was sent to this target. None where it is another by now, of which that says nothing.
    pub(crate) fn breaker_of<T>(
        &self,
        resolved: &Resolved,
        with: impl FnOnce(&mut Breaker) -> T,
    ) -> Option<T> {
        let mut state = self.lock();
        let is_same = state
            .of
            .as_ref()
            .is_none_or(|(of, _)| of == resolved.target());
        is_same.then(|| with(&mut state.breaker))
    }

    /// How many may be sent to it.
    pub(crate) fn rate<T>(&self, with: impl FnOnce(&mut Rate) -> T) -> T {
        with(&mut self.lock().rate)
    }

    /// What it is sent with.
    #[cfg(test)]
    pub(crate) fn set_sink(&self, resolved: &Resolved, sink: Arc<dyn Sink>) {
        let mut state = self.lock();
        state.configured(resolved);
        state.sink = Some(sink);
    }

    pub(crate) fn count(&self, delivered: u64, failed: u64) {
        let mut state = self.lock();
        state.delivered += delivered;
        state.failed += failed;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use prost::Message;

    use super::*;
    use crate::dispatch::client::HttpClient;
    use crate::dispatch::engine::tests::rig::Rig;
    use crate::dispatch::sink::http::HttpSink;
    use crate::dispatch::target::of_named;
    use crate::keys;

    const T: Timestamp = Timestamp(1_700_000_000_000);

    struct Still;

    impl hookplane_rules::Clock for Still {
        fn now(&self) -> Timestamp {
            T
        }
    }

    fn target(url: &str, sealed: &str) -> v1::HttpTarget {
        let secret = v1::Secret {
            sealed: sealed.as_bytes().to_vec().into(),
            ..Default::default()
        };
        v1::HttpTarget {
            url: url.to_owned(),
            headers: [("X-Key".to_owned(), secret)].into(),
            ..Default::default()
        }
    }

    fn resolved(target: &v1::HttpTarget, limits: v1::DeliveryLimits) -> Resolved {
        let spec = v1::DestinationSpec {
            http: Some(target.clone()),
            limits: Some(limits),
            ..Default::default()
        };
        let destination = v1::Destination {
            spec: Some(spec),
            ..Default::default()
        };
        of_named(&destination).unwrap()
    }

    /// Of this target, and left alone.
    fn failing(of: &Resolved) -> Endpoint {
        let endpoint = Endpoint::default();
        let client = HttpClient::default();
        let sink = HttpSink::new(
            &target("https://a.example", ""),
            Duration::MAX,
            client,
            Arc::new(Still),
        );
        endpoint.set_sink(of, Arc::new(sink.unwrap()));
        fail(&endpoint, of);
        assert!(matches!(endpoint.gate(T), Gate::Shut(_)));
        endpoint
    }

    fn fail(endpoint: &Endpoint, of: &Resolved) {
        for _ in 0..5 {
            endpoint.breaker_of(of, |breaker| breaker.failed(T, "no", None, 1.0));
        }
    }

    #[test]
    fn another_target_begins_anew_and_late_answers_of_the_old_one_say_nothing_of_it() {
        let limits = v1::DeliveryLimits::default();
        let old = resolved(&target("https://a.example", "sealed"), limits);
        for (url, sealed) in [
            ("https://b.example", "sealed"),
            ("https://a.example", "another"),
        ] {
            let endpoint = failing(&old);
            let new = resolved(&target(url, sealed), limits);
            endpoint.configured(&new);
            assert_eq!(endpoint.gate(T), Gate::Open, "{url} {sealed}");
            assert!(endpoint.lock().sink.is_none());
            fail(&endpoint, &old);
            assert_eq!(endpoint.gate(T), Gate::Open);
            fail(&endpoint, &new);
            assert!(matches!(endpoint.gate(T), Gate::Shut(_)));
        }
    }

    #[test]
    fn other_limits_are_no_other_target() {
        let target = target("https://a.example", "sealed");
        let of = |limits| resolved(&target, limits);
        let endpoint = failing(&of(v1::DeliveryLimits::default()));
        for limits in [
            v1::DeliveryLimits {
                concurrency: 2,
                rate_per_second: 9,
                max_attempts: 3,
                ..Default::default()
            },
            v1::DeliveryLimits {
                timeout_seconds: 9,
                ..Default::default()
            },
        ] {
            endpoint.configured(&of(limits));
            assert!(matches!(endpoint.gate(T), Gate::Shut(_)));
            assert!(endpoint.lock().sink.is_some());
        }
    }

    #[tokio::test]
    async fn what_is_gone_is_forgotten_also_out_of_a_webhook_that_is_still_there() {
        let rig = Rig::new().await;
        rig.webhook("orders", &["crm", "erp"]).await;
        rig.webhook("other", &["crm"]).await;
        let shared = v1::Destination {
            metadata: Some(v1::Metadata {
                uid: "shared".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let key = keys::destination("acme", "shared");
        rig.put(key, shared.encode_to_vec()).await;
        let own = |uid: &str, name: &str| EndpointKey::Own(uid.to_owned(), name.to_owned());
        let named = |uid: &str| EndpointKey::Named(uid.to_owned());
        let endpoints = Endpoints::default();
        let stay = [own("orders", "erp"), own("other", "crm"), named("shared")];
        let go = [own("orders", "crm"), own("gone", "crm"), named("gone")];
        for key in stay.iter().chain(&go) {
            endpoints.get(key).count(1, 0);
        }
        // One is renamed.
        rig.webhook("orders", &["sales", "erp"]).await;
        endpoints.forget_gone(&rig.context.view);
        let known: HashSet<_> = endpoints.lock().keys().cloned().collect();
        assert_eq!(known, stay.into());
    }
}
