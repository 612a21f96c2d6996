//! What a delivery costs: to an HTTP destination, and to a subscriber, from the same log in the same run.
//!
//! ```text
//!  core A                                           core B
//!  this process ── events, over Report ──▶ control plane ── POST ──▶ hyper (core A)
//!       └── Subscribe, Ack ───────────────────▶ │
//! ```
//!
//! Each round keeps so many events while both wait, then lets the destination have them, then the subscriber; each is timed by itself, with the CPU
//! clock of the control plane before and after. Medians over the rounds. At the end both must have had all of them.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookplane_control_plane::manifest;
use hookplane_proto::v1;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use v1::destination_service_client::DestinationServiceClient;
use v1::manifest_service_client::ManifestServiceClient;
use v1::report_service_client::ReportServiceClient;
use v1::subscription_service_client::SubscriptionServiceClient;
use v1::webhook_group_service_client::WebhookGroupServiceClient;
use v1::{report_request, report_response, subscribe_request};

use super::Failure;
use super::cores::{Cores, pin};
use super::servers::{Kind, Server};
use super::setup::request;

/// Callbacks in one report.
const BATCH: usize = 50;
/// For everything of one round.
const PATIENCE: Duration = Duration::from_secs(120);
const IN_FLIGHT: u32 = 64;

/// How a run goes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of one round.
    pub events: usize,
    /// Their medians count.
    pub rounds: usize,
    /// Of a body.
    pub bytes: usize,
}

/// One way to deliver.
#[derive(Debug, Clone, Copy)]
struct Row {
    per_second: f64,
    micros: f64,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    options: Options,
    rows: [(&'static str, Row); 2],
}

impl Report {
    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        let rows = self.rows.map(|(to, row)| {
            json!({"to": to, "deliveriesPerSecond": row.per_second, "controlPlaneMicros": row.micros})
        });
        let Options {
            events,
            rounds,
            bytes,
        } = self.options;
        json!({"events": events, "rounds": rounds, "bytes": bytes, "rows": rows})
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:>14} {:>22}",
            "to", "deliveries/s", "control plane µs each"
        )?;
        for (to, row) in &self.rows {
            writeln!(f, "{to:<12} {:>14.0} {:>22.1}", row.per_second, row.micros)?;
        }
        Ok(())
    }
}

/// All of it.
pub fn run(options: Options) -> Result<Report, Failure> {
    if options.events == 0 || options.rounds == 0 || options.events * options.rounds > 10_000_000 {
        return Err("--events and --rounds are at least 1, and make 10 million at most".into());
    }
    let cores = Cores::choose()?;
    let folder = tempfile::tempdir()?;
    let server = Server::start(Kind::ControlPlane(folder.path(), None), cores)?;
    pin(cores.load)?;
    let hyper = Server::start_here(Kind::Hyper)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut bench = Bench::start(&server, &hyper, options.bytes).await?;
        let (mut http, mut subscriber) = (Vec::new(), Vec::new());
        for round in 0..options.rounds {
            bench.keep(options.events).await?;
            let all = (options.events * (round + 1)) as u64;
            http.push(
                bench
                    .measured(&server, options.events, Way::Http(all))
                    .await?,
            );
            let way = Way::Subscriber;
            subscriber.push(bench.measured(&server, options.events, way).await?);
        }
        let rows = [("http", median(http)), ("subscriber", median(subscriber))];
        Ok(Report { options, rows })
    })
}

fn median(mut rows: Vec<Row>) -> Row {
    let mut of = |by: fn(&Row) -> f64| {
        rows.sort_by(|a, b| by(a).total_cmp(&by(b)));
        rows.get(rows.len() / 2).map_or(0.0, by)
    };
    Row {
        per_second: of(|row| row.per_second),
        micros: of(|row| row.micros),
    }
}

#[derive(Clone, Copy)]
enum Way {
    /// Until so many have been delivered in all.
    Http(u64),
    Subscriber,
}

struct Bench {
    channel: Channel,
    group_uid: String,
    body: Bytes,
    reports: mpsc::Sender<v1::ReportRequest>,
    answers: tonic::Streaming<v1::ReportResponse>,
    next: u64,
}

