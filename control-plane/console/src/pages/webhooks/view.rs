//! One webhook, to look at: what it takes, where that goes, how its destinations are doing, and what it maps.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;

use super::trail::Trail;
use super::{Liveness, Place, mapping_in_words, name_of, targets, update};
use crate::moment::Moment;
use crate::page::{Page, Visitor, html, to};
use crate::pages::mapping::outline;
use crate::problem::Problem;
use crate::weight;

/// Of a list, in the page.
const ROOM: usize = 12 * 1024;

struct Warning {
    event: String,
    path: String,
    message: String,
    since: Option<Moment>,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct View {
    page: Page,
    place: Place,
    trail: Trail,
    etag: String,
    spec: v1::WebhookSpec,
    live: Liveness,
    destinations: Vec<targets::Row>,
    warnings: Vec<Warning>,
    more_warnings: usize,
    events: Vec<String>,
    more_events: usize,
    mapping: String,
    newest: u32,
    objects: Vec<outline::Object>,
    updated: Option<Moment>,
}

pub(in crate::pages) async fn show(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let webhook = place.get(&visitor).await?;
    let destinations = targets::rows(&webhook);
    let metadata = webhook.metadata.unwrap_or_default();
    let mut spec = webhook.spec.unwrap_or_default();
    let status = webhook.status.unwrap_or_default();
    let warnings = status.warnings.into_iter().map(|warning| Warning {
        since: Moment::of(warning.since.as_ref()),
        event: warning.event_type,
        path: warning.path,
        message: warning.message,
    });
    let (warnings, more_warnings) = weight::first(warnings.collect(), ROOM, |one: &Warning| {
        150 + weight::of(&one.event) + weight::of(&one.path) + weight::of(&one.message)
    });
    let (events, more_events) = weight::first(std::mem::take(&mut spec.events), ROOM, |event| {
        15 + weight::of(event)
    });
    let title = match spec.label.as_str() {
        "" => place.webhook.clone(),
        label => label.to_owned(),
    };
    html(&View {
        page: visitor.page(title, &place.org),
        trail: Trail::of(&visitor, &place, &spec).await,
        etag: metadata.etag,
        live: Liveness::of(status.live.as_ref(), spec.active && !place.is_template()),
        destinations,
        warnings,
        more_warnings,
        events,
        more_events,
        mapping: mapping_in_words(
            spec.mapping.as_ref(),
            status.mapping_version,
            status.newest_mapping_version,
        ),
        newest: status.newest_mapping_version,
        objects: outline::of(spec.mapping.as_ref()),
        updated: Moment::of(metadata.update_time.as_ref()),
        spec,
        place,
    })
}

/// Deliveries to one of its destinations wait, or go on. It is written back as it was read, or not at all.
pub(in crate::pages) async fn pause(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let form = visitor.posted(&body)?;
    let paused = form.ticked("paused");
    let mut webhook = place.get(&visitor).await?;
    let destinations = &mut webhook.spec.get_or_insert_default().destinations;
    let named = form.text("destination");
    let found = destinations.iter_mut().find(|one| name_of(one) == named);
    found.ok_or(Problem::NoPage)?.paused = paused;
    update(&visitor, webhook, &["destinations"]).await?;
    let done = if paused { "paused" } else { "resumed" };
    Ok(to(&format!("{}?done=destination-{done}", place.path())))
}
