//! The listeners that are connected, and what each of them runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use tokio::sync::watch;

use super::ListenerScope;
use crate::report::{Counts, Refusals};

/// What is known at a time of what one listener refused: it names resources as it likes.
const MAX_PROBLEMS: usize = 1_000;

/// All connected listeners, and what they turned away.
pub struct Fleet {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
    refusals: Refusals,
    not_kept: Refusals,
    counts: Counts,
}

#[derive(Default)]
struct Inner {
    next: u64,
    listeners: BTreeMap<u64, Listener>,
}

struct Listener {
    name: String,
    boot: String,
    scope: ListenerScope,
    software_version: String,
    ready: bool,
    revision: u64,
    /// Of what it runs at that revision.
    digest: u64,
    /// What it refused, by uid.
    problems: BTreeMap<String, v1::ConfigError>,
    connected: Timestamp,
}

/// A listener's place in the fleet. Dropping it takes the listener out.
pub struct Connected {
    fleet: Arc<Fleet>,
    id: u64,
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

impl Fleet {
    /// An empty fleet.
    pub fn new() -> Self {
        Self {
            inner: Mutex::default(),
            changed: watch::Sender::new(0),
            refusals: Refusals::new(),
            not_kept: Refusals::not_kept(),
            counts: Counts::default(),
        }
    }

    /// A listener has said hello. One of the same run that is still here is a stream that broke unnoticed, and makes way.
    pub fn connect(
        self: &Arc<Self>,
        hello: &v1::ConfigHello,
        scope: &ListenerScope,
        now: Timestamp,
    ) -> Connected {
        let id = self.change(|inner| {
            inner.listeners.retain(|_, l| {
                let same = l.boot == hello.boot && l.name == hello.listener && l.scope == *scope;
                !same || hello.boot.is_empty()
            });
            inner.next += 1;
            inner.listeners.insert(
                inner.next,
                Listener {
                    name: hello.listener.clone(),
                    boot: hello.boot.clone(),
                    scope: scope.clone(),
                    software_version: hello.software_version.clone(),
                    ready: false,
                    revision: 0,
                    digest: 0,
                    problems: BTreeMap::new(),
                    connected: now,
                },
            );
            inner.next
        });
        Connected {
            fleet: self.clone(),
            id,
        }
    }

    /// Whether every ready listener that serves this org in this pool runs this resource at this revision or a later one.
    pub fn live(&self, org: &str, pool: &str, uid: &str, revision: u64) -> v1::Live {
        let inner = self.lock();
        let mut live = v1::Live::default();
        let mut behind = false;
        for listener in inner.listeners.values() {
            if !listener.scope.serves(org, pool) || !listener.ready {
                continue;
            }
            live.connected += 1;
            behind |= listener.revision < revision;
            if let Some(problem) = listener.problems.get(uid) {
                live.problems
                    .push(format!("{}: {}", listener.name, problem.reason));
            }
        }
        live.applied = live.connected > 0 && !behind && live.problems.is_empty();
        live
    }

    /// Told of every change, so that a caller can wait for what it applied to be live.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// An org's own, or all of them, in order of pool and name. Those that serve many orgs are the operator's, and what they say of one org is
    /// no other's to read. One whose digest is what its pool is `offered` now runs what the store has, whatever was written there since that is
    /// none of its business.
    pub fn listeners(
        &self,
        org: Option<&str>,
        store_revision: u64,
        offered: impl Fn(&ListenerScope) -> u64,
    ) -> Vec<v1::Listener> {
        let mut all: Vec<v1::Listener> = self
            .lock()
            .listeners
            .values()
            .filter(|l| org.is_none() || l.scope.org.as_deref() == org)
            .map(|l| v1::Listener {
                name: l.name.clone(),
                boot: l.boot.clone(),
                pool: l.scope.pool.to_string(),
                software_version: l.software_version.clone(),
                ready: l.ready,
                revision: if l.revision > 0 && l.digest == offered(&l.scope) {
                    l.revision.max(store_revision)
                } else {
                    l.revision
                },
                store_revision,
                problems: l.problems.values().cloned().collect(),
                connect_time: Some(hookplane_rules::time::to_wire(l.connected)),
            })
            .collect();
        all.sort_by(|a, b| (&a.pool, &a.name).cmp(&(&b.pool, &b.name)));
        all
    }

    /// What listeners turned away lately.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Examples of what was genuine and not kept lately.
    pub fn not_kept(&self) -> &Refusals {
        &self.not_kept
    }

    /// What listeners counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let done = change(&mut self.lock());
        self.changed.send_modify(|n| *n += 1);
        done
    }
}

