//! JSON Web Tokens (RFC 7519) in their compact form (RFC 7515), read by the definition and never by what the token says of itself.
//!
//! ```text
//!  header.payload.signature ─▶ bounds ─▶ alg among the definition's ─▶ key ─▶ signature ─▶ exp, nbf, iat ─▶ claims
//! ```
//!
//! Guarantees (risk 36): there is no `none`; the family of algorithms decides what a key is, so that a public key is never a shared
//! secret; no key, URL or certificate that a token brings is believed but one under the definition's root; extensions that nobody here
//! knows are refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hookplane_proto::v1::PayloadFormat;

use super::asked::{Asked, Depth};
use super::hash::MacState;
use super::keys::{Key, fingerprint, same};
use super::public_key::{self, Found};
use super::signature::refuse;
use super::{Accepted, Failed, accepted, accepted_public, signature_refusal};
use crate::connector::{
    ClaimRule, Detached, HashKind, ObjectIdentifier, TokenKeys, TokenKind, WebToken,
};
use crate::encoding::BASE64;
use crate::location::Location;
use crate::payload::{Decoded, Json, Kind, Payload, kind};
use crate::public::formats;
use crate::public::{Algorithm, Certificate, Content, MAX_CHAIN, Root, Signing};
use crate::request::Around;
use crate::{Refusal, RefusalKind, Timestamp};

/// The longest token that isn't in the body, in bytes. In the body its limit is the body's.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// The longest header, decoded. With a chain of certificates there is more in it.
const MAX_HEADER_BYTES: usize = 4 * 1024;
const MAX_HEADER_BYTES_WITH_CHAIN: usize = 16 * 1024;
/// The longest signature, decoded: that of 8,192 bits of RSA.
const MAX_SIGNATURE_BYTES: usize = 1_024;
/// Values of a claim that is a list.
const MAX_CLAIM_VALUES: usize = 64;

/// What a verified token says.
pub(crate) struct Said {
    pub(crate) header: Json,
    /// None where the payload is no JSON but something of the request.
    pub(crate) claims: Option<Json>,
    /// The claims as a body that is decoded, where they are the payload.
    pub(crate) payload: Option<Decoded>,
}

impl Said {
    pub(crate) fn new(header: Json, claims: Option<Json>, is_payload: bool) -> Self {
        let payload = claims.clone().filter(|_| is_payload);
        Self {
            header,
            claims,
            payload: payload.map(|claims| Decoded {
                payload: Payload::Json(claims),
                format: PayloadFormat::Json,
            }),
        }
    }
}

/// A token taken apart, unverified.
struct Parts<'t> {
    header: Json,
    kind: TokenKind,
    key_id: Option<String>,
    /// In base64url, as it came.
    header_text: &'t str,
    payload_text: &'t str,
    signature: Vec<u8>,
}

/// Who signed it.
enum Signer<'g> {
    Shared(&'g Key),
    Public(Found),
}

pub(super) fn verify<'g>(
    asked: &Asked<'g, '_>,
    token: &'g WebToken,
) -> Result<Accepted<'g>, Failed> {
    let value = asked
        .request
        .read(&token.place, Around::default())
        .map_err(|missing| refuse(&missing, missing.explain(&token.place)))?;
    let parts = take_apart(token, &value)?;
    asked.refuse_uncovered_body()?;
    // What the token itself says of the time is read when it is believed.
    let is_told_by_token =
        asked.scheme.timestamp.as_ref().is_some_and(|time| {
            matches!(time.location.base(), Location::Jwt(_) | Location::Jws(_))
        });
    let around = Around {
        jws: Some(&parts.header),
        ..Around::default()
    };
    let time = match is_told_by_token {
        true => None,
        false => asked.time_text(around)?,
    };
    let around = Around {
        timestamp: time.as_deref(),
        ..around
    };
    let places = asked.places(around)?;
    let (signer, claims) = match &token.detached {
        None => {
            let signer = signer(asked, token, &parts, parts.payload_text.as_bytes(), around)?;
            let claims = decode(parts.payload_text).map_err(|why| {
                let reason = format!("the token's signature matched, but its payload {why}");
                Refusal::new(RefusalKind::Undecodable, reason)
            })?;
            (signer, Some(claims))
        }
        Some(detached) => (
            detached_signer(asked, token, detached, &parts, &places)?,
            None,
        ),
    };
    if let Some(claims) = &claims
        && asked.depth == Depth::All
    {
        check_times(token, claims, asked.now)?;
    }
    let place = match &claims {
        _ if asked.depth == Depth::SignatureAlone => around,
        Some(claims) => check_claims(asked, token, claims, &places)?,
        None => around,
    };
    asked.request.believe(parts.header.clone(), claims);
    if is_told_by_token {
        asked.check_time(asked.time_text(Around::default())?.as_deref())?;
    } else {
        asked.check_time(time.as_deref())?;
    }
    asked.check_equalities(place)?;
    match signer {
        Signer::Shared(key) => Ok(accepted(Some(key), asked.scheme, asked.keyed)?),
        Signer::Public(found) => Ok(accepted_public(found.name, asked.scheme)),
    }
}

