//! Everything the view knows, and what one batch of changes does to it.
//!
//! A batch costs the groups it touches: each is compiled again (its unchanged webhooks are not), and what its pool is offered is
//! compared with what it was offered before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_proto::v1::config_resource::Body;
use hookplane_rules::{Connector, FieldError, Group, Webhook};
use prost::Message;

use super::offer::{Offer, Pools};
use super::pool::Pool;
use super::scope::pool_of;
use super::view::GroupRecord;
use super::watch::Batch;
use crate::access::Tokens;
use crate::keys;
use crate::seal::SealKey;

pub(crate) struct State {
    seal: Arc<SealKey>,
    pub(crate) revision: u64,
    /// From when on pools' histories are whole.
    horizon: u64,
    pins: HashMap<String, Pin>,
    /// By uid.
    groups: HashMap<String, GroupState>,
    /// The uid at `v1/groups/ORG/GROUP`.
    uids: HashMap<String, String>,
    /// By key, so that a group's are a range.
    webhooks: BTreeMap<String, WebhookState>,
    pub(crate) pools: HashMap<String, Pool>,
    /// Apart, so that who calls is told without waiting for what is compiled here.
    pub(crate) tokens: Arc<Tokens>,
}

struct Pin {
    resource: Arc<v1::ConfigResource>,
    compiled: Option<Arc<Connector>>,
}

struct GroupState {
    /// Of the last write of the group itself.
    written: u64,
    stored: Arc<v1::WebhookGroup>,
    /// Opened, as listeners get it. None when it can't be opened.
    opened: Option<Arc<v1::ConfigResource>>,
    /// Of the group, its webhooks, and removals among them.
    revision: u64,
    record: Option<GroupRecord>,
    offered: Offer,
}

struct WebhookState {
    resource: Arc<v1::ConfigResource>,
    stored: Arc<v1::Webhook>,
    /// The last version that compiled, and what it was compiled from: the webhook's revision and its group's.
    compiled: Option<(u64, u64, Arc<Webhook>)>,
}

impl State {
    pub(crate) fn new(seal: Arc<SealKey>) -> Self {
        Self {
            seal,
            revision: 0,
            horizon: 0,
            pins: HashMap::new(),
            groups: HashMap::new(),
            uids: HashMap::new(),
            webhooks: BTreeMap::new(),
            pools: HashMap::new(),
            tokens: Arc::default(),
        }
    }

    pub(crate) fn record(&self, uid: &str) -> Option<GroupRecord> {
        self.groups.get(uid)?.record.clone()
    }

    pub(crate) fn record_named(&self, org: &str, name: &str) -> Option<GroupRecord> {
        self.record(self.uids.get(&keys::group(org, name))?)
    }

