//! A request under reading: values at locations, and templates filled in. The body is decoded at most once.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use hookplane_proto::v1::PayloadFormat;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use crate::Callback;
use crate::location::{Location, Part, Template};
use crate::payload::{self, Decoded, Json, Payload, PayloadAt, Reading};
use crate::verify::url;

/// A callback, and its body decoded when somebody asked for it.
pub(crate) struct Request {
    /// Its body is what the signature is over.
    pub(crate) callback: Callback,
    /// The body as it came, where that is another.
    packed: Option<Bytes>,
    decoding: Arc<Decoding>,
    payload: OnceCell<Decoded>,
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
#[derive(Debug, Clone, Default)]
pub(crate) struct Decoding {
    pub(crate) reading: Reading,
}

/// What else locations may refer to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    /// The parsed signature header.
    pub(crate) sig: &'a [(String, String)],
    /// One element of the batch.
    pub(crate) item: Option<&'a Json>,
    /// The public URL without its query.
    pub(crate) url: Option<&'a str>,
    /// The value at the timestamp's location.
    pub(crate) timestamp: Option<&'a str>,
    /// The secret of a plain digest.
    pub(crate) secret: Option<&'a [u8]>,
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
    /// Unpacks the body where the signature is over what it unpacks to; says why that can't be done.
    pub(crate) fn new(mut callback: Callback, decoding: Arc<Decoding>) -> Result<Self, String> {
        let mut packed = None;
        if decoding.reading.signs_unpacked {
            let encoding = single(&callback.headers, &CONTENT_ENCODING);
            if !callback.body.is_empty() && payload::is_packed(encoding, &callback.body) {
                let unpacked =
                    payload::unpack_any(encoding, &callback.body, decoding.reading.max_bytes)?;
                packed = Some(std::mem::replace(&mut callback.body, unpacked));
            }
        }
        Ok(Self {
            callback,
            packed,
            decoding,
            payload: OnceCell::new(),
        })
    }

    /// The callback as it came.
    pub(crate) fn into_callback(self) -> Callback {
        let mut callback = self.callback;
        if let Some(packed) = self.packed {
            callback.body = packed;
        }
        callback
    }

    fn decoded(&self) -> &Decoded {
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
            Location::FormJson(name, at) => {
                if let (
                    Payload::FormJson(_, json),
                    Some(PayloadAt::Form {
                        name: field,
                        base64: false,
                    }),
                ) = (self.payload(), &self.decoding.reading.payload)
                    && field == name
                {
                    return scalar(json, at);
                }
                let text = self.form(name)?.into_owned();
                let json = Json::validate(text.into()).map_err(Missing::Undecodable)?;
                json.scalar_at(at).map(Cow::Owned).ok_or(Missing::Absent)
            }
            Location::Sig(key) => {
                let mut values = around.sig.iter().filter(|(name, _)| name == key);
                only(values.next(), values.next()).map(|(_, value)| Cow::Borrowed(value.as_str()))
            }
            Location::Method => Ok(Cow::Borrowed(self.callback.method.as_str())),
            Location::Url => around
                .url
                .map(|url| with_query(url, &self.callback.query))
                .ok_or(Missing::Absent),
            Location::Fixed(text) => Ok(Cow::Borrowed(text)),
        }
    }

    /// Hands a template's bytes to `sink`, piece by piece, without copying the body.
    pub(crate) fn render(
        &self,
        template: &Template,
        around: Around<'_>,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), (Missing, String)> {
        let absent = |what: &str| (Missing::Absent, format!("{what} is not known"));
        for part in &template.parts {
            match part {
                Part::Text(text) => sink(text.as_bytes()),
                Part::Body => sink(&self.callback.body),
                Part::Timestamp => sink(
                    around
                        .timestamp
                        .ok_or_else(|| absent("the timestamp"))?
                        .as_bytes(),
                ),
                Part::Secret => sink(around.secret.ok_or_else(|| absent("the secret"))?),
                Part::UrlWithoutQuery => {
                    sink(
                        around
                            .url
                            .ok_or_else(|| absent("the callback URL"))?
                            .as_bytes(),
                    );
                }
                Part::UrlUnescaped => {
                    let url = around.url.ok_or_else(|| absent("the callback URL"))?;
                    let url = with_query(url, &self.callback.query);
                    sink(url::unescaped(&url).as_bytes());
                }
                Part::Path => {
                    sink(path_of(around.url.ok_or_else(|| absent("the callback URL"))?).as_bytes())
                }
                Part::PathAndQuery => {
                    let path = path_of(around.url.ok_or_else(|| absent("the callback URL"))?);
                    sink(with_query(path, &self.callback.query).as_bytes());
                }
                Part::RawQuery => sink(self.callback.query.as_bytes()),
                Part::Sha256HexBody => {
                    sink(hex::encode(Sha256::digest(&self.callback.body)).as_bytes())
                }
                Part::SortedFormParams => self.sorted_form_params(sink)?,
                Part::At(location) => match self.read(location, around) {
                    Ok(value) => sink(value.as_bytes()),
                    Err(missing) => {
                        let why = missing.explain(location);
                        return Err((missing, why));
                    }
                },
            }
        }
        Ok(())
    }

    /// Names and values, in order of the names, without separators; of a name's values each once, in their order.
    fn sorted_form_params(&self, sink: &mut dyn FnMut(&[u8])) -> Result<(), (Missing, String)> {
        if self.callback.body.is_empty() {
            return Ok(());
        }
        if self.format() == PayloadFormat::Multipart {
            // Its files are in no field, so they would be left out of what is signed.
            return Err(undecodable(
                "it is multipart, and what is signed are the fields of a plain form",
            ));
        }
        match self.payload() {
            Payload::Form(fields) | Payload::FormJson(fields, _) => {
                for (name, values) in fields {
                    let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
                    values.sort_unstable();
                    values.dedup();
                    for value in values {
                        sink(name.as_bytes());
                        sink(value.as_bytes());
                    }
                }
                Ok(())
            }
            // A body that is no form would be left out of what is signed, and could then be anything.
            Payload::Json(_) => Err(undecodable(
                "it is JSON, and what is signed are form fields",
            )),
            Payload::Opaque(why) => Err(undecodable(why)),
        }
    }
}

fn undecodable(why: &str) -> (Missing, String) {
    (
        Missing::Undecodable(why.to_owned()),
        format!("the body can't be read as a form: {why}"),
    )
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

fn with_query<'a>(url: &'a str, query: &str) -> Cow<'a, str> {
    if query.is_empty() {
        Cow::Borrowed(url)
    } else {
        Cow::Owned(format!("{url}?{query}"))
    }
}

/// What follows the authority.
fn path_of(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    after.find('/').map_or("/", |at| &after[at..])
}
