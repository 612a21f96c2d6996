//! What one pool of listeners is offered: the resources, their digest, and which of them changed when.
//!
//! The history holds uids, not values: a delta brings the newest of what changed, so nothing older is worth keeping.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::digest_of;

/// Changed uids remembered for a pool. Past it a listener that was away gets a full list.
const HISTORY: usize = 20_000;

/// A whole pool, at one revision.
pub(crate) struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) digest: u64,
    pub(crate) resources: Vec<Arc<v1::ConfigResource>>,
}

/// What changed in a pool since some revision, the newest of each resource.
pub(crate) struct Delta {
    pub(crate) to: u64,
    pub(crate) digest: u64,
    pub(crate) removes: Vec<String>,
    pub(crate) upserts: Vec<Arc<v1::ConfigResource>>,
}

/// One pool.
pub(crate) struct Pool {
    members: BTreeMap<String, Arc<v1::ConfigResource>>,
    digest: u64,
    /// How many groups use a pinned connector.
    uses: HashMap<String, usize>,
    history: VecDeque<(u64, String)>,
    /// Everything that changed after it is in the history.
    horizon: u64,
    /// The newest revision of what is or was here.
    changed: u64,
}

impl Pool {
    /// An empty pool. `horizon`: from when on the history is whole.
    pub(crate) fn new(horizon: u64) -> Self {
        Self {
            members: BTreeMap::new(),
            digest: 0,
            uses: HashMap::new(),
            history: VecDeque::new(),
            horizon,
            changed: 0,
        }
    }

    /// The revision of its last change. Unlike the history it doesn't count a restart of this process as one.
    pub(crate) fn changed_at(&self) -> u64 {
        self.changed
    }

    /// Offers a resource, or a newer version of it.
    pub(crate) fn put(&mut self, resource: Arc<v1::ConfigResource>, at: u64) {
        let uid = resource.uid.clone();
        self.changed = self.changed.max(resource.revision);
        let share = digest_of(&uid, resource.revision);
        if let Some(old) = self.members.insert(uid.clone(), resource) {
            self.digest = self.digest.wrapping_sub(digest_of(&uid, old.revision));
        }
        self.digest = self.digest.wrapping_add(share);
        self.note(uid, at);
    }

    /// No longer offers it.
    pub(crate) fn remove(&mut self, uid: &str, at: u64) {
        if let Some(old) = self.members.remove(uid) {
            self.digest = self.digest.wrapping_sub(digest_of(uid, old.revision));
            self.changed = self.changed.max(at);
            self.note(uid.to_owned(), at);
        }
    }

    /// A group uses this connector.
    pub(crate) fn pin(&mut self, connector: Arc<v1::ConfigResource>, at: u64) {
        *self.uses.entry(connector.uid.clone()).or_default() += 1;
        let known = self.members.get(&connector.uid).map(|c| c.revision);
        if known != Some(connector.revision) {
            self.put(connector, at);
        }
    }

    /// A group no longer uses this connector; with the last one it goes.
    pub(crate) fn unpin(&mut self, uid: &str, at: u64) {
        let Some(uses) = self.uses.get_mut(uid) else {
            return;
        };
        *uses -= 1;
        if *uses == 0 {
            self.uses.remove(uid);
            self.remove(uid, at);
        }
    }

    /// Whether anything changed after `revision`.
    pub(crate) fn changed_after(&self, revision: u64) -> bool {
        self.history.back().is_some_and(|(at, _)| *at > revision)
    }

    pub(crate) fn snapshot(&self, revision: u64) -> Snapshot {
        Snapshot {
            revision,
            digest: self.digest,
            resources: self.members.values().cloned().collect(),
        }
    }

    /// None when `from` is before what is remembered.
    pub(crate) fn delta(&self, from: u64, to: u64) -> Option<Delta> {
        if from < self.horizon || from > to {
            return None;
        }
        let changed: BTreeSet<&String> = self
            .history
            .iter()
            .rev()
            .take_while(|(at, _)| *at > from)
            .map(|(_, uid)| uid)
            .collect();
        let mut delta = Delta {
            to,
            digest: self.digest,
            removes: Vec::new(),
            upserts: Vec::new(),
        };
        for uid in changed {
            match self.members.get(uid) {
                Some(resource) => delta.upserts.push(resource.clone()),
                None => delta.removes.push(uid.clone()),
            }
        }
        Some(delta)
    }

    fn note(&mut self, uid: String, at: u64) {
        self.history.push_back((at, uid));
        while self.history.len() > HISTORY {
            if let Some((gone, _)) = self.history.pop_front() {
                self.horizon = self.horizon.max(gone);
            }
        }
    }
}
