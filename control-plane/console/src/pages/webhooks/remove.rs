//! Deleting a webhook: what goes with it, and whether what waits may go too.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use http::StatusCode;

use super::Place;
use super::trail::Trail;
use crate::page::{Page, Visitor, html, to, with_status};
use crate::problem::{Faults, Problem};

#[derive(Template)]
#[template(path = "webhook_delete.html")]
struct Delete {
    page: Page,
    place: Place,
    trail: Trail,
    label: String,
    active: bool,
    etag: String,
    faults: Faults,
}

async fn page(visitor: &Visitor, place: Place, faults: Faults) -> Result<Delete, Problem> {
    let webhook = place.get(visitor).await?;
    let spec = webhook.spec.unwrap_or_default();
    Ok(Delete {
        page: visitor.page(format!("Delete {}", place.webhook), &place.org),
        trail: Trail::of(visitor, &place, &spec).await,
        etag: webhook.metadata.unwrap_or_default().etag,
        label: spec.label,
        active: spec.active,
        faults,
        place,
    })
}

pub(in crate::pages) async fn ask(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    html(&page(&visitor, Place::of(place), Faults::default()).await?)
}

pub(in crate::pages) async fn delete(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let form = visitor.posted(&body)?;
    let request = v1::DeleteWebhookRequest {
        name: place.name(),
        etag: form.text("etag").to_owned(),
        discard_pending: form.text("waiting") == "discard",
    };
    match visitor.api.webhooks().delete_webhook(request).await {
        Ok(_) => Ok(to(&format!("{}?done=webhook-deleted", place.group_path()))),
        Err(status) => {
            let faults = Faults::of(status)?;
            let status = match faults.is_passing() {
                true => faults.status(),
                false => StatusCode::CONFLICT,
            };
            with_status(status, &page(&visitor, place, faults).await?)
        }
    }
}