impl Connected {
    /// It serves, or has begun to drain.
    pub fn ready(&self, ready: bool) {
        self.update(|l| l.ready = ready);
    }

    /// It runs `revision`, except what it refused. `pushed`: what it was sent; none means everything it has.
    pub fn applied(
        &self,
        (revision, digest): (u64, u64),
        pushed: Option<&[Arc<str>]>,
        refused: Vec<v1::ConfigError>,
    ) {
        self.update(|l| {
            (l.revision, l.digest) = (revision, digest);
            match pushed {
                None => l.problems.clear(),
                Some(uids) => uids.iter().for_each(|uid| {
                    l.problems.remove(&**uid);
                }),
            }
            for error in refused {
                if l.problems.len() < MAX_PROBLEMS || l.problems.contains_key(&error.uid) {
                    l.problems.insert(error.uid.clone(), error);
                }
            }
        });
    }

    fn update(&self, update: impl FnOnce(&mut Listener)) {
        self.fleet.change(|inner| {
            if let Some(listener) = inner.listeners.get_mut(&self.id) {
                update(listener);
            }
        });
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.fleet.change(|inner| inner.listeners.remove(&self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(fleet: &Arc<Fleet>, name: &str, pool: &str) -> Connected {
        let hello = v1::ConfigHello {
            listener: name.to_owned(),
            boot: name.to_owned(),
            ..Default::default()
        };
        fleet.connect(&hello, &ListenerScope::new(None, pool), Timestamp(0))
    }

    #[test]
    fn live_needs_a_ready_listener_and_all_ready_ones_at_the_revision() {
        let fleet = Arc::new(Fleet::new());
        assert!(!fleet.live("acme", "default", "g", 1).applied);
        let a = connect(&fleet, "a", "default");
        a.applied((5, 0), None, vec![]);
        assert!(
            !fleet.live("acme", "default", "g", 5).applied,
            "not ready yet"
        );
        a.ready(true);
        assert!(fleet.live("acme", "default", "g", 5).applied);
        let b = connect(&fleet, "b", "default");
        assert!(
            fleet.live("acme", "default", "g", 5).applied,
            "b doesn't serve yet"
        );
        b.ready(true);
        let live = fleet.live("acme", "default", "g", 5);
        assert!(!live.applied);
        assert_eq!(live.connected, 2);
        drop(b);
        assert!(fleet.live("acme", "default", "g", 5).applied);
        assert!(
            !fleet.live("acme", "other", "g", 5).applied,
            "another pool's listener"
        );
    }

    #[test]
    fn a_refused_resource_is_not_live_until_a_later_push_of_it_is_taken() {
        let fleet = Arc::new(Fleet::new());
        let a = connect(&fleet, "a", "default");
        a.ready(true);
        let refused = v1::ConfigError {
            uid: "g".to_owned(),
            revision: 6,
            reason: "no".to_owned(),
        };
        a.applied((6, 0), None, vec![refused]);
        assert_eq!(fleet.live("acme", "default", "g", 6).problems, ["a: no"]);
        a.applied((7, 0), Some(&["h".into()]), vec![]);
        assert!(!fleet.live("acme", "default", "g", 6).applied);
        assert!(fleet.live("acme", "default", "h", 7).applied);
        a.applied((8, 0), Some(&["g".into()]), vec![]);
        assert!(fleet.live("acme", "default", "g", 8).applied);
    }

    #[test]
    fn made_up_refusals_take_a_bounded_room() {
        let fleet = Arc::new(Fleet::new());
        let a = connect(&fleet, "a", "default");
        for n in 0..2 * MAX_PROBLEMS {
            let made_up = v1::ConfigError {
                uid: n.to_string(),
                ..Default::default()
            };
            a.applied((1, 0), Some(&[]), vec![made_up]);
        }
        let problems = &fleet.listeners(None, 0, |_| 0)[0].problems;
        assert_eq!(problems.len(), MAX_PROBLEMS);
    }

    #[test]
    fn the_same_run_on_a_new_stream_replaces_its_old_one() {
        let fleet = Arc::new(Fleet::new());
        let old = connect(&fleet, "a", "default");
        old.ready(true);
        let new = connect(&fleet, "a", "default");
        assert_eq!(fleet.listeners(None, 0, |_| 0).len(), 1);
        drop(old);
        assert_eq!(fleet.listeners(None, 0, |_| 0).len(), 1);
        drop(new);
        assert!(fleet.listeners(None, 0, |_| 0).is_empty());
    }
}
