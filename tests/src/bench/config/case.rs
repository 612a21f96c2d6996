//! One size with one number of streams.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hookplane_control_plane::manifest;
use hookplane_proto::v1;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use v1::config_service_client::ConfigServiceClient;
use v1::manifest_service_client::ManifestServiceClient;
use v1::webhook_service_client::WebhookServiceClient;

use super::listeners::{self, Listeners, News};
use super::report::{Lists, Row, Spread};
use super::watchers::Watchers;
use super::{GROUP, ORG, Options, StoreKind, WEBHOOK, process};
use crate::bench::Failure;
use crate::bench::servers::{Kind, Server};
use crate::bench::setup::request;
use crate::engines::etcd::Etcd;

/// For anything that is waited for: a run that hangs is a failed run.
const PATIENCE: Duration = Duration::from_secs(120);
/// Not measured: the first edits find caches cold.
const WARM_UP: usize = 5;
/// Outside what the replica watches.
const WATCHED: &str = "watched-directly/";
const ENCODINGS: &str = "hookplane_control_plane_config_encodings_total";
const LISTS: &str = "hookplane_control_plane_config_pushes_total{kind=\"list\"}";

const MANIFEST: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: bench, name: code}
spec: {connector: github, signatureSecrets: [{value: bench}], registeredEvents: [push, pull_request]}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: bench, group: code, name: all}
spec:
  label: Pull requests to main
  active: true
  events: [pull_request]
  filter: payload.pull_request.base.ref == "main"
  destinations: [{subscribe: {}}]
"#;

pub(super) struct Case<'a> {
    pub(super) options: &'a Options,
    pub(super) folder: &'a Path,
    /// Of the store, if it isn't embedded.
    pub(super) url: Option<&'a str>,
    pub(super) etcd: &'a Etcd,
    pub(super) store: StoreKind,
    pub(super) groups: usize,
    pub(super) streams: usize,
}

