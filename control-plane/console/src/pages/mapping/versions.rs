//! Versions of a mapping, which never change: a list of them, one to look at beside that of now, and back into the form.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use futures_util::future::try_join_all;
use hookplane_proto::v1;
use tonic::{Code, Status};

use super::outline;
use super::unlike::{self, Difference};
use crate::moment::Moment;
use crate::page::{Page, Visitor, html};
use crate::pages::webhooks::Place;
use crate::pages::webhooks::trail::Trail;
use crate::problem::Problem;

/// Of the list, on a page. Each is read whole, to say what changed.
const PAGE: u32 = 20;

struct Row {
    version: u32,
    made: Option<Moment>,
    token: String,
    /// Against the one before it.
    changed: String,
}

#[derive(Template)]
#[template(path = "mapping_versions.html")]
struct List {
    page: Page,
    place: Place,
    trail: Trail,
    status: v1::WebhookStatus,
    rows: Vec<Row>,
    /// The newest of the next page; 0: there is none.
    next: u32,
}

#[derive(Template)]
#[template(path = "mapping_version.html")]
struct View {
    page: Page,
    place: Place,
    trail: Trail,
    status: v1::WebhookStatus,
    version: u32,
    made: Option<Moment>,
    token: String,
    objects: Vec<outline::Object>,
    has_mapping: bool,
    differences: Vec<Difference>,
    more: usize,
}

/// None: it isn't kept any more.
pub(super) async fn read(
    visitor: &Visitor,
    place: &Place,
    version: u32,
) -> Result<Option<v1::MappingVersion>, Status> {
    let request = v1::GetMappingVersionRequest {
        name: place.name(),
        version,
    };
    match visitor.api.webhooks().get_mapping_version(request).await {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

pub(in crate::pages) async fn list(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let webhook = place.get(&visitor).await?;
    let (spec, status) = (
        webhook.spec.unwrap_or_default(),
        webhook.status.unwrap_or_default(),
    );
    let newest = status.newest_mapping_version;
    let from = visitor.query.text("from").parse().unwrap_or(newest);
    let from: u32 = from.min(newest);
    // With the one before the last of them.
    let numbers = (from.saturating_sub(PAGE).max(1)..=from).rev();
    let all = try_join_all(numbers.map(|number| read(&visitor, &place, number))).await?;
    let all: Vec<v1::MappingVersion> = all.into_iter().flatten().collect();
    let rows = all.iter().enumerate().take(PAGE as usize);
    let rows = rows.map(|(index, one)| Row {
        version: one.version,
        made: Moment::of(one.create_time.as_ref()),
        token: one.token_id.clone(),
        changed: match all.get(index + 1) {
            Some(before) => unlike::in_words(&unlike::between(
                before.mapping.as_ref(),
                one.mapping.as_ref(),
            )),
            None if one.version == 1 => "the first".to_owned(),
            None => "the one before it is no longer kept".to_owned(),
        },
    });
    html(&List {
        page: visitor.page(format!("Mapping versions of {}", place.webhook), &place.org),
        trail: Trail::of(&visitor, &place, &spec).await,
        rows: rows.collect(),
        next: all.get(PAGE as usize).map_or(0, |one| one.version),
        status,
        place,
    })
}

pub(in crate::pages) async fn show(
    visitor: Visitor,
    Path((org, group, webhook, version)): Path<(String, String, String, String)>,
) -> Result<Response, Problem> {
    let place = Place::of((org, group, webhook));
    let number: u32 = version.parse().map_err(|_| Problem::NoPage)?;
    let webhook = place.get(&visitor).await?;
    let of = visitor.query.text("of");
    if !of.is_empty() && webhook.metadata.as_ref().is_some_and(|m| m.uid != of) {
        let message = format!(
            "The webhook that the delivery was for was deleted, with its mapping: the `{}` of now is another one.",
            place.webhook
        );
        return Err(Status::not_found(message).into());
    }
    let Some(then) = read(&visitor, &place, number).await? else {
        let message = format!("Version {number} is no longer kept: the newest 200 are.");
        return Err(Status::not_found(message).into());
    };
    let spec = webhook.spec.unwrap_or_default();
    let trail = Trail::of(&visitor, &place, &spec).await;
    let now = spec.mapping;
    let mut differences = unlike::between(now.as_ref(), then.mapping.as_ref());
    let more = differences.len().saturating_sub(unlike::SHOWN);
    differences.truncate(unlike::SHOWN);
    let title = format!("Mapping version {number} of {}", place.webhook);
    html(&View {
        page: visitor.page(title, &place.org),
        trail,
        status: webhook.status.unwrap_or_default(),
        version: number,
        made: Moment::of(then.create_time.as_ref()),
        token: then.token_id,
        objects: outline::of(then.mapping.as_ref()),
        has_mapping: now.is_some(),
        differences,
        more,
        place,
    })
}
