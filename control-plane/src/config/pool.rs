//! What one scope of listeners is offered: the resources, their digest, and which of them changed when.
//!
//! The history holds uids, not values: a delta brings the newest of what changed, so nothing older is worth keeping. A stream's place in it
//! is a count of changes rather than a revision: what an audit finds late changes no revision, and is sent all the same.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use super::encoded::Encoded;
use super::list::List;

/// Changed uids remembered for a pool. Past it a listener that was away gets a full list.
const HISTORY: usize = 20_000;

/// A whole pool, at one revision.
pub(crate) struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) digest: u64,
    pub(crate) cursor: u64,
    pub(crate) list: Arc<List>,
}

/// What changed in a pool since some place in its history, the newest of each resource.
pub(crate) struct Delta {
    pub(crate) to: u64,
    pub(crate) digest: u64,
    pub(crate) cursor: u64,
    pub(crate) removes: Vec<Arc<str>>,
    pub(crate) upserts: Vec<Arc<Encoded>>,
}

/// One pool.
pub(crate) struct Pool {
    members: BTreeMap<Arc<str>, Arc<Encoded>>,
    digest: u64,
    /// How many groups use a pinned connector.
    uses: HashMap<Arc<str>, usize>,
    history: VecDeque<(u64, Arc<str>)>,
    /// Changes that were noted and are forgotten: the first one in `history` is the one after them.
    forgotten: u64,
    /// Everything that changed after it is in the history.
    horizon: u64,
    /// Made when a listener needs it, thrown away with the next change.
    listed: OnceLock<Arc<List>>,
}

impl Pool {
    /// An empty pool. `horizon`: from when on the history is whole.
    pub(crate) fn new(horizon: u64) -> Self {
        Self {
            members: BTreeMap::new(),
            digest: 0,
            uses: HashMap::new(),
            history: VecDeque::new(),
            forgotten: 0,
            horizon,
            listed: OnceLock::new(),
        }
    }

    /// Offers a resource, or a newer version of it.
    pub(crate) fn put(&mut self, resource: Arc<Encoded>, at: u64) {
        let uid = resource.uid.clone();
        let share = resource.share;
        if let Some(old) = self.members.insert(uid.clone(), resource) {
            self.digest = self.digest.wrapping_sub(old.share);
        }
        self.digest = self.digest.wrapping_add(share);
        self.note(uid, at);
    }

    /// No longer offers it.
    pub(crate) fn remove(&mut self, uid: &str, at: u64) {
        if let Some(old) = self.members.remove(uid) {
            self.digest = self.digest.wrapping_sub(old.share);
            self.note(old.uid.clone(), at);
        }
    }

    /// A group uses this connector.
    pub(crate) fn pin(&mut self, connector: Arc<Encoded>, at: u64) {
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

    pub(crate) fn offers(&self, uid: &str) -> bool {
        self.members.contains_key(uid)
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// What changed when, in place of what was noted: told from the store at the start, before any stream has a place in it.
    pub(crate) fn remember(&mut self, mut changes: Vec<(u64, Arc<str>)>, horizon: u64) {
        changes.sort();
        self.history.clear();
        self.forgotten = 0;
        self.horizon = horizon;
        for (at, uid) in changes {
            if at > horizon {
                self.note(uid, at);
            }
        }
    }

    /// The place in the history after all that changed so far.
    pub(crate) fn cursor(&self) -> u64 {
        self.forgotten + self.history.len() as u64
    }

    /// The place after what changed up to a revision. None when that is before what is remembered.
    pub(crate) fn cursor_at(&self, revision: u64) -> Option<u64> {
        if revision < self.horizon {
            return None;
        }
        let before = self.history.partition_point(|(at, _)| *at <= revision);
        Some(self.forgotten + before as u64)
    }

    pub(crate) fn snapshot(&self, revision: u64) -> Snapshot {
        let list = self
            .listed
            .get_or_init(|| Arc::new(List::new(self.members.values().cloned().collect())));
        Snapshot {
            revision,
            digest: self.digest,
            cursor: self.cursor(),
            list: list.clone(),
        }
    }

    /// None when `cursor` is before what is remembered. Costs what changed, whatever the pool holds.
    pub(crate) fn delta(&self, cursor: u64, to: u64) -> Option<Delta> {
        let skip = usize::try_from(cursor.checked_sub(self.forgotten)?).ok()?;
        let changed: BTreeSet<&Arc<str>> = self.history.range(skip..).map(|(_, uid)| uid).collect();
        let mut delta = Delta {
            to,
            digest: self.digest,
            cursor: self.cursor(),
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

    fn note(&mut self, uid: Arc<str>, at: u64) {
        self.listed = OnceLock::new();
        // What an audit finds late is not before what was noted already.
        let at = self.history.back().map_or(at, |(last, _)| at.max(*last));
        self.history.push_back((at, uid));
        while self.history.len() > HISTORY {
            if let Some((gone, _)) = self.history.pop_front() {
                self.forgotten += 1;
                self.horizon = self.horizon.max(gone);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hookplane_proto::v1;

    use super::super::encoded::Encoder;
    use super::*;

    fn resource(uid: &str, revision: u64) -> Arc<Encoded> {
        Encoder::default().encode(&v1::ConfigResource {
            uid: uid.to_owned(),
            revision,
            ..Default::default()
        })
    }

    fn uids(delta: &Delta) -> (Vec<&str>, Vec<&str>) {
        (
            delta.upserts.iter().map(|r| &*r.uid).collect(),
            delta.removes.iter().map(|uid| &**uid).collect(),
        )
    }

    #[test]
    fn a_delta_is_the_newest_of_what_changed_since() {
        let mut pool = Pool::new(4);
        pool.put(resource("a", 5), 5);
        let seen = pool.cursor();
        assert_eq!(pool.cursor_at(5), Some(seen));
        pool.put(resource("b", 6), 6);
        pool.put(resource("b", 7), 7);
        pool.remove("a", 8);
        let delta = pool.delta(seen, 8).unwrap();
        assert_eq!(uids(&delta), (vec!["b"], vec!["a"]));
        assert_eq!(delta.digest, resource("b", 7).share);
        assert_eq!(delta.cursor, pool.cursor());
        let nothing = pool.delta(pool.cursor(), 8).unwrap();
        assert_eq!(uids(&nothing), (vec![], vec![]));
    }

    // Risk 14: what a watch lost is found at a revision that is not new.
    #[test]
    fn what_is_found_late_is_a_change_all_the_same() {
        let mut pool = Pool::new(0);
        pool.put(resource("a", 9), 9);
        let seen = pool.cursor();
        pool.put(resource("lost", 3), 9);
        assert_eq!(uids(&pool.delta(seen, 9).unwrap()).0, ["lost"]);
    }

    #[test]
    fn what_is_before_the_history_is_not_told_from_it() {
        let mut pool = Pool::new(10);
        assert_eq!(pool.cursor_at(9), None);
        assert_eq!(pool.cursor_at(10), Some(0));
        let start = pool.cursor();
        for i in 0..=HISTORY as u64 {
            pool.put(resource(&format!("uid-{i}"), i + 11), i + 11);
        }
        assert!(pool.delta(start, 99).is_none());
        assert_eq!(pool.cursor_at(10), None);
        assert_eq!(pool.cursor_at(11), Some(1));
    }
}
