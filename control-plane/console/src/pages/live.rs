//! Events and deliveries as they come, by themselves.
//!
//! ```text
//!  Tail (brief, 20 lines a second) ─▶ feed: what a quarter second has ─▶ 4 chunks ─▶ browser, which keeps 200 rows
//!                                      │                                 │
//!                                      └ a comment after 15 s of silence └ not taken for 20 s: the stream is cut
//! ```
//!
//! - More than people can read isn't read from the log either: the tail goes on with the newest, and a row says that some were left out, and where
//!   they all are. That goes for a browser that can't keep up, too; one that doesn't read is dropped. Neither holds anything up.
//! - A stream ends with the token at once, and says so. After 15 minutes it ends by itself, and the browser's next one shows whether the session still
//!   lasts.
//! - One too many is told why, and comes again until another is closed.

mod feed;
mod row;
mod sent;
mod turns;

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use hookplane_proto::v1;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use self::feed::{Feed, feed, message, retry, signed_out};
use self::sent::{PATIENCE, pumped};
pub(super) use self::turns::Streams;
use super::activity;
use super::selection::{Selection, faults_of, groups};
use crate::chart::Chart;
use crate::page::{Page, Visitor, with_status};
use crate::problem::{Faults, Problem};

/// Of more nobody reads a line.
const LINES_PER_SECOND: u32 = 20;
/// A browser that there was no room for comes again after so long.
const AGAIN_WHEN_FULL: Duration = Duration::from_secs(5);

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
        max_per_second: LINES_PER_SECOND,
    };
    let lines = visitor.api.events().tail(request).await?.into_inner();
    let feed = feed(Feed::new(org, selection, page, lines));
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
