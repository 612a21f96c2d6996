//! Answers that are made of a request: to handshakes, and to those who want to read something back.
//!
//! What a browser could take for a page is never made of what a caller sent: such an answer is plain text or JSON, and says that it is to be
//! read as nothing else.

use std::collections::BTreeMap;

use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderName, HeaderValue};

use super::Errors;
use crate::Reply;
use crate::location::Location;
use crate::payload::Json;
use crate::request::{Around, Missing, Request, media_type};
use crate::template::{Filter, Part, Template, Use};

const MAX_HEADERS: usize = 8;
/// The longest value of a request that is written into an answer, in bytes.
const MAX_VALUE_BYTES: usize = 512;
/// What HTTP itself speaks of, and what a browser would act on.
const NOT_TO_BE_SET: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "location",
    "refresh",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-content-type-options",
];

/// An answer, compiled.
#[derive(Debug, Clone)]
pub(crate) struct ReplyTemplate {
    status: u16,
    content_type: Option<String>,
    body: Option<Template>,
    headers: Vec<(HeaderName, Template)>,
}

/// What a definition says of an answer.
pub(super) struct Said<'a> {
    pub(super) status: u32,
    pub(super) content_type: &'a str,
    pub(super) body: &'a str,
    pub(super) headers: &'a BTreeMap<String, String>,
}

impl ReplyTemplate {
    pub(super) fn compile(
        said: &Said<'_>,
        purpose: Use,
        at: &str,
        errors: &mut Errors,
    ) -> Option<Self> {
        let before = errors.list.len();
        if said.status != 0 && !(200..300).contains(&said.status) {
            errors.add(
                format!("{at}.status"),
                format!("is {}; success is a status from 200 to 299", said.status),
            );
        }
        if said.status == 204 && !said.body.is_empty() {
            errors.add(
                format!("{at}.body"),
                "can't go with status 204, which has no body",
            );
        }
        if HeaderValue::from_str(said.content_type).is_err() {
            errors.add(format!("{at}.contentType"), "can't be a header's value");
        }
        let body = match said.body {
            "" => None,
            text => errors.template(text, purpose, &format!("{at}.body")),
        };
        errors.at_most(
            &format!("{at}.headers"),
            said.headers.len(),
            MAX_HEADERS,
            "headers",
        );
        let mut headers = Vec::new();
        for (name, text) in said.headers.iter().take(MAX_HEADERS) {
            let field = format!("{at}.headers.{name}");
            let name = errors.take(&field, header_name(name));
            let template = errors.template(text, purpose, &field);
            headers.extend(name.zip(template));
        }
        let compiled = Self {
            status: match said.status {
                0 => 200,
                status => u16::try_from(status).unwrap_or(200),
            },
            content_type: (!said.content_type.is_empty()).then(|| said.content_type.to_owned()),
            body,
            headers,
        };
        compiled.check_body(at, errors);
        if purpose == Use::Text {
            for (field, template) in compiled.templates(at) {
                let is_value =
                    |part: &Part| matches!(part, Part::Text(_) | Part::At(_) | Part::IfThere(_));
                if template.any(&|part| !is_value(part)) {
                    errors.add(
                        field,
                        "may be made of values of the request, such as {header:Name} and {json:/id|json}, {param:name} and fixed text",
                    );
                }
            }
        }
        (errors.list.len() == before).then_some(compiled)
    }

    /// What is made of a request is plain text or JSON; and in JSON a caller's text stays within its quotes.
    fn check_body(&self, at: &str, errors: &mut Errors) {
        let Some(body) = self.body.as_ref().filter(|body| !is_constant(body)) else {
            return;
        };
        if !self.is_plain() && !self.is_json() {
            errors.add(
                format!("{at}.contentType"),
                "must be text/plain or application/json: the body is made of what a caller sent",
            );
        }
        if self.is_json() && !body.parts.iter().all(stays_in_quotes) {
            errors.add(
                format!("{at}.body"),
                "has a value of the request without `|json`, which could end its string; write {json:/id|json}, without quotes around it",
            );
        }
    }

