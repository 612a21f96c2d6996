//! The mapping editor.
//!
//! ```text
//!   stored mapping ─▶ draft (form.rs) ─▶ page ── typed ─▶ draft ── add, remove (tree.rs) ─▶ page, nothing saved
//!                                                           ├───── preview, compare ──────▶ page, nothing saved
//!                                                           └───── save ─▶ a new version
//! ```
//!
//! The draft is in the form alone: nothing of it is kept here. With a script a button swaps the editor, and the preview follows what is typed;
//! without one the same buttons bring the same page.

mod choices;
mod form;
mod json;
mod lines;
mod names;
mod open;
pub(super) mod outline;
mod payload;
mod row;
mod shown;
mod tree;
mod unlike;
pub(super) mod versions;
mod view;

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use http::HeaderMap;

use self::choices::Choices;
use self::form::{Kind, Object};
use self::names::Names;
use self::payload::Payload;
use self::shown::Preview;
use super::changes::{self, Changes};
use super::webhooks::trail::Trail;
use super::webhooks::{Place, update};
use crate::form::Form;
use crate::page::{Page, Visitor, form_page, html, to};
use crate::problem::{Faults, Problem};
use crate::spoken::in_words;

#[derive(Template)]
#[template(path = "mapping.html")]
struct Editor<'d> {
    page: Page,
    place: &'d Place,
    webhook: &'d v1::Webhook,
    trail: Trail,
    label: String,
    etag: String,
    /// The rows are of this version, and not saved.
    from: Option<u32>,
    /// As the form has it: new events are mapped with what is saved.
    active: bool,
    objects: Vec<view::Shown<'d>>,
    rows: usize,
    /// Of a large mapping: what isn't open.
    rest: Option<open::Rest>,
    /// Buttons swap the editor.
    swaps: bool,
    events: Choices,
    choice: String,
    payload: Payload,
    preview: Preview,
    changes: Option<Changes>,
    last: u32,
    names: Names,
    faults: Faults,
}

impl Editor<'_> {
    fn status(&self) -> v1::WebhookStatus {
        self.webhook.status.clone().unwrap_or_default()
    }

    fn is_active(&self) -> bool {
        self.status().mapping_version > 0
    }

    fn has_mapping(&self) -> bool {
        let spec = self.webhook.spec.as_ref();
        spec.is_some_and(|spec| spec.mapping.is_some())
    }

    fn webhook_is_active(&self) -> bool {
        self.webhook.spec.as_ref().is_some_and(|spec| spec.active)
    }
}

#[derive(Template)]
#[template(path = "mapping_preview.html")]
struct PreviewPart<'p> {
    place: &'p Place,
    preview: Preview,
}

#[derive(Template)]
#[template(path = "mapping_names.html")]
struct NamesPart<'p> {
    place: &'p Place,
    names: Names,
}

/// What a page is made of, besides what it asks for itself.
struct Draft {
    base: Object,
    /// The rows began as those of this version.
    from: Option<u32>,
    place: open::Place,
    active: bool,
    etag: String,
    choice: String,
    changes: Option<Changes>,
    last: u32,
    with_names: bool,
    check: bool,
    /// Nobody asked for a judgement: what is missing is still being typed.
    quiet: bool,
    faults: Faults,
}

impl Draft {
    fn stored(webhook: &v1::Webhook) -> Self {
        let mapping = webhook.spec.as_ref().and_then(|spec| spec.mapping.as_ref());
        Self::with(mapping, webhook)
    }

    /// With the rows of that mapping.
    fn with(mapping: Option<&v1::Mapping>, webhook: &v1::Webhook) -> Self {
        let base = mapping.and_then(|mapping| mapping.base.as_ref());
        let base = base.map_or_else(|| Object::blank(Kind::Base), Object::of);
        Self {
            base,
            from: None,
            place: open::Place::default(),
            active: mapping.is_none_or(|mapping| mapping.active),
            etag: webhook.metadata.clone().unwrap_or_default().etag,
            choice: String::new(),
            changes: None,
            last: changes::LASTS[1],
            with_names: false,
            check: false,
            quiet: false,
            faults: Faults::default(),
        }
    }

    fn typed(form: &Form) -> Option<Self> {
        Some(Self {
            base: Object::read(form)?,
            from: form.text("began_as").parse().ok(),
            place: open::Place::read(form),
            active: form.ticked("active"),
            etag: form.text("etag").to_owned(),
            choice: form.text("event").to_owned(),
            changes: None,
            last: changes::last(form),
            with_names: form.ticked("names"),
            check: form.ticked("check"),
            quiet: false,
            faults: Faults::default(),
        })
    }

