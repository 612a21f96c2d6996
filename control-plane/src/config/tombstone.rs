//! What is gone, remembered for a day: so that a control plane that has just started can tell a listener what to take away.
//!
//! A tombstone is written with the delete, the move or the update that makes it true, in the same transaction. Listeners that have it
//! behind them have heard; for the others it says:
//! - of a group that left its pool: take the group away, its webhooks with it, and what it pinned if nothing else there pins it;
//! - of webhooks deleted from a group that stays: take them away, wherever the group is by now;
//! - of a definition that a group no longer pins: take it away, if nothing else there pins it.
//!
//! One of a group also says that it is new, with all its webhooks, where it went: their own revisions are older than that.

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use prost::Message;

use super::ListenerScope;
use super::scope::{pool_of, scopes_of};
use crate::keys;
use crate::store::{
    Entry, MAX_WRITES, Precondition, Revision, Store, StoreError, Transaction, Write,
};

/// Kept so long. A listener that was away for longer gets a full list.
const KEPT_MS: i64 = 24 * 3600 * 1000;
/// Taken away in one transaction, each with its check; the horizon takes two more.
const SWEPT_AT_ONCE: usize = (MAX_WRITES - 2) / 2;
const READ_AT_ONCE: usize = 200;

/// The value at a tombstone's key. Field numbers are never used again.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Tombstone {
    /// What to take away: a group, webhooks, or nothing but the pin.
    #[prost(string, repeated, tag = "1")]
    pub(crate) uids: Vec<String>,
    /// The group itself, or the one that the webhooks were in.
    #[prost(string, tag = "2")]
    pub(crate) group_uid: String,
    /// Where; empty for webhooks, which were where their group was.
    #[prost(string, tag = "3")]
    pub(crate) org: String,
    #[prost(string, tag = "4")]
    pub(crate) pool: String,
    /// The definition that lost the group.
    #[prost(string, tag = "5")]
    pub(crate) pin: String,
    /// When, in milliseconds since 1970.
    #[prost(int64, tag = "6")]
    pub(crate) time_ms: i64,
}

impl Tombstone {
    /// Empty for webhooks.
    pub(crate) fn scopes(&self) -> Vec<ListenerScope> {
        if self.pool.is_empty() {
            Vec::new()
        } else {
            scopes_of(&self.org, &self.pool)
        }
    }
}

/// Goes into the transaction that deletes these webhooks, and not their group. None when there are none.
pub(crate) fn of_webhooks(group_uid: &str, uids: Vec<String>, now: Timestamp) -> Option<Write> {
    let key = keys::tombstone_of_webhooks(uids.first()?);
    let tombstone = Tombstone {
        uids,
        group_uid: group_uid.to_owned(),
        time_ms: now.0,
        ..Tombstone::default()
    };
    Some(put(key, &tombstone))
}

/// Goes into the transaction that deletes a group.
pub(crate) fn of_group(group: &v1::WebhookGroup, now: Timestamp) -> Write {
    let metadata = group.metadata.clone().unwrap_or_default();
    let pool = pool_of(group);
    let key = keys::tombstone_of_group(pool, &metadata.uid);
    let tombstone = Tombstone {
        uids: vec![metadata.uid.clone()],
        group_uid: metadata.uid,
        org: metadata.org,
        pool: pool.to_owned(),
        pin: pin_of(group).to_owned(),
        time_ms: now.0,
    };
    put(key, &tombstone)
}

/// Goes into the transaction that makes `new` of `old`. None when nothing is gone by it.
pub(crate) fn of_update(
    old: &v1::WebhookGroup,
    new: &v1::WebhookGroup,
    now: Timestamp,
) -> Option<Write> {
    if pool_of(old) != pool_of(new) {
        return Some(of_group(old, now));
    }
    let (pin, pool) = (pin_of(old), pool_of(old));
    if pin == pin_of(new) {
        return None;
    }
    let org = old.metadata.as_ref().map_or("", |m| &m.org);
    let tombstone = Tombstone {
        org: org.to_owned(),
        pool: pool.to_owned(),
        pin: pin.to_owned(),
        time_ms: now.0,
        ..Tombstone::default()
    };
    Some(put(keys::tombstone_of_pin(org, pool, pin), &tombstone))
}

