//! Everything the view knows, and what one batch of changes does to it.
//!
//! A batch costs the groups it touches: what changed of each is tried, and what its pools are offered is compared with what they were
//! offered before. Each version of a resource is encoded once, here. Of a whole list nothing is tried: it is compiled when it is needed.

mod build;
mod history;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_proto::v1::config_resource::Body;
use hookplane_rules::{Connector, FieldError};
use prost::Message;

use super::compiled::JudgedWebhook;
use super::encoded::{Encoded, Encoder};
use super::offer::{Offer, Pools};
use super::tombstone::{self, Tombstone, pin_of};
use super::view::GroupRecord;
use super::watch::Batch;
use crate::access::Tokens;
use crate::dispatch::unsubscribed::has_subscribers;
use crate::keys;
use crate::seal::SealKey;

pub(crate) struct State {
    seal: Arc<SealKey>,
    encoder: Encoder,
    pub(crate) revision: u64,
    /// Empty until the store has one.
    pub(crate) epoch: Arc<str>,
    pins: HashMap<String, Pin>,
    /// By uid.
    groups: HashMap<String, GroupState>,
    /// The uid at `v1/groups/ORG/GROUP`, so that an org's are a range.
    uids: BTreeMap<String, String>,
    /// By key, so that a group's are a range.
    webhooks: BTreeMap<String, WebhookState>,
    /// Webhooks with a destination that is pushed to.
    pub(crate) pushing: usize,
    /// The key of each webhook, by uid.
    webhook_keys: HashMap<String, String>,
    /// By key, so that an org's are a range. Listeners get none of them.
    destinations: BTreeMap<String, Arc<v1::Destination>>,
    pub(super) pools: Pools,
    /// While the first, whole list is taken.
    lists: bool,
    /// Apart, so that who calls is told without waiting for what is compiled here.
    pub(crate) tokens: Arc<Tokens>,
}

struct Pin {
    encoded: Arc<Encoded>,
    compiled: Option<Arc<Connector>>,
}

struct GroupState {
    /// Of the last write of the group itself.
    written: u64,
    stored: Arc<v1::WebhookGroup>,
    /// Its secrets opened, as listeners get it. None when they can't be.
    encoded: Option<Arc<Encoded>>,
    /// Of the group, its webhooks, and removals among them.
    revision: u64,
    record: Option<GroupRecord>,
    offered: Offer,
}

struct WebhookState {
    uid: String,
    revision: u64,
    stored: Arc<v1::Webhook>,
    /// With the uid of the group that it names. None until that group is known.
    encoded: Option<(Arc<str>, Arc<Encoded>)>,
    /// The last version that compiled, or that came with the list.
    judged: Option<JudgedWebhook>,
}

impl State {
    /// How many webhooks there are below a key.
    pub(crate) fn webhooks_below(&self, prefix: &str) -> usize {
        below(&self.webhooks, prefix).count()
    }

    /// From a whole list, the first one or one in place of all that was known. `tokens` are told of it too: whoever calls is let in by them,
    /// and goes on to be.
    pub(crate) fn begin(
        seal: Arc<SealKey>,
        encoder: Encoder,
        tokens: Arc<Tokens>,
        list: Batch,
    ) -> Self {
        let mut horizon = None;
        let mut tombstones = Vec::new();
        for (key, value) in &list.keys {
            let Some((revision, value)) = value else {
                continue;
            };
            if key == keys::HORIZON {
                horizon = tombstone::parse_horizon(value);
            } else if key.starts_with(keys::TOMBSTONES)
                && let Some(tombstone) = decoded::<Tombstone>(key, value.clone())
            {
                tombstones.push((*revision, tombstone));
            }
        }
        // Without a horizon nothing is known of what was before.
        let horizon = horizon.unwrap_or(list.revision);
        let mut state = Self {
            seal,
            encoder,
            revision: 0,
            epoch: "".into(),
            pins: HashMap::new(),
            groups: HashMap::new(),
            uids: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            pushing: 0,
            webhook_keys: HashMap::new(),
            destinations: BTreeMap::new(),
            pools: Pools::new(horizon),
            lists: true,
            tokens,
        };
        state.apply(list);
        state.lists = false;
        state.remember(&tombstones);
        state
    }

    pub(crate) fn record(&self, uid: &str) -> Option<GroupRecord> {
        self.groups.get(uid)?.record.clone()
    }

    pub(crate) fn record_named(&self, org: &str, name: &str) -> Option<GroupRecord> {
        self.record(self.uids.get(&keys::group(org, name))?)
    }

    pub(crate) fn webhook(&self, uid: &str) -> Option<Arc<v1::Webhook>> {
        let webhook = self.webhooks.get(self.webhook_keys.get(uid)?)?;
        Some(webhook.stored.clone())
    }

    /// The uid of the webhook with this key, where it has subscribers.
    pub(crate) fn with_subscribers(&self, key: &str) -> Option<String> {
        let webhook = self.webhooks.get(key)?;
        let spec = webhook.stored.spec.as_ref();
        spec.is_none_or(has_subscribers)
            .then(|| webhook.uid.clone())
    }

