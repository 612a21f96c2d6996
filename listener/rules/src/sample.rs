//! Catalogue samples, signed as the provider would.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::connector::{Format, KeyedHash, Proof, Scheme};
use crate::group::Group;
use crate::location::{Filling, Location, SigFields, Source, full_url};
use crate::verify::{encode, format_time, make, rfc3339_seconds};
use crate::{Callback, Timestamp};

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
    let events = &group.function().events;
    let sample = events
        .iter()
        .filter(|known| known.sample.is_some())
        .find(|known| known.name == event || crate::connector::takes(event, &known.name))
        .and_then(|known| known.sample.as_ref())
        .ok_or_else(|| {
            let known: Vec<&str> = events
                .iter()
                .filter(|known| known.sample.is_some())
                .map(|known| known.name.as_str())
                .collect();
            SampleError::NoSample {
                event: event.to_owned(),
                known: known.join(", "),
            }
        })?;
    let fill = |text: &str| {
        text.replace("{now}", &now.seconds().to_string())
            .replace("{now_rfc3339}", &rfc3339_seconds(now))
            .replace("{uuid}", uuid)
    };
    let mut headers: Vec<(String, String)> = sample
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), fill(value)))
        .collect();
    if !sample.content_type.is_empty() {
        headers.push(("content-type".to_owned(), sample.content_type.clone()));
    }
    let protocol = group.protocol();
    let draft = Draft {
        group,
        now,
        method: protocol.methods.first().cloned().unwrap_or(Method::POST),
        query: fill(&sample.query),
        headers,
        body: Bytes::from(fill(&sample.body)),
    };
    // Which scheme applies can depend on what it adds, so each is tried, and the one that we would take ourselves is it.
    let mut reason = "the group has no secret to sign with".to_owned();
    for (index, scheme) in protocol.schemes.iter().enumerate() {
        match draft.signed(index, scheme) {
            Ok(signed) => match group.verify(signed.callback()?, now) {
                Ok(_) => return Ok(signed.into_sample(group)),
                Err(refusal) => reason = refusal.reason,
            },
            Err(why) => reason = why,
        }
    }
    if group.takes_unsigned() {
        return Ok(draft.into_sample(group));
    }
    Err(SampleError::CannotSign(format!(
        "the sample can't be signed here: {reason}"
    )))
}

#[derive(Clone)]
struct Draft<'g> {
    group: &'g Group,
    now: Timestamp,
    method: Method,
    query: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl<'g> Draft<'g> {
    fn callback(&self) -> Result<Callback, SampleError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong =
                || SampleError::CannotSign(format!("the sample's header {name} is no header"));
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?,
                HeaderValue::from_str(value).map_err(|_| wrong())?,
            );
        }
        Ok(Callback {
            method: self.method.clone(),
            query: self.query.clone(),
            headers,
            body: self.body.clone(),
        })
    }

    fn set(&mut self, location: &Location, value: &str) -> Result<(), String> {
        match location {
            Location::Header(name) => {
                self.headers
                    .retain(|(given, _)| !given.eq_ignore_ascii_case(name.as_str()));
                self.headers.push((name.to_string(), value.to_owned()));
                Ok(())
            }
            Location::Query(name) => {
                let pair: String = form_urlencoded::Serializer::new(String::new())
                    .append_pair(name, value)
                    .finish();
                if !self.query.is_empty() {
                    self.query.push('&');
                }
                self.query.push_str(&pair);
                Ok(())
            }
            other => Err(format!("{} can't be filled in", other.text())),
        }
    }

    /// The same with what this scheme asks for.
    fn signed(&self, index: usize, scheme: &Scheme) -> Result<Draft<'g>, String> {
        let mut draft = self.clone();
        let secret = || {
            self.group
                .keyring(index)
                .and_then(|keyring| keyring.secrets.first())
                .ok_or_else(|| "the group has no secret to sign with".to_owned())
        };
        let mut sig = SigFields::new();
        if let Some(time) = &scheme.timestamp {
            let text = format_time(time.unit, self.now);
            match &time.location {
                Location::Sig(key) => {
                    sig.insert(key.clone(), text);
                }
                other => draft.set(other, &text)?,
            }
        }
        for (location, template) in &scheme.also {
            let callback = draft.callback().map_err(|error| error.to_string())?;
            let source = self.group.source(&callback);
            let mut value = Vec::new();
            template
                .fill(&source, Filling::default(), &mut |part| {
                    value.extend_from_slice(part);
                })
                .map_err(|unfilled| format!("{unfilled:?}"))?;
            draft.set(location, &String::from_utf8_lossy(&value))?;
        }
        match &scheme.proof {
            Proof::Hmac(keyed) | Proof::Digest(keyed) => {
                let secret = secret()?;
                let callback = draft.callback().map_err(|error| error.to_string())?;
                let source: Source<'_> = self.group.source(&callback);
                let filling = Filling {
                    sig: Some(&sig),
                    timestamp: scheme.timestamp.as_ref().map(|time| &time.location),
                    secret: Some(&secret.key),
                    url: None,
                };
                let made = make(&scheme.proof, keyed, secret, &source, filling)
                    .map_err(|unfilled| format!("{unfilled:?}"))?;
                draft.set(&keyed.signature, &signature_text(keyed, &sig, &made))?;
            }
            Proof::Token { location, prefix } => {
                let token = String::from_utf8_lossy(&secret()?.key).into_owned();
                draft.set(location, &format!("{prefix}{token}"))?;
            }
            Proof::Basic { user_parameter } => {
                let user = user_parameter
                    .as_ref()
                    .and_then(|name| self.group.parameter(name))
                    .unwrap_or("hookplane");
                let mut pair = format!("{user}:").into_bytes();
                pair.extend_from_slice(&secret()?.key);
                let text = encode(crate::connector::Encoding::Base64, &pair);
                draft.set(
                    &Location::Header(http::header::AUTHORIZATION),
                    &format!("Basic {text}"),
                )?;
            }
            Proof::Unsigned => {}
        }
        Ok(draft)
    }

    fn into_sample(self, group: &Group) -> SignedSample {
        SignedSample {
            method: self.method.to_string(),
            url: full_url(&group.url_variants()[0], &self.query),
            headers: self.headers,
            body: self.body,
        }
    }
}

/// A signature in its header's format.
fn signature_text(keyed: &KeyedHash, sig: &SigFields, made: &[u8]) -> String {
    let text = encode(keyed.encoding, made);
    match &keyed.format {
        Format::Plain => text,
        Format::Prefixed(prefix) => format!("{prefix}{text}"),
        Format::Pairs {
            pair_separator,
            key_separator,
            signature_key,
        } => {
            let mut pairs: Vec<String> = sig
                .iter()
                .map(|(key, value)| format!("{key}{key_separator}{value}"))
                .collect();
            pairs.push(format!("{signature_key}{key_separator}{text}"));
            pairs.join(pair_separator)
        }
        Format::Versioned {
            version_separator,
            version,
            ..
        } => format!("{version}{version_separator}{text}"),
    }
}
