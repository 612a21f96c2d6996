//! The forms of a webhook: edit and clone. What it maps is written on a page of its own.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;

use super::events::Choices;
use super::trail::Trail;
use super::{Place, mapping_in_words, targets, update};
use crate::form::Form;
use crate::name;
use crate::page::{Page, Visitor, form_page, html, to};
use crate::pages::changes::{self, Changes};
use crate::pages::groups::definition;
use crate::problem::{Faults, Problem};

/// What the form writes; the mapping stays.
const MASK: [&str; 6] = [
    "label",
    "active",
    "events",
    "filter",
    "order_by",
    "destinations",
];

/// What is typed.
struct Draft {
    label: String,
    name: String,
    active: bool,
    filter: String,
    order_by: String,
    etag: String,
}

#[derive(Template)]
#[template(path = "webhook_edit.html")]
struct Edit {
    page: Page,
    place: Place,
    trail: Trail,
    draft: Draft,
    events: Choices,
    destinations: Vec<targets::Choice>,
    own: targets::Own,
    more_destinations: bool,
    changes: Option<Changes>,
    last: u32,
    faults: Faults,
}

#[derive(Template)]
#[template(path = "webhook_clone.html")]
struct Clone {
    page: Page,
    place: Place,
    trail: Trail,
    original: String,
    draft: Draft,
    events: Choices,
    /// What goes along as it is.
    mapping: String,
    destinations: Vec<String>,
    faults: Faults,
}

/// The group's function and what it lets in.
async fn events(visitor: &Visitor, place: &Place, chosen: &[String]) -> Result<Choices, Problem> {
    let group = place.get_group(visitor).await?.spec.unwrap_or_default();
    let connector = definition(visitor, &place.org, &group.connector).await;
    // One that was deleted since: its groups go on with what they pinned.
    let spec = connector.ok().and_then(|connector| connector.spec);
    let functions = spec.map_or_else(Vec::new, |spec| spec.functions);
    let function = functions.iter().find(|one| one.name == group.function);
    Ok(Choices::of(&group, function, chosen))
}

fn draft(webhook: &v1::Webhook) -> Draft {
    let spec = webhook.spec.clone().unwrap_or_default();
    let metadata = webhook.metadata.clone().unwrap_or_default();
    Draft {
        label: spec.label,
        name: metadata.name,
        active: spec.active,
        filter: spec.filter,
        order_by: spec.order_by,
        etag: metadata.etag,
    }
}

fn typed(form: &Form) -> Draft {
    Draft {
        label: form.text("label").to_owned(),
        name: form.text("name").to_owned(),
        active: form.ticked("active"),
        // Browsers end lines with both.
        filter: form.text("filter").replace("\r\n", "\n"),
        order_by: form.text("order_by").to_owned(),
        etag: form.text("etag").to_owned(),
    }
}

/// The form as it is stored, with what is wrong with it.
pub(super) async fn shown(
    visitor: &Visitor,
    place: &Place,
    faults: Faults,
) -> Result<Response, Problem> {
    let webhook = place.get(visitor).await?;
    let spec = webhook.spec.clone().unwrap_or_default();
    let (destinations, more_destinations) =
        targets::choices(visitor, &place.org, &spec.destinations).await?;
    let page = Edit {
        page: visitor.page(format!("Edit {}", place.webhook), &place.org),
        trail: Trail::of(visitor, place, &spec).await,
        draft: draft(&webhook),
        events: events(visitor, place, &spec.events).await?,
        destinations,
        own: targets::Own::default(),
        more_destinations,
        changes: None,
        last: changes::LASTS[1],
        faults,
        place: place.clone(),
    };
    form_page(&page.faults, &page)
}

pub(in crate::pages) async fn show(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    if place.is_template() {
        return Ok(to(&format!("{}/clone", place.path())));
    }
    shown(&visitor, &place, Faults::default()).await
}

