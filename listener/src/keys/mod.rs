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
//! - requests are bounded by group, by host and in all, sources by number, answers by size and time.

mod address;
mod get;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookplane_rules::{Clock, KeySet, KeySource, Keys};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::limit::Buckets;
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
/// Requests a second that one group's callbacks may cause for what was never fetched before; a forger of one group takes nothing from others.
const NEW_PER_GROUP: u32 = 2;
/// Requests a second to one host, and to all.
const PER_HOST: u32 = 5;
const IN_ALL: u32 = 50;
/// Hosts and groups whose requests are counted apart.
const MAX_COUNTED: usize = 4_096;

/// A set, or why there is none.
type Fetched = Result<Arc<KeySet>, Arc<str>>;

/// See the module.
pub(crate) struct RemoteKeys {
    servers: KeyServers,
    clock: Arc<dyn Clock>,
    sources: Mutex<Sources>,
    groups: Buckets<String>,
    hosts: Buckets<String>,
    all: Buckets<String>,
}

#[derive(Default)]
struct Sources {
    known: HashMap<KeySource, Known>,
    /// The requests under way. They end with this.
    flights: JoinSet<()>,
    /// Goes up with each look, to tell what was used last.
    looks: u64,
}

/// What is known of one source.
struct Known {
    last: Option<Fetched>,
    /// When that was.
    at: Instant,
    /// Whether a set was ever there.
    was_good: bool,
    used: u64,
    /// None inside until it ends.
    flight: Option<watch::Receiver<Option<Fetched>>>,
}

impl Known {
    fn set(&self, max_age: Duration, now: Instant) -> Option<&Arc<KeySet>> {
        let set = self.last.as_ref()?.as_ref().ok()?;
        (now < self.at + max_age).then_some(set)
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
            groups: Buckets::new(MAX_COUNTED),
            hosts: Buckets::new(MAX_COUNTED),
            all: Buckets::new(1),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The set at this source, fetched after `since`, unless it isn't there by `deadline`. The reason is for an operator.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        source: &KeySource,
        group_uid: &str,
        since: Instant,
        deadline: Instant,
    ) -> Result<Arc<KeySet>, String> {
        let mut flight = match self.begin(source, group_uid, since)? {
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
        group_uid: &str,
        since: Instant,
    ) -> Result<Begun, String> {
        let now = Instant::now();
        let mut sources = self.lock();
        let mut was_good = false;
        if let Some(known) = sources.known.get(source) {
            if let Some(flight) = known.flight() {
                return Ok(Begun::Flight(flight));
            }
            match &known.last {
                // Others have waited for the same.
                Some(Ok(set)) if known.at >= since => return Ok(Begun::Here(Arc::clone(set))),
                Some(Ok(_)) if now < known.at + AFTER_SUCCESS => {
                    return Err(format!(
                        "the key at {source} was fetched less than {} s ago, and none there fits; it is fetched again after that",
                        AFTER_SUCCESS.as_secs()
                    ));
                }
                Some(Err(why)) if now < known.at + AFTER_FAILURE => {
                    return Err(format!("the key at {source} can't be had: {why}"));
                }
                _ => was_good = known.was_good,
            }
        }
        while sources.flights.try_join_next().is_some() {}
        let may = sources.flights.len() < MAX_FLIGHTS
            && (was_good || self.groups.take(group_uid, NEW_PER_GROUP, now))
            && self.hosts.take(source.host(), PER_HOST, now)
            && self.all.take("", IN_ALL, now);
        if !may || !sources.make_room(source) {
            return Err(format!(
                "the key at {source} is not fetched now: too many are being fetched"
            ));
        }
        let (land, flight) = watch::channel(None);
        let looks = sources.looks;
        let known = sources.known.entry(source.clone()).or_insert(Known {
            last: None,
            at: now,
            was_good: false,
            used: looks,
            flight: None,
        });
        known.flight = Some(flight.clone());
        let (keys, source) = (Arc::clone(self), source.clone());
        sources.flights.spawn(async move {
            let fetched = keys.get_and_read(&source).await;
            keys.land(&source, fetched, &land);
        });
        Ok(Begun::Flight(flight))
    }

    async fn get_and_read(&self, source: &KeySource) -> Fetched {
        let got = tokio::time::timeout(DEADLINE, get::get(&self.servers, source))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", DEADLINE.as_secs())));
        let read = got.and_then(|body| source.read(&body, self.servers.roots(), self.clock.now()));
        match read {
            Ok(set) => Ok(Arc::new(set)),
            Err(why) => {
                tracing::warn!(url = %source, why, "a provider's public key can't be fetched: its callbacks are answered 503");
                Err(why.into())
            }
        }
    }

    fn land(&self, source: &KeySource, fetched: Fetched, land: &watch::Sender<Option<Fetched>>) {
        if let Some(known) = self.lock().known.get_mut(source) {
            known.was_good |= fetched.is_ok();
            // A set that is still good stays good when there is no newer one.
            let keeps = fetched.is_err() && known.set(source.max_age(), Instant::now()).is_some();
            if !keeps {
                known.last = Some(fetched.clone());
                known.at = Instant::now();
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
            .min_by_key(|(_, known)| (known.was_good, known.used))
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
        known.set(source.max_age(), Instant::now()).cloned()
    }
}

/// A set that was fetched for one request, for its second look.
pub(crate) struct Just(pub(crate) KeySource, pub(crate) Arc<KeySet>);

impl Keys for Just {
    fn get(&self, source: &KeySource) -> Option<Arc<KeySet>> {
        (*source == self.0).then(|| Arc::clone(&self.1))
    }
}
