//! What a stream tells, in the browser's words: server-sent events.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use hookplane_proto::v1;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::super::selection::Selection;
use super::row::row;
use crate::page::sign_in_path;

/// Rows of one flush. What would be more waits in the tail, which leaves out what waits for long.
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
    selection: Selection,
    /// The page that it is for.
    page: String,
    lines: S,
    waiting: Vec<v1::TailResponse>,
    ends: Instant,
    flush: tokio::time::Interval,
    beat: tokio::time::Interval,
    over: bool,
}

impl<S> Feed<S> {
    pub(super) fn new(org: String, selection: Selection, page: String, lines: S) -> Self {
        let every = |period| {
            let mut every = interval(period);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            every
        };
        Self {
            org,
            selection,
            page,
            lines,
            waiting: Vec::new(),
            ends: Instant::now() + LIFETIME,
            flush: every(FLUSH_EVERY),
            beat: every(BEAT_EVERY),
            over: false,
        }
    }

    /// Newest first, as the page has them.
    fn flushed(&mut self) -> String {
        let lines = self.waiting.drain(..).rev();
        let rows: String = lines
            .map(|line| row(&self.org, &self.selection, line))
            .collect();
        message("rows", &rows)
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
                line = feed.lines.next(), if feed.waiting.len() < ROWS => match line {
                    Some(Ok(line)) => feed.waiting.push(line),
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

    type Text = std::pin::Pin<Box<dyn Stream<Item = String> + Send>>;

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

    fn of(group: &str, page: &str, lines: Vec<Result<v1::TailResponse, tonic::Status>>) -> Text {
        let selection = Selection {
            group: group.to_owned(),
            ..Default::default()
        };
        let lines = stream::iter(lines).chain(stream::pending());
        Box::pin(feed(Feed::new(
            "acme".into(),
            selection,
            page.into(),
            lines,
        )))
    }

    #[tokio::test]
    async fn each_line_is_a_row_however_many_wait_and_the_newest_of_a_flush_is_first() {
        const LINES: usize = 2 * ROWS + 20;
        let mut told = of("", "/", (0..LINES).map(|n| Ok(line(n))).collect());
        let mut text = String::new();
        while text.matches("<tr").count() < LINES {
            text += &told.next().await.unwrap();
        }
        for n in 0..LINES {
            assert_eq!(text.matches(&format!("/events/e-{n}\"")).count(), 1, "{n}");
        }
        assert!(text.find("e-1\"").unwrap() < text.find("e-0\"").unwrap());
        assert!(!text.contains("<b>"));
        for part in text.split("\n\n").filter(|part| !part.is_empty()) {
            assert!(part.lines().count() <= 2, "{part}");
            assert!(part.matches("<tr").count() <= ROWS);
        }
    }

    #[tokio::test]
    async fn what_is_left_out_is_told_where_it_would_be_with_the_lists_that_have_it() {
        let left_out = v1::TailResponse {
            left_out: true,
            ..Default::default()
        };
        let mut told = of("a", "/", vec![Ok(line(1)), Ok(left_out), Ok(line(2))]);
        let mut text = String::new();
        while text.matches("<tr").count() < 3 {
            text += &told.next().await.unwrap();
        }
        let at = |what: &str| text.find(what).unwrap();
        assert!(at("e-2\"") < at("left out here") && at("left out here") < at("e-1\""));
        for list in ["events", "deliveries"] {
            assert!(
                text.contains(&format!("/orgs/acme/{list}?group=a")),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_token_that_ends_is_told_and_anything_else_makes_the_browser_come_again() {
        for (code, told) in [
            (tonic::Code::Unauthenticated, true),
            (tonic::Code::Unavailable, false),
        ] {
            let lines = vec![Err(tonic::Status::new(code, ""))];
            let page = "/orgs/acme/live?group=a";
            let all: String = of("", page, lines).collect().await;
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
