//! Deleting a group: what goes with it, and what becomes of deliveries that wait.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use v1::DeliveryStatus;

use super::{Place, for_editors, title};
use crate::page::{Page, Visitor, form_page, html, to};
use crate::problem::{Faults, Problem};

/// Webhooks and deliveries are counted so far.
const COUNTED: u32 = 100;
/// Webhooks named.
const NAMED: usize = 20;
/// Above so many the API asks twice, if they are much of the org's.
const LARGE: usize = 20;

#[derive(Template)]
#[template(path = "groups/delete.html")]
struct Delete {
    page: Page,
    group: String,
    title: String,
    etag: String,
    disabled: bool,
    /// The first few by name, without the template.
    webhooks: Vec<String>,
    webhook_count: usize,
    /// There are more than were counted.
    many: bool,
    /// How many are pending, leased or held, in words. Empty: none.
    waiting: Vec<String>,
    discard: bool,
    faults: Faults,
}

impl Delete {
    fn more(&self) -> usize {
        self.webhook_count.saturating_sub(self.webhooks.len())
    }

    fn is_large(&self) -> bool {
        self.webhook_count >= LARGE
    }
}

fn counted(count: usize, what: &str) -> String {
    match u32::try_from(count) {
        Ok(count) if count < COUNTED => format!("{count} {what}"),
        _ => format!("{COUNTED} or more {what}"),
    }
}

async fn asked(visitor: &Visitor, place: &Place) -> Result<Delete, Problem> {
    let group = place.get(visitor).await?;
    let request = v1::ListWebhooksRequest {
        parent: place.name(),
        page_size: COUNTED,
        page_token: String::new(),
    };
    let webhooks = visitor.api.webhooks().list_webhooks(request).await?;
    let webhooks = webhooks.into_inner();
    let many = !webhooks.next_page_token.is_empty();
    let names = webhooks.webhooks.into_iter();
    let names = names.map(|webhook| webhook.metadata.unwrap_or_default().name);
    let mut names: Vec<String> = names.filter(|name| name != "template").collect();
    let mut waiting = Vec::new();
    for (status, word) in [
        (DeliveryStatus::Pending, "pending"),
        (DeliveryStatus::Leased, "leased"),
        (DeliveryStatus::Held, "held"),
    ] {
        let request = v1::ListDeliveriesRequest {
            parent: place.name(),
            page_size: COUNTED,
            status: status.into(),
            ..Default::default()
        };
        let found = visitor.api.events().list_deliveries(request).await?;
        match found.into_inner().deliveries.len() {
            0 => {}
            count => waiting.push(counted(count, word)),
        }
    }
    let metadata = group.metadata.unwrap_or_default();
    let spec = group.spec.unwrap_or_default();
    let title = title(&metadata, &spec);
    let webhook_count = names.len();
    names.truncate(NAMED);
    Ok(Delete {
        page: visitor.page(format!("Delete {title}?"), &place.org),
        group: metadata.name,
        title,
        etag: metadata.etag,
        disabled: spec.disabled,
        webhooks: names,
        webhook_count,
        many,
        waiting,
        discard: false,
        faults: Faults::default(),
    })
}

pub(in crate::pages) async fn show(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    for_editors(&visitor)?;
    html(&asked(&visitor, &Place::of(place)).await?)
}

pub(in crate::pages) async fn remove(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let place = Place::of(place);
    let discard = form.text("waiting") == "discard";
    let request = v1::DeleteWebhookGroupRequest {
        name: place.name(),
        etag: form.text("etag").to_owned(),
        discard_pending: discard,
        confirm_large: form.ticked("confirm_large"),
    };
    match visitor.api.groups().delete_webhook_group(request).await {
        Ok(_) => Ok(to(&format!("/orgs/{}?done=group-deleted", place.org))),
        Err(status) => {
            let page = Delete {
                faults: Faults::of(status)?,
                discard,
                ..asked(&visitor, &place).await?
            };
            form_page(&page.faults, &page)
        }
    }
}
