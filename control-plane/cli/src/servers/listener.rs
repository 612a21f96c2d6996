//! The listener, from where its things are to a server that runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hookplane_listener::{Callbacks, Config, KeyServers, Limits, Metrics, Token};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Running;
use super::clock::SystemClock;

/// Longer than a load balancer needs, once it has been told, to send its callbacks elsewhere.
const LEAVE: Duration = Duration::from_secs(3);
/// Of the whole grace, what is left for last words to the control plane.
const FAREWELL: Duration = Duration::from_secs(2);

/// What it is made of.
pub(crate) struct Listener {
    /// For callbacks, bound.
    pub(crate) socket: TcpListener,
    /// None: without TLS.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Its name in the fleet.
    pub(crate) name: String,
    /// The pool of groups it serves.
    pub(crate) pool: String,
    /// Where the control plane's replicas are.
    pub(crate) control_planes: Vec<String>,
    /// What it shows them.
    pub(crate) token: Token,
    /// Who signs their certificates.
    pub(crate) ca_file: Option<PathBuf>,
    /// How long its end may take, and so whether somebody balances load over it. None: nobody does.
    pub(crate) grace: Option<Duration>,
    /// What it counts.
    pub(crate) metrics: Arc<Metrics>,
    /// Hears whether it is ready.
    pub(crate) ready: watch::Sender<bool>,
}

impl Listener {
    /// Serves.
    pub(crate) fn start(self) -> Running {
        let mut limits = Limits::default();
        if let Some(grace) = self.grace {
            limits.leave = LEAVE.min(grace / 5);
            limits.drain = grace.saturating_sub(limits.leave + FAREWELL);
        }
        let config = Config {
            name: self.name,
            pool: self.pool,
            control_planes: self.control_planes,
            token: self.token,
            ca_file: self.ca_file,
            limits,
            metrics: self.metrics,
            keys: KeyServers::default(),
        };
        let callbacks = Callbacks {
            socket: self.socket,
            tls: self.tls,
            ready: self.ready,
        };
        let stop = CancellationToken::new();
        let server =
            hookplane_listener::run(callbacks, config, Arc::new(SystemClock), stop.clone());
        Running::start("listener", stop, server)
    }
}
