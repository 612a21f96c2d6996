//! A server with two orgs that are alike: each with a connector, a group, a webhook, an event and its delivery.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hookplane_control_plane::access::Authorities;
use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::manifest;
use hookplane_control_plane::seal::SealKey;
use hookplane_control_plane::server::{self, Parts, RunError, Serving};
use hookplane_control_plane::store::EmbeddedStore;
use hookplane_proto::v1;
use hookplane_rules::Clock as _;
use hookplane_tests::clock::TestClock;
use hookplane_tests::pki::Pki;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use v1::event_service_client::EventServiceClient;
use v1::manifest_service_client::ManifestServiceClient;
use v1::org_service_client::OrgServiceClient;
use v1::report_request::Kind;
use v1::report_service_client::ReportServiceClient;
use v1::token_service_client::TokenServiceClient;
use v1::webhook_group_service_client::WebhookGroupServiceClient;
use v1::webhook_service_client::WebhookServiceClient;

use super::wire::{Bearer, Call, Raw, Wire, connect, tls};
use crate::fake_control_plane::{Failure, soon};

/// What the server is started with.
pub(super) const BOOTSTRAP: &str = "what-the-server-was-started-with";
/// The pool of both orgs' groups.
pub(super) const POOL: &str = "edge";
const NOW: i64 = 1_780_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);
/// What stands for a certificate where a token is meant.
const CERTIFICATE: &str = "certificate-";

pub(super) struct Rig {
    pub(super) clock: Arc<TestClock>,
    pub(super) store: Arc<EmbeddedStore>,
    /// Signs what the server shows, and what its listeners may.
    pub(super) pki: Pki,
    /// Whom the server believes.
    pub(super) authorities: Arc<Authorities>,
    url: String,
    channel: Channel,
    /// Connections on which a certificate was shown, by its name.
    certified: Mutex<HashMap<String, Channel>>,
    /// Ends with the rig.
    stop: DropGuard,
    server: JoinHandle<Result<(), RunError>>,
    folder: tempfile::TempDir,
}

impl Rig {
    /// With the orgs `acme` and `other`.
    pub(super) async fn start() -> Result<Self, Failure> {
        let rig = Self::over(tempfile::tempdir()?, Some(BOOTSTRAP)).await?;
        for org in ["acme", "other"] {
            rig.furnish(org).await?;
        }
        Ok(rig)
    }

    async fn over(folder: tempfile::TempDir, bootstrap: Option<&str>) -> Result<Self, Failure> {
        let clock = Arc::new(TestClock::at(NOW));
        let store = EmbeddedStore::open(&folder.path().join("config"))?;
        let options = Options {
            sync: false,
            ..Options::default()
        };
        let parts = Parts {
            web: None,
            store: store.clone(),
            log: EmbeddedLog::open(&folder.path().join("log"), clock.clone(), options)?,
            seal: SealKey::load_or_create(&folder.path().join("seal.key"))?,
            clock: clock.clone(),
            catalogue: Catalogue::built_in(),
            public_url: "https://hooks.example.com".to_owned(),
            admin_token: bootstrap.map(str::to_owned),
            stream_age: server::STREAM_AGE,
            client: hookplane_tests::destinations::client(),
            metrics: Arc::default(),
        };
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://{}", socket.local_addr()?);
        let stop = CancellationToken::new();
        let pki = Pki::new(folder.path());
        pki.issue("api", DAY);
        let authorities = Arc::new(Authorities::new(pki.verifier()));
        let serving = Serving {
            tls: Some(tls(&pki, &authorities, &clock)?),
            authorities: Some(authorities.clone()),
            ..Serving::from(socket)
        };
        let server = tokio::spawn(server::run(serving, parts, stop.clone()));
        let channel = connect(&url, &pki, None).await?;
        Ok(Self {
            clock,
            store,
            pki,
            authorities,
            url,
            channel,
            certified: Mutex::default(),
            stop: stop.drop_guard(),
            server,
            folder,
        })
    }