fn take_apart<'t>(token: &WebToken, value: &'t str) -> Result<Parts<'t>, Refusal> {
    let place = || token.place.describe();
    let wrong = |why: &str| signature_refusal(format!("{} holds no token: {why}", place()));
    let is_in_body = !matches!(token.place.base(), Location::Header(_) | Location::Query(_));
    if !is_in_body && value.len() > MAX_TOKEN_BYTES {
        return Err(wrong(&format!("it is longer than {MAX_TOKEN_BYTES} bytes")));
    }
    let value = value.strip_prefix(token.prefix.as_str()).ok_or_else(|| {
        signature_refusal(format!(
            "{} does not begin with `{}`",
            place(),
            token.prefix
        ))
    })?;
    // A body may end in a line feed.
    let value = if token.place == Location::Body {
        value.trim_ascii_end()
    } else {
        value
    };
    let mut pieces = value.splitn(4, '.');
    let (Some(header_text), Some(payload_text), Some(signature), None) =
        (pieces.next(), pieces.next(), pieces.next(), pieces.next())
    else {
        return Err(wrong("one is three parts with dots between them"));
    };
    if payload_text.is_empty() != token.detached.is_some() {
        return Err(wrong(if payload_text.is_empty() {
            "its payload is missing"
        } else {
            "it has a payload, and what is signed is the request itself"
        }));
    }
    let most = match token.keys {
        TokenKeys::Chain { .. } => MAX_HEADER_BYTES_WITH_CHAIN,
        _ => MAX_HEADER_BYTES,
    };
    // Four characters of base64 for three bytes.
    if header_text.len() / 4 * 3 > most {
        return Err(wrong("its header is too long"));
    }
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .ok()
        .filter(|bytes| !bytes.is_empty() && bytes.len() <= MAX_SIGNATURE_BYTES)
        .ok_or_else(|| wrong("its signature is missing or no base64url"))?;
    let header = decode(header_text).map_err(|why| wrong(&format!("its header {why}")))?;
    let kind = algorithm(token, &header)?;
    check_extensions(token, &header)?;
    let key_id = match header.at(&one("kid")) {
        None => None,
        Some(_) => Some(
            header
                .scalar_at(&one("kid"))
                .ok_or_else(|| wrong("its `kid` is no text"))?,
        ),
    };
    Ok(Parts {
        kind,
        key_id,
        header,
        header_text,
        payload_text,
        signature,
    })
}

/// A JSON object in base64url.
fn decode(text: &str) -> Result<Json, String> {
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| "is no base64url".to_owned())?;
    let json = Json::validate(Bytes::from(bytes))?;
    if kind(json.text().trim_ascii_start()) == Kind::Object {
        Ok(json)
    } else {
        Err("is no JSON object".to_owned())
    }
}

fn one(name: &str) -> [String; 1] {
    [name.to_owned()]
}

/// Risk 36: the sender names one of the definition's, or is refused.
fn algorithm(token: &WebToken, header: &Json) -> Result<TokenKind, Refusal> {
    let named = header.scalar_at(&one("alg")).unwrap_or_default();
    let found = token.algorithms.iter().find(|one| one.name == named);
    found.map(|found| found.kind).ok_or_else(|| {
        let names: Vec<&str> = token.algorithms.iter().map(|one| one.name).collect();
        signature_refusal(format!(
            "the token's algorithm is not one of this provider's: {}",
            names.join(", ")
        ))
    })
}

/// `crit` says what must be understood. Nothing is but that the payload is not in base64url, where the definition says so too.
fn check_extensions(token: &WebToken, header: &Json) -> Result<(), Refusal> {
    let raw = token.detached.as_ref().is_some_and(|detached| detached.raw);
    let fits = match header.at(&one("b64")) {
        None => true,
        Some(text) => text == if raw { "false" } else { "true" },
    };
    let known = match header.at(&one("crit")) {
        None => true,
        Some(_) => header.items_at(&one("crit")).is_some_and(|list| {
            list.iter()
                .all(|item| raw && item.scalar_at(&[]).as_deref() == Some("b64"))
        }),
    };
    if fits && known {
        Ok(())
    } else {
        Err(signature_refusal(
            "the token's header asks for an extension that this provider's tokens don't have",
        ))
    }
}

