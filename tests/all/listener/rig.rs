//! A listener with a few groups, and a control plane that keeps what it is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use hookplane_listener::{Config, KeyServers, Limits, RunError};
use hookplane_proto::v1;
use hookplane_tests::clock::TestClock;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use v1::stream_config_request::Kind;
use v1::stream_config_response::Kind as Push;

use super::resources::resources;
use crate::fake_control_plane::{ConfigStream, Failure, FakeControlPlane, ReportStream, soon};

pub(super) const NOW_MS: i64 = 1_700_000_000_000;
pub(super) const SECRET: &str = "It's a Secret to Everybody";
/// Signed over the body alone, as GitHub does.
pub(super) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// Signed over a timestamp and the body.
pub(super) const TIMED_TOKEN: &str = "fedcba9876543210fedcba9876543210";
pub(super) const DISABLED_TOKEN: &str = "00000000000000000000000000000001";
pub(super) const UNLOADABLE_TOKEN: &str = "00000000000000000000000000000002";
pub(super) const LIMITED_TOKEN: &str = "00000000000000000000000000000003";

/// Of one account, told from the body.
pub(super) const ACCOUNT_TOKEN: &str = "00000000000000000000000000000004";
/// Its credential is inside the JSON.
pub(super) const INSIDE_TOKEN: &str = "00000000000000000000000000000005";

pub(super) struct Rig {
    pub(super) control_plane: FakeControlPlane,
    pub(super) config: ConfigStream,
    pub(super) address: SocketAddr,
    pub(super) shutdown: CancellationToken,
    pub(super) task: JoinHandle<Result<(), RunError>>,
    pub(super) seen: Arc<Mutex<Vec<v1::ReportedCallback>>>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A listener that has had no word from anybody yet.
pub(super) async fn bare(
    limits: Limits,
) -> Result<
    (
        FakeControlPlane,
        SocketAddr,
        CancellationToken,
        JoinHandle<Result<(), RunError>>,
    ),
    Failure,
> {
    let clock = Arc::new(TestClock::at(NOW_MS));
    bare_with(limits, KeyServers::default(), clock).await
}

async fn bare_with(
    limits: Limits,
    keys: KeyServers,
    clock: Arc<TestClock>,
) -> Result<
    (
        FakeControlPlane,
        SocketAddr,
        CancellationToken,
        JoinHandle<Result<(), RunError>>,
    ),
    Failure,
> {
    let control_plane = FakeControlPlane::start()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let config = Config {
        name: "listener-1".to_owned(),
        pool: "default".to_owned(),
        control_planes: vec![control_plane.url()],
        token: "t0ken".into(),
        ca_file: None,
        limits,
        metrics: Arc::default(),
        keys,
    };
    let shutdown = CancellationToken::new();
    let run = hookplane_listener::run(listener, config, clock, shutdown.clone());
    Ok((control_plane, address, shutdown, tokio::spawn(run)))
}

impl Rig {
    /// With its plan applied and everything kept that is reported.
    pub(super) async fn start(limits: Limits) -> Result<Self, Failure> {
        let (rig, report) = Self::start_silent(limits).await?;
        rig.keep(report, kept());
        Ok(rig)
    }

    /// With its plan applied; reports are the caller's to answer.
    pub(super) async fn start_silent(limits: Limits) -> Result<(Self, ReportStream), Failure> {
        Self::of(bare(limits).await?, resources()).await
    }

    /// With these groups alone, whose public keys are at these servers; everything is kept that is reported.
    pub(super) async fn start_with(
        keys: KeyServers,
        clock: Arc<TestClock>,
        resources: Vec<v1::ConfigResource>,
    ) -> Result<Self, Failure> {
        let bare = bare_with(Limits::default(), keys, clock).await?;
        let (rig, report) = Self::of(bare, resources).await?;
        rig.keep(report, kept());
        Ok(rig)
    }