pub(in crate::pages) async fn save(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let form = visitor.posted(&body)?;
    let stored = place.get(&visitor).await?;
    let stored = stored.spec.unwrap_or_default();
    let draft = typed(&form);
    let webhook = v1::Webhook {
        metadata: Some(place.metadata(&draft.etag)),
        spec: Some(v1::WebhookSpec {
            label: draft.label.clone(),
            active: draft.active,
            events: Choices::read(&form),
            filter: draft.filter.clone(),
            order_by: draft.order_by.clone(),
            destinations: targets::read(&form, &stored.destinations),
            mapping: stored.mapping.clone(),
        }),
        status: None,
    };
    let chosen = webhook.spec.clone().unwrap_or_default().events;
    let last = changes::last(&form);
    let mut faults = Faults::default();
    let mut compared = None;
    if targets::nothing(&form) {
        faults.add(
            "spec.destinations",
            "choose one or more: a webhook that shall do nothing isn't active",
        );
    } else if form.text("do") == "compare" {
        match changes::compare(&visitor, webhook, last).await {
            Ok(changes) => compared = Some(changes),
            Err(status) => faults = Faults::of(status)?,
        }
    } else {
        match update(&visitor, webhook, &MASK).await {
            Ok(_) => return Ok(to(&format!("{}?done=webhook-saved", place.path()))),
            Err(status) => faults = Faults::of(status)?,
        }
    }
    let (mut destinations, more_destinations) =
        targets::choices(&visitor, &place.org, &stored.destinations).await?;
    targets::tick(&mut destinations, &form);
    let page = Edit {
        page: visitor.page(format!("Edit {}", place.webhook), &place.org),
        trail: Trail::of(&visitor, &place, &stored).await,
        draft,
        events: events(&visitor, &place, &chosen).await?,
        destinations,
        own: targets::Own::typed(&form),
        more_destinations,
        changes: compared,
        last,
        faults,
        place,
    };
    form_page(&page.faults, &page)
}

async fn clone_page(
    visitor: &Visitor,
    place: Place,
    form: Option<&Form>,
) -> Result<Clone, Problem> {
    let original = place.get(visitor).await?;
    let spec = original.spec.clone().unwrap_or_default();
    let status = original.status.clone().unwrap_or_default();
    let (draft, chosen) = match form {
        Some(form) => (typed(form), Choices::read(form)),
        None => {
            let label = match place.is_template() {
                true => String::new(),
                false => format!("{} (copy)", spec.label),
            };
            let draft = Draft {
                label,
                name: String::new(),
                active: false,
                ..draft(&original)
            };
            (draft, spec.events.clone())
        }
    };
    Ok(Clone {
        page: visitor.page(format!("Clone {}", place.webhook), &place.org),
        trail: Trail::of(visitor, &place, &spec).await,
        original: match (place.is_template(), spec.label.as_str()) {
            (true, _) => "the template".to_owned(),
            (false, "") => place.webhook.clone(),
            (false, label) => label.to_owned(),
        },
        draft,
        events: events(visitor, &place, &chosen).await?,
        mapping: mapping_in_words(
            spec.mapping.as_ref(),
            status.mapping_version,
            status.newest_mapping_version,
        ),
        destinations: super::names(&spec.destinations),
        faults: Faults::default(),
        place,
    })
}

pub(in crate::pages) async fn show_clone(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    html(&clone_page(&visitor, Place::of(place), None).await?)
}

pub(in crate::pages) async fn clone(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let form = visitor.posted(&body)?;
    let draft = typed(&form);
    let events = Choices::read(&form);
    let new_name = name::typed_or_from(&draft.name, &draft.label);
    let stored = place.get(&visitor).await?.spec.unwrap_or_default();
    let mut faults = Faults::default();
    if draft.label.is_empty() {
        faults.add("spec.label", "is missing; it is what people read");
    }
    if new_name.is_empty() && !draft.label.is_empty() {
        faults.add("metadata.name", "can't be made of this label: type one");
    }
    // No events in a request mean those of the original, which were just unticked.
    if events.is_empty() && (draft.active || !stored.events.is_empty()) {
        faults.add("spec.events", "choose one or more");
    }
    let blank = events.is_empty();
    if faults.is_empty() {
        let request = v1::CloneWebhookRequest {
            name: place.name(),
            new_name: new_name.clone(),
            label: draft.label,
            events,
            active: draft.active,
            filter: Some(draft.filter),
        };
        match visitor.api.webhooks().clone_webhook(request).await {
            Ok(_) => {
                let copy = Place {
                    webhook: new_name,
                    ..place
                };
                let done = match blank {
                    true => "webhook-cloned-without-events",
                    false => "webhook-cloned",
                };
                return Ok(to(&format!("{}?done={done}", copy.path())));
            }
            Err(status) => {
                let said = Faults::of(status)?;
                faults = said.renamed("new_name", "metadata.name");
            }
        }
    }
    let page = Clone {
        faults,
        ..clone_page(&visitor, place, Some(&form)).await?
    };
    form_page(&page.faults, &page)
}
