//! What the services read and write through: the store, with what a plan has already decided laid over it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookplane_proto::v1;
use hookplane_rules::Connector;
use prost::Message;

use super::status::Problem;
use crate::access::{Caller, Target};
use crate::admission::Lacking;
use crate::aside;
use crate::context::Context;
use crate::keys;
use crate::store::{Entry, Precondition, Revision, Transaction, Write};

/// A writer waits this long to read its own write from the view; the write is durable whatever the view does.
const VIEW_WAIT: Duration = Duration::from_secs(2);
const READ_AT_ONCE: usize = 200;

/// What a write is for.
#[derive(Clone, Copy)]
pub(super) enum Mode<'a> {
    /// The name must be free.
    Create,
    /// The resource must be there; only the masked fields change, all if there is no mask.
    Update { mask: &'a [String] },
    /// Either.
    Apply,
}

impl<'a> Mode<'a> {
    /// What an update begins with, and its mask. None where the resource is taken as it is given. What may not be done to what is there is refused.
    pub(super) fn begin<'s, T>(
        self,
        name: &str,
        etag: &str,
        stored: &'s Option<(T, Revision)>,
    ) -> Result<Option<(&'s T, &'a [String])>, Problem> {
        match (self, stored) {
            (Self::Create, Some(_)) => Err(Problem::Exists(name.to_owned())),
            (Self::Update { .. }, None) => Err(Problem::NotFound(name.to_owned())),
            (Self::Update { mask }, Some((stored, revision))) => {
                check_etag(name, etag, *revision)?;
                Ok(Some((stored, mask)))
            }
            _ => Ok(None),
        }
    }
}

/// What a write would do.
pub(super) struct Prepared<T> {
    /// Empty when nothing changes.
    pub(super) transaction: Transaction,
    /// As it will be stored.
    pub(super) resource: T,
    /// Of the stored version; 0 when there was none.
    pub(super) revision: Revision,
    pub(super) action: v1::ChangeAction,
    pub(super) changed: Vec<String>,
    /// What differs between the definition that the resource pins and the one that it would, a line each.
    pub(super) definition: Vec<String>,
    /// What to know before relying on it, a line each.
    pub(super) hints: Vec<String>,
    pub(super) secret: v1::SecretChange,
}

/// Reads and writes for one request.
pub(super) struct Desk<'a> {
    pub(super) context: &'a Context,
    pub(super) caller: &'a Caller,
    planned: BTreeMap<String, Option<Bytes>>,
    /// Of what is prepared here.
    pub(super) lacking: Lacking,
}

impl<'a> Desk<'a> {
    pub(super) fn new(context: &'a Context, caller: &'a Caller) -> Self {
        Self {
            context,
            caller,
            planned: BTreeMap::new(),
            lacking: Lacking::Refused,
        }
    }

    /// Where nothing is written: what is prepared needs no secrets.
    pub(super) fn for_trial(context: &'a Context, caller: &'a Caller) -> Self {
        Self {
            lacking: Lacking::LeftOut,
            ..Self::new(context, caller)
        }
    }

    /// Whether a plan has decided about it.
    pub(super) fn has_planned(&self, key: &str) -> bool {
        self.planned.contains_key(key)
    }

    pub(super) async fn entry(&self, key: &str) -> Result<Option<Entry>, Problem> {
        self.covered(key)?;
        if let Some(planned) = self.planned.get(key) {
            return Ok(planned.as_ref().map(|value| Entry {
                key: key.to_owned(),
                value: value.clone(),
                revision: 0,
            }));
        }
        Ok(self.context.store.get(key).await?)
    }

    /// A stored resource and its revision.
    pub(super) async fn get<T: Message + Default>(
        &self,
        key: &str,
    ) -> Result<Option<(T, Revision)>, Problem> {
        self.entry(key)
            .await?
            .map(|entry| decode(&entry).map(|resource| (resource, entry.revision)))
            .transpose()
    }

