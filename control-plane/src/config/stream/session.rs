//! One listener's stream, from its hello to its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::encoded_config::{Kind, StreamConfigResponse};
use hookplane_proto::v1;
use hookplane_proto::v1::stream_config_request::Kind as Said;
use tokio::sync::{SemaphorePermit, mpsc};
use tokio::time::{Instant, timeout};
use tonic::{Status, Streaming};

use super::push::{self, Push};
use super::{Shared, hello};
use crate::access::Caller;
use crate::config::view::Offered;
use crate::config::{Connected, ListenerScope};
use crate::context::Context;

/// Between heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// For a listener that was told to drain to leave by itself.
const LEAVE: Duration = Duration::from_secs(5);
/// For one part of a list to be drained: at worst 200 KB/s, so that one that is stuck doesn't hold up those that wait for their lists.
const CHUNK: Duration = Duration::from_secs(5);
/// After a second digest that differs, before another full list; doubles.
const RESYNC: Duration = Duration::from_secs(60);
/// The longest of those.
const RESYNC_MAX: Duration = Duration::from_secs(3600);
/// Errors of one nack that are kept.
const NACK_ERRORS: usize = 1_000;
/// Of a nack's uid, in bytes: ours are shorter.
const UID_BYTES: usize = 128;
/// Of a nack's reason, in characters.
const REASON_CHARS: usize = 1_024;

type Out = mpsc::Sender<Result<StreamConfigResponse, Status>>;

/// Until the listener leaves, misbehaves, or is told to drain.
pub(super) async fn run(
    context: &Context,
    caller: &Caller,
    mut said: Streaming<v1::StreamConfigRequest>,
    out: &Out,
    shared: Shared,
) -> Result<(), Status> {
    let hello = hello::read(&mut said).await?;
    let scope = caller.listener_scope(&hello.pool)?;
    let start = hello::start(context, &scope, &hello, &shared.proofs).await?;
    // Before the welcome: who has to wait for its list may as well try another replica.
    let admitted = match start.cursor {
        Some(_) => None,
        None => Some(admit(&shared).await?),
    };
    let connected = context.fleet.connect(&hello, &scope, context.clock.now());
    let drain_at = Instant::now() + context.age_of_a_stream();
    let mut session = Session {
        context,
        out,
        shared: &shared,
        scope,
        epoch: start.epoch.clone(),
        connected,
        nonce: 0,
        at: hello.revision,
        cursor: start.cursor,
        in_flight: None,
        differed: 0,
        resync: RESYNC,
        resync_at: None,
        drain_at,
    };
    session
        .send(
            Kind::Welcome(v1::ConfigWelcome {
                epoch: start.epoch.to_string(),
                resume: start.cursor.is_some(),
            }),
            shared.answer,
        )
        .await?;
    // Risk 44: before the first plan, so that nothing is judged by a clock that nobody has compared.
    session.beat().await?;
    // Also when nothing changed: its answer brings the digest.
    if session.push(admitted).await? == Pushed::OtherEpoch {
        return session.drain().await;
    }
    session.serve(&mut said).await
}

/// Risk 23: of a herd that comes back a few are served at a time.
async fn admit(shared: &Shared) -> Result<SemaphorePermit<'_>, Status> {
    match timeout(shared.admitted, shared.lists.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Status::unavailable(
            "many listeners need their full lists at the moment; come back",
        )),
    }
}

#[derive(PartialEq, Eq)]
enum Pushed {
    Sent,
    OtherEpoch,
}

struct Session<'a> {
    context: &'a Context,
    out: &'a Out,
    shared: &'a Shared,
    scope: ListenerScope,
    /// Of everything on this stream.
    epoch: Arc<str>,
    connected: Connected,
    nonce: u64,
    /// The revision that was pushed last.
    at: u64,
    /// The place in the pool's history up to which all was pushed. None when a full list is next.
    cursor: Option<u64>,
    in_flight: Option<(Push, Instant)>,
    /// Digests in a row that were not ours.
    differed: u32,
    resync: Duration,
    resync_at: Option<Instant>,
    drain_at: Instant,
}

