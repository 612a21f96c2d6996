//! The control plane, from where its things are to a server that runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hookplane_console::{Console, SessionKey, SignInLinks};
use hookplane_control_plane::access::{Authorities, installation_admin_exists};
use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::dispatch::client::HttpClient;
use hookplane_control_plane::faces::{Local, Web};
use hookplane_control_plane::metrics::Metrics;
use hookplane_control_plane::outgoing::OutgoingTls;
use hookplane_control_plane::seal::SealKey;
use hookplane_control_plane::server::{self, Parts, Serving};
use hookplane_control_plane::store::Store;
use hookplane_rules::{Clock as _, Timestamp};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

use super::backends::{self, StoreAt};
use super::clock::SystemClock;
use super::poster::OwnUrls;
use super::{Running, files, seal_key};
use crate::args::Backends;
use crate::failure::Failure;

/// What it is made of.
pub(crate) struct ControlPlane {
    /// For the API, bound.
    pub(crate) socket: TcpListener,
    /// None: without TLS.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Whose certificates let listeners in; None: tokens alone do.
    pub(crate) authorities: Option<Arc<Authorities>>,
    /// Where configuration and events are kept.
    pub(crate) backends: Backends,
    /// The file that holds it, or will.
    pub(crate) seal_key: PathBuf,
    /// Administers everything. None: a stored token does.
    pub(crate) admin_token: Option<String>,
    /// What callback URLs begin with.
    pub(crate) public_url: String,
    /// How long its end may take.
    pub(crate) grace: Duration,
    /// Sends to destinations.
    pub(crate) client: HttpClient,
    /// Whom its console believes when it posts tests to the public URL.
    pub(crate) tests_tls: OutgoingTls,
    /// What it counts.
    pub(crate) metrics: Arc<Metrics>,
    /// Links of its console that sign in once.
    pub(crate) links: SignInLinks,
    /// Hears whether it is ready.
    pub(crate) ready: watch::Sender<bool>,
}

impl ControlPlane {
    /// Opens the stores, and serves.
    pub(crate) async fn start(self) -> Result<Running, Failure> {
        if let StoreAt::Embedded(dir) = &self.backends.store
            && self.admin_token.is_none()
            && !dir.exists()
        {
            return Err(nobody_administers());
        }
        let clock = Arc::new(SystemClock);
        let (seal, store) = match &self.backends.store {
            StoreAt::Embedded(dir) => {
                // Before the store: so a store without its key has lost it.
                let seal = files::seal_key(&self.seal_key, dir)?;
                (seal, backends::open_store(&self.backends).await?)
            }
            StoreAt::Etcd(_) => {
                let store = backends::open_store(&self.backends).await?;
                (seal_key::of_replica(&self.seal_key, &*store).await?, store)
            }
        };
        let log = backends::open_log(&self.backends, clock.clone()).await?;
        if self.admin_token.is_none() {
            administered(&*store, clock.now()).await?;
        }
        let poster = OwnUrls::new(self.public_url.clone(), self.tests_tls);
        let web = console(&seal, self.tls.is_some(), self.links, poster);
        let parts = Parts {
            web: Some(web),
            store,
            log,
            seal,
            clock,
            catalogue: Catalogue::built_in(),
            public_url: self.public_url,
            admin_token: self.admin_token,
            stream_age: server::STREAM_AGE,
            client: self.client,
            metrics: self.metrics,
        };
        let serving = Serving {
            socket: self.socket,
            tls: self.tls,
            authorities: self.authorities,
            ready: self.ready,
            grace: self.grace,
        };
        let stop = CancellationToken::new();
        let server = server::run(serving, parts, stop.clone());
        Ok(Running::start("control plane", stop, server))
    }
}

/// The console, over the API that it is given.
fn console(seal: &SealKey, tls: bool, links: SignInLinks, poster: OwnUrls) -> Web {
    let sessions = SessionKey::new(seal.derived("console sessions"));
    Box::new(move |api| {
        let router = hookplane_console::router(Console {
            api,
            sessions,
            links,
            poster: Arc::new(poster),
            now: Arc::new(|| SystemClock.now().0 / 1_000),
            tls,
        });
        let router = ServiceBuilder::new()
            .map_response(|answer: http::Response<_>| answer.map(tonic::body::Body::new))
            .service(router);
        Local::new(router)
    })
}

/// The server never starts without anybody whom it could let in.
async fn administered(store: &dyn Store, now: Timestamp) -> Result<(), Failure> {
    match installation_admin_exists(store, now).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(nobody_administers()),
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

fn nobody_administers() -> Failure {
    Failure::new("no token that administers: nobody could do anything here")
        .hint("name a file with --bootstrap-token; a token is made in it when there is none")
}
