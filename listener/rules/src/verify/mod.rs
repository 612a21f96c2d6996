//! Is it genuine? The stage that says so, and the type that proves it was asked.
//!
//! ```text
//!  Callback ─▶ scheme (first whose condition holds) ─▶ signature ─▶ equalities ─▶ time ─▶ handshake? ─▶ Verified
//!              unverified echo?                        401          401           401      reply
//! ```
//!
//! The raw bytes are what is verified: nothing is decoded before, but where what is signed depends on it. Time is looked at after the
//! signature, so that a forged callback is a forged one, however old it says it is. All comparisons take constant time.

mod handshake;
mod keys;
mod proof;
mod time;

use std::sync::Arc;

use crate::connector::Scheme;
use crate::error::{Refusal, RefusalKind};
use crate::group::Group;
use crate::location::{Filling, SigFields, Source, Unfilled};
use crate::payload::Payload;
use crate::{Callback, Reply, Timestamp};

pub(crate) use keys::{Keyring, Secret, decode_key, encode};
pub(crate) use proof::make;
pub(crate) use time::{format as format_time, rfc3339_seconds};

/// A genuine request.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for each request, taken apart at once: a box would cost each of them an allocation"
)]
pub enum Proven {
    /// It only wants to know that the URL is ours: answer, and don't match.
    Handshake(Reply),
    /// It carries events.
    Genuine(Verified),
}

/// A callback that was proven genuine. Only this module makes one.
#[derive(Debug)]
pub struct Verified {
    pub(crate) callback: Callback,
    /// Decoded once, if that was needed.
    pub(crate) payload: Payload,
    /// What proved it; none where the group takes unsigned callbacks and this is one.
    pub(crate) scheme: Option<Arc<Scheme>>,
    pub(crate) secret_name: Option<Arc<str>>,
    /// The fields of the signature header, where it has fields.
    pub(crate) sig: Option<SigFields>,
}

/// What a proof brought.
pub(crate) struct Proved {
    pub(crate) secret_name: Option<Arc<str>>,
    pub(crate) sig: Option<SigFields>,
}

pub(crate) fn verify(group: &Group, callback: Callback, now: Timestamp) -> Result<Proven, Refusal> {
    let protocol = group.protocol();
    let source = group.source(&callback);
    for handshake in &protocol.handshakes {
        if handshake.unverified && handshake.when.holds(&source, None) {
            return handshake::reply(group, handshake, None, &source).map(Proven::Handshake);
        }
    }
    let taken_unsigned = group.takes_unsigned();
    let scheme = protocol
        .schemes
        .iter()
        .position(|scheme| {
            scheme
                .when
                .as_ref()
                .is_none_or(|when| when.holds(&source, None))
        })
        .map(|index| (index, &protocol.schemes[index]));
    let proved = match scheme {
        _ if taken_unsigned => Proved {
            secret_name: None,
            sig: None,
        },
        None => {
            return Err(signature(
                "the connector has no scheme for such a request: see which headers and content types its schemes ask for",
            ));
        }
        Some((index, scheme)) => {
            let proved = proof::check(group, index, scheme, &source)?;
            equalities(scheme, &source, &proved)?;
            if let Some(time) = &scheme.timestamp {
                time::check(time, &source, proved.sig.as_ref(), now)?;
            }
            proved
        }
    };
    for handshake in &protocol.handshakes {
        if !handshake.unverified && handshake.when.holds(&source, None) {
            // A MAC is only ever given to who has shown a signature.
            let keyring = scheme.and_then(|(index, _)| group.keyring(index));
            let keyring = keyring.filter(|_| !taken_unsigned);
            return handshake::reply(group, handshake, keyring, &source).map(Proven::Handshake);
        }
    }
    let payload = source.into_payload();
    Ok(Proven::Genuine(Verified {
        callback,
        payload,
        scheme: scheme
            .map(|(_, scheme)| scheme.clone())
            .filter(|_| !taken_unsigned),
        secret_name: proved.secret_name,
        sig: proved.sig,
    }))
}

/// Further equalities, such as the hash of the body in a signed query.
fn equalities(scheme: &Scheme, source: &Source<'_>, proved: &Proved) -> Result<(), Refusal> {
    for (location, template) in &scheme.also {
        let given = location
            .read(source, proved.sig.as_ref(), None)
            .ok_or_else(|| signature(format!("{} is missing", location.text())))?;
        let mut expected = Vec::new();
        let filling = Filling {
            sig: proved.sig.as_ref(),
            timestamp: scheme.timestamp.as_ref().map(|time| &time.location),
            ..Filling::default()
        };
        template
            .fill(source, filling, &mut |part| {
                expected.extend_from_slice(part)
            })
            .map_err(unfilled)?;
        if !keys::same(given.as_bytes(), &expected) {
            return Err(signature(format!(
                "{} is not what the request's content makes it",
                location.text()
            )));
        }
    }
    Ok(())
}

pub(crate) fn signature(reason: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Signature, reason)
}

pub(crate) fn unfilled(unfilled: Unfilled) -> Refusal {
    match unfilled {
        Unfilled::Missing(what) => {
            signature(format!("{what} is missing: it is part of what is signed"))
        }
        Unfilled::Undecodable(reason) => Refusal::new(
            RefusalKind::Undecodable,
            format!("what is signed depends on the body, and it can't be decoded: {reason}"),
        ),
    }
}
