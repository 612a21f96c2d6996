//! A group off and on again.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;

use super::{Change, Place, for_editors, title};
use crate::page::{Page, Visitor, form_page, html, to};
use crate::problem::{Faults, Problem};

#[derive(Template)]
#[template(path = "groups/switch.html")]
struct Switch {
    page: Page,
    group: String,
    title: String,
    etag: String,
    disabled: bool,
    faults: Faults,
}

impl Switch {
    fn of(visitor: &Visitor, place: &Place, group: v1::WebhookGroup) -> Self {
        let metadata = group.metadata.unwrap_or_default();
        let spec = group.spec.unwrap_or_default();
        let title = title(&metadata, &spec);
        let does = if spec.disabled { "Enable" } else { "Disable" };
        Self {
            page: visitor.page(format!("{does} {title}?"), &place.org),
            group: metadata.name,
            title,
            etag: metadata.etag,
            disabled: spec.disabled,
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
    html(&Switch::of(&visitor, &place, place.get(&visitor).await?))
}

pub(in crate::pages) async fn turn(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let place = Place::of(place);
    let (disabled, done) = match form.text("to") {
        "disabled" => (true, "group-disabled"),
        "enabled" => (false, "group-enabled"),
        _ => return Err(Problem::NoPage),
    };
    let spec = v1::WebhookGroupSpec {
        disabled,
        ..Default::default()
    };
    let change = Change::of(form.text("etag"), &["disabled"]);
    match place.update(&visitor, spec, change).await {
        Ok(()) => Ok(to(&format!("{}?done={done}", place.path()))),
        Err(status) => {
            let page = Switch {
                faults: Faults::of(status)?,
                ..Switch::of(&visitor, &place, place.get(&visitor).await?)
            };
            form_page(&page.faults, &page)
        }
    }
}
