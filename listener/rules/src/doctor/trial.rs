//! Trials: the request, or what it is verified with, altered in one thing, and verified again. What they cost is bounded together.

use std::sync::Arc;

use crate::connector::{Proof, Scheme};
use crate::group::KeyedScheme;
use crate::request::{Decoding, Request};
use crate::verify::{Asked, Depth, prove};
use crate::{Callback, Group, Keys, Timestamp};

/// Trials of one diagnosis.
const MAX_TRIALS: usize = 512;
/// What a trial costs beside its body: a hash has a beginning and an end, and headers are copied.
const TRIAL_BYTES: usize = 1_024;
/// What a verification under a public key costs, as if it were hashed: a tenth of a millisecond.
const PUBLIC_KEY_BYTES: usize = 64 * 1_024;

/// How much one diagnosis may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Where others wait.
    Brief,
    /// Where nobody does.
    Thorough,
}

impl Effort {
    /// Of a larger body only what needs no hashing is looked at, and nothing of the body.
    pub(super) fn body_bytes(self) -> usize {
        match self {
            Self::Brief => 256 * 1024,
            Self::Thorough => 32 * 1024 * 1024,
        }
    }

    /// What all trials hash together, in bytes. Brief: some 20 ms.
    fn work_bytes(self) -> usize {
        match self {
            Self::Brief => 16 * 1024 * 1024,
            Self::Thorough => 4 * 1024 * 1024 * 1024,
        }
    }
}

/// A request that was refused, before the scheme that it had to verify under.
#[derive(Clone, Copy)]
pub(super) struct Patient<'a> {
    pub(super) group: &'a Group,
    pub(super) scheme: &'a Scheme,
    pub(super) keyed: &'a KeyedScheme,
    pub(super) callback: &'a Callback,
    pub(super) now: Timestamp,
}

/// What is altered. The rest stays as it was.
#[derive(Default)]
pub(super) struct Altered<'a> {
    pub(super) scheme: Option<&'a Scheme>,
    pub(super) keyed: Option<&'a KeyedScheme>,
    pub(super) urls: Option<&'a [String]>,
    pub(super) callback: Option<Callback>,
    pub(super) decoding: Option<Arc<Decoding>>,
    /// Not even what signed values must be is asked.
    pub(super) signature_alone: bool,
}

/// What was tried, and whether more may be.
pub(super) struct Trials<'b> {
    keys: &'b dyn Keys,
    effort: Effort,
    go_on: &'b mut dyn FnMut() -> bool,
    made: usize,
    work_bytes: usize,
    /// Something was left out.
    pub(super) ended: bool,
}

impl<'b> Trials<'b> {
    pub(super) fn new(
        keys: &'b dyn Keys,
        effort: Effort,
        go_on: &'b mut dyn FnMut() -> bool,
    ) -> Self {
        Self {
            keys,
            effort,
            go_on,
            made: 0,
            work_bytes: 0,
            ended: false,
        }
    }

    /// The name of the key that it verifies with then; empty where none has a name.
    pub(super) fn fits(&mut self, patient: Patient<'_>, altered: Altered<'_>) -> Option<Arc<str>> {
        let scheme = altered.scheme.unwrap_or(patient.scheme);
        let keyed = altered.keyed.unwrap_or(patient.keyed);
        let urls = altered.urls.unwrap_or(&patient.group.urls);
        let callback = match altered.callback {
            Some(callback) => callback,
            None => patient.callback.clone(),
        };
        if !self.may(cost(scheme, keyed, urls, &callback)) {
            return None;
        }
        let decoding = altered.decoding.as_ref();
        let decoding = Arc::clone(decoding.unwrap_or(&patient.group.decoding));
        let mut request = Request::new(callback, decoding);
        request.unpack().ok()?;
        let asked = Asked {
            group: patient.group,
            scheme,
            keyed,
            request: &request,
            urls,
            keys: self.keys,
            now: patient.now,
            depth: match altered.signature_alone {
                true => Depth::SignatureAlone,
                false => Depth::Timeless,
            },
        };
        let accepted = prove(&asked).ok()?;
        Some(accepted.secret.unwrap_or_default())
    }

    /// The largest body that is looked at.
    pub(super) fn body_bytes(&self) -> usize {
        self.effort.body_bytes()
    }

    fn may(&mut self, cost: usize) -> bool {
        let work_bytes = self.work_bytes.saturating_add(cost);
        self.ended = self.ended
            || self.made >= MAX_TRIALS
            || work_bytes > self.effort.work_bytes()
            || !(self.go_on)();
        if !self.ended {
            self.made += 1;
            self.work_bytes = work_bytes;
        }
        !self.ended
    }
}

/// As bytes to hash.
fn cost(scheme: &Scheme, keyed: &KeyedScheme, urls: &[String], callback: &Callback) -> usize {
    let places = match scheme.is_url_bound() {
        true => urls.len().max(1),
        false => 1,
    };
    let one = callback.body.len() + TRIAL_BYTES;
    match &scheme.proof {
        Proof::Hmac(hash) | Proof::Digest(hash) => {
            one * keyed.keys.len().max(1) * places * hash.contents().count()
        }
        Proof::PublicKey(signature) => {
            let keys = keyed.public.len().max(1);
            (one + PUBLIC_KEY_BYTES * keys) * places * signature.contents().count()
        }
        Proof::Jwt(_) => (one + PUBLIC_KEY_BYTES) * places,
        // The keys are compared by their fingerprints, which are made already.
        Proof::Token(_) | Proof::Basic { .. } | Proof::Unsigned => one,
    }
}
