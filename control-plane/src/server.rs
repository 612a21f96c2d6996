//! The server: every service on one port, under one shutdown.

use std::sync::Arc;

use hookplane_rules::Clock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::catalogue::Catalogue;
use crate::log::DeliveryLog;
use crate::seal::SealKey;
use crate::store::Store;

/// What the outermost place chose.
pub struct Parts {
    /// Configuration.
    pub store: Arc<dyn Store>,
    /// Events.
    pub log: Arc<dyn DeliveryLog>,
    /// Opens and seals secrets.
    pub seal: SealKey,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The built-in connectors.
    pub catalogue: Catalogue,
    /// What callback URLs begin with: `https://hooks.example.com`.
    pub public_url: String,
    /// The bearer token that administers everything.
    pub admin_token: String,
}

/// Why the server ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The config store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The event log.
    #[error(transparent)]
    Log(#[from] crate::log::LogError),
    /// The socket.
    #[error("serve the API: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// Serves until `shutdown`, then drains: streams are told, what was taken is answered.
pub async fn run(
    _listener: TcpListener,
    _parts: Parts,
    _shutdown: CancellationToken,
) -> Result<(), RunError> {
    todo!()
}
