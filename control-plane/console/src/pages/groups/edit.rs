//! The form of a group, new or as it is: what it is called, what proves its callbacks genuine, which events it takes, and how to set it up at the
//! provider beside it.

use askama::Template;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use tonic::{Code, Status};

use super::asks::Asks;
use super::typed::{FIELDS, Typed};
use super::{Change, Place, definition, for_editors, title};
use crate::form::Form;
use crate::page::{Page, Visitor, form_page, html, to};
use crate::pages::connectors::Confidence;
use crate::problem::{Faults, Problem};

/// Names tried for one that wasn't typed, where the first is taken: `shop`, `shop-2`, …
const NAMES_TRIED: usize = 20;
/// What the first secret is called.
const FIRST_SECRET: &str = "secret-1";

struct Parameter {
    field: String,
    label: String,
    hint: String,
    secret: bool,
    value: String,
    error: String,
}

#[derive(Template)]
#[template(path = "groups/form.html")]
struct FormPage {
    page: Page,
    /// Of a new one: none.
    group: Option<Existing>,
    asks: Asks,
    confidence: Confidence,
    limitations: Vec<String>,
    sources: Vec<String>,
    typed: Typed,
    parameters: Vec<Parameter>,
    faults: Faults,
    /// Somebody else wrote since the form was made.
    stale: bool,
}

/// What a form of a group that is there shows besides.
struct Existing {
    name: String,
    title: String,
    etag: String,
    url: String,
    secrets: Vec<String>,
    update: bool,
}

impl FormPage {
    fn path(&self) -> String {
        match &self.group {
            Some(group) => format!("/orgs/{}/groups/{}", self.page.org, group.name),
            None => self.connector_path(),
        }
    }

    fn connector_path(&self) -> String {
        format!(
            "/orgs/{}/connectors/{}?all=1",
            self.page.org, self.asks.connector
        )
    }

    /// No secret is stored yet, so one can be typed here; more than one are looked after on a page of their own.
    fn takes_secret(&self) -> bool {
        let stored = self.group.as_ref().map_or(0, |group| group.secrets.len());
        self.asks.secret && stored == 0
    }

    fn body_hint(&self) -> String {
        format!(
            "Empty means the connector's: {}. At most 26214400 (25 MiB).",
            self.asks.max_body_bytes
        )
    }

    /// Of what people read, once there is something.
    fn made_name(&self) -> String {
        match self.typed.display_name.is_empty() {
            true => String::new(),
            false => self.typed.resource_name(&self.asks),
        }
    }

    /// Secrets that were typed are not written back.
    fn forgot_secrets(&self) -> bool {
        let asked = self.takes_secret() || self.parameters.iter().any(|p| p.secret);
        asked && !self.faults.is_empty()
    }

    fn many_events(&self) -> bool {
        self.asks.events.len() > 12
    }
}

/// What a form is about: a function, and the group if there is one.
struct About {
    connector: v1::Connector,
    asks: Asks,
    group: Option<v1::WebhookGroup>,
}

impl About {
    async fn new(
        visitor: &Visitor,
        org: &str,
        connector: &str,
        function: &str,
    ) -> Result<Self, Problem> {
        let connector = definition(visitor, org, connector).await?;
        let asks = Asks::of(&connector, function).ok_or(Problem::NoPage)?;
        Ok(Self {
            connector,
            asks,
            group: None,
        })
    }

    async fn existing(visitor: &Visitor, place: &Place) -> Result<Self, Problem> {
        let group = place.get(visitor).await?;
        let spec = group.spec.clone().unwrap_or_default();
        let about = Self::new(visitor, &place.org, &spec.connector, &spec.function).await?;
        Ok(Self {
            group: Some(group),
            ..about
        })
    }

