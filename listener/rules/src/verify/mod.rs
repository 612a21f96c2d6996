//! Is it genuine? The stage that says so, and the type that proves it was asked.
//!
//! ```text
//!  Callback ─▶ unverified handshake? ─▶ scheme whose `when` holds ─▶ signature ─▶ signed time ─▶ further equalities
//!                                                                                        │
//!                                    Handshake(Reply) ◀─ of the account? ◀─ handshake? ◀────┴────▶ Genuine(Verified)
//! ```
//!
//! Guarantees: raw bytes are hashed as they came; every comparison with something secret takes the same time whatever was sent; what
//! is missing, repeated, of another encoding or of no scheme is refused; a reason names the clause and never a credential.

mod asked;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod formats;
mod handshake;
pub(crate) mod hash;
mod keyed;
pub(crate) mod keys;
mod public_key;
pub(crate) mod signature;
#[cfg(test)]
mod tests;
mod token;
pub(crate) mod url;
mod web_token;
pub(crate) mod window;

use std::sync::Arc;

pub use handshake::{Confirmation, Learned, Shaken};

use crate::connector::{Coverage, KeyPlace, Proof, Scheme, TokenKeys, TokenPlace};
use crate::group::KeyedScheme;
use crate::location::Location;
use crate::payload::Payload;
use crate::request::{Around, Missing, Request};
use crate::{Callback, Group, KeySource, Keys, Refusal, RefusalKind, Timestamp};

pub(crate) use asked::{Asked, Depth};
use keys::Key;
pub(crate) use web_token::Said;

/// A genuine request.
#[derive(Debug)]
pub enum Proven {
    /// It only wants to know that the URL is ours: answer, and don't match.
    Handshake(Shaken),
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

/// Why nobody says that a request is genuine.
#[derive(Debug)]
pub enum Unproven {
    /// It isn't, or can't be shown to be.
    Refused(Box<Refused>),
    /// The key that it would be verified with isn't here.
    NeedsKey(Box<Needed>),
}

/// Why it isn't, and what it was.
#[derive(Debug)]
pub struct Refused {
    /// The clause that decided.
    pub refusal: Refusal,
    /// As it came, where a scheme looked at it: for [`Group::diagnose`].
    pub callback: Option<Callback>,
}

/// What has to be fetched, and the callback to verify with it.
#[derive(Debug)]
pub struct Needed {
    /// Where the key is.
    pub source: KeySource,
    /// As it came.
    pub callback: Callback,
}

impl Needed {
    /// What it is refused with when the key isn't there either.
    pub fn refusal(&self) -> Refusal {
        signature_refusal(format!(
            "the public key that it would be verified with is not among those at {}",
            self.source
        ))
    }
}

/// Why a scheme doesn't accept a request.
pub(crate) enum Failed {
    Refused(Refusal),
    /// The set at this source is lacking, or too old to say.
    NeedsKey(Box<KeySource>),
}

impl From<Refusal> for Unproven {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(Refused {
            refusal,
            callback: None,
        }))
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a scheme made of a request.
pub(crate) struct Accepted<'a> {
    pub(crate) secret: Option<Arc<str>>,
    /// The key it was made with, to answer a handshake with.
    key: Option<&'a Key>,
    coverage: Arc<Coverage>,
    unsigned: bool,
}

pub(crate) fn verify(
    group: &Group,
    callback: Callback,
    keys: &dyn Keys,
    now: Timestamp,
) -> Result<Proven, Unproven> {
    let mut request = Request::new(callback, group.decoding.clone());
    request.unpack().map_err(|why| {
        let why = format!("the signature is over the unpacked body: {why}");
        Refusal::new(RefusalKind::Undecodable, why)
    })?;
    let handshakes = &group.function.protocol.handshakes;
    let asked = |unverified: bool| {
        handshakes
            .iter()
            .zip(&group.handshake_keys)
            .find(|(one, _)| {
                one.unverified == unverified && one.when.holds(&request, Around::default())
            })
    };
    if let Some((shake, secrets)) = asked(true) {
        let shaken = handshake::answer(group, shake, secrets, &request, None)?;
        return Ok(Proven::Handshake(shaken));
    }
    let accepted = match accept(group, &request, keys, now) {
        Ok(accepted) => accepted,
        Err(Failed::Refused(refusal)) => {
            return Err(Unproven::Refused(Box::new(Refused {
                refusal,
                callback: Some(request.into_callback()),
            })));
        }
        Err(Failed::NeedsKey(source)) => {
            return Err(Unproven::NeedsKey(Box::new(Needed {
                source: *source,
                callback: request.into_callback(),
            })));
        }
    };
    if let Some((shake, secrets)) = asked(false) {
        if shake.leaves_something() {
            crate::extract::check_account_of(group, &request, &accepted.coverage)?;
        }
        let signed_with = accepted.key.map(|key| &*key.name);
        let shaken = handshake::answer(group, shake, secrets, &request, signed_with)?;
        return Ok(Proven::Handshake(shaken));
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
    keys: &dyn Keys,
    now: Timestamp,
) -> Result<Accepted<'a>, Failed> {
    let schemes = &group.function.protocol.schemes;
    let chosen = chosen(group, request);
    // Without any secret there is nothing to check, and the group says that this is fine. With one, everything must verify: the
    // sender doesn't get to choose.
    let open = group.accept_unsigned && !group.has_secret;
    let Some((scheme, keyed)) = chosen else {
        if open {
            return Ok(unsigned());
        }
        let names: Vec<&str> = schemes.iter().map(|scheme| scheme.name.as_str()).collect();
        let names = names.join(", ");
        return Err(signature_refusal(format!(
            "none of the schemes applies to this request: {names}"
        ))
        .into());
    };
    let asked = Asked {
        group,
        scheme,
        keyed,
        request,
        urls: &group.urls,
        keys,
        now,
        depth: Depth::All,
    };
    let accepted = match &scheme.proof {
        Proof::Unsigned if open => Ok(unsigned()),
        Proof::Unsigned if group.has_secret => Err(signature_refusal(
            "it is not signed, and the group has a secret, so that what isn't signed is refused",
        )),
        Proof::Unsigned => Err(signature_refusal(
            "the provider signs nothing; set acceptUnsigned to take it all the same",
        )),
        _ if open => match carried(scheme, keyed, request) {
            None => Ok(unsigned()),
            Some(place) => Err(signature_refusal(format!(
                "{place} is there, but the group has no secret to check it with; add the signature secret"
            ))),
        },
        _ if lacks_keys(scheme, keyed) => Err(signature_refusal(format!(
            "no secret of the group fits scheme `{}`",
            scheme.name
        ))),
        _ => return prove(&asked),
    };
    accepted.map_err(Failed::Refused)
}

