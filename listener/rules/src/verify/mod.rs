//! Is it genuine? The stage that says so, and the type that proves it was asked.
//!
//! ```text
//!  Callback ─▶ unverified handshake? ─▶ scheme whose `when` holds ─▶ signature ─▶ signed time ─▶ further equalities
//!                                                                                        │
//!                                                    Handshake(Reply) ◀─ handshake? ◀────┴────▶ Genuine(Verified)
//! ```
//!
//! Guarantees: raw bytes are hashed as they came; every comparison with something secret takes the same time whatever was sent; what
//! is missing, repeated, of another encoding or of no scheme is refused; a reason names the clause and never a credential.

#[cfg(test)]
mod attacks;
mod handshake;
pub(crate) mod keys;
pub(crate) mod signature;
#[cfg(test)]
mod tests;
pub(crate) mod url;
pub(crate) mod window;

use std::sync::Arc;

use crate::connector::{Coverage, KeyedHash, Proof, Scheme};
use crate::group::KeyedScheme;
use crate::payload::Payload;
use crate::request::{Around, Request};
use crate::{Callback, Group, Refusal, RefusalKind, Reply, Timestamp};

use keys::{Key, fingerprint, same};
use signature::refuse;

/// A genuine request.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are genuine, and a box would be an allocation for each"
)]
pub enum Proven {
    /// It only wants to know that the URL is ours: answer, and don't match.
    Handshake(Reply),
    /// It carries events.
    Genuine(Verified),
}

/// A callback that was proven genuine. Only this module makes one.
#[derive(Debug)]
pub struct Verified {
    request: Request,
    secret: Option<Arc<str>>,
    coverage: Arc<Coverage>,
    unsigned: bool,
}

impl Verified {
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// True when no event of it is registered, whatever its body decodes to, so that nobody need decode it.
    ///
    /// A body that goes by as JSON is valid or undecodable. Read as if it were valid, before anybody knows, it gives the event type that it
    /// has if it is; without it there is the one that the headers give. If the group registers neither, it doesn't matter which is true.
    pub fn is_unregistered(&mut self, group: &Group) -> bool {
        crate::extract::is_unregistered(group, self)
    }

    pub(crate) fn shared_coverage(&self) -> Arc<Coverage> {
        Arc::clone(&self.coverage)
    }

    pub(crate) fn request_mut(&mut self) -> &mut Request {
        &mut self.request
    }

    pub(crate) fn into_callback(self) -> Callback {
        self.request.into_callback()
    }

    /// What its signature covers.
    pub(crate) fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// The name of the secret that proved it genuine, if one did.
    pub fn secret_name(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// The secret that proved it genuine, if one did.
    pub(crate) fn secret(&self) -> Option<&Arc<str>> {
        self.secret.as_ref()
    }

    /// True when nothing but the URL proved it genuine.
    pub(crate) fn is_unsigned(&self) -> bool {
        self.unsigned
    }
}

/// What a scheme made of a request.
struct Accepted<'a> {
    secret: Option<Arc<str>>,
    /// The key it was made with, to answer a handshake with.
    key: Option<&'a Key>,
    coverage: Arc<Coverage>,
    unsigned: bool,
}

pub(crate) fn verify(group: &Group, callback: Callback, now: Timestamp) -> Result<Proven, Refusal> {
    let request = Request::new(callback, group.decoding.clone()).map_err(|why| {
        let why = format!("the signature is over the unpacked body: {why}");
        Refusal::new(RefusalKind::Undecodable, why)
    })?;
    let handshakes = &group.function.protocol.handshakes;
    let asked = |unverified: bool| {
        handshakes
            .iter()
            .find(|one| one.unverified == unverified && one.when.holds(&request, Around::default()))
    };
    if let Some(shake) = asked(true) {
        return handshake::answer(shake, &request, None, group).map(Proven::Handshake);
    }
    let accepted = accept(group, &request, now)?;
    if let Some(shake) = asked(false) {
        return handshake::answer(shake, &request, accepted.key, group).map(Proven::Handshake);
    }
    Ok(Proven::Genuine(Verified {
        request,
        secret: accepted.secret,
        coverage: accepted.coverage,
        unsigned: accepted.unsigned,
    }))
}

fn unsigned() -> Accepted<'static> {
    Accepted {
        secret: None,
        key: None,
        coverage: Arc::default(),
        unsigned: true,
    }
}

fn signature_refusal(reason: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Signature, reason)
}

