//! A server with its clients.

use std::sync::Arc;

use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::seal::SealKey;
use hookplane_control_plane::server::{self, Parts, RunError};
use hookplane_control_plane::store::{EmbeddedStore, Store};
use hookplane_control_plane::{keys, manifest};
use hookplane_proto::v1;
use hookplane_proto::v1::connector_service_client::ConnectorServiceClient;
use hookplane_proto::v1::manifest::Resource;
use hookplane_proto::v1::manifest_service_client::ManifestServiceClient;
use hookplane_proto::v1::org_service_client::OrgServiceClient;
use hookplane_proto::v1::webhook_group_service_client::WebhookGroupServiceClient;
use hookplane_proto::v1::webhook_service_client::WebhookServiceClient;
use hookplane_tests::clock::TestClock;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt;

pub(super) const TOKEN: &str = "a-token-for-tests";
/// A day in 2026.
pub(super) const NOW_SECONDS: i64 = 1_780_000_000;

#[derive(Clone)]
pub(super) struct Bearer(Option<&'static str>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = self.0 {
            let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

pub(super) type Wire = InterceptedService<Channel, Bearer>;

pub(super) struct Rig {
    pub(super) clock: Arc<TestClock>,
    pub(super) store: Arc<EmbeddedStore>,
    wire: Wire,
    channel: Channel,
    shutdown: CancellationToken,
    server: JoinHandle<Result<(), RunError>>,
    folder: tempfile::TempDir,
}

impl Rig {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&folder.path().join("config")).unwrap();
        Self::start_over(folder, store.clone(), store).await
    }

    /// With another store before the embedded one.
    pub(super) async fn start_over(
        folder: tempfile::TempDir,
        store: Arc<EmbeddedStore>,
        front: Arc<dyn Store>,
    ) -> Self {
        let clock = Arc::new(TestClock::at(NOW_SECONDS * 1000));
        let options = Options {
            sync: false,
            ..Options::default()
        };
        let parts = Parts {
            web: None,
            store: front,
            log: EmbeddedLog::open(&folder.path().join("log"), clock.clone(), options).unwrap(),
            seal: SealKey::load_or_create(&folder.path().join("seal.key")).unwrap(),
            clock: clock.clone(),
            catalogue: Catalogue::built_in(),
            public_url: "https://hooks.example.com".to_owned(),
            admin_token: Some(TOKEN.to_owned()),
            stream_age: server::STREAM_AGE,
            client: hookplane_tests::destinations::client(),
            metrics: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(server::run(listener, parts, shutdown.clone()));
        let channel = Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self {
            clock,
            store,
            wire: InterceptedService::new(channel.clone(), Bearer(Some(TOKEN))),
            channel,
            shutdown,
            server,
            folder,
        }
    }

    /// Ends the server, which must end well.
    pub(super) async fn stop(self) {
        self.stop_and_keep().await;
    }

    /// The same, with what it leaves on the disk.
    pub(super) async fn stop_and_keep(self) -> (tempfile::TempDir, Arc<EmbeddedStore>) {
        drop((self.wire, self.channel));
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
        (self.folder, self.store)
    }

    pub(super) fn wire(&self) -> Wire {
        self.wire.clone()
    }

    pub(super) fn wire_with(&self, token: Option<&'static str>) -> Wire {
        InterceptedService::new(self.channel.clone(), Bearer(token))
    }

    pub(super) fn orgs(&self) -> OrgServiceClient<Wire> {
        OrgServiceClient::new(self.wire())
    }

    pub(super) fn connectors(&self) -> ConnectorServiceClient<Wire> {
        ConnectorServiceClient::new(self.wire())
    }

    pub(super) fn groups(&self) -> WebhookGroupServiceClient<Wire> {
        WebhookGroupServiceClient::new(self.wire())
    }

    pub(super) fn webhooks(&self) -> WebhookServiceClient<Wire> {
        WebhookServiceClient::new(self.wire())
    }

    pub(super) fn manifests(&self) -> ManifestServiceClient<Wire> {
        ManifestServiceClient::new(self.wire())
    }

    pub(super) async fn plan(&self, text: &str) -> Result<Vec<v1::PlannedChange>, Status> {
        let request = v1::PlanManifestsRequest {
            manifests: documents(text),
        };
        let answer = self.manifests().plan_manifests(request).await?;
        Ok(answer.into_inner().changes)
    }

    /// Applies the documents of a file in order, until one is refused.
    pub(super) async fn apply(&self, text: &str) -> Result<Vec<v1::ApplyManifestResponse>, Status> {
        let mut answers = Vec::new();
        for manifest in documents(text) {
            let request = v1::ApplyManifestRequest {
                manifest: Some(manifest),
            };
            answers.push(self.manifests().apply_manifest(request).await?.into_inner());
        }
        Ok(answers)
    }

    pub(super) async fn group(&self, name: &str) -> Result<v1::WebhookGroup, Status> {
        let name = name.to_owned();
        let request = v1::GetWebhookGroupRequest { name };
        Ok(self.groups().get_webhook_group(request).await?.into_inner())
    }

    pub(super) async fn webhook(&self, name: &str) -> Result<v1::Webhook, Status> {
        let name = name.to_owned();
        let request = v1::GetWebhookRequest { name };
        Ok(self.webhooks().get_webhook(request).await?.into_inner())
    }

    /// Every key that callers write, with its value: to see that nothing was written.
    pub(super) async fn stored(&self) -> Vec<(String, Vec<u8>)> {
        let listing = self
            .store
            .list(keys::ROOT, None, 10_000, None)
            .await
            .unwrap();
        let entries = listing.entries.into_iter();
        // Made by the server itself, when it starts and while it runs.
        let own = [keys::INSTALLATION, keys::EPOCH, keys::HORIZON, keys::CANARY];
        let entries = entries.filter(|e| !own.contains(&&*e.key));
        let entries = entries.filter(|e| !e.key.starts_with(keys::FLIGHTS));
        entries.map(|e| (e.key, e.value.to_vec())).collect()
    }
}

