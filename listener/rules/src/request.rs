//! A request under reading: values at locations, and templates filled in. The body is decoded at most once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use hookplane_proto::v1::PayloadFormat;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};

use crate::Callback;
use crate::location::{Location, Step, Stepped};
use crate::payload::{self, Decoded, Json, Kind, Payload, PayloadAt, Reading, kind};
use crate::verify::Said;

/// A callback, and its body decoded when somebody asked for it.
pub(crate) struct Request {
    /// Its body is what the signature is over.
    pub(crate) callback: Callback,
    /// The body as it came, where that is another.
    packed: Option<Bytes>,
    decoding: Arc<Decoding>,
    payload: OnceCell<Decoded>,
    /// What a verified token says. Boxed: few requests bring one.
    said: OnceCell<Box<Said>>,
}

/// Without the payload, which may hold credentials.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("callback", &self.callback)
            .finish_non_exhaustive()
    }
}

/// What of a group its requests are read with.
#[derive(Clone, Default)]
pub(crate) struct Decoding {
    pub(crate) reading: Reading,
    /// For `param:` locations. Secret ones among them.
    pub(crate) parameters: BTreeMap<String, String>,
}

/// Without the parameters.
impl fmt::Debug for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoding")
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}

/// What else locations may refer to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    /// The parsed signature header.
    pub(crate) sig: &'a [(String, String)],
    /// The header of a token that is being verified. What is read of it chooses a key among the provider's, and is proven with the rest.
    pub(crate) jws: Option<&'a Json>,
    /// One element of the batch.
    pub(crate) item: Option<&'a Json>,
    /// What the batch's last wildcard stepped into.
    pub(crate) parent: Option<&'a Json>,
    /// The name of the member that it stands for.
    pub(crate) key: Option<&'a str>,
    /// The public URL without its query.
    pub(crate) url: Option<&'a str>,
    /// The value at the timestamp's location.
    pub(crate) timestamp: Option<&'a str>,
    /// The secret of a plain digest.
    pub(crate) secret: Option<&'a [u8]>,
    /// A handshake's challenge.
    pub(crate) challenge: Option<&'a str>,
    /// The challenge's MAC or digest.
    pub(crate) mac: Option<&'a str>,
}

/// Why a location has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing {
    Absent,
    /// It is there more than once, so that two readers could see two values.
    Repeated,
    /// Not UTF-8.
    Unreadable,
    /// The body can't be decoded, for this reason.
    Undecodable(String),
}

impl Missing {
    pub(crate) fn explain(&self, location: &Location) -> String {
        let place = location.describe();
        match self {
            Self::Absent => format!("{place} is missing"),
            Self::Repeated => format!("{place} is there more than once"),
            Self::Unreadable => format!("{place} is not UTF-8"),
            Self::Undecodable(why) => format!("{place} can't be read: {why}"),
        }
    }
}

impl Request {
    pub(crate) fn new(callback: Callback, decoding: Arc<Decoding>) -> Self {
        Self {
            callback,
            packed: None,
            decoding,
            payload: OnceCell::new(),
            said: OnceCell::new(),
        }
    }

    /// From now on what a token says is true. Only who verified it says so, and once.
    pub(crate) fn believe(&self, header: Json, claims: Option<Json>) {
        let is_payload = self.decoding.reading.payload == Some(PayloadAt::Token);
        let _ = self
            .said
            .set(Box::new(Said::new(header, claims, is_payload)));
    }

    /// What the verified token says.
    pub(crate) fn said(&self) -> Option<&Said> {
        self.said.get().map(|said| &**said)
    }

    /// Unpacks the body where the signature is over what it unpacks to; says why that can't be done.
    pub(crate) fn unpack(&mut self) -> Result<(), String> {
        let Reading {
            signs_unpacked,
            max_bytes,
            ..
        } = self.decoding.reading;
        let body = &self.callback.body;
        let encoding = single(&self.callback.headers, &CONTENT_ENCODING);
        if signs_unpacked && !body.is_empty() && payload::is_packed(encoding, body) {
            let unpacked = payload::unpack_any(encoding, body, max_bytes)?;
            self.packed = Some(std::mem::replace(&mut self.callback.body, unpacked));
        }
        Ok(())
    }

    pub(crate) fn told(&self) -> Option<&Json> {
        let said = self.said()?;
        said.payload.as_ref().and(said.claims.as_ref())
    }

    /// The callback as it came.
    pub(crate) fn into_callback(self) -> Callback {
        let mut callback = self.callback;
        if let Some(packed) = self.packed {
            callback.body = packed;
        }
        callback
    }

