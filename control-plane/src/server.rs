//! The server: every service on one port, behind one check of the caller, under one shutdown.

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hookplane_proto::bounded_report::report_service_server::ReportServiceServer;
use hookplane_proto::encoded_config::config_service_server::ConfigServiceServer;
use hookplane_proto::v1;
use hookplane_rules::Clock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tower::ServiceBuilder;
use v1::connector_service_server::ConnectorServiceServer;
use v1::destination_service_server::DestinationServiceServer;
use v1::event_service_server::EventServiceServer;
use v1::handshake_service_server::HandshakeServiceServer;
use v1::manifest_service_server::ManifestServiceServer;
use v1::org_service_server::OrgServiceServer;
use v1::preview_service_server::PreviewServiceServer;
use v1::subscription_service_server::SubscriptionServiceServer;
use v1::token_service_server::TokenServiceServer;
use v1::webhook_group_service_server::WebhookGroupServiceServer;
use v1::webhook_service_server::WebhookServiceServer;

use crate::access::{Authorities, Door, uses};
use crate::api::events::EventApi;
use crate::api::{
    ConnectorApi, DestinationApi, GroupApi, HandshakeApi, ManifestApi, OrgApi, PreviewApi,
    TokenApi, WebhookApi,
};
use crate::catalogue::Catalogue;
use crate::config::stream::ConfigApi;
use crate::config::{Fleet, View};
use crate::context::Context;
use crate::dispatch::client::HttpClient;
use crate::dispatch::{SubscriptionApi, engine};
use crate::drift::{self, Drift};
use crate::faces::{Faces, Local, Web};
use crate::incoming;
use crate::indexing;
use crate::installation;
use crate::lasting::lasting;
use crate::log::DeliveryLog;
use crate::mapping::MappingVersions;
use crate::metrics::{Metrics, RefusedCalls};
use crate::moved;
use crate::report::{MAX_MESSAGE_BYTES, ReportApi};
use crate::retention;
use crate::seal::SealKey;
use crate::store::Store;
use crate::tidy;

/// A plan request carries a whole manifest file; everything else is smaller.
const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Requests in flight on one connection; streams count as one each.
const MAX_CONCURRENT_PER_CONNECTION: usize = 256;
/// A batch of some callbacks comes in one frame, and so in a few reads. HTTP/2's usual 16 KiB are two callbacks, with a read for each.
const MAX_FRAME_BYTES: u32 = 256 * 1024;
/// A half-open connection is noticed within the sum of the two.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(4);
/// Of the whole grace, what is left for streams and the log to close.
const CLOSING: Duration = Duration::from_secs(2);
/// Long enough to cost nothing, short enough that a fleet spreads over a new replica within the hour.
pub const STREAM_AGE: Range<Duration> = Duration::from_secs(20 * 60)..Duration::from_secs(40 * 60);

/// Where the API is served, and how it ends.
pub struct Serving {
    /// Bound.
    pub socket: TcpListener,
    /// None: without TLS. It has to offer `h2`.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whose certificates let listeners in. Then `tls` has to ask for one, and this to check it. None: tokens alone let in.
    pub authorities: Option<Arc<Authorities>>,
    /// True while the configuration is listed and the log is open, until the end begins.
    pub ready: watch::Sender<bool>,
    /// What is still open this long after `shutdown` is cut, the last two seconds of it being for the log to close.
    pub grace: Duration,
}

impl From<TcpListener> for Serving {
    fn from(socket: TcpListener) -> Self {
        Self {
            socket,
            tls: None,
            authorities: None,
            ready: watch::Sender::new(false),
            grace: Duration::from_secs(10),
        }
    }
}

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
    /// A bearer token that administers everything as long as this server runs. None: only stored tokens let in.
    pub admin_token: Option<String>,
    /// When a listener's stream is told to move: at a random age within it. [`STREAM_AGE`] unless there is a reason.
    pub stream_age: Range<Duration>,
    /// Sends to destinations, as far as the operator lets it.
    pub client: HttpClient,
    /// What it counts. The caller keeps a clone and serves it to scrapes.
    pub metrics: Arc<Metrics>,
    /// Answers what isn't gRPC, on the same port. None: nothing does.
    pub web: Option<Web>,
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
    /// The descriptors that reflection answers with can't be read: a fault of the build.
    #[error("serve reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves until `shutdown`, then drains: streams are told, what was taken is answered. Ends at most [`Serving::grace`] after