/// The scheme that a request must verify under: the first whose condition holds.
pub(crate) fn chosen<'g>(
    group: &'g Group,
    request: &Request,
) -> Option<(&'g Scheme, &'g KeyedScheme)> {
    let schemes = group.function.protocol.schemes.iter();
    schemes.zip(&group.keyed).find(|(scheme, _)| {
        scheme
            .when
            .as_ref()
            .is_none_or(|when| when.holds(request, Around::default()))
    })
}

/// Under the scheme's own proof. What signs nothing proves nothing.
pub(crate) fn prove<'g>(asked: &Asked<'g, '_>) -> Result<Accepted<'g>, Failed> {
    let Asked {
        scheme,
        keyed,
        request,
        ..
    } = *asked;
    let accepted = match &scheme.proof {
        Proof::Token(one) => token::token(one, scheme, keyed, request),
        Proof::Basic { .. } => token::basic(scheme, keyed, request),
        Proof::Hmac(hash) | Proof::Digest(hash) => keyed::hashed(asked, hash),
        Proof::PublicKey(signature) => return public_key::verify(asked, signature),
        Proof::Jwt(token) => return web_token::verify(asked, token),
        Proof::Unsigned => Err(signature_refusal("it is not signed")),
    };
    accepted.map_err(Failed::Refused)
}

/// True when the group has no key for this scheme.
pub(crate) fn lacks_keys(scheme: &Scheme, keyed: &KeyedScheme) -> bool {
    match &scheme.proof {
        Proof::PublicKey(signature) => lacks_public(&signature.keys, keyed),
        Proof::Jwt(token) => match &token.keys {
            TokenKeys::Shared(_) => keyed.keys.is_empty(),
            TokenKeys::Public(keys) => lacks_public(keys, keyed),
            TokenKeys::Chain { .. } => false,
        },
        _ => keyed.keys.is_empty(),
    }
}

fn lacks_public(keys: &KeyPlace, keyed: &KeyedScheme) -> bool {
    matches!(keys, KeyPlace::Pasted(_)) && keyed.public.is_empty()
}

/// Where this scheme's credential is, if the request has one.
pub(crate) fn carried(scheme: &Scheme, keyed: &KeyedScheme, request: &Request) -> Option<String> {
    let is_there = |location: &&Location| {
        !matches!(
            request.read(location, Around::default()),
            Err(Missing::Absent)
        )
    };
    let found = match &scheme.proof {
        Proof::Hmac(hash) | Proof::Digest(hash) => hash.carrier.locations().find(is_there),
        Proof::PublicKey(signature) => signature.carrier.locations().find(is_there),
        Proof::Jwt(token) => Some(&token.place).filter(is_there),
        Proof::Token(token) => match (&token.place, &keyed.token) {
            (TokenPlace::Everywhere(pattern), _) => {
                let (Payload::Json(json) | Payload::FormJson(_, json)) = request.payload() else {
                    return None;
                };
                return token::is_there(pattern, json).then(|| "a token in the body".to_owned());
            }
            (_, Some(named)) => Some(named).filter(is_there),
            (TokenPlace::At(location), None) => Some(location).filter(is_there),
        },
        Proof::Basic { .. } => {
            return request
                .callback
                .headers
                .contains_key(http::header::AUTHORIZATION)
                .then(|| "header authorization".to_owned());
        }
        Proof::Unsigned => None,
    };
    found.map(Location::describe)
}

/// With a public key. `name`: the secret that it was pasted as.
fn accepted_public(name: Option<Arc<str>>, scheme: &Scheme) -> Accepted<'static> {
    Accepted {
        secret: name,
        key: None,
        coverage: scheme.coverage.clone(),
        unsigned: false,
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
