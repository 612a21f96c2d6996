//! All that a search finds, put back to pending; or recorded events fed to a webhook that was made later. At a bounded rate, with its progress.
//!
//! ```text
//!  GET   asks: what and how many of it there are, how fast, at most how many
//!  POST  ─▶ Replay ─ message ─▶ a line of the page ─▶ … ─▶ done
//! ```
//!
//! The answer to the POST is one page that is written as the replay goes on, a line for each message; a style shows the last line alone. So it
//! works without scripts, and it ends when the page is left: the browser cuts the answer, and that cuts the call. Begun again, it does the rest.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt as _};
use hookplane_proto::v1;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::deliveries::mapping;
use super::selection::{Selection, Span, faults_of};
use crate::form::Form;
use crate::page::{Page, Visitor, form_page, html};
use crate::problem::{Faults, Problem};
use crate::spoken::in_words;
use crate::words::{self, Standing};

/// Deliveries a second, unless said.
const RATE: &str = "100";
/// Where the lines go in the page. A template writes it once.
const LINES: &str = "<!-- lines -->";
/// Between two lines there is at least so much of the time since the beginning: a replay of hours is a page of some hundred lines.
const LINES_OF_ALL: u32 = 100;

/// The asking page says how many are meant, as far as this is enough to count them.
const COUNTING: Duration = Duration::from_secs(2);
/// What is only counted goes as fast as the API lets it.
const FASTEST: u32 = 10_000;

#[derive(Template)]
#[template(path = "replay.html")]
struct Ask {
    page: Page,
    selection: Selection,
    feed: bool,
    rate: String,
    max: String,
    then: bool,
    /// How many are meant, in words; empty: it isn't known.
    count: String,
    faults: Faults,
}

#[derive(Template)]
#[template(path = "replaying.html")]
struct Replaying {
    page: Page,
    selection: Selection,
    feed: bool,
}

fn asking(visitor: &Visitor, org: &str, form: &Form, faults: Faults) -> Ask {
    let or = |name: &str, otherwise: &str| match form.text(name) {
        "" => otherwise.to_owned(),
        text => text.to_owned(),
    };
    let feed = form.ticked("feed");
    let title = match feed {
        true => "Feed recorded events",
        false => "Replay a selection",
    };
    Ask {
        page: visitor.page(title, org),
        selection: Selection::of(form),
        feed,
        rate: or("rate", RATE),
        max: or("max", ""),
        then: form.text("mapping") == "then",
        count: String::new(),
        faults,
    }
}

/// What is wrong with it before anybody is asked.
fn check(selection: &Selection, feed: bool) -> Faults {
    let mut faults = Faults::default();
    selection.check(&mut faults);
    let replays = Standing::named(&selection.status).is_some_and(Standing::replays);
    if feed && selection.webhook.is_empty() {
        faults.add("webhook", "Name the webhook that is fed.");
    } else if !feed && !replays {
        faults.add(
            "status",
            "Choose dead, held, dropped or delivered: what is pending or leased is on its way.",
        );
    }
    faults
}

pub(super) async fn ask(visitor: Visitor, Path(org): Path<String>) -> Result<Response, Problem> {
    let selection = Selection::of(&visitor.query);
    let feed = visitor.query.ticked("feed");
    let mut faults = check(&selection, feed);
    let mut count = String::new();
    let span = selection.span((visitor.console.now)(), &mut faults);
    if faults.is_empty() {
        let request = v1::ReplayRequest {
            dry_run: true,
            rate_per_second: FASTEST,
            ..order(&selection, &org, span, feed)
        };
        match counting(&visitor, request).await {
            Ok(so_far) => count = meant(&so_far, feed),
            Err(status) if status.code() == Code::NotFound => faults = faults_of(status)?,
            // It can be begun all the same, or says then why it can't.
            Err(status) if status.code() == Code::ResourceExhausted => {}
            Err(status) => faults = Faults::of(status)?,
        }
    }
    let page = Ask {
        count,
        ..asking(&visitor, &org, &visitor.query, faults)
    };
    html(&page)
}

