//! Catalogue samples, signed as the provider would.
//!
//! The proof that a sample is signed right is that the group's own `verify` takes it: what doesn't verify is not handed out.

use std::fmt;

use bytes::Bytes;
use hookplane_proto::v1::TimeUnit;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::connector::{KeyedHash, Proof, Scheme, TextEncoding};
use crate::group::KeyedScheme;
use crate::location::{Location, Part};
use crate::request::{Around, Missing, Request};
use crate::verify::{signature, window};
use crate::{Callback, Group, Timestamp};

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
    let events = &group.function.events;
    let found = events.iter().find(|one| one.name == event);
    let Some(sample) = found.and_then(|one| one.sample.as_ref()) else {
        let known: Vec<&str> = events
            .iter()
            .filter(|one| one.sample.is_some())
            .map(|one| one.name.as_str())
            .collect();
        return Err(SampleError::NoSample {
            event: event.to_owned(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        });
    };
    let seconds = window::write(TimeUnit::Seconds, now);
    let rfc3339 = window::write(TimeUnit::Rfc3339, now);
    let fill = |text: &str| {
        text.replace("{now}", &seconds)
            .replace("{now_rfc3339}", &rfc3339)
            .replace("{uuid}", uuid)
    };
    let cannot = |why: &str| {
        SampleError::CannotSign(format!("the sample of `{event}` can't be signed: {why}"))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &sample.headers {
        put(&mut headers, name, &fill(value)).map_err(|why| cannot(&why))?;
    }
    if !sample.content_type.is_empty() {
        put(&mut headers, "content-type", &sample.content_type).map_err(|why| cannot(&why))?;
    }
    let body = fill(&sample.body);
    let method = match group.function.protocol.methods.as_slice() {
        methods if body.is_empty() && methods.iter().any(|one| one == "GET") => Method::GET,
        [first, ..] => Method::from_bytes(first.as_bytes()).unwrap_or(Method::POST),
        [] => Method::POST,
    };
    let blank = Callback {
        method,
        query: fill(&sample.query),
        headers,
        body: body.into(),
    };
    let mut last = "the connector has no scheme".to_owned();
    for (scheme, keyed) in group.function.protocol.schemes.iter().zip(&group.keyed) {
        let signed = Signing {
            group,
            scheme,
            keyed,
            now,
            uuid,
        }
        .sign(blank.clone());
        match signed.and_then(|callback| {
            group
                .verify(callback.clone(), now)
                .map(|_| callback)
                .map_err(|refusal| refusal.reason)
        }) {
            Ok(callback) => return Ok(posted(group, callback)),
            Err(why) => last = why,
        }
    }
    Err(cannot(&last))
}

fn posted(group: &Group, callback: Callback) -> SignedSample {
    let url = if callback.query.is_empty() {
        group.callback_url.clone()
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
    }
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` can't be a header's name"))?;
    let value = HeaderValue::from_str(value)
        .map_err(|_| format!("header {name} would have a value that can't be sent"))?;
    headers.insert(name, value);
    Ok(())
}

/// Writes a value where a location would read it.
fn write(callback: &mut Callback, location: &Location, value: &str) -> Result<(), String> {
    match location {
        Location::Header(name) => put(&mut callback.headers, name.as_str(), value),
        Location::Query(name) => {
            let pair: String = form_urlencoded::Serializer::new(String::new())
                .append_pair(name, value)
                .finish();
            if !callback.query.is_empty() {
                callback.query.push('&');
            }
            callback.query.push_str(&pair);
            Ok(())
        }
        other => Err(format!(
            "{} can't be filled in; write it into the sample",
            other.describe()
        )),
    }
}

struct Signing<'a> {
    group: &'a Group,
    scheme: &'a Scheme,
    keyed: &'a KeyedScheme,
    now: Timestamp,
    uuid: &'a str,
}

impl Signing<'_> {
    fn sign(&self, mut callback: Callback) -> Result<Callback, String> {
        let no_key = || format!("the group has no secret for scheme `{}`", self.scheme.name);
        match &self.scheme.proof {
            Proof::Unsigned => Ok(callback),
            _ if self.keyed.keys.is_empty() && self.group.accept_unsigned => Ok(callback),
            Proof::Token { location, prefix } => {
                let key = self.keyed.keys.first().ok_or_else(no_key)?;
                let text = String::from_utf8_lossy(key.bytes());
                write(&mut callback, location, &format!("{prefix}{text}"))?;
                Ok(callback)
            }
            Proof::Basic { .. } => {
                let key = self.keyed.keys.first().ok_or_else(no_key)?;
                let user = match self.keyed.user_name.as_str() {
                    "" => "hookplane",
                    user => user,
                };
                let pair = format!("{user}:{}", String::from_utf8_lossy(key.bytes()));
                let value = format!("Basic {}", TextEncoding::Base64.encode(pair.as_bytes()));
                put(&mut callback.headers, "authorization", &value)?;
                Ok(callback)
            }
            Proof::Hmac(hash) | Proof::Digest(hash) => self.hashed(hash, callback),
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
        // Ids that are signed and that the sample leaves out.
        for part in &hash.content.parts {
            if let Part::At(location @ (Location::Header(_) | Location::Query(_))) = part {
                self.fill(&mut callback, location, self.uuid)?;
            }
        }
        // Before the URL is signed, as what must be equal may be part of it.
        for (location, template) in &self.scheme.also {
            let value = {
                let request = self.request(&callback)?;
                let around = Around {
                    url: self.group.urls.first().map(String::as_str),
                    ..Around::default()
                };
                let mut value = Vec::new();
                request
                    .render(template, around, &mut |bytes| {
                        value.extend_from_slice(bytes)
                    })
                    .map_err(|(_, why)| why)?;
                String::from_utf8_lossy(&value).into_owned()
            };
            self.fill(&mut callback, location, &value)?;
        }
        let mac = {
            let request = self.request(&callback)?;
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
                .render(&hash.content, around, &mut |bytes| state.update(bytes))
                .map_err(|(_, why)| why)?;
            state.finish()
        };
        let value = signature::write(hash, &mac, &fields);
        write(&mut callback, &hash.signature, &value)?;
        Ok(callback)
    }

    fn request(&self, callback: &Callback) -> Result<Request, String> {
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
            .request(callback)?
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
mod tests {
    use super::*;
    use crate::Proven;
    use crate::testing::*;

    const UUID: &str = "01930000-0000-7000-8000-000000000000";

    fn posted_back(sample: &SignedSample) -> Callback {
        let headers: Vec<(&str, &str)> = sample
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let mut callback = callback(&headers, sample.body.clone());
        callback.method = sample.method.parse().unwrap();
        callback.query = sample
            .url
            .split_once('?')
            .map_or("", |(_, query)| query)
            .to_owned();
        callback
    }

    #[test]
    fn a_sample_of_every_kind_of_scheme_is_genuine() {
        let hmac = |rest: &str, time: &str| {
            format!(
                "schemes:\n  - name: one\n    hmac: {{hash: sha256, signature: \"header:X-Sig\", key: {{decode: raw}}, {rest}}}\n{time}"
            )
        };
        let time = |location: &str, unit: &str| {
            format!(
                "    timestamp: {{location: \"{location}\", unit: {unit}, toleranceSeconds: 300, window: both}}\n"
            )
        };
        let pairs = "{pairs: {pairSeparator: \",\", keySeparator: \"=\", signatureKey: v1}}";
        let versioned = "{versioned: {itemSeparator: \" \", versionSeparator: \",\", version: v1}}";
        for protocol in [
            hmac("content: \"{body}\", encoding: hex, format: {prefix: \"sha256=\"}", ""),
            hmac("content: \"{body}\", encoding: base64url", ""),
            hmac(&format!("content: \"{{sig:t}}.{{body}}\", encoding: hex, format: {pairs}"), &time("sig:t", "seconds")),
            hmac(
                &format!("content: \"{{header:webhook-id}}.{{timestamp}}.{{body}}\", encoding: base64, format: {versioned}"),
                &time("header:webhook-timestamp", "seconds"),
            ),
            hmac("content: \"{method}{url}{body}{timestamp}\", encoding: base64", &time("header:X-Time", "milliseconds")),
            hmac("content: \"{timestamp}{path_and_query}{body}\", encoding: hex", &time("query:time", "rfc3339")),
            hmac("content: \"{url}\", encoding: base64", "    also: [{location: \"query:bodySHA256\", equals: \"{sha256_hex(body)}\"}]\n    when: {present: \"query:bodySHA256\"}\n"),
            "schemes: [{name: d, digest: {hash: sha256, content: \"{secret}{body}\", signature: \"header:X-Sig\", encoding: hex, key: {decode: raw}}}]".to_owned(),
            "schemes: [{name: t, token: {location: \"header:X-Token\", prefix: \"Bearer \"}}]".to_owned(),
            "schemes: [{name: t, token: {location: \"query:key\"}}]".to_owned(),
            "schemes: [{name: b, basic: {}}]".to_owned(),
        ] {
            let group = group(&protocol);
            let sample = group.sign_sample("made", NOW, UUID).unwrap_or_else(|e| panic!("{e}: {protocol}"));
            assert!(sample.url.starts_with(URL));
            assert!(String::from_utf8_lossy(&sample.body).contains(UUID));
            let callback = posted_back(&sample);
            assert!(matches!(group.verify(callback.clone(), NOW), Ok(Proven::Genuine(_))), "{protocol}");
            if !protocol.contains("token") && !protocol.contains("basic") {
                let mut forged = callback;
                forged.body = "{}".into();
                assert!(group.verify(forged, NOW).is_err(), "{protocol}");
            }
        }
    }

    #[test]
    fn an_event_without_a_sample_names_those_that_have_one() {
        let group = group("schemes: [{name: b, basic: {}}]");
        let error = group.sign_sample("nope", NOW, UUID).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no sample for event `nope`; there are samples for made"
        );
    }
}
