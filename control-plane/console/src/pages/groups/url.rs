//! A new Callback URL, the old one going on for a while.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;

use super::{Place, for_editors, title};
use crate::page::{Page, Visitor, form_page, html, to};
use crate::problem::{Faults, Problem};

const HOUR: u32 = 3_600;
const DAY: u32 = 24 * HOUR;
/// How long the old one may go on, in seconds.
const OVERLAPS: [(u32, &str); 6] = [
    (HOUR, "an hour"),
    (DAY, "a day"),
    (7 * DAY, "7 days"),
    (30 * DAY, "30 days"),
    (90 * DAY, "90 days"),
    (0, "not at all: it ends now"),
];
const USUAL: u32 = 7 * DAY;

#[derive(Template)]
#[template(path = "groups/url.html")]
struct Rotate {
    page: Page,
    group: String,
    title: String,
    etag: String,
    url: String,
    retiring: usize,
    overlap: u32,
    faults: Faults,
}

impl Rotate {
    fn of(visitor: &Visitor, place: &Place, group: v1::WebhookGroup) -> Self {
        let metadata = group.metadata.unwrap_or_default();
        let status = group.status.unwrap_or_default();
        let title = title(&metadata, &group.spec.unwrap_or_default());
        Self {
            page: visitor.page(format!("New Callback URL for {title}"), &place.org),
            group: metadata.name,
            title,
            etag: metadata.etag,
            url: status.callback_url,
            retiring: status.retiring_urls.len(),
            overlap: USUAL,
            faults: Faults::default(),
        }
    }
}

pub(in crate::pages) async fn show(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    for_editors(&visitor)?;
    let place = Place::of(place);
    html(&Rotate::of(&visitor, &place, place.get(&visitor).await?))
}

pub(in crate::pages) async fn rotate(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let place = Place::of(place);
    let overlap = form.text("overlap").parse().ok();
    let overlap = overlap.filter(|asked| OVERLAPS.iter().any(|(seconds, _)| seconds == asked));
    let mut faults = Faults::default();
    match overlap {
        None => faults.add("overlap_seconds", "choose one of those below"),
        Some(overlap_seconds) => {
            let request = v1::RotateCallbackUrlRequest {
                name: place.name(),
                etag: form.text("etag").to_owned(),
                overlap_seconds,
            };
            match visitor.api.groups().rotate_callback_url(request).await {
                Ok(_) => return Ok(to(&format!("{}?done=url-rotated", place.path()))),
                Err(status) => faults = Faults::of(status)?,
            }
        }
    }
    let page = Rotate {
        faults,
        overlap: overlap.unwrap_or(USUAL),
        ..Rotate::of(&visitor, &place, place.get(&visitor).await?)
    };
    form_page(&page.faults, &page)
}
