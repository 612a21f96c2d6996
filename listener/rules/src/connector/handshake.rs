//! What only proves that the URL is ours.
//!
//! Risk 35: answering a challenge signs or repeats a text that the caller chose. So a challenge has a shape, and what isn't of it is
//! refused; and only an echo may go without a signature.

use hookplane_proto::v1;

use super::compile::Errors;
use super::protocol::{condition, location};
use super::scheme::{Encoding, Hash};
use crate::location::{Condition, Location};

/// No provider's challenge is longer.
const MAX_CHALLENGE_CHARS: u32 = 1_024;

/// A request that is answered before events are looked at.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) name: String,
    pub(crate) when: Condition,
    pub(crate) unverified: bool,
    pub(crate) answering: Answering,
    pub(crate) challenge: Option<Challenge>,
}

/// How it is answered.
#[derive(Debug)]
pub(crate) enum Answering {
    Echo {
        content_type: String,
        field: String,
    },
    Hmac {
        hash: Hash,
        encoding: Encoding,
        challenge_field: String,
        mac_field: String,
    },
    Acknowledge,
}

/// What a challenge may look like.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) location: Location,
    also: String,
    max_length: usize,
}

impl Handshake {
    /// Whether a challenge may hold this character.
    pub(crate) fn allows(&self, c: char) -> bool {
        c.is_ascii_alphanumeric()
            || self
                .challenge
                .as_ref()
                .is_some_and(|challenge| challenge.also.contains(c))
    }

    /// Whether a text is of the challenge's shape.
    pub(crate) fn fits(&self, text: &str) -> bool {
        self.challenge.as_ref().is_some_and(|challenge| {
            text.len() <= challenge.max_length && text.chars().all(|c| self.allows(c))
        })
    }
}

pub(super) fn compile(message: &v1::Handshake, at: &str, errors: &mut Errors) -> Option<Handshake> {
    if message.when.is_none() {
        errors.add(
            format!("{at}.when"),
            "is missing: say which requests are handshakes",
        );
    }
    let when = condition(message.when.as_ref(), at, errors);
    let answering = match (&message.echo, &message.hmac, &message.acknowledge) {
        (Some(echo), None, None) => Some(Answering::Echo {
            content_type: match echo.content_type.as_str() {
                "text/plain" | "application/json" => echo.content_type.clone(),
                other => {
                    errors.add(
                        format!("{at}.echo.contentType"),
                        format!("`{other}` is neither text/plain nor application/json"),
                    );
                    String::new()
                }
            },
            field: echo.field.clone(),
        }),
        (None, Some(hmac), None) => hmac_reply(hmac, at, errors),
        (None, None, Some(_)) => Some(Answering::Acknowledge),
        _ => {
            errors.add(at, "takes exactly one of echo, hmac and acknowledge");
            None
        }
    };
    if message.unverified && !matches!(answering, Some(Answering::Echo { .. })) {
        errors.add(
            format!("{at}.unverified"),
            "only an echo may go without a signature",
        );
    }
    let challenge = message.challenge.as_ref().and_then(|shape| {
        let at = format!("{at}.challenge");
        if shape.max_length == 0 || shape.max_length > MAX_CHALLENGE_CHARS {
            errors.add(
                format!("{at}.maxLength"),
                format!("is 1 to {MAX_CHALLENGE_CHARS}"),
            );
        }
        if let Some(c) = shape
            .also
            .chars()
            .find(|c| !c.is_ascii_graphic() || "\"\\<>".contains(*c))
        {
            errors.add(
                format!("{at}.also"),
                format!("{c:?} can't be part of a challenge: it is echoed as it is"),
            );
        }
        Some(Challenge {
            location: location(&shape.location, &format!("{at}.location"), errors)?,
            also: shape.also.clone(),
            max_length: usize::try_from(shape.max_length).unwrap_or_default(),
        })
    });
    if message.challenge.is_none() && !matches!(answering, Some(Answering::Acknowledge)) {
        errors.add(
            format!("{at}.challenge"),
            "is missing: say where the challenge is and what it may look like",
        );
    }
    Some(Handshake {
        name: message.name.clone(),
        when: when?,
        unverified: message.unverified,
        answering: answering?,
        challenge,
    })
}

fn hmac_reply(message: &v1::HmacReply, at: &str, errors: &mut Errors) -> Option<Answering> {
    let hash = Hash::of(message.hash());
    let encoding = Encoding::of(message.encoding());
    if hash.is_none() {
        errors.add(format!("{at}.hmac.hash"), "is missing");
    }
    match encoding {
        None => errors.add(format!("{at}.hmac.encoding"), "is missing"),
        Some(Encoding::Raw) => errors.add(
            format!("{at}.hmac.encoding"),
            "is hex, base64 or base64url: the bytes of a hash are no text",
        ),
        Some(_) => {}
    }
    for (name, value) in [
        ("challengeField", &message.challenge_field),
        ("macField", &message.mac_field),
    ] {
        if value.is_empty() {
            errors.add(format!("{at}.hmac.{name}"), "is missing");
        }
    }
    Some(Answering::Hmac {
        hash: hash?,
        encoding: encoding?,
        challenge_field: message.challenge_field.clone(),
        mac_field: message.mac_field.clone(),
    })
}
