//! Events and deliveries as they come, by themselves.
//!
//! ```text
//!  Tail (brief) ─▶ feed: the newest 50 of a quarter second ─▶ 4 chunks ─▶ browser, which keeps 200 rows
//!                   │                                          │
//!                   └ a comment after 15 s of silence          └ not taken for 20 s: the stream is cut
//! ```
//!
//! - A browser that can't keep up misses rows, and is told how many; one that doesn't read is dropped. Neither holds anything up.
//! - A stream ends with the token at once, and says so. After 15 minutes it ends by itself, and the browser's next one shows whether the session still
//!   lasts.
//! - One too many is told why, and comes again until another is closed.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use hookplane_proto::v1;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::activity;
use super::selection::{Selection, faults_of, groups};
use crate::chart::Chart;
use crate::moment::Moment;
use crate::page::{Page, Visitor, sign_in_path, with_status};
use crate::problem::{Faults, Problem};
use crate::words::{self, Standing};

/// Rows of one flush: more than these nobody reads.
const ROWS: usize = 50;
const FLUSH_EVERY: Duration = Duration::from_millis(250);
/// So that what is between the browser and us doesn't take the stream for dead.
const BEAT_EVERY: Duration = Duration::from_secs(15);
/// Chunks that wait for the browser.
const AHEAD: usize = 4;
/// A browser that takes nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(20);
/// A browser whose stream ended comes again after so long; one that there was no room for, after this.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_WHEN_FULL: Duration = Duration::from_secs(5);
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Streams of one token, of one org, and of all.
const OF_ONE: usize = 8;
const OF_ORG: usize = 64;
const IN_ALL: usize = 256;

/// The streams that there are.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    in_all: usize,
    of_token: HashMap<String, usize>,
    of_org: HashMap<String, usize>,
}

/// One of them.
struct Turn {
    streams: Streams,
    token: String,
    org: String,
}