    /// The webhook as it would be with this, as if it mapped: whoever looks at a mapping wants to see it at work.
    fn at_work(&self, place: &Place, webhook: &v1::Webhook, faults: &mut Faults) -> v1::Webhook {
        v1::Webhook {
            metadata: Some(place.metadata("")),
            spec: Some(v1::WebhookSpec {
                mapping: Some(v1::Mapping {
                    active: true,
                    base: Some(self.base.base(faults)),
                }),
                ..webhook.spec.clone().unwrap_or_default()
            }),
            status: None,
        }
    }
}

pub(super) async fn show(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    // Who may not write reads it on the webhook's page.
    if !visitor.who.edits() {
        return Ok(to(&format!("{}#mapping", place.path())));
    }
    let webhook = place.get(&visitor).await?;
    let mut draft = Draft::stored(&webhook);
    if let Ok(version) = visitor.query.text("version").parse() {
        // The list says what there is.
        let Some(then) = versions::read(&visitor, &place, version).await? else {
            return Ok(to(&format!("{}/mapping/versions", place.path())));
        };
        draft = Draft {
            from: Some(version),
            active: draft.active,
            ..Draft::with(then.mapping.as_ref(), &webhook)
        };
    }
    visitor.query.text("event").clone_into(&mut draft.choice);
    render(&visitor, &place, &webhook, draft).await
}

pub(super) async fn post(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    if !visitor.who.edits() {
        let why = "Only an editor or an admin works on a mapping.";
        return Err(tonic::Status::permission_denied(why).into());
    }
    let form = visitor.posted(&body)?;
    let mut draft = Draft::typed(&form).ok_or(Problem::TooMuch)?;
    let webhook = match place.get(&visitor).await {
        Ok(webhook) => webhook,
        // What is typed is in the form alone: it comes back, to be sent again.
        Err(Problem::Api(status)) => {
            draft.faults = Faults::of(*status)?;
            return render(&visitor, &place, &v1::Webhook::default(), draft).await;
        }
        Err(problem) => return Err(problem),
    };
    let swaps = headers.contains_key("hx-request");
    let mut faults = Faults::default();
    match form.text("do") {
        "preview" if swaps => {
            let preview = preview(&visitor, &place, &webhook, &draft, &mut faults).await?;
            return html(&PreviewPart {
                place: &place,
                preview,
            });
        }
        "names" if swaps => {
            let names = names::of(&visitor, &place.org, &webhook, &draft.base).await;
            return html(&NamesPart {
                place: &place,
                names,
            });
        }
        "names" => (draft.with_names, draft.quiet) = (true, true),
        "check" => draft.check = true,
        "preview" => {}
        "compare" => {
            let asked = draft.at_work(&place, &webhook, &mut faults);
            if faults.is_empty() {
                match changes::compare(&visitor, asked, draft.last).await {
                    Ok(changes) => draft.changes = Some(changes),
                    Err(status) => faults = Faults::of(status)?,
                }
            }
        }
        "save" => {
            let mut asked = draft.at_work(&place, &webhook, &mut faults);
            if faults.is_empty() {
                asked.metadata = Some(place.metadata(&draft.etag));
                let mapping = asked.spec.get_or_insert_default().mapping.as_mut();
                mapping
                    .into_iter()
                    .for_each(|mapping| mapping.active = draft.active);
                match update(&visitor, asked, &["mapping"]).await {
                    Ok(_) => return Ok(saved(&place, "mapping-saved", &draft.choice)),
                    Err(status) => faults = Faults::of(status)?,
                }
            }
        }
        "drop" => {
            let without = v1::Webhook {
                metadata: Some(place.metadata(&draft.etag)),
                ..Default::default()
            };
            match update(&visitor, without, &["mapping"]).await {
                Ok(_) => return Ok(saved(&place, "mapping-removed", &draft.choice)),
                Err(status) => faults = Faults::of(status)?,
            }
        }
        what => {
            tree::change(&mut draft.base, what);
            draft.place.follow(what, &mut draft.base);
            draft.quiet = true;
        }
    }
    draft.faults = faults;
    render(&visitor, &place, &webhook, draft).await
}

/// Back to the editor, at the same event.
fn saved(place: &Place, done: &str, choice: &str) -> Response {
    let choice: String = form_urlencoded::byte_serialize(choice.as_bytes()).collect();
    to(&format!(
        "{}/mapping?done={done}&event={choice}",
        place.path()
    ))
}

