//! What listeners turned away lately, for operators: a bounded ring in memory, not a log. Never a body, never a credential.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hookplane_proto::v1;

/// Remembered in all.
const MAX: usize = 10_000;
/// Remembered of one group, or of the requests that led to none: a flood on one URL doesn't wash the others out.
const MAX_PER_GROUP: usize = 1_000;
/// Of one text, in characters.
const TEXT_CHARS: usize = 512;
/// Header names of one refusal.
const HEADER_NAMES: usize = 100;

/// The ring.
pub struct Refusals {
    ring: Mutex<VecDeque<v1::Refusal>>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self::new()
    }
}

impl Refusals {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            ring: Mutex::default(),
        }
    }

    /// Remembers one, cut to size.
    pub fn push(&self, mut refusal: v1::Refusal) {
        for text in [
            &mut refusal.org,
            &mut refusal.group,
            &mut refusal.clause,
            &mut refusal.reason,
            &mut refusal.method,
            &mut refusal.listener,
            &mut refusal.remote_address,
        ] {
            cut(text);
        }
        refusal.header_names.truncate(HEADER_NAMES);
        refusal.header_names.iter_mut().for_each(cut);
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |r: &v1::Refusal| r.org == refusal.org && r.group == refusal.group;
        if ring.iter().filter(|r| same(r)).count() >= MAX_PER_GROUP
            && let Some(oldest) = ring.iter().position(same)
        {
            ring.remove(oldest);
        }
        if ring.len() >= MAX {
            ring.pop_front();
        }
        ring.push_back(refusal);
    }

    /// Newest first. None means any; without an org, also those that led to no group.
    pub fn list(&self, org: Option<&str>, group: Option<&str>, limit: usize) -> Vec<v1::Refusal> {
        self.ring
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .rev()
            .filter(|r| org.is_none_or(|org| r.org == org))
            .filter(|r| group.is_none_or(|group| r.group == group))
            .take(limit)
            .cloned()
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
        refusals.push(refusal("acme", "quiet", "kept"));
        for _ in 0..MAX_PER_GROUP + 10 {
            refusals.push(refusal("acme", "loud", "flood"));
        }
        assert_eq!(refusals.list(Some("acme"), Some("quiet"), 10).len(), 1);
        assert_eq!(
            refusals.list(Some("acme"), Some("loud"), usize::MAX).len(),
            MAX_PER_GROUP
        );
    }

    #[test]
    fn an_org_sees_its_own_and_never_those_of_no_org() {
        let refusals = Refusals::new();
        refusals.push(refusal("", "", "unknown path"));
        refusals.push(refusal("acme", "g", "first"));
        refusals.push(refusal("acme", "g", "second"));
        refusals.push(refusal("other", "g", "not yours"));
        let seen: Vec<String> = refusals
            .list(Some("acme"), None, 10)
            .into_iter()
            .map(|r| r.reason)
            .collect();
        assert_eq!(seen, ["second", "first"]);
        assert_eq!(refusals.list(None, None, 10).len(), 4);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let refusals = Refusals::new();
        refusals.push(refusal("a", "g", &"ä".repeat(5_000)));
        assert_eq!(
            refusals.list(None, None, 1)[0].reason.chars().count(),
            TEXT_CHARS
        );
    }
}