    /// Whether the payload is what a token says.
    pub(crate) fn reads_token(&self) -> bool {
        self.decoding.reading.payload == Some(PayloadAt::Token)
    }

    fn decoded(&self) -> &Decoded {
        if let Some(told) = self.said().and_then(|said| said.payload.as_ref()) {
            return told;
        }
        self.payload.get_or_init(|| {
            let encoding = match self.packed {
                Some(_) => None,
                None => single(&self.callback.headers, &CONTENT_ENCODING),
            };
            payload::decode(
                &self.decoding.reading,
                single(&self.callback.headers, &CONTENT_TYPE),
                encoding,
                &self.callback.body,
            )
        })
    }

    pub(crate) fn payload(&self) -> &Payload {
        &self.decoded().payload
    }

    /// Which rule decoded it.
    pub(crate) fn format(&self) -> PayloadFormat {
        self.decoded().format
    }

    /// The body as the JSON that it is if it is valid. None where the rule is another one.
    pub(crate) fn if_valid(&self) -> Option<Json> {
        let text = |name| single(&self.callback.headers, name);
        let encoding = text(&CONTENT_ENCODING);
        payload::if_valid(
            &self.decoding.reading,
            text(&CONTENT_TYPE),
            encoding,
            &self.callback.body,
        )
    }

    /// What there is to see if the body were decoded to this. None where it has been decoded: then there is nothing to suppose.
    pub(crate) fn suppose<T>(
        &mut self,
        payload: Payload,
        look: impl FnOnce(&Self) -> T,
    ) -> Option<T> {
        if self.payload.get().is_some() {
            return None;
        }
        self.payload = OnceCell::from(Decoded {
            payload,
            format: PayloadFormat::Json,
        });
        let seen = look(self);
        self.payload = OnceCell::new();
        Some(seen)
    }

