//! Catalogue samples, signed as the provider would.
//!
//! The proof that a sample is signed right is that the group's own `verify` takes it: what doesn't verify is not handed out.

mod clear;
mod handshake;
mod hostile;
#[cfg(test)]
mod hostile_tests;
mod reported;
mod token;
mod variants;
mod wire;
mod write;

use std::fmt;

use bytes::Bytes;
use hookplane_proto::v1::{self, TimeUnit};
use http::{HeaderMap, Method};

use crate::connector::{Carrier, KeyedHash, Proof, Scheme, TokenPlace};
use crate::encoding::TextEncoding;
use crate::group::KeyedScheme;
use crate::location::Location;
use crate::request::{Around, Missing, Request};
use crate::template::Part;
use crate::verify::{signature, window};
use crate::{Callback, Group, Timestamp};

pub(crate) use reported::report;
pub(crate) use variants::all;
pub use variants::{Expected, Variant};
use write::{everywhere, is_multipart, put, write};

/// A test callback, ready to post.
#[derive(Clone)]
pub struct SignedSample {
    /// The method.
    pub method: String,
    /// The group's callback URL with the sample's query.
    pub url: String,
    /// Content type and signature among them.
    pub headers: Vec<(String, String)>,
    /// The body, exactly as signed.
    pub body: Bytes,
    /// Which secret of the group's stands in it as it is, and what to do. It is for those alone who have that secret.
    pub shows: Option<String>,
}

/// Never the headers or the URL: where a provider sends its secret as it is, it is in them.
impl fmt::Debug for SignedSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedSample")
            .field("method", &self.method)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The connector's function has no such event, or none with a sample.
    #[error("no sample for event `{event}`; there are samples for {known}")]
    NoSample {
        /// What was asked for.
        event: String,
        /// What there is.
        known: String,
    },
    /// The scheme's private key is the provider's alone.
    #[error("{0}")]
    CannotSign(String),
}

pub(crate) fn sign(
    group: &Group,
    event: &str,
    now: Timestamp,
    uuid: &str,
) -> Result<SignedSample, SampleError> {
    let (index, callback) = good(group, event, now, uuid)?;
    let shows = shown(group, index);
    Ok(posted(group, callback, shows))
}

/// The sample as its provider would post it, and which of the schemes it is signed in.
fn good(
    group: &Group,
    event: &str,
    now: Timestamp,
    uuid: &str,
) -> Result<(usize, Callback), SampleError> {
    let cannot = |why: String| {
        SampleError::CannotSign(format!("the sample of `{event}` can't be signed: {why}"))
    };
    let blank = blank(group, sample_of(group, event)?, now, uuid).map_err(cannot)?;
    signed(group, blank, now, uuid).map_err(cannot)
}

fn sample_of<'a>(group: &'a Group, event: &str) -> Result<&'a v1::Sample, SampleError> {
    let events = &group.function.events;
    let found = events.iter().find(|one| one.name == event);
    found.and_then(|one| one.sample.as_ref()).ok_or_else(|| {
        let known: Vec<&str> = events
            .iter()
            .filter(|one| one.sample.is_some())
            .map(|one| one.name.as_str())
            .collect();
        SampleError::NoSample {
            event: event.to_owned(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        }
    })
}

