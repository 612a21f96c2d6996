//! The signature or credential itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keys::{self, Secret};
use super::{Proved, absent, signature, unfilled};
use crate::connector::{Format, KeyedHash, Proof, Scheme};
use crate::error::Refusal;
use crate::group::Group;
use crate::location::{Filling, Location, SigFields, Source, Unfilled, single_header};

/// Signatures in one header. Providers send two or three while a secret is rotated; more only buys an attacker work.
const MAX_SIGNATURES: usize = 16;
/// Entries of any kind in a signature header.
const MAX_ENTRIES: usize = 64;

pub(super) fn check(
    group: &Group,
    index: usize,
    scheme: &Scheme,
    source: &Source<'_>,
) -> Result<Proved, Refusal> {
    let secrets = group
        .keyring(index)
        .map(|keyring| keyring.secrets.as_slice())
        .unwrap_or_default();
    match &scheme.proof {
        Proof::Hmac(keyed) | Proof::Digest(keyed) => {
            keyed_hash(group, scheme, keyed, secrets, source)
        }
        Proof::Token { location, prefix } => token(location, prefix, secrets, source),
        Proof::Basic { user_parameter } => {
            let user = user_parameter
                .as_ref()
                .map(|name| group.parameter(name).unwrap_or_default());
            basic(user, secrets, source)
        }
        // Compiled only where the group takes unsigned callbacks; what comes here wasn't.
        Proof::Unsigned => Err(signature(
            "nothing proves it genuine, and the group doesn't take unsigned callbacks",
        )),
    }
}

/// A signature header, taken apart.
struct Parsed<'a> {
    candidates: Vec<&'a str>,
    fields: Option<SigFields>,
}

fn keyed_hash(
    group: &Group,
    scheme: &Scheme,
    keyed: &KeyedHash,
    secrets: &[Secret],
    source: &Source<'_>,
) -> Result<Proved, Refusal> {
    let value = match &keyed.signature {
        // Read here, so that a header sent twice can be told from one not sent.
        Location::Header(name) => match source.callback.headers.get_all(name).iter().count() {
            0 => return Err(signature(format!("header {name} is missing"))),
            1 => single_header(&source.callback.headers, name)
                .map(std::borrow::Cow::Borrowed)
                .ok_or_else(|| signature(format!("header {name} is not text")))?,
            times => {
                return Err(signature(format!("header {name} came {times} times")));
            }
        },
        other => other
            .read(source, None, None)
            .ok_or_else(|| absent(other, source))?,
    };
    let parsed = take_apart(&keyed.format, &value)?;
    let mut decoded = Vec::new();
    for candidate in &parsed.candidates {
        decoded.extend(keys::decode(keyed.encoding, candidate));
    }
    if decoded.is_empty() {
        return Err(signature(format!(
            "the signature is not {}",
            keyed.encoding.name()
        )));
    }
    let filling = Filling {
        sig: parsed.fields.as_ref(),
        timestamp: scheme.timestamp.as_ref().map(|time| &time.location),
        ..Filling::default()
    };
    let urls: &[String] = if keyed.content.has_url() {
        group.url_variants()
    } else {
        &group.url_variants()[..1]
    };
    for secret in secrets {
        for url in urls {
            let filling = Filling {
                url: Some(url),
                secret: Some(&secret.key),
                ..filling
            };
            let expected = make(&scheme.proof, keyed, secret, source, filling).map_err(unfilled)?;
            // No early end: which candidate matched shows in no timing.
            let matched = decoded.iter().fold(false, |matched, given| {
                keys::same(given, &expected) | matched
            });
            if matched {
                return Ok(Proved {
                    secret_name: Some(secret.name.clone()),
                    sig: parsed.fields,
                });
            }
        }
    }
    Err(signature(format!(
        "no secret matched ({} tried): another secret, or the body or URL was changed on the way",
        secrets.len()
    )))
}

