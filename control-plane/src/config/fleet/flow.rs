//! How much each listener handed over of late, as the replicas count it that its report streams lead to.
//!
//! ```text
//!   report streams ─▶ here, by run: twelve slots of 5 s ─┬─▶ `get listeners`, added up ◀── what the others told
//!                                                        └─▶ `fleet/REPLICA/flow`, every 10 s where something came
//! ```
//!
//! A listener reports to two replicas and has its config stream with a third, so each tells the others what it counted. What is quiet takes
//! no room and isn't told.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookplane_proto::v1;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::record::{Counted, Part};
use crate::config::ListenerScope;
use crate::keys;

const SLOT: Duration = Duration::from_secs(5);
/// A minute.
const SLOTS: usize = 12;
/// Runs of listeners that are counted at a time; those that handed over nothing for a minute make room. More than the largest fleet has, and
/// some 300 KB where all are told.
const MAX_RUNS: usize = 16_384;

/// One run of one listener, as counts name it: what it says of itself, of any length, and its scope, so that nobody counts for another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RunId(u64);

impl RunId {
    pub(crate) fn of(scope: &ListenerScope, name: &str, boot: &str) -> Self {
        let org = scope.org.as_deref().unwrap_or(keys::INSTALLATION_WIDE);
        let mut hash = Sha256::new();
        for text in [org, &*scope.pool, name, boot] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        let digest: [u8; 32] = hash.finalize().into();
        Self(
            digest[..8]
                .iter()
                .fold(0, |id, byte| id << 8 | u64::from(*byte)),
        )
    }
}

/// What was counted of one in the last minute.
pub(crate) type Sum = v1::ListenerThroughput;

/// What this replica counts.
pub(super) struct Flow {
    began: Instant,
    runs: Mutex<HashMap<RunId, [Slot; SLOTS]>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Which of all since the beginning it holds, from 1.
    at: u64,
    sum: Sum,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            runs: Mutex::default(),
        }
    }
}

impl Flow {
    pub(super) fn count(&self, run: RunId, sum: Sum, now: Instant) {
        if sum == Sum::default() {
            return;
        }
        let at = self.at(now);
        let mut runs = self.lock();
        if runs.len() >= MAX_RUNS && !runs.contains_key(&run) {
            runs.retain(|_, slots| added(slots, at) != Sum::default());
            if runs.len() >= MAX_RUNS {
                return;
            }
        }
        let slots = runs.entry(run).or_default();
        let slot = &mut slots[(at % SLOTS as u64) as usize];
        if slot.at != at {
            *slot = Slot {
                at,
                sum: Sum::default(),
            };
        }
        slot.sum = plus(slot.sum, sum);
    }

    pub(super) fn of(&self, run: RunId, now: Instant) -> Sum {
        let runs = self.lock();
        runs.get(&run)
            .map(|slots| added(slots, self.at(now)))
            .unwrap_or_default()
    }

    /// Of all that handed over something, for the others. What is over is forgotten.
    pub(super) fn told(&self, now: Instant) -> Part {
        let at = self.at(now);
        let mut counted = Vec::new();
        self.lock().retain(|RunId(run), slots| {
            let Sum { accepted, refused } = added(slots, at);
            if accepted + refused > 0 {
                counted.push(Counted {
                    run: *run,
                    accepted,
                    refused,
                });
            }
            accepted + refused > 0
        });
        // The same is written the same.
        counted.sort_by_key(|counted| counted.run);
        Part {
            counted,
            ..Part::default()
        }
    }

    fn at(&self, now: Instant) -> u64 {
        1 + now.duration_since(self.began).as_secs() / SLOT.as_secs()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, [Slot; SLOTS]>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn added(slots: &[Slot; SLOTS], at: u64) -> Sum {
    let recent = slots.iter().filter(|slot| slot.at + SLOTS as u64 > at);
    recent.fold(Sum::default(), |sum, slot| plus(sum, slot.sum))
}

pub(super) fn plus(one: Sum, other: Sum) -> Sum {
    Sum {
        accepted: one.accepted.saturating_add(other.accepted),
        refused: one.refused.saturating_add(other.refused),
    }
}

/// By what the replica's own word calls each.
pub(super) fn by_run(part: Part) -> HashMap<RunId, Sum> {
    let counted = part.counted.into_iter().take(MAX_RUNS);
    counted
        .map(|one| {
            let Counted {
                run,
                accepted,
                refused,
            } = one;
            (RunId(run), Sum { accepted, refused })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str) -> RunId {
        RunId::of(&ListenerScope::new(None, "default"), name, "boot")
    }

    fn sum(accepted: u64, refused: u64) -> Sum {
        Sum { accepted, refused }
    }

    #[test]
    fn what_is_older_than_a_minute_is_over_and_takes_no_room() {
        let flow = Flow::default();
        let after = |seconds| flow.began + Duration::from_secs(seconds);
        flow.count(run("a"), sum(3, 1), after(0));
        flow.count(run("a"), sum(2, 0), after(30));
        flow.count(run("b"), sum(0, 1), after(30));
        flow.count(run("c"), sum(0, 0), after(30));
        assert_eq!(flow.of(run("a"), after(59)), sum(5, 1));
        assert_eq!(flow.of(run("a"), after(60)), sum(2, 0));
        assert_eq!(flow.told(after(60)).counted.len(), 2);
        assert_eq!(flow.of(run("a"), after(3_600)), sum(0, 0));
        assert!(flow.told(after(3_600)).counted.is_empty());
        assert!(flow.lock().is_empty());
        // A slot that is used again begins at nothing.
        flow.count(run("a"), sum(1, 1), after(3_600));
        assert_eq!(flow.of(run("a"), after(3_600)), sum(1, 1));
    }

    #[test]
    fn runs_that_are_over_take_a_bounded_room() {
        let flow = Flow::default();
        for n in 0..MAX_RUNS + 10 {
            flow.count(run(&n.to_string()), sum(1, 0), flow.began);
        }
        assert_eq!(flow.lock().len(), MAX_RUNS);
        // A minute later there is room again.
        let later = flow.began + Duration::from_secs(60);
        flow.count(run("new"), sum(1, 0), later);
        assert_eq!(flow.of(run("new"), later), sum(1, 0));
    }

    // Promise 8: what one org's listener says of itself can't be taken for another's word.
    #[test]
    fn a_run_of_one_orgs_listener_is_no_run_of_anothers() {
        let of = |org, pool, name| RunId::of(&ListenerScope::new(org, pool), name, "b");
        assert_eq!(of(Some("acme"), "edge", "l"), of(Some("acme"), "edge", "l"));
        assert_ne!(
            of(Some("acme"), "edge", "l"),
            of(Some("other"), "edge", "l")
        );
        assert_ne!(of(Some("acme"), "edge", "l"), of(None, "edge", "l"));
        assert_ne!(of(None, "ed", "gel"), of(None, "edge", "l"));
    }
}
