//! A control plane with the backends of the test, an org with groups and webhooks, and clients that do what a test says.

mod resources;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::seal::SealKey;
use hookplane_control_plane::server::{self, Parts};
use hookplane_control_plane::store::Store;
use hookplane_proto::v1;
use hookplane_tests::clock::TestClock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use v1::config_service_client::ConfigServiceClient;
use v1::connector_service_client::ConnectorServiceClient;
use v1::event_service_client::EventServiceClient;
use v1::org_service_client::OrgServiceClient;

use super::backends::Backends;
use super::plain;
use crate::fake_control_plane::{Failure, eventually, soon};

pub(super) const TOKEN: &str = "t0ken-of-the-streams";
const NOW_MS: i64 = 1_700_000_000_000;
/// Attempts before a delivery is dead.
pub(super) const ATTEMPTS: u32 = 3;
/// A message with the largest body, and its payload as text.
pub(super) const MESSAGE_BYTES: usize = 128 * 1024 * 1024;

#[derive(Clone)]
pub(super) struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = self.0.clone();
        request.metadata_mut().insert("authorization", token);
        Ok(request)
    }
}

pub(super) type Api = InterceptedService<Channel, Bearer>;

/// Clients for a control plane, each on a connection of its own.
pub(super) fn api(url: &str) -> Api {
    api_with(url, TOKEN)
}

pub(super) fn api_with(url: &str, token: &str) -> Api {
    let channel = Endpoint::from_shared(url.to_owned())
        .expect("a URL")
        .connect_lazy();
    let bearer = format!("Bearer {token}").parse().expect("a header");
    InterceptedService::new(channel, Bearer(bearer))
}

