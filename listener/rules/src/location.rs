//! Where a value is read in a request, and templates made of such values.
//!
//! Both are parsed once, when a connector is compiled; a request only reads. A header that comes twice has no value: two readers could
//! take different ones.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, Method};
use sha2::{Digest as _, Sha256};

use crate::callback::Callback;
use crate::payload::{self, Json, Payload};

/// Characters of a location or template.
const MAX_SOURCE_CHARS: usize = 1024;
/// Steps of a JSON pointer.
const MAX_POINTER_STEPS: usize = 16;

/// One place of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    Header(HeaderName),
    Query(String),
    Form(String),
    Json(Vec<String>),
    /// In one element of the batch.
    Item(Vec<String>),
    /// In the JSON inside a form field.
    FormJson(String, Vec<String>),
    /// A field of the parsed signature header.
    Sig(String),
    Method,
    Url,
    Fixed(String),
}

/// The fields of a parsed signature header.
pub(crate) type SigFields = BTreeMap<String, String>;

/// A request as locations see it: raw, and decoded at most once, when something asks.
pub(crate) struct Source<'a> {
    pub(crate) callback: &'a Callback,
    /// The group's public URL, without a query.
    pub(crate) url: &'a str,
    pub(crate) json_form_field: Option<&'a str>,
    pub(crate) max_inflated_bytes: usize,
    payload: OnceCell<Payload>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(
        callback: &'a Callback,
        url: &'a str,
        json_form_field: Option<&'a str>,
        max_inflated_bytes: usize,
    ) -> Self {
        Self {
            callback,
            url,
            json_form_field,
            max_inflated_bytes,
            payload: OnceCell::new(),
        }
    }

    /// With a body that was decoded already.
    pub(crate) fn with_payload(self, payload: Payload) -> Self {
        Self {
            payload: OnceCell::from(payload),
            ..self
        }
    }

    /// The decoded body.
    pub(crate) fn payload(&self) -> &Payload {
        self.payload.get_or_init(|| {
            payload::decode(
                single_header(&self.callback.headers, &http::header::CONTENT_TYPE),
                single_header(&self.callback.headers, &http::header::CONTENT_ENCODING),
                &self.callback.body,
                self.json_form_field,
                self.max_inflated_bytes,
            )
        })
    }

    /// Gives the decoded body away.
    pub(crate) fn into_payload(self) -> Payload {
        self.payload();
        self.payload
            .into_inner()
            .unwrap_or_else(|| Payload::Opaque("not decoded".to_owned()))
    }

    fn json(&self) -> Option<&Json> {
        match self.payload() {
            Payload::Json(json) | Payload::FormJson(_, json) => Some(json),
            _ => None,
        }
    }

    fn form(&self) -> Option<&BTreeMap<String, Vec<String>>> {
        match self.payload() {
            Payload::Form(fields) | Payload::FormJson(fields, _) => Some(fields),
            _ => None,
        }
    }
}

/// The header's value, if it comes once and is text.
pub(crate) fn single_header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

/// The value of a query parameter, if it comes once and decodes.
fn query_value(query: &str, name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let (_, value) = found.next()?;
    let value = value.into_owned();
    found.next().is_none().then_some(value)
}