    fn query(&self, name: &str) -> Result<Cow<'_, str>, Missing> {
        let mut values = form_urlencoded::parse(self.callback.query.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value);
        only(values.next(), values.next())
    }

    fn form(&self, name: &str) -> Result<Cow<'_, str>, Missing> {
        match self.payload() {
            Payload::Form(fields) | Payload::FormJson(fields, _) => match fields.get(name) {
                Some(values) => {
                    only(values.first(), values.get(1)).map(|v| Cow::Borrowed(v.as_str()))
                }
                None => Err(Missing::Absent),
            },
            Payload::Json(_) => Err(Missing::Absent),
            Payload::Opaque(why) => Err(Missing::Undecodable(why.clone())),
        }
    }

    /// A parameter of the group.
    pub(crate) fn parameter(&self, name: &str) -> Result<Cow<'_, str>, Missing> {
        let value = self.decoding.parameters.get(name);
        value
            .map(|value| Cow::Borrowed(value.as_str()))
            .ok_or(Missing::Absent)
    }

    fn is_payload(&self, field: &str) -> bool {
        matches!(
            &self.decoding.reading.payload,
            Some(PayloadAt::Form { name, base64: false }) if name == field
        )
    }

    fn stepped<'a>(
        &'a self,
        stepped: &'a Stepped,
        around: Around<'a>,
    ) -> Result<Cow<'a, str>, Missing> {
        let Stepped { base, steps } = stepped;
        // The JSON of the form field that is the payload is validated already.
        if let (Location::Form(name), Some((Step::Json(at), rest))) = (base, steps.split_first())
            && self.is_payload(name)
            && let Payload::FormJson(_, json) = self.payload()
        {
            return apply(rest, scalar(json, at)?);
        }
        apply(steps, self.read(base, around)?)
    }

    /// The raw text of the object at a location in JSON.
    pub(crate) fn object<'a>(&'a self, location: &Location, around: Around<'a>) -> Option<&'a str> {
        self.raw(location, around)
            .filter(|raw| kind(raw) == Kind::Object)
    }

    /// True when an array or object is where a text could be: that isn't nothing.
    pub(crate) fn has_structure(&self, location: &Location, around: Around<'_>) -> bool {
        self.raw(location, around)
            .is_some_and(|raw| matches!(kind(raw), Kind::Array | Kind::Object))
    }

    fn raw<'a>(&'a self, location: &Location, around: Around<'a>) -> Option<&'a str> {
        let payload = || match self.payload() {
            Payload::Json(json) | Payload::FormJson(_, json) => Some(json),
            Payload::Form(_) | Payload::Opaque(_) => None,
        };
        let (json, at) = match location {
            Location::Json(at) => (payload()?, at),
            Location::Item(at) => (around.item.or_else(payload)?, at),
            Location::Parent(at) => (around.parent?, at),
            _ => return None,
        };
        json.at(at)
    }

    /// The value at a location.
    pub(crate) fn read<'a>(
        &'a self,
        location: &'a Location,
        around: Around<'a>,
    ) -> Result<Cow<'a, str>, Missing> {
        match location {
            Location::Header(name) => header(&self.callback.headers, name).map(Cow::Borrowed),
            Location::Query(name) => self.query(name),
            Location::Form(name) => self.form(name),
            Location::Json(at) => match self.payload() {
                Payload::Json(json) | Payload::FormJson(_, json) => scalar(json, at),
                Payload::Form(_) => Err(Missing::Absent),
                Payload::Opaque(why) => Err(Missing::Undecodable(why.clone())),
            },
            Location::Item(at) => match (around.item, self.payload()) {
                (Some(item), _) => scalar(item, at),
                (None, Payload::Json(json) | Payload::FormJson(_, json)) => scalar(json, at),
                (None, Payload::Form(_)) => Err(Missing::Absent),
                (None, Payload::Opaque(why)) => Err(Missing::Undecodable(why.clone())),
            },
            Location::Parent(at) => scalar(around.parent.ok_or(Missing::Absent)?, at),
            Location::Key => around.key.map(Cow::Borrowed).ok_or(Missing::Absent),
            Location::Raw(at) => match self.payload() {
                Payload::Json(json) | Payload::FormJson(_, json) => {
                    json.at(at).map(Cow::Borrowed).ok_or(Missing::Absent)
                }
                Payload::Form(_) => Err(Missing::Absent),
                Payload::Opaque(why) => Err(Missing::Undecodable(why.clone())),
            },
            Location::Param(name) => self.parameter(name),
            Location::Sig(key) => {
                let mut values = around.sig.iter().filter(|(name, _)| name == key);
                only(values.next(), values.next()).map(|(_, value)| Cow::Borrowed(value.as_str()))
            }
            Location::Jwt(at) => {
                let claims = self.said().and_then(|said| said.claims.as_ref());
                scalar(claims.ok_or(Missing::Absent)?, at)
            }
            Location::Jws(at) => {
                let header = self.said().map(|said| &said.header).or(around.jws);
                scalar(header.ok_or(Missing::Absent)?, at)
            }
            Location::Method => Ok(Cow::Borrowed(self.callback.method.as_str())),
            Location::Url => around
                .url
                .map(|url| with_query(url, &self.callback.query))
                .ok_or(Missing::Absent),
            Location::Body if self.callback.body.is_empty() => Err(Missing::Absent),
            Location::Body => std::str::from_utf8(&self.callback.body)
                .map(Cow::Borrowed)
                .map_err(|_| Missing::Unreadable),
            Location::Fixed(text) => Ok(Cow::Borrowed(text)),
            Location::Stepped(stepped) => self.stepped(stepped, around),
        }
    }
}

fn apply<'a>(steps: &'a [Step], text: Cow<'a, str>) -> Result<Cow<'a, str>, Missing> {
    steps.iter().try_fold(text, |text, step| step.apply(text))
}

fn only<T>(first: Option<T>, second: Option<T>) -> Result<T, Missing> {
    match (first, second) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(Missing::Absent),
        (Some(_), Some(_)) => Err(Missing::Repeated),
    }
}

fn scalar<'a>(json: &Json, at: &[String]) -> Result<Cow<'a, str>, Missing> {
    json.scalar_at(at).map(Cow::Owned).ok_or(Missing::Absent)
}

/// A header that is there exactly once.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Missing> {
    let mut values = headers.get_all(name).iter();
    let value = only(values.next(), values.next())?;
    std::str::from_utf8(value.as_bytes()).map_err(|_| Missing::Unreadable)
}

/// A header that is there exactly once, for readers to whom anything else is as good as none.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    header(headers, name).ok()
}

/// A content type without its parameters.
pub(crate) fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or(value).trim()
}

pub(crate) fn with_query<'a>(url: &'a str, query: &str) -> Cow<'a, str> {
    if query.is_empty() {
        Cow::Borrowed(url)
    } else {
        Cow::Owned(format!("{url}?{query}"))
    }
}

/// What follows the authority.
pub(crate) fn path_of(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    after.find('/').map_or("/", |at| &after[at..])
}
