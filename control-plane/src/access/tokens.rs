//! The stored tokens in memory, by id, as the view's watch brings them; and the orgs they are of.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use prost::Message;
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use v1::TokenRole;

use super::grant::{Grant, Record};
use crate::keys;
use crate::store::{Store, StoreError};

/// Keys read at once.
const READ_AT_ONCE: usize = 200;

/// All of them.
pub struct Tokens {
    known: RwLock<Known>,
    /// Told of each change that may end a token.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<String, Token>,
    /// By name.
    orgs: HashMap<String, Org>,
}

#[derive(Clone)]
struct Token {
    record: Arc<Record>,
    used: Arc<Used>,
}

struct Org {
    uid: String,
    created: Timestamp,
}

/// When a token was used last, in milliseconds since 1970. Whoever keeps one uses it still.
pub(super) struct Used(AtomicI64);

impl Used {
    fn mark(&self, now: Timestamp) {
        self.0.fetch_max(now.0, Ordering::Relaxed);
    }
}

/// A token that let somebody in.
pub(super) struct Entered {
    pub(super) record: Arc<Record>,
    /// When its org was made: what is older belongs to another of that name.
    pub(super) since: Option<Timestamp>,
    pub(super) used: Arc<Used>,
}

/// A use that the store doesn't know yet.
pub(super) struct Unsaved {
    pub(super) key: String,
    pub(super) revision: u64,
    pub(super) stored: v1::StoredToken,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            known: RwLock::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Known {
    /// None when it lets nobody in.
    fn since(&self, record: &Record, now: Timestamp) -> Option<Option<Timestamp>> {
        if record.expires.is_some_and(|expires| expires <= now) {
            return None;
        }
        match &record.grant.org {
            None => Some(None),
            Some(org) => {
                let org = self.orgs.get(&**org)?;
                (org.uid == record.stored.org_uid).then_some(Some(org.created))
            }
        }
    }
}

impl Tokens {
    /// Takes what changed in the store: tokens and orgs, and nothing else. `anew`: it is everything there is, and in place of all that was known.
    pub(crate) fn apply<'a>(
        &self,
        anew: bool,
        changes: impl Iterator<Item = (&'a String, &'a Option<(u64, bytes::Bytes)>)>,
    ) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut ends = anew;
        if anew {
            *known = Known::default();
        }
        for (key, value) in changes {
            if let Some(org) = key.strip_prefix(keys::ORGS) {
                known.set_org(org, value.as_ref().map(|(_, value)| value.clone()));
                ends = true;
            } else if key.starts_with(keys::TOKENS) {
                ends |= known.set_token(key, value.clone());
            }
        }
        drop(known);
        if ends {
            self.changed.send_modify(|changes| *changes += 1);
        }
    }

    /// The token with this id, if its secret has this hash and it still lets in. Costs the same whatever is wrong.
    pub(super) fn enter(
        &self,
        id: &str,
        secret_sha256: &[u8; 32],
        now: Timestamp,
    ) -> Option<Entered> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let token = known.by_id.get(id);
        let expected = token.map_or([0; 32], |token| token.record.secret_sha256);
        let same = bool::from(expected.ct_eq(secret_sha256));
        let token = token.filter(|_| same)?;
        let since = known.since(&token.record, now)?;
        token.used.mark(now);
        Some(Entered {
            record: token.record.clone(),
            since,
            used: token.used.clone(),
        })
    }

    /// Whether it would let in still.
    pub(super) fn holds(&self, record: &Record, now: Timestamp) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_id.get(&record.grant.id).is_some_and(|token| {
            token.record.key == record.key
                && token.record.secret_sha256 == record.secret_sha256
                && known.since(&token.record, now).is_some()
        })
    }

    /// The name of the org with this uid, and when it was made.
    pub(super) fn org_of_uid(&self, uid: &str) -> Option<(Arc<str>, Timestamp)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.orgs.iter().find(|(_, org)| org.uid == uid);
        found.map(|(name, org)| (Arc::from(name.as_str()), org.created))
    }

    /// Told when a token may have ended.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The key of the token with this id.
    pub(crate) fn key_of(&self, id: &str) -> Option<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_id.get(id).map(|token| token.record.key.clone())
    }

    /// When it was used last, as far as this server knows.
    pub(crate) fn last_use(&self, id: &str) -> Option<Timestamp> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let at = known.by_id.get(id)?.used.0.load(Ordering::Relaxed);
        (at > 0).then_some(Timestamp(at))
    }

    /// What was used at least `after` later than the store knows, with that use in it. One that an open stream holds is used now.
    pub(super) fn unsaved(&self, now: Timestamp, after: i64) -> Vec<Unsaved> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut unsaved = Vec::new();
        for token in known.by_id.values() {
            if Arc::strong_count(&token.used) > 1 {
                token.used.mark(now);
            }
            let used = token.used.0.load(Ordering::Relaxed);
            let saved = token.record.last_use().map_or(0, |saved| saved.0);
            if used == 0 || used.saturating_sub(saved) < after {
                continue;
            }
            let mut stored = token.record.stored.clone();
            let status = stored
                .token
                .get_or_insert_default()
                .status
                .get_or_insert_default();
            status.last_use_time = Some(hookplane_rules::time::to_wire(Timestamp(used)));
            unsaved.push(Unsaved {
                key: token.record.key.clone(),
                revision: token.record.revision,
                stored,
            });
        }
        unsaved
    }
}