    /// Ends it, and starts it anew with another bootstrap token.
    pub(super) async fn restart(self, bootstrap: Option<&str>) -> Result<Self, Failure> {
        let Self {
            store,
            channel,
            stop,
            mut server,
            folder,
            ..
        } = self;
        drop((store, channel, stop));
        soon(&mut server).await???;
        Self::over(folder, bootstrap).await
    }

    /// An org with one of everything, and a delivery that waits.
    pub(super) async fn furnish(&self, org: &str) -> Result<(), Failure> {
        self.apply(BOOTSTRAP, &all_of(org)).await?;
        self.report(org, "d-1").await
    }

    /// One event of the org's group, as a listener reports it.
    pub(super) async fn report(&self, org: &str, delivery: &str) -> Result<(), Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let mut id = *b"\x01\x92\x00\x00\x00\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\x00";
        id[12..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let callback = v1::ReportedCallback {
            request_id: Bytes::copy_from_slice(&id),
            group_uid: self.group(org).await?.metadata.unwrap_or_default().uid,
            receive_time: Some(prost_types::Timestamp {
                seconds: self.clock.now().seconds(),
                nanos: 0,
            }),
            method: "POST".to_owned(),
            content_type: "application/json".to_owned(),
            headers: [("x-github-event".to_owned(), "push".to_owned())].into(),
            body: Bytes::from_static(b"{}"),
            events: vec![v1::ReportedEvent {
                r#type: "push".to_owned(),
                delivery_id: delivery.to_owned(),
                format: v1::PayloadFormat::Json.into(),
                registered: true,
                ..Default::default()
            }],
            budget_milliseconds: 10_000,
            ..Default::default()
        };
        let refusal = v1::Refusal {
            org: org.to_owned(),
            group: "code".to_owned(),
            group_uid: callback.group_uid.clone(),
            time: callback.receive_time,
            reason: format!("turned away from {org}"),
            ..Default::default()
        };
        let said = [
            Kind::Hello(v1::ReportHello {
                pool: POOL.to_owned(),
                ..Default::default()
            }),
            Kind::Refusals(v1::ReportRefusals {
                refusals: vec![refusal],
                not_kept: Vec::new(),
                sequence: 0,
                codes: Vec::new(),
            }),
            Kind::Batch(v1::ReportBatch {
                batch_id: 1,
                callbacks: vec![callback],
            }),
        ];
        let said = said.map(|kind| v1::ReportRequest { kind: Some(kind) });
        let mut client = ReportServiceClient::new(self.wire(BOOTSTRAP));
        let answers = soon(client.report(tokio_stream::iter(said))).await??;
        let mut answers = answers.into_inner();
        loop {
            let answer = soon(answers.message()).await??.ok_or("no answer")?;
            match answer.kind {
                Some(v1::report_response::Kind::Batch(answer))
                    if answer.callbacks[0].kind() == v1::AnswerKind::Kept =>
                {
                    return Ok(());
                }
                Some(v1::report_response::Kind::Batch(answer)) => {
                    return Err(format!("not kept: {answer:?}").into());
                }
                // The welcome, and news of the plan.
                _ => {}
            }
        }
    }

    /// The newest event's id and its delivery's.
    pub(super) async fn ids(&self, org: &str) -> Result<(String, String), Failure> {
        let request = v1::ListDeliveriesRequest {
            parent: format!("orgs/{org}/groups/code/webhooks/pushes"),
            ..Default::default()
        };
        let mut events = EventServiceClient::new(self.wire(BOOTSTRAP));
        let listed = soon(events.list_deliveries(request)).await??.into_inner();
        let delivery = listed.deliveries.into_iter().next().ok_or("no delivery")?;
        Ok((delivery.event_id, delivery.id))
    }

    pub(super) async fn group(&self, org: &str) -> Result<v1::WebhookGroup, Failure> {
        let request = v1::GetWebhookGroupRequest {
            name: format!("orgs/{org}/groups/code"),
        };
        let mut groups = WebhookGroupServiceClient::new(self.wire(BOOTSTRAP));
        Ok(soon(groups.get_webhook_group(request)).await??.into_inner())
    }