/// What is meant by a selection, for the API.
fn order(selection: &Selection, org: &str, span: Span, feed: bool) -> v1::ReplayRequest {
    let status = match feed {
        true => v1::DeliveryStatus::Unspecified,
        false => selection.status(),
    };
    v1::ReplayRequest {
        parent: selection.webhooks(org),
        status: status.into(),
        r#type: selection.event_type.clone(),
        since: span.since,
        until: span.until,
        text: selection.text.clone(),
        destination: selection.destination.clone(),
        feed,
        ..Default::default()
    }
}

/// How far a dry run comes in the time that a page may take.
async fn counting(
    visitor: &Visitor,
    request: v1::ReplayRequest,
) -> Result<v1::ReplayResponse, Status> {
    let mut so_far = v1::ReplayResponse::default();
    let count = async {
        let mut answers = visitor.api.events().replay(request).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            so_far = answer;
        }
        Ok::<(), Status>(())
    };
    // What was counted until its time is over is told as such: it isn't done.
    if let Ok(counted) = tokio::time::timeout(COUNTING, count).await {
        counted?;
    }
    Ok(so_far)
}

fn meant(so_far: &v1::ReplayResponse, feed: bool) -> String {
    let at_least = if so_far.done { "" } else { "at least " };
    let found = match (feed, so_far.replayed) {
        (true, 1) => "event would become a delivery",
        (true, _) => "events would become deliveries",
        (false, 1) => "delivery goes back to pending",
        (false, _) => "deliveries go back to pending",
    };
    let mut text = format!("{at_least}{} {found}", words::number(so_far.replayed));
    if so_far.skipped > 0 && !feed {
        let skipped = words::number(so_far.skipped);
        text.push_str(&format!(
            "; {skipped} found besides can't: the webhook is gone, or its subscribers are"
        ));
    }
    text + "."
}

pub(super) async fn run(
    visitor: Visitor,
    Path(org): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let (selection, feed) = (Selection::of(&form), form.ticked("feed"));
    let mut faults = check(&selection, feed);
    let span = selection.span((visitor.console.now)(), &mut faults);
    let rate = whole(&form, "rate", &mut faults);
    let max = whole(&form, "max", &mut faults);
    let refused = |faults| {
        let page = asking(&visitor, &org, &form, faults);
        form_page(&page.faults, &page)
    };
    if !faults.is_empty() {
        return refused(faults);
    }
    let request = v1::ReplayRequest {
        mapping: mapping(form.text("mapping")).into(),
        rate_per_second: u32::try_from(rate).unwrap_or(u32::MAX),
        max,
        ..order(&selection, &org, span, feed)
    };
    let answers = match visitor.api.events().replay(request).await {
        Ok(answers) => answers.into_inner(),
        Err(status) if status.code() == Code::NotFound => return refused(faults_of(status)?),
        Err(status) => return refused(Faults::of(status)?),
    };
    let page = Replaying {
        page: visitor.page("Replaying", &org),
        selection,
        feed,
    };
    let page = page.render().map_err(|_| Problem::Internal)?;
    let (head, tail) = page.split_once(LINES).ok_or(Problem::Internal)?;
    let (head, tail) = (head.to_owned(), tail.to_owned());
    let whole = stream::once(async { head })
        .chain(lines(answers))
        .chain(stream::once(async { tail }))
        .map(Ok::<_, Infallible>);
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        // nginx would hold it back otherwise.
        (http::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(whole)).into_response())
}

/// A number that may be left out.
fn whole(form: &Form, field: &str, faults: &mut Faults) -> u64 {
    match form.text(field) {
        "" => 0,
        text => text.parse().unwrap_or_else(|_| {
            faults.add(field, "Write a whole number, or nothing.");
            0
        }),
    }
}

