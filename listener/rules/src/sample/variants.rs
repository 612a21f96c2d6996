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

use hookplane_proto::v1::SampleVariant;
use sha2::{Digest, Sha256};

use super::{SampleError, SignedSample, blank, good, posted, sample_of, shown};
use crate::{Callback, Group, Head, Outcome, Proven, Refusal, RefusalKind, Reply, Timestamp};

/// What a callback that is kept is answered, by how safe it is.
const KEPT: [&str; 3] = ["synced", "replicated", "degraded"];
const DUPLICATE: &str = "duplicate";
const NOT_KEPT: &str = "not-kept";

/// One request, and what must come of it.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Which one.
    pub kind: SampleVariant,
    /// The event whose sample it is.
    pub event: String,
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
    /// It hangs on a key that has to be fetched: where that fails, that is right as well.
    pub or_key_unavailable: bool,
    /// Of what is taken: the receipts that it may get.
    pub receipts: Vec<&'static str>,
    /// Of a handshake: the answer, whose body and headers must be these.
    pub reply: Option<Reply>,
}

impl Expected {
    pub(super) fn refused(kind: RefusalKind) -> Self {
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

/// A request as it is posted, and what must come of it.
pub(super) struct Made {
    pub(super) callback: Callback,
    pub(super) expected: Expected,
    /// Which secret of the group's stands in it as it is.
    pub(super) shows: Option<String>,
}

/// What becomes of a genuine one.
pub(super) struct Taken {
    pub(super) expected: Expected,
    /// Empty where the provider names none.
    delivery_id: String,
    /// Why it is not kept, where it isn't.
    left_out: Option<String>,
}

pub(super) struct Making<'a> {
    pub(super) group: &'a Group,
    pub(super) now: Timestamp,
    event: &'a str,
    random: &'a [u8; 32],
}

/// All variants of an event's sample. `event` may be empty: of those with a sample the first that an active webhook takes,
/// whatever its filter says, else the first registered one, else the first.
/// Ids, keys and challenges are made of `random`.
pub(crate) fn all(
    group: &Group,
    event: &str,
    now: Timestamp,
    random: &[u8; 32],
) -> Result<Vec<Variant>, SampleError> {
    let events = &group.function.events;
    let with_sample = || events.iter().filter(|one| one.sample.is_some());
    let mut registered = with_sample().filter(|one| group.registers(&one.name));
    let chosen = registered
        .clone()
        .find(|one| group.is_wanted(&one.name))
        .or_else(|| registered.next())
        .or_else(|| with_sample().next())
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

    pub(super) fn good(&self, of: &str) -> Result<(usize, Callback), String> {
        good(self.group, self.event, self.now, &self.uuid(of)).map_err(|why| why.to_string())
    }

    pub(super) fn blank(&self, now: Timestamp, of: &str) -> Result<Callback, String> {
        let sample = sample_of(self.group, self.event).map_err(|why| why.to_string())?;
        blank(self.group, sample, now, &self.uuid(of))
    }

    pub(super) fn variant(
        &self,
        kind: SampleVariant,
        about: impl Into<String>,
        made: Result<Made, String>,
    ) -> Variant {
        let (request, expected) = match made {
            Ok(made) => {
                let sample = posted(self.group, made.callback, made.shows);
                (Ok(sample), made.expected)
            }
            Err(why) => (Err(why), Expected::default()),
        };
        Variant {
            kind,
            event: self.event.to_owned(),
            about: about.into(),
            request,
            padded_to: 0,
            expected,
        }
    }

    /// True when the group takes what nothing proves.
    pub(super) fn is_open(&self) -> bool {
        self.group.accept_unsigned && !self.group.has_secret
    }

    /// What becomes of one that is genuine.
    pub(super) fn taking(&self, callback: &Callback) -> Result<Taken, String> {
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
                    left_out: None,
                });
            }
        };
        let ids = extracted.events().iter().map(|one| &one.delivery_id);
        let delivery_id = ids.min().cloned().unwrap_or_default();
        let (receipts, left_out) = match self.group.match_events(extracted).outcome() {
            Outcome::Keep => (KEPT.to_vec(), None),
            Outcome::NotKept { reason, .. } => (vec![NOT_KEPT], Some(reason.clone())),
        };
        Ok(Taken {
            expected: Expected {
                status,
                receipts,
                ..Expected::default()
            },
            delivery_id,
            left_out,
        })
    }

    /// Good, and the same again.
    fn taken(&self) -> Vec<Variant> {
        let about = "signed as the provider does";
        let repeat = "the same bytes again";
        let made = self.good("good").and_then(|(index, callback)| {
            let taken = self.taking(&callback)?;
            Ok((callback, taken, shown(self.group, index)))
        });
        let (callback, taken, shows) = match made {
            Ok(made) => made,
            Err(why) => return vec![self.variant(SampleVariant::Good, about, Err(why))],
        };
        let is_kept = taken.expected.receipts.contains(&KEPT[0]);
        let is_named = !taken.delivery_id.is_empty();
        let about = match &taken.left_out {
            Some(why) => format!("{about}; no active webhook takes it: {why}"),
            None => about.to_owned(),
        };
        let mut expected = taken.expected.clone();
        let other = self.good("another").and_then(|(_, one)| self.taking(&one));
        let is_always_alike = is_named && other.is_ok_and(|it| it.delivery_id == taken.delivery_id);
        if is_kept && is_always_alike {
            // Posted yesterday as well, it is a repeat.
            expected.receipts.push(DUPLICATE);
        }
        let made = |callback, expected| {
            Ok(Made {
                callback,
                expected,
                shows: shows.clone(),
            })
        };
        let good = made(callback.clone(), expected);
        let good = self.variant(SampleVariant::Good, about, good);
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
        let again = made(callback, expected);
        let again = self.variant(SampleVariant::Replayed, about, again);
        vec![good, again]
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
