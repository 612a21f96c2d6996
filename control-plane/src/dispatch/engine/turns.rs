//! Who may send next, of all destinations of all orgs.
//!
//! So many requests are under way at a time, so many of one org's, and half of all, and of an org's, may be any destination's second or later
//! one: destinations that are slow hold what they hold, and each other still gets its first. What is given back goes to the orgs in turn, and
//! within an org to whoever waited longest.
//!
//! The bytes of the events under way are shared out the same way, before they are leased: nobody waits in line for them, but looks again. What
//! is mapped of them is added as it is made.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Requests under way on this replica.
const ALL: usize = 1_024;
/// Of those, what isn't somebody's first.
const MORE: usize = ALL / 2;
/// Of one org.
const PER_ORG: usize = ALL / 4;
/// Of those, what isn't somebody's first.
const MORE_PER_ORG: usize = PER_ORG / 2;

/// Of events that are being delivered, and of their records.
const ALL_BYTES: usize = 256 * 1024 * 1024;
/// Of one org.
const ORG_BYTES: usize = ALL_BYTES / 4;

/// See the module.
#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: usize,
    more: usize,
    bytes: usize,
    orgs: HashMap<String, Org>,
    /// Orgs with somebody who waits, in turn.
    turns: VecDeque<String>,
}

#[derive(Default)]
struct Org {
    under_way: usize,
    more_under_way: usize,
    bytes: usize,
    first: VecDeque<oneshot::Sender<Turn>>,
    more: VecDeque<oneshot::Sender<Turn>>,
}

/// One request may be under way. Given back when it is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    org: String,
    more: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let given = {
            let mut state = self.turns.lock();
            state.all -= 1;
            state.more -= usize::from(self.more);
            if let Some(org) = state.orgs.get_mut(&self.org) {
                org.under_way -= 1;
                org.more_under_way -= usize::from(self.more);
            }
            state.tidy(&self.org);
            self.turns.give(&mut state)
        };
        // Not under the lock: one that nobody waits for any more comes back here.
        for (waits, turn) in given {
            drop(waits.send(turn));
        }
    }
}

/// Bytes of events and records in memory. Given back when it is dropped.
pub(super) struct Weight {
    turns: Arc<Turns>,
    org: String,
    bytes: usize,
}

impl Weight {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// So much of it by itself. What was larger than was thought is added.
    pub(super) fn split(&mut self, bytes: usize) -> Self {
        let missing = bytes.saturating_sub(self.bytes);
        self.bytes -= bytes - missing;
        if missing > 0 {
            self.turns.lock().weigh(&self.org, missing);
        }
        Self {
            turns: Arc::clone(&self.turns),
            org: self.org.clone(),
            bytes,
        }
    }

    /// At least so much of it from now on. Says whether there was room; where there wasn't it is added all the same, for it is there.
    pub(super) fn cover(&mut self, bytes: usize) -> bool {
        let missing = bytes.saturating_sub(self.bytes);
        self.bytes += missing;
        let mut state = self.turns.lock();
        state.weigh(&self.org, missing);
        missing == 0 || state.room(&self.org, 1).is_some()
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.bytes -= self.bytes;
        if let Some(org) = state.orgs.get_mut(&self.org) {
            org.bytes -= self.bytes;
        }
        state.tidy(&self.org);
    }
}

impl State {
    fn weigh(&mut self, org: &str, bytes: usize) {
        self.bytes += bytes;
        self.orgs.entry(org.to_owned()).or_default().bytes += bytes;
    }

    /// Bytes that are left to the org, of all and of its own, each divided by `share`. None: more than that is there.
    fn room(&self, org: &str, share: usize) -> Option<usize> {
        let of_org = self.orgs.get(org).map_or(0, |org| org.bytes);
        let left = (ALL_BYTES / share).checked_sub(self.bytes)?;
        Some(left.min((ORG_BYTES / share).checked_sub(of_org)?))
    }

    fn may(&self, org: &str, more: bool) -> bool {
        let of = self.orgs.get(org);
        let (of_org, more_of_org) = of.map_or((0, 0), |org| (org.under_way, org.more_under_way));
        let may = self.all < ALL && of_org < PER_ORG;
        may && (!more || (self.more < MORE && more_of_org < MORE_PER_ORG))
    }

