//! The listener's whole configuration, compiled: one value, swapped as one.
//!
//! ```text
//!   token ──▶ group uid ──▶ Entry ──▶ Serving(Group) | Disabled | Unloadable
//!                             ▲ offered group, last good group, its webhooks
//!   connector uid ──▶ Connector, compiled once, shared by the groups that pin it
//! ```
//!
//! Guarantees:
//! - A plan is never changed: a change makes another, which shares all that didn't change. It costs what the change touches.
//! - What doesn't compile is refused alone, with the reason; its last good version goes on. A bad webhook takes nothing from its group.
//! - The digest counts each resource at the revision that was offered, so that a refusal is no mismatch.

mod entry;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use hookplane_proto::v1::{ConfigError, ConfigResource, config_resource::Body};
use sha2::{Digest, Sha256};

use crate::group::Shared;
use crate::{Connector, Group, Timestamp};
use entry::{Claim, Entry, State};

/// Every group of a pool by its callback tokens. Cloning it and changing one group costs the change, not the total.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    revision: u64,
    digest: u64,
    /// What was offered, refused or not. Only changes look here, and there are several for each group: a tree takes a third of a hash map's room.
    offered: imbl::OrdMap<Arc<str>, Offered>,
    /// By their digests, which name a definition for good.
    connectors: imbl::HashMap<Arc<str>, Arc<Connector>>,
    /// By group uid.
    groups: imbl::HashMap<Arc<str>, Arc<Entry>>,
    tokens: imbl::HashMap<Box<str>, Token>,
    /// Groups whose offered version is not the one that serves. A connector that arrives may be what they lack.
    behind: imbl::OrdSet<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Offered {
    revision: u64,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Connector,
    Group,
    /// Of the group with this uid.
    Webhook(Arc<str>),
    /// Of a kind that this version doesn't know.
    Unknown,
}

#[derive(Debug, Clone)]
struct Token {
    group: Arc<str>,
    /// None for the group's own, a time for one that is being retired.
    expires: Option<Timestamp>,
}

/// A new plan, and what of the change was refused. A refused resource keeps its last version.
#[derive(Debug)]
pub struct Applied {
    /// To be swapped in.
    pub plan: Plan,
    /// Each with its reason.
    pub refused: Vec<ConfigError>,
}