impl Location {
    /// Why the body couldn't be decoded, where that is what is in the way of reading this.
    pub(crate) fn hidden_by(&self, source: &Source<'_>) -> Option<String> {
        if !self.needs_body() {
            return None;
        }
        match source.payload() {
            Payload::Opaque(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Parses what a connector says. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_SOURCE_CHARS {
            return Err(format!("is longer than {MAX_SOURCE_CHARS} characters"));
        }
        match text {
            "method" => return Ok(Self::Method),
            "url" => return Ok(Self::Url),
            _ => {}
        }
        let (kind, rest) = text.split_once(':').ok_or_else(|| unknown_location(text))?;
        let named = |make: fn(String) -> Self| {
            if rest.is_empty() {
                Err(format!("`{kind}:` needs a name behind it"))
            } else {
                Ok(make(rest.to_owned()))
            }
        };
        match kind {
            "header" => HeaderName::from_bytes(rest.as_bytes())
                .map(Self::Header)
                .map_err(|_| format!("`{rest}` is no header name")),
            "query" => named(Self::Query),
            "sig" => named(Self::Sig),
            "fixed" => Ok(Self::Fixed(rest.to_owned())),
            "json" => pointer(rest).map(Self::Json),
            "item" => pointer(rest).map(Self::Item),
            "form" => match rest.split_once("->json:") {
                Some((field, path)) if !field.is_empty() => {
                    Ok(Self::FormJson(field.to_owned(), pointer(path)?))
                }
                Some(_) => Err("`form:` needs a field's name before `->json:`".to_owned()),
                None => named(Self::Form),
            },
            _ => Err(unknown_location(text)),
        }
    }

    /// The value, if there is exactly one.
    pub(crate) fn read<'s>(
        &'s self,
        source: &'s Source<'_>,
        sig: Option<&'s SigFields>,
        item: Option<&Json>,
    ) -> Option<Cow<'s, str>> {
        let value: Option<Cow<'s, str>> = match self {
            Self::Header(name) => single_header(&source.callback.headers, name).map(Cow::Borrowed),
            Self::Query(name) => query_value(&source.callback.query, name).map(Cow::Owned),
            Self::Form(name) => match source.form()?.get(name)?.as_slice() {
                [value] => Some(Cow::Borrowed(value)),
                _ => None,
            },
            Self::Json(pointer) => source.json()?.scalar_at(pointer).map(Cow::Owned),
            Self::Item(pointer) => item
                .or_else(|| source.json())?
                .scalar_at(pointer)
                .map(Cow::Owned),
            Self::FormJson(field, pointer) => match source.payload() {
                Payload::FormJson(_, json) if source.json_form_field == Some(field) => {
                    json.scalar_at(pointer).map(Cow::Owned)
                }
                Payload::Form(fields) => {
                    let [text] = fields.get(field)?.as_slice() else {
                        return None;
                    };
                    let json = Json::validate(text.clone().into()).ok()?;
                    json.scalar_at(pointer).map(Cow::Owned)
                }
                _ => None,
            },
            Self::Sig(key) => sig?.get(key).map(|value| Cow::Borrowed(value.as_str())),
            Self::Method => Some(Cow::Borrowed(source.callback.method.as_str())),
            Self::Url => Some(Cow::Owned(full_url(source.url, &source.callback.query))),
            Self::Fixed(text) => Some(Cow::Borrowed(text)),
        };
        value.filter(|value| !value.is_empty())
    }

    /// As a connector writes it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Header(name) => format!("header {name}"),
            Self::Query(name) => format!("query parameter {name}"),
            Self::Form(name) => format!("form field {name}"),
            Self::Json(pointer) => format!("json:/{}", pointer.join("/")),
            Self::Item(pointer) => format!("item:/{}", pointer.join("/")),
            Self::FormJson(field, pointer) => {
                format!("form:{field}->json:/{}", pointer.join("/"))
            }
            Self::Sig(key) => format!("`{key}` of the signature header"),
            Self::Method => "method".to_owned(),
            Self::Url => "url".to_owned(),
            Self::Fixed(_) => "fixed text".to_owned(),
        }
    }

    /// True for what is only known once the body is decoded.
    pub(crate) fn needs_body(&self) -> bool {
        matches!(
            self,
            Self::Form(_) | Self::Json(_) | Self::Item(_) | Self::FormJson(..)
        )
    }
}

fn unknown_location(text: &str) -> String {
    format!(
        "`{text}` is no location: it takes header:, query:, form:, json:/, item:/, form:NAME->json:/, sig:, fixed:, method or url"
    )
}