/// Who signed the header with the payload that the request makes, with one of the forms of the URL where it is part of it.
fn detached_signer<'g>(
    asked: &Asked<'g, '_>,
    token: &WebToken,
    detached: &Detached,
    parts: &Parts<'_>,
    places: &[Around<'_>],
) -> Result<Signer<'g>, Failed> {
    let mut last = None;
    for place in places {
        let payload = asked
            .request
            .rendered(&detached.payload, *place)
            .map_err(|(missing, why)| refuse(&missing, why))?;
        let payload = if detached.raw {
            payload
        } else {
            URL_SAFE_NO_PAD.encode(payload).into_bytes()
        };
        match signer(asked, token, parts, &payload, *place) {
            Err(Failed::Refused(refusal)) => last = Some(refusal),
            signed_or_needed => return signed_or_needed,
        }
    }
    Err(last.unwrap_or_else(|| asked.no_match("key", 0)).into())
}

/// Who signed the header with this payload.
fn signer<'g>(
    asked: &Asked<'g, '_>,
    token: &WebToken,
    parts: &Parts<'_>,
    payload: &[u8],
    around: Around<'_>,
) -> Result<Signer<'g>, Failed> {
    let pieces = [parts.header_text.as_bytes(), b".", payload];
    let signature = std::slice::from_ref(&parts.signature);
    match (parts.kind, &token.keys) {
        (TokenKind::Shared(hash), TokenKeys::Shared(_)) => Ok(Signer::Shared(shared(
            asked,
            hash,
            &parts.signature,
            pieces,
        )?)),
        (TokenKind::Public(algorithm), TokenKeys::Public(keys)) => {
            let contents = [content(algorithm, pieces)];
            let id = parts.key_id.as_deref();
            let found = public_key::find(asked, keys, id, algorithm, &contents, signature, around)?;
            Ok(Signer::Public(found))
        }
        (TokenKind::Public(algorithm), TokenKeys::Chain { root, extension }) => {
            let own =
                chain(&parts.header, root, extension, asked.now).map_err(signature_refusal)?;
            let key = formats::of_certificate(algorithm, &own)
                .filter(|key| key.signed(&content(algorithm, pieces), &parts.signature));
            match key {
                Some(_) => Ok(Signer::Public(Found::default())),
                None => {
                    Err(signature_refusal("the token's signature is not of its certificate").into())
                }
            }
        }
        // A definition's algorithms are of one family, and its keys are that family's.
        _ => Err(signature_refusal("the token's algorithm has no key here").into()),
    }
}

fn content(algorithm: Algorithm, pieces: [&[u8]; 3]) -> Content {
    let mut signing = Signing::start(algorithm);
    for piece in pieces {
        signing.update(piece);
    }
    signing.finish()
}

fn shared<'g>(
    asked: &Asked<'g, '_>,
    hash: HashKind,
    signature: &[u8],
    pieces: [&[u8]; 3],
) -> Result<&'g Key, Refusal> {
    let keys = &asked.keyed.keys;
    let found = keys.iter().find(|key| {
        let mut state = MacState::new(hash, key.bytes());
        for piece in pieces {
            state.update(piece);
        }
        same(signature, &state.finish())
    });
    found.ok_or_else(|| asked.no_match("secret", keys.len()))
}

/// The first certificate of `x5c`, when the root vouches for it and it has the extension.
fn chain(
    header: &Json,
    root: &Root,
    extension: &ObjectIdentifier,
    now: Timestamp,
) -> Result<Certificate, String> {
    let list = header
        .items_at(&one("x5c"))
        .filter(|list| !list.is_empty() && list.len() <= MAX_CHAIN)
        .ok_or_else(|| format!("the token brings no certificates, or more than {MAX_CHAIN}"))?;
    let mut chain = Vec::new();
    for item in list {
        let der = item
            .scalar_at(&[])
            .and_then(|text| BASE64.decode(text).ok());
        let der = der.ok_or_else(|| "the token's certificates are no base64".to_owned())?;
        chain.push(Certificate::read(der).map_err(|why| format!("the token's certificate {why}"))?);
    }
    root.vouches(&chain, now)
        .map_err(|why| format!("the token is not the provider's: {why}"))?;
    let own = chain.swap_remove(0);
    if own.has_extension(extension) {
        Ok(own)
    } else {
        // Under a vendor's root others have certificates too.
        Err(
            "the token's certificate is another's: it lacks the extension that the provider's has"
                .to_owned(),
        )
    }
}