    pub(crate) fn destinations(&self) -> HashSet<String> {
        let all = self.destinations.values();
        let all = all.filter_map(|one| Some(one.metadata.as_ref()?.uid.clone()));
        all.collect()
    }

    pub(crate) fn destination(&self, org: &str, name: &str) -> Option<Arc<v1::Destination>> {
        self.destinations
            .get(&keys::destination(org, name))
            .cloned()
    }

    pub(crate) fn destinations_of(&self, org: &str) -> Vec<Arc<v1::Destination>> {
        let of_org = keys::destination(org, "");
        let all = below(&self.destinations, &of_org);
        all.map(|(_, destination)| Arc::clone(destination))
            .collect()
    }

    /// The keys of the groups with such a status.
    pub(crate) fn groups_where(
        &self,
        differs: impl Fn(&v1::WebhookGroupStatus) -> bool,
    ) -> Vec<String> {
        let groups = self.uids.iter().filter(|(_, uid)| {
            let group = self.groups.get(*uid);
            let status = group.and_then(|group| group.stored.status.as_ref());
            status.is_some_and(&differs)
        });
        groups.map(|(key, _)| key.clone()).collect()
    }

    /// The groups below a key, as stored, in order of their keys.
    pub(crate) fn groups_below(&self, prefix: &str) -> Vec<(String, Arc<v1::WebhookGroup>)> {
        let all = below(&self.uids, prefix);
        all.filter_map(|(key, uid)| Some((key.clone(), self.groups.get(uid)?.stored.clone())))
            .collect()
    }

    /// The longest window in which any group knows repeats, in days.
    pub(crate) fn longest_dedup_days(&self) -> u32 {
        let specs = self
            .groups
            .values()
            .filter_map(|group| group.stored.spec.as_ref());
        specs.map(|spec| spec.dedup_window_days).max().unwrap_or(0)
    }

    /// Says whether what some listeners are offered has changed, or the epoch.
    pub(crate) fn apply(&mut self, batch: Batch) -> bool {
        let at = batch.revision;
        let before = (self.pools.changes(), self.epoch.clone());
        self.tokens.apply(
            batch.anew,
            batch.keys.iter().map(|(key, value)| (key, value)),
        );
        let mut touched: BTreeSet<String> = BTreeSet::new();
        let (mut groups, mut webhooks) = (Vec::new(), Vec::new());
        // Connectors first, then groups, then webhooks: each needs what comes before it. Tombstones are for those who start later:
        // what they tell is in the batch itself.
        for (key, value) in batch.keys {
            if key == keys::EPOCH {
                self.set_epoch(value);
            } else if key.starts_with(keys::PINS) {
                self.set_pin(&key, value, &mut touched);
            } else if key.starts_with(keys::GROUPS) {
                groups.push((key, value));
            } else if key.starts_with(keys::WEBHOOKS) {
                webhooks.push((key, value));
            } else if key.starts_with(keys::DESTINATIONS) {
                self.set_destination(key, value);
            }
        }
        for (key, value) in groups {
            self.set_group(key, value, at, &mut touched);
        }
        for (key, value) in webhooks {
            self.set_webhook(key, value, at, &mut touched);
        }
        for uid in touched {
            self.rebuild(&uid, at);
        }
        self.revision = at;
        before != (self.pools.changes(), self.epoch.clone())
    }

    fn set_epoch(&mut self, value: Option<(u64, bytes::Bytes)>) {
        // One that is gone is a fault of somebody's; the one that streams were told stays.
        if let Some((_, value)) = value {
            self.epoch = String::from_utf8_lossy(&value).into();
        }
    }

    fn set_pin(
        &mut self,
        key: &str,
        value: Option<(u64, bytes::Bytes)>,
        touched: &mut BTreeSet<String>,
    ) {
        let digest = key[keys::PINS.len()..].to_owned();
        let Some((revision, value)) = value else {
            self.pins.remove(&digest);
            return;
        };
        let Some(connector) = decoded::<v1::Connector>(key, value) else {
            return;
        };
        let compiled = Connector::compile(&connector)
            .map_err(|errors| not_compiled(key, revision, &errors))
            .ok();
        let encoded = self.encoder.encode(&v1::ConfigResource {
            uid: digest.clone(),
            revision,
            group_uid: String::new(),
            body: Some(Body::Connector(connector)),
        });
        // A pin is never changed, so this is its first time, unless a group came before it.
        for (uid, group) in &self.groups {
            if pin_of(&group.stored) == digest {
                touched.insert(uid.clone());
            }
        }
        self.pins.insert(digest, Pin { encoded, compiled });
    }

    fn set_destination(&mut self, key: String, value: Option<(u64, bytes::Bytes)>) {
        let Some((revision, value)) = value else {
            self.destinations.remove(&key);
            return;
        };
        if let Some(mut destination) = decoded::<v1::Destination>(&key, value) {
            destination.metadata.get_or_insert_default().revision = revision;
            self.destinations.insert(key, Arc::new(destination));
        }
    }

