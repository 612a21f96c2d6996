//! The control plane, from where its things are to a server that runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::server::{self, Parts, Serving};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::clock::SystemClock;
use super::{Running, backends, files};
use crate::failure::Failure;

/// What it is made of.
pub(crate) struct ControlPlane {
    /// For the API, bound.
    pub(crate) socket: TcpListener,
    /// The embedded store's directory.
    pub(crate) store: PathBuf,
    /// The embedded log's directory.
    pub(crate) log: PathBuf,
    /// The file that holds it, or will.
    pub(crate) seal_key: PathBuf,
    /// Administers everything.
    pub(crate) admin_token: String,
    /// What callback URLs begin with.
    pub(crate) public_url: String,
    /// How long its end may take.
    pub(crate) grace: Duration,
    /// Hears whether it is ready.
    pub(crate) ready: watch::Sender<bool>,
}

impl ControlPlane {
    /// Opens the stores, and serves.
    pub(crate) async fn start(self) -> Result<Running, Failure> {
        let clock = Arc::new(SystemClock);
        // Before the store: so a store without its key has lost it.
        let seal = files::seal_key(&self.seal_key, &self.store)?;
        let (store, log) = backends::open(&self.store, &self.log, clock.clone()).await?;
        let parts = Parts {
            store,
            log,
            seal,
            clock,
            catalogue: Catalogue::built_in().map_err(Failure::new)?,
            public_url: self.public_url,
            admin_token: self.admin_token,
            metrics: Arc::default(),
        };
        let serving = Serving {
            socket: self.socket,
            ready: self.ready,
            grace: self.grace,
        };
        let stop = CancellationToken::new();
        let server = server::run(serving, parts, stop.clone());
        Ok(Running::start("control plane", stop, server))
    }
}
