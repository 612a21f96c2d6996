//! The report client: two streams filled and emptied, news on one of them, and everything that is due.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hookplane_proto::encoded_report::{Kind, ReportRequest};
use hookplane_proto::v1;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, Sleep, interval, sleep};
use tokio_util::sync::CancellationToken;
use v1::report_response::Kind as Said;

use super::lane::{Event, Lane, Opened};
use super::news::News;
use super::outbox::{Outbox, StreamId};
use super::pending::Pending;
use crate::connect::Peer;
use crate::state::State;

/// Refusals and counters go up this often, if there are any.
const NEWS_EVERY: Duration = Duration::from_secs(1);
/// Places for streams, each to a replica of its own.
pub(crate) const LANES: usize = 2;

struct Client {
    state: Arc<State>,
    peer: Peer,
    reports: mpsc::Receiver<Pending>,
    outbox: Outbox,
    news: News,
    /// As many as there are replicas, at most [`LANES`].
    lanes: Vec<Lane>,
    /// Said once per change, not once per attempt.
    told_lost: bool,
}

/// Reports until `stop`.
pub(crate) async fn run(
    state: Arc<State>,
    peer: Peer,
    reports: mpsc::Receiver<Pending>,
    stop: CancellationToken,
) {
    let lanes = (0..peer.replicas().min(LANES)).map(Lane::new).collect();
    let mut client = Client {
        state,
        peer,
        reports,
        outbox: Outbox::new(),
        news: News::default(),
        lanes,
        told_lost: false,
    };
    client.serve(&stop).await;
    client.farewell().await;
}

impl Client {
    async fn serve(&mut self, stop: &CancellationToken) {
        let mut news_due = interval(NEWS_EVERY);
        news_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let state = self.state.clone();
        let mut alarm = Alarm::new();
        loop {
            self.take_waiting();
            let blocked = self.send_all();
            let full = self.outbox.is_full();
            alarm.set(self.outbox.due(Instant::now()));
            tokio::select! {
                (lane, event) = poll_fn(|cx| poll(&mut self.lanes, cx)) => self.happened(lane, event),
                () = room(blocked) => {}
                Some(pending) = self.reports.recv(), if !full => {
                    self.outbox.push(pending);
                    // Whoever is ready hands in first: what wakes this runs before the others, and a batch would hold one.
                    yield_now().await;
                }
                () = alarm.wait() => self.outbox.tick(Instant::now()),
                _ = news_due.tick() => self.news.collect(&state.refusals),
                () = state.refusals.many() => self.news.collect(&state.refusals),
                () = stop.cancelled() => return,
            }
        }
    }

    /// All that waits in the queue goes along.
    fn take_waiting(&mut self) {
        if self.outbox.is_full() {
            self.outbox.prune(Instant::now());
        }
        while !self.outbox.is_full() {
            match self.reports.try_recv() {
                Ok(pending) => self.outbox.push(pending),
                Err(_) => return,
            }
        }
    }

    /// Fills what has room. Returns where there is something to send and no room.
    fn send_all(&mut self) -> Option<mpsc::Sender<ReportRequest>> {
        let preferred = self.outbox.preferred();
        let mut blocked = None;
        for lane in &self.lanes {
            let (Some(id), Some(out)) = (lane.id(), lane.out()) else {
                continue;
            };
            loop {
                let news = preferred == Some(id) && self.news.waits_for(id);
                if !news && !self.outbox.can_send(id) {
                    break;
                }
                let Ok(permit) = out.try_reserve() else {
                    // Full; or closed, which its answers say as well.
                    if !out.is_closed() {
                        blocked = Some(out.clone());
                    }
                    break;
                };
                // News comes about once a second, so it holds nobody up for long.
                let next = match news {
                    true => self.news.next(id),
                    false => {
                        let batch = self.outbox.next_batch(id, Instant::now());
                        batch.map(Kind::Batch)
                    }
                };
                match next {
                    Some(kind) => permit.send(ReportRequest { kind: Some(kind) }),
                    None => break,
                }
            }
        }
        blocked
    }

    fn happened(&mut self, lane: usize, event: Event) {
        match event {
            Event::Due => {
                let hello = v1::ReportHello {
                    listener: self.state.name.clone(),
                    boot: self.peer.boot.clone(),
                    pool: self.state.pool.clone(),
                };
                self.lanes[lane].open(&self.peer, hello);
            }
            Event::Opened(opened) => self.opened(lane, *opened),
            Event::NotOpened(status) => {
                self.tell_lost(&status);
                if self.lanes[lane].id().is_some() {
                    // It was a search.
                    self.lanes[lane].search_later();
                } else {
                    self.lanes[lane].again();
                }
                self.go_on(lane);
            }
            Event::Said(id, said) => self.said(lane, id, said),
            Event::Ended(id, status) => {
                if self.lanes[lane].ended(id) {
                    self.tell_lost(&status);
                    self.state.link.report_lost(lane);
                    self.go_on(lane);
                }
                self.gone(id);
            }
        }
        while let Some(id) = self.lanes[lane].surplus() {
            self.gone(id);
        }
        let settled = |id: &StreamId| self.outbox.is_settled(*id);
        let settled: Vec<_> = self.lanes[lane].retiring().filter(settled).collect();
        for id in settled {
            self.lanes[lane].end_side(id);
        }
    }