    pub(crate) fn apply(&mut self, batch: Batch) {
        let at = batch.revision;
        if self.revision == 0 {
            self.horizon = at;
        }
        self.tokens
            .apply(batch.keys.iter().map(|(key, value)| (key, value)));
        let mut touched: BTreeSet<String> = BTreeSet::new();
        let (mut groups, mut webhooks) = (Vec::new(), Vec::new());
        // Connectors first, then groups, then webhooks: each needs what comes before it.
        for (key, value) in batch.keys {
            if key.starts_with(keys::PINS) {
                self.set_pin(&key, value, &mut touched);
            } else if key.starts_with(keys::GROUPS) {
                groups.push((key, value));
            } else if key.starts_with(keys::WEBHOOKS) {
                webhooks.push((key, value));
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
        let resource = Arc::new(v1::ConfigResource {
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
        self.pins.insert(digest, Pin { resource, compiled });
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
        let opened = match self.seal.open_group(&group) {
            Ok(opened) => Some(Arc::new(v1::ConfigResource {
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
                group.opened = opened;
            }
            None => {
                self.groups.insert(
                    uid,
                    GroupState {
                        written: revision,
                        stored,
                        opened,
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
                self.webhooks.remove(&key);
            }
            Some((revision, value)) => {
                let Some(mut webhook) = decoded::<v1::Webhook>(&key, value) else {
                    return;
                };
                let metadata = webhook.metadata.get_or_insert_default();
                metadata.revision = revision;
                let own = metadata.uid.clone();
                // A name used again is another webhook, whose last version is not this one's.
                let compiled = self
                    .webhooks
                    .remove(&key)
                    .filter(|old| old.resource.uid == own)
                    .and_then(|old| old.compiled);
                let resource = Arc::new(v1::ConfigResource {
                    uid: own,
                    revision,
                    group_uid: uid.clone().unwrap_or_default(),
                    body: Some(Body::Webhook(webhook.clone())),
                });
                self.webhooks.insert(
                    key,
                    WebhookState {
                        resource,
                        stored: Arc::new(webhook),
                        compiled,
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

    /// Compiles a group anew and offers what changed.
    fn rebuild(&mut self, uid: &str, at: u64) {
        let Some(mut group) = self.groups.remove(uid) else {
            return;
        };
        let Some(opened) = group.opened.clone() else {
            self.groups.insert(uid.to_owned(), group);
            return;
        };
        let prefix = webhooks_of(&group.stored);
        let digest = pin_of(&group.stored).to_owned();
        let pin = self.pins.get(&digest);
        if pin.is_none() {
            tracing::error!(
                group = uid,
                connector = digest,
                "a group's connector is not stored; its last version stays"
            );
            self.groups.insert(uid.to_owned(), group);
            return;
        }
        let connector = pin.and_then(|p| p.compiled.clone());
        let connector_resource = pin.map(|p| p.resource.clone());

        let mut offered = vec![opened.clone()];
        let mut stored = Vec::new();
        let mut compiled = Vec::new();
        let Some(Body::Group(opened_group)) = &opened.body else {
            self.groups.insert(uid.to_owned(), group);
            return;
        };
        for (key, webhook) in self.webhooks.range_mut(prefix.clone()..) {
            if !key.starts_with(&prefix) {
                break;
            }
            if webhook.resource.group_uid != uid {
                let mut resource = (*webhook.resource).clone();
                resource.group_uid = uid.to_owned();
                webhook.resource = Arc::new(resource);
            }
            offered.push(webhook.resource.clone());
            stored.push(webhook.stored.clone());
            if let Some(connector) = &connector {
                webhook.compile(key, opened_group, group.written, connector);
            }
            compiled.extend(webhook.compiled.as_ref().map(|(_, _, c)| c.clone()));
        }
        if let Some(connector) = connector {
            match Group::compile(opened_group, connector, compiled) {
                Ok(compiled) => {
                    group.record = Some(GroupRecord {
                        group: group.stored.clone(),
                        revision: group.revision,
                        compiled,
                        webhooks: Arc::new(stored),
                    });
                }
                Err(errors) => not_compiled(uid, group.written, &errors),
            }
        }
        let pool = pool_of(&group.stored).to_owned();
        let pools = Pools {
            pools: &mut self.pools,
            horizon: self.horizon,
        };
        group
            .offered
            .replace(pools, pool, offered, connector_resource, at);
        self.groups.insert(uid.to_owned(), group);
    }
}

impl WebhookState {
    /// Unless this very version is compiled already. What doesn't compile keeps its last version.
    fn compile(
        &mut self,
        key: &str,
        group: &v1::WebhookGroup,
        written: u64,
        connector: &Connector,
    ) {
        let revision = self.resource.revision;
        if self
            .compiled
            .as_ref()
            .is_some_and(|(own, of, _)| (*own, *of) == (revision, written))
        {
            return;
        }
        match Webhook::compile(&self.stored, group, connector) {
            Ok(compiled) => self.compiled = Some((revision, written, compiled)),
            Err(errors) => not_compiled(key, revision, &errors),
        }
    }
}

fn pin_of(group: &v1::WebhookGroup) -> &str {
    group
        .status
        .as_ref()
        .map(|s| s.connector_version.as_str())
        .unwrap_or_default()
}

/// What the keys of a group's webhooks begin with.
fn webhooks_of(group: &v1::WebhookGroup) -> String {
    let metadata = group.metadata.clone().unwrap_or_default();
    keys::webhook(&metadata.org, &metadata.name, "")
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
