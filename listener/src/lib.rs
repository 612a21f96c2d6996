//! The listener: a stateless HTTP server that takes callbacks, runs [`hookplane_rules`] over them, and answers 2xx once the control
//! plane has them durable.
//!
//! ```text
//!  socket ─ accept ─▶ handle ─ body ─▶ rules (verify · extract · match) ─▶ report ─▶ control plane
//!                       │  ▲             │ a provider's public key is lacking │
//!                       │  │             └──▶ keys ─▶ fetched, and once again │
//!                       │  └──── one pointer to the plan ◀── sync ◀──────────┼────── control plane
//!                       ▼                                                    ▼
//!                    respond ◀───────────────────────────────────── answer per callback
//! ```
//!
//! Guarantees:
//! - 2xx only for what the control plane answered for, or what the org's own configuration says is not kept.
//! - The last good plan goes on serving while the control plane is away.
//! - Every wait has a deadline and every buffer a bound: connections, heads, bodies, addresses, reports, refusals.
//!
//! It keeps nothing on disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hookplane_rules::Clock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

mod accept;
mod backoff;
mod body;
mod connect;
mod decide;
mod doctor;
#[cfg(test)]
#[path = "../../tests/all/fake_control_plane.rs"]
mod fake_control_plane;
mod handle;
mod handshake;
mod keys;
mod learn;
mod limit;
mod link;
mod metrics;
mod refusals;
mod report;
mod respond;
mod state;
mod sync;

use crate::state::State;
pub use keys::KeyServers;
pub use metrics::Metrics;

#[cfg(test)]
mod testing {
    //! What the tests of several stages set up.

    use super::*;
    use hookplane_rules::Timestamp;

    /// A clock that stands still.
    pub(crate) struct Fixed(pub(crate) i64);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp(self.0)
        }
    }

    pub(crate) fn config(control_plane: &str, limits: Limits) -> Config {
        Config {
            name: "listener-1".to_owned(),
            pool: "default".to_owned(),
            control_planes: vec![control_plane.to_owned()],
            token: "t0ken".into(),
            ca_file: None,
            limits,
            metrics: Arc::default(),
            keys: KeyServers::default(),
        }
    }
}

/// How a listener is set up.
#[derive(Clone)]
pub struct Config {
    /// Its name in the fleet.
    pub name: String,
    /// The pool of groups it serves.
    pub pool: String,
    /// Where the control plane's replicas are: `http://127.0.0.1:8081`. At least one.
    pub control_planes: Vec<String>,
    /// What it shows them.
    pub token: Token,
    /// Certificates (PEM) of whoever signs the control plane's own, read anew for every connection. None: the public ones.
    pub ca_file: Option<PathBuf>,
    /// The bounds on what outsiders may do.
    pub limits: Limits,
    /// What it counts. The caller keeps a clone and serves it to scrapes.
    pub metrics: Arc<Metrics>,
    /// Who is asked for the public keys that providers publish.
    pub keys: KeyServers,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("name", &self.name)
            .field("pool", &self.pool)
            .field("control_planes", &self.control_planes)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What the control plane is shown.
#[derive(Clone)]
pub enum Token {
    /// The token itself.
    Text(String),
    /// A file that holds it, read anew for every connection: a new token needs no restart.
    File(PathBuf),
    /// No token but a certificate (PEM, in files that are likewise read anew), shown in the TLS handshake.
    Certificate {
        /// The certificate, then those between it and the root.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Where callbacks come in, and who hears whether they may.
pub struct Callbacks {
    /// Bound.
    pub socket: TcpListener,
    /// None: without TLS. It has to offer `h2` and `http/1.1`.
    pub tls: Option<Arc<ServerConfig>>,
    /// True from the first full list and the first report stream on, until the end begins. Losing the control plane changes nothing.
    pub ready: watch::Sender<bool>,
}

impl From<TcpListener> for Callbacks {
    fn from(socket: TcpListener) -> Self {
        Self {
            socket,
            tls: None,
            ready: watch::Sender::new(false),
        }
    }
}

/// Bounds on what outsiders may do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time.
    pub max_connections: usize,
    /// Bytes of request line and headers together; at least 8,192.
    pub max_head_bytes: usize,
    /// Headers in a request.
    pub max_headers: usize,
    /// Bytes of bodies being read or waiting to be kept, over all connections.
    pub max_buffered_bytes: usize,
    /// From a connection's start, or from the answer before, to the end of the head. So it bounds idle connections as well.
    pub head_timeout: Duration,
    /// For the whole body. The group's answer budget bounds it too.
    pub body_timeout: Duration,
    /// Requests a second from one source address, before verification; with a burst of as many. 0 means no limit.
    pub rate_per_address: u32,
    /// At shutdown, how long callbacks are still taken while it says that it is not ready. A load balancer hears that a moment later, and what
    /// it sends until then would find a closed door.
    pub leave: Duration,
    /// After that, for what is under way.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 8_192,
            // Providers send 1 to 4 KiB; proxies in front may add as much.
            max_head_bytes: 64 * 1024,
            // What hyper parses without allocating.
            max_headers: 100,
            // Ten of the largest bodies a group may take, or 256 of the usual limit.
            max_buffered_bytes: 256 * 1024 * 1024,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(10),
            // Behind a proxy all senders share its address, so this only keeps one source from taking all cores. Lower it where the
            // senders' own addresses are seen.
            rate_per_address: 50_000,
            leave: Duration::ZERO,
            drain: Duration::from_secs(10),
        }
    }
}

