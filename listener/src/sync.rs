//! The config stream: a list, then changes; each compiled aside and swapped in as one.
//!
//! ```text
//!  Hello ─▶ Welcome ─┬ full   ─▶ ListChunk … end ─▶ replace ─▶ swap ─▶ Ack | Nack ─┐
//!                    └ resume ───────────────────────────────────────────────────▶ Delta ─▶ change ─▶ swap ─▶ Ack | Nack ↺
//! ```
//!
//! Guarantees:
//! - Requests see one plan or the next, never a part of one. They never wait for it.
//! - What the stream's loss interrupts is forgotten: half a list changes nothing.
//! - The last good plan stays, however long the control plane is away. Older state is never taken for newer.
//! - A stream that falls silent is left. Told to drain, it goes to any replica, after a pause of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookplane_proto::v1;
use hookplane_proto::v1::config_service_client::ConfigServiceClient;
use hookplane_rules::{Applied, Plan};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use v1::stream_config_request::Kind;
use v1::stream_config_response::Kind as Said;

use crate::backoff::Backoff;
use crate::connect::Peer;
use crate::state::State;

/// For the connection and the control plane's first word on it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A delta is one message. Lists come in chunks of 1 MiB.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// Our answers to pushes: one push is in flight per stream.
const ANSWERS: usize = 16;
/// The control plane's heartbeats come every 5 s. A stream without any message for this long is dead, whatever its connection says (risk 20).
const SILENCE: Duration = Duration::from_secs(15);
/// For the welcome: the control plane may be busy with others' lists.
const WELCOME: Duration = Duration::from_secs(30);
/// A stream that lived this long was a good one. Longer than it may take to open one.
const GOOD_AFTER: Duration = Duration::from_secs(6);
/// What our clock may be off before timestamps of callbacks can't be judged by it (risk 44).
const MAX_CLOCK_OFFSET_MS: i64 = 30_000;

struct Client {
    state: Arc<State>,
    peer: Peer,
    /// Of the store that the running plan came from. Empty without one.
    epoch: String,
    /// Of the running plan's revision, as the control plane gave it.
    proof: Bytes,
    /// Streams tried so far: the next one goes to the next replica.
    attempt: usize,
}

/// How a session ended when nothing was wrong.
enum End {
    /// The control plane asked us to go elsewhere.
    Drained,
    Stopped,
}