pub(super) fn documents(text: &str) -> Vec<v1::Manifest> {
    let documents = manifest::parse(text).unwrap();
    documents.into_iter().map(|d| d.manifest).collect()
}

pub(super) fn group_of(text: &str) -> v1::WebhookGroup {
    match documents(text).remove(0).resource {
        Some(Resource::WebhookGroup(group)) => group,
        other => panic!("no group: {other:?}"),
    }
}

pub(super) fn webhook_of(text: &str) -> v1::Webhook {
    match documents(text).remove(0).resource {
        Some(Resource::Webhook(webhook)) => webhook,
        other => panic!("no webhook: {other:?}"),
    }
}

pub(super) fn connector_of(text: &str) -> v1::Connector {
    match documents(text).remove(0).resource {
        Some(Resource::Connector(connector)) => connector,
        other => panic!("no connector: {other:?}"),
    }
}

/// The fields that an answer says are wrong.
pub(super) fn wrong_fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let request = details.bad_request();
    let violations = request.map_or(&[][..], |r| &r.field_violations);
    violations.iter().map(|v| v.field.clone()).collect()
}

pub(super) const GROUP: &str = r#"apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: code}
spec:
  connector: github
  signatureSecrets: [{value: s3cret-of-github}]
  registeredEvents: [push, pull_request]
"#;

pub(super) const WEBHOOK: &str = r#"apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: code, name: pushes}
spec:
  label: Pushes
  active: true
  events: [push]
"#;

/// An org's own connector, with a parameter that is a secret.
pub(super) const ERP: &str = r#"apiVersion: hookplane.dev/v1
kind: Connector
metadata: {org: acme, name: erp}
spec:
  displayName: Our ERP
  functions:
    - name: orders
      events: [{name: order.made}, {name: order.paid}]
  parameters:
    - {name: verify_token, secret: true, required: true}
  protocol:
    contentTypes: [application/json]
    schemes:
      - name: hmac
        hmac: {hash: sha256, content: "{body}", signature: "header:X-Erp-Signature", encoding: hex, key: {decode: raw}}
    extract:
      eventType: [{from: "json:/kind"}]
"#;

pub(super) const ERP_GROUP: &str = r#"apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: acme, name: orders}
spec:
  connector: erp
  signatureSecrets: [{name: main, value: s3cret-of-erp}]
  parameters: {verify_token: s3cret-to-verify}
  registeredEvents: ["*"]
"#;