impl Session<'_> {
    async fn serve(&mut self, said: &mut Streaming<v1::StreamConfigRequest>) -> Result<(), Status> {
        let view = self.context.view.clone();
        let mut offers = view.offers();
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // One timer and one wait for the end, kept: to begin them anew with every push would cost all streams the locks that they share.
        let mut alarm = pin!(tokio::time::sleep_until(self.due()));
        let mut ended = pin!(view.shutdown().cancelled());
        loop {
            offers.borrow_and_update();
            if *view.epoch() != *self.epoch {
                return self.drain().await;
            }
            if self.in_flight.is_none() && self.is_behind() {
                let admitted = match self.cursor {
                    Some(_) => None,
                    None => Some(admit(self.shared).await?),
                };
                if self.push(admitted).await? == Pushed::OtherEpoch {
                    return self.drain().await;
                }
            }
            let due = self.due();
            // One that comes too early looks again.
            if due < alarm.deadline() {
                alarm.as_mut().reset(due);
            }
            tokio::select! {
                () = &mut ended => return self.drain().await,
                () = &mut alarm => {
                    let now = Instant::now();
                    if now >= self.drain_at {
                        self.drain().await?;
                        return self.see_off(said).await;
                    }
                    // Risk 18: one slow listener keeps nobody waiting but itself.
                    if self.in_flight.as_ref().is_some_and(|(_, by)| now >= *by) {
                        return Err(Status::deadline_exceeded("a push was not answered"));
                    }
                    if self.resync_at.is_some_and(|at| now >= at) {
                        self.resync_at = None;
                        self.cursor = None;
                    }
                    alarm.as_mut().reset(self.due());
                }
                request = said.message() => match request? {
                    None => return Ok(()),
                    Some(request) => self.take(request)?,
                },
                changed = offers.changed() => {
                    changed.map_err(|_| Status::unavailable("the view has ended"))?;
                }
                _ = heartbeat.tick() => self.beat().await?,
            }
        }
    }

    /// When something has to be looked at next, if nothing happens.
    fn due(&self) -> Instant {
        let answer_by = self.in_flight.as_ref().map(|(_, by)| *by);
        let others = [answer_by, self.resync_at].into_iter().flatten();
        others.fold(self.drain_at, Instant::min)
    }

    async fn beat(&self) -> Result<(), Status> {
        let beat = v1::ConfigHeartbeat {
            revision: self.context.view.revision(),
            time: Some(hookplane_rules::time::to_wire(self.context.clock.now())),
        };
        self.send(Kind::Heartbeat(beat), self.shared.answer).await
    }

    fn is_behind(&self) -> bool {
        let view = &self.context.view;
        self.cursor
            .is_none_or(|cursor| view.changed_after(&self.scope, cursor))
    }

    async fn drain(&self) -> Result<(), Status> {
        let drain = v1::ConfigDrain { after_seconds: 0 };
        self.send(Kind::Drain(drain), self.shared.answer).await
    }

    /// It leaves by itself, and what it still answers counts.
    async fn see_off(
        &mut self,
        said: &mut Streaming<v1::StreamConfigRequest>,
    ) -> Result<(), Status> {
        let leaving = async {
            while let Some(request) = said.message().await? {
                self.take(request)?;
            }
            Ok(())
        };
        // One that stays has had its notice.
        timeout(LEAVE, leaving).await.unwrap_or(Ok(()))
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
                .applied((push.to, digest), push.uids.as_deref(), refused);
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
            self.cursor = None;
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

    /// Sends what the listener lacks, as one push. A list needs its turn, which ends when it is on its way.
    async fn push(&mut self, admitted: Option<SemaphorePermit<'_>>) -> Result<Pushed, Status> {
        self.nonce += 1;
        let view = &self.context.view;
        let snapshot = match view.offer(&self.scope, &self.epoch, self.cursor) {
            Offered::OtherEpoch => return Ok(Pushed::OtherEpoch),
            Offered::List(snapshot) => snapshot,
            Offered::Delta(delta) => {
                let cursor = delta.cursor;
                let proof = self.shared.proofs.of(&self.epoch, delta.to);
                if let Some((push, kind)) = push::delta(self.nonce, self.at, delta, proof) {
                    self.cursor = Some(cursor);
                    self.send(kind, self.shared.answer).await?;
                    self.sent(push);
                    return Ok(Pushed::Sent);
                }
                match view.offer(&self.scope, &self.epoch, None) {
                    Offered::List(snapshot) => snapshot,
                    _ => return Ok(Pushed::OtherEpoch),
                }
            }
        };
        let _turn = match admitted {
            Some(turn) => turn,
            None => admit(self.shared).await?,
        };
        self.cursor = Some(snapshot.cursor);
        let proof = self.shared.proofs.of(&self.epoch, snapshot.revision);
        let (push, parts) = push::list(self.nonce, &snapshot, proof);
        for part in parts {
            self.send(part, self.shared.answer.min(CHUNK)).await?;
        }
        self.sent(push);
        Ok(Pushed::Sent)
    }

    fn sent(&mut self, push: Push) {
        self.context.metrics.pushed(push.uids.is_none());
        self.at = push.to;
        self.in_flight = Some((push, Instant::now() + self.shared.answer));
    }

    async fn send(&self, kind: Kind, within: Duration) -> Result<(), Status> {
        let response = StreamConfigResponse { kind: Some(kind) };
        match timeout(within, self.out.send(Ok(response))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Status::cancelled("the listener is gone")),
            Err(_) => Err(Status::deadline_exceeded("the stream is not drained")),
        }
    }
}

fn bounded(mut errors: Vec<v1::ConfigError>) -> Vec<v1::ConfigError> {
    errors.retain(|error| error.uid.len() <= UID_BYTES);
    errors.truncate(NACK_ERRORS);
    for error in &mut errors {
        if let Some((end, _)) = error.reason.char_indices().nth(REASON_CHARS) {
            error.reason.truncate(end);
        }
    }
    errors
}
