//! What every service of the control plane is given: the seams, and the few things that come from outside.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use hookplane_rules::Clock;

use crate::catalogue::Catalogue;
use crate::config::{Fleet, View};
use crate::dispatch::Endpoints;
use crate::dispatch::client::HttpClient;
use crate::drift::Drift;
use crate::log::DeliveryLog;
use crate::mapping::MappingVersions;
use crate::metrics::Metrics;
use crate::seal::SealKey;
use crate::store::Store;

/// Shared by all services.
#[derive(Clone)]
pub struct Context {
    /// Configuration.
    pub store: Arc<dyn Store>,
    /// Events.
    pub log: Arc<dyn DeliveryLog>,
    /// Opens and seals secrets.
    pub seal: Arc<SealKey>,
    /// The installation's MAC key: for dedup keys, idempotency keys and test marks.
    pub mac_key: Arc<[u8; 32]>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The built-in connectors.
    pub catalogue: Arc<Catalogue>,
    /// Compiled versions of webhooks' mappings.
    pub mappings: Arc<MappingVersions>,
    /// What is known of the shapes of events.
    pub drift: Arc<Drift>,
    /// The configuration in memory.
    pub view: Arc<View>,
    /// The connected listeners.
    pub fleet: Arc<Fleet>,
    /// What callback URLs begin with, without a slash at the end: `https://hooks.example.com`.
    pub public_url: Arc<str>,
    /// When a listener's stream is told to move: at a random age within it.
    pub stream_age: Range<Duration>,
    /// Sends to destinations.
    pub client: HttpClient,
    /// What is known of each destination.
    pub endpoints: Arc<Endpoints>,
    /// What is counted for scrapes.
    pub metrics: Arc<Metrics>,
}

impl Context {
    /// How old a new stream of a listener gets before it is told to drain. Risks 21 and 29: nothing else ends one, and a fleet that came at
    /// once should not go at once.
    pub(crate) fn age_of_a_stream(&self) -> Duration {
        let Range { start, end } = self.stream_age;
        start + crate::due::within(end.saturating_sub(start))
    }
}