    fn set_group(
        &mut self,
        key: String,
        value: Option<(u64, bytes::Bytes)>,
        at: u64,
        touched: &mut BTreeSet<String>,
    ) {
        let old = self.uids.get(&key).cloned();
        let Some((revision, value)) = value else {
            if let Some(uid) = old {
                self.uids.remove(&key);
                self.drop_group(&uid, at);
            }
            return;
        };
        let Some(mut group) = decoded::<v1::WebhookGroup>(&key, value) else {
            return;
        };
        let metadata = group.metadata.get_or_insert_default();
        metadata.revision = revision;
        let uid = metadata.uid.clone();
        // A name used again is not the old thing.
        if let Some(old) = old.filter(|old| *old != uid) {
            self.drop_group(&old, at);
        }
        let encoded = match self.seal.open_group(&group) {
            Ok(opened) => Some(self.encoder.encode(&v1::ConfigResource {
                uid: uid.clone(),
                revision,
                group_uid: uid.clone(),
                body: Some(Body::Group(opened)),
            })),
            Err(error) => {
                tracing::error!(key, %error, "a group's secrets can't be opened; its last version stays");
                None
            }
        };
        let stored = Arc::new(group);
        self.uids.insert(key, uid.clone());
        touched.insert(uid.clone());
        match self.groups.get_mut(&uid) {
            Some(group) => {
                group.written = revision;
                group.revision = group.revision.max(revision);
                group.stored = stored;
                group.encoded = encoded;
            }
            None => {
                self.groups.insert(
                    uid,
                    GroupState {
                        written: revision,
                        stored,
                        encoded,
                        revision,
                        record: None,
                        offered: Offer::default(),
                    },
                );
            }
        }
    }

    fn set_webhook(
        &mut self,
        key: String,
        value: Option<(u64, bytes::Bytes)>,
        at: u64,
        touched: &mut BTreeSet<String>,
    ) {
        let uid = group_key_of(&key).and_then(|group| self.uids.get(&group).cloned());
        let revision = value.as_ref().map_or(at, |(revision, _)| *revision);
        match value {
            None => {
                if let Some(old) = self.webhooks.remove(&key) {
                    self.webhook_keys.remove(&old.uid);
                    self.pushing -= usize::from(pushes(&old.stored));
                }
            }
            Some((revision, value)) => {
                let Some(mut webhook) = decoded::<v1::Webhook>(&key, value) else {
                    return;
                };
                let metadata = webhook.metadata.get_or_insert_default();
                metadata.revision = revision;
                let own = metadata.uid.clone();
                // A name used again is another webhook, whose last version is not this one's.
                let old = self.webhooks.remove(&key);
                if let Some(old) = &old {
                    self.webhook_keys.remove(&old.uid);
                    self.pushing -= usize::from(pushes(&old.stored));
                }
                self.pushing += usize::from(pushes(&webhook));
                self.webhook_keys.insert(own.clone(), key.clone());
                let judged = old.filter(|old| old.uid == own).and_then(|old| old.judged);
                self.webhooks.insert(
                    key,
                    WebhookState {
                        uid: own,
                        revision,
                        stored: Arc::new(webhook),
                        encoded: None,
                        judged,
                    },
                );
            }
        }
        if let Some(uid) = uid {
            if let Some(group) = self.groups.get_mut(&uid) {
                group.revision = group.revision.max(revision);
            }
            touched.insert(uid);
        }
    }

    fn drop_group(&mut self, uid: &str, at: u64) {
        let Some(group) = self.groups.remove(uid) else {
            return;
        };
        group.offered.withdraw(&mut self.pools, at);
    }
}

/// Looks at no key but those, and the one after.
fn below<'a, K: Ord + Borrow<str>, V>(
    map: &'a BTreeMap<K, V>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    let from = map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
    from.take_while(move |(key, _)| (*key).borrow().starts_with(prefix))
}

fn pushes(webhook: &v1::Webhook) -> bool {
    let mut all = webhook.spec.iter().flat_map(|spec| &spec.destinations);
    all.any(|destination| destination.subscribe.is_none())
}

/// `v1/webhooks/ORG/GROUP/WEBHOOK` → `v1/groups/ORG/GROUP`
fn group_key_of(key: &str) -> Option<String> {
    let mut parts = key.strip_prefix(keys::WEBHOOKS)?.split('/');
    Some(keys::group(parts.next()?, parts.next()?))
}

fn decoded<M: Message + Default>(key: &str, value: bytes::Bytes) -> Option<M> {
    M::decode(value)
        .map_err(|error| tracing::error!(key, %error, "a stored resource can't be read; its last version stays"))
        .ok()
}

fn not_compiled(key: &str, revision: u64, errors: &[FieldError]) {
    let reason = errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    tracing::error!(
        key,
        revision,
        reason,
        "a stored resource doesn't compile; its last version stays"
    );
}

#[cfg(test)]
mod tests;