fn accept<'a>(
    group: &'a Group,
    request: &Request,
    now: Timestamp,
) -> Result<Accepted<'a>, Refusal> {
    let schemes = &group.function.protocol.schemes;
    let chosen = schemes.iter().zip(&group.keyed).find(|(scheme, _)| {
        scheme
            .when
            .as_ref()
            .is_none_or(|when| when.holds(request, Around::default()))
    });
    // Without any secret there is nothing to check, and the group says that this is fine. With one, everything must verify: the
    // sender doesn't get to choose.
    let open = group.accept_unsigned && !group.has_secret;
    let Some((scheme, keyed)) = chosen else {
        if open {
            return Ok(unsigned());
        }
        let names: Vec<&str> = schemes.iter().map(|scheme| scheme.name.as_str()).collect();
        return Err(signature_refusal(format!(
            "none of the schemes applies to this request: {}",
            names.join(", ")
        )));
    };
    match &scheme.proof {
        Proof::Unsigned if open => Ok(unsigned()),
        Proof::Unsigned if group.has_secret => Err(signature_refusal(
            "it is not signed, and the group has a secret, so that what isn't signed is refused",
        )),
        Proof::Unsigned => Err(signature_refusal(
            "the provider signs nothing; set acceptUnsigned to take it all the same",
        )),
        _ if open => match carried(scheme, request) {
            None => Ok(unsigned()),
            Some(place) => Err(signature_refusal(format!(
                "{place} is there, but the group has no secret to check it with; add the signature secret"
            ))),
        },
        _ if keyed.keys.is_empty() => Err(signature_refusal(format!(
            "no secret of the group fits scheme `{}`",
            scheme.name
        ))),
        Proof::Token { location, prefix } => {
            let value = request
                .read(location, Around::default())
                .map_err(|missing| refuse(&missing, missing.explain(location)))?;
            let value = value.strip_prefix(prefix.as_str()).ok_or_else(|| {
                signature_refusal(format!(
                    "{} does not begin with `{prefix}`",
                    location.describe()
                ))
            })?;
            accepted(find(&keyed.keys, value.as_bytes()), scheme, keyed)
        }
        Proof::Basic { .. } => basic(scheme, keyed, request),
        Proof::Hmac(hash) | Proof::Digest(hash) => hashed(group, scheme, hash, keyed, request, now),
    }
}

/// Where this scheme's credential is, if the request has one.
fn carried(scheme: &Scheme, request: &Request) -> Option<String> {
    let location = match &scheme.proof {
        Proof::Hmac(hash) | Proof::Digest(hash) => &hash.signature,
        Proof::Token { location, .. } => location,
        Proof::Basic { .. } => {
            return request
                .callback
                .headers
                .contains_key(http::header::AUTHORIZATION)
                .then(|| "header authorization".to_owned());
        }
        Proof::Unsigned => return None,
    };
    match request.read(location, Around::default()) {
        Err(crate::request::Missing::Absent) => None,
        _ => Some(location.describe()),
    }
}

fn accepted<'a>(
    key: Option<&'a Key>,
    scheme: &Scheme,
    keyed: &KeyedScheme,
) -> Result<Accepted<'a>, Refusal> {
    match key {
        Some(key) => Ok(Accepted {
            secret: Some(key.name.clone()),
            key: Some(key),
            coverage: scheme.coverage.clone(),
            unsigned: false,
        }),
        None => Err(signature_refusal(format!(
            "no secret matched ({} tried)",
            keyed.keys.len()
        ))),
    }
}

/// Compares with every key, so that the time tells nothing.
fn find<'a>(keys: &'a [Key], sent: &[u8]) -> Option<&'a Key> {
    keys.iter().fold(
        None,
        |found, key| if key.equals(sent) { Some(key) } else { found },
    )
}

fn basic<'a>(
    scheme: &Scheme,
    keyed: &'a KeyedScheme,
    request: &Request,
) -> Result<Accepted<'a>, Refusal> {
    let value = crate::request::header(&request.callback.headers, &http::header::AUTHORIZATION)
        .map_err(|missing| {
            signature_refusal(missing.explain(&crate::location::Location::Header(
                http::header::AUTHORIZATION,
            )))
        })?;
    let wrong = || signature_refusal("header authorization is not `Basic` with user and password");
    let (kind, encoded) = value.split_once(' ').ok_or_else(wrong)?;
    if !kind.eq_ignore_ascii_case("basic") {
        return Err(wrong());
    }
    let decoded = crate::connector::TextEncoding::Base64
        .decode(encoded.trim())
        .ok_or_else(wrong)?;
    let colon = decoded.iter().position(|b| *b == b':').ok_or_else(wrong)?;
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    let found = find(&keyed.keys, password);
    if let Some(expected) = &keyed.user
        && !same(expected, &fingerprint(user))
    {
        return Err(signature_refusal("user name or password is wrong"));
    }
    accepted(found, scheme, keyed)
}

