//! What a stream tells, in the browser's words: server-sent events.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use hookplane_proto::v1;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::row::row;
use crate::page::sign_in_path;
use crate::words;

/// Rows of one flush: more than these nobody reads.
const ROWS: usize = 50;
const FLUSH_EVERY: Duration = Duration::from_millis(250);
/// So that what is between the browser and us doesn't take the stream for dead.
const BEAT_EVERY: Duration = Duration::from_secs(15);
/// A browser whose stream ended comes again after so long.
const AGAIN: Duration = Duration::from_secs(2);
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The last of a stream: the reader doesn't come again.
pub(super) fn signed_out(page: &str) -> String {
    let text = format!(
        "Signed out: <a href=\"{}\">sign in again</a>.",
        sign_in_path(page)
    );
    message("over", &text)
}

/// How soon to come again.
pub(super) fn retry(after: Duration) -> String {
    format!("retry: {}\n\n", after.as_millis())
}

/// What is read and not yet told.
pub(super) struct Feed<S> {
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
    pub(super) fn new(org: String, page: String, lines: S) -> Self {
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
pub(super) fn feed<S>(feed: Feed<S>) -> impl Stream<Item = String> + Send
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

/// One server-sent event. A line break would end it, and in HTML is a space anyway.
pub(super) fn message(event: &str, data: &str) -> String {
    let data = data.replace(['\n', '\r'], " ");
    format!("event: {event}\ndata: {data}\n\n")
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
}