    fn page(self, visitor: &Visitor, org: &str, typed: Typed, faults: Faults) -> FormPage {
        let spec = self.connector.spec.clone().unwrap_or_default();
        let group = self.group.map(|group| {
            let (metadata, spec, status) = (
                group.metadata.unwrap_or_default(),
                group.spec.unwrap_or_default(),
                group.status.unwrap_or_default(),
            );
            Existing {
                title: title(&metadata, &spec),
                name: metadata.name,
                etag: metadata.etag,
                url: status.callback_url,
                secrets: spec.signature_secrets.into_iter().map(|s| s.name).collect(),
                update: status.connector_update_available,
            }
        });
        let heading = match &group {
            Some(group) => format!("Edit {}", group.title),
            None => format!("New webhook group of {}", self.asks.connector_name),
        };
        let is_new = group.is_none();
        let parameters = self
            .asks
            .parameters
            .iter()
            .map(|parameter| parameter_field(parameter, &typed, &faults, is_new));
        FormPage {
            page: visitor.page(heading, org),
            confidence: Confidence::of(&spec),
            limitations: spec.limitations,
            sources: spec.sources,
            parameters: parameters.collect(),
            asks: self.asks,
            group,
            typed,
            faults,
            stale: false,
        }
    }
}

fn parameter_field(
    parameter: &v1::ConnectorParameter,
    typed: &Typed,
    faults: &Faults,
    is_new: bool,
) -> Parameter {
    let name = match parameter.display_name.as_str() {
        "" => &parameter.name,
        name => name,
    };
    let mut hint = parameter.description.clone();
    if !parameter.default_value.is_empty() {
        hint = format!("{hint} Empty means {}.", parameter.default_value);
    }
    if parameter.secret && !is_new {
        hint = format!("{hint} Empty keeps the one that is stored.");
    }
    let value = match parameter.secret {
        true => None,
        false => typed.parameters.get(&parameter.name).cloned(),
    };
    Parameter {
        field: format!("parameter.{}", parameter.name),
        label: match parameter.required {
            true => format!("{name} (required)"),
            false => name.to_owned(),
        },
        hint: hint.trim().to_owned(),
        secret: parameter.secret,
        value: value.unwrap_or_default(),
        error: faults.below(&format!("spec.parameters.{}", parameter.name)),
    }
}

/// What the form has in secret fields: for the request alone.
fn add_secrets(spec: &mut v1::WebhookGroupSpec, form: &Form, asks: &Asks) {
    let secret = form.raw("secret");
    if !secret.is_empty() {
        spec.signature_secrets = vec![v1::SignatureSecret {
            name: FIRST_SECRET.to_owned(),
            value: secret.to_owned(),
            ..Default::default()
        }];
    }
    for parameter in asks.parameters.iter().filter(|p| p.secret) {
        let value = form.raw(&format!("parameter.{}", parameter.name));
        if !value.is_empty() {
            spec.parameters
                .insert(parameter.name.clone(), value.to_owned());
        }
    }
}

/// A new one. Without a connector in the address somebody means a group of this name.
pub(in crate::pages) async fn new(
    visitor: Visitor,
    Path(org): Path<String>,
) -> Result<Response, Problem> {
    if visitor.query.text("connector").is_empty() {
        return super::show::show(visitor, Path((org, "new".to_owned()))).await;
    }
    for_editors(&visitor)?;
    let (connector, function) = (
        visitor.query.text("connector"),
        visitor.query.text("function"),
    );
    let about = About::new(&visitor, &org, connector, function).await?;
    let typed = Typed::fresh(&about.asks);
    html(&about.page(&visitor, &org, typed, Faults::default()))
}