/// The unescaped steps of a JSON pointer; none for the document itself.
pub(crate) fn pointer(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(steps) = text.strip_prefix('/') else {
        return Err(format!("`{text}` is no JSON pointer: it begins with `/`"));
    };
    let steps: Vec<String> = steps
        .split('/')
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect();
    if steps.len() > MAX_POINTER_STEPS {
        return Err(format!("has more than {MAX_POINTER_STEPS} steps"));
    }
    Ok(steps)
}

/// A URL with the query as it came.
pub(crate) fn full_url(url: &str, query: &str) -> String {
    if query.is_empty() {
        url.to_owned()
    } else {
        format!("{url}?{query}")
    }
}

/// What is signed, or what something must equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Body,
    Timestamp,
    Method,
    Url,
    UrlWithoutQuery,
    Path,
    PathAndQuery,
    Query,
    Secret,
    SortedFormParams,
    BodySha256Hex,
    At(Location),
}

/// What a template is filled with besides the request.
#[derive(Clone, Copy, Default)]
pub(crate) struct Filling<'a> {
    pub(crate) sig: Option<&'a SigFields>,
    pub(crate) timestamp: Option<&'a Location>,
    pub(crate) secret: Option<&'a [u8]>,
    /// Instead of the group's public URL: the same with or without the default port.
    pub(crate) url: Option<&'a str>,
}

/// Why a template can't be filled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfilled {
    /// The request lacks this.
    Missing(String),
    /// The body can't be decoded, and what is signed depends on it.
    Undecodable(String),
}

impl Template {
    /// Parses what a connector says. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_SOURCE_CHARS {
            return Err(format!("is longer than {MAX_SOURCE_CHARS} characters"));
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = rest.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(after) = rest.strip_prefix("\\n") {
                literal.push('\n');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = after
                    .find('}')
                    .ok_or("has a `{` without its `}`; a brace itself is `{{`")?;
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::parse(&after[..end])?);
                rest = &after[end + 1..];
            } else if first == '}' {
                return Err("has a `}` without its `{`; a brace itself is `}}`".to_owned());
            } else {
                literal.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// Gives the filled template part by part, the body without a copy.
    pub(crate) fn fill(
        &self,
        source: &Source<'_>,
        filling: Filling<'_>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Unfilled> {
        let url = filling.url.unwrap_or(source.url);
        let query = source.callback.query.as_str();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => sink(text.as_bytes()),
                Piece::Body => sink(&source.callback.body),
                Piece::Method => sink(source.callback.method.as_str().as_bytes()),
                Piece::Url => sink(full_url(url, query).as_bytes()),
                Piece::UrlWithoutQuery => sink(url.as_bytes()),
                Piece::Path => sink(path_of(url).as_bytes()),
                Piece::PathAndQuery => sink(full_url(path_of(url), query).as_bytes()),
                Piece::Query => sink(query.as_bytes()),
                Piece::Secret => sink(
                    filling
                        .secret
                        .ok_or_else(|| Unfilled::Missing("the secret".to_owned()))?,
                ),
                Piece::BodySha256Hex => {
                    sink(hex::encode(Sha256::digest(&source.callback.body)).as_bytes());
                }
                Piece::SortedFormParams => sorted_form_params(source, sink)?,
                Piece::Timestamp => {
                    let location = filling
                        .timestamp
                        .ok_or_else(|| Unfilled::Missing("the timestamp".to_owned()))?;
                    fill_at(location, source, filling.sig, sink)?;
                }
                Piece::At(location) => fill_at(location, source, filling.sig, sink)?,
            }
        }
        Ok(())
    }

    /// True when it holds this piece.
    pub(crate) fn has(&self, piece: &Piece) -> bool {
        self.pieces.contains(piece)
    }

    /// True when the URL is part of it.
    pub(crate) fn has_url(&self) -> bool {
        self.has(&Piece::Url) || self.has(&Piece::UrlWithoutQuery)
    }
}

