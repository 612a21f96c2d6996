//! One of the two places for a stream: opened, replaced when it is lost, drained, or leads to the same replica as the other one.
//!
//! ```text
//!   wait ─▶ opening ─ welcome ─▶ open ─ lost ──▶ wait (at once, if it was a good one) ─▶ opening
//!                       ▲         ├─ drain ─▶ retiring, until all is answered; meanwhile the next one is opened
//!                       └ search ─┘ same replica as the other: another is looked for, and this one serves until then
//! ```

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hookplane_proto::encoded_report::{self as encoded, Kind};
use hookplane_proto::v1;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use v1::report_response::Kind as Said;

use super::outbox::StreamId;
use crate::backoff::{self, Backoff};
use crate::connect::Peer;

/// For the connection and the control plane's first word on it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream that lived this long was a good one: the next attempt is the first again, and is made at once. Longer than it may take to open
/// one.
const GOOD_AFTER: Duration = Duration::from_secs(6);
/// Between looks for another replica: this, doubled with each look up to [`SEARCH_MAX`], and as much again at random.
const SEARCH: Duration = Duration::from_secs(1);
const SEARCH_MAX: Duration = Duration::from_secs(600);
/// Streams that end. A control plane that drains faster than it answers loses the oldest.
const MAX_RETIRING: usize = 4;

/// A stream on which the control plane has said welcome.
pub(super) struct Opened {
    pub(super) welcome: v1::ReportWelcome,
    out: mpsc::Sender<encoded::ReportRequest>,
    answers: Streaming<v1::ReportResponse>,
}

struct Live {
    id: StreamId,
    /// None once we have ended our side.
    out: Option<mpsc::Sender<encoded::ReportRequest>>,
    answers: Streaming<v1::ReportResponse>,
    replica: Bytes,
    since: Instant,
}

/// What happened in a place.
pub(super) enum Event {
    /// To be taken with [`Lane::take`], or dropped.
    Opened(Box<Opened>),
    NotOpened(Status),
    /// It is time to open one.
    Due,
    Said(StreamId, Said),
    Ended(StreamId, Status),
}

type Opening = Pin<Box<dyn Future<Output = Result<Opened, Status>> + Send>>;

/// See the module.
pub(super) struct Lane {
    /// Which replica, as [`Peer::connect`] counts them.
    pub(super) attempt: usize,
    live: Option<Live>,
    retiring: Vec<Live>,
    opening: Option<Opening>,
    due: Option<Pin<Box<Sleep>>>,
    backoff: Backoff,
    searches: u32,
}