pub(super) fn pin_of(group: &v1::WebhookGroup) -> &str {
    group
        .status
        .as_ref()
        .map_or("", |status| &status.connector_version)
}

fn put(key: String, tombstone: &Tombstone) -> Write {
    Write::Put(key, tombstone.encode_to_vec().into())
}

/// Takes away what is older than a day, and moves the horizon past it in the same transaction. Says how many went.
pub(crate) async fn sweep(store: &dyn Store, now: Timestamp) -> Result<usize, StoreError> {
    let mut swept = 0;
    let mut after: Option<String> = None;
    loop {
        let page = store
            .list(keys::TOMBSTONES, after.as_deref(), READ_AT_ONCE, None)
            .await?;
        after = page.entries.last().map(|entry| entry.key.clone());
        let last = page.entries.len() < READ_AT_ONCE;
        let old: Vec<Entry> = page
            .entries
            .into_iter()
            .filter(|entry| is_past(entry, now))
            .collect();
        for some in old.chunks(SWEPT_AT_ONCE) {
            match forget(store, some).await {
                Ok(()) => swept += some.len(),
                // Written anew, or another replica sweeps too: they are looked at again next time.
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if last {
            return Ok(swept);
        }
    }
}

/// One that can't be read is of no use to anybody; the horizon says so.
fn is_past(entry: &Entry, now: Timestamp) -> bool {
    Tombstone::decode(entry.value.clone())
        .map_or(true, |t| t.time_ms.saturating_add(KEPT_MS) <= now.0)
}

async fn forget(store: &dyn Store, entries: &[Entry]) -> Result<(), StoreError> {
    let stored = store.get(keys::HORIZON).await?;
    let check = stored
        .as_ref()
        .map_or(Precondition::Absent, |e| Precondition::At(e.revision));
    let newest = entries.iter().map(|e| e.revision).max().unwrap_or_default();
    let horizon = stored
        .and_then(|e| parse_horizon(&e.value))
        .unwrap_or_default();
    let mut transaction = Transaction {
        checks: vec![(keys::HORIZON.to_owned(), check)],
        writes: vec![put_horizon(horizon.max(newest))],
    };
    for entry in entries {
        let unchanged = Precondition::At(entry.revision);
        transaction.checks.push((entry.key.clone(), unchanged));
        transaction.writes.push(Write::Delete(entry.key.clone()));
    }
    store.commit(transaction).await.map(drop)
}

/// Says that every tombstone after `revision` is there.
pub(super) fn put_horizon(revision: Revision) -> Write {
    Write::Put(keys::HORIZON.to_owned(), revision.to_string().into())
}

/// None when it can't be read.
pub(super) fn parse_horizon(value: &[u8]) -> Option<Revision> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EmbeddedStore;

    fn write(writes: Vec<Write>) -> Transaction {
        Transaction {
            checks: Vec::new(),
            writes,
        }
    }

    #[tokio::test]
    async fn what_is_older_than_a_day_goes_and_the_horizon_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let mut newest = 0;
        // More than one transaction takes, and one that is a day younger.
        for i in 0..150 {
            let old = of_webhooks("g", vec![format!("w{i:03}")], Timestamp(1_000));
            newest = store
                .commit(write(old.into_iter().collect()))
                .await
                .unwrap();
        }
        let young = of_webhooks("g", vec!["young".to_owned()], Timestamp(1_001));
        store
            .commit(write(young.into_iter().collect()))
            .await
            .unwrap();

        assert_eq!(sweep(&*store, Timestamp(KEPT_MS)).await.unwrap(), 0);
        let now = Timestamp(1_000 + KEPT_MS);
        assert_eq!(sweep(&*store, now).await.unwrap(), 150);
        let left = store.list(keys::TOMBSTONES, None, 10, None).await.unwrap();
        let left: Vec<String> = left.entries.into_iter().map(|e| e.key).collect();
        assert_eq!(left, [keys::tombstone_of_webhooks("young")]);
        let horizon = store.get(keys::HORIZON).await.unwrap().unwrap();
        assert_eq!(parse_horizon(&horizon.value), Some(newest));
    }
}
