//! The hostile provider: one sample as its provider would post it, and as it never would, each with what must come of it.
//!
//! ```text
//!  sample ─▶ signed ─▶ good · again · changed afterwards · signed otherwise · at another time · not at all · too large · by another method
//!  each of the connector's handshakes ─▶ as it should be · out of shape · not as required
//! ```
//!
//! What must come of a variant follows from what it is and from the connector's definition, and not from what `verify` makes of it, which
//! is what is tested. Only of what is genuine the rules tell what is answered.
//!
//! Risk 35: what is signed is a sample of the definition's, with times, ids and challenges that are made here. Nothing of it is a caller's. A sample
//! that is signed ahead of time becomes a good one when that time comes, and no more than that.

use hookplane_proto::v1::{SampleVariant, TimeWindow};
use http::Method;
use http::header::CONTENT_TYPE;
use sha2::{Digest, Sha256};

use super::write::{put, remove, tamper};
use super::{SampleError, SignedSample, Signing, blank, good, posted, sample_of, schemes, token};
use crate::connector::{Coverage, Proof, Scheme, TokenKind, TokenPlace};
use crate::group::KeyedScheme;
use crate::location::Location;
use crate::verify::keys::Key;
use crate::{Callback, Group, Head, Outcome, Proven, Refusal, RefusalKind, Reply, Timestamp};

/// What a callback that is kept is answered, by how safe it is.
const KEPT: [&str; 3] = ["synced", "replicated", "degraded"];
const DUPLICATE: &str = "duplicate";
const NOT_KEPT: &str = "not-kept";
/// A media type that nobody takes.
const STRANGE: &str = "application/x-hookplane-sample";
/// Beyond what a window allows.
const BEYOND_SECONDS: i64 = 60;

/// One request, and what must come of it.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Which one.
    pub kind: SampleVariant,
    /// For people, what it is.
    pub about: String,
    /// Or why there is none.
    pub request: Result<SignedSample, String>,
    /// The body is to be filled up with spaces to so many bytes. 0: it is whole.
    pub padded_to: u64,
    /// What must come of it.
    pub expected: Expected,
}

/// What must come of a variant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The HTTP status.
    pub status: u16,
    /// Of what is refused: the clause that must decide.
    pub clause: &'static str,
    /// Of what is taken: the receipts that it may get.
    pub receipts: Vec<&'static str>,
    /// Of a handshake: the answer, whose body and headers must be these.
    pub reply: Option<Reply>,
}

impl Expected {
    fn refused(kind: RefusalKind) -> Self {
        Self {
            status: kind.status(),
            clause: kind.clause(),
            ..Self::default()
        }
    }

    fn of(refusal: &Refusal) -> Self {
        Self {
            status: refusal.status.unwrap_or(refusal.kind.status()),
            ..Self::refused(refusal.kind)
        }
    }

    /// A handshake's answer.
    pub(super) fn answered(reply: Reply) -> Self {
        Self {
            status: reply.status,
            reply: Some(reply),
            ..Self::default()
        }
    }

    pub(super) fn handshake_refused(status: Option<u16>) -> Self {
        let refused = Self::refused(RefusalKind::Handshake);
        Self {
            status: status.unwrap_or(refused.status),
            ..refused
        }
    }
}

/// What becomes of a genuine one.
struct Taken {
    expected: Expected,
    /// Empty where the provider names none.
    delivery_id: String,
}

pub(super) struct Making<'a> {
    pub(super) group: &'a Group,
    pub(super) now: Timestamp,
    event: &'a str,
    random: &'a [u8; 32],
}