/// The sample with its time and ids, unsigned.
fn blank(
    group: &Group,
    sample: &v1::Sample,
    now: Timestamp,
    uuid: &str,
) -> Result<Callback, String> {
    let seconds = window::write(TimeUnit::Seconds, now);
    let rfc3339 = window::write(TimeUnit::Rfc3339, now);
    let fill = |text: &str| {
        text.replace("{now}", &seconds)
            .replace("{now_rfc3339}", &rfc3339)
            .replace("{uuid}", uuid)
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &sample.headers {
        put(&mut headers, name, &fill(value))?;
    }
    if !sample.content_type.is_empty() {
        put(&mut headers, "content-type", &sample.content_type)?;
    }
    let mut body = fill(&sample.body);
    if is_multipart(&sample.content_type) {
        // A definition's lines end in a line feed, a part's in both.
        body = body.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    let method = match group.function.protocol.methods.as_slice() {
        methods if body.is_empty() && methods.iter().any(|one| one == "GET") => Method::GET,
        [first, ..] => Method::from_bytes(first.as_bytes()).unwrap_or(Method::POST),
        [] => Method::POST,
    };
    Ok(Callback {
        method,
        query: fill(&sample.query),
        headers,
        body: body.into(),
    })
}

/// Signed in the first scheme in which the group's own rules take it.
fn signed(
    group: &Group,
    blank: Callback,
    now: Timestamp,
    uuid: &str,
) -> Result<(usize, Callback), String> {
    let mut last = None;
    for (index, (scheme, keyed)) in schemes(group).enumerate() {
        let signing = Signing {
            group,
            scheme,
            keyed,
            now,
            uuid,
            spoils: false,
        };
        let signed = signing.sign(blank.clone()).and_then(|callback| {
            group
                .verify(callback.clone(), now)
                .map(|_| callback)
                .map_err(|refusal| refusal.reason)
        });
        match signed {
            Ok(callback) => return Ok((index, callback)),
            // The first is the one that most of a provider's callbacks have.
            Err(why) => last = last.or(Some(why)),
        }
    }
    Err(last.unwrap_or_else(|| "the connector has no scheme".to_owned()))
}

fn schemes(group: &Group) -> impl Iterator<Item = (&Scheme, &KeyedScheme)> {
    group.function.protocol.schemes.iter().zip(&group.keyed)
}

/// What of the group's shows in what this scheme signs.
fn shown(group: &Group, index: usize) -> Option<String> {
    schemes(group)
        .nth(index)
        .and_then(|(scheme, _)| clear::signed(group, scheme))
}

fn posted(group: &Group, callback: Callback, shows: Option<String>) -> SignedSample {
    let url = if callback.query.is_empty() {
        group.callback_url.to_string()
    } else {
        format!("{}?{}", group.callback_url, callback.query)
    };
    SignedSample {
        method: callback.method.as_str().to_owned(),
        url,
        headers: callback
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: callback.body,
        shows,
    }
}

struct Signing<'a> {
    group: &'a Group,
    scheme: &'a Scheme,
    keyed: &'a KeyedScheme,
    now: Timestamp,
    uuid: &'a str,
    /// Makes a signature that is wrong in one byte, of the same form.
    spoils: bool,
}

impl Signing<'_> {
    fn sign(&self, mut callback: Callback) -> Result<Callback, String> {
        let no_key = || format!("the group has no secret for scheme `{}`", self.scheme.name);
        match &self.scheme.proof {
            Proof::Unsigned => Ok(callback),
            _ if self.group.accept_unsigned && !self.group.has_secret => Ok(callback),
            Proof::Token(token) => {
                let key = self.keyed.keys.first().ok_or_else(no_key)?;
                let text = self.shown(&String::from_utf8_lossy(key.bytes()));
                let text = format!("{}{text}", token.prefix);
                match (&token.place, &self.keyed.token) {
                    (TokenPlace::Everywhere(pattern), _) => {
                        everywhere(&mut callback, pattern, &text)?;
                    }
                    (_, Some(named)) => write(&mut callback, named, &text)?,
                    (TokenPlace::At(location), None) => write(&mut callback, location, &text)?,
                }
                Ok(callback)
            }
            Proof::Basic { .. } => {
                let key = self.keyed.keys.first().ok_or_else(no_key)?;
                let user = match &self.keyed.user {
                    None => "hookplane",
                    Some(user) => user.name.as_str(),
                };
                let password = self.shown(&String::from_utf8_lossy(key.bytes()));
                let pair = format!("{user}:{password}");
                let value = format!("Basic {}", TextEncoding::Base64.encode(pair.as_bytes()));
                put(&mut callback.headers, "authorization", &value)?;
                Ok(callback)
            }
            Proof::Hmac(hash) | Proof::Digest(hash) => self.hashed(hash, callback),
            Proof::PublicKey(_) => Err(token::PROVIDERS_ALONE.to_owned()),
            Proof::Jwt(token) => self.token(token, callback),
        }
    }

    fn hashed(&self, hash: &KeyedHash, mut callback: Callback) -> Result<Callback, String> {
        let key =
            self.keyed.keys.first().ok_or_else(|| {
                format!("the group has no secret for scheme `{}`", self.scheme.name)
            })?;
        let mut fields = Vec::new();
        let mut time = None;
        if let Some(signed) = &self.scheme.timestamp {
            let text = window::write(signed.unit, self.now);
            match &signed.location {
                Location::Sig(name) => fields.push((name.clone(), text.clone())),
                location => self.fill(&mut callback, location, &text)?,
            }
            time = Some(signed.location.clone());
        }
        // Ids that are signed and that the sample leaves out. Of several contents the first is signed.
        let content = hash.contents().next().ok_or("the scheme signs nothing")?;
        for part in &content.parts {
            let part = match part {
                Part::Filtered(filtered) => &filtered.part,
                part => part,
            };
            if let Part::At(location) = part
                && matches!(location.base(), Location::Header(_) | Location::Query(_))
            {
                self.fill(&mut callback, location, self.uuid)?;
            }
        }
        // A time that nobody checks, or whatever else the signature's value holds.
        for location in content.locations() {
            if let Location::Sig(name) = location
                && fields.iter().all(|(known, _)| known != name)
            {
                fields.push((name.clone(), window::write(TimeUnit::Seconds, self.now)));
            }
        }
        // Before the URL is signed, as what must be equal may be part of it.
        for (location, template) in &self.scheme.also {
            let value = {
                let request = self.request(&callback);
                let around = Around {
                    url: self.group.urls.first().map(String::as_str),
                    ..Around::default()
                };
                let value = request.rendered(template, around).map_err(|(_, why)| why)?;
                String::from_utf8_lossy(&value).into_owned()
            };
            self.fill(&mut callback, location, &value)?;
        }
        let mac = {
            let request = self.request(&callback);
            let mut around = Around {
                sig: &fields,
                url: self.group.urls.first().map(String::as_str),
                secret: Some(key.bytes()),
                ..Around::default()
            };
            let text = match &time {
                Some(location) => Some(
                    request
                        .read(location, around)
                        .map_err(|missing| missing.explain(location))?,
                ),
                None => None,
            };
            around.timestamp = text.as_deref();
            let mut state = key
                .start(&self.scheme.proof)
                .ok_or_else(|| "the secret is no key of this scheme".to_owned())?;
            request
                .render(content, around, &mut |bytes| state.update(bytes))
                .map_err(|(_, why)| why)?;
            self.made(state.finish())
        };
        let carrier = &hash.carrier;
        let value = signature::write(carrier, &mac, &fields, &self.request(&callback))?;
        write(&mut callback, &carrier.location, &value)?;
        Ok(callback)
    }

    /// Carries a signature that was made of nothing.
    fn carry(
        &self,
        carrier: &Carrier,
        signature: &[u8],
        mut callback: Callback,
    ) -> Result<Callback, String> {
        let mut fields = Vec::new();
        if let Some(signed) = &self.scheme.timestamp {
            let text = window::write(signed.unit, self.now);
            match &signed.location {
                Location::Sig(name) => fields.push((name.clone(), text)),
                location => self.fill(&mut callback, location, &text)?,
            }
        }
        let value = signature::write(carrier, signature, &fields, &self.request(&callback))?;
        write(&mut callback, &carrier.location, &value)?;
        Ok(callback)
    }

    /// A signature's bytes, or those of none.
    fn made(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if let Some(first) = bytes.first_mut().filter(|_| self.spoils) {
            *first ^= 1;
        }
        bytes
    }

    /// A secret as it is sent, or one that is wrong in its last character.
    fn shown(&self, secret: &str) -> String {
        let mut text = secret.to_owned();
        if self.spoils {
            let last = text.pop();
            text.push(if last == Some('x') { 'y' } else { 'x' });
        }
        text
    }

    fn request(&self, callback: &Callback) -> Request {
        Request::new(callback.clone(), self.group.decoding.clone())
    }

    /// Writes a value where the sample itself has none.
    fn fill(
        &self,
        callback: &mut Callback,
        location: &Location,
        value: &str,
    ) -> Result<(), String> {
        let missing = self
            .request(callback)
            .read(location, Around::default())
            .err();
        match missing {
            Some(Missing::Absent) => write(callback, location, value),
            Some(other) => Err(other.explain(location)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
