//! One listener's stream, from its hello to its end.

use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::stream_config_request::Kind as Said;
use hookplane_proto::v1::stream_config_response::Kind;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::push::{self, Push};
use crate::access::Caller;
use crate::config::{Connected, ListenerScope};
use crate::context::Context;
use crate::store::StoreError;

/// For the listener's hello.
const HELLO: Duration = Duration::from_secs(10);
/// For a push to be drained and answered.
pub(super) const PUSH: Duration = Duration::from_secs(30);
/// Between heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// For this view to come to where a listener already is.
const CATCH_UP: Duration = Duration::from_secs(5);
/// After a second digest that differs, before another full list; doubles.
const RESYNC: Duration = Duration::from_secs(60);
/// The longest of those.
const RESYNC_MAX: Duration = Duration::from_secs(3600);
/// What a listener may say of itself, in bytes each.
const NAME_BYTES: usize = 256;
/// Errors of one nack that are kept.
const NACK_ERRORS: usize = 1_000;
/// Of a nack's reason, in characters.
const REASON_CHARS: usize = 1_024;

type Out = mpsc::Sender<Result<v1::StreamConfigResponse, Status>>;

/// Until the listener leaves, misbehaves, or the server shuts down.
pub(super) async fn run(
    context: &Context,
    caller: &Caller,
    mut said: Streaming<v1::StreamConfigRequest>,
    out: &Out,
    answer_within: Duration,
) -> Result<(), Status> {
    let first = tokio::time::timeout(HELLO, said.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello came"))??;
    let Some(Said::Hello(hello)) = first.and_then(|r| r.kind) else {
        return Err(Status::invalid_argument("the first request must be hello"));
    };
    for (field, text) in [
        ("listener", &hello.listener),
        ("boot", &hello.boot),
        ("pool", &hello.pool),
        ("software_version", &hello.software_version),
    ] {
        if text.len() > NAME_BYTES {
            return Err(Status::invalid_argument(format!(
                "hello.{field} is longer than {NAME_BYTES} bytes"
            )));
        }
    }
    let scope = caller.listener_scope(&hello.pool)?;
    let resume = may_resume(context, &scope, &hello).await?;
    let connected = context.fleet.connect(&hello, &scope, context.clock.now());
    let mut session = Session {
        context,
        out,
        answer_within,
        scope,
        connected,
        nonce: 0,
        at: if resume { hello.revision } else { 0 },
        list_next: !resume,
        in_flight: None,
        differed: 0,
        resync: RESYNC,
        resync_at: None,
    };
    session
        .send(Kind::Welcome(v1::ConfigWelcome {
            epoch: context.view.epoch(),
            resume,
        }))
        .await?;
    // Also when nothing changed: its answer brings the digest.
    session.push().await?;
    session.serve(&mut said).await
}

/// Whether deltas can bring this listener up to date. Older state is never sent as newer.
async fn may_resume(
    context: &Context,
    scope: &ListenerScope,
    hello: &v1::ConfigHello,
) -> Result<bool, Status> {
    let view = &context.view;
    if hello.revision == 0 || hello.epoch != view.epoch() {
        return Ok(false);
    }
    // Risk 25: a replica whose watch lags waits, then refuses.
    if !view
        .reached(hello.revision, Instant::now() + CATCH_UP)
        .await
    {
        let store = context
            .store
            .list(crate::keys::ROOT, None, 1, None)
            .await
            .map_err(|error: StoreError| Status::unavailable(error.to_string()))?;
        if store.revision >= hello.revision {
            return Err(Status::unavailable(
                "this replica's view is behind the listener",
            ));
        }
        // Risk 26: the store itself is behind what it once said, so it was rolled back.
        tracing::error!(
            listener = hello.listener,
            listener_revision = hello.revision,
            store_revision = store.revision,
            "a listener is ahead of the store: the store was restored from an older copy; a new epoch begins"
        );
        view.begin_epoch()
            .map_err(|error| Status::unavailable(error.to_string()))?;
        return Ok(false);
    }
    Ok(view.delta(&scope.pool, hello.revision).is_some())
}

struct Session<'a> {
    context: &'a Context,
    out: &'a Out,
    answer_within: Duration,
    scope: ListenerScope,
    connected: Connected,
    nonce: u64,
    /// The revision that was pushed last.
    at: u64,
    list_next: bool,
    in_flight: Option<(Push, Instant)>,
    /// Digests in a row that were not ours.
    differed: u32,
    resync: Duration,
    resync_at: Option<Instant>,
}