/// Where a path leads.
#[derive(Debug)]
pub enum Route<'a> {
    /// To a group that serves.
    Group(&'a Arc<Group>),
    /// To a group that is disabled. Its uid.
    Disabled(&'a str),
    /// To a group that didn't compile and has no older version here. Its uid.
    Unloadable(&'a str),
    /// Nowhere.
    Unknown,
}

impl Plan {
    /// A plan from a full list. What is refused keeps the version that `self` has of it; what isn't in the list is gone.
    pub fn replace(&self, list: Vec<ConfigResource>, revision: u64) -> Applied {
        let kept: HashSet<&str> = list.iter().map(|resource| resource.uid.as_str()).collect();
        let gone: Vec<String> = self
            .offered
            .keys()
            .filter(|uid| !kept.contains(uid.as_ref()))
            .map(|uid| uid.to_string())
            .collect();
        self.change(&gone, list, revision)
    }

    /// A plan with some resources changed and some removed, as one.
    pub fn change(&self, removes: &[String], upserts: Vec<ConfigResource>, to: u64) -> Applied {
        let mut change = Change {
            plan: self.clone(),
            touched: Vec::new(),
            seen: HashSet::new(),
            refused: Vec::new(),
            shared: Shared::default(),
        };
        change.plan.revision = to;
        for uid in removes {
            change.remove(uid);
        }
        for resource in upserts {
            change.upsert(resource);
        }
        change.settle()
    }

    /// The group whose callback token is the path's last segment.
    pub fn route(&self, path: &str, now: Timestamp) -> Route<'_> {
        let Some(token) = last_segment(path).and_then(|token| self.tokens.get(token)) else {
            return Route::Unknown;
        };
        if token.expires.is_some_and(|expires| now >= expires) {
            return Route::Unknown;
        }
        match self.groups.get(&token.group).map(|entry| &entry.state) {
            Some(State::Serving(good)) => Route::Group(&good.compiled),
            Some(State::Disabled) => Route::Disabled(&token.group),
            Some(State::Unloadable) => Route::Unloadable(&token.group),
            Some(State::Absent) | None => Route::Unknown,
        }
    }

    /// The group with this uid.
    pub fn group(&self, uid: &str) -> Option<&Arc<Group>> {
        match &self.groups.get(uid)?.state {
            State::Serving(good) => Some(&good.compiled),
            _ => None,
        }
    }

    /// The revision it was made for.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The sum of [`digest_of`] over the resources as offered.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Takes a group's tokens, unless one of them is another's. Its former ones are free again.
    fn claim(
        &mut self,
        group: &Arc<str>,
        former: &[Box<str>],
        tokens: &[Claim],
    ) -> Result<(), String> {
        let is_taken = |token: &str| self.tokens.get(token).is_some_and(|t| t.group != *group);
        if tokens.iter().any(|(token, _)| is_taken(token)) {
            return Err(
                "another group has the same callback URL token; rotate one of them".to_owned(),
            );
        }
        for token in former {
            self.release(group, token);
        }
        for (token, expires) in tokens {
            let token_of = Token {
                group: Arc::clone(group),
                expires: *expires,
            };
            self.tokens.insert(token.clone(), token_of);
        }
        Ok(())
    }

    fn release(&mut self, group: &Arc<str>, token: &str) {
        if self.tokens.get(token).is_some_and(|t| t.group == *group) {
            self.tokens.remove(token);
        }
    }
}

/// A change on its way: first all resources are noted, then each group that is touched is made anew, once.
struct Change {
    plan: Plan,
    /// Group uids in the order they came, so that of two groups with one token the first keeps it.
    touched: Vec<Arc<str>>,
    seen: HashSet<Arc<str>>,
    refused: Vec<ConfigError>,
    /// Among all that this change compiles: a full list has much that is equal.
    shared: Shared,
}

impl Change {
    fn remove(&mut self, uid: &str) {
        let Some(offered) = self.plan.offered.remove(uid) else {
            if self.plan.groups.contains_key(uid) {
                self.group_gone(&Arc::from(uid));
            }
            return;
        };
        let share = digest_of(uid, offered.revision);
        self.plan.digest = self.plan.digest.wrapping_sub(share);
        match offered.kind {
            // Groups that pin it hold it themselves.
            Kind::Connector => drop(self.plan.connectors.remove(uid)),
            Kind::Group => self.group_gone(&Arc::from(uid)),
            Kind::Webhook(group) => self.edit(&group, |entry| entry.forget_webhook(uid)),
            Kind::Unknown => {}
        }
    }

    /// Its webhooks go with it, named or not: they are nothing without it.
    fn group_gone(&mut self, group: &Arc<str>) {
        let entry = self.plan.groups.get(group);
        let webhooks: Vec<Arc<str>> = entry.map(|e| e.webhooks().collect()).unwrap_or_default();
        self.edit(group, Entry::forget_group);
        for uid in webhooks {
            self.remove(&uid);
        }
    }

    fn upsert(&mut self, resource: ConfigResource) {
        let uid: Arc<str> = Arc::from(resource.uid.as_str());
        let revision = resource.revision;
        let kind = match &resource.body {
            Some(Body::Connector(_)) => Kind::Connector,
            Some(Body::Group(_)) => Kind::Group,
            Some(Body::Webhook(_)) => Kind::Webhook(self.key_of(&resource.group_uid)),
            None => Kind::Unknown,
        };
        match self.plan.offered.get(&uid) {
            Some(before) if before.kind == kind => {
                let share = digest_of(&uid, before.revision);
                self.plan.digest = self.plan.digest.wrapping_sub(share);
            }
            Some(_) => self.remove(&uid),
            None => {}
        }
        self.plan.digest = self.plan.digest.wrapping_add(digest_of(&uid, revision));
        self.plan
            .offered
            .insert(Arc::clone(&uid), Offered { revision, kind });
        match resource.body {
            Some(Body::Connector(connector)) => self.connector(uid, revision, &connector),
            Some(Body::Group(group)) => self.edit(&uid, |entry| entry.offer_group(group, revision)),
            Some(Body::Webhook(webhook)) => {
                let group = self.key_of(&resource.group_uid);
                self.edit(&group, |entry| entry.offer_webhook(uid, &webhook, revision));
            }
            None => self.refuse(
                &uid,
                revision,
                "a kind of resource that this version doesn't know; update the listener",
            ),
        }
    }

    fn connector(
        &mut self,
        uid: Arc<str>,
        revision: u64,
        definition: &hookplane_proto::v1::Connector,
    ) {
        // Its uid is the digest of its definition, so what is there is the same.
        if self.plan.connectors.contains_key(&uid) {
            return;
        }
        match Connector::compile(definition) {
            Ok(connector) => {
                let waiting: Vec<Arc<str>> = self
                    .plan
                    .behind
                    .iter()
                    .filter(|group| {
                        let entry = self.plan.groups.get(*group);
                        entry.is_some_and(|entry| entry.pins(&uid))
                    })
                    .cloned()
                    .collect();
                self.plan.connectors.insert(uid, connector);
                for group in waiting {
                    self.edit(&group, Entry::look_again);
                }
            }
            Err(errors) => self.refuse(&uid, revision, &entry::joined(&errors)),
        }
    }

    /// A group's uid, in the one place where it is kept.
    fn key_of(&self, group: &str) -> Arc<str> {
        let known = self.plan.groups.get_key_value(group);
        known.map_or_else(|| Arc::from(group), |(uid, _)| Arc::clone(uid))
    }

    /// Changes a group's entry and notes that it is to be made anew.
    fn edit(&mut self, group: &Arc<str>, edit: impl FnOnce(&mut Entry)) {
        let entry = self.plan.groups.entry(Arc::clone(group)).or_default();
        edit(Arc::make_mut(entry));
        if self.seen.insert(Arc::clone(group)) {
            self.touched.push(Arc::clone(group));
        }
    }

    fn refuse(&mut self, uid: &str, revision: u64, reason: &str) {
        self.refused.push(ConfigError {
            uid: uid.to_owned(),
            revision,
            reason: reason.to_owned(),
        });
    }

    fn settle(mut self) -> Applied {
        // Tokens of what is gone are free before anybody claims any.
        for group in std::mem::take(&mut self.touched) {
            let Some(entry) = self.plan.groups.get(&group).cloned() else {
                continue;
            };
            if entry.is_absent() {
                for token in &entry.tokens {
                    self.plan.release(&group, token);
                }
            }
            self.touched.push(group);
        }
        for group in std::mem::take(&mut self.touched) {
            self.rebuild(&group);
        }
        Applied {
            plan: self.plan,
            refused: self.refused,
        }
    }

    fn rebuild(&mut self, group: &Arc<str>) {
        let Some(entry) = self.plan.groups.get(group) else {
            return;
        };
        if entry.is_empty() {
            self.plan.groups.remove(group);
            self.plan.behind.remove(group);
            return;
        }
        let mut entry = Entry::clone(entry);
        let mut problems = Vec::new();
        let former = std::mem::take(&mut entry.tokens);
        let built = entry.build(&self.plan.connectors, &mut self.shared, &mut problems);
        let claimed = match built {
            Ok(built) => self
                .plan
                .claim(group, &former, &built.tokens)
                .map(|()| entry.take(built)),
            Err(reason) => Err(reason),
        };
        match claimed {
            Ok(()) => drop(self.plan.behind.remove(group)),
            Err(reason) => {
                problems.push((Arc::clone(group), entry.revision(), reason));
                if let Some(wanted) = entry.fall_back(&former, &mut self.shared) {
                    for token in &former {
                        self.plan.release(group, token);
                    }
                    // A token of another's is not taken from it; the others lead to what is left of this group.
                    for token in wanted {
                        let one = std::slice::from_ref(&token);
                        if self.plan.claim(group, &[], one).is_ok() {
                            entry.tokens.push(token.0);
                        }
                    }
                }
                self.plan.behind.insert(Arc::clone(group));
            }
        }
        for (uid, revision, reason) in problems {
            self.refuse(&uid, revision, &reason);
        }
        self.plan.groups.insert(Arc::clone(group), Arc::new(entry));
    }
}

/// What a callback URL or a path ends in.
fn last_segment(path: &str) -> Option<&str> {
    path.rsplit('/')
        .next()
        .filter(|segment| !segment.is_empty())
}

/// One resource's share of a digest. Shares are added with wrap-around, so that a digest is kept up to date by adding and subtracting.
///
/// It is the first 8 bytes, little-endian, of SHA-256 over the uid and the revision's 8 bytes, little-endian.
pub fn digest_of(uid: &str, revision: u64) -> u64 {
    let hash = Sha256::new()
        .chain_update(uid.as_bytes())
        .chain_update(revision.to_le_bytes())
        .finalize();
    hash.iter()
        .take(8)
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
