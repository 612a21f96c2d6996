//! Handshakes: requests that only prove the URL is ours.
//!
//! Risk 35: a handshake that signs the caller's text must never sign what could pass as a callback. So its challenge is of a stated
//! shape, and that shape can't hold what every signed content holds.

use hookplane_proto::v1;

use super::scheme::{HashKind, Proof, Scheme};
use super::{Condition, Errors};
use crate::encoding::TextEncoding;
use crate::location::Location;
use crate::template::{Part, Template};

/// The longest challenge that a definition may allow, in bytes.
const MOST_CHALLENGE_BYTES: u32 = 1_024;

/// One handshake, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Handshake {
    pub(crate) name: String,
    pub(crate) when: Condition,
    pub(crate) unverified: bool,
    pub(crate) reply: HandshakeReply,
}

/// What it is answered with.
#[derive(Debug, Clone)]
pub(crate) enum HandshakeReply {
    /// The challenge: alone, or under this field of a JSON object.
    Echo(Challenge, Option<String>),
    /// A JSON object with the challenge and its MAC.
    Hmac {
        challenge: Challenge,
        hash: HashKind,
        encoding: TextEncoding,
        challenge_field: String,
        mac_field: String,
    },
    Acknowledge,
}

/// What a challenge may look like.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub(crate) location: Location,
    also: String,
    max_length: usize,
}

impl Challenge {
    /// Letters, digits and what else this provider's challenges hold.
    pub(crate) fn fits(&self, text: &str) -> bool {
        !text.is_empty()
            && text.len() <= self.max_length
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || self.also.contains(c))
    }
}

impl Handshake {
    pub(crate) fn compile(
        handshake: &v1::Handshake,
        schemes: &[Scheme],
        at: &str,
        errors: &mut Errors,
    ) -> Option<Self> {
        let when = match &handshake.when {
            Some(when) => Condition::compile(when, &format!("{at}.when"), errors),
            None => {
                errors.add(
                    format!("{at}.when"),
                    "is missing; without it every callback would be a handshake",
                );
                None
            }
        };
        let challenge = match &handshake.challenge {
            Some(shape) => challenge(shape, &format!("{at}.challenge"), errors),
            None => None,
        };
        let needs_challenge = handshake.echo.is_some() || handshake.hmac.is_some();
        if needs_challenge && handshake.challenge.is_none() {
            errors.add(
                format!("{at}.challenge"),
                "is missing; say where the challenge is, its longest length, and what it may hold besides letters and digits",
            );
        }
        if !needs_challenge && handshake.challenge.is_some() {
            errors.add(
                format!("{at}.challenge"),
                "is of use only with `echo` or `hmac`",
            );
        }
        if handshake.unverified && handshake.hmac.is_some() {
            errors.add(
                format!("{at}.unverified"),
                "must be false: anybody could have texts signed with the group's secret",
            );
        }
        let reply = match (&handshake.echo, &handshake.hmac, &handshake.acknowledge) {
            (Some(echo), None, None) => {
                let field = echo_field(echo, &format!("{at}.echo"), errors);
                HandshakeReply::Echo(challenge?, field?)
            }
            (None, Some(reply), None) => {
                if let Some(shape) = &challenge {
                    refuse_oracle(shape, schemes, &format!("{at}.challenge.also"), errors);
                }
                hmac_reply(reply, challenge, &format!("{at}.hmac"), errors)?
            }
            (None, None, Some(_)) => HandshakeReply::Acknowledge,
            _ => {
                errors.add(at, "needs exactly one of `echo`, `hmac` and `acknowledge`");
                return None;
            }
        };
        Some(Self {
            name: handshake.name.clone(),
            when: when?,
            unverified: handshake.unverified,
            reply,
        })
    }
}

