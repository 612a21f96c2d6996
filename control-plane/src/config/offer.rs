//! What a pool has been offered of one group, so that the next offer is only the difference.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hookplane_proto::v1;

use super::pool::Pool;

/// All pools, and from when on the history of one made now is whole.
pub(super) struct Pools<'a> {
    pub(super) pools: &'a mut HashMap<String, Pool>,
    pub(super) horizon: u64,
}

/// What a pool was offered of one group.
#[derive(Default)]
pub(super) struct Offer {
    pool: String,
    resources: BTreeMap<String, u64>,
    pin: Option<String>,
}

impl Offer {
    /// The group is no longer the pool's.
    pub(super) fn withdraw(&self, pools: &mut HashMap<String, Pool>, at: u64) {
        let Some(pool) = pools.get_mut(&self.pool) else {
            return;
        };
        for uid in self.resources.keys() {
            pool.remove(uid, at);
        }
        if let Some(pin) = &self.pin {
            pool.unpin(pin, at);
        }
    }

    /// Offers what the group is now, in place of what was offered before.
    pub(super) fn replace(
        &mut self,
        pools: Pools<'_>,
        pool_name: String,
        resources: Vec<Arc<v1::ConfigResource>>,
        connector: Option<Arc<v1::ConfigResource>>,
        at: u64,
    ) {
        if self.pool != pool_name {
            self.withdraw(pools.pools, at);
            *self = Offer {
                pool: pool_name.clone(),
                ..Offer::default()
            };
        }
        let horizon = pools.horizon;
        let pool = pools
            .pools
            .entry(pool_name)
            .or_insert_with(|| Pool::new(horizon));
        // The new connector before the old one goes, so that one used by both is not removed in between.
        let pin = connector.as_ref().map(|c| c.uid.clone());
        if pin != self.pin {
            if let Some(connector) = connector {
                pool.pin(connector, at);
            }
            if let Some(old) = self.pin.take() {
                pool.unpin(&old, at);
            }
            self.pin = pin;
        }
        let mut gone = std::mem::take(&mut self.resources);
        for resource in resources {
            if gone.remove(&resource.uid) != Some(resource.revision) {
                pool.put(resource.clone(), at);
            }
            self.resources
                .insert(resource.uid.clone(), resource.revision);
        }
        for uid in gone.into_keys() {
            pool.remove(&uid, at);
        }
    }
}
