//! Requests tried on a group: what a listener makes of each, and how that differs from what was expected.
//!
//! ```text
//!  ConnectorTest ─ vector ─▶ group, callback ─▶ run: admit ─▶ verify ─▶ extract ─▶ match ─▶ Came ─▶ Expected::differs
//! ```
//!
//! Guarantees: a request goes the very way that it goes in a listener, and nothing is fetched for it; how it differs is said with the reason of
//! the clause that decided, and holds no secret.

mod vector;

use std::sync::Arc;

use hookplane_proto::v1;

use crate::{
    Callback, Connector, FieldError, Group, Head, Keys, Proven, Refusal, RefusalKind, Shaken,
    Timestamp, Unproven,
};

pub use vector::check;

/// What comes of a handshake that is refused. Of itself the clause is the word for one that is answered.
const HANDSHAKE_REFUSED: &str = "handshake-refused";

/// What came of a request.
#[derive(Debug)]
pub enum Came {
    /// It is kept, as these events.
    Genuine {
        /// At least one.
        events: Vec<v1::ReportedEvent>,
        /// Why its body is kept whole and flagged; empty when it could be decoded.
        undecodable: String,
    },
    /// It is answered, and no event.
    Handshake(Shaken),
    /// It is turned away.
    Refused(Refusal),
}

/// What must come of a request. What is `None` may be anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'a> {
    /// `genuine`, `handshake`, `handshake-refused`, or the clause of another refusal. None: a refusal, whatever the clause.
    pub outcome: Option<&'a str>,
    /// Of the first event.
    pub event_type: Option<&'a str>,
    /// Of the first event.
    pub delivery_id: Option<&'a str>,
    /// Of the first event.
    pub external_id: Option<&'a str>,
    /// How many.
    pub events: Option<usize>,
}

/// How what came differs from what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which field of a test it is about.
    pub field: &'static str,
    /// Both sides.
    pub message: String,
}

/// A group to try requests on. It registers everything and, where the provider hands over the secret, takes that.
pub fn group(
    connector: &Arc<Connector>,
    mut spec: v1::WebhookGroupSpec,
    callback_url: &str,
) -> Result<Arc<Group>, Vec<FieldError>> {
    spec.registered_events = vec!["*".to_owned()];
    spec.learn_secret = spec.signature_secrets.is_empty()
        && !spec.accept_unsigned
        && connector.function(&spec.function).is_ok_and(|function| {
            let mut handshakes = function.protocol.handshakes.iter();
            handshakes.any(|handshake| handshake.learn.is_some())
        });
    let group = v1::WebhookGroup {
        metadata: Some(v1::Metadata {
            org: "trial".to_owned(),
            name: "trial".to_owned(),
            uid: "trial".to_owned(),
            ..Default::default()
        }),
        spec: Some(spec),
        status: Some(v1::WebhookGroupStatus {
            callback_url: callback_url.to_owned(),
            ..Default::default()
        }),
    };
    Group::compile(&group, Arc::clone(connector), Vec::new())
}

/// Does with a request what a listener does up to the report.
pub fn run(group: &Group, callback: Callback, keys: &dyn Keys, now: Timestamp) -> Came {
    match proven(group, callback, keys, now) {
        Ok(Proven::Handshake(shaken)) => Came::Handshake(shaken),
        Ok(Proven::Genuine(verified)) => match group.extract(verified) {
            Ok(extracted) => {
                let report = group.match_events(extracted).into_report([0; 16], 0, now);
                Came::Genuine {
                    events: report.events,
                    undecodable: report.undecodable_reason,
                }
            }
            Err(refusal) => Came::Refused(refusal),
        },
        Err(refusal) => Came::Refused(refusal),
    }
}

fn proven(
    group: &Group,
    callback: Callback,
    keys: &dyn Keys,
    now: Timestamp,
) -> Result<Proven, Refusal> {
    let length = callback.body.len() as u64;
    let head = Head {
        method: &callback.method,
        path: "/",
        query: &callback.query,
        headers: &callback.headers,
    };
    group.admit(head, Some(length))?;
    group
        .verify_with(callback, keys, now)
        .map_err(|unproven| match unproven {
            Unproven::Refused(refused) => refused.refusal,
            Unproven::NeedsKey(needed) => needed.refusal(),
        })
}

impl Came {
    /// In a word, as [`Expected::outcome`] has it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Genuine { .. } => "genuine",
            Self::Handshake(_) => "handshake",
            Self::Refused(refusal) if refusal.kind == RefusalKind::Handshake => HANDSHAKE_REFUSED,
            Self::Refused(refusal) => refusal.kind.clause(),
        }
    }

    /// With the reason.
    fn told(&self) -> String {
        match self {
            Self::Refused(refusal) => format!("{}: {}", self.word(), refusal.reason),
            Self::Genuine { undecodable, .. } if !undecodable.is_empty() => {
                format!("genuine, and undecodable: {undecodable}")
            }
            _ => self.word().to_owned(),
        }
    }

    /// What is genuine and can't be decoded is both: kept, and flagged.
    fn is(&self, outcome: Option<&str>) -> bool {
        match (self, outcome) {
            (Self::Refused(_), None) => true,
            (_, None) => false,
            (Self::Genuine { undecodable, .. }, Some(outcome)) => {
                outcome == self.word()
                    || (outcome == RefusalKind::Undecodable.clause() && !undecodable.is_empty())
            }
            (_, Some(outcome)) => outcome == self.word(),
        }
    }
}

impl Expected<'_> {
    /// The first thing that isn't as expected.
    pub fn differs(&self, came: &Came) -> Option<Difference> {
        if !came.is(self.outcome) {
            let expected = self.outcome.unwrap_or("a refusal");
            return Some(Difference {
                field: "expect",
                message: format!("expected {expected}, got {}", came.told()),
            });
        }
        let Came::Genuine {
            events,
            undecodable,
        } = came
        else {
            return None;
        };
        let differs = |field, expected: String, got: String| {
            let why = if undecodable.is_empty() {
                String::new()
            } else {
                format!("; the body can't be decoded: {undecodable}")
            };
            Difference {
                field,
                message: format!("expected {expected}, got {got}{why}"),
            }
        };
        if let Some(expected) = self.events
            && expected != events.len()
        {
            let (expected, got) = (count(expected), count(events.len()));
            return Some(differs("expectEvents", expected, got));
        }
        let first = events.first()?;
        [
            ("expectType", "type", self.event_type, &first.r#type),
            (
                "expectDeliveryId",
                "delivery id",
                self.delivery_id,
                &first.delivery_id,
            ),
            (
                "expectExternalId",
                "external id",
                self.external_id,
                &first.external_id,
            ),
        ]
        .into_iter()
        .find_map(|(field, what, expected, got)| {
            let expected = expected.filter(|expected| expected != got)?;
            let got = if got.is_empty() {
                "none".to_owned()
            } else {
                format!("`{got}`")
            };
            Some(differs(field, format!("{what} `{expected}`"), got))
        })
    }
}

fn count(events: usize) -> String {
    match events {
        1 => "1 event".to_owned(),
        _ => format!("{events} events"),
    }
}

#[cfg(test)]
mod tests;