    /// Applies a file's documents in order, until one is refused.
    pub(super) async fn apply(&self, token: &str, text: &str) -> Result<(), Status> {
        for document in manifest::parse(text).unwrap() {
            let request = v1::ApplyManifestRequest {
                manifest: Some(document.manifest),
            };
            self.manifests(token).apply_manifest(request).await?;
        }
        Ok(())
    }

    /// A token's text and its id. `org` is empty for the whole installation.
    pub(super) async fn token(
        &self,
        org: &str,
        spec: v1::TokenSpec,
        lifetime_seconds: u32,
    ) -> Result<(String, String), Status> {
        self.token_by(BOOTSTRAP, org, spec, lifetime_seconds).await
    }

    /// The same, made with another token.
    pub(super) async fn token_by(
        &self,
        by: &str,
        org: &str,
        spec: v1::TokenSpec,
        lifetime_seconds: u32,
    ) -> Result<(String, String), Status> {
        let parent = match org {
            "" => String::new(),
            org => format!("orgs/{org}"),
        };
        let request = v1::CreateTokenRequest {
            parent,
            spec: Some(spec),
            lifetime_seconds,
        };
        let made = self.tokens(by).create_token(request).await?.into_inner();
        let metadata = made.token.unwrap_or_default().metadata.unwrap_or_default();
        Ok((made.bearer, metadata.name))
    }

    pub(super) async fn revoke(&self, id: &str) -> Result<(), Status> {
        let name = format!("orgs/-/tokens/{id}");
        let request = v1::RevokeTokenRequest { name };
        self.tokens(BOOTSTRAP).revoke_token(request).await?;
        Ok(())
    }

    pub(super) async fn delete_webhook(&self, org: &str) -> Result<(), Status> {
        let request = v1::DeleteWebhookRequest {
            name: format!("orgs/{org}/groups/code/webhooks/pushes"),
            etag: String::new(),
            discard_pending: true,
        };
        let mut webhooks = WebhookServiceClient::new(self.wire(BOOTSTRAP));
        webhooks.delete_webhook(request).await?;
        Ok(())
    }

    /// With everything in it.
    pub(super) async fn delete_org(&self, org: &str) -> Result<(), Status> {
        let request = v1::DeleteWebhookGroupRequest {
            name: format!("orgs/{org}/groups/code"),
            etag: String::new(),
            discard_pending: true,
            ..Default::default()
        };
        let mut groups = WebhookGroupServiceClient::new(self.wire(BOOTSTRAP));
        groups.delete_webhook_group(request).await?;
        let request = v1::DeleteConnectorRequest {
            name: format!("orgs/{org}/connectors/erp"),
            etag: String::new(),
        };
        let wire = self.wire(BOOTSTRAP);
        let mut connectors = v1::connector_service_client::ConnectorServiceClient::new(wire);
        connectors.delete_connector(request).await?;
        let request = v1::DeleteOrgRequest {
            name: format!("orgs/{org}"),
            etag: String::new(),
        };
        self.orgs(BOOTSTRAP).delete_org(request).await?;
        Ok(())
    }

    /// Shows a certificate with these names, good for this long, on a connection of its own. What it gives stands for a token.
    pub(super) async fn certificate(
        &self,
        uris: &[&str],
        good_for: Duration,
    ) -> Result<String, Failure> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{CERTIFICATE}{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let now = OffsetDateTime::from_unix_timestamp(self.clock.now().seconds())?;
        self.pki.issue_between(&name, uris, now..now + good_for);
        let channel = connect(&self.url, &self.pki, Some(&name)).await?;
        self.certified.lock().unwrap().insert(name.clone(), channel);
        Ok(name)
    }

    /// The same for a listener of the pool of all groups, in this org or in all.
    pub(super) async fn listener_certificate(&self, org: Option<&str>) -> Result<String, Failure> {
        let uid = match org {
            None => "-".to_owned(),
            Some(org) => self.uid_of(org).await?,
        };
        let uri = format!("hookplane://listener/{uid}/{POOL}");
        self.certificate(&[&uri], DAY).await
    }

    pub(super) async fn uid_of(&self, org: &str) -> Result<String, Failure> {
        let name = format!("orgs/{org}");
        let mut orgs = self.orgs(BOOTSTRAP);
        let found = soon(orgs.get_org(v1::GetOrgRequest { name })).await??;
        let org = found.into_inner();
        Ok(org.metadata.unwrap_or_default().uid)
    }

