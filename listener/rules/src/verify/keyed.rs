//! Hashes under the group's keys: HMACs, and plain hashes with the secret in what is hashed.

use super::asked::{Asked, Depth};
use super::keys::{Key, same};
use super::signature::{self, Sent, refuse};
use super::{Accepted, accepted, signature_refusal};
use crate::connector::{KeyedHash, Proof, Scheme};
use crate::group::KeyedScheme;
use crate::payload::Payload;
use crate::request::{Around, Request};
use crate::{Refusal, RefusalKind};

/// Accepts a request whose signature is made with one of the group's keys, whose time is within the window, and whose further
/// equalities hold.
pub(super) fn hashed<'g>(asked: &Asked<'g, '_>, hash: &KeyedHash) -> Result<Accepted<'g>, Refusal> {
    let Asked {
        scheme,
        keyed,
        request,
        ..
    } = *asked;
    let sent = signature::read(&hash.carrier, Some(hash.hash.output_bytes()), request)?;
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
    let places = asked.places(around)?;
    let Some((key, place)) = matching(scheme, hash, keyed, &sent, &places, request)? else {
        return Err(asked.no_match("secret", keyed.keys.len()));
    };
    asked.check_time(time.as_deref())?;
    // Asked in this order: no other scheme has the body decoded here.
    if matches!(scheme.proof, Proof::Digest(_))
        && !request.callback.body.is_empty()
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
    asked.check_equalities(place)?;
    if asked.depth == Depth::All {
        refuse_mimics(asked, hash, place)?;
    }
    accepted(Some(key), scheme, keyed)
}

/// The key and the place with which one of the contents has one of the signatures.
fn matching<'a, 'p>(
    scheme: &Scheme,
    hash: &KeyedHash,
    keyed: &'a KeyedScheme,
    sent: &Sent,
    places: &[Around<'p>],
    request: &Request,
) -> Result<Option<(&'a Key, Around<'p>)>, Refusal> {
    // A content that can't be put together is not the one that was signed, if there is another.
    let mut unfilled = None;
    let mut is_tried = false;
    for key in &keyed.keys {
        for place in places {
            for content in hash.contents() {
                let mut state = key.start(&scheme.proof).ok_or_else(|| {
                    signature_refusal(
                        "the secret is no key of this scheme: please report this as a bug",
                    )
                })?;
                let around = Around {
                    secret: Some(key.bytes()),
                    ..*place
                };
                if let Err((missing, why)) =
                    request.render(content, around, &mut |bytes| state.update(bytes))
                {
                    unfilled.get_or_insert_with(|| refuse(&missing, why));
                    continue;
                }
                is_tried = true;
                let expected = state.finish();
                let fits = sent
                    .signatures
                    .iter()
                    .fold(false, |fits, one| fits | same(one, &expected));
                if fits {
                    return Ok(Some((key, *place)));
                }
            }
        }
    }
    match unfilled {
        Some(refusal) if !is_tried => Err(refusal),
        _ => Ok(None),
    }
}

/// Risk 35: a signature that a handshake may have made for whoever asked proves nothing.
fn refuse_mimics(
    asked: &Asked<'_, '_>,
    hash: &KeyedHash,
    place: Around<'_>,
) -> Result<(), Refusal> {
    let mimicked = asked.group.function.mimicked.iter();
    for mimicked in mimicked.filter(|mimicked| mimicked.concerns(asked.scheme)) {
        let most = mimicked.max_bytes();
        for content in hash.contents() {
            let mut made = Vec::new();
            let filled = asked.request.render(content, place, &mut |bytes| {
                // One byte too many is enough to know.
                let room = (most + 1).saturating_sub(made.len());
                made.extend_from_slice(&bytes[..bytes.len().min(room)]);
            });
            if filled.is_ok() && mimicked.could_be(&made) {
                return Err(signature_refusal(format!(
                    "the signature matched, but what is signed could be a challenge of handshake `{}`, which is signed for whoever asks",
                    mimicked.handshake
                )));
            }
        }
    }
    Ok(())
}
