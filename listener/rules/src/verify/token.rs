//! Shared secrets, sent as they are: tokens and basic authentication.

use http::header::AUTHORIZATION;

use super::keys::{Key, fingerprint, same};
use super::signature::refuse;
use super::{Accepted, accepted, signature_refusal};
use crate::Refusal;
use crate::connector::{MOST_ITEMS, Scheme, Token, TokenPlace};
use crate::encoding::TextEncoding;
use crate::group::KeyedScheme;
use crate::location::{Location, Pattern};
use crate::payload::{Json, Kind, Payload, kind, unescape};
use crate::request::{Around, Request, header};

/// A token where the connector says, or under the name that the group gives.
pub(super) fn token<'a>(
    token: &Token,
    scheme: &Scheme,
    keyed: &'a KeyedScheme,
    request: &Request,
) -> Result<Accepted<'a>, Refusal> {
    let location = match (&token.place, &keyed.token) {
        (TokenPlace::Everywhere(pattern), _) => {
            let found = everywhere(pattern, token, keyed, request)?;
            return accepted(found, scheme, keyed);
        }
        (TokenPlace::At(_), Some(named)) => named,
        (TokenPlace::At(location), None) => location,
    };
    let value = request
        .read(location, Around::default())
        .map_err(|missing| refuse(&missing, missing.explain(location)))?;
    let value = value.strip_prefix(token.prefix.as_str()).ok_or_else(|| {
        signature_refusal(format!(
            "{} does not begin with `{}`",
            location.describe(),
            token.prefix
        ))
    })?;
    accepted(find(&keyed.keys, value.as_bytes()), scheme, keyed)
}

/// Every value that the pattern leads to is a secret of the group, and there is one. What lacks it in one place is unproven there.
fn everywhere<'a>(
    pattern: &Pattern,
    token: &Token,
    keyed: &'a KeyedScheme,
    request: &Request,
) -> Result<Option<&'a Key>, Refusal> {
    let json = match request.payload() {
        Payload::Json(json) | Payload::FormJson(_, json) => json,
        Payload::Form(_) => {
            return Err(signature_refusal(
                "the body is a form, and the token is in JSON",
            ));
        }
        Payload::Opaque(why) => {
            return Err(Refusal::new(
                crate::RefusalKind::Undecodable,
                format!("the token can't be read: {why}"),
            ));
        }
    };
    let mut seen = 0;
    let mut found = None;
    let mut all_fit = true;
    pattern.visit(json, &mut |_, value| {
        seen += 1;
        let key = value
            .filter(|raw| kind(raw) == Kind::String)
            .and_then(|raw| {
                let text = unescape(raw);
                let text = text.strip_prefix(token.prefix.as_str())?;
                find(&keyed.keys, text.as_bytes())
            });
        all_fit &= key.is_some();
        found = found.or(key);
        seen <= MOST_ITEMS
    });
    if seen > MOST_ITEMS {
        return Err(signature_refusal(format!(
            "it holds more than {MOST_ITEMS} tokens"
        )));
    }
    if seen == 0 {
        return Err(signature_refusal("the body holds no token"));
    }
    Ok(found.filter(|_| all_fit))
}

/// True when there is anything in a token's place.
pub(super) fn is_there(pattern: &Pattern, json: &Json) -> bool {
    let mut found = false;
    pattern.visit(json, &mut |_, value| {
        found = value.is_some();
        !found
    });
    found
}

/// Compares with every key, so that the time tells nothing.
fn find<'a>(keys: &'a [Key], sent: &[u8]) -> Option<&'a Key> {
    let sent = fingerprint(sent);
    keys.iter().fold(
        None,
        |found, key| if key.equals(&sent) { Some(key) } else { found },
    )
}

pub(super) fn basic<'a>(
    scheme: &Scheme,
    keyed: &'a KeyedScheme,
    request: &Request,
) -> Result<Accepted<'a>, Refusal> {
    let value = header(&request.callback.headers, &AUTHORIZATION)
        .map_err(|missing| signature_refusal(missing.explain(&Location::Header(AUTHORIZATION))))?;
    let wrong = || signature_refusal("header authorization is not `Basic` with user and password");
    let (kind, encoded) = value.split_once(' ').ok_or_else(wrong)?;
    if !kind.eq_ignore_ascii_case("basic") {
        return Err(wrong());
    }
    let decoded = TextEncoding::Base64
        .decode(encoded.trim())
        .ok_or_else(wrong)?;
    let colon = decoded.iter().position(|b| *b == b':').ok_or_else(wrong)?;
    let (user, password) = (&decoded[..colon], &decoded[colon + 1..]);
    let found = find(&keyed.keys, password);
    if let Some(expected) = &keyed.user
        && !same(&expected.fingerprint, &fingerprint(user))
    {
        return Err(signature_refusal("user name or password is wrong"));
    }
    accepted(found, scheme, keyed)
}