    /// The connection on which a certificate was shown, with a token beside it or without.
    pub(super) fn beside(&self, certificate: &str, token: Option<&str>) -> Wire {
        let channel = self.certified.lock().unwrap()[certificate].clone();
        let value = token.map(|token| format!("Bearer {token}").parse().unwrap());
        InterceptedService::new(channel, Bearer(value))
    }

    pub(super) fn wire(&self, token: &str) -> Wire {
        if token.starts_with(CERTIFICATE) {
            return self.beside(token, None);
        }
        let value = format!("Bearer {token}").parse().unwrap();
        InterceptedService::new(self.channel.clone(), Bearer(Some(value)))
    }

    pub(super) fn orgs(&self, token: &str) -> OrgServiceClient<Wire> {
        OrgServiceClient::new(self.wire(token))
    }

    pub(super) fn events(&self, token: &str) -> EventServiceClient<Wire> {
        EventServiceClient::new(self.wire(token))
    }

    pub(super) fn manifests(&self, token: &str) -> ManifestServiceClient<Wire> {
        ManifestServiceClient::new(self.wire(token))
    }

    pub(super) fn tokens(&self, token: &str) -> TokenServiceClient<Wire> {
        TokenServiceClient::new(self.wire(token))
    }

    /// Calls any method with one message. `open` keeps what is sent open after it.
    pub(super) async fn call(
        &self,
        token: Option<&str>,
        path: &str,
        message: Vec<u8>,
        open: bool,
    ) -> Result<Call, Status> {
        let wire = match token {
            Some(token) => self.wire(token),
            None => InterceptedService::new(self.channel.clone(), Bearer(None)),
        };
        let (to, messages) = mpsc::channel::<Bytes>(1);
        let said = tokio_stream::once(Bytes::from(message)).chain(ReceiverStream::new(messages));
        let to = open.then_some(to);
        let mut grpc = tonic::client::Grpc::new(wire);
        let ready = soon(grpc.ready()).await;
        ready
            .unwrap()
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let path = path.parse().unwrap();
        let answer = soon(grpc.streaming(Request::new(said), path, Raw)).await;
        let from = answer.unwrap()?.into_inner();
        Ok(Call { _to: to, from })
    }
}

pub(super) fn role(role: v1::TokenRole) -> v1::TokenSpec {
    v1::TokenSpec {
        role: role.into(),
        ..Default::default()
    }
}

/// Of the org's webhook `pushes`.
pub(super) fn consumer(org: &str) -> v1::TokenSpec {
    v1::TokenSpec {
        webhooks: vec![format!("orgs/{org}/groups/code/webhooks/pushes")],
        ..role(v1::TokenRole::Consumer)
    }
}

/// Of the pool of the groups.
pub(super) fn listener() -> v1::TokenSpec {
    v1::TokenSpec {
        pools: vec![POOL.to_owned()],
        ..role(v1::TokenRole::Listener)
    }
}

pub(super) fn all_of(org: &str) -> String {
    ALL.replace("ORG", org)
}

const ALL: &str = r#"apiVersion: hookplane.dev/v1
kind: Org
metadata: {name: ORG}
spec: {displayName: The org ORG}
---
apiVersion: hookplane.dev/v1
kind: Connector
metadata: {org: ORG, name: erp}
spec:
  displayName: Our ERP
  functions:
    - name: orders
      events: [{name: order.made}]
  protocol:
    contentTypes: [application/json]
    schemes:
      - name: hmac
        hmac: {hash: sha256, content: "{body}", signature: "header:X-Erp-Signature", encoding: hex, key: {decode: raw}}
    extract:
      eventType: [{from: "json:/kind"}]
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: ORG, name: code}
spec:
  connector: github
  pool: edge
  signatureSecrets: [{value: s3cret-of-ORG}]
  registeredEvents: [push]
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: ORG, group: code, name: pushes}
spec:
  label: Pushes
  active: true
  events: [push]
  destinations:
    - subscribe: {}
"#;