impl Lane {
    /// Opened as soon as it is looked at.
    pub(super) fn new(attempt: usize) -> Self {
        Self {
            attempt,
            live: None,
            retiring: Vec::new(),
            opening: None,
            due: Some(Box::pin(sleep(Duration::ZERO))),
            backoff: Backoff::default(),
            searches: 0,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(opening) = &mut self.opening
            && let Poll::Ready(opened) = opening.as_mut().poll(cx)
        {
            self.opening = None;
            return Poll::Ready(match opened {
                Ok(opened) => Event::Opened(Box::new(opened)),
                Err(status) => Event::NotOpened(status),
            });
        }
        if let Some(due) = &mut self.due
            && due.as_mut().poll(cx).is_ready()
        {
            self.due = None;
            return Poll::Ready(Event::Due);
        }
        for stream in self.live.iter_mut().chain(&mut self.retiring) {
            // Until it is pending, or nobody is woken for what comes next.
            while let Poll::Ready(said) = Pin::new(&mut stream.answers).poll_next(cx) {
                return Poll::Ready(match said {
                    Some(Ok(response)) => match response.kind {
                        Some(said) => Event::Said(stream.id, said),
                        // From a newer control plane.
                        None => continue,
                    },
                    Some(Err(status)) => Event::Ended(stream.id, status),
                    None => {
                        let status = Status::unavailable("the control plane ended the stream");
                        Event::Ended(stream.id, status)
                    }
                });
            }
        }
        Poll::Pending
    }

    pub(super) fn open(&mut self, peer: &Peer, hello: v1::ReportHello) {
        if self.opening.is_some() {
            return;
        }
        let opening = open(peer.clone(), self.attempt, hello);
        self.opening = Some(Box::pin(async move {
            timeout(OPEN_TIMEOUT, opening)
                .await
                .map_err(|_| Status::deadline_exceeded("no answer from the control plane"))?
        }));
    }

    /// From now on the stream of this place. The one before it retires. Returns its id if there was one.
    pub(super) fn take(&mut self, id: StreamId, opened: Opened) -> Option<StreamId> {
        let live = Live {
            id,
            out: Some(opened.out),
            answers: opened.answers,
            replica: opened.welcome.replica,
            since: Instant::now(),
        };
        let before = self.live.replace(live)?;
        let before_id = before.id;
        self.retiring.push(before);
        Some(before_id)
    }

    /// The stream takes nothing new; another one is opened. False if it isn't the one in use.
    pub(super) fn drain(&mut self, id: StreamId) -> bool {
        let Some(live) = self.live.take_if(|live| live.id == id) else {
            return false;
        };
        // No failure, so no back-off; but one that drains all the time is not asked all the time.
        let wait = match live.since.elapsed() >= GOOD_AFTER {
            true => Duration::ZERO,
            false => backoff::wait_after(0),
        };
        self.due = Some(Box::pin(sleep(wait)));
        self.retiring.push(live);
        true
    }

    /// A stream too many that ends: the oldest.
    pub(super) fn surplus(&mut self) -> Option<StreamId> {
        (self.retiring.len() > MAX_RETIRING).then(|| self.retiring.remove(0).id)
    }

    /// The stream is gone. True if it was the one in use.
    pub(super) fn ended(&mut self, id: StreamId) -> bool {
        self.retiring.retain(|stream| stream.id != id);
        let Some(live) = self.live.take_if(|live| live.id == id) else {
            return false;
        };
        self.again_after(live.since);
        true
    }

    /// Opens the next one: at once after a good stream, since what was on its way has a budget.
    fn again_after(&mut self, since: Instant) {
        if since.elapsed() >= GOOD_AFTER {
            self.backoff.reset();
            self.due = Some(Box::pin(sleep(Duration::ZERO)));
        } else {
            self.again();
        }
    }

    /// Opens the next one, after a while.
    pub(super) fn again(&mut self) {
        if self.opening.is_none() {
            self.due = Some(Box::pin(sleep(self.backoff.next())));
        }
    }

    /// It leads to where the other one leads: looks for another replica after a while, longer each time.
    pub(super) fn search_later(&mut self) {
        let wait = SEARCH
            .saturating_mul(1 << self.searches.min(10))
            .min(SEARCH_MAX);
        self.searches = self.searches.saturating_add(1);
        let share = getrandom::u32().unwrap_or(u32::MAX);
        let wait = wait.mul_f64(1.0 + f64::from(share) / f64::from(u32::MAX));
        self.due = Some(Box::pin(sleep(wait)));
    }

    pub(super) fn found(&mut self) {
        self.searches = 0;
        self.due = None;
    }

    pub(super) fn id(&self) -> Option<StreamId> {
        self.live.as_ref().map(|live| live.id)
    }

    pub(super) fn replica(&self) -> Option<&Bytes> {
        self.live.as_ref().map(|live| &live.replica)
    }

    /// Where to write, to the stream in use.
    pub(super) fn out(&self) -> Option<&mpsc::Sender<encoded::ReportRequest>> {
        self.live.as_ref().and_then(|live| live.out.as_ref())
    }

    pub(super) fn retiring(&self) -> impl Iterator<Item = StreamId> {
        let open = self.retiring.iter().filter(|stream| stream.out.is_some());
        open.map(|stream| stream.id)
    }

    /// Ends our side of a stream, so that the control plane ends it once all is answered.
    pub(super) fn end_side(&mut self, id: StreamId) {
        for stream in self.live.iter_mut().chain(&mut self.retiring) {
            if stream.id == id {
                stream.out = None;
            }
        }
    }

    /// All streams, for the end.
    pub(super) fn into_streams(self) -> Vec<Streaming<v1::ReportResponse>> {
        let streams = self.live.into_iter().chain(self.retiring);
        streams.map(|stream| stream.answers).collect()
    }
}

async fn open(peer: Peer, attempt: usize, hello: v1::ReportHello) -> Result<Opened, Status> {
    // Room for one: the next batch is made when the last one has left, of all that waits by then.
    let (out, requests) = mpsc::channel(1);
    let hello = encoded::ReportRequest {
        kind: Some(Kind::Hello(hello)),
    };
    let closed = |_| Status::unavailable("the stream was closed");
    out.send(hello).await.map_err(closed)?;
    let channel = peer.connect(attempt).await?;
    let requests = peer.request(ReceiverStream::new(requests));
    let mut answers = encoded::report(channel, requests).await?.into_inner();
    match answers.message().await?.and_then(|said| said.kind) {
        Some(Said::Welcome(welcome)) => Ok(Opened {
            welcome,
            out,
            answers,
        }),
        _ => Err(Status::failed_precondition(
            "the control plane's first word was not welcome",
        )),
    }
}
