//! An org's destinations: the list, each with how it is doing, pausing and deleting. The forms are in `edit`.

pub(super) mod edit;

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use http::StatusCode;
use prost_types::FieldMask;

use super::webhooks::State;
use crate::moment::Moment;
use crate::page::{Page, Visitor, html, to, with_status};
use crate::problem::{Faults, Problem};
use crate::weight;

/// On one page: of some 1,500 bytes each.
const PAGE: u32 = 60;
/// What a list shows of a text.
const SHOWN: usize = 300;

/// Which one an address means.
#[derive(Debug, Clone)]
pub(super) struct Place {
    org: String,
    name: String,
}

impl Place {
    fn of((org, name): (String, String)) -> Self {
        Self { org, name }
    }

    fn path(&self) -> String {
        format!("/orgs/{}/destinations/{}", self.org, self.name)
    }

    fn resource(&self) -> String {
        format!("orgs/{}/destinations/{}", self.org, self.name)
    }

    async fn get(&self, visitor: &Visitor) -> Result<v1::Destination, Problem> {
        let request = v1::GetDestinationRequest {
            name: self.resource(),
        };
        let answer = visitor.api.destinations().get_destination(request).await?;
        Ok(answer.into_inner())
    }

    fn metadata(&self, etag: &str) -> v1::Metadata {
        v1::Metadata {
            org: self.org.clone(),
            name: self.name.clone(),
            etag: etag.to_owned(),
            ..Default::default()
        }
    }
}

/// One, with how it is doing.
struct Row {
    name: String,
    display_name: String,
    kind: &'static str,
    url: String,
    paused: bool,
    state: State,
    reason: String,
    since: Option<Moment>,
    retry: Option<Moment>,
    delivered: u64,
    failed: u64,
    etag: String,
}

impl Row {
    fn of(destination: &v1::Destination) -> Self {
        let metadata = destination.metadata.clone().unwrap_or_default();
        let spec = destination.spec.clone().unwrap_or_default();
        let status = destination.status.clone().unwrap_or_default();
        let (kind, url) = match (spec.http, spec.salesforce) {
            (Some(http), _) => ("HTTP", http.url),
            (_, Some(salesforce)) => ("Salesforce", salesforce.url),
            _ => ("", String::new()),
        };
        Self {
            name: metadata.name,
            etag: metadata.etag,
            display_name: spec.display_name,
            kind,
            url,
            paused: spec.paused,
            state: State(status.state()),
            since: Moment::of(status.since.as_ref()),
            retry: Moment::of(status.retry_time.as_ref()),
            delivered: status.delivered,
            failed: status.failed,
            reason: status.reason,
        }
    }

    /// In a list.
    fn short(destination: &v1::Destination) -> Self {
        let row = Self::of(destination);
        Self {
            display_name: weight::cut(&row.display_name, SHOWN),
            url: weight::cut(&row.url, SHOWN),
            reason: weight::cut(&row.reason, SHOWN),
            ..row
        }
    }
}

#[derive(Template)]
#[template(path = "destinations.html")]
struct List {
    page: Page,
    rows: Vec<Row>,
    next: Option<String>,
}

pub(super) async fn list(visitor: Visitor, Path(org): Path<String>) -> Result<Response, Problem> {
    let request = v1::ListDestinationsRequest {
        parent: format!("orgs/{org}"),
        page_size: PAGE,
        page_token: visitor.query.text("page").to_owned(),
    };
    let answer = visitor
        .api
        .destinations()
        .list_destinations(request)
        .await?;
    let answer = answer.into_inner();
    html(&List {
        page: visitor.page("Destinations", &org),
        rows: answer.destinations.iter().map(Row::short).collect(),
        next: Some(answer.next_page_token).filter(|next| !next.is_empty()),
    })
}