/// `shutdown`.
pub async fn run(
    serving: impl Into<Serving>,
    mut parts: Parts,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let Serving {
        socket,
        tls,
        authorities,
        ready,
        grace,
    } = serving.into();
    let (bootstrap, web) = (parts.admin_token.clone(), parts.web.take());
    // Ended with this function, whatever ends it, so that nothing it started goes on.
    let ending = shutdown.child_token();
    let _end = ending.clone().drop_guard();
    let context = context(parts, ending.clone()).await?;
    let metrics = Arc::clone(&context.metrics);
    metrics.watch(&context);
    let (log, view) = (Arc::clone(&context.log), Arc::clone(&context.view));
    macro_rules! lasting {
        ($what:literal, $run:path) => {{
            let (context, ending) = (context.clone(), ending.clone());
            lasting($what, &ending.clone(), move || {
                $run(context.clone(), ending.clone())
            })
        }};
    }
    let tasks = [
        lasting!("tidying", tidy::run),
        lasting!("noting when tokens were used", uses::run),
        lasting!("delivering to destinations", engine::run),
        lasting!("deleting what may go", retention::run),
        lasting!("making events findable", indexing::run),
        lasting!("learning the shapes of events", drift::run),
    ];
    let clock = context.clock.clone();
    let door = Door::trusting(authorities, bootstrap.as_deref(), view.tokens(), clock);
    let routes = routes(context).await?;
    let local = ServiceBuilder::new()
        .layer(RefusedCalls(metrics.clone()))
        .layer(door.clone())
        .service(routes.clone());
    let web = web.map(|make| make(Local::new(local)));
    ready.send_replace(true);
    let serving = Server::builder()
        .max_frame_size(Some(MAX_FRAME_BYTES))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .concurrency_limit_per_connection(MAX_CONCURRENT_PER_CONNECTION)
        // Browsers speak it where there is no TLS.
        .accept_http1(true)
        .layer(Faces(web))
        .layer(RefusedCalls(metrics))
        .layer(door)
        .add_routes(routes)
        .serve_with_incoming_shutdown(
            incoming::accept(socket, tls),
            ending.clone().cancelled_owned(),
        );
    let ending_since = OnceLock::new();
    let overdue = async {
        ending.cancelled().await;
        ending_since.get_or_init(Instant::now);
        ready.send_replace(false);
        tokio::time::sleep(grace.saturating_sub(CLOSING)).await;
    };
    // Risk 22: a client that doesn't let go can't keep the server from ending.
    let ended = tokio::select! {
        ended = serving => ended.map_err(RunError::from),
        () = overdue => {
            tracing::warn!(?grace, "connections were still open at the end of the grace and are cut");
            Ok(())
        }
    };
    ending.cancel();
    let cut = *ending_since.get_or_init(Instant::now) + grace;
    // What these do is done again by another replica, or at the next start. The log needs some of the grace for itself.
    let all = futures_util::future::join_all(tasks);
    if timeout_at(cut - CLOSING.min(grace) / 2, all).await.is_err() {
        tracing::warn!(
            "some of what runs beside the API didn't end in time and is cut; it goes on at the next start"
        );
    }
    // First the streams, which may still be answering what they took, then the log that they write to.
    let closing = async {
        view.tasks().close();
        view.tasks().wait().await;
        log.close().await;
    };
    if timeout_at(cut, closing).await.is_err() {
        tracing::warn!(
            "streams or the event log took too long to close; what was answered as kept is durable all the same"
        );
    }
    ended
}

async fn context(parts: Parts, shutdown: CancellationToken) -> Result<Context, RunError> {
    let seal = Arc::new(parts.seal);
    let mac_key = installation::mac_key(&*parts.store, &seal).await?;
    let public_url: Arc<str> = parts.public_url.trim_end_matches('/').into();
    let view = View::start(
        Arc::clone(&parts.store),
        Arc::clone(&seal),
        shutdown.clone(),
    )
    .await?;
    let fleet = Arc::new(Fleet::new());
    let store = Arc::clone(&parts.store);
    fleet
        .join(store, public_url.clone(), view.tasks(), shutdown)
        .await?;
    moved::unless_others_differ(&*parts.store, &view, &fleet, &public_url).await?;
    Ok(Context {
        drift: Arc::new(Drift::new(Arc::clone(&parts.log))),
        mappings: Arc::new(MappingVersions::new(Arc::clone(&parts.store))),
        store: parts.store,
        log: parts.log,
        seal,
        mac_key,
        clock: parts.clock,
        catalogue: Arc::new(parts.catalogue),
        view,
        fleet,
        public_url,
        stream_age: parts.stream_age,
        client: parts.client,
        endpoints: Arc::default(),
        metrics: parts.metrics,
    })
}

/// Every service. A new one is one line here.
async fn routes(context: Context) -> Result<Routes, RunError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status("", ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(hookplane_proto::DESCRIPTORS)
        .build_v1()?;
    let mut routes = Routes::builder();
    routes.add_service(health_service).add_service(reflection);
    macro_rules! mount {
        ($($server:ident($service:expr), $max:expr;)*) => {$(
            health.set_service_status(<$server<()> as tonic::server::NamedService>::NAME, ServingStatus::Serving).await;
            routes.add_service($server::new($service).max_decoding_message_size($max));
        )*};
    }
    let c = || context.clone();
    mount! {
        OrgServiceServer(OrgApi { context: c() }), MAX_REQUEST_BYTES;
        ConnectorServiceServer(ConnectorApi { context: c() }), MAX_REQUEST_BYTES;
        WebhookGroupServiceServer(GroupApi { context: c() }), MAX_REQUEST_BYTES;
        WebhookServiceServer(WebhookApi { context: c() }), MAX_REQUEST_BYTES;
        DestinationServiceServer(DestinationApi { context: c() }), MAX_REQUEST_BYTES;
        PreviewServiceServer(PreviewApi::new(c())), MAX_REQUEST_BYTES;
        ManifestServiceServer(ManifestApi { context: c() }), MAX_REQUEST_BYTES;
        EventServiceServer(EventApi::new(c())), MAX_REQUEST_BYTES;
        TokenServiceServer(TokenApi { context: c() }), MAX_REQUEST_BYTES;
        ConfigServiceServer(ConfigApi::new(c())), MAX_REQUEST_BYTES;
        ReportServiceServer(ReportApi::new(c())), MAX_MESSAGE_BYTES;
        HandshakeServiceServer(HandshakeApi { context: c() }), MAX_REQUEST_BYTES;
        SubscriptionServiceServer(SubscriptionApi::new(c())), MAX_REQUEST_BYTES;
    }
    Ok(routes.routes())
}
