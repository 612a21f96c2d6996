//! The listener: a stateless HTTP server that takes callbacks, runs [`hookplane_rules`] over them, and answers 2xx once the control
//! plane has them durable.

use std::sync::Arc;
use std::time::Duration;

use hookplane_rules::Clock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How a listener is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name in the fleet.
    pub name: String,
    /// The pool of groups it serves.
    pub pool: String,
    /// Where the control plane is: `http://127.0.0.1:8081`.
    pub control_plane: String,
    /// The bearer token for it.
    pub token: String,
    /// The bounds on what outsiders may do.
    pub limits: Limits,
}

/// Bounds on what outsiders may do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time.
    pub max_connections: usize,
    /// Bytes of request line and headers together.
    pub max_head_bytes: usize,
    /// Headers in a request.
    pub max_headers: usize,
    /// Bytes of bodies being read at a time, over all connections.
    pub max_buffered_bytes: usize,
    /// From a connection's first byte, or from the answer before, to the end of the head.
    pub head_timeout: Duration,
    /// For the whole body.
    pub body_timeout: Duration,
    /// Requests a second from one source address, before verification; with a burst of as many.
    pub rate_per_address: u32,
    /// At shutdown, for what is under way.
    pub drain: Duration,
}

/// Why the listener ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The control plane's address is no URL.
    #[error("control plane URL `{0}`: {1}")]
    ControlPlane(String, String),
}

/// Serves until `shutdown`, then drains.
pub async fn run(
    _listener: TcpListener,
    _config: Config,
    _clock: Arc<dyn Clock>,
    _shutdown: CancellationToken,
) -> Result<(), RunError> {
    todo!()
}