/// Follows the control plane until `stop`. Tells it on `shutdown` that this listener is not ready any more.
pub(crate) async fn run(
    state: Arc<State>,
    peer: Peer,
    shutdown: CancellationToken,
    stop: CancellationToken,
) {
    let mut client = Client {
        state: state.clone(),
        peer,
        epoch: String::new(),
        proof: Bytes::new(),
        attempt: 0,
    };
    let mut backoff = Backoff::default();
    // Said once per change, not once per attempt.
    let mut told_lost = false;
    loop {
        let began = Instant::now();
        let ended = tokio::select! {
            ended = client.session(&shutdown, &stop, &mut told_lost) => ended,
            // A session says farewell by itself, so this only ends an attempt to open one.
            () = async { stop.cancelled().await; sleep(Duration::from_millis(500)).await } => return,
        };
        state.link.down();
        match ended {
            Ok(End::Stopped) => return,
            Ok(End::Drained) => {
                tracing::info!("config stream drained; connecting anew");
                client.attempt = client.peer.after_drain(client.attempt);
                // The others were told at the same time (risk 23), so it pauses like after a first failure.
                backoff.reset();
            }
            Err(error) => {
                client.attempt += 1;
                if !std::mem::replace(&mut told_lost, true) {
                    let error = error.message();
                    if state.link.has_plan() {
                        tracing::warn!(
                            error,
                            "config stream lost; the last good plan stays in use"
                        );
                    } else {
                        tracing::warn!(
                            error,
                            "no configuration yet; callbacks are answered 503 until there is"
                        );
                    }
                }
            }
        }
        if began.elapsed() >= GOOD_AFTER {
            backoff.reset();
        }
        tokio::select! {
            () = sleep(backoff.next()) => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Client {
    async fn session(
        &mut self,
        shutdown: &CancellationToken,
        stop: &CancellationToken,
        told_lost: &mut bool,
    ) -> Result<End, Status> {
        let (out, requests) = mpsc::channel(ANSWERS);
        send(&out, Kind::Hello(self.hello())).await?;
        let open = async {
            let mut client = ConfigServiceClient::new(self.peer.connect(self.attempt).await?)
                .max_decoding_message_size(MAX_MESSAGE_BYTES);
            client
                .stream_config(self.peer.request(ReceiverStream::new(requests)))
                .await
        };
        let mut pushes = timeout(OPEN_TIMEOUT, open)
            .await
            .map_err(|_| Status::deadline_exceeded("no answer from the control plane"))??
            .into_inner();

        // Of what comes on this stream, once it has said welcome.
        let mut epoch = String::new();
        let mut list = Vec::new();
        let mut reporting = self.state.link.watch_reporting();
        let mut told_ready = false;
        let mut told_leaving = false;
        let mut drain_at = None;
        let mut silent_at = Instant::now() + WELCOME;
        loop {
            // Ready: a full list applied, the sockets bound (they are before this starts), and reporting connected once.
            let ready = self.state.link.has_plan() && *reporting.borrow_and_update();
            if ready && !told_ready && !shutdown.is_cancelled() {
                told_ready = true;
                send(&out, Kind::Ready(v1::ConfigReady { ready: true })).await?;
            }
            tokio::select! {
                push = pushes.message() => {
                    let Some(push) = push? else {
                        return match drain_at {
                            Some(_) => Ok(End::Drained),
                            None => Err(Status::unavailable("the control plane ended the stream")),
                        };
                    };
                    self.state.link.heard();
                    match push.kind {
                        Some(Said::Welcome(welcome)) => epoch = self.welcome(welcome, told_lost)?,
                        Some(Said::ListChunk(chunk)) => {
                            list.extend(chunk.resources);
                            if let Some(end) = chunk.end {
                                let list = std::mem::take(&mut list);
                                send(&out, self.replace(list, end, &epoch).await?).await?;
                            }
                        }
                        Some(Said::Delta(delta)) => send(&out, self.change(delta, &epoch).await?).await?,
                        Some(Said::Heartbeat(heartbeat)) => self.heartbeat(&heartbeat),
                        Some(Said::Drain(drain)) => {
                            drain_at = Some(Instant::now() + Duration::from_secs(drain.after_seconds.into()));
                        }
                        // From a newer control plane.
                        None => {}
                    }
                    // From here: while a large list was compiled, nobody listened.
                    silent_at = Instant::now() + SILENCE;
                }
                changed = reporting.changed(), if !told_ready => {
                    // The sender lives in our own state.
                    changed.map_err(|_| Status::internal("the report client is gone"))?;
                }
                () = async { match drain_at { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                    return Ok(End::Drained);
                }
                () = sleep_until(silent_at) => {
                    return Err(Status::deadline_exceeded("the control plane has fallen silent"));
                }
                () = shutdown.cancelled(), if !told_leaving => {
                    told_leaving = true;
                    send(&out, Kind::Ready(v1::ConfigReady { ready: false })).await?;
                }
                () = stop.cancelled(), if told_leaving => {
                    drop(out);
                    // The caller bounds the time.
                    while pushes.message().await?.is_some() {}
                    return Ok(End::Stopped);
                }
            }
        }
    }

    fn hello(&self) -> v1::ConfigHello {
        let plan = self.state.plan.load();
        // A plan whose epoch we don't know is no plan to resume from.
        let known = !self.epoch.is_empty();
        v1::ConfigHello {
            listener: self.state.name.clone(),
            boot: self.peer.boot.clone(),
            pool: self.state.pool.clone(),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.epoch.clone(),
            revision: if known { plan.revision() } else { 0 },
            digest: if known { plan.digest() } else { 0 },
            proof: self.proof.clone(),
        }
    }

    /// Returns the epoch of what is to come.
    fn welcome(&self, welcome: v1::ConfigWelcome, told_lost: &mut bool) -> Result<String, Status> {
        if welcome.resume && (self.epoch.is_empty() || welcome.epoch != self.epoch) {
            return Err(Status::failed_precondition(
                "the control plane wants to resume from a plan that is not ours",
            ));
        }
        self.state.link.up();
        *told_lost = false;
        tracing::info!(resume = welcome.resume, "config stream connected");
        Ok(welcome.epoch)
    }

    async fn replace(
        &mut self,
        list: Vec<v1::ConfigResource>,
        end: v1::ConfigListEnd,
        epoch: &str,
    ) -> Result<Kind, Status> {
        if list.len() as u64 != end.count {
            return Err(Status::data_loss(format!(
                "a list of {} resources came with {}",
                end.count,
                list.len()
            )));
        }
        let running = self.state.plan.load().revision();
        if epoch == self.epoch && end.revision < running {
            return Err(Status::failed_precondition(format!(
                "a list of revision {} came while {running} runs",
                end.revision
            )));
        }
        let answer = self
            .apply(end.nonce, move |plan| plan.replace(list, end.revision))
            .await?;
        epoch.clone_into(&mut self.epoch);
        self.proof = end.proof;
        self.state.link.planned();
        Ok(answer)
    }

    async fn change(&mut self, delta: v1::ConfigDelta, epoch: &str) -> Result<Kind, Status> {
        let running = self.state.plan.load().revision();
        if !self.state.link.has_plan() || epoch != self.epoch {
            return Err(Status::failed_precondition("a change came before a list"));
        }
        if delta.to < running {
            return Err(Status::failed_precondition(format!(
                "a change to revision {} came while {running} runs",
                delta.to
            )));
        }
        // Whether anything is missing in between shows in the digest, and the control plane sees to that.
        let answer = self
            .apply(delta.nonce, move |plan| {
                plan.change(&delta.removes, delta.upserts, delta.to)
            })
            .await?;
        self.proof = delta.proof;
        Ok(answer)
    }

    /// Compiles aside, so that no request waits behind it and a panic stays there; then swaps one pointer.
    async fn apply(
        &self,
        nonce: u64,
        make: impl FnOnce(&Plan) -> Applied + Send + 'static,
    ) -> Result<Kind, Status> {
        let state = self.state.clone();
        let applied = tokio::task::spawn_blocking(move || {
            let Applied { plan, refused } = make(&state.plan.load_full());
            let (revision, digest) = (plan.revision(), plan.digest());
            // The plan before it is dropped here as well: that takes a while when it is large.
            state.plan.store(Arc::new(plan));
            (revision, digest, refused)
        })
        .await;
        let (revision, digest, refused) = applied.map_err(|error| {
            tracing::error!(%error, "applying a configuration panicked: please report this as a bug");
            Status::internal("applying a configuration panicked")
        })?;
        let now = self.state.clock.now();
        self.state.metrics.plan_applied(now, refused.len());
        if refused.is_empty() {
            tracing::debug!(revision, "config applied");
            return Ok(Kind::Ack(v1::ConfigAck {
                nonce,
                revision,
                digest,
            }));
        }
        for error in &refused {
            tracing::warn!(
                uid = error.uid,
                revision = error.revision,
                reason = error.reason,
                "refused a resource; its last version stays in use"
            );
        }
        Ok(Kind::Nack(v1::ConfigNack {
            nonce,
            revision,
            digest,
            errors: refused,
        }))
    }

    fn heartbeat(&self, heartbeat: &v1::ConfigHeartbeat) {
        let Some(time) = &heartbeat.time else { return };
        let theirs = time
            .seconds
            .saturating_mul(1000)
            .saturating_add(i64::from(time.nanos) / 1_000_000);
        let offset_ms = self.state.clock.now().0.saturating_sub(theirs);
        let off = offset_ms.saturating_abs() > MAX_CLOCK_OFFSET_MS;
        if !self.state.link.set_clock_off(off) {
            return;
        }
        if off {
            tracing::error!(
                offset_ms,
                "this machine's clock is not the control plane's: set it right; until then callbacks with an old timestamp are answered 503 instead of 401"
            );
        } else {
            tracing::info!(offset_ms, "clock is right again");
        }
    }
}

async fn send(out: &mpsc::Sender<v1::StreamConfigRequest>, kind: Kind) -> Result<(), Status> {
    let sent = out.send(v1::StreamConfigRequest { kind: Some(kind) });
    timeout(SILENCE, sent)
        .await
        .map_err(|_| Status::deadline_exceeded("the control plane doesn't read our answers"))?
        .map_err(|_| Status::unavailable("the stream was closed"))
}

#[cfg(test)]
mod tests;