pub(in crate::pages) async fn create(
    visitor: Visitor,
    Path(org): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let (connector, function) = (
        visitor.query.text("connector"),
        visitor.query.text("function"),
    );
    let about = About::new(&visitor, &org, connector, function).await?;
    let typed = Typed::of_form(&form, &about.asks);
    let mut faults = Faults::default();
    let mut spec = typed.spec(&about.asks, &mut faults);
    add_secrets(&mut spec, &form, &about.asks);
    let name = Naming {
        org: &org,
        name: &typed.resource_name(&about.asks),
        is_typed: !typed.name.is_empty(),
    };
    // With a fault already, only the others are looked for.
    match name.make(&visitor, spec, !faults.is_empty()).await {
        Ok(name) if faults.is_empty() => {
            return Ok(to(&format!("/orgs/{org}/groups/{name}?done=group-created")));
        }
        Ok(_) => {}
        Err(status) => faults = faults.and(Faults::of(status)?),
    }
    let page = about.page(&visitor, &org, typed, faults);
    form_page(&page.faults, &page)
}

/// What a new group is called: as it was typed, or with a number where that is taken and nobody typed it.
struct Naming<'a> {
    org: &'a str,
    name: &'a str,
    is_typed: bool,
}

impl Naming<'_> {
    /// Makes it, or only checks it, and says what it is called in the end.
    async fn make(
        &self,
        visitor: &Visitor,
        spec: v1::WebhookGroupSpec,
        validate_only: bool,
    ) -> Result<String, Status> {
        let mut tried = 1;
        loop {
            let name = match tried {
                1 => self.name.to_owned(),
                // At most 63 with the number.
                _ => format!("{}-{tried}", self.name.get(..60).unwrap_or(self.name)),
            };
            let group = v1::WebhookGroup {
                metadata: Some(v1::Metadata {
                    name: name.clone(),
                    ..Default::default()
                }),
                spec: Some(spec.clone()),
                status: None,
            };
            let request = v1::CreateWebhookGroupRequest {
                parent: format!("orgs/{}", self.org),
                webhook_group: Some(group),
                validate_only,
            };
            let goes_on = !self.is_typed && tried < NAMES_TRIED;
            match visitor.api.groups().create_webhook_group(request).await {
                Ok(_) => return Ok(name),
                Err(status) if status.code() == Code::AlreadyExists && goes_on => tried += 1,
                Err(status) => return Err(status),
            }
        }
    }
}

pub(in crate::pages) async fn show(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
) -> Result<Response, Problem> {
    for_editors(&visitor)?;
    let place = Place::of(place);
    let about = About::existing(&visitor, &place).await?;
    let group = about.group.clone().unwrap_or_default();
    let typed = Typed::of_group(&group, &about.asks);
    html(&about.page(&visitor, &place.org, typed, Faults::default()))
}

pub(in crate::pages) async fn save(
    visitor: Visitor,
    Path(place): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let form = visitor.posted(&body)?;
    let place = Place::of(place);
    let about = About::existing(&visitor, &place).await?;
    let typed = Typed::of_form(&form, &about.asks);
    let mut faults = Faults::default();
    let mut spec = typed.spec(&about.asks, &mut faults);
    add_secrets(&mut spec, &form, &about.asks);
    let mut fields = FIELDS.to_vec();
    if !spec.signature_secrets.is_empty() {
        fields.push("signature_secrets");
    }
    let change = Change {
        etag: form.text("etag"),
        fields: &fields,
        // With a fault already, only the others are looked for.
        validate_only: !faults.is_empty(),
    };
    let mut stale = false;
    match place.update(&visitor, spec, change).await {
        Ok(()) if faults.is_empty() => {
            return Ok(to(&format!("{}?done=group-saved", place.path())));
        }
        Ok(()) => {}
        Err(status) => {
            stale = status.code() == Code::Aborted;
            faults = faults.and(Faults::of(status)?);
        }
    }
    let mut page = about.page(&visitor, &place.org, typed, faults);
    page.stale = stale;
    if let Some(group) = &mut page.group {
        // Of the version that was looked at: what somebody else wrote since is not to be written over.
        form.text("etag").clone_into(&mut group.etag);
    }
    form_page(&page.faults, &page)
}