impl Known {
    fn set_org(&mut self, name: &str, value: Option<bytes::Bytes>) {
        let org = value.and_then(|value| {
            v1::Org::decode(value)
                .map_err(|error| {
                    tracing::error!(org = name, %error, "a stored org can't be read; its tokens let nobody in");
                })
                .ok()
        });
        match org.and_then(|org| org.metadata) {
            None => self.orgs.remove(name),
            Some(metadata) => {
                let created = metadata.create_time.as_ref();
                self.orgs.insert(
                    name.to_owned(),
                    Org {
                        created: created.map_or(Timestamp(0), hookplane_rules::time::from_wire),
                        uid: metadata.uid,
                    },
                )
            }
        };
    }

    /// Whether this may have ended a token: anything but a new one, or a use that was written down.
    fn set_token(&mut self, key: &str, value: Option<(u64, bytes::Bytes)>) -> bool {
        let id = key.rsplit('/').next().unwrap_or_default();
        let old = self.by_id.get(id).filter(|token| token.record.key == key);
        let old = old.cloned();
        let read = value.map(|(revision, value)| Record::read(key, revision, value));
        let record = match read {
            Some(Ok(record)) => record,
            Some(Err(reason)) => {
                tracing::error!(
                    key,
                    reason,
                    "a stored token can't be read; it lets nobody in"
                );
                return old.is_some() && self.by_id.remove(id).is_some();
            }
            None => return old.is_some() && self.by_id.remove(id).is_some(),
        };
        let (same, used) = match old {
            Some(old) => {
                let same = old.record.grant == record.grant
                    && old.record.expires == record.expires
                    && old.record.secret_sha256 == record.secret_sha256
                    && old.record.stored.org_uid == record.stored.org_uid;
                (same, old.used)
            }
            // 96 random bits don't come twice; a copied row might.
            None if self.by_id.contains_key(id) => {
                tracing::error!(key, "two tokens have one id; only the first is known");
                return false;
            }
            None => (true, Arc::new(Used(AtomicI64::new(0)))),
        };
        if let Some(saved) = record.last_use() {
            used.mark(saved);
        }
        let record = Arc::new(record);
        self.by_id.insert(id.to_owned(), Token { record, used });
        !same
    }
}

impl Grant {
    fn installs(&self) -> bool {
        self.role == TokenRole::Admin && self.org.is_none()
    }
}

/// Whether the store has a token that administers the whole installation now: without one, and without a bootstrap token, nobody could ever
/// make another.
pub async fn installation_admin_exists(
    store: &dyn Store,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let prefix = keys::token(keys::INSTALLATION_WIDE, "");
    let (mut at, mut after) = (None, None::<String>);
    loop {
        let page = store
            .list(&prefix, after.as_deref(), READ_AT_ONCE, at)
            .await?;
        at = Some(page.revision);
        after = page.entries.last().map(|entry| entry.key.clone());
        let last = page.entries.len() < READ_AT_ONCE;
        for entry in page.entries {
            let record = Record::read(&entry.key, entry.revision, entry.value);
            if record.is_ok_and(|r| r.grant.installs() && r.expires.is_none_or(|at| at > now)) {
                return Ok(true);
            }
        }
        if last {
            return Ok(false);
        }
    }
}