fn hashed<'a>(
    group: &Group,
    scheme: &Scheme,
    hash: &KeyedHash,
    keyed: &'a KeyedScheme,
    request: &Request,
    now: Timestamp,
) -> Result<Accepted<'a>, Refusal> {
    let sent = signature::read(hash, request)?;
    let around = Around {
        sig: &sent.fields,
        ..Around::default()
    };
    let time = match &scheme.timestamp {
        None => None,
        Some(time) => Some((
            time,
            request
                .read(&time.location, around)
                .map_err(|missing| refuse(&missing, missing.explain(&time.location)))?,
        )),
    };
    // A GET's body isn't expected, so what doesn't cover it must not let it through.
    let callback = &request.callback;
    if [http::Method::GET, http::Method::HEAD].contains(&callback.method)
        && !callback.body.is_empty()
        && !scheme.coverage.body
    {
        return Err(signature_refusal(
            "a GET has a body, and the signature doesn't cover it",
        ));
    }
    let around = Around {
        timestamp: time.as_ref().map(|(_, text)| text.as_ref()),
        ..around
    };
    let mut places = vec![around];
    if scheme.is_url_bound() {
        if group.urls.is_empty() {
            return Err(signature_refusal(
                "the scheme signs the URL, and the group has no callback URL yet",
            ));
        }
        places = group
            .urls
            .iter()
            .map(|base| Around {
                url: Some(base),
                ..around
            })
            .collect();
    }
    let mut matched = None;
    'all: for key in &keyed.keys {
        for place in &places {
            let mut state = key.start(&scheme.proof).ok_or_else(|| {
                signature_refusal(
                    "the secret is no key of this scheme: please report this as a bug",
                )
            })?;
            let place = Around {
                secret: Some(key.bytes()),
                ..*place
            };
            request
                .render(&hash.content, place, &mut |bytes| state.update(bytes))
                .map_err(|(missing, why)| refuse(&missing, why))?;
            let expected = state.finish();
            let fits = sent
                .signatures
                .iter()
                .fold(false, |fits, one| fits | same(one, &expected));
            if fits {
                matched = Some((key, place));
                break 'all;
            }
        }
    }
    let Some((key, place)) = matched else {
        let hint = if scheme.is_url_bound() {
            "; the scheme signs the URL, so the provider must have been given exactly this group's callback URL"
        } else {
            ""
        };
        return Err(signature_refusal(format!(
            "no secret matched ({} tried){hint}",
            keyed.keys.len()
        )));
    };
    if let Some((time, text)) = &time {
        window::check(time, text, now)?;
    }
    // Asked in this order: no other scheme has the body decoded here.
    if matches!(scheme.proof, Proof::Digest(_))
        && !callback.body.is_empty()
        && let Payload::Opaque(why) = request.payload()
    {
        // A plain hash of secret and body can be extended by who knows the hash and not the secret, but never to a body that can be
        // read: what is added begins with bytes that no JSON and no form holds.
        return Err(Refusal::new(
            RefusalKind::Undecodable,
            format!(
                "scheme `{}` is a plain hash, which proves nothing of a body that can't be decoded: {why}",
                scheme.name
            ),
        ));
    }
    let place = Around {
        secret: None,
        ..place
    };
    for (location, template) in &scheme.also {
        let sent = request
            .read(location, place)
            .map_err(|missing| refuse(&missing, missing.explain(location)))?;
        let mut expected = Vec::new();
        request
            .render(template, place, &mut |bytes| {
                expected.extend_from_slice(bytes)
            })
            .map_err(|(missing, why)| refuse(&missing, why))?;
        if !same(&fingerprint(sent.as_bytes()), &fingerprint(&expected)) {
            return Err(signature_refusal(format!(
                "the signature matched, but {} is not what it must be",
                location.describe()
            )));
        }
    }
    accepted(Some(key), scheme, keyed)
}
