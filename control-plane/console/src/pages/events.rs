//! Events as they were kept: searched; and one of them: what came, what each webhook made of it, and its payload.
//!
//! A payload is an outsider's. Here it is text, bounded, and as a download it is bytes that no browser opens: nothing in it runs or loads.

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use hookplane_proto::v1;
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};

use super::deliveries::Row as DeliveryRow;
use super::downloads::{self, Downloads};
use super::selection::{Selection, faults_of, groups};
use super::story::{self, Tried};
use crate::moment::Moment;
use crate::page::{Page, Visitor, html, with_status};
use crate::payload::{self, Shown};
use crate::problem::{Faults, Problem};
use crate::weight;
use crate::words;

const PAGE: u32 = 50;
/// Deliveries that one event's page shows.
const DELIVERIES: u32 = 60;
/// Those of them whose attempts are asked for, one by one.
const HISTORIES: usize = 10;
/// Of a header's value or the query.
const VALUE: usize = 1_000;
/// Of all headers, and of what was redacted: of a hundred headers nobody reads the last.
const HEADERS: usize = 12 * 1024;
const REDACTED: usize = 4 * 1024;
/// What a list shows of a text that outsiders write.
const SHOWN: usize = 150;
/// Of a reason, and of what was answered to an attempt: the delivery's own page has all of it.
const REASON: usize = 400;
const EXCERPT: usize = 400;
/// Attempts of one delivery, the newest.
const TRIES: usize = 3;
/// Webhooks that were asked, with what they said.
const DECIDED: usize = 24 * 1024;

struct Row {
    id: String,
    time: Option<Moment>,
    event_type: String,
    group: String,
    delivery_id: String,
    matched: usize,
    asked: usize,
    flags: Vec<&'static str>,
    duplicates: u32,
}

impl Row {
    fn of(event: v1::Event) -> Self {
        Self {
            time: Moment::of(event.receive_time.as_ref()),
            matched: event.verdicts.iter().filter(|one| one.matched).count(),
            asked: event.verdicts.len(),
            flags: event
                .flags()
                .filter_map(|flag| words::flag(flag).map(|(name, _)| name))
                .collect(),
            duplicates: event.duplicates,
            id: event.id,
            event_type: weight::cut(&event.r#type, SHOWN),
            group: event.group,
            delivery_id: weight::cut(&event.delivery_id, SHOWN),
        }
    }
}

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    page: Page,
    selection: Selection,
    faults: Faults,
    groups: Vec<String>,
    rows: Vec<Row>,
    next: Option<String>,
    later: bool,
}

pub(super) async fn list(visitor: Visitor, Path(org): Path<String>) -> Result<Response, Problem> {
    let selection = Selection::of(&visitor.query);
    let mut faults = Faults::default();
    selection.check(&mut faults);
    let span = selection.span((visitor.console.now)(), &mut faults);
    let mut answer = v1::ListEventsResponse::default();
    if faults.is_empty() {
        let request = v1::ListEventsRequest {
            parent: selection.groups(&org),
            page_size: PAGE,
            page_token: visitor.query.text("page").to_owned(),
            r#type: selection.event_type.clone(),
            since: span.since,
            until: span.until,
            text: selection.text.clone(),
            unmatched: selection.unmatched,
        };
        match visitor.api.events().list_events(request).await {
            Ok(found) => answer = found.into_inner(),
            Err(status) => faults = faults_of(status)?,
        }
    }
    let next = Some(answer.next_page_token).filter(|token| !token.is_empty());
    let page = Events {
        groups: groups(&visitor, &org).await?,
        page: visitor.page("Events", &org),
        next: next.map(|token| selection.query_with("page", &token)),
        later: !visitor.query.text("page").is_empty(),
        rows: answer.events.into_iter().map(Row::of).collect(),
        selection,
        faults,
    };
    let status = match page.faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    with_status(status, &page)
}

/// A delivery with its attempts, as far as they were asked for.
struct Delivered {
    row: DeliveryRow,
    tries: Vec<Tried>,
}

/// What one webhook made of it.
struct Decided {
    webhook: String,
    matched: bool,
    reason: String,
    deliveries: Vec<Delivered>,
}

