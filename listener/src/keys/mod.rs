//! Providers' public keys: fetched when a callback needs one, and kept for as long as its definition says.
//!
//! ```text
//!  verify ── needs a key ──▶ fetch ──▶ kept already? in flight? tried a moment ago? ──▶ one request ──▶ KeySet ──▶ verify again
//!                                                                                          │
//!                                                              503, and the sender tries again ◀── not in time
//! ```
//!
//! A forger decides when something is fetched, and where sources are named by the sender also what. So (risk 36):
//! - what is fetched is https at a host that the definition pins, at a public address, without redirects (see `get`);
//! - of one source there is one request at a time, which all who wait for it share, at most one a minute when it has been fetched, and one in
//!   ten seconds when it couldn't be;
//! - requests are bounded by group, org, host and in all, so that no org's forgers take what the others need (see `budget`); sources are bounded by
//!   number, answers by size and time.

mod budget;
mod get;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookplane_rules::{Clock, Confirmation, KeySet, KeySource, Keys, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

pub(crate) use budget::Asker;
use budget::Budget;
pub use get::KeyServers;

/// Sources that are remembered.
const MAX_SOURCES: usize = 1_000;
/// Requests under way at a time.
const MAX_FLIGHTS: usize = 64;
/// From one request to its end.
const DEADLINE: Duration = Duration::from_secs(3);
/// After a set was fetched it is not fetched again for so long, whatever key a request names.
const AFTER_SUCCESS: Duration = Duration::from_secs(60);
/// After it couldn't be.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// A set, or why there is none.
type Fetched = Result<Arc<KeySet>, Arc<str>>;

/// See the module.
pub(crate) struct RemoteKeys {
    servers: KeyServers,
    clock: Arc<dyn Clock>,
    sources: Mutex<Sources>,
    budget: Budget,
}

#[derive(Default)]
struct Sources {
    known: HashMap<KeySource, Known>,
    /// The requests under way, each within its deadline.
    flights: JoinSet<()>,
    /// Goes up with each look, to tell what was used last.
    looks: u64,
}

/// What is known of one source.
#[derive(Default)]
struct Known {
    /// The last one, and when it came.
    set: Option<(Arc<KeySet>, Timestamp)>,
    /// Why there was no newer one when it was last tried, and when that was.
    failed: Option<(Arc<str>, Timestamp)>,
    used: u64,
    /// None inside until it ends.
    flight: Option<watch::Receiver<Option<Fetched>>>,
}

/// A clock that was set back makes what was before it old, so that nothing is kept for longer than it may.
fn is_within(span: Duration, from: Timestamp, now: Timestamp) -> bool {
    u128::from(now.0.abs_diff(from.0)) < span.as_millis()
}

impl Known {
    fn good(&self, max_age: Duration, now: Timestamp) -> Option<&Arc<KeySet>> {
        let (set, at) = self.set.as_ref()?;
        is_within(max_age, *at, now).then_some(set)
    }

    fn flight(&self) -> Option<watch::Receiver<Option<Fetched>>> {
        // One that was given up leaves a closed channel.
        let flight = self.flight.as_ref()?;
        flight.has_changed().is_ok().then(|| flight.clone())
    }
}

impl RemoteKeys {
    pub(crate) fn new(servers: KeyServers, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            servers,
            clock,
            sources: Mutex::default(),
            budget: Budget::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The set at this source, fetched after `since`, unless it isn't there by `deadline`. The reason is for an operator.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        source: &KeySource,
        asker: Asker<'_>,
        since: Timestamp,
        deadline: Instant,
    ) -> Result<Arc<KeySet>, String> {
        let mut flight = match self.begin(source, asker, since)? {
            Begun::Here(set) => return Ok(set),
            Begun::Flight(flight) => flight,
        };
        let failed = |why: &str| format!("the key at {source} can't be had: {why}");
        let landed = timeout_at(deadline, flight.wait_for(Option::is_some)).await;
        match landed {
            Err(_) => Err(failed("it did not come in time")),
            Ok(Err(_)) => Err(failed("the request was given up")),
            Ok(Ok(fetched)) => match fetched.as_ref() {
                Some(Ok(set)) => Ok(Arc::clone(set)),
                Some(Err(why)) => Err(failed(why)),
                None => Err(failed("the request was given up")),
            },
        }
    }