/// In milliseconds since 1970.
fn time_claim(claims: &Json, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(raw) = claims.at(&one(name)) else {
        return Ok(None);
    };
    let seconds: Option<f64> = raw
        .trim()
        .parse()
        .ok()
        .filter(|time: &f64| time.is_finite());
    match seconds {
        // Saturates, as it should.
        Some(seconds) => Ok(Some((seconds * 1000.0) as i64)),
        None => Err(signature_refusal(format!(
            "the token's claim `{name}` is no time in seconds since 1970"
        ))),
    }
}

fn check_times(token: &WebToken, claims: &Json, now: Timestamp) -> Result<(), Refusal> {
    let stale = |why: String| Err(Refusal::new(RefusalKind::Timestamp, why));
    let leeway = i64::try_from(token.leeway.as_millis()).unwrap_or(i64::MAX);
    let allowed = token.leeway.as_secs();
    if let Some(expires) = time_claim(claims, "exp")? {
        let late = now.0.saturating_sub(expires);
        if late >= leeway {
            return stale(format!(
                "the token expired {} s ago, {allowed} s are allowed",
                late / 1000
            ));
        }
    }
    let ahead_of = |name: &str| {
        let time = time_claim(claims, name)?;
        Ok::<_, Refusal>(time.map(|time| time.saturating_sub(now.0)))
    };
    if let Some(early) = ahead_of("nbf")?
        && early > leeway
    {
        return stale(format!(
            "the token is good only in {} s, {allowed} s are allowed",
            early.saturating_add(999) / 1000
        ));
    }
    let Some(max_age) = token.max_age else {
        return Ok(());
    };
    let Some(ahead) = ahead_of("iat")? else {
        return Err(signature_refusal("the token's claim `iat` is missing"));
    };
    if ahead > leeway {
        return stale(format!(
            "the token was made {} s ahead of our clock, {allowed} s are allowed",
            ahead.saturating_add(999) / 1000
        ));
    }
    let age = ahead.saturating_neg();
    let oldest = i64::try_from((max_age + token.leeway).as_millis()).unwrap_or(i64::MAX);
    if age > oldest {
        return stale(format!(
            "the token is {} s old, {} s are allowed",
            age / 1000,
            oldest / 1000
        ));
    }
    Ok(())
}

/// The form of the URL with which all hold.
fn check_claims<'p>(
    asked: &Asked<'_, '_>,
    token: &WebToken,
    claims: &Json,
    places: &[Around<'p>],
) -> Result<Around<'p>, Refusal> {
    // The first form is the URL as the provider should have it.
    let mut first = None;
    for place in places {
        let mut rules = token.claims.iter();
        match rules.try_for_each(|rule| check_claim(asked, rule, claims, *place)) {
            Ok(()) => return Ok(*place),
            Err(refusal) => {
                first.get_or_insert(refusal);
            }
        }
    }
    Err(first.unwrap_or_else(|| asked.no_match("claim", 0)))
}

fn check_claim(
    asked: &Asked<'_, '_>,
    rule: &ClaimRule,
    claims: &Json,
    place: Around<'_>,
) -> Result<(), Refusal> {
    if claims.at(&rule.claim).is_none() {
        return if rule.is_optional {
            Ok(())
        } else {
            let reason = format!("the token's claim {} is missing", rule.name);
            Err(signature_refusal(reason))
        };
    }
    let expected = asked
        .request
        .rendered(&rule.equals, place)
        .map_err(|(missing, why)| refuse(&missing, why))?;
    let expected = fingerprint(&expected);
    let equals = |text: &str| {
        let text = match rule.is_base64url {
            true => text.trim_end_matches('='),
            false => text,
        };
        same(&fingerprint(text.as_bytes()), &expected)
    };
    let holds = match claims.scalar_at(&rule.claim) {
        Some(text) => equals(&text),
        None => {
            let list = claims.items_at(&rule.claim).unwrap_or_default();
            list.iter()
                .take(MAX_CLAIM_VALUES)
                .filter_map(|item| item.scalar_at(&[]))
                .fold(false, |holds, text| equals(&text) | holds)
        }
    };
    if holds {
        Ok(())
    } else {
        Err(signature_refusal(format!(
            "the token's signature matched, but its claim {} is not what it must be",
            rule.name
        )))
    }
}

#[cfg(test)]
mod tests;