/// All variants of an event's sample. `event` may be empty: the first registered one that has a sample, else the first that has one.
/// Ids, keys and challenges are made of `random`.
pub(crate) fn all(
    group: &Group,
    event: &str,
    now: Timestamp,
    random: &[u8; 32],
) -> Result<Vec<Variant>, SampleError> {
    let events = &group.function.events;
    let mut with_sample = events.iter().filter(|one| one.sample.is_some());
    let first = with_sample.clone().next();
    let chosen = with_sample
        .find(|one| group.registers(&one.name))
        .or(first)
        .filter(|_| event.is_empty());
    let event = chosen.map_or(event, |one| one.name.as_str());
    let making = Making {
        group,
        now,
        event,
        random,
    };
    sample_of(group, event)?;
    let mut made = making.taken();
    made.extend(making.refused());
    made.extend(making.handshakes());
    Ok(made)
}

impl Making<'_> {
    /// Text that is nobody's but this variant's: 64 hex digits.
    pub(super) fn text(&self, of: &str) -> String {
        let digest = Sha256::new_with_prefix(self.random).chain_update(of);
        digest
            .finalize()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    pub(super) fn uuid(&self, of: &str) -> String {
        let hex = self.text(of);
        // As RFC 9562 wants a random one's version and variant to be.
        format!(
            "{}-{}-4{}-8{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..32]
        )
    }

    fn good(&self, of: &str) -> Result<(usize, Callback), String> {
        good(self.group, self.event, self.now, &self.uuid(of)).map_err(|why| why.to_string())
    }

    fn blank(&self, now: Timestamp, of: &str) -> Result<Callback, String> {
        let sample = sample_of(self.group, self.event).map_err(|why| why.to_string())?;
        blank(self.group, sample, now, &self.uuid(of))
    }

    pub(super) fn variant(
        &self,
        kind: SampleVariant,
        about: impl Into<String>,
        made: Result<(Callback, Expected), String>,
    ) -> Variant {
        let (request, expected) = match made {
            Ok((callback, expected)) => (Ok(posted(self.group, callback)), expected),
            Err(why) => (Err(why), Expected::default()),
        };
        Variant {
            kind,
            about: about.into(),
            request,
            padded_to: 0,
            expected,
        }
    }

    /// True when the group takes what nothing proves.
    fn is_open(&self) -> bool {
        self.group.accept_unsigned && !self.group.has_secret
    }

    /// What becomes of one that is genuine.
    fn taking(&self, callback: &Callback) -> Result<Taken, String> {
        let verified = match self.group.verify(callback.clone(), self.now) {
            Ok(Proven::Genuine(verified)) => verified,
            Ok(Proven::Handshake(_)) => return Err("the rules take it for a handshake".to_owned()),
            Err(refusal) => return Err(refusal.reason),
        };
        let reply = self.group.answer_to(&verified);
        let status = reply.as_ref().unwrap_or(self.group.success()).status;
        let extracted = match self.group.extract(verified) {
            Ok(extracted) => extracted,
            Err(refusal) => {
                return Ok(Taken {
                    expected: Expected::of(&refusal),
                    delivery_id: String::new(),
                });
            }
        };
        let ids = extracted.events().iter().map(|one| &one.delivery_id);
        let delivery_id = ids.min().cloned().unwrap_or_default();
        let receipts = match self.group.match_events(extracted).outcome() {
            Outcome::Keep => KEPT.to_vec(),
            Outcome::NotKept { .. } => vec![NOT_KEPT],
        };
        Ok(Taken {
            expected: Expected {
                status,
                receipts,
                ..Expected::default()
            },
            delivery_id,
        })
    }

    /// Good, and the same again.
    fn taken(&self) -> Vec<Variant> {
        let about = "signed as the provider does";
        let repeat = "the same bytes again";
        let made = self.good("good").and_then(|(_, callback)| {
            let taken = self.taking(&callback)?;
            Ok((callback, taken))
        });
        let (callback, taken) = match made {
            Ok(made) => made,
            Err(why) => return vec![self.variant(SampleVariant::Good, about, Err(why))],
        };
        let is_kept = taken.expected.receipts.contains(&KEPT[0]);
        let is_named = !taken.delivery_id.is_empty();
        let mut expected = taken.expected.clone();
        let other = self.good("another").and_then(|(_, one)| self.taking(&one));
        let is_always_alike = is_named && other.is_ok_and(|it| it.delivery_id == taken.delivery_id);
        if is_kept && is_always_alike {
            // Posted yesterday as well, it is a repeat.
            expected.receipts.push(DUPLICATE);
        }
        let good = self.variant(SampleVariant::Good, about, Ok((callback.clone(), expected)));
        let mut expected = taken.expected;
        let about = match (is_kept, is_named) {
            (true, true) => {
                expected.receipts = vec![DUPLICATE];
                repeat.to_owned()
            }
            (true, false) => {
                format!("{repeat}; the provider names no delivery, so it is kept and flagged")
            }
            (false, _) => repeat.to_owned(),
        };
        let again = self.variant(SampleVariant::Replayed, about, Ok((callback, expected)));
        vec![good, again]
    }

    /// What must be refused, as far as the definition says so.
    fn refused(&self) -> Vec<Variant> {
        let mut made = match self.good("good") {
            Ok(_) if self.is_open() => Vec::new(),
            Ok((index, _)) => match schemes(self.group).nth(index) {
                Some((scheme, keyed)) => self.missigned(scheme, keyed),
                None => Vec::new(),
            },
            Err(_) => vec![self.variant(
                SampleVariant::SignatureChanged,
                "a signature of random bytes",
                self.garbage(),
            )],
        };
        made.push(self.unsigned());
        made.push(self.oversized());
        made.push(self.wrong_method());
        made.push(self.wrong_media_type());
        made
    }

    fn missigned(&self, scheme: &Scheme, keyed: &KeyedScheme) -> Vec<Variant> {
        let wrong = |callback| (callback, Expected::refused(RefusalKind::Signature));
        let signing = |keyed, now, of: &str, spoils| {
            let blank = self.blank(now, of)?;
            let uuid = self.uuid(of);
            let signing = Signing {
                group: self.group,
                scheme,
                keyed,
                now,
                uuid: &uuid,
                spoils,
            };
            signing.sign(blank)
        };
        let others = self.other_keys(scheme, keyed);
        let mut made = vec![
            self.body_changed(scheme),
            self.variant(
                SampleVariant::SignatureChanged,
                "the signature changed by a bit",
                signing(keyed, self.now, "spoilt", true).map(wrong),
            ),
            self.variant(
                SampleVariant::OtherKey,
                "signed with a random key",
                signing(&others, self.now, "other", false).map(wrong),
            ),
        ];
        let (old, ahead) = windows(scheme);
        let stale = |kind, about: &str, seconds: Option<i64>| {
            let made = seconds.ok_or_else(|| format!("{about}: no time that is checked is signed"));
            self.variant(
                kind,
                seconds.map_or_else(
                    || about.to_owned(),
                    |seconds| format!("{about}: by {} s", seconds.abs()),
                ),
                made.and_then(|seconds| {
                    let time = Timestamp(self.now.0.saturating_add(seconds.saturating_mul(1000)));
                    signing(keyed, time, about, false)
                })
                .map(|callback| (callback, Expected::refused(RefusalKind::Timestamp))),
            )
        };
        made.push(stale(SampleVariant::TooOld, "signed too long ago", old));
        made.push(stale(
            SampleVariant::TooFarAhead,
            "signed ahead of time",
            ahead,
        ));
        made
    }

    /// The scheme's keys, were they random ones.
    fn other_keys(&self, scheme: &Scheme, keyed: &KeyedScheme) -> KeyedScheme {
        let text = self.text("key");
        let hash = match &scheme.proof {
            Proof::Hmac(keyed) => Some(keyed.hash),
            _ => None,
        };
        KeyedScheme {
            keys: vec![Key::of("random", text.as_bytes(), hash)],
            user: keyed.user,
            user_name: keyed.user_name.clone(),
            token: keyed.token.clone(),
            ..KeyedScheme::default()
        }
    }

    fn body_changed(&self, scheme: &Scheme) -> Variant {
        let covered = places_in_body(&scheme.coverage);
        let about = match &covered {
            Some(_) => "the body changed after it was signed",
            None => {
                "the body changed: no signature covers it, so whoever has the secret can post anything"
            }
        };
        let made = self.good("changed").and_then(|(_, mut callback)| {
            tamper(&mut callback, covered.as_deref().unwrap_or_default())?;
            let expected = match &covered {
                // Where the signature is inside of what can't be read any more, that is what is wrong.
                Some(_) => match self.group.verify(callback.clone(), self.now) {
                    Err(refusal) if refusal.kind == RefusalKind::Undecodable => {
                        Expected::refused(RefusalKind::Undecodable)
                    }
                    _ => Expected::refused(RefusalKind::Signature),
                },
                None => self.taking(&callback)?.expected,
            };
            Ok((callback, expected))
        });
        self.variant(SampleVariant::BodyChanged, about, made)
    }

    fn unsigned(&self) -> Variant {
        let made = self.blank(self.now, "unsigned").and_then(|mut callback| {
            for (scheme, keyed) in schemes(self.group) {
                strip(&mut callback, scheme, keyed)?;
            }
            let expected = match self.is_open() {
                true => self.taking(&callback)?.expected,
                false => Expected::refused(RefusalKind::Signature),
            };
            Ok((callback, expected))
        });
        let about = match self.is_open() {
            true => "without a signature, which the group takes: acceptUnsigned",
            false => "without its signature",
        };
        self.variant(SampleVariant::Unsigned, about, made)
    }

    /// For schemes whose private key is the provider's alone: a signature of the right form.
    fn garbage(&self) -> Result<(Callback, Expected), String> {
        let bytes: Vec<u8> = Sha256::digest(self.text("garbage")).repeat(2);
        let mut why = "the connector has no scheme".to_owned();
        for (scheme, keyed) in schemes(self.group) {
            let blank = self.blank(self.now, "garbage")?;
            let uuid = self.uuid("garbage");
            let signing = Signing {
                group: self.group,
                scheme,
                keyed,
                now: self.now,
                uuid: &uuid,
                spoils: true,
            };
            let made = match &scheme.proof {
                Proof::PublicKey(signature) => signing.carry(&signature.carrier, &bytes, blank),
                Proof::Jwt(token)
                    if token
                        .algorithms
                        .iter()
                        .any(|one| matches!(one.kind, TokenKind::Public(_))) =>
                {
                    token::garbage(token, &bytes, blank)
                }
                _ => Err("the group has no secret to sign with".to_owned()),
            };
            match made {
                Ok(callback) => return Ok((callback, Expected::refused(RefusalKind::Signature))),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    /// Signed where that can be done: it is refused before anybody looks.
    fn base(&self, of: &str) -> Result<Callback, String> {
        match self.good(of) {
            Ok((_, callback)) => Ok(callback),
            Err(_) => self.blank(self.now, of),
        }
    }

    fn oversized(&self) -> Variant {
        let limit = self.base("large").and_then(|mut callback| {
            let taken = &self.group.function.protocol.content_types;
            if let Some(one) = taken.first().filter(|_| callback.body.is_empty()) {
                put(&mut callback.headers, CONTENT_TYPE.as_str(), one)?;
            }
            let limit = self.group.admit(head(&callback), None);
            Ok((callback, limit.map_err(|refusal| refusal.reason)?))
        });
        let (about, padded_to) = match &limit {
            Ok((_, limit)) => (
                format!("a byte more than the {limit} that the group takes"),
                limit + 1,
            ),
            Err(_) => ("a body larger than the group takes".to_owned(), 0),
        };
        let made =
            limit.map(|(callback, _)| (callback, Expected::refused(RefusalKind::BodyTooLarge)));
        let mut variant = self.variant(SampleVariant::Oversized, about, made);
        variant.padded_to = padded_to;
        variant
    }

    fn wrong_method(&self) -> Variant {
        let taken = &self.group.function.protocol.methods;
        let strange = [Method::PUT, Method::DELETE, Method::PATCH, Method::POST];
        let strange = strange
            .into_iter()
            .find(|one| taken.iter().all(|known| known != one.as_str()));
        let about = match &strange {
            Some(method) => format!("by {method}"),
            None => "by another method".to_owned(),
        };
        let made = strange
            .ok_or_else(|| "the provider may use any method".to_owned())
            .and_then(|method| {
                let mut callback = self.base("method")?;
                callback.method = method;
                Ok((callback, Expected::refused(RefusalKind::Method)))
            });
        self.variant(SampleVariant::WrongMethod, about, made)
    }

    fn wrong_media_type(&self) -> Variant {
        let made = match self.group.function.protocol.content_types.as_slice() {
            [] => Err("the provider may send any media type".to_owned()),
            _ => self.base("media type").and_then(|mut callback| {
                put(&mut callback.headers, CONTENT_TYPE.as_str(), STRANGE)?;
                Ok((callback, Expected::refused(RefusalKind::MediaType)))
            }),
        };
        self.variant(SampleVariant::WrongMediaType, format!("as {STRANGE}"), made)
    }
}

pub(super) fn head(callback: &Callback) -> Head<'_> {
    Head {
        method: &callback.method,
        path: "/",
        query: &callback.query,
        headers: &callback.headers,
    }
}

/// Seconds from now at which a signature is too old, and too far ahead. None where nothing checks that.
fn windows(scheme: &Scheme) -> (Option<i64>, Option<i64>) {
    if let Proof::Jwt(token) = &scheme.proof {
        let leeway = i64::try_from(token.leeway.as_secs()).unwrap_or_default();
        return (Some(-(token::GOOD_FOR + leeway + BEYOND_SECONDS)), None);
    }
    let Some(time) = &scheme.timestamp else {
        return (None, None);
    };
    let beyond = i64::try_from(time.tolerance.as_secs()).unwrap_or_default() + BEYOND_SECONDS;
    let is_checked_ahead = matches!(time.window, TimeWindow::Both | TimeWindow::Past);
    (Some(-beyond), is_checked_ahead.then_some(beyond))
}

/// What of the body is proven: all of it is the empty list. None: nothing.
fn places_in_body(coverage: &Coverage) -> Option<Vec<Location>> {
    if coverage.covers(&Location::Body) || coverage.covers(&Location::Form(String::new())) {
        return Some(Vec::new());
    }
    let places: Vec<Location> = coverage
        .locations()
        .filter(|one| {
            matches!(
                one.base(),
                Location::Json(_) | Location::Raw(_) | Location::Form(_)
            )
        })
        .cloned()
        .collect();
    (!places.is_empty()).then_some(places)
}

/// Takes off what would prove it.
fn strip(callback: &mut Callback, scheme: &Scheme, keyed: &KeyedScheme) -> Result<(), String> {
    match &scheme.proof {
        Proof::Hmac(hash) | Proof::Digest(hash) => hash
            .carrier
            .locations()
            .try_for_each(|at| remove(callback, at)),
        Proof::PublicKey(signature) => signature
            .carrier
            .locations()
            .try_for_each(|at| remove(callback, at)),
        Proof::Jwt(token) => remove(callback, &token.place),
        Proof::Token(token) => match (&token.place, &keyed.token) {
            // An empty one, everywhere.
            (TokenPlace::Everywhere(pattern), _) => super::everywhere(callback, pattern, ""),
            (_, Some(named)) => remove(callback, named),
            (TokenPlace::At(location), None) => remove(callback, location),
        },
        Proof::Basic { .. } => {
            callback.headers.remove(http::header::AUTHORIZATION);
            Ok(())
        }
        Proof::Unsigned => Ok(()),
    }
}