/// Why the listener ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A control plane's address is no URL.
    #[error("control plane URL `{0}`: {1}")]
    ControlPlane(String, String),
    /// There is none to connect to.
    #[error("no control plane URL: name at least one")]
    NoControlPlane,
    /// The token can't be sent in a header.
    #[error("the token for the control plane has characters that no token has: copy it again")]
    Token,
    /// There is no reading the token.
    #[error("read the token for the control plane from {path}: {1}", path = .0.display())]
    TokenFile(PathBuf, std::io::Error),
    /// There is no reading certificates, or their key.
    #[error("read certificates from {path}: {1}", path = .0.display())]
    Certificates(PathBuf, std::io::Error),
    /// No random bytes from the system, so nothing can be named.
    #[error("read random bytes from the system: {0}")]
    Random(String),
    /// A task that lives as long as the listener has died. That is a bug; a restart helps.
    #[error("{0} has died: {1}")]
    Died(&'static str, String),
}

/// For the last refusals and the news that this listener is leaving, once all callbacks are answered.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves until `shutdown`, then is not ready, and says so; takes callbacks for [`Limits::leave`] longer, finishes what is under way within
/// [`Limits::drain`], and returns. It never takes longer than those and two seconds.
pub async fn run(
    callbacks: impl Into<Callbacks>,
    config: Config,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let Callbacks { socket, tls, ready } = callbacks.into();
    let peer = connect::Peer::new(&config)?;
    // Our own, so that our end is not the caller's.
    let shutdown = shutdown.child_token();
    let (state, reports) = State::new(&config, clock);
    state.learner.ask(peer.clone());
    // Ends the two clients, after the last callback is answered.
    let stop = CancellationToken::new();
    let mut syncing = tokio::spawn(sync::run(
        state.clone(),
        peer.clone(),
        shutdown.clone(),
        stop.clone(),
    ));
    let mut reporting = tokio::spawn(report::run(state.clone(), peer, reports, stop.clone()));
    let mut examining = tokio::spawn(doctor::run(state.clone(), shutdown.clone()));
    let readiness = tell_ready(state.link.watch_ready(), ready, shutdown.clone());
    let mut accepting = tokio::spawn(accept::run(socket, tls, state, shutdown.clone()));

    let ended = tokio::select! {
        end = &mut accepting => died("the accept loop", end),
        end = &mut syncing => died("the config client", end),
        end = &mut reporting => died("the report client", end),
        never = readiness => match never {},
    };
    // Normally the accept loop has ended because it was told to, and nothing is under way any more.
    let as_told = shutdown.is_cancelled() && accepting.is_finished();
    stop.cancel();
    shutdown.cancel();
    let farewell = async {
        for task in [&mut accepting, &mut syncing, &mut reporting, &mut examining] {
            if !task.is_finished() {
                let _ = (&mut *task).await;
            }
        }
    };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        tracing::warn!("the control plane did not take our last words in time");
    }
    for task in [&accepting, &syncing, &reporting, &examining] {
        task.abort();
    }
    if as_told { Ok(()) } else { Err(ended) }
}

/// Passes on that the listener is ready, and at `shutdown` that it isn't any more.
async fn tell_ready(
    mut link: watch::Receiver<bool>,
    ready: watch::Sender<bool>,
    shutdown: CancellationToken,
) -> std::convert::Infallible {
    tokio::select! {
        Ok(_) = link.wait_for(|ready| *ready) => {
            ready.send_replace(true);
        }
        () = shutdown.cancelled() => {}
    }
    shutdown.cancelled().await;
    ready.send_replace(false);
    std::future::pending().await
}

fn died(what: &'static str, end: Result<(), tokio::task::JoinError>) -> RunError {
    let why = match end {
        Ok(()) => "it ended by itself".to_owned(),
        Err(error) => error.to_string(),
    };
    RunError::Died(what, why)
}