/// The running control plane. Everything ends with it.
pub(super) struct Rig {
    pub(super) url: String,
    pub(super) store: Arc<dyn Store>,
    pub(super) log: Arc<dyn DeliveryLog>,
    pub(super) backends: Backends,
    pub(super) stop: CancellationToken,
    pub(super) server: JoinHandle<Result<(), server::RunError>>,
    /// The control plane's.
    pub(super) metrics: Arc<hookplane_control_plane::metrics::Metrics>,
    pub(super) clock: Arc<TestClock>,
    callbacks: Option<TcpListener>,
    /// Kept over a restart, so that nothing changes by one.
    pub(super) public_url: String,
    pub(super) folder: Arc<tempfile::TempDir>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Rig {
    /// With the org `acme` and its connector `plain`.
    pub(super) async fn start() -> Result<Self, Failure> {
        Self::start_with(|log| log).await
    }

    /// The same, with a log of the test's own over the backends' one.
    pub(super) async fn start_with(
        wrap: impl FnOnce(Arc<dyn DeliveryLog>) -> Arc<dyn DeliveryLog>,
    ) -> Result<Self, Failure> {
        let folder = Arc::new(tempfile::tempdir()?);
        let rig = Self::run(
            Backends::chosen(),
            folder,
            Arc::new(TestClock::at(NOW_MS)),
            wrap,
            None,
        )
        .await?;
        let org = v1::Org {
            metadata: Some(v1::Metadata {
                name: "acme".to_owned(),
                ..Default::default()
            }),
            spec: None,
        };
        OrgServiceClient::new(rig.api())
            .create_org(v1::CreateOrgRequest {
                org: Some(org),
                validate_only: false,
            })
            .await?;
        ConnectorServiceClient::new(rig.api())
            .create_connector(v1::CreateConnectorRequest {
                parent: "orgs/acme".to_owned(),
                connector: Some(plain::connector()),
                validate_only: false,
            })
            .await?;
        Ok(rig)
    }

    async fn run(
        backends: Backends,
        folder: Arc<tempfile::TempDir>,
        clock: Arc<TestClock>,
        wrap: impl FnOnce(Arc<dyn DeliveryLog>) -> Arc<dyn DeliveryLog>,
        public_url: Option<String>,
    ) -> Result<Self, Failure> {
        let log = backends.log(folder.path(), clock.clone()).await?;
        let callbacks = TcpListener::bind("127.0.0.1:0").await?;
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", socket.local_addr()?);
        let public_url = match public_url {
            Some(public_url) => public_url,
            None => format!("http://{}", callbacks.local_addr()?),
        };
        let store = backends.store(folder.path()).await?;
        let metrics = Arc::default();
        let parts = Parts {
            web: None,
            store: store.clone(),
            log: wrap(log.clone()),
            seal: SealKey::load_or_create(&folder.path().join("seal.key"))?,
            clock: clock.clone(),
            catalogue: Catalogue::built_in(),
            public_url: public_url.clone(),
            admin_token: Some(TOKEN.to_owned()),
            stream_age: server::STREAM_AGE,
            client: hookplane_tests::destinations::client(),
            metrics: Arc::clone(&metrics),
        };
        let stop = CancellationToken::new();
        let server = tokio::spawn(server::run(socket, parts, stop.clone()));
        Ok(Self {
            url,
            store,
            log,
            backends,
            stop,
            server,
            metrics,
            clock,
            callbacks: Some(callbacks),
            public_url,
            folder,
        })
    }

    /// Starts it anew over the data as a crash would leave it: what was under way is not ended.
    pub(super) async fn crash(self) -> Result<Self, Failure> {
        assert_eq!(self.backends, Backends::Embedded, "files are copied");
        let folder = tempfile::tempdir()?;
        copy(self.folder.path(), folder.path())?;
        let public_url = Some(self.public_url.clone());
        let clock = self.clock.clone();
        Self::run(
            self.backends,
            Arc::new(folder),
            clock,
            |log| log,
            public_url,
        )
        .await
    }

    /// Ends it, and starts it anew over the same data.
    pub(super) async fn restart(self) -> Result<Self, Failure> {
        self.restart_after(|_| Ok(())).await
    }

    /// The same, with something done to its data in between.
    pub(super) async fn restart_after(
        mut self,
        meanwhile: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        self.stop.cancel();
        soon(&mut self.server).await???;
        let (folder, public_url) = (self.folder.clone(), self.public_url.clone());
        let (clock, backends) = (self.clock.clone(), self.backends);
        let store = Arc::downgrade(&self.store);
        drop(self);
        eventually(async || Ok((store.strong_count() == 0).then_some(()))).await?;
        meanwhile(folder.path())?;
        // The old server's last tasks let go of the files in a moment.
        eventually(async || {
            let same = Some(public_url.clone());
            let again = Self::run(backends, folder.clone(), clock.clone(), |log| log, same);
            Ok(again.await.ok())
        })
        .await
    }

    /// What another replica reads and writes through: of the cluster's store a client of its own, while the embedded one is open once.
    pub(super) async fn another_store(&self) -> Result<Arc<dyn Store>, Failure> {
        match self.backends {
            Backends::Embedded => Ok(self.store.clone()),
            Backends::Cluster => self.backends.store(self.folder.path()).await,
        }
    }

    /// The same of the log.
    pub(super) async fn another_log(&self) -> Result<Arc<dyn DeliveryLog>, Failure> {
        match self.backends {
            Backends::Embedded => Ok(self.log.clone()),
            Backends::Cluster => {
                let clock = self.clock.clone();
                self.backends.log(self.folder.path(), clock).await
            }
        }
    }

    pub(super) fn api(&self) -> Api {
        api(&self.url)
    }

    pub(super) fn seal_key(&self) -> PathBuf {
        self.folder.path().join("seal.key")
    }

    pub(super) fn events(&self) -> EventServiceClient<Api> {
        EventServiceClient::new(self.api()).max_decoding_message_size(MESSAGE_BYTES)
    }

    /// A real listener of the pool `default`, ready.
    pub(super) async fn listen(&mut self) -> Result<Listening, Failure> {
        let url = self.url.clone();
        self.listen_by(&url).await
    }

    /// The same, which finds the control plane there.
    pub(super) async fn listen_by(&mut self, url: &str) -> Result<Listening, Failure> {
        let listening = self.listen_at(vec![url.to_owned()]).await?;
        eventually(async || {
            let listeners = self.listeners().await?;
            Ok(listeners
                .iter()
                .any(|l| l.name == "real" && l.ready)
                .then_some(()))
        })
        .await?;
        Ok(listening)
    }

    /// The same of other control planes, not waited for.
    pub(super) async fn listen_at(&mut self, urls: Vec<String>) -> Result<Listening, Failure> {
        let socket = self.callbacks.take().ok_or("one listener at a time")?;
        let metrics = Arc::default();
        let config = hookplane_listener::Config {
            name: "real".to_owned(),
            pool: "default".to_owned(),
            control_planes: urls,
            token: TOKEN.into(),
            ca_file: None,
            limits: hookplane_listener::Limits::default(),
            metrics: Arc::clone(&metrics),
            keys: hookplane_listener::KeyServers::default(),
        };
        let stop = CancellationToken::new();
        let running = hookplane_listener::run(socket, config, self.clock.clone(), stop.clone());
        tokio::spawn(async move {
            if let Err(error) = running.await {
                panic!("the listener ended early: {error}");
            }
        });
        Ok(Listening { metrics, stop })
    }

    pub(super) async fn listeners(&self) -> Result<Vec<v1::Listener>, Failure> {
        Ok(ConfigServiceClient::new(self.api())
            .list_listeners(v1::ListListenersRequest {})
            .await?
            .into_inner()
            .listeners)
    }

    /// The connector's provider waits this long. For groups made after it.
    pub(super) async fn patience(&self, seconds: u32) -> Result<(), Failure> {
        let mut client = ConnectorServiceClient::new(self.api());
        let name = "orgs/acme/connectors/plain-hmac".to_owned();
        let mut connector = client
            .get_connector(v1::GetConnectorRequest { name })
            .await?
            .into_inner();
        connector
            .spec
            .get_or_insert_default()
            .protocol
            .get_or_insert_default()
            .answer
            .get_or_insert_default()
            .patience_seconds = seconds;
        client
            .update_connector(v1::UpdateConnectorRequest {
                connector: Some(connector),
                validate_only: false,
            })
            .await?;
        Ok(())
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&to)?;
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A real listener. Ends with this.
pub(super) struct Listening {
    pub(super) metrics: Arc<hookplane_listener::Metrics>,
    stop: CancellationToken,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// `code/all` as a path.
pub(super) fn webhook_path(of: &str) -> String {
    let (group, webhook) = of.split_once('/').unwrap_or((of, "-"));
    format!("orgs/acme/groups/{group}/webhooks/{webhook}")
}

pub(super) fn uid(metadata: &Option<v1::Metadata>) -> String {
    metadata.as_ref().map(|m| m.uid.clone()).unwrap_or_default()
}

pub(super) fn revision(metadata: &Option<v1::Metadata>) -> u64 {
    metadata.as_ref().map(|m| m.revision).unwrap_or_default()
}

pub(super) fn metadata(name: &str, group: &str) -> Option<v1::Metadata> {
    Some(v1::Metadata {
        org: "acme".to_owned(),
        group: group.to_owned(),
        name: name.to_owned(),
        ..Default::default()
    })
}

/// Posts to a group's callback URL from a thread of its own.
pub(super) async fn post(
    url: &str,
    headers: Vec<(String, String)>,
    body: Bytes,
) -> Result<hookplane_tests::http::Answer, Failure> {
    let url = url.to_owned();
    Ok(
        tokio::task::spawn_blocking(move || hookplane_tests::http::post(&url, &headers, &body))
            .await??,
    )
}

pub(super) fn callback_url(group: &v1::WebhookGroup) -> String {
    group
        .status
        .as_ref()
        .map(|status| status.callback_url.clone())
        .unwrap_or_default()
}

/// Request ids that are like nobody else's.
pub(super) fn request_id() -> Bytes {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let mut id = *b"\x01\x92\x00\x00\x00\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\x00";
    id[12..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Bytes::copy_from_slice(&id)
}