/// The MAC or digest that a request should carry.
pub(crate) fn make(
    proof: &Proof,
    keyed: &KeyedHash,
    secret: &Secret,
    source: &Source<'_>,
    filling: Filling<'_>,
) -> Result<Vec<u8>, Unfilled> {
    match (proof, &secret.mac) {
        (Proof::Hmac(_), Some(mac)) => {
            let mut mac = mac.clone();
            keyed
                .content
                .fill(source, filling, &mut |part| mac.update(part))?;
            Ok(mac.finish())
        }
        _ => {
            let mut content = Vec::with_capacity(source.callback.body.len() + 256);
            keyed
                .content
                .fill(source, filling, &mut |part| content.extend_from_slice(part))?;
            Ok(keys::digest(keyed.hash, &content))
        }
    }
}

fn take_apart<'v>(format: &Format, value: &'v str) -> Result<Parsed<'v>, Refusal> {
    let value = value.trim();
    let mut candidates = Vec::new();
    let mut fields = None;
    match format {
        Format::Plain => candidates.push(value),
        Format::Prefixed(prefix) => {
            candidates.push(value.strip_prefix(prefix.as_str()).ok_or_else(|| {
                signature(format!("the signature does not begin with `{prefix}`"))
            })?)
        }
        Format::Pairs {
            pair_separator,
            key_separator,
            signature_key,
        } => {
            let mut map = BTreeMap::new();
            for pair in value.split(pair_separator.as_str()).take(MAX_ENTRIES) {
                let Some((key, text)) = pair.trim().split_once(key_separator.as_str()) else {
                    continue;
                };
                if key == signature_key {
                    candidates.push(text);
                } else if map.insert(key.to_owned(), text.to_owned()).is_some() {
                    return Err(signature(format!("the signature header has `{key}` twice")));
                }
            }
            if candidates.is_empty() {
                return Err(signature(format!(
                    "the signature header has no `{signature_key}`"
                )));
            }
            fields = Some(map);
        }
        Format::Versioned {
            item_separator,
            version_separator,
            version,
        } => {
            for item in value.split(item_separator.as_str()).take(MAX_ENTRIES) {
                if let Some((given, text)) = item.split_once(version_separator.as_str())
                    && given == version
                {
                    candidates.push(text);
                }
            }
            if candidates.is_empty() {
                return Err(signature(format!(
                    "the signature header has no entry of version `{version}`"
                )));
            }
        }
    }
    if candidates.len() > MAX_SIGNATURES {
        return Err(signature(format!("more than {MAX_SIGNATURES} signatures")));
    }
    Ok(Parsed { candidates, fields })
}

fn token(
    location: &Location,
    prefix: &str,
    secrets: &[Secret],
    source: &Source<'_>,
) -> Result<Proved, Refusal> {
    let value = location
        .read(source, None, None)
        .ok_or_else(|| absent(location, source))?;
    let given = value.strip_prefix(prefix).ok_or_else(|| {
        signature(format!(
            "{} does not begin with `{prefix}`",
            location.text()
        ))
    })?;
    one_of(given.as_bytes(), secrets).ok_or_else(|| {
        signature(format!(
            "{} is none of the group's secrets",
            location.text()
        ))
    })
}

fn basic(user: Option<&str>, secrets: &[Secret], source: &Source<'_>) -> Result<Proved, Refusal> {
    let value = single_header(&source.callback.headers, &http::header::AUTHORIZATION)
        .ok_or_else(|| signature("header authorization is missing"))?;
    let decoded = value
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, credentials)| STANDARD.decode(credentials.trim()).ok())
        .ok_or_else(|| signature("header authorization is not HTTP basic"))?;
    let colon = decoded
        .iter()
        .position(|byte| *byte == b':')
        .ok_or_else(|| signature("header authorization is not HTTP basic"))?;
    let (given_user, given_password) = (&decoded[..colon], &decoded[colon + 1..]);
    let user_matches = user.is_none_or(|user| keys::same(user.as_bytes(), given_user));
    one_of(given_password, secrets)
        .filter(|_| user_matches)
        .ok_or_else(|| signature("user name or password is wrong"))
}

/// The secret that a credential is. All are compared.
fn one_of(given: &[u8], secrets: &[Secret]) -> Option<Proved> {
    let mut found: Option<Arc<str>> = None;
    for secret in secrets {
        if secret.is(given) {
            found = Some(secret.name.clone());
        }
    }
    found.map(|name| Proved {
        secret_name: Some(name),
        sig: None,
    })
}