/// One for each message, until it is done or broke off.
fn lines(
    answers: tonic::Streaming<v1::ReplayResponse>,
) -> impl futures_util::Stream<Item = String> + Send {
    let begun = Instant::now();
    let state = Some((answers, v1::ReplayResponse::default(), begun));
    stream::unfold(state, move |state| async move {
        let (mut answers, mut so_far, mut told) = state?;
        loop {
            match answers.message().await {
                Ok(Some(answer)) if answer.done => return Some((done(&answer), None)),
                Ok(Some(answer)) => {
                    so_far = answer;
                    let between: Duration = begun.elapsed() / LINES_OF_ALL;
                    if told.elapsed() >= between {
                        told = Instant::now();
                        return Some((line(&so_far), Some((answers, so_far, told))));
                    }
                }
                Ok(None) => return Some((broken(&so_far, "it ended early"), None)),
                Err(status) => return Some((broken(&so_far, &in_words(status.message())), None)),
            }
        }
    })
}

fn counted(so_far: &v1::ReplayResponse) -> String {
    let of = match so_far.total {
        0 => String::new(),
        total => format!(" of {}", words::number(total)),
    };
    format!(
        "looked at {}{of}, replayed {}, skipped {}",
        words::number(so_far.looked_at),
        words::number(so_far.replayed),
        words::number(so_far.skipped)
    )
}

fn line(so_far: &v1::ReplayResponse) -> String {
    let mut text = String::from("<p>");
    if so_far.total > 0 {
        // Numbers alone: nothing to escape. Writing to a String can't fail.
        let _ = write!(
            text,
            r#"<progress aria-label="Looked at" max="{}" value="{}"></progress>"#,
            so_far.total,
            so_far.looked_at.min(so_far.total)
        );
    }
    text + &counted(so_far) + "</p>\n"
}

fn done(so_far: &v1::ReplayResponse) -> String {
    let why = match so_far.skipped {
        0 => "",
        _ => {
            " Skipped were those that changed meanwhile, whose webhook is gone, or that it doesn't want."
        }
    };
    format!(
        "<p class=\"note\" role=\"status\">Done: {}.{why}</p>\n",
        counted(so_far)
    )
}

fn broken(so_far: &v1::ReplayResponse, why: &str) -> String {
    format!(
        "<p class=\"warning\" role=\"alert\">It broke off: {}. So far: {}. Begun again, it does the rest.</p>\n",
        escaped(why),
        counted(so_far)
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is_and_the_last_how_it_ended() {
        let so_far = v1::ReplayResponse {
            looked_at: 1_500,
            replayed: 1_400,
            skipped: 100,
            total: 2_000,
            done: false,
        };
        assert_eq!(
            line(&so_far),
            "<p><progress aria-label=\"Looked at\" max=\"2000\" value=\"1500\"></progress>looked at 1,500 of 2,000, replayed 1,400, skipped 100</p>\n"
        );
        assert!(done(&so_far).contains("Done: looked at 1,500"));
        let broken = broken(&so_far, "<script>&");
        assert!(broken.contains("&lt;script&gt;&amp;") && broken.contains("does the rest"));
    }

    #[test]
    fn how_many_are_meant_is_told_as_far_as_they_were_counted() {
        let so_far = |replayed, skipped, done| v1::ReplayResponse {
            replayed,
            skipped,
            done,
            ..Default::default()
        };
        let told = |so_far| meant(&so_far, false);
        assert_eq!(told(so_far(1, 0, true)), "1 delivery goes back to pending.");
        let some = told(so_far(20_000, 0, false));
        assert_eq!(some, "at least 20,000 deliveries go back to pending.");
        assert!(told(so_far(0, 3, true)).contains("3 found besides can't"));
        let fed = meant(&so_far(2, 9, true), true);
        assert_eq!(fed, "2 events would become deliveries.");
    }

    #[test]
    fn only_what_is_settled_or_held_is_replayed_and_a_webhook_alone_is_fed() {
        let of = |status: &str, webhook: &str, feed| {
            let selection = Selection {
                group: "shop".into(),
                webhook: webhook.into(),
                status: status.into(),
                ..Default::default()
            };
            check(&selection, feed).is_empty()
        };
        assert!(of("dead", "", false) && of("held", "paid", false) && of("", "paid", true));
        assert!(!of("", "", false) && !of("pending", "", false) && !of("", "", true));
    }
}
