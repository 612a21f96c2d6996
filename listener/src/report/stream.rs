//! The report stream: opened, filled, emptied, and opened again when it is lost.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::report_service_client::ReportServiceClient;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use v1::report_request::Kind;
use v1::report_response::Kind as Said;

use super::outbox::{Outbox, Pending};
use crate::backoff::Backoff;
use crate::connect::Peer;
use crate::state::State;

/// For the connection and the control plane's first word on it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often what nobody waits for is looked for while there is no room.
const PRUNE_EVERY: Duration = Duration::from_millis(100);
/// Refusals and counters go up this often, if there are any.
const REFUSALS_EVERY: Duration = Duration::from_secs(1);
/// A stream that lived this long was a good one: the next attempt is the first again. Longer than it may take to open one.
const GOOD_AFTER: Duration = Duration::from_secs(6);

struct Client {
    state: Arc<State>,
    peer: Peer,
    reports: mpsc::Receiver<Pending>,
    outbox: Outbox,
    /// Streams tried so far: the next one goes to the next replica.
    attempt: usize,
}

/// Reports until `stop`.
pub(crate) async fn run(
    state: Arc<State>,
    peer: Peer,
    reports: mpsc::Receiver<Pending>,
    stop: CancellationToken,
) {
    let mut client = Client {
        state,
        peer,
        reports,
        outbox: Outbox::new(),
        attempt: 0,
    };
    let mut backoff = Backoff::default();
    // Said once per change, not once per attempt.
    let mut told_lost = false;
    loop {
        let began = Instant::now();
        let ended = client.session(&stop, &mut told_lost).await;
        client.outbox.lost();
        client.attempt += 1;
        if stop.is_cancelled() {
            return;
        }
        if let Err(error) = ended
            && !std::mem::replace(&mut told_lost, true)
        {
            tracing::warn!(
                error = error.message(),
                "report stream lost; callbacks wait for the next one, as long as their providers do"
            );
        }
        if began.elapsed() >= GOOD_AFTER {
            backoff.reset();
            // What was on its way has a budget: the first attempt is made at once.
            continue;
        }
        let wait = backoff.next();
        if client.hold(sleep(wait), &stop).await.is_none() {
            return;
        }
    }
}

impl Client {
    /// Does something else while callbacks come in. None when it is time to stop.
    async fn hold<T>(
        &mut self,
        other: impl Future<Output = T>,
        stop: &CancellationToken,
    ) -> Option<T> {
        let mut other = std::pin::pin!(other);
        loop {
            self.make_room();
            let full = self.outbox.is_full();
            tokio::select! {
                done = &mut other => return Some(done),
                () = stop.cancelled() => return None,
                Some(pending) = self.reports.recv(), if !full => self.outbox.push(pending),
                () = sleep(PRUNE_EVERY), if full => {}
            }
        }
    }

    fn make_room(&mut self) {
        if self.outbox.is_full() {
            self.outbox.prune(Instant::now());
        }
    }

    /// One stream, from its opening to its end.
    async fn session(
        &mut self,
        stop: &CancellationToken,
        told_lost: &mut bool,
    ) -> Result<(), Status> {
        // Room for one: the next batch is made when the last one has left, of all that waits by then.
        let (out, requests) = mpsc::channel(1);
        let hello = v1::ReportHello {
            listener: self.state.name.clone(),
            boot: self.peer.boot.clone(),
            pool: self.state.pool.clone(),
        };
        let closed = |_| Status::unavailable("the stream was closed");
        out.send(request(Kind::Hello(hello)))
            .await
            .map_err(closed)?;
        let (peer, attempt) = (self.peer.clone(), self.attempt);
        let open = timeout(OPEN_TIMEOUT, async move {
            let mut client = ReportServiceClient::new(peer.connect(attempt).await?);
            client
                .report(peer.request(ReceiverStream::new(requests)))
                .await
        });
        let Some(opened) = self.hold(open, stop).await else {
            return Ok(());
        };
        let mut answers = opened
            .map_err(|_| Status::deadline_exceeded("no answer from the control plane"))??
            .into_inner();

        let mut aside = VecDeque::new();
        let mut refusals_due = interval(REFUSALS_EVERY);
        refusals_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let state = self.state.clone();
        loop {
            self.make_room();
            let full = self.outbox.is_full();
            let has_work = !aside.is_empty() || self.outbox.can_send();
            let due = self.outbox.due();
            tokio::select! {
                said = answers.message() => match said? {
                    Some(response) => self.said(response, told_lost),
                    None => return Err(Status::unavailable("the control plane ended the stream")),
                },
                permit = out.reserve(), if has_work => {
                    let permit = permit.map_err(|_| Status::unavailable("the stream was closed"))?;
                    // Refusals come about once a second, so they hold nobody up for long.
                    let next = aside.pop_front().or_else(|| {
                        self.take_waiting();
                        self.outbox.next_batch(Instant::now()).map(Kind::Batch)
                    });
                    if let Some(next) = next {
                        permit.send(request(next));
                    }
                }
                Some(pending) = self.reports.recv(), if !full => self.outbox.push(pending),
                () = sleep(PRUNE_EVERY), if full => {}
                () = async { match due { Some(due) => sleep_until(due).await, None => pending().await } } => {
                    self.outbox.take_due(Instant::now());
                }
                _ = refusals_due.tick() => aside.extend(state.refusals.take()),
                () = state.refusals.many() => aside.extend(state.refusals.take()),
                () = stop.cancelled() => break,
            }
        }
        self.farewell(out, answers, aside).await
    }

    /// All that waits in the queue goes along.
    fn take_waiting(&mut self) {
        while !self.outbox.is_full() {
            match self.reports.try_recv() {
                Ok(pending) => self.outbox.push(pending),
                Err(_) => return,
            }
        }
    }

    fn said(&mut self, response: v1::ReportResponse, told_lost: &mut bool) {
        match response.kind {
            Some(Said::Welcome(welcome)) => {
                self.outbox.welcome(welcome);
                self.state.link.reporting_connected();
                *told_lost = false;
                tracing::info!("report stream connected");
            }
            Some(Said::Batch(answer)) => self.outbox.answered(answer, Instant::now()),
            // From a newer control plane.
            None => {}
        }
    }

    /// The last refusals. The caller bounds the time.
    async fn farewell(
        &mut self,
        out: mpsc::Sender<v1::ReportRequest>,
        mut answers: Streaming<v1::ReportResponse>,
        mut aside: VecDeque<Kind>,
    ) -> Result<(), Status> {
        aside.extend(self.state.refusals.take());
        for kind in aside {
            out.send(request(kind))
                .await
                .map_err(|_| Status::unavailable("the stream was closed"))?;
        }
        drop(out);
        while answers.message().await?.is_some() {}
        Ok(())
    }
}

fn request(kind: Kind) -> v1::ReportRequest {
    v1::ReportRequest { kind: Some(kind) }
}
