//! Sets of keys that somebody else fetches: where one is, what it holds, and who has it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hookplane_proto::v1::PublicKeyFormat;
use pki_types::TrustAnchor;

use super::algorithm::{Algorithm, PublicKey};
use super::certificate::Chain;
use super::formats;
use crate::Timestamp;

/// A chain of certificates is looked at again when it has been good for so long, in milliseconds.
const VOUCHED_FOR: i64 = 60_000;
/// A set in which no key fits may have been replaced since; so old it must be for that, in milliseconds.
const REPLACED_AFTER: i64 = 60_000;

/// How a set is read, and how long it is good.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reading {
    pub(crate) format: PublicKeyFormat,
    pub(crate) algorithms: Vec<Algorithm>,
    /// Empty where no certificate is asked for.
    pub(crate) certificate_name: String,
    pub(crate) max_age: Duration,
}

/// Where a set of keys is. Only a definition's URL that fits its hosts makes one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeySource {
    pub(super) host: String,
    /// Path and query.
    pub(super) path: String,
    pub(super) reading: Arc<Reading>,
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({self})")
    }
}

/// The URL, always https.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.host, self.path)
    }
}

impl KeySource {
    /// The host to ask, in lower case: a DNS name, never an address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What to ask it for: the path, and the query if there is one.
    pub fn path_and_query(&self) -> &str {
        &self.path
    }

    /// How long a set of it is good.
    pub fn max_age(&self) -> Duration {
        self.reading.max_age
    }

    /// Reads what was fetched. `roots` are those that a certificate's chain may end in.
    pub fn read(
        &self,
        fetched: &[u8],
        roots: &Arc<[TrustAnchor<'static>]>,
        now: Timestamp,
    ) -> Result<KeySet, String> {
        let reading = &self.reading;
        let text = std::str::from_utf8(fetched).map_err(|_| "is not UTF-8".to_owned())?;
        let read = formats::read(reading.format, &reading.algorithms, text)?;
        let vouched = match (reading.certificate_name.as_str(), read.chain) {
            ("", _) => None,
            (name, Some(chain)) => {
                chain.check(name, roots, now)?;
                Some(Vouched {
                    name: name.to_owned(),
                    chain,
                    roots: Arc::clone(roots),
                    checked: AtomicI64::new(now.0),
                })
            }
            (_, None) => return Err("holds no certificate".to_owned()),
        };
        Ok(KeySet {
            keys: read.keys,
            vouched,
            fetched: now,
        })
    }
}

/// Keys that were fetched, read.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<PublicKey>,
    vouched: Option<Vouched>,
    fetched: Timestamp,
}

/// A chain, and when it was last found good.
struct Vouched {
    name: String,
    chain: Chain,
    roots: Arc<[TrustAnchor<'static>]>,
    checked: AtomicI64,
}

impl fmt::Debug for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vouched")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl KeySet {
    /// Those that may have signed: all without names, and of the named ones that which was asked for. None when that isn't here.
    pub(crate) fn candidates(&self, id: Option<&str>) -> Option<Vec<&PublicKey>> {
        candidates(&self.keys, id)
    }

    /// Says why not when a certificate is no longer good.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), String> {
        let Some(vouched) = &self.vouched else {
            return Ok(());
        };
        let age = now
            .0
            .saturating_sub(vouched.checked.load(Ordering::Relaxed));
        if (0..VOUCHED_FOR).contains(&age) {
            return Ok(());
        }
        vouched.chain.check(&vouched.name, &vouched.roots, now)?;
        vouched.checked.store(now.0, Ordering::Relaxed);
        Ok(())
    }

    /// True when it is worth fetching again because nothing in it fits.
    pub(crate) fn may_be_replaced(&self, now: Timestamp) -> bool {
        now.0.saturating_sub(self.fetched.0) >= REPLACED_AFTER
    }
}

/// Those that may have signed.
pub(crate) fn candidates<'a>(
    keys: &'a [PublicKey],
    id: Option<&str>,
) -> Option<Vec<&'a PublicKey>> {
    let fit: Vec<&PublicKey> = keys
        .iter()
        .filter(|key| match (&key.id, id) {
            (Some(own), Some(asked)) => &**own == asked,
            _ => true,
        })
        .collect();
    (!fit.is_empty()).then_some(fit)
}

/// Who has fetched sets.
pub trait Keys {
    /// The set at this source, if it is here and still good.
    fn get(&self, source: &KeySource) -> Option<Arc<KeySet>>;
}

/// Nobody.
#[derive(Debug, Clone, Copy)]
pub struct NoKeys;

impl Keys for NoKeys {
    fn get(&self, _: &KeySource) -> Option<Arc<KeySet>> {
        None
    }
}
