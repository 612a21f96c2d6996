//! What listeners turned away lately, and what was genuine and not kept, for operators: bounded rings in memory, not a log. Never a body,
//! never a credential.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use hookplane_proto::v1;
use hookplane_rules::Timestamp;

/// Refusals remembered in all.
const MAX: usize = 10_000;
/// Remembered of one group, or of the requests that led to none: a flood on one URL doesn't wash the others out.
const MAX_PER_GROUP: usize = 1_000;
/// The same of what was not kept. Examples: it is counted in full.
const MAX_NOT_KEPT: usize = 5_000;
const MAX_NOT_KEPT_PER_GROUP: usize = 50;
/// Of one text, in characters.
const TEXT_CHARS: usize = 512;
/// Header names of one refusal.
const HEADER_NAMES: usize = 100;
/// Webhooks whose clause one of what was not kept shows.
pub(super) const VERDICTS: usize = 50;

/// A ring.
pub struct Refusals {
    max: usize,
    max_per_group: usize,
    ring: Mutex<Ring>,
}

/// In the order they came, by a number that only grows.
#[derive(Default)]
struct Ring {
    next: u64,
    all: BTreeMap<u64, Remembered>,
    /// By the group's uid; empty for those that led to no group. A name used again is another group.
    of_group: HashMap<String, VecDeque<u64>>,
}

struct Remembered {
    group_uid: String,
    refusal: v1::Refusal,
}

impl Ring {
    /// The oldest of a group goes.
    fn forget_oldest_of(&mut self, group_uid: &str) {
        let Some(of_group) = self.of_group.get_mut(group_uid) else {
            return;
        };
        if let Some(oldest) = of_group.pop_front() {
            self.all.remove(&oldest);
        }
        if of_group.is_empty() {
            self.of_group.remove(group_uid);
        }
    }

    fn push(&mut self, group_uid: &str, refusal: v1::Refusal, max: usize, max_per_group: usize) {
        if self.of_group.get(group_uid).map_or(0, VecDeque::len) >= max_per_group {
            self.forget_oldest_of(group_uid);
        }
        if self.all.len() >= max
            && let Some((_, oldest)) = self.all.first_key_value()
        {
            // The oldest of all is the oldest of its group.
            let group_uid = oldest.group_uid.clone();
            self.forget_oldest_of(&group_uid);
        }
        let remembered = Remembered {
            group_uid: group_uid.to_owned(),
            refusal,
        };
        self.all.insert(self.next, remembered);
        self.of_group
            .entry(group_uid.to_owned())
            .or_default()
            .push_back(self.next);
        self.next += 1;
    }
}

impl Default for Refusals {
    fn default() -> Self {
        Self::new()
    }
}

impl Refusals {
    /// For what was turned away.
    pub fn new() -> Self {
        Self::bounded(MAX, MAX_PER_GROUP)
    }

    /// For what was not kept.
    pub fn not_kept() -> Self {
        Self::bounded(MAX_NOT_KEPT, MAX_NOT_KEPT_PER_GROUP)
    }

    fn bounded(max: usize, max_per_group: usize) -> Self {
        Self {
            max,
            max_per_group,
            ring: Mutex::default(),
        }
    }

    /// Remembers one, cut to size. `group_uid`: of the group that it names; empty when it led to none.
    pub fn push(&self, group_uid: &str, mut refusal: v1::Refusal) {
        for text in [
            &mut refusal.org,
            &mut refusal.group,
            &mut refusal.clause,
            &mut refusal.reason,
            &mut refusal.method,
            &mut refusal.listener,
            &mut refusal.remote_address,
            &mut refusal.event_type,
            &mut refusal.delivery_id,
        ] {
            cut(text);
        }
        refusal.header_names.truncate(HEADER_NAMES);
        refusal.header_names.iter_mut().for_each(cut);
        refusal.verdicts.truncate(VERDICTS);
        for verdict in &mut refusal.verdicts {
            cut(&mut verdict.reason);
        }
        self.ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(group_uid, refusal, self.max, self.max_per_group);
    }