impl Streams {
    /// Or why there is none.
    fn take(&self, token: &str, org: &str) -> Result<Turn, String> {
        let mut open = self.lock();
        let of = |open: &HashMap<String, usize>, whose: &str| open.get(whose).copied().unwrap_or(0);
        if of(&open.of_token, token) >= OF_ONE {
            return Err(format!(
                "{OF_ONE} live views are open with this token, and there can be no more: close one of the others, and this one begins by itself."
            ));
        }
        if of(&open.of_org, org) >= OF_ORG {
            return Err(format!(
                "{OF_ORG} live views of this org are open, and there can be no more: this one begins by itself once somebody closes another."
            ));
        }
        if open.in_all >= IN_ALL {
            return Err(format!(
                "{IN_ALL} live views are open here, and there can be no more: this one begins by itself once somebody closes another."
            ));
        }
        open.in_all += 1;
        *open.of_token.entry(token.to_owned()).or_default() += 1;
        *open.of_org.entry(org.to_owned()).or_default() += 1;
        Ok(Turn {
            streams: self.clone(),
            token: token.to_owned(),
            org: org.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        open.in_all -= 1;
        one_less(&mut open.of_token, &self.token);
        one_less(&mut open.of_org, &self.org);
    }
}

fn one_less(open: &mut HashMap<String, usize>, whose: &str) {
    if let Some(count) = open.get_mut(whose) {
        *count -= 1;
        if *count == 0 {
            open.remove(whose);
        }
    }
}

#[derive(Template)]
#[template(path = "live.html")]
struct Live {
    page: Page,
    selection: Selection,
    faults: Faults,
    groups: Vec<String>,
    /// None: of nothing that is there.
    chart: Option<Chart>,
}

/// What of the address narrows a live view.
fn selection(visitor: &Visitor) -> Selection {
    Selection {
        group: visitor.query.text("group").to_owned(),
        webhook: visitor.query.text("webhook").to_owned(),
        ..Default::default()
    }
}

pub(super) async fn show(visitor: Visitor, Path(org): Path<String>) -> Result<Response, Problem> {
    let selection = selection(&visitor);
    let mut faults = Faults::default();
    selection.check(&mut faults);
    if faults.is_empty()
        && let Err(status) = exists(&visitor, &org, &selection).await
    {
        faults = faults_of(status)?;
    }
    let chart = match faults.is_empty() {
        true => {
            let (parent, title) = match selection.group.as_str() {
                "" => (format!("orgs/{org}"), format!("The last day of {org}")),
                group => (selection.groups(&org), format!("The last day of {group}")),
            };
            activity::chart(&visitor, parent, &title).await?
        }
        false => None,
    };
    let page = Live {
        chart,
        groups: groups(&visitor, &org).await?,
        page: visitor.page("Live", &org),
        selection,
        faults,
    };
    let status = match page.faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    with_status(status, &page)
}

/// A stream could only fail, and say nothing.
async fn exists(visitor: &Visitor, org: &str, selection: &Selection) -> Result<(), tonic::Status> {
    if !selection.webhook.is_empty() {
        let name = selection.webhooks(org);
        let request = v1::GetWebhookRequest { name };
        visitor.api.webhooks().get_webhook(request).await?;
    } else if !selection.group.is_empty() {
        let name = selection.groups(org);
        let request = v1::GetWebhookGroupRequest { name };
        visitor.api.groups().get_webhook_group(request).await?;
    }
    Ok(())
}

/// Server-sent events.
pub(super) async fn stream(
    visitor: Result<Visitor, Problem>,
    Path(org): Path<String>,
    RawQuery(query): RawQuery,
    Extension(streams): Extension<Streams>,
) -> Result<Response, Problem> {
    let page = match query {
        Some(query) if !query.is_empty() => format!("/orgs/{org}/live?{query}"),
        _ => format!("/orgs/{org}/live"),
    };
    let visitor = match visitor {
        Ok(visitor) => visitor,
        // A page would be none that a stream's reader understands.
        Err(Problem::SignIn { .. }) => return Ok(events(Body::from(signed_out(&page)))),
        Err(problem) => return Err(problem),
    };
    let turn = match streams.take(&visitor.who.token, &org) {
        Ok(turn) => turn,
        Err(why) => {
            let full = format!("{}{}", retry(AGAIN_WHEN_FULL), message("full", &why));
            return Ok(events(Body::from(full)));
        }
    };
    let selection = selection(&visitor);
    let request = v1::TailRequest {
        parent: selection.webhooks(&org),
        from_start: false,
        no_follow: false,
        events: selection.webhook.is_empty(),
        changes: true,
        brief: true,
    };
    let lines = visitor.api.events().tail(request).await?.into_inner();
    let feed = feed(Feed::new(org, page, lines));
    let body = pumped(feed, turn, PATIENCE).map(Ok::<_, Infallible>);
    Ok(events(Body::from_stream(body)))
}

/// A stream of events.
fn events(body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        // nginx would hold it back otherwise.
        (http::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

/// The last of a stream: the reader doesn't come again.
fn signed_out(page: &str) -> String {
    let text = format!(
        "Signed out: <a href=\"{}\">sign in again</a>.",
        sign_in_path(page)
    );
    message("over", &text)
}

/// How soon to come again.
fn retry(after: Duration) -> String {
    format!("retry: {}\n\n", after.as_millis())
}

/// What is read and not yet told.
struct Feed<S> {
    org: String,
    /// The page that it is for.
    page: String,
    lines: S,
    waiting: VecDeque<v1::TailResponse>,
    missed: u64,
    ends: Instant,
    flush: tokio::time::Interval,
    beat: tokio::time::Interval,
    over: bool,
}

impl<S> Feed<S> {
    fn new(org: String, page: String, lines: S) -> Self {
        let every = |period| {
            let mut every = interval(period);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            every
        };
        Self {
            org,
            page,
            lines,
            waiting: VecDeque::new(),
            missed: 0,
            ends: Instant::now() + LIFETIME,
            flush: every(FLUSH_EVERY),
            beat: every(BEAT_EVERY),
            over: false,
        }
    }

    fn keep(&mut self, line: v1::TailResponse) {
        if self.waiting.len() >= ROWS {
            self.waiting.pop_front();
            self.missed += 1;
        }
        self.waiting.push_back(line);
    }

    /// Newest first, as the page has them.
    fn flushed(&mut self) -> String {
        let rows = self.waiting.drain(..).rev();
        let rows: String = rows.map(|line| row(&self.org, line)).collect();
        let mut text = message("rows", &rows);
        if self.missed > 0 {
            let missed = words::number(self.missed);
            text += &message(
                "missed",
                &format!(
                    "{missed} more came than can be shown here as they come; the lists have them all."
                ),
            );
        }
        text
    }
}

/// The text of the stream, a chunk at a time.
fn feed<S>(feed: Feed<S>) -> impl Stream<Item = String> + Send
where
    S: Stream<Item = Result<v1::TailResponse, tonic::Status>> + Send + Unpin,
{
    // What a stream that was refused had said is over: nothing can't be said, but a comment can.
    let begun = retry(AGAIN) + &message("begun", "<!-- -->");
    let begin = stream::once(async { begun });
    let rest = stream::unfold(feed, |mut feed| async move {
        if feed.over {
            return None;
        }
        loop {
            tokio::select! {
                line = feed.lines.next() => match line {
                    Some(Ok(line)) => feed.keep(line),
                    Some(Err(status)) if status.code() == tonic::Code::Unauthenticated => {
                        feed.over = true;
                        return Some((signed_out(&feed.page), feed));
                    }
                    // The browser comes again.
                    Some(Err(_)) | None => return None,
                },
                _ = feed.flush.tick() => if !feed.waiting.is_empty() {
                    return Some((feed.flushed(), feed));
                },
                _ = feed.beat.tick() => return Some((":\n\n".to_owned(), feed)),
                () = tokio::time::sleep_until(feed.ends) => return None,
            }
        }
    });
    begin.chain(rest)
}

/// As the browser takes it, a little ahead. The task is the stream's: it ends when the stream is dropped, and lets go of the feed when nobody reads.
fn pumped(
    feed: impl Stream<Item = String> + Send + 'static,
    turn: Turn,
    patience: Duration,
) -> impl Stream<Item = String> {
    let (out, chunks) = mpsc::channel(AHEAD);
    let task = tokio::spawn(async move {
        let _turn = turn;
        tokio::pin!(feed);
        while let Some(chunk) = feed.next().await {
            if !matches!(timeout(patience, out.send(chunk)).await, Ok(Ok(()))) {
                return;
            }
        }
    });
    let task = AbortOnDrop(task);
    ReceiverStream::new(chunks).map(move |chunk| {
        let _owned = &task;
        chunk
    })
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One server-sent event. A line break would end it, and in HTML is a space anyway.
fn message(event: &str, data: &str) -> String {
    let data = data.replace(['\n', '\r'], " ");
    format!("event: {event}\ndata: {data}\n\n")
}

#[derive(Template)]
#[template(path = "live_row.html")]
struct Row<'a> {
    org: &'a str,
    time: Option<Moment>,
    event_id: String,
    event_type: String,
    group: String,
    flags: Vec<&'static str>,
    delivery: Option<(v1::Delivery, Standing)>,
}

fn row(org: &str, line: v1::TailResponse) -> String {
    let event = line.event.unwrap_or_default();
    let changed = line.delivery.as_ref();
    let changed = changed.and_then(|one| one.update_time.as_ref().or(one.create_time.as_ref()));
    let row = Row {
        org,
        time: Moment::of(changed.or(event.receive_time.as_ref())),
        flags: event
            .flags()
            .filter_map(|flag| words::flag(flag).map(|(name, _)| name))
            .collect(),
        delivery: line.delivery.map(|delivery| {
            let standing = Standing(delivery.status());
            (delivery, standing)
        }),
        event_id: event.id,
        event_type: event.r#type,
        group: event.group,
    };
    // A row that can't be written is left out; the page's own would be an error.
    row.render().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize) -> v1::TailResponse {
        v1::TailResponse {
            event: Some(v1::Event {
                id: format!("e-{n}"),
                r#type: "<b>\nx".into(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn what_comes_faster_than_can_be_read_is_missed_and_counted() {
        let lines = stream::iter((0..120).map(|n| Ok(line(n)))).chain(stream::pending());
        let mut told = Box::pin(feed(Feed::new("acme".into(), "/".into(), lines)));
        let mut text = String::new();
        while !text.contains("event: missed") {
            text += &told.next().await.unwrap();
        }
        let rows = text.matches("<tr").count();
        assert!(rows < 120, "{rows}");
        assert!(text.contains("e-119") && !text.contains("<b>"));
        for part in text.split("\n\n").filter(|part| !part.is_empty()) {
            assert!(part.lines().count() <= 2, "{part}");
        }
    }

    #[tokio::test]
    async fn a_token_that_ends_is_told_and_anything_else_makes_the_browser_come_again() {
        for (code, told) in [
            (tonic::Code::Unauthenticated, true),
            (tonic::Code::Unavailable, false),
        ] {
            let lines = stream::iter([Err(tonic::Status::new(code, ""))]);
            let page = "/orgs/acme/live?group=a".to_owned();
            let all: String = feed(Feed::new("acme".into(), page, lines)).collect().await;
            assert_eq!(all.contains("event: over"), told);
            assert_eq!(
                all.contains(
                    "<a href=\"/sign-in?next=%2Forgs%2Facme%2Flive%3Fgroup%3Da\">sign in again</a>"
                ),
                told,
                "{all}"
            );
        }
    }

    async fn given_back(streams: &Streams) {
        let free = async {
            while streams.lock().in_all > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), free).await.unwrap();
        assert!(streams.lock().of_token.is_empty() && streams.lock().of_org.is_empty());
    }

    #[tokio::test]
    async fn a_browser_that_does_not_read_is_let_go() {
        let streams = Streams::default();
        let turn = streams.take("t", "acme").unwrap();
        let endless = stream::repeat_with(|| "x".to_owned());
        let unread = pumped(endless, turn, Duration::from_millis(20));
        given_back(&streams).await;
        assert_eq!(unread.count().await, AHEAD);
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_gives_its_turn_back() {
        let streams = Streams::default();
        let turns: Vec<_> = (0..OF_ONE)
            .map(|_| streams.take("t", "acme").unwrap())
            .collect();
        let refused = streams.take("t", "acme").map(drop).unwrap_err();
        assert!(refused.contains("close one of the others"), "{refused}");
        assert!(streams.take("other", "acme").is_ok());
        drop(turns);
        drop(pumped(
            stream::pending(),
            streams.take("t", "acme").unwrap(),
            PATIENCE,
        ));
        given_back(&streams).await;
    }

    // Promise 8: whatever tokens one org makes, another's views have room.
    #[tokio::test]
    async fn no_org_has_all_streams() {
        let streams = Streams::default();
        let turn = |n: usize| streams.take(&(n / OF_ONE).to_string(), "greedy");
        let turns: Vec<_> = (0..OF_ORG).map(|n| turn(n).unwrap()).collect();
        assert!(turn(OF_ORG).is_err());
        assert!(streams.take("t", "other").is_ok());
        drop(turns);
        given_back(&streams).await;
    }
}
