//! What the listeners of one scope at this replica run, kept up with each change of one of them: thousands answer one push within
//! milliseconds, and what is told of them all is asked for in between.

use std::collections::{BTreeMap, BTreeSet};

use super::Listener;
use super::record::{Runs, Summary};

#[derive(Default)]
pub(super) struct Scoped {
    connected: u32,
    ready: u32,
    /// How many run each, by revision and digest.
    runs: BTreeMap<(u64, u64), u32>,
    /// Of those that are ready: how many run each revision.
    ready_at: BTreeMap<u64, u32>,
    /// Those that refused something.
    refusing: BTreeSet<u64>,
}

impl Scoped {
    pub(super) fn add(&mut self, id: u64, listener: &Listener) {
        let Runs { revision, digest } = listener.runs;
        self.connected += 1;
        *self.runs.entry((revision, digest)).or_default() += 1;
        if listener.ready {
            self.ready += 1;
            *self.ready_at.entry(revision).or_default() += 1;
        }
        if !listener.problems.is_empty() {
            self.refusing.insert(id);
        }
    }

    /// As it was when it was added.
    pub(super) fn take_out(&mut self, id: u64, listener: &Listener) {
        let Runs { revision, digest } = listener.runs;
        self.connected -= 1;
        one_less(&mut self.runs, (revision, digest));
        if listener.ready {
            self.ready -= 1;
            one_less(&mut self.ready_at, revision);
        }
        self.refusing.remove(&id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connected == 0
    }

    /// Without its scope and what was refused.
    pub(super) fn summary(&self) -> Summary {
        let alike = match (self.runs.len(), self.runs.first_key_value()) {
            (1, Some(((revision, digest), _))) if *revision > 0 => Some(Runs {
                revision: *revision,
                digest: *digest,
            }),
            _ => None,
        };
        Summary {
            connected: self.connected,
            ready: self.ready,
            lowest: self.ready_at.keys().next().copied().unwrap_or_default(),
            alike,
            ..Summary::default()
        }
    }

    pub(super) fn refusing(&self) -> impl Iterator<Item = &u64> {
        self.refusing.iter()
    }
}

fn one_less<K: Ord>(counts: &mut BTreeMap<K, u32>, of: K) {
    if let std::collections::btree_map::Entry::Occupied(mut count) = counts.entry(of) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hookplane_proto::v1;
    use hookplane_rules::Timestamp;

    use super::super::{Connected, Fleet, Inner};
    use super::*;
    use crate::config::ListenerScope;

    fn connect(fleet: &Arc<Fleet>, name: u64, scope: &ListenerScope) -> Connected {
        let hello = v1::ConfigHello {
            listener: format!("l{name}"),
            boot: format!("boot {}", name % 7),
            ..Default::default()
        };
        fleet.connect(&hello, scope, Timestamp(0))
    }

    /// From each listener, as if nothing was kept up.
    fn counted(inner: &Inner, scope: &ListenerScope) -> (u32, u32, u64, Option<Runs>, usize) {
        let all: Vec<&Listener> = inner
            .listeners
            .values()
            .filter(|listener| listener.scope == *scope)
            .collect();
        let ready: Vec<&&Listener> = all.iter().filter(|listener| listener.ready).collect();
        let first = all.first().map(|listener| listener.runs);
        let alike = first.filter(|first| {
            first.revision > 0 && all.iter().all(|listener| listener.runs == *first)
        });
        let refused: BTreeSet<&String> = ready
            .iter()
            .flat_map(|listener| listener.problems.keys())
            .collect();
        (
            all.len() as u32,
            ready.len() as u32,
            ready.iter().map(|l| l.runs.revision).min().unwrap_or(0),
            alike,
            refused.len(),
        )
    }

    #[test]
    fn what_is_kept_up_is_what_counting_all_listeners_says() {
        let fleet = Arc::new(Fleet::new());
        let scopes = [None, Some("acme")].map(|org| ListenerScope::new(org, "default"));
        let mut here: Vec<Connected> = Vec::new();
        let mut random = 7u64;
        let mut next = |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % below
        };
        for _ in 0..3_000 {
            let place = next(here.len().max(1) as u64) as usize;
            match (next(6), here.get(place)) {
                (0 | 1, _) | (_, None) => {
                    here.push(connect(&fleet, next(12), &scopes[next(2) as usize]));
                }
                (2, Some(_)) => drop(here.swap_remove(place)),
                (3, Some(listener)) => listener.ready(next(3) > 0),
                (_, Some(listener)) => {
                    let refused = v1::ConfigError {
                        uid: format!("uid {}", next(3)),
                        ..Default::default()
                    };
                    let refused = (next(4) == 0).then_some(refused).into_iter().collect();
                    listener.applied((next(3), next(2)), None, refused);
                }
            }
            let inner = fleet.lock();
            for scope in &scopes {
                let summary = inner.summary(scope);
                let kept = (
                    summary.connected,
                    summary.ready,
                    summary.lowest,
                    summary.alike,
                    summary.problems.len(),
                );
                assert_eq!(kept, counted(&inner, scope));
            }
            let runs: usize = inner.by_run.values().map(BTreeSet::len).sum();
            assert_eq!(runs, inner.listeners.len());
        }
        drop(here);
        let inner = fleet.lock();
        assert!(inner.scopes.is_empty() && inner.by_run.is_empty());
    }
}