    fn take(&mut self, org: &str, more: bool) {
        self.all += 1;
        self.more += usize::from(more);
        let org = self.orgs.entry(org.to_owned()).or_default();
        org.under_way += 1;
        org.more_under_way += usize::from(more);
    }

    /// Orgs that have nothing under way and nobody waiting are not remembered.
    fn tidy(&mut self, org: &str) {
        let idle = self.orgs.get(org).is_some_and(|org| {
            org.under_way == 0 && org.bytes == 0 && org.first.is_empty() && org.more.is_empty()
        });
        if idle {
            self.orgs.remove(org);
        }
    }
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of all that is under way.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Waits for a turn of this org's. `more`: the destination has a request under way already.
    pub(super) async fn take(self: &Arc<Self>, org: &str, more: bool) -> Turn {
        loop {
            let given = {
                let mut state = self.lock();
                if state.may(org, more) {
                    return self.begin(&mut state, org, more);
                }
                let (give, given) = oneshot::channel();
                if !state.turns.iter().any(|one| one == org) {
                    state.turns.push_back(org.to_owned());
                }
                let waiting = state.orgs.entry(org.to_owned()).or_default();
                let queue = if more {
                    &mut waiting.more
                } else {
                    &mut waiting.first
                };
                queue.push_back(give);
                given
            };
            if let Ok(turn) = given.await {
                return turn;
            }
        }
    }

    /// One, if there is one at once. Whoever waits couldn't take it: what is given back is offered to them first.
    pub(super) fn try_take(self: &Arc<Self>, org: &str, more: bool) -> Option<Turn> {
        let mut state = self.lock();
        state
            .may(org, more)
            .then(|| self.begin(&mut state, org, more))
    }

    /// Room for events of this org's: at most `wanted` bytes, and none where there aren't `least`. `more`: the destination has a request under
    /// way already, and half of all is left to those that have none.
    pub(super) fn weigh(
        self: &Arc<Self>,
        org: &str,
        wanted: usize,
        least: usize,
        more: bool,
    ) -> Option<Weight> {
        let mut state = self.lock();
        let left = state.room(org, 1 + usize::from(more)).unwrap_or(0);
        let bytes = wanted.min(left);
        if bytes < least {
            return None;
        }
        state.weigh(org, bytes);
        Some(Weight {
            turns: Arc::clone(self),
            org: org.to_owned(),
            bytes,
        })
    }

    fn begin(self: &Arc<Self>, state: &mut State, org: &str, more: bool) -> Turn {
        state.take(org, more);
        Turn {
            turns: Arc::clone(self),
            org: org.to_owned(),
            more,
        }
    }

    /// What is free, to those who wait.
    fn give(self: &Arc<Self>, state: &mut State) -> Vec<(oneshot::Sender<Turn>, Turn)> {
        let mut given = Vec::new();
        let mut place = 0;
        // Who can't be served keeps its place; who was goes behind all others.
        while let Some(name) = state.turns.get(place).cloned() {
            let (first, more) = (state.may(&name, false), state.may(&name, true));
            let Some(org) = state.orgs.get_mut(&name) else {
                state.turns.remove(place);
                continue;
            };
            // Those that gave up waiting are passed over.
            org.first.retain(|waits| !waits.is_closed());
            org.more.retain(|waits| !waits.is_closed());
            let next = if first && !org.first.is_empty() {
                org.first.pop_front().map(|waits| (waits, false))
            } else if more {
                org.more.pop_front().map(|waits| (waits, true))
            } else {
                None
            };
            let waits_still = !org.first.is_empty() || !org.more.is_empty();
            let is_served = next.is_some();
            if let Some((waits, is_more)) = next {
                given.push((waits, self.begin(state, &name, is_more)));
            }
            if waits_still && !is_served {
                place += 1;
                continue;
            }
            state.turns.remove(place);
            if waits_still {
                state.turns.push_back(name);
            } else {
                state.tidy(&name);
            }
        }
        given
    }
}

#[cfg(test)]
mod tests;