fn challenge(shape: &v1::ChallengeShape, at: &str, errors: &mut Errors) -> Option<Challenge> {
    let location = errors.location(&shape.location, &format!("{at}.location"))?;
    if shape.max_length == 0 || shape.max_length > MOST_CHALLENGE_BYTES {
        errors.add(
            format!("{at}.maxLength"),
            format!("must be from 1 to {MOST_CHALLENGE_BYTES}"),
        );
        return None;
    }
    // What a browser or a mail client could take for markup is never echoed.
    if let Some(bad) = shape
        .also
        .chars()
        .find(|c| !c.is_ascii_graphic() || "<>&\"'`\\{}[]".contains(*c))
    {
        errors.add(
            format!("{at}.also"),
            format!("may not hold `{}`", bad.escape_default()),
        );
        return None;
    }
    Some(Challenge {
        location,
        also: shape.also.clone(),
        max_length: shape.max_length as usize,
    })
}

fn echo_field(echo: &v1::EchoReply, at: &str, errors: &mut Errors) -> Option<Option<String>> {
    match (echo.content_type.as_str(), echo.field.is_empty()) {
        ("text/plain", true) => Some(None),
        ("application/json", false) => Some(Some(echo.field.clone())),
        ("text/plain", false) => {
            errors.add(
                format!("{at}.field"),
                "is of use only with application/json",
            );
            None
        }
        ("application/json", true) => {
            errors.add(
                format!("{at}.field"),
                "is missing; it names the challenge in the JSON object",
            );
            None
        }
        _ => {
            errors.add(
                format!("{at}.contentType"),
                "must be text/plain or application/json",
            );
            None
        }
    }
}

fn hmac_reply(
    reply: &v1::HmacReply,
    challenge: Option<Challenge>,
    at: &str,
    errors: &mut Errors,
) -> Option<HandshakeReply> {
    let hash = errors.take(format!("{at}.hash"), HashKind::of(reply.hash));
    let encoding = errors.take(format!("{at}.encoding"), TextEncoding::of(reply.encoding));
    if encoding == Some(TextEncoding::Raw) {
        errors.add(format!("{at}.encoding"), "must be hex, base64 or base64url");
    }
    for (name, field) in [
        ("challengeField", &reply.challenge_field),
        ("macField", &reply.mac_field),
    ] {
        if field.is_empty() {
            errors.add(
                format!("{at}.{name}"),
                "is missing; it names a field of the JSON answer",
            );
        }
    }
    Some(HandshakeReply::Hmac {
        challenge: challenge?,
        hash: hash?,
        encoding: encoding?,
        challenge_field: reply.challenge_field.clone(),
        mac_field: reply.mac_field.clone(),
    })
}

fn refuse_alike(
    shape: &Challenge,
    content: &Template,
    scheme: &str,
    at: &str,
    errors: &mut Errors,
) {
    let mut separators: String = content
        .literals()
        .filter(|c| !c.is_ascii_alphanumeric())
        .collect();
    if separators.is_empty() {
        if !content.parts.contains(&Part::Body) {
            errors.add(
                at,
                format!("can't be told from the signed content of scheme `{scheme}`, which may be letters and digits alone, so a caller could have a callback of his own signed"),
            );
            return;
        }
        // Then a challenge must not be able to look like a body: no form, no string, no structure.
        separators.push_str("=&\"{[");
    }
    if let Some(bad) = shape.also.chars().find(|c| separators.contains(*c)) {
        errors.add(
            at,
            format!(
                "may not hold `{}`: the signed content of scheme `{scheme}` has it, so a caller could have a callback of his own signed",
                bad.escape_default(),
            ),
        );
    }
}

/// Refuses a shape that could hold a signed content of a scheme under the same secret.
pub(super) fn refuse_oracle(shape: &Challenge, schemes: &[Scheme], at: &str, errors: &mut Errors) {
    for scheme in schemes {
        let Proof::Hmac(keyed) = &scheme.proof else {
            continue;
        };
        if keyed.key.parameter.is_some() {
            continue;
        }
        for content in keyed.contents() {
            refuse_alike(shape, content, &scheme.name, at, errors);
        }
    }
}