#[derive(Template)]
#[template(path = "destination.html")]
struct View {
    page: Page,
    place: Place,
    row: Row,
    spec: v1::DestinationSpec,
    limits: Vec<(&'static str, String)>,
}

/// In words, the defaults too.
fn limits(limits: Option<&v1::DeliveryLimits>) -> Vec<(&'static str, String)> {
    let limits = limits.copied().unwrap_or_default();
    let or = |given: u32, default: &str| match given {
        0 => format!("{default}, the default"),
        given => given.to_string(),
    };
    vec![
        ("Requests at a time", or(limits.concurrency, "8")),
        ("Requests a second", or(limits.rate_per_second, "no limit")),
        ("Seconds for one request", or(limits.timeout_seconds, "15")),
        ("Attempts until it is dead", or(limits.max_attempts, "15")),
    ]
}

async fn shown(visitor: &Visitor, place: Place) -> Result<Response, Problem> {
    let destination = place.get(visitor).await?;
    let row = Row::of(&destination);
    let spec = destination.spec.unwrap_or_default();
    let title = match spec.display_name.as_str() {
        "" => place.name.clone(),
        name => name.to_owned(),
    };
    html(&View {
        page: visitor.page(title, &place.org),
        row,
        limits: limits(spec.limits.as_ref()),
        spec,
        place,
    })
}

pub(super) async fn show(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    shown(&visitor, Place::of(place)).await
}

pub(super) async fn pause(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let form = visitor.posted(&body)?;
    let paused = form.ticked("paused");
    let destination = v1::Destination {
        metadata: Some(place.metadata("")),
        spec: Some(v1::DestinationSpec {
            paused,
            ..Default::default()
        }),
        status: None,
    };
    update(&visitor, destination, &["paused"]).await?;
    let done = if paused { "paused" } else { "resumed" };
    Ok(to(&format!("{}?done=destination-{done}", place.path())))
}

/// Writes what the mask names.
async fn update(
    visitor: &Visitor,
    destination: v1::Destination,
    mask: &[&str],
) -> Result<(), tonic::Status> {
    let request = v1::UpdateDestinationRequest {
        destination: Some(destination),
        update_mask: Some(FieldMask {
            paths: mask.iter().map(|&path| path.to_owned()).collect(),
        }),
        validate_only: false,
    };
    let mut api = visitor.api.destinations();
    api.update_destination(request).await.map(drop)
}

#[derive(Template)]
#[template(path = "destination_delete.html")]
struct Delete {
    page: Page,
    place: Place,
    row: Row,
    faults: Faults,
}

async fn question(visitor: &Visitor, place: Place, faults: Faults) -> Result<Delete, Problem> {
    let destination = place.get(visitor).await?;
    Ok(Delete {
        page: visitor.page(format!("Delete {}", place.name), &place.org),
        row: Row::of(&destination),
        faults,
        place,
    })
}

pub(super) async fn ask(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    html(&question(&visitor, Place::of(place), Faults::default()).await?)
}

pub(super) async fn delete(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let form = visitor.posted(&body)?;
    let request = v1::DeleteDestinationRequest {
        name: place.resource(),
        etag: form.text("etag").to_owned(),
    };
    let mut api = visitor.api.destinations();
    match api.delete_destination(request).await {
        Ok(_) => Ok(to(&format!(
            "/orgs/{}/destinations?done=destination-deleted",
            place.org
        ))),
        Err(status) => {
            let faults = Faults::of(status)?;
            let status = match faults.is_passing() {
                true => faults.status(),
                false => StatusCode::CONFLICT,
            };
            with_status(status, &question(&visitor, place, faults).await?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_destinations_is_light_whatever_they_are_called() {
        let destination = v1::Destination {
            metadata: Some(v1::Metadata {
                name: "d".repeat(63),
                ..Default::default()
            }),
            spec: Some(v1::DestinationSpec {
                display_name: "<".repeat(200),
                http: Some(v1::HttpTarget {
                    url: format!("https://{}", "&".repeat(2_000)),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            status: Some(v1::DestinationStatus {
                reason: "\"".repeat(2_000),
                since: Some(prost_types::Timestamp::default()),
                ..Default::default()
            }),
        };
        weight::assert_light(&List {
            page: Page::for_tests(),
            rows: (0..PAGE).map(|_| Row::short(&destination)).collect(),
            next: Some("f".repeat(300)),
        });
    }
}
