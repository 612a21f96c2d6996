//! Names looked up: one question a name at a time, so many in all, each for so long.
//!
//! The system's resolver holds a thread for as long as it waits. A name whose servers don't answer is asked for once, whoever wants it, and leaves
//! threads for the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Threads that may wait for a name server.
const MAX_LOOKUPS: usize = 64;
/// Of those, for names that end alike, and are likely the same servers': `a.shop.example.com` and `b.example.com`.
const MAX_OF_A_DOMAIN: usize = 8;
/// For whoever waits. The system may take longer, and keeps its thread until then.
const PATIENCE: Duration = Duration::from_secs(5);

type Found = Result<Arc<[IpAddr]>, String>;
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
    threads: Arc<Semaphore>,
    lookups: Mutex<Lookups>,
}

#[derive(Default)]
struct Lookups {
    /// Under way. None inside until it ends.
    flights: HashMap<String, watch::Receiver<Option<Found>>>,
    tasks: JoinSet<()>,
}

impl Resolver {
    pub(super) fn new(names: Names) -> Arc<Self> {
        Arc::new(Self {
            names,
            threads: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            lookups: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Lookups> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All addresses of a host, at least one. Written as an address it is that one.
    pub(super) async fn addresses(self: &Arc<Self>, host: &str) -> Found {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse::<IpAddr>() {
            return Ok([address].into());
        }
        let mut flight = match &self.names.0 {
            Source::Fixed(lookup) => return found(host, lookup(host)),
            Source::System => self.begin(host)?,
        };
        let landed = tokio::time::timeout(PATIENCE, flight.wait_for(Option::is_some)).await;
        match landed {
            Err(_) => Err(format!(
                "look up {host}: no answer within {} s",
                PATIENCE.as_secs()
            )),
            Ok(Err(_)) => Err(format!("look up {host}: it was given up")),
            Ok(Ok(found)) => match found.as_ref() {
                Some(found) => found.clone(),
                None => Err(format!("look up {host}: it was given up")),
            },
        }
    }

    fn begin(self: &Arc<Self>, host: &str) -> Result<watch::Receiver<Option<Found>>, String> {
        let mut lookups = self.lock();
        while lookups.tasks.try_join_next().is_some() {}
        if let Some(flight) = lookups.flights.get(host) {
            return Ok(flight.clone());
        }
        let alike = |other: &&String| domain(other) == domain(host);
        if lookups.flights.keys().filter(alike).count() >= MAX_OF_A_DOMAIN {
            return Err(format!(
                "look up {host}: the name servers of `{}` don't answer in time",
                domain(host)
            ));
        }
        let (land, flight) = watch::channel(None);
        lookups.flights.insert(host.to_owned(), flight.clone());
        let (threads, host) = (Arc::clone(&self.threads), host.to_owned());
        // Whoever owns the tasks doesn't live for them.
        let resolver = Arc::downgrade(self);
        lookups.tasks.spawn(async move {
            // Never closed.
            let _thread = threads.acquire().await;
            let answer = look_up(&host).await;
            if let Some(resolver) = resolver.upgrade() {
                resolver.lock().flights.remove(&host);
            }
            land.send_replace(Some(answer));
        });
        Ok(flight)
    }
}

/// The last two labels.
fn domain(host: &str) -> &str {
    let host = host.trim_end_matches('.');
    let labels = host.rmatch_indices('.').nth(1);
    labels.map_or(host, |(dot, _)| &host[dot + 1..])
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
        .map_err(|error| format!("look up {host}: {error}"))?;
    found(host, addresses.map(|address| address.ip()).collect())
}

fn found(host: &str, addresses: Vec<IpAddr>) -> Found {
    match addresses.is_empty() {
        true => Err(format!("{host} has no address")),
        false => Ok(addresses.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_the_last_two_labels() {
        for (host, of) in [
            ("a.b.example.com.", "example.com"),
            ("example.com", "example.com"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(domain(host), of);
        }
    }

    #[tokio::test]
    async fn names_of_one_domain_leave_look_ups_for_others() {
        let resolver = Resolver::new(Names::default());
        // As if they were under way.
        let (_land, flight) = watch::channel(None);
        for name in 0..MAX_OF_A_DOMAIN {
            let host = format!("{name}.slow.test");
            resolver.lock().flights.insert(host, flight.clone());
        }
        assert!(resolver.addresses("more.slow.test").await.is_err());
        assert!(resolver.begin("more.slow.test").is_err());
        assert!(resolver.begin("0.slow.test").is_ok());
        assert!(resolver.begin("localhost").is_ok());
    }
}