impl Bench {
    async fn start(server: &Server, hyper: &Server, bytes: usize) -> Result<Self, Failure> {
        let channel = Channel::from_shared(format!("http://{}", server.address))?
            .connect()
            .await?;
        let text = format!(
            r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {{org: bench, name: kept}}
spec: {{connector: github, signatureSecrets: [{{value: bench}}], registeredEvents: [push]}}
---
apiVersion: hookplane.dev/v1
kind: Destination
metadata: {{org: bench, name: hyper}}
spec: {{paused: true, http: {{url: "http://{}/", signingSecret: {{value: whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX}}}}, limits: {{concurrency: 64}}}}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: bench, group: kept, name: all}}
spec: {{label: All, active: true, events: [push], destinations: [{{subscribe: {{}}}}, {{ref: hyper}}]}}
"#,
            hyper.address
        );
        let mut client = ManifestServiceClient::new(channel.clone());
        for document in manifest::parse(&text).map_err(|error| error.message)? {
            let manifest = Some(document.manifest);
            client
                .apply_manifest(request(v1::ApplyManifestRequest { manifest })?)
                .await?;
        }
        let name = "orgs/bench/groups/kept".to_owned();
        let get = request(v1::GetWebhookGroupRequest { name })?;
        let group = WebhookGroupServiceClient::new(channel.clone())
            .get_webhook_group(get)
            .await?;
        let group_uid = group.into_inner().metadata.unwrap_or_default().uid;
        let (reports, requests) = mpsc::channel(4);
        let hello = v1::ReportHello {
            listener: "bench".to_owned(),
            boot: "1".to_owned(),
            pool: "default".to_owned(),
        };
        reports
            .send(said(report_request::Kind::Hello(hello)))
            .await?;
        let stream = request(ReceiverStream::new(requests))?;
        let answers = ReportServiceClient::new(channel.clone())
            .report(stream)
            .await?;
        let filler = "x".repeat(bytes.saturating_sub(16));
        Ok(Self {
            channel,
            group_uid,
            body: format!(r#"{{"filler": "{filler}"}}"#).into(),
            reports,
            answers: answers.into_inner(),
            next: 0,
        })
    }

    fn callback(&mut self) -> v1::ReportedCallback {
        self.next += 1;
        let mut id = *b"\x01\x92\x00\x00\x00\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\x00";
        id[8..].copy_from_slice(&self.next.to_be_bytes());
        v1::ReportedCallback {
            request_id: Bytes::copy_from_slice(&id),
            group_uid: self.group_uid.clone(),
            method: "POST".to_owned(),
            content_type: "application/json".to_owned(),
            body: self.body.clone(),
            events: vec![v1::ReportedEvent {
                r#type: "push".to_owned(),
                delivery_id: self.next.to_string(),
                format: v1::PayloadFormat::Json.into(),
                registered: true,
                ..Default::default()
            }],
            budget_milliseconds: 20_000,
            ..Default::default()
        }
    }

    /// Has so many events kept.
    async fn keep(&mut self, mut events: usize) -> Result<(), Failure> {
        while events > 0 {
            let count = events.min(BATCH);
            events -= count;
            let callbacks = (0..count).map(|_| self.callback()).collect();
            let batch = v1::ReportBatch {
                batch_id: self.next,
                callbacks,
            };
            self.reports
                .send(said(report_request::Kind::Batch(batch)))
                .await?;
            loop {
                let answer = self
                    .answers
                    .message()
                    .await?
                    .ok_or("the report stream ended")?;
                let Some(report_response::Kind::Batch(answer)) = answer.kind else {
                    continue;
                };
                let lost = answer
                    .callbacks
                    .iter()
                    .find(|c| c.kind() != v1::AnswerKind::Kept);
                if let Some(lost) = lost {
                    return Err(format!("not kept: {lost:?}").into());
                }
                break;
            }
        }
        Ok(())
    }

    async fn measured(&self, server: &Server, events: usize, way: Way) -> Result<Row, Failure> {
        let (cpu, began) = (server.cpu.now()?, Instant::now());
        let delivered = async {
            match way {
                Way::Http(all) => self.http(all).await,
                Way::Subscriber => self.subscribe(events).await,
            }
        };
        tokio::time::timeout(PATIENCE, delivered)
            .await
            .map_err(|_| "not all was delivered in time")??;
        let (took, used) = (began.elapsed(), server.cpu.now()? - cpu);
        if matches!(way, Way::Http(_)) {
            self.pause(true).await?;
        }
        Ok(Row {
            per_second: events as f64 / took.as_secs_f64(),
            micros: used.as_secs_f64() * 1e6 / events as f64,
        })
    }

    async fn pause(&self, paused: bool) -> Result<(), Failure> {
        let destination = v1::Destination {
            metadata: Some(v1::Metadata {
                org: "bench".to_owned(),
                name: "hyper".to_owned(),
                ..Default::default()
            }),
            spec: Some(v1::DestinationSpec {
                paused,
                ..Default::default()
            }),
            status: None,
        };
        let update = request(v1::UpdateDestinationRequest {
            destination: Some(destination),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["paused".to_owned()],
            }),
            validate_only: false,
        })?;
        DestinationServiceClient::new(self.channel.clone())
            .update_destination(update)
            .await?;
        Ok(())
    }

    async fn http(&self, all: u64) -> Result<(), Failure> {
        self.pause(false).await?;
        let mut client = DestinationServiceClient::new(self.channel.clone());
        loop {
            let name = "orgs/bench/destinations/hyper".to_owned();
            let get = request(v1::GetDestinationRequest { name })?;
            let status = client
                .get_destination(get)
                .await?
                .into_inner()
                .status
                .unwrap_or_default();
            if status.failed > 0 {
                return Err(format!("deliveries failed: {status:?}").into());
            }
            if status.delivered >= all {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn subscribe(&self, events: usize) -> Result<(), Failure> {
        let (to, requests) = mpsc::channel(64);
        let kind = |kind| v1::SubscribeRequest { kind: Some(kind) };
        let start = v1::SubscribeStart {
            webhook: "orgs/bench/groups/kept/webhooks/all".to_owned(),
            max_in_flight: IN_FLIGHT,
            ..Default::default()
        };
        to.send(kind(subscribe_request::Kind::Start(start))).await?;
        let stream = request(ReceiverStream::new(requests))?;
        let mut from = SubscriptionServiceClient::new(self.channel.clone())
            .subscribe(stream)
            .await?
            .into_inner();
        for _ in 0..events {
            let one = from.message().await?.ok_or("the subscription ended")?;
            let ack = v1::Ack {
                lease_token: one.lease_token,
            };
            to.send(kind(subscribe_request::Kind::Ack(ack))).await?;
        }
        Ok(())
    }
}

fn said(kind: report_request::Kind) -> v1::ReportRequest {
    v1::ReportRequest { kind: Some(kind) }
}