impl Case<'_> {
    /// What a first full list costs: a replica, a client that only takes it, and a real listener that compiles it.
    pub(super) async fn lists(&self) -> Result<Lists, Failure> {
        let began = Instant::now();
        let replica = self.replica()?;
        Admin::connect(replica.address).await?.webhook().await?;
        let replica_ready = began.elapsed();
        let replica_cpu = replica.cpu.now()?;
        let replica_resident = process::resident(replica.id())?;
        process::forget_peak(replica.id())?;
        let list = listeners::list(replica.address).await?;
        let began = Instant::now();
        let listener = Server::start_here(Kind::Listener(&format!("http://{}", replica.address)))?;
        let empty = process::resident(listener.id())?;
        let mut admin = Admin::connect(replica.address).await?;
        admin.wait_for(1, list.place.revision()).await?;
        Ok(Lists {
            store: self.store,
            groups: self.groups,
            replica_ready,
            replica_cpu,
            replica_resident,
            replica_peak: process::peak(replica.id())?,
            taken: list.took,
            bytes: list.bytes,
            resources: list.resources,
            listener_ready: began.elapsed(),
            listener_cpu: listener.cpu.now()?,
            listener_resident: process::resident(listener.id())?.saturating_sub(empty),
            listener_peak: process::peak(listener.id())?,
        })
    }

    /// What edits cost with many streams, beside etcd watched directly; what the streams cost idle; and a restart under all of them.
    pub(super) async fn edits(&self) -> Result<Row, Failure> {
        let mut replica = self.replica()?;
        let mut admin = Admin::connect(replica.address).await?;
        let mut webhook = admin.webhook().await?;
        let place = listeners::list(replica.address).await?.place;
        let resident_before = process::resident(replica.id())?;
        let mut listeners = Listeners::start(self.streams, &place);
        listeners.lead_to(Some(replica.address));
        self.resumed(&mut listeners).await?;
        admin.wait_for(self.streams, place.revision()).await?;
        let mut watchers = Watchers::start(self.streams, &members(self.etcd)?, WATCHED).await?;
        let mut direct = etcd_client::Client::connect(self.etcd.endpoints(), None).await?;

        let (mut ours, mut answered, mut theirs) =
            (Spread::default(), Spread::default(), Spread::default());
        let (mut our_bytes, mut their_bytes) = (Vec::new(), Vec::new());
        let mut used = Duration::ZERO;
        let mut encodings = 0.0;
        for number in 0..WARM_UP + self.options.edits {
            if number == WARM_UP {
                (ours, answered, theirs) = Default::default();
                (our_bytes, their_bytes) = Default::default();
                used = Duration::ZERO;
                encodings = replica.metric(ENCODINGS)?;
            }
            let spec = webhook.spec.get_or_insert_default();
            spec.label = format!("Pull requests to main, {number:06}");
            let cpu = replica.cpu.now()?;
            let called = Instant::now();
            webhook = admin.update(webhook).await?;
            answered.add(called.elapsed());
            let revision = webhook.metadata.as_ref().map_or(0, |m| m.revision);
            let last = self.acked(&mut listeners, revision, &mut our_bytes).await?;
            ours.add(last - called);
            // The acks' way back is the replica's work as well.
            sleep(self.options.pause).await;
            used += replica.cpu.now()? - cpu;

            let value = prost::Message::encode_to_vec(&webhook);
            let called = Instant::now();
            let put = direct
                .put(format!("{WATCHED}{WEBHOOK}"), value, None)
                .await?;
            let revision = put.header().map_or(0, |header| header.revision());
            let last = self
                .seen(&mut watchers, u64::try_from(revision)?, &mut their_bytes)
                .await?;
            theirs.add(last - called);
            sleep(self.options.pause).await;
        }
        let edits = self.options.edits as f64;
        let encodings = replica.metric(ENCODINGS)? - encodings;
        if (encodings - edits).abs() > 0.5 {
            return Err(format!("{edits} edits were {encodings} encodings").into());
        }
        let revision = webhook.metadata.as_ref().map_or(0, |m| m.revision);
        admin.wait_for(self.streams, revision).await?;
        drop(watchers);

        let cpu = replica.cpu.now()?;
        sleep(self.options.idle).await;
        let idle = (replica.cpu.now()? - cpu).as_secs_f64() / self.options.idle.as_secs_f64();
        let resident = process::resident(replica.id())?.saturating_sub(resident_before);

        listeners.lead_to(None);
        drop(replica);
        let began = Instant::now();
        let mut replica = self.replica()?;
        listeners.lead_to(Some(replica.address));
        let resumed = self.resumed(&mut listeners).await? - began;
        let ready = {
            let mut admin = Admin::connect(replica.address).await?;
            admin.wait_for(self.streams, revision).await?;
            began.elapsed()
        };
        let lists = replica.metric(LISTS)?;
        if lists > 0.5 {
            return Err(format!("a restart brought {lists} full lists").into());
        }
        Ok(Row {
            store: self.store,
            groups: self.groups,
            streams: self.streams,
            ours,
            answered,
            theirs,
            bytes: median(our_bytes),
            their_bytes: median(their_bytes),
            cpu: used.as_secs_f64() / edits / self.streams as f64,
            resident: resident / self.streams as u64,
            idle,
            resumed,
            known: ready,
        })
    }

    fn replica(&self) -> Result<Server, Failure> {
        Server::start_here(Kind::ControlPlane(self.folder, self.url))
    }

    /// When the last of all has resumed.
    async fn resumed(&self, listeners: &mut Listeners) -> Result<Instant, Failure> {
        let mut last = None;
        for _ in 0..self.streams {
            match within("a listener resumes", listeners.news.recv()).await? {
                Some(News::Resumed { at }) => last = last.max(Some(at)),
                Some(News::Failed(error)) => return Err(error.into()),
                _ => return Err("a listener did something else than resume".into()),
            }
        }
        last.ok_or_else(|| "no listeners".into())
    }

    /// When the last of all has acked `revision`. Each acks it once.
    async fn acked(
        &self,
        listeners: &mut Listeners,
        revision: u64,
        all: &mut Vec<u64>,
    ) -> Result<Instant, Failure> {
        let mut last = None;
        for _ in 0..self.streams {
            match within("a listener acks", listeners.news.recv()).await? {
                Some(News::Acked { to, at, bytes }) if to >= revision => {
                    last = last.max(Some(at));
                    all.push(bytes);
                }
                Some(News::Failed(error)) => return Err(error.into()),
                _ => return Err("a listener did something else than ack one change".into()),
            }
        }
        last.ok_or_else(|| "no listeners".into())
    }

    async fn seen(
        &self,
        watchers: &mut Watchers,
        revision: u64,
        all: &mut Vec<u64>,
    ) -> Result<Instant, Failure> {
        let mut last = None;
        for _ in 0..self.streams {
            let saw = within("a watcher sees", watchers.news.recv()).await?;
            let saw = saw.ok_or("no watchers")??;
            if saw.revision < revision {
                return Err("a watcher saw one change twice".into());
            }
            last = last.max(Some(saw.at));
            all.push(saw.bytes);
        }
        last.ok_or_else(|| "no watchers".into())
    }
}