    /// Of one group, newest first.
    pub fn of_group(&self, group_uid: &str, limit: usize) -> Vec<v1::Refusal> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = ring.of_group.get(group_uid).into_iter().flatten().rev();
        numbers
            .filter_map(|number| ring.all.get(number))
            .take(limit)
            .map(|remembered| remembered.refusal.clone())
            .collect()
    }

    /// Of one org, newest first. None means any, and also those that led to no group. What came before `since` was another org's, of the same
    /// name.
    pub fn of_org(
        &self,
        org: Option<&str>,
        since: Option<Timestamp>,
        limit: usize,
    ) -> Vec<v1::Refusal> {
        let early = |refusal: &v1::Refusal| {
            let time = refusal.time.as_ref().map(hookplane_rules::time::from_wire);
            since.is_some_and(|since| time.unwrap_or_default() < since)
        };
        self.ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .all
            .values()
            .rev()
            .filter(|remembered| org.is_none_or(|org| remembered.refusal.org == org))
            .filter(|remembered| !early(&remembered.refusal))
            .take(limit)
            .map(|remembered| remembered.refusal.clone())
            .collect()
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TEXT_CHARS) {
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(org: &str, group: &str, reason: &str) -> v1::Refusal {
        v1::Refusal {
            org: org.to_owned(),
            group: group.to_owned(),
            reason: reason.to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn a_flood_on_one_group_leaves_the_others_refusals() {
        let refusals = Refusals::new();
        refusals.push("quiet-uid", refusal("acme", "quiet", "kept"));
        for _ in 0..MAX_PER_GROUP + 10 {
            refusals.push("loud-uid", refusal("acme", "loud", "flood"));
        }
        assert_eq!(refusals.of_group("quiet-uid", 10).len(), 1);
        assert_eq!(
            refusals.of_group("loud-uid", usize::MAX).len(),
            MAX_PER_GROUP
        );
    }

    #[test]
    fn the_oldest_of_all_goes_when_all_groups_together_are_too_many() {
        let refusals = Refusals::new();
        for n in 0..MAX + 5 {
            let group = format!("g{}", n % 20);
            refusals.push(&group, refusal("acme", &group, &n.to_string()));
        }
        let all = refusals.of_org(None, None, usize::MAX);
        assert_eq!(all.len(), MAX);
        assert_eq!(all[0].reason, (MAX + 4).to_string());
        assert_eq!(all[MAX - 1].reason, "5");
        let ring = refusals.ring.lock().unwrap();
        let in_groups: usize = ring.of_group.values().map(VecDeque::len).sum();
        assert_eq!(in_groups, ring.all.len());
    }

    #[test]
    fn an_org_sees_its_own_and_never_those_of_no_org() {
        let refusals = Refusals::new();
        refusals.push("", refusal("", "", "unknown path"));
        refusals.push("g1", refusal("acme", "g", "first"));
        refusals.push("g1", refusal("acme", "g", "second"));
        refusals.push("g2", refusal("other", "g", "not yours"));
        let seen: Vec<String> = refusals
            .of_org(Some("acme"), None, 10)
            .into_iter()
            .map(|r| r.reason)
            .collect();
        assert_eq!(seen, ["second", "first"]);
        assert_eq!(refusals.of_org(None, None, 10).len(), 4);
    }

    // Promise 8: a name used again is another group.
    #[test]
    fn a_group_does_not_see_what_was_turned_away_from_one_of_its_name_before() {
        let refusals = Refusals::new();
        refusals.push("before", refusal("acme", "g", "of the one before"));
        assert!(refusals.of_group("after", 10).is_empty());
    }

    #[test]
    fn of_what_was_not_kept_a_group_has_fewer() {
        let ring = Refusals::not_kept();
        for _ in 0..MAX_PER_GROUP {
            ring.push("g", refusal("acme", "g", "event not registered: `x`"));
        }
        assert_eq!(ring.of_group("g", usize::MAX).len(), MAX_NOT_KEPT_PER_GROUP);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let refusals = Refusals::new();
        refusals.push("g", refusal("a", "g", &"ä".repeat(5_000)));
        assert_eq!(
            refusals.of_group("g", 1)[0].reason.chars().count(),
            TEXT_CHARS
        );
    }
}