    fn is_plain(&self) -> bool {
        self.has_type("text/plain")
    }

    fn is_json(&self) -> bool {
        self.has_type("application/json")
    }

    fn has_type(&self, name: &str) -> bool {
        let said = self.content_type.as_deref().map(media_type);
        said.is_some_and(|said| said.eq_ignore_ascii_case(name))
    }

    /// The templates, with the fields where they were written.
    pub(super) fn templates<'a>(
        &'a self,
        at: &'a str,
    ) -> impl Iterator<Item = (String, &'a Template)> {
        let body = self
            .body
            .iter()
            .map(move |body| (format!("{at}.body"), body));
        let headers = self
            .headers
            .iter()
            .map(move |(name, template)| (format!("{at}.headers.{name}"), template));
        body.chain(headers)
    }

    /// The answer itself, where no request has a part in it.
    pub(super) fn constant(&self) -> Option<Reply> {
        let mut reply = self.bare();
        if let Some(body) = &self.body {
            reply.body = literal(body)?.into();
        }
        for (name, template) in &self.headers {
            let value = HeaderValue::from_str(&literal(template)?).ok()?;
            reply.headers.push((name.clone(), value));
        }
        Some(reply)
    }

    /// Its status alone: what there is to say where a value is missing.
    pub(crate) fn bare(&self) -> Reply {
        Reply {
            status: self.status,
            content_type: self.body.as_ref().and(self.content_type.clone()),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
        }
    }

    /// Fills it in, or says what is missing or unfit.
    pub(crate) fn render(&self, request: &Request, around: Around<'_>) -> Result<Reply, String> {
        let mut reply = self.bare();
        if let Some(body) = &self.body {
            let body = filled(body, request, around)?;
            if self.is_json() && Json::validate(body.clone().into()).is_err() {
                return Err("the answer would be no valid JSON".to_owned());
            }
            reply.body = body.into();
            reply
                .headers
                .push((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
        }
        for (name, template) in &self.headers {
            let value = filled(template, request, around)?;
            let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(value))
                .map_err(|_| format!("the answer's header {name} would hold what no header may"))?;
            reply.headers.push((name.clone(), value));
        }
        Ok(reply)
    }
}

fn filled(template: &Template, request: &Request, around: Around<'_>) -> Result<Vec<u8>, String> {
    for location in template.locations() {
        match request.read(location, around) {
            Ok(value) if !fits(&value) => {
                return Err(format!(
                    "{} is not answered: it is no printable ASCII of at most {MAX_VALUE_BYTES} bytes",
                    location.describe()
                ));
            }
            Ok(_) | Err(Missing::Absent) => {}
            Err(missing) => return Err(missing.explain(location)),
        }
    }
    request.rendered(template, around).map_err(|(_, why)| why)
}

fn fits(value: &str) -> bool {
    value.len() <= MAX_VALUE_BYTES && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    let made = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` can't be a header's name"))?;
    let is_ours = made.as_str().starts_with("hookplane-");
    match is_ours || NOT_TO_BE_SET.contains(&made.as_str()) {
        true => Err(format!("`{name}` is not a definition's to set")),
        false => Ok(made),
    }
}

fn is_constant(template: &Template) -> bool {
    template
        .parts
        .iter()
        .all(|part| matches!(part, Part::Text(_)))
}

fn literal(template: &Template) -> Option<String> {
    is_constant(template).then(|| template.literals().collect())
}

/// A challenge's shape has neither quotes nor backslashes, and a MAC is hex or base64.
fn stays_in_quotes(part: &Part) -> bool {
    match part {
        Part::Text(_) | Part::Challenge | Part::Mac => true,
        Part::Filtered(filtered) => {
            filtered.filters.last() == Some(&Filter::Json) || stays_in_quotes(&filtered.part)
        }
        Part::Optional(parts) => parts.iter().all(stays_in_quotes),
        // The operator's own words; what is then no JSON isn't answered.
        Part::At(location) => matches!(location, Location::Param(_)),
        _ => false,
    }
}