impl Session<'_> {
    async fn serve(&mut self, said: &mut Streaming<v1::StreamConfigRequest>) -> Result<(), Status> {
        let view = self.context.view.clone();
        let mut revisions = view.revisions();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.in_flight.is_none() {
                revisions.borrow_and_update();
                if self.list_next || view.changed_after(&self.scope.pool, self.at) {
                    self.push().await?;
                }
            }
            let answer_by = self.in_flight.as_ref().map(|(_, by)| *by);
            tokio::select! {
                () = view.shutdown().cancelled() => {
                    return self.send(Kind::Drain(v1::ConfigDrain { after_seconds: 0 })).await;
                }
                request = said.message() => match request? {
                    None => return Ok(()),
                    Some(request) => self.take(request)?,
                },
                changed = revisions.changed(), if self.in_flight.is_none() => {
                    changed.map_err(|_| Status::unavailable("the view has ended"))?;
                }
                _ = heartbeat.tick() => {
                    self.send(Kind::Heartbeat(v1::ConfigHeartbeat {
                        revision: view.revision(),
                        time: Some(crate::time::to_wire(self.context.clock.now())),
                    }))
                    .await?;
                }
                // Risk 18: one slow listener keeps nobody waiting but itself.
                () = at(answer_by) => {
                    return Err(Status::deadline_exceeded("a push was not answered"));
                }
                () = at(self.resync_at) => {
                    self.resync_at = None;
                    self.list_next = true;
                }
            }
        }
    }

    fn take(&mut self, request: v1::StreamConfigRequest) -> Result<(), Status> {
        match request.kind {
            Some(Said::Ready(ready)) => {
                self.connected.ready(ready.ready);
                Ok(())
            }
            Some(Said::Ack(ack)) => self.answered(ack.nonce, ack.digest, Vec::new()),
            Some(Said::Nack(nack)) => {
                let errors = bounded(nack.errors);
                self.context.metrics.nacked();
                for error in &errors {
                    tracing::warn!(
                        uid = error.uid,
                        revision = error.revision,
                        reason = error.reason,
                        "a listener refused a resource; its last version stays there"
                    );
                }
                self.answered(nack.nonce, nack.digest, errors)
            }
            Some(Said::Hello(_)) | None => {
                Err(Status::invalid_argument("expected ack, nack or ready"))
            }
        }
    }

    fn answered(
        &mut self,
        nonce: u64,
        digest: u64,
        refused: Vec<v1::ConfigError>,
    ) -> Result<(), Status> {
        let Some((push, _)) = self.in_flight.take_if(|(push, _)| push.nonce == nonce) else {
            return Err(Status::invalid_argument(format!(
                "no push with nonce {nonce} is in flight"
            )));
        };
        if push.digest == digest {
            self.differed = 0;
            self.resync = RESYNC;
            self.connected
                .applied(push.to, push.uids.as_deref(), refused);
            return Ok(());
        }
        // Risk 17: what was lost on the way shows here.
        self.differed += 1;
        if self.differed == 1 {
            tracing::warn!(
                pool = %self.scope.pool,
                revision = push.to,
                "a listener's digest differs; it gets a full list"
            );
            self.list_next = true;
        } else if self.resync_at.is_none() {
            tracing::error!(
                pool = %self.scope.pool,
                revision = push.to,
                again_in = ?self.resync,
                "a listener's digest still differs after a full list"
            );
            self.resync_at = Some(Instant::now() + self.resync);
            self.resync = (self.resync * 2).min(RESYNC_MAX);
        }
        Ok(())
    }

    /// Sends what the listener lacks, as one push.
    async fn push(&mut self) -> Result<(), Status> {
        self.nonce += 1;
        let view = &self.context.view;
        let changed = if self.list_next {
            None
        } else {
            view.delta(&self.scope.pool, self.at)
                .and_then(|delta| push::delta(self.nonce, self.at, delta))
        };
        let (push, parts) =
            changed.unwrap_or_else(|| push::list(self.nonce, view.snapshot(&self.scope.pool)));
        self.list_next = false;
        self.context.metrics.pushed(push.uids.is_none());
        self.at = push.to;
        for part in parts {
            self.send(part).await?;
        }
        self.in_flight = Some((push, Instant::now() + self.answer_within));
        Ok(())
    }

    async fn send(&self, kind: Kind) -> Result<(), Status> {
        let response = v1::StreamConfigResponse { kind: Some(kind) };
        match tokio::time::timeout(self.answer_within, self.out.send(Ok(response))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Status::cancelled("the listener is gone")),
            Err(_) => Err(Status::deadline_exceeded("the stream is not drained")),
        }
    }
}

fn bounded(mut errors: Vec<v1::ConfigError>) -> Vec<v1::ConfigError> {
    errors.truncate(NACK_ERRORS);
    for error in &mut errors {
        if let Some((end, _)) = error.reason.char_indices().nth(REASON_CHARS) {
            error.reason.truncate(end);
        }
    }
    errors
}

/// Never, without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
