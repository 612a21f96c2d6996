//! The doctor: why a callback was likely refused, told by trying what usually goes wrong.
//!
//! ```text
//!  refused ─▶ is the signature there? ─▶ does it fit, but for the time or a value? ─▶ trials, one thing altered in each ─▶ Diagnosis
//!                  signature                          time                      signature · scheme · secret · body · url
//! ```
//!
//! Guarantees: nothing here makes a request genuine; a conclusion holds no secret, no signature, no path and nothing of a body; what is
//! tried is bounded in number and in bytes, and ends as soon as the caller says so.

mod body;
mod cause;
mod json;
mod scheme;
mod secret;
mod signature;
#[cfg(test)]
mod tests;
mod time;
mod trial;
mod url;

use std::sync::Arc;

use bytes::Bytes;

pub use cause::{Cause, Diagnosis};
pub use trial::Effort;

use crate::connector::{KeyPlace, Proof, TokenKeys};
use crate::location::Location;
use crate::payload::Json;
use crate::request::{Around, Missing, Request};
use crate::template::Template;
use crate::verify::{carried, chosen, lacks_keys};
use crate::{Callback, Group, Keys, RefusalKind, Timestamp};

use trial::{Altered, Patient, Trials};

/// A refused callback, and how it is looked at.
pub struct Visit<'a> {
    /// As it came.
    pub callback: &'a Callback,
    /// The clause that refused it.
    pub clause: RefusalKind,
    /// Public keys that were fetched.
    pub keys: &'a dyn Keys,
    /// When it came.
    pub now: Timestamp,
    /// How much may be tried.
    pub effort: Effort,
    /// Asked before each trial: false ends them.
    pub go_on: &'a mut dyn FnMut() -> bool,
}

/// Without what came.
impl std::fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit")
            .field("callback", &self.callback)
            .field("clause", &self.clause)
            .field("effort", &self.effort)
            .finish_non_exhaustive()
    }
}

pub(crate) fn diagnose(group: &Group, visit: Visit<'_>) -> Diagnosis {
    let Visit {
        callback,
        clause,
        keys,
        now,
        effort,
        go_on,
    } = visit;
    let is_large = callback.body.len() > effort.body_bytes();
    let mut looked_at = callback.clone();
    if is_large {
        looked_at.body = Bytes::new();
    }
    let mut request = Request::new(looked_at.clone(), Arc::clone(&group.decoding));
    // A body that doesn't unpack is looked at as it came.
    let _ = request.unpack();
    let mut trials = Trials::new(keys, effort, go_on);
    trials.ended = is_large;
    let Some((scheme, keyed)) = chosen(group, &request) else {
        return without_scheme(group, callback, &request, now, &mut trials, is_large);
    };
    let patient = Patient {
        group,
        scheme,
        keyed,
        callback: &looked_at,
        now,
    };
    if clause == RefusalKind::Timestamp {
        return time::examine(patient, time_text(patient, &request).as_deref());
    }
    if matches!(scheme.proof, Proof::Unsigned) || lacks_keys(scheme, keyed) {
        return without_key(patient, &request, &mut trials);
    }
    let places = signature::places(scheme, keyed);
    // Of a large body nothing was read.
    let can_tell = !is_large || places.iter().all(|place| !is_in_body(place));
    if can_tell && signature::is_missing(&places, &request) {
        return scheme::examine(patient, &request, &mut trials)
            .or_else(|| signature::elsewhere(patient, true, &mut trials))
            .unwrap_or_else(|| missing(&places));
    }
    if let Some(found) = token_header(patient, &request) {
        return found;
    }
    if !is_large && let Some(found) = body::length(patient) {
        return found;
    }
    present(patient, &request, &mut trials)
}