    fn begin(
        self: &Arc<Self>,
        source: &KeySource,
        asker: Asker<'_>,
        since: Timestamp,
    ) -> Result<Begun, String> {
        let now = self.clock.now();
        let mut sources = self.lock();
        let mut was_good = false;
        if let Some(known) = sources.known.get(source) {
            if let Some(flight) = known.flight() {
                return Ok(Begun::Flight(flight));
            }
            if let Some((why, at)) = &known.failed
                && is_within(AFTER_FAILURE, *at, now)
            {
                return Err(format!("the key at {source} can't be had: {why}"));
            }
            if let Some((set, at)) = &known.set {
                was_good = true;
                // Others have waited for the same.
                if *at >= since {
                    return Ok(Begun::Here(Arc::clone(set)));
                }
                if is_within(AFTER_SUCCESS.min(source.max_age()), *at, now) {
                    return Err(format!(
                        "the key at {source} was fetched less than {} s ago, and none there fits; it is fetched again after that",
                        AFTER_SUCCESS.as_secs()
                    ));
                }
            }
        }
        while sources.flights.try_join_next().is_some() {}
        let tick = Instant::now();
        let may = || match was_good {
            true => self.budget.takes_known(asker, source.host(), tick),
            false => self.budget.takes_new(asker, source.host(), tick),
        };
        if sources.flights.len() >= MAX_FLIGHTS || !may() || !sources.make_room(source) {
            return Err(format!(
                "the key at {source} is not fetched now: too many are being fetched"
            ));
        }
        let (land, flight) = watch::channel(None);
        let looks = sources.looks;
        let known = sources.known.entry(source.clone()).or_default();
        known.used = looks;
        known.flight = Some(flight.clone());
        let (keys, source) = (Arc::clone(self), source.clone());
        sources.flights.spawn(async move {
            let fetched = keys.get_and_read(&source, was_good).await;
            keys.land(&source, fetched, &land);
        });
        Ok(Begun::Flight(flight))
    }

    /// Fetches what a provider wants to see fetched, within the same bounds. What is answered says nothing.
    pub(crate) async fn confirm(
        &self,
        confirmation: &Confirmation,
        asker: Asker<'_>,
        deadline: Instant,
    ) -> Result<(), String> {
        let (host, path) = (confirmation.host(), confirmation.path_and_query());
        let now = Instant::now();
        if !self.budget.takes_new(asker, host, now) {
            return Err(format!("nothing is fetched from {host} now: too much is"));
        }
        let deadline = deadline.min(now + DEADLINE);
        match timeout_at(deadline, get::get(&self.servers, host, path)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => Err(format!("fetch from {host}: {why}")),
            Err(_) => Err(format!("fetch from {host}: no answer in time")),
        }
    }

    async fn get_and_read(&self, source: &KeySource, was_good: bool) -> Fetched {
        let got = tokio::time::timeout(
            DEADLINE,
            get::get(&self.servers, source.host(), source.path_and_query()),
        )
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", DEADLINE.as_secs())));
        let read = got.and_then(|body| source.read(&body, self.servers.roots(), self.clock.now()));
        match read {
            Ok(set) => Ok(Arc::new(set)),
            Err(why) => {
                // What was never there may be a forger's invention.
                if was_good {
                    tracing::warn!(url = %source, why, "a provider's public key can't be fetched: callbacks that need it are answered 503");
                }
                Err(why.into())
            }
        }
    }

    fn land(&self, source: &KeySource, fetched: Fetched, land: &watch::Sender<Option<Fetched>>) {
        if let Some(known) = self.lock().known.get_mut(source) {
            let now = self.clock.now();
            match &fetched {
                Ok(set) => {
                    known.set = Some((Arc::clone(set), now));
                    known.failed = None;
                }
                // A set that is still good stays good when there is no newer one.
                Err(why) => known.failed = Some((Arc::clone(why), now)),
            }
            known.flight = None;
        }
        land.send_replace(Some(fetched));
    }
}

enum Begun {
    Here(Arc<KeySet>),
    Flight(watch::Receiver<Option<Fetched>>),
}

impl Sources {
    /// Forgets one source where there are too many: first what was never good, else what was used longest ago. False when all are in flight.
    fn make_room(&mut self, wanted: &KeySource) -> bool {
        if self.known.len() < MAX_SOURCES || self.known.contains_key(wanted) {
            return true;
        }
        let idle = self
            .known
            .iter()
            .filter(|(_, known)| known.flight.is_none());
        let oldest = idle
            .min_by_key(|(_, known)| (known.set.is_some(), known.used))
            .map(|(source, _)| source.clone());
        oldest.is_some_and(|oldest| self.known.remove(&oldest).is_some())
    }
}

impl Keys for RemoteKeys {
    fn get(&self, source: &KeySource) -> Option<Arc<KeySet>> {
        let mut sources = self.lock();
        sources.looks += 1;
        let looks = sources.looks;
        let known = sources.known.get_mut(source)?;
        known.used = looks;
        known.good(source.max_age(), self.clock.now()).cloned()
    }
}

/// A set that was fetched for one request, for its second look.
pub(crate) struct Just(pub(crate) KeySource, pub(crate) Arc<KeySet>);

impl Keys for Just {
    fn get(&self, source: &KeySource) -> Option<Arc<KeySet>> {
        (*source == self.0).then(|| Arc::clone(&self.1))
    }
}
