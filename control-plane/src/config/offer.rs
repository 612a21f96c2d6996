//! What the pools have been offered of one group, so that the next offer is only the difference.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::encoded::Encoded;
use super::pool::Pool;
use super::scope::ListenerScope;

/// All pools, and from when on the history of one made now is whole.
pub(super) struct Pools {
    by_scope: HashMap<ListenerScope, Pool>,
    horizon: u64,
    /// How often something was, or may have been, changed.
    changes: u64,
}

impl Pools {
    pub(super) fn new(horizon: u64) -> Self {
        Self {
            by_scope: HashMap::new(),
            horizon,
            changes: 0,
        }
    }

    /// None: nothing was ever offered there.
    pub(super) fn get(&self, scope: &ListenerScope) -> Option<&Pool> {
        self.by_scope.get(scope)
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// To change it.
    pub(super) fn at(&mut self, scope: &ListenerScope) -> &mut Pool {
        self.changes += 1;
        self.by_scope
            .entry(scope.clone())
            .or_insert_with(|| Pool::new(self.horizon))
    }

    pub(super) fn horizon(&self) -> u64 {
        self.horizon
    }
}

/// What was offered of one group, and to whom.
#[derive(Default)]
pub(super) struct Offer {
    /// The pool's listeners of all orgs, and those of the group's own.
    pub(super) scopes: Vec<ListenerScope>,
    pub(super) resources: BTreeMap<Arc<str>, u64>,
    pub(super) pin: Option<Arc<str>>,
}

impl Offer {
    /// The group is no longer theirs.
    pub(super) fn withdraw(&self, pools: &mut Pools, at: u64) {
        for scope in &self.scopes {
            let pool = pools.at(scope);
            for uid in self.resources.keys() {
                pool.remove(uid, at);
            }
            if let Some(pin) = &self.pin {
                pool.unpin(pin, at);
            }
        }
    }

    /// Offers what the group is now, in place of what was offered before.
    pub(super) fn replace(
        &mut self,
        pools: &mut Pools,
        scopes: Vec<ListenerScope>,
        resources: Vec<Arc<Encoded>>,
        connector: Arc<Encoded>,
        at: u64,
    ) {
        if self.scopes != scopes {
            self.withdraw(pools, at);
            *self = Offer {
                scopes,
                ..Offer::default()
            };
        }
        // The new connector before the old one goes, so that one used by both is not removed in between.
        if self.pin.as_deref() != Some(&*connector.uid) {
            let old = self.pin.replace(connector.uid.clone());
            for scope in &self.scopes {
                let pool = pools.at(scope);
                pool.pin(connector.clone(), at);
                if let Some(old) = &old {
                    pool.unpin(old, at);
                }
            }
        }
        let mut gone = std::mem::take(&mut self.resources);
        for resource in resources {
            if gone.remove(&resource.uid) != Some(resource.revision) {
                for scope in &self.scopes {
                    pools.at(scope).put(resource.clone(), at);
                }
            }
            self.resources
                .insert(resource.uid.clone(), resource.revision);
        }
        for uid in gone.into_keys() {
            for scope in &self.scopes {
                pools.at(scope).remove(&uid, at);
            }
        }
    }
}