/// The signature is there.
fn present(patient: Patient<'_>, request: &Request, trials: &mut Trials<'_>) -> Diagnosis {
    if trials.fits(patient, Altered::default()).is_some() {
        return time::examine(patient, time_text(patient, request).as_deref());
    }
    let alone = Altered {
        signature_alone: true,
        ..Altered::default()
    };
    if trials.fits(patient, alone).is_some() {
        return body::examine(patient, trials)
            .or_else(|| url::examine(patient, trials))
            .unwrap_or_else(|| {
                Diagnosis::new(
                    Cause::SignedValue,
                    "the signature fits, and a value that it covers is not what it must be: it is for another account, audience or URL, or \
                     the body was changed; the reason says which value",
                )
            });
    }
    if let Some(part) = missing_part(patient, request) {
        return signature::elsewhere(patient, false, trials).unwrap_or_else(|| {
            Diagnosis::new(
                Cause::SignedPartMissing,
                format!(
                    "{part} is missing, and it is part of what is signed: a proxy left it out, or another program sends this"
                ),
            )
        });
    }
    signature::written(patient, request, trials)
        .or_else(|| secret::user_name(patient, trials))
        .or_else(|| scheme::examine(patient, request, trials))
        .or_else(|| secret::examine(patient, trials))
        .or_else(|| body::examine(patient, trials))
        .or_else(|| url::examine(patient, trials))
        .or_else(|| signature::hash_function(patient, trials))
        .or_else(|| signature::elsewhere(patient, false, trials))
        .unwrap_or_else(|| nothing_helps(patient, trials))
}

fn nothing_helps(patient: Patient<'_>, trials: &Trials<'_>) -> Diagnosis {
    if trials.ended {
        return Diagnosis::new(
            Cause::Undetermined,
            "not everything was tried, since the body is large or the time for it was up; `hookplane explain --request` looks at a captured \
             request for longer",
        );
    }
    if secret::rule(patient.scheme).is_none() {
        return Diagnosis::new(
            Cause::PublicKeyUnknown,
            "no usual mistake with the body or the URL explains it: the public key is likely another account's or environment's (sandbox and \
             live keys look alike, so that can't be told from here), or the request is forged",
        );
    }
    Diagnosis::new(
        Cause::SecretUnknown,
        "no form of the group's secrets fits, and no usual mistake with the body or the URL explains it: the secret is likely that of another \
         endpoint, app or environment, or the request is forged. Copy the secret that the provider shows for this very URL",
    )
}

/// The value at the signed time's location. A token's own times are told by the token.
fn time_text(patient: Patient<'_>, request: &Request) -> Option<String> {
    let time = patient.scheme.timestamp.as_ref()?;
    let sent = match &patient.scheme.proof {
        Proof::Hmac(hash) | Proof::Digest(hash) => {
            let bytes = Some(hash.hash.output_bytes());
            crate::verify::signature::read(&hash.carrier, bytes, request).ok()
        }
        Proof::PublicKey(signature) => {
            crate::verify::signature::read(&signature.carrier, None, request).ok()
        }
        _ => None,
    };
    let sent = sent.unwrap_or_default();
    let around = Around {
        sig: &sent.fields,
        ..Around::default()
    };
    let text = request.read(&time.location, around).ok()?;
    Some(text.into_owned())
}

fn is_in_body(place: &Location) -> bool {
    !matches!(place.base(), Location::Header(_) | Location::Query(_))
}

/// No scheme is for a request like this.
fn without_scheme(
    group: &Group,
    callback: &Callback,
    request: &Request,
    now: Timestamp,
    trials: &mut Trials<'_>,
    is_large: bool,
) -> Diagnosis {
    let schemes = group.function.protocol.schemes.iter().zip(&group.keyed);
    let mut first = None;
    for (scheme, keyed) in schemes {
        let patient = Patient {
            group,
            scheme,
            keyed,
            callback,
            now,
        };
        first.get_or_insert(patient);
        if trials.fits(patient, Altered::default()).is_some() {
            return Diagnosis::new(
                Cause::AnotherScheme,
                format!(
                    "it verifies under scheme `{}`, and lacks what tells that it is of that scheme: something removed a header or a field",
                    scheme.name
                ),
            );
        }
    }
    if let Some(patient) = first {
        let found = scheme::examine(patient, request, trials)
            .or_else(|| signature::elsewhere(patient, true, trials));
        if let Some(found) = found {
            return found;
        }
    }
    if is_large {
        return Diagnosis::new(
            Cause::Undetermined,
            "the body is too large to be looked at here; `hookplane explain --request` looks at a captured request",
        );
    }
    Diagnosis::new(
        Cause::SignatureMissing,
        "nothing in the request is a signature of this connector: the sender doesn't sign, a proxy left the header out, or the group is of \
         another connector",
    )
}

