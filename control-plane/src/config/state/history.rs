//! What changed when, told from the store at the start: what lets a control plane resume a listener that it never met.
//!
//! - A group and its webhooks changed at their own revisions, or when the group came into the pool, whichever is later.
//! - A definition came into a pool with the first of the groups that pin it there now. Later ones found it there.
//! - What a tombstone names, and is not there, went at the tombstone's revision.

use std::collections::HashMap;
use std::sync::Arc;

use super::State;
use crate::config::ListenerScope;
use crate::config::tombstone::Tombstone;
use crate::store::Revision;

type Changes = HashMap<ListenerScope, Vec<(Revision, Arc<str>)>>;

impl State {
    pub(super) fn remember(&mut self, tombstones: &[(Revision, Tombstone)]) {
        let mut changes = self.what_came(tombstones);
        self.what_went(tombstones, &mut changes);
        let horizon = self.pools.horizon();
        for (scope, changes) in changes {
            self.pools.at(&scope).remember(changes, horizon);
        }
    }

    fn what_came(&self, tombstones: &[(Revision, Tombstone)]) -> Changes {
        let mut moved: HashMap<&str, Revision> = HashMap::new();
        for (at, tombstone) in tombstones {
            if !tombstone.pool.is_empty() && !tombstone.group_uid.is_empty() {
                let last = moved.entry(&tombstone.group_uid).or_default();
                *last = (*last).max(*at);
            }
        }
        let mut changes = Changes::new();
        let mut pinned: HashMap<(&ListenerScope, &Arc<str>), Revision> = HashMap::new();
        for (uid, group) in &self.groups {
            let came = moved.get(uid.as_str()).copied().unwrap_or_default();
            for scope in &group.offered.scopes {
                let changes = changes.entry(scope.clone()).or_default();
                for (uid, revision) in &group.offered.resources {
                    changes.push(((*revision).max(came), uid.clone()));
                }
                if let Some(pin) = &group.offered.pin {
                    let written = group.written.max(came);
                    let first = pinned.entry((scope, pin)).or_insert(written);
                    *first = (*first).min(written);
                }
            }
        }
        for ((scope, pin), first) in pinned {
            let changes = changes.entry(scope.clone()).or_default();
            changes.push((first, pin.clone()));
        }
        changes
    }

    fn what_went(&self, tombstones: &[(Revision, Tombstone)], changes: &mut Changes) {
        for (at, tombstone) in tombstones {
            let scopes = if tombstone.pool.is_empty() {
                // With a group that is gone its webhooks are, wherever they were.
                let group = self.groups.get(&tombstone.group_uid);
                group.map_or_else(Vec::new, |group| group.offered.scopes.clone())
            } else {
                tombstone.scopes()
            };
            let pin = Some(&tombstone.pin).filter(|pin| !pin.is_empty());
            for scope in scopes {
                let pool = self.pools.get(&scope);
                for uid in tombstone.uids.iter().chain(pin) {
                    if !pool.is_some_and(|pool| pool.offers(uid)) {
                        let changes = changes.entry(scope.clone()).or_default();
                        changes.push((*at, uid.as_str().into()));
                    }
                }
            }
        }
    }
}
