//! Names looked up: one question of an org for a name at a time, so many of an org and in all, each for so long.
//!
//! The system's resolver holds a thread for as long as it waits. A name whose servers don't answer is asked for once, however many of its org want
//! it, and leaves threads for the others. Who asks for it says nothing of whose it is: names that end alike are seldom one's own (`co.uk`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connect::ConnectError;

/// Threads that may wait for a name server.
const MAX_LOOKUPS: usize = 64;
/// Of those, for one org.
const MAX_OF_AN_ORG: usize = 8;
/// For a thread, and then for whoever waits for what it is told. The system may take longer, and keeps its thread until then.
const PATIENCE: Duration = Duration::from_secs(5);

type Found = Result<Arc<[IpAddr]>, ConnectError>;
type Lookup = Arc<dyn Fn(&str) -> Vec<IpAddr> + Send + Sync>;

/// Who knows where a name leads.
#[derive(Clone, Default)]
pub struct Names(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Fixed(Lookup),
}

impl Names {
    /// For tests: asked on each new connection. No flag and no file leads here.
    pub fn fixed(lookup: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Source::Fixed(Arc::new(lookup)))
    }
}

pub(super) struct Resolver {
    names: Names,
    patience: Duration,
    threads: Arc<Semaphore>,
    lookups: Mutex<Lookups>,
}

#[derive(Default)]
struct Lookups {
    /// Under way, by org and name.
    flights: HashMap<(Arc<str>, String), watch::Receiver<Flight>>,
    /// Of each org that has one under way.
    slots: HashMap<Arc<str>, Arc<Semaphore>>,
    tasks: JoinSet<()>,
}

enum Flight {
    /// For a thread.
    Waits,
    Asks,
    Landed(Found),
}

impl Lookups {
    fn slots(&mut self, org: &Arc<str>) -> Arc<Semaphore> {
        self.slots.retain(|_, slots| Arc::strong_count(slots) > 1);
        let slots = self.slots.entry(Arc::clone(org));
        Arc::clone(slots.or_insert_with(|| Arc::new(Semaphore::new(MAX_OF_AN_ORG))))
    }
}

impl Resolver {
    pub(super) fn new(names: Names) -> Arc<Self> {
        Self::with(names, PATIENCE)
    }