/// There is nothing to verify with.
fn without_key(patient: Patient<'_>, request: &Request, trials: &mut Trials<'_>) -> Diagnosis {
    if let Some(found) = scheme::examine(patient, request, trials) {
        return found;
    }
    let scheme = &patient.scheme.name;
    let wants_public = match &patient.scheme.proof {
        Proof::PublicKey(signature) => matches!(signature.keys, KeyPlace::Pasted(_)),
        Proof::Jwt(token) => matches!(token.keys, TokenKeys::Public(KeyPlace::Pasted(_))),
        _ => false,
    };
    if matches!(patient.scheme.proof, Proof::Unsigned) {
        return Diagnosis::new(
            Cause::SignatureMissing,
            "it is not signed: set the secret at the provider as well, or a proxy left the signature out",
        );
    }
    let advice = if carried(patient.scheme, patient.keyed, request).is_none() {
        format!(
            "the group has no secret for scheme `{scheme}`, and the request has no signature of it: see that both ends are set up for one \
             scheme"
        )
    } else if wants_public {
        format!(
            "none of the group's secrets is a public key of scheme `{scheme}`: a key of another algorithm doesn't do; paste the one that the \
             provider shows for webhooks"
        )
    } else {
        format!(
            "none of the group's secrets is a key of scheme `{scheme}`: add the provider's signature secret"
        )
    };
    Diagnosis::new(Cause::NoSecret, advice)
}

fn missing(places: &[&Location]) -> Diagnosis {
    let places: Vec<String> = places.iter().map(|place| place.describe()).collect();
    Diagnosis::new(
        Cause::SignatureMissing,
        format!(
            "{} is missing, and nothing like it is there: no secret is set at the provider, a proxy left it out, or it isn't the provider who \
             sends this",
            places.join(" or ")
        ),
    )
}

/// What else is signed, and isn't there.
fn missing_part(patient: Patient<'_>, request: &Request) -> Option<String> {
    let contents: Vec<&Template> = match &patient.scheme.proof {
        Proof::Hmac(hash) | Proof::Digest(hash) => hash.contents().collect(),
        Proof::PublicKey(signature) => signature.contents().collect(),
        _ => Vec::new(),
    };
    let time = patient.scheme.timestamp.as_ref().map(|time| &time.location);
    let is_absent = |place: &&Location| {
        !matches!(place.base(), Location::Sig(_) | Location::Url)
            && request.read(place, Around::default()) == Err(Missing::Absent)
    };
    if let Some(time) = time.filter(is_absent) {
        return Some(time.describe());
    }
    // One that can be put together is enough.
    let mut part = None;
    for content in contents {
        match content.required().into_iter().find(is_absent) {
            None => return None,
            Some(place) => part = part.or_else(|| Some(place.describe())),
        }
    }
    part
}

/// What a token says of itself, before anybody believes it.
fn token_header(patient: Patient<'_>, request: &Request) -> Option<Diagnosis> {
    let Proof::Jwt(token) = &patient.scheme.proof else {
        return None;
    };
    let value = request.read(&token.place, Around::default()).ok()?;
    let value = value.strip_prefix(token.prefix.as_str())?;
    let header = value.split('.').next()?;
    let header = crate::encoding::any_base64(header)?;
    let header = Json::validate(header.into()).ok()?;
    let named = |name: &str| header.scalar_at(&[name.to_owned()]);
    let algorithm = named("alg")?;
    if !token.algorithms.iter().any(|one| one.name == algorithm) {
        let known: Vec<&str> = token.algorithms.iter().map(|one| one.name).collect();
        return Some(Diagnosis::new(
            Cause::TokenAlgorithm,
            format!(
                "the token says that it is signed with another algorithm than this provider's ({}): another program sends this, or the \
                 provider is set to another kind of key",
                known.join(", ")
            ),
        ));
    }
    let is_unknown = matches!(token.keys, TokenKeys::Public(KeyPlace::Pasted(_)))
        && crate::public::candidates(&patient.keyed.public, named("kid").as_deref()).is_none();
    is_unknown.then(|| {
        Diagnosis::new(
            Cause::KeyUnknown,
            "the token names a key that is not among the group's: the provider has changed its keys, or these are of another environment; \
             paste the keys that it publishes now",
        )
    })
}