async fn within<T>(name: &str, what: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(PATIENCE, what)
        .await
        .map_err(|_| format!("{name}: not within {PATIENCE:?}").into())
}

fn members(etcd: &Etcd) -> Result<Vec<SocketAddr>, Failure> {
    let urls = etcd.endpoints();
    let hosts = urls.iter().map(|url| url.trim_start_matches("http://"));
    Ok(hosts.map(str::parse).collect::<Result<_, _>>()?)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Who edits.
pub(super) struct Admin {
    channel: Channel,
}

impl Admin {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let endpoint = Channel::from_shared(format!("http://{address}"))?;
        Ok(Self {
            channel: endpoint.connect().await?,
        })
    }

    pub(super) async fn configure(&self) -> Result<(), Failure> {
        let mut client = ManifestServiceClient::new(self.channel.clone());
        for document in manifest::parse(MANIFEST).map_err(|error| error.message)? {
            let manifest = Some(document.manifest);
            let apply = v1::ApplyManifestRequest { manifest };
            client.apply_manifest(request(apply)?).await?;
        }
        Ok(())
    }

    pub(super) async fn webhook(&self) -> Result<v1::Webhook, Failure> {
        let mut client = WebhookServiceClient::new(self.channel.clone());
        let name = format!("orgs/{ORG}/groups/{GROUP}/webhooks/{WEBHOOK}");
        let get = request(v1::GetWebhookRequest { name })?;
        Ok(within("get", client.get_webhook(get)).await??.into_inner())
    }

    async fn update(&self, webhook: v1::Webhook) -> Result<v1::Webhook, Failure> {
        let mut client = WebhookServiceClient::new(self.channel.clone());
        let update = v1::UpdateWebhookRequest {
            webhook: Some(webhook),
            ..Default::default()
        };
        Ok(client.update_webhook(request(update)?).await?.into_inner())
    }

    /// Until the control plane knows so many ready listeners that run this revision.
    async fn wait_for(&mut self, count: usize, revision: u64) -> Result<(), Failure> {
        let mut client = ConfigServiceClient::new(self.channel.clone())
            .max_decoding_message_size(64 * 1024 * 1024);
        within("all are known", async {
            loop {
                let list = request(v1::ListListenersRequest {})?;
                let all = client.list_listeners(list).await?.into_inner().listeners;
                let there = all.iter().filter(|l| l.ready && l.revision >= revision);
                if there.count() >= count {
                    return Ok(());
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await?
    }
}
