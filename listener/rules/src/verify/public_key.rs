//! Signatures under a public key: pasted, or fetched.

use std::sync::Arc;

use super::asked::Asked;
use super::signature::{self, Sent, refuse};
use super::{Accepted, Failed, accepted_public, signature_refusal};
use crate::connector::{KeyPlace, PublicKeySignature};
use crate::public::{Algorithm, Content, PublicKey, RemoteKeys, Signing, candidates};
use crate::request::Around;
use crate::{KeySet, KeySource, Refusal};

/// Verifications for one request. One takes up to a tenth of a millisecond, and a forger gets all of them done for nothing.
const MAX_TRIES: usize = 64;

/// The key that a signature was found to be of.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The secret that it was pasted as.
    pub(super) name: Option<Arc<str>>,
}

pub(super) fn verify<'g>(
    asked: &Asked<'g, '_>,
    scheme: &'g PublicKeySignature,
) -> Result<Accepted<'g>, Failed> {
    let sent = signature::read(&scheme.carrier, None, asked.request)?;
    let around = Around {
        sig: &sent.fields,
        ..Around::default()
    };
    let time = asked.time_text(around)?;
    asked.refuse_uncovered_body()?;
    let around = Around {
        timestamp: time.as_deref(),
        ..around
    };
    let mut last = None;
    for place in asked.places(around)? {
        let contents = contents(asked, scheme, place)?;
        let Sent { signatures, .. } = &sent;
        match find(
            asked,
            &scheme.keys,
            None,
            scheme.algorithm,
            &contents,
            signatures,
            place,
        ) {
            Ok(found) => {
                asked.check_time(time.as_deref())?;
                asked.check_equalities(place)?;
                return Ok(accepted_public(found.name, asked.scheme));
            }
            Err(Failed::Refused(refusal)) => last = Some(refusal),
            Err(needed) => return Err(needed),
        }
    }
    Err(last.unwrap_or_else(|| asked.no_match("key", 0)).into())
}

/// What may have been signed. What can't be put together is not, if there is another.
fn contents(
    asked: &Asked<'_, '_>,
    scheme: &PublicKeySignature,
    place: Around<'_>,
) -> Result<Vec<Content>, Refusal> {
    let mut contents = Vec::new();
    let mut unfilled = None;
    for template in scheme.contents() {
        let mut signing = Signing::start(scheme.algorithm);
        match asked
            .request
            .render(template, place, &mut |bytes| signing.update(bytes))
        {
            Ok(()) => contents.push(signing.finish()),
            Err((missing, why)) => {
                unfilled.get_or_insert_with(|| refuse(&missing, why));
            }
        }
    }
    match unfilled {
        Some(refusal) if contents.is_empty() => Err(refusal),
        _ => Ok(contents),
    }
}

/// The key under which one of the signatures is of one of the contents. `id`: what a token's header calls it.
pub(super) fn find(
    asked: &Asked<'_, '_>,
    keys: &KeyPlace,
    id: Option<&str>,
    algorithm: Algorithm,
    contents: &[Content],
    signatures: &[Vec<u8>],
    around: Around<'_>,
) -> Result<Found, Failed> {
    match keys {
        KeyPlace::Pasted(_) => {
            let keys = candidates(&asked.keyed.public, id).ok_or_else(|| {
                signature_refusal("none of the group's keys has the name that the token gives")
            })?;
            let found = search(&keys, algorithm, contents, signatures)?;
            found.ok_or_else(|| asked.no_match("public key", keys.len()).into())
        }
        KeyPlace::Remote(remote) => {
            fetched(asked, remote, id, algorithm, contents, signatures, around)
        }
    }
}

fn fetched(
    asked: &Asked<'_, '_>,
    remote: &RemoteKeys,
    id: Option<&str>,
    algorithm: Algorithm,
    contents: &[Content],
    signatures: &[Vec<u8>],
    around: Around<'_>,
) -> Result<Found, Failed> {
    let source = remote.source(asked.request, around)?;
    let named = key_id(asked, remote, around)?;
    let id = named.as_deref().or(id);
    let set: Arc<KeySet> = match asked.keys.get(&source) {
        Some(set) => set,
        None => return Err(Failed::needs(source)),
    };
    let may_be_replaced = set.may_be_replaced(asked.now);
    if let Err(why) = set.check(asked.now) {
        if may_be_replaced {
            return Err(Failed::needs(source));
        }
        return Err(signature_refusal(format!("the key at {source}: {why}")).into());
    }
    let Some(keys) = set.candidates(id) else {
        return Err(Failed::needs(source));
    };
    match search(&keys, algorithm, contents, signatures)? {
        Some(found) => Ok(found),
        // A key without a name may have been replaced since it was fetched.
        None if may_be_replaced && keys.iter().any(|key| key.id.is_none()) => {
            Err(Failed::needs(source))
        }
        None => Err(signature_refusal(format!("no key at {source} matched")).into()),
    }
}

fn key_id(
    asked: &Asked<'_, '_>,
    remote: &RemoteKeys,
    around: Around<'_>,
) -> Result<Option<String>, Refusal> {
    let Some(location) = &remote.key_id else {
        return Ok(None);
    };
    match asked.request.read(location, around) {
        Ok(id) => Ok(Some(id.into_owned())),
        Err(missing) => Err(refuse(&missing, missing.explain(location))),
    }
}

fn search(
    keys: &[&PublicKey],
    algorithm: Algorithm,
    contents: &[Content],
    signatures: &[Vec<u8>],
) -> Result<Option<Found>, Refusal> {
    let keys = keys.iter().filter(|key| key.algorithm == algorithm);
    let mut tries = 0;
    for key in keys {
        for content in contents {
            for signature in signatures {
                tries += 1;
                if tries > MAX_TRIES {
                    return Err(signature_refusal(format!(
                        "nothing matched in {MAX_TRIES} tries: there are more keys or signatures than are looked at"
                    )));
                }
                if key.signed(content, signature) {
                    return Ok(Some(Found {
                        name: key.name.clone(),
                    }));
                }
            }
        }
    }
    Ok(None)
}

impl Failed {
    fn needs(source: KeySource) -> Self {
        Self::NeedsKey(Box::new(source))
    }
}

#[cfg(test)]
mod tests;
