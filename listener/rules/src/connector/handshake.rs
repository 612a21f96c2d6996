//! Handshakes: requests that only prove the URL is ours.
//!
//! ```text
//!  when ─▶ verified, unless the provider signs none ─▶ require ─▶ challenge, of its shape ─▶ mac | digest ─▶ reply
//!                                                           learn · confirm · show ─────────────────────────┘
//! ```
//!
//! Risk 35: a handshake that signs the caller's text must never sign what could pass as a callback. So a challenge is of a stated shape; nothing
//! else of a request is hashed or answered; and either every signed content under the same secrets holds what no challenge can hold, or
//! what could be a challenge is refused as a callback, see [`Mimicked`].

use std::sync::Arc;

use hookplane_proto::v1;

use super::oracle::{Mimicked, refuse_oracle};
use super::reply::{ReplyTemplate, Said};
use super::scheme::{HashKind, Scheme, equalities};
use super::{Condition, Errors, KeySpec};
use crate::encoding::TextEncoding;
use crate::location::Location;
use crate::public::remote::{HostPattern, Place};
use crate::template::{Part, Template, Use};

/// The longest challenge that a definition may allow, in bytes.
const MOST_CHALLENGE_BYTES: u32 = 1_024;
const UNAUTHORIZED: u16 = 401;
const MAX_HOSTS: usize = 8;

/// One handshake, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Handshake {
    pub(crate) name: String,
    pub(crate) when: Condition,
    pub(crate) unverified: bool,
    pub(crate) require: Vec<(Location, Template)>,
    pub(crate) refusal_status: u16,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) hashed: Option<Hashed>,
    /// None: what success is answered with.
    pub(crate) reply: Option<ReplyTemplate>,
    /// Where the provider hands over the secret.
    pub(crate) learn: Option<Location>,
    /// Where a URL is that has to be fetched once, and what it must fit.
    pub(crate) confirm: Option<(Location, Arc<Place>)>,
    /// Where a code for a person is.
    pub(crate) show: Option<Location>,
}

/// What a challenge may look like.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub(crate) location: Location,
    pub(super) also: String,
    pub(super) hex: bool,
    pub(super) max_length: usize,
}

/// What is made of a challenge.
#[derive(Debug, Clone)]
pub(crate) struct Hashed {
    pub(crate) hash: HashKind,
    pub(crate) encoding: TextEncoding,
    pub(crate) content: Template,
    /// Of an HMAC; a plain hash has none.
    pub(crate) key: Option<KeySpec>,
}

impl Challenge {
    /// Letters and digits, or those of hex alone, and what else this provider's challenges hold.
    pub(crate) fn fits(&self, text: &str) -> bool {
        !text.is_empty() && text.len() <= self.max_length && text.chars().all(|c| self.may_hold(c))
    }

    pub(crate) fn max_length(&self) -> usize {
        self.max_length
    }

    fn may_hold(&self, c: char) -> bool {
        let is_usual = match self.hex {
            true => c.is_ascii_hexdigit(),
            false => c.is_ascii_alphanumeric(),
        };
        is_usual || self.also.contains(c)
    }
}

impl Handshake {
    pub(crate) fn compile(
        handshake: &v1::Handshake,
        schemes: &[Scheme],
        at: &str,
        errors: &mut Errors,
    ) -> Option<Self> {
        let before = errors.list.len();
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
        let hashed = match (&handshake.mac, &handshake.digest) {
            (None, None) => None,
            (Some(mac), None) => hashed(mac, true, &format!("{at}.mac"), errors),
            (None, Some(digest)) => hashed(digest, false, &format!("{at}.digest"), errors),
            (Some(_), Some(_)) => {
                errors.add(at, "has both `mac` and `digest`; {mac} is one of them");
                None
            }
        };
        let reply = handshake.reply.as_ref().and_then(|reply| {
            let said = Said {
                status: reply.status,
                content_type: &reply.content_type,
                body: &reply.body,
                headers: &reply.headers,
            };
            ReplyTemplate::compile(&said, Use::Reply, &format!("{at}.reply"), errors)
        });
        let mut place = |text: &str, field: &str| match text {
            "" => None,
            text => errors.location(text, &format!("{at}.{field}")),
        };
        let (learn, show) = (
            place(&handshake.learn, "learn"),
            place(&handshake.show, "show"),
        );
        let compiled = Self {
            name: handshake.name.clone(),
            when: when?,
            unverified: handshake.unverified,
            require: equalities(&handshake.require, &format!("{at}.require"), errors),
            refusal_status: refusal_status(handshake, at, errors),
            challenge,
            hashed,
            reply,
            learn,
            confirm: handshake
                .confirm
                .as_ref()
                .and_then(|confirm| confirmed(confirm, &format!("{at}.confirm"), errors)),
            show,
        };
        compiled.check(handshake, schemes, at, errors);
        if let (Some(mimicked), Some(_)) = (compiled.mimicked(), &compiled.hashed) {
            refuse_oracle(&mimicked, schemes, &format!("{at}.challenge.also"), errors);
        }
        (errors.list.len() == before).then_some(compiled)
    }