    fn gone(&mut self, id: StreamId) {
        self.outbox.lost(id, Instant::now());
        self.news.lost(id);
    }

    fn tell_lost(&mut self, status: &tonic::Status) {
        if self.lanes.iter().all(|lane| lane.id().is_none())
            && !std::mem::replace(&mut self.told_lost, true)
        {
            tracing::warn!(
                error = status.message(),
                "report stream lost; callbacks wait for the next one, as long as their providers do"
            );
        }
    }

    fn opened(&mut self, lane: usize, opened: Opened) {
        let others = self.lanes.iter().enumerate().filter(|(n, _)| *n != lane);
        let mut replicas = others.filter_map(|(_, other)| other.replica());
        // A control plane that doesn't name itself can't be told apart.
        let same = !opened.welcome.replica.is_empty()
            && replicas.any(|replica| *replica == opened.welcome.replica);
        if same && self.lanes[lane].id().is_some() {
            // Searched, and found nothing else: the stream there is goes on.
            self.lanes[lane].search_later();
            self.go_on(lane);
            return;
        }
        let id = self.outbox.open(&opened.welcome);
        if let Some(before) = self.lanes[lane].take(id, opened) {
            self.retire(lane, before);
        }
        if same {
            self.lanes[lane].search_later();
        } else {
            self.lanes[lane].found();
        }
        self.state.link.reporting_connected();
        self.told_lost = false;
        tracing::info!(lane, "report stream connected");
    }

    /// The next attempt of this place goes to the next replica that no other place leads to.
    fn go_on(&mut self, lane: usize) {
        let replicas = self.peer.replicas();
        let taken = |attempt: usize| {
            let mut others = self.lanes.iter().enumerate().filter(|(n, _)| *n != lane);
            others.any(|(_, other)| other.attempt % replicas == attempt % replicas)
        };
        let from = self.lanes[lane].attempt;
        let next = (from + 1..=from + replicas).find(|attempt| !taken(*attempt));
        self.lanes[lane].attempt = next.unwrap_or(from);
    }

    fn retire(&mut self, lane: usize, id: StreamId) {
        self.outbox.retire(id);
        self.news.lost(id);
        self.state.link.report_lost(lane);
    }

    fn said(&mut self, lane: usize, id: StreamId, said: Said) {
        match said {
            Said::Batch(answer) => self.outbox.answered(id, answer, Instant::now()),
            Said::Credit(credit) => self.outbox.credit(id, credit),
            Said::Drain(_) => {
                if self.lanes[lane].drain(id) {
                    tracing::info!(lane, "report stream drained; moving over");
                    self.retire(lane, id);
                    self.go_on(lane);
                }
            }
            Said::Plan(plan) => {
                if self.lanes[lane].id() == Some(id) {
                    self.state.link.report_plan(lane, plan.revision);
                }
            }
            Said::Noted(noted) => self.news.noted(noted.sequence),
            // Said once, and taken when it was.
            Said::Welcome(_) => {}
        }
    }

    /// The last news. The caller bounds the time.
    async fn farewell(mut self) {
        self.news.collect(&self.state.refusals);
        let preferred = self.outbox.preferred();
        let lane = self.lanes.iter().find(|lane| lane.id() == preferred);
        let out = lane.and_then(|lane| lane.out().cloned());
        if let (Some(id), Some(out)) = (preferred, out) {
            while self.news.waits_for(id) {
                let kind = self.news.next(id);
                if out.send(ReportRequest { kind }).await.is_err() {
                    break;
                }
            }
        }
        for mut lane in self.lanes {
            let ids: Vec<_> = lane.id().into_iter().chain(lane.retiring()).collect();
            for id in ids {
                lane.end_side(id);
            }
            for mut answers in lane.into_streams() {
                while let Ok(Some(_)) = answers.message().await {}
            }
        }
    }
}

fn poll(lanes: &mut [Lane], cx: &mut Context<'_>) -> Poll<(usize, Event)> {
    for (n, lane) in lanes.iter_mut().enumerate() {
        if let Poll::Ready(event) = lane.poll(cx) {
            return Poll::Ready((n, event));
        }
    }
    Poll::Pending
}

/// Until a stream takes another message, or is closed. For ever without one.
async fn room(out: Option<mpsc::Sender<ReportRequest>>) {
    match out {
        Some(out) => drop(out.reserve().await),
        None => pending().await,
    }
}

/// One timer, moved only when what is due has changed.
struct Alarm {
    at: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    fn new() -> Self {
        Self {
            at: None,
            sleep: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// An alarm that is earlier than it has to be stays: it costs one look.
    fn set(&mut self, at: Option<Instant>) {
        let Some(at) = at else { return };
        if self.at.is_none_or(|armed| at < armed) {
            self.at = Some(at);
            self.sleep.as_mut().reset(at);
        }
    }

    async fn wait(&mut self) {
        match self.at {
            Some(_) => {
                self.sleep.as_mut().await;
                self.at = None;
            }
            None => pending().await,
        }
    }
}