    async fn of(
        bare: (
            FakeControlPlane,
            SocketAddr,
            CancellationToken,
            JoinHandle<Result<(), RunError>>,
        ),
        resources: Vec<v1::ConfigResource>,
    ) -> Result<(Self, ReportStream), Failure> {
        let (mut control_plane, address, shutdown, task) = bare;
        let report = control_plane.report().await?;
        report.welcome().await?;
        let mut config = control_plane.config().await?;
        config.welcome("epoch-1", false).await?;
        push_list(&config, resources).await?;
        wait_ready(&mut config).await?;
        let rig = Self {
            control_plane,
            config,
            address,
            shutdown,
            task,
            seen: Arc::default(),
        };
        Ok((rig, report))
    }

    /// Answers all that is reported alike.
    pub(super) fn keep(&self, mut report: ReportStream, answer: v1::CallbackAnswer) {
        let seen = self.seen.clone();
        tokio::spawn(async move {
            while let Some(request) = report.next_or_end().await {
                let batch = match request.kind {
                    Some(v1::report_request::Kind::Batch(batch)) => batch,
                    other => match report.note(other).await {
                        Ok(()) => continue,
                        Err(_) => return,
                    },
                };
                // Before the answer, so that who was answered is seen.
                if let Ok(mut seen) = seen.lock() {
                    seen.extend(batch.callbacks.clone());
                }
                if report.answer(&batch, &answer).await.is_err() {
                    return;
                }
            }
        });
    }

    pub(super) fn seen(&self) -> Vec<v1::ReportedCallback> {
        self.seen
            .lock()
            .map(|seen| seen.clone())
            .unwrap_or_default()
    }

    pub(super) async fn post(
        &self,
        token: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Failure> {
        request(self.address, "POST", &format!("/c/{token}"), headers, body).await
    }

    /// A genuine push.
    pub(super) async fn push(&self, body: &[u8]) -> Result<Answer, Failure> {
        let signature = sign(body);
        self.post(TOKEN, &headers(&signature), body).await
    }
}

pub(super) fn kept() -> v1::CallbackAnswer {
    answer(v1::AnswerKind::Kept)
}

pub(super) fn answer(kind: v1::AnswerKind) -> v1::CallbackAnswer {
    v1::CallbackAnswer {
        kind: kind.into(),
        event_id: "event-1".to_owned(),
        receipt: v1::Receipt::Synced.into(),
        reason: "for an operator".to_owned(),
    }
}

pub(super) async fn push_list(
    config: &ConfigStream,
    resources: Vec<v1::ConfigResource>,
) -> Result<(), Failure> {
    let end = v1::ConfigListEnd {
        nonce: 1,
        revision: 10,
        count: resources.len() as u64,
        digest: 0,
        proof: Bytes::new(),
    };
    let end = Some(end);
    config
        .push(Push::ListChunk(v1::ConfigListChunk { resources, end }))
        .await
}

/// Only the group that is meant to be unloadable may be refused.
async fn wait_ready(config: &mut ConfigStream) -> Result<(), Failure> {
    loop {
        match config.next().await?.kind {
            Some(Kind::Ready(ready)) if ready.ready => return Ok(()),
            Some(Kind::Nack(nack)) => {
                for error in nack.errors {
                    if error.uid != "unloadable-uid" {
                        return Err(format!("{} refused: {}", error.uid, error.reason).into());
                    }
                }
            }
            _ => {}
        }
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    /// Lower case.
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .ok_or_else(|| format!("no whole answer: {text:?}"))?;
        let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
        Ok(Self {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        })
    }
}

pub(super) async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, Failure> {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nhost: hooks.example\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut stream = TcpStream::connect(address).await?;
    soon(stream.write_all(text.as_bytes())).await??;
    soon(stream.write_all(body)).await??;
    read_answer(&mut stream).await
}

/// Reads until the listener closes.
pub(super) async fn read_answer(stream: &mut TcpStream) -> Result<Answer, Failure> {
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await??;
    Answer::parse(&String::from_utf8(bytes)?)
}

pub(super) fn sign(content: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(content);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

pub(super) fn headers(signature: &str) -> Vec<(&str, &str)> {
    vec![
        ("content-type", "application/json"),
        ("x-event", "push"),
        ("x-delivery", "d-1"),
        ("x-signature", signature),
    ]
}