    /// What the parts must be to each other.
    fn check(&self, handshake: &v1::Handshake, schemes: &[Scheme], at: &str, errors: &mut Errors) {
        if handshake.confirm.is_some() && self.unverified {
            errors.add(
                format!("{at}.unverified"),
                "must be false: what anybody asks for is not fetched",
            );
        }
        let needs_secret = !schemes.iter().any(Scheme::has_own_keys);
        if self.learn.is_some() && !self.unverified && needs_secret {
            errors.add(
                format!("{at}.unverified"),
                "must be true: before its secret is learned nothing can be verified, for no scheme has keys of its own",
            );
        }
        let reply_at = format!("{at}.reply");
        let mut uses_challenge = self.hashed.is_some();
        let mut uses_mac = false;
        for (field, template) in self
            .reply
            .iter()
            .flat_map(|reply| reply.templates(&reply_at))
        {
            uses_mac |= template.has(&Part::Mac);
            uses_challenge |= template.has(&Part::Challenge);
            uses_challenge |= self.echoes(template);
            if template.any(&|part| !self.may_answer(part)) {
                errors.add(
                    field,
                    "may be made of {challenge}, {mac}, {param:name} and the challenge's own location alone: whatever else is sent is never answered",
                );
            }
        }
        if uses_challenge && handshake.challenge.is_none() {
            errors.add(
                format!("{at}.challenge"),
                "is missing; say where the challenge is, its longest length, and what it may hold besides letters and digits",
            );
        }
        if !uses_challenge && handshake.challenge.is_some() {
            errors.add(
                format!("{at}.challenge"),
                "is of no use: neither `reply` nor `mac` nor `digest` has it",
            );
        }
        if uses_mac != self.hashed.is_some() {
            errors.add(
                reply_at,
                "must hold {mac} where `mac` or `digest` says what that is, and only there",
            );
        }
    }

    fn echoes(&self, template: &Template) -> bool {
        let place = self.challenge.as_ref().map(|challenge| &challenge.location);
        template
            .locations()
            .into_iter()
            .any(|location| Some(location) == place)
    }

    fn may_answer(&self, part: &Part) -> bool {
        match part {
            Part::Text(_) | Part::Challenge | Part::Mac => true,
            Part::At(Location::Param(_)) => true,
            // What is read there is what was checked.
            Part::At(location) => self
                .challenge
                .as_ref()
                .is_some_and(|challenge| challenge.location == *location),
            _ => false,
        }
    }

    /// True when more comes of it than an answer: a secret is learned, a URL fetched, a code shown.
    pub(crate) fn leaves_something(&self) -> bool {
        self.learn.is_some() || self.confirm.is_some() || self.show.is_some()
    }

    /// What its MACs may be over. None where it makes none, or hashes the challenge in a way that doesn't compile.
    pub(super) fn mimicked(&self) -> Option<Mimicked> {
        let hashed = self.hashed.as_ref()?;
        let key = hashed.key.as_ref()?;
        let shape = self.challenge.clone()?;
        let (before, after) = around_challenge(&hashed.content)?;
        Some(Mimicked {
            handshake: self.name.clone(),
            hash: hashed.hash,
            parameter: key.parameter.clone(),
            before,
            shape,
            after,
        })
    }
}