    /// All resources below a prefix, with their keys.
    pub(super) async fn all<T: Message + Default>(
        &self,
        prefix: &str,
    ) -> Result<Vec<(String, T)>, Problem> {
        self.covered(prefix)?;
        let mut found: BTreeMap<String, T> = BTreeMap::new();
        let (mut after, mut at) = (None::<String>, None);
        loop {
            let page = self
                .context
                .store
                .list(prefix, after.as_deref(), READ_AT_ONCE, at)
                .await?;
            at = Some(page.revision);
            for entry in &page.entries {
                found.insert(entry.key.clone(), decode(entry)?);
            }
            match page.entries.last() {
                Some(last) if page.entries.len() == READ_AT_ONCE => after = Some(last.key.clone()),
                _ => break,
            }
        }
        for (key, value) in &self.planned {
            if !key.starts_with(prefix) {
                continue;
            }
            match value {
                Some(value) => {
                    let resource = T::decode(value.clone())
                        .map_err(|e| Problem::Internal(format!("read a planned `{key}`: {e}")))?;
                    found.insert(key.clone(), resource);
                }
                None => {
                    found.remove(key);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Checks that what is written is the caller's. A name that is none is refused by what prepares the write, before it reads anything.
    pub(super) fn owned(&self, org: &str) -> Result<(), Problem> {
        match super::names::check("metadata.org", org) {
            Ok(()) => self.caller.check(Target::Org(org)),
            Err(_) => Ok(()),
        }
    }

    /// Promise 8, once more: whatever a service forgot to check, no key of another org is read or written from here.
    fn covered(&self, key: &str) -> Result<(), Problem> {
        if self.caller.covers_key(key) {
            return Ok(());
        }
        Err(Problem::Internal(format!(
            "`{key}` is not the caller's, and was not checked"
        )))
    }

    /// Lays a planned write over the store.
    pub(super) fn plan(&mut self, transaction: &Transaction) {
        for write in &transaction.writes {
            match write {
                Write::Put(key, value) => self.planned.insert(key.clone(), Some(value.clone())),
                Write::Delete(key) => self.planned.insert(key.clone(), None),
            };
        }
    }

    /// Writes, and waits until those that read from the view see it.
    pub(super) async fn commit(&self, transaction: Transaction) -> Result<Revision, Problem> {
        if self.lacking == Lacking::LeftOut {
            return Err(Problem::Internal("a trial writes nothing".to_owned()));
        }
        for write in &transaction.writes {
            let (Write::Put(key, _) | Write::Delete(key)) = write;
            self.covered(key)?;
        }
        let revision = self.context.store.commit(transaction).await?;
        let deadline = tokio::time::Instant::now() + VIEW_WAIT;
        if !self.context.view.reached(revision, deadline).await {
            tracing::warn!(revision, "the view of the store lags behind a write");
        }
        Ok(revision)
    }

    /// Commits what was prepared; the answer is the revision the resource now has.
    pub(super) async fn write<T>(&self, prepared: &mut Prepared<T>) -> Result<Revision, Problem> {
        if prepared.transaction.writes.is_empty() {
            return Ok(prepared.revision);
        }
        self.commit(std::mem::take(&mut prepared.transaction)).await
    }

    /// The same, unless the question is only whether it could be: then it is the revision that it has.
    pub(super) async fn write_unless<T>(
        &self,
        validate_only: bool,
        prepared: &mut Prepared<T>,
    ) -> Result<Revision, Problem> {
        match validate_only {
            true => Ok(prepared.revision),
            false => self.write(prepared).await,
        }
    }

    /// A connector's definition as it is now: the org's own, or built in. The org's own counts even where a release has since brought a built-in one of
    /// that name. Without its tests: they stay with the connector, and no group pins them.
    pub(super) async fn definition(
        &self,
        org: &str,
        name: &str,
    ) -> Result<Option<v1::Connector>, Problem> {
        Ok(match self.own_definition(org, name).await? {
            Some(own) => Some(own),
            None => self.context.catalogue.get(name).cloned(),
        })
    }

    /// The org's own.
    pub(super) async fn own_definition(
        &self,
        org: &str,
        name: &str,
    ) -> Result<Option<v1::Connector>, Problem> {
        let key = keys::connector(org, name);
        let own = self.get::<v1::Connector>(&key).await?;
        Ok(own.map(|(mut connector, _)| {
            connector.spec.get_or_insert_default().tests.clear();
            connector
        }))
    }

    /// The definition that a group pins.
    pub(super) async fn pinned(&self, group: &v1::WebhookGroup) -> Result<v1::Connector, Problem> {
        let digest = group.status.as_ref().map_or("", |s| &s.connector_version);
        self.get::<v1::Connector>(&keys::pin(digest))
            .await?
            .map(|(connector, _)| connector)
            .ok_or_else(|| {
                Problem::Internal(format!(
                    "the pinned connector definition {digest} is missing"
                ))
            })
    }

    pub(super) async fn needs_org(&self, org: &str) -> Result<(String, Precondition), Problem> {
        let key = keys::org(org);
        match self.entry(&key).await? {
            Some(_) => Ok((key, Precondition::Present)),
            None => Err(Problem::NotFound(super::names::org(org))),
        }
    }

    /// For a new resource.
    pub(super) fn fresh(
        &self,
        org: &str,
        group: &str,
        name: &str,
    ) -> Result<v1::Metadata, Problem> {
        let now = self.context.clock.now();
        let random: [u8; 10] = random()?;
        let millis = now.0.max(0).unsigned_abs();
        let uid = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        Ok(v1::Metadata {
            org: org.to_owned(),
            group: group.to_owned(),
            name: name.to_owned(),
            uid: uid.to_string(),
            create_time: Some(self.now()),
            update_time: Some(self.now()),
            ..Default::default()
        })
    }

    pub(super) fn now(&self) -> prost_types::Timestamp {
        hookplane_rules::time::to_wire(self.context.clock.now())
    }
}

/// A random array from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| Problem::Internal(format!("no randomness from the system: {e}")))?;
    Ok(bytes)
}

pub(super) fn decode<T: Message + Default>(entry: &Entry) -> Result<T, Problem> {
    T::decode(entry.value.clone())
        .map_err(|e| Problem::Internal(format!("read the stored `{}`: {e}", entry.key)))
}

pub(super) fn put<T: Message>(key: String, resource: &T) -> Write {
    Write::Put(key, resource.encode_to_vec().into())
}

pub(super) fn etag(revision: Revision) -> String {
    format!("{revision:x}")
}

/// What is told from the key's revision.
pub(super) fn stamp(metadata: &mut Option<v1::Metadata>, revision: Revision) {
    let metadata = metadata.get_or_insert_default();
    metadata.revision = revision;
    metadata.etag = if revision == 0 {
        String::new()
    } else {
        etag(revision)
    };
}

/// An empty etag asks for nothing.
pub(super) fn check_etag(name: &str, given: &str, revision: Revision) -> Result<(), Problem> {
    if given.is_empty() || given == etag(revision) {
        Ok(())
    } else {
        Err(Problem::Stale(name.to_owned()))
    }
}

/// `registeredEvents` as `registered_events`.
pub(super) fn snake(field: &str) -> String {
    let mut out = String::new();
    for c in field.trim_start_matches("spec.").chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Aside, for the org that needs it: its own may be large.
pub(super) async fn compile(
    org: &str,
    definition: v1::Connector,
) -> Result<Arc<Connector>, Problem> {
    let compiled = aside::SAVES.run(org, move |_| Connector::compile(&definition));
    compiled.await?.map_err(Problem::Fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_takes_both_ways_of_writing_a_field() {
        assert_eq!(snake("registeredEvents"), "registered_events");
        assert_eq!(snake("spec.registered_events"), "registered_events");
    }

    #[test]
    fn an_etag_that_is_not_the_newest_is_stale() {
        assert!(check_etag("orgs/a", "", 7).is_ok());
        assert!(check_etag("orgs/a", &etag(7), 7).is_ok());
        assert!(matches!(
            check_etag("orgs/a", &etag(6), 7),
            Err(Problem::Stale(_))
        ));
    }
}