/// Whether new events are mapped, by itself: what the mapping says stays.
pub(super) async fn activate(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let form = visitor.posted(&body)?;
    let active = form.ticked("active");
    let webhook = place.get(&visitor).await?;
    let mut changed = webhook.clone();
    changed.metadata = Some(place.metadata(form.text("etag")));
    let mapping = changed.spec.get_or_insert_default().mapping.as_mut();
    mapping.ok_or(Problem::NoPage)?.active = active;
    match update(&visitor, changed, &["mapping"]).await {
        Ok(_) => {
            let done = if active { "activated" } else { "deactivated" };
            Ok(saved(&place, &format!("mapping-{done}"), ""))
        }
        Err(status) => {
            let draft = Draft {
                faults: Faults::of(status)?,
                ..Draft::stored(&webhook)
            };
            render(&visitor, &place, &webhook, draft).await
        }
    }
}

/// What the draft makes of the event; what can't be is in the faults, at its row.
async fn preview(
    visitor: &Visitor,
    place: &Place,
    webhook: &v1::Webhook,
    draft: &Draft,
    faults: &mut Faults,
) -> Result<Preview, Problem> {
    if draft.base.is_blank() {
        return Ok(Preview::default());
    }
    let asked = draft.at_work(place, webhook, faults);
    if !faults.is_empty() {
        return Ok(Preview::refused(faults));
    }
    let mut request = payload::request_of(&draft.choice, asked);
    request.check_destinations = draft.check;
    match visitor.api.previews().preview(request).await {
        Ok(answer) => {
            let preview = Preview::of(answer.into_inner());
            preview.mark(faults);
            Ok(preview)
        }
        Err(status) => {
            *faults = Faults::of(status)?;
            Ok(Preview::refused(faults))
        }
    }
}

async fn render(
    visitor: &Visitor,
    place: &Place,
    webhook: &v1::Webhook,
    mut draft: Draft,
) -> Result<Response, Problem> {
    // What there is besides the rows may fail: they can be written all the same, and must not be lost.
    let group = place.get_group(visitor).await.ok();
    let group = group.and_then(|group| group.spec).unwrap_or_default();
    let spec = webhook.spec.clone().unwrap_or_default();
    let events = choices::of(visitor, place, &group, &spec).await;
    let events = events.unwrap_or_default();
    // The newest that fits isn't known then, and nobody waits for it: a sample is looked at all the same.
    if events.unknown
        && draft.choice.is_empty()
        && let Some(sample) = events.samples.first()
    {
        draft.choice.clone_from(&sample.value);
    }
    // There is none yet, or it was deleted meanwhile, or the log doesn't answer: then the list above it is empty, too.
    let recorded = !draft.choice.starts_with("sample:");
    let payload = match events.unknown && recorded {
        true => Err(tonic::Status::unavailable("the event log doesn’t answer")),
        false => payload::of(visitor, &draft.choice, webhook).await,
    };
    let payload = payload.unwrap_or_else(|status| Payload {
        problem: in_words(status.message()),
        ..Payload::default()
    });
    // Both look at the same one, whatever comes in between.
    if draft.choice.is_empty() {
        draft.choice = payload.choice();
    }
    let refused = !draft.faults.is_empty();
    let mut marks = draft.faults.clone();
    // What was asked for instead of it has its room on the page.
    let instead = refused || draft.with_names && draft.quiet || draft.changes.is_some();
    let preview = match instead || payload.nodes.is_empty() && (draft.quiet || events.unknown) {
        true => Preview::default(),
        false => preview(visitor, place, webhook, &draft, &mut marks).await?,
    };
    if draft.quiet {
        marks = Faults::default();
    }
    let names = match draft.with_names {
        true => names::of(visitor, &place.org, webhook, &draft.base).await,
        false => Names::unasked(visitor, &place.org, webhook).await,
    };
    let all = view::of(&draft.base, &marks);
    let cut = open::cut(&draft.base, draft.place, all);
    let (objects, rest) = cut.map_err(|open::TooLarge| Problem::TooMuch)?;
    let rows = draft.base.count();
    let label = match spec.label.as_str() {
        "" => place.webhook.clone(),
        label => label.to_owned(),
    };
    let editor = Editor {
        page: visitor.page(format!("Mapping of {label}"), &place.org),
        place,
        webhook,
        trail: Trail::of(visitor, place, &spec).await,
        label,
        etag: draft.etag,
        from: draft.from,
        active: draft.active,
        objects,
        rows,
        swaps: rest.is_none(),
        rest,
        events,
        choice: draft.choice,
        payload,
        preview,
        changes: draft.changes,
        last: draft.last,
        names,
        // What the API said of a save is above the form; what a preview found is at the rows alone.
        faults: draft.faults,
    };
    form_page(&editor.faults, &editor)
}

#[cfg(test)]
mod tests;