#[derive(Template)]
#[template(path = "event.html")]
struct EventPage {
    page: Page,
    id: String,
    event_type: String,
    group: String,
    time: Option<Moment>,
    connector: String,
    function: String,
    delivery_id: String,
    external_id: String,
    method: String,
    content_type: String,
    format: &'static str,
    bytes: String,
    query: String,
    headers: Vec<(String, String)>,
    more_headers: usize,
    /// Not only by whoever knows the Callback URL.
    proven: bool,
    flags: Vec<(&'static str, &'static str)>,
    duplicate_of: String,
    duplicates: u32,
    unsigned: Vec<String>,
    undecodable: String,
    redacted: Vec<String>,
    more_redacted: usize,
    payload_from: String,
    decided: Vec<Decided>,
    more_decided: usize,
    more_deliveries: bool,
    pretty: Shown,
    raw: Shown,
}

/// An event of the org: another's isn't there.
async fn event(
    visitor: &Visitor,
    org: &str,
    request: v1::GetEventRequest,
) -> Result<v1::Event, Problem> {
    let event = visitor.api.events().get_event(request).await?.into_inner();
    if event.org == org {
        Ok(event)
    } else {
        Err(Problem::NoPage)
    }
}

pub(super) async fn show(
    visitor: Visitor,
    Path((org, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let request = v1::GetEventRequest {
        name: format!("events/{id}"),
        payload_json: true,
        payload_json_max_bytes: payload::MAX_ASKED as u32,
        body_max_bytes: payload::MAX_RAW as u32,
    };
    let mut event = event(&visitor, &org, request).await?;
    let request = v1::ListDeliveriesRequest {
        // Its group may be gone, and another may have its name.
        parent: format!("orgs/{org}/groups/-/webhooks/-"),
        page_size: DELIVERIES,
        event_id: event.id.clone(),
        ..Default::default()
    };
    let answer = visitor.api.events().list_deliveries(request).await?;
    let answer = answer.into_inner();
    let mut deliveries = answer.deliveries;
    for delivery in deliveries.iter_mut().take(HISTORIES) {
        let name = format!("deliveries/{}", delivery.id);
        let request = v1::GetDeliveryRequest { name };
        let whole = visitor.api.events().get_delivery(request).await?;
        *delivery = whole.into_inner();
    }
    let mut pretty = payload::pretty(&event.payload_json, payload::MAX_PRETTY);
    pretty.cut |= event.payload_json_cut;
    let decided = decided(std::mem::take(&mut event.verdicts), deliveries);
    let (decided, more_decided) = weight::first(decided, DECIDED, |one| {
        300 + weight::of(&one.reason) + 2 * one.webhook.len()
    });
    let headers = std::mem::take(&mut event.headers).into_iter();
    let headers = headers.map(|(name, value)| (name, weight::cut(&value, VALUE)));
    let (headers, more_headers) = weight::first(headers.collect(), HEADERS, |(name, value)| {
        40 + weight::of(name) + weight::of(value)
    });
    let (redacted, more_redacted) =
        weight::first(std::mem::take(&mut event.redacted), REDACTED, |path| {
            20 + weight::of(path)
        });
    html(&EventPage {
        page: visitor.page(format!("Event {}", event.r#type), &org),
        time: Moment::of(event.receive_time.as_ref()),
        format: format(match event.came_as() {
            v1::PayloadFormat::Unspecified => event.format(),
            came_as => came_as,
        }),
        bytes: words::number(event.body_bytes.into()),
        proven: !event.flags().any(|flag| flag == v1::EventFlag::Unsigned),
        flags: event.flags().filter_map(words::flag).collect(),
        pretty,
        raw: payload::raw(&event.body, event.body_bytes as usize, payload::MAX_RAW),
        more_deliveries: !answer.next_page_token.is_empty(),
        headers,
        more_headers,
        query: weight::cut(&event.query, VALUE),
        unsigned: event
            .unsigned_values
            .iter()
            .map(|name| name.replace('_', " "))
            .collect(),
        decided,
        more_decided,
        id: event.id,
        event_type: event.r#type,
        group: event.group,
        connector: event.connector,
        function: event.function,
        delivery_id: event.delivery_id,
        external_id: event.external_id,
        method: event.method,
        content_type: event.content_type,
        duplicate_of: event.duplicate_of,
        duplicates: event.duplicates,
        undecodable: event.undecodable_reason,
        redacted,
        more_redacted,
        payload_from: event.payload,
    })
}

/// The bytes as they are kept, for a file: of a type that nothing opens by itself.
pub(super) async fn body(
    visitor: Visitor,
    Path((org, id)): Path<(String, String)>,
    Extension(downloads): Extension<Downloads>,
) -> Result<Response, Problem> {
    let turn = downloads.turn().await?;
    let request = v1::GetEventRequest {
        name: format!("events/{id}"),
        ..Default::default()
    };
    let event = event(&visitor, &org, request).await?;
    let safe = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let name: String = event.id.chars().filter(safe).collect();
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, event.body.len().to_string()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.bin\""),
        ),
    ];
    Ok((headers, downloads::body(event.body, turn)).into_response())
}

/// The verdicts of when it came, each with its deliveries; then webhooks that were fed with it later.
fn decided(verdicts: Vec<v1::WebhookVerdict>, deliveries: Vec<v1::Delivery>) -> Vec<Decided> {
    let mut by_webhook: BTreeMap<String, Vec<v1::Delivery>> = BTreeMap::new();
    for delivery in deliveries {
        let of = by_webhook.entry(delivery.webhook_uid.clone()).or_default();
        of.push(delivery);
    }
    let shown = |mut of: Vec<v1::Delivery>| -> Vec<Delivered> {
        // In the order they were made.
        of.reverse();
        of.into_iter()
            .map(|mut delivery| Delivered {
                tries: tries(std::mem::take(&mut delivery.history)),
                row: DeliveryRow::of(delivery),
            })
            .collect()
    };
    let mut all = Vec::new();
    for verdict in verdicts {
        let of = by_webhook.remove(&verdict.webhook_uid).unwrap_or_default();
        all.push(Decided {
            webhook: match verdict.webhook.is_empty() {
                true => verdict.webhook_uid,
                false => verdict.webhook,
            },
            matched: verdict.matched,
            reason: match (verdict.matched, of.is_empty()) {
                (false, false) => format!(
                    "{}; matched later, by a replay",
                    weight::cut(&verdict.reason, REASON)
                ),
                _ => weight::cut(&verdict.reason, REASON),
            },
            deliveries: shown(of),
        });
    }
    for of in by_webhook.into_values() {
        all.push(Decided {
            webhook: of
                .first()
                .map(|one| one.webhook.clone())
                .unwrap_or_default(),
            matched: true,
            reason: "matched later, by a replay".to_owned(),
            deliveries: shown(of),
        });
    }
    all
}

/// The last ones of a delivery, in short.
fn tries(history: Vec<v1::Attempt>) -> Vec<Tried> {
    let mut tries = story::tries(history);
    tries.drain(..tries.len().saturating_sub(TRIES));
    for tried in &mut tries {
        tried.reason = weight::cut(&tried.reason, REASON);
        tried.excerpt = weight::cut(&tried.excerpt, EXCERPT);
    }
    tries
}

/// What a payload was read as.
fn format(format: v1::PayloadFormat) -> &'static str {
    match format {
        v1::PayloadFormat::Json => "JSON",
        v1::PayloadFormat::Form => "form, read as JSON",
        v1::PayloadFormat::Xml => "XML, read as JSON",
        v1::PayloadFormat::Ndjson => "lines of JSON, read as a list",
        v1::PayloadFormat::Multipart => "form of parts, read as JSON without its files",
        v1::PayloadFormat::Opaque | v1::PayloadFormat::Unspecified => "not decoded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(uid: &str, id: &str) -> v1::Delivery {
        v1::Delivery {
            id: id.into(),
            webhook: uid.into(),
            webhook_uid: uid.into(),
            ..Default::default()
        }
    }

    #[test]
    fn each_webhook_has_its_verdict_and_its_deliveries_and_those_fed_later_are_shown() {
        let verdict = |uid: &str, matched| v1::WebhookVerdict {
            webhook: uid.into(),
            webhook_uid: uid.into(),
            matched,
            reason: "why".into(),
        };
        let found = decided(
            vec![verdict("a", true), verdict("b", false), verdict("c", false)],
            vec![
                delivery("d", "4"),
                delivery("b", "3"),
                delivery("a", "2"),
                delivery("a", "1"),
            ],
        );
        let told: Vec<_> = found
            .iter()
            .map(|one| {
                let ids: Vec<_> = one
                    .deliveries
                    .iter()
                    .map(|one| one.row.id.as_str())
                    .collect();
                (one.webhook.as_str(), one.matched, one.reason.as_str(), ids)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("a", true, "why", vec!["1", "2"]),
                ("b", false, "why; matched later, by a replay", vec!["3"]),
                ("c", false, "why", vec![]),
                ("d", true, "matched later, by a replay", vec!["4"]),
            ]
        );
    }
}