fn fill_at(
    location: &Location,
    source: &Source<'_>,
    sig: Option<&SigFields>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unfilled> {
    match location.read(source, sig, None) {
        Some(value) => {
            sink(value.as_bytes());
            Ok(())
        }
        None => match location.hidden_by(source) {
            Some(reason) => Err(Unfilled::Undecodable(reason)),
            None => Err(Unfilled::Missing(location.text())),
        },
    }
}

/// Names and values of a form run together, in order of names; a name's values sorted, each once.
fn sorted_form_params(source: &Source<'_>, sink: &mut dyn FnMut(&[u8])) -> Result<(), Unfilled> {
    if source.callback.body.is_empty() {
        return Ok(());
    }
    match source.payload() {
        Payload::Form(fields) | Payload::FormJson(fields, _) => {
            for (name, values) in fields {
                let mut values: Vec<&String> = values.iter().collect();
                values.sort_unstable();
                values.dedup();
                for value in values {
                    sink(name.as_bytes());
                    sink(value.as_bytes());
                }
            }
            Ok(())
        }
        Payload::Opaque(reason) => Err(Unfilled::Undecodable(reason.clone())),
        Payload::Json(_) => Err(Unfilled::Undecodable("the body is no form".to_owned())),
    }
}

/// The path of a URL, with its leading slash.
pub(crate) fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

impl Piece {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "body" => Self::Body,
            "timestamp" => Self::Timestamp,
            "method" => Self::Method,
            "url" => Self::Url,
            "url_without_query" => Self::UrlWithoutQuery,
            "path" => Self::Path,
            "path_and_query" => Self::PathAndQuery,
            "query" => Self::Query,
            "secret" => Self::Secret,
            "sorted_form_params" => Self::SortedFormParams,
            "sha256_hex(body)" => Self::BodySha256Hex,
            _ => match Location::parse(text) {
                Ok(
                    location @ (Location::Header(_)
                    | Location::Query(_)
                    | Location::Form(_)
                    | Location::Json(_)
                    | Location::Sig(_)),
                ) => Self::At(location),
                _ => {
                    return Err(format!(
                        "`{{{text}}}` is no placeholder: there are body, timestamp, method, url, url_without_query, path, path_and_query, query, secret, header:, query:, form:, json:/, sig:, sorted_form_params and sha256_hex(body)"
                    ));
                }
            },
        })
    }
}

/// A public URL, and the same with or without its default port: providers sign either.
pub(crate) fn url_variants(url: &str) -> Vec<String> {
    let mut variants = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else {
        return variants;
    };
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return variants,
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if let Some(bare) = host.strip_suffix(port) {
        variants.push(format!("{scheme}://{bare}{path}"));
    } else if !host.rsplit(']').next().unwrap_or_default().contains(':') {
        variants.push(format!("{scheme}://{host}{port}{path}"));
    }
    variants
}

/// What decides between alternatives. All that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) method: Option<Method>,
    pub(crate) content_type: Option<String>,
    pub(crate) present: Option<Location>,
    pub(crate) absent: Option<Location>,
    pub(crate) equals: Option<(Location, String)>,
}

impl Condition {
    /// Whether it holds for this request, or for this item of it.
    pub(crate) fn holds(&self, source: &Source<'_>, item: Option<&Json>) -> bool {
        let has = |location: &Location| match location {
            // Present means sent, be it once or several times: a sender can't choose a weaker scheme by sending a header twice.
            Location::Header(name) => source.callback.headers.contains_key(name),
            other => other.read(source, None, item).is_some(),
        };
        self.method
            .as_ref()
            .is_none_or(|method| *method == source.callback.method)
            && self.content_type.as_ref().is_none_or(|expected| {
                single_header(&source.callback.headers, &http::header::CONTENT_TYPE)
                    .is_some_and(|value| media_type(value).eq_ignore_ascii_case(expected))
            })
            && self.present.as_ref().is_none_or(has)
            && !self.absent.as_ref().is_some_and(has)
            && self.equals.as_ref().is_none_or(|(location, text)| {
                location
                    .read(source, None, item)
                    .is_some_and(|value| value == text.as_str())
            })
    }
}

/// A content type without its parameters.
pub(crate) fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}