fn confirmed(
    said: &v1::ConfirmByFetch,
    at: &str,
    errors: &mut Errors,
) -> Option<(Location, Arc<Place>)> {
    let location = errors.location(&said.url, &format!("{at}.url"));
    let field = format!("{at}.hosts");
    if said.hosts.is_empty() {
        errors.add(&field, "is empty; name the provider's hosts");
    }
    errors.at_most(&field, said.hosts.len(), MAX_HOSTS, "hosts");
    let hosts = (0..MAX_HOSTS)
        .zip(&said.hosts)
        .filter_map(|(index, host)| {
            errors.take(format!("{field}[{index}]"), HostPattern::parse(host))
        })
        .collect();
    let place = Place {
        hosts,
        ..Place::default()
    };
    Some((location?, Arc::new(place)))
}

fn refusal_status(handshake: &v1::Handshake, at: &str, errors: &mut Errors) -> u16 {
    match handshake.refusal_status {
        0 => UNAUTHORIZED,
        status @ 400..=499 => u16::try_from(status).unwrap_or(UNAUTHORIZED),
        status => {
            errors.add(
                format!("{at}.refusalStatus"),
                format!("is {status}; a refusal is a status from 400 to 499"),
            );
            UNAUTHORIZED
        }
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
    // What a browser or a mail client could take for markup is never echoed, and nothing ends a JSON string.
    if let Some(bad) = shape
        .also
        .chars()
        .find(|c| !matches!(c, ' ' | '!'..='~') || "<>&\"'`\\{}[]".contains(*c))
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
        hex: shape.hex,
        max_length: shape.max_length as usize,
    })
}

fn hashed(said: &v1::ChallengeHash, is_mac: bool, at: &str, errors: &mut Errors) -> Option<Hashed> {
    let hash = errors.take(format!("{at}.hash"), HashKind::of(said.hash));
    let encoding = errors.take(format!("{at}.encoding"), TextEncoding::of(said.encoding));
    if encoding == Some(TextEncoding::Raw) {
        errors.add(format!("{at}.encoding"), "must be hex, base64 or base64url");
    }
    let field = format!("{at}.content");
    let text = match said.content.as_str() {
        "" => "{challenge}",
        text => text,
    };
    let content = errors.template(text, Use::Challenge, &field)?;
    if !content.has(&Part::Challenge) {
        errors.add(&field, "must hold {challenge}");
    }
    if is_mac && around_challenge(&content).is_none() {
        errors.add(
            &field,
            "of a MAC is {challenge} with a fixed text before and after it: then what it can sign is known",
        );
    }
    // Of a plain hash: nothing a caller writes but the challenge, and never the secret, under which callbacks may be proven by such a hash.
    let is_ours = |part: &Part| {
        matches!(
            part,
            Part::Text(_)
                | Part::Challenge
                | Part::UrlWithoutQuery
                | Part::Path
                | Part::At(Location::Param(_))
        )
    };
    if content.any(&|part| !is_ours(part)) {
        errors.add(
            &field,
            "may be made of {challenge}, {param:name}, {url_without_query}, {path} and fixed text alone",
        );
    }
    let key = match (is_mac, &said.key) {
        (true, key) => Some(KeySpec::compile(
            key.as_ref(),
            &format!("{at}.key"),
            errors,
        )?),
        (false, None) => None,
        (false, Some(_)) => {
            errors.add(format!("{at}.key"), "is of an HMAC; a plain hash has none");
            None
        }
    };
    Some(Hashed {
        hash: hash?,
        encoding: encoding?,
        content,
        key,
    })
}

/// The fixed texts around the one challenge.
fn around_challenge(content: &Template) -> Option<(String, String)> {
    match content.parts.as_slice() {
        [Part::Challenge] => Some(Default::default()),
        [Part::Text(before), Part::Challenge] => Some((before.clone(), String::new())),
        [Part::Challenge, Part::Text(after)] => Some((String::new(), after.clone())),
        [Part::Text(before), Part::Challenge, Part::Text(after)] => {
            Some((before.clone(), after.clone()))
        }
        _ => None,
    }
}