    fn with(names: Names, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            names,
            patience,
            threads: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            lookups: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Lookups> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All addresses of a host, at least one. Written as an address it is that one.
    pub(super) async fn addresses(self: &Arc<Self>, org: &Arc<str>, host: &str) -> Found {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse::<IpAddr>() {
            return Ok([address].into());
        }
        let mut flight = match &self.names.0 {
            Source::Fixed(lookup) => return found(host, lookup(host)),
            Source::System => self.begin(org, host),
        };
        let given_up = || ConnectError::Failed(format!("look up {host}: it was given up"));
        // It doesn't wait for a thread for longer than it may.
        let begun = flight.wait_for(|flight| !matches!(flight, Flight::Waits));
        begun.await.map(drop).map_err(|_| given_up())?;
        let landed = flight.wait_for(|flight| matches!(flight, Flight::Landed(_)));
        match timeout(self.patience, landed).await {
            Err(_) => Err(ConnectError::Failed(format!(
                "look up {host}: no answer within {} s",
                self.patience.as_secs()
            ))),
            Ok(landed) => match landed.as_deref() {
                Ok(Flight::Landed(found)) => found.clone(),
                Ok(Flight::Waits | Flight::Asks) | Err(_) => Err(given_up()),
            },
        }
    }

    /// Whether a name wasn't asked for yet, for it waits for others of ours.
    pub(super) fn waits(&self, org: &Arc<str>, host: &str) -> bool {
        let flights = &self.lock().flights;
        let flight = flights.get(&(Arc::clone(org), host.to_owned()));
        flight.is_some_and(|flight| matches!(*flight.borrow(), Flight::Waits))
    }

    fn begin(self: &Arc<Self>, org: &Arc<str>, host: &str) -> watch::Receiver<Flight> {
        let mut lookups = self.lock();
        while lookups.tasks.try_join_next().is_some() {}
        let key = (Arc::clone(org), host.to_owned());
        if let Some(flight) = lookups.flights.get(&key) {
            return flight.clone();
        }
        let slots = lookups.slots(org);
        let (land, flight) = watch::channel(Flight::Waits);
        lookups.flights.insert(key.clone(), flight.clone());
        let (threads, patience) = (Arc::clone(&self.threads), self.patience);
        // Whoever owns the tasks doesn't live for them.
        let resolver = Arc::downgrade(self);
        lookups.tasks.spawn(async move {
            let host = &key.1;
            // In this order: what waits for its own org keeps no thread from another. Neither is ever closed.
            let room = async { (slots.acquire().await, threads.acquire().await) };
            let answer = match timeout(patience, room).await {
                Ok(_room) => {
                    land.send_replace(Flight::Asks);
                    look_up(host).await
                }
                Err(_) => Err(crowded(host)),
            };
            if let Some(resolver) = resolver.upgrade() {
                resolver.lock().flights.remove(&key);
            }
            land.send_replace(Flight::Landed(answer));
        });
        flight
    }
}

/// Nothing was asked, and nothing sent.
pub(super) fn crowded(host: &str) -> ConnectError {
    ConnectError::Crowded(format!(
        "look up {host}: it waits for other names of this org ({MAX_OF_AN_ORG} at a time) or of all ({MAX_LOOKUPS}), whose servers don't answer in time"
    ))
}

async fn look_up(host: &str) -> Found {
    // The dot at the end keeps search domains out of it: they would be asked first where a cluster's resolver is set so. A name without any
    // dot has its meaning from them.
    let absolute = match host.trim_end_matches('.').contains('.') && !host.ends_with('.') {
        true => format!("{host}."),
        false => host.to_owned(),
    };
    let addresses = tokio::net::lookup_host((absolute, 0))
        .await
        .map_err(|error| ConnectError::Failed(format!("look up {host}: {error}")))?;
    found(host, addresses.map(|address| address.ip()).collect())
}

fn found(host: &str, addresses: Vec<IpAddr>) -> Found {
    match addresses.is_empty() {
        true => Err(ConnectError::Failed(format!("{host} has no address"))),
        false => Ok(addresses.into()),
    }
}

#[cfg(test)]
impl Resolver {
    /// As if this org asked for as many names as it may, until this is dropped.
    pub(super) fn fill(&self, org: &str) -> tokio::sync::OwnedSemaphorePermit {
        let slots = self.lock().slots(&org.into());
        let all = u32::try_from(MAX_OF_AN_ORG).unwrap();
        slots.try_acquire_many_owned(all).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn org(name: &str) -> Arc<str> {
        name.into()
    }

    // Risk 18: one that is slow holds up no other.
    #[tokio::test]
    async fn names_that_one_org_asks_for_leave_look_ups_for_the_others() {
        let resolver = Resolver::with(Names::default(), Duration::from_secs(3_600));
        let hung = resolver.fill("one");
        let (one, other) = (org("one"), org("other"));
        let waiting = {
            let (resolver, one) = (Arc::clone(&resolver), Arc::clone(&one));
            tokio::spawn(async move { resolver.addresses(&one, "localhost").await })
        };
        while !resolver.waits(&one, "localhost") {
            tokio::task::yield_now().await;
        }
        // Also for the same name.
        assert!(!resolver.waits(&other, "localhost"));
        let found = resolver.addresses(&other, "localhost").await;
        assert!(found.is_ok(), "{found:?}");
        // What waits isn't refused: it comes to its turn.
        assert!(!waiting.is_finished());
        drop(hung);
        let found = waiting.await.unwrap();
        assert!(found.is_ok(), "{found:?}");
        let lookups = resolver.lock();
        assert!(lookups.flights.is_empty());
    }

    #[tokio::test]
    async fn a_name_that_comes_to_no_turn_says_so_and_waits_no_longer() {
        let resolver = Resolver::with(Names::default(), Duration::from_millis(20));
        let (one, other) = (org("one"), org("other"));
        let hung = resolver.fill("one");
        let none = resolver.addresses(&one, "localhost").await;
        assert!(matches!(none, Err(ConnectError::Crowded(_))), "{none:?}");
        drop(hung);
        // In all there are so many.
        let all = u32::try_from(MAX_LOOKUPS).unwrap();
        let _threads = resolver.threads.acquire_many(all).await.unwrap();
        let none = resolver.addresses(&other, "localhost").await;
        assert!(matches!(none, Err(ConnectError::Crowded(_))), "{none:?}");
    }
}
