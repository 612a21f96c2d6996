//! The last ones of all, and of each group.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hookplane_proto::v1;

use crate::log::Note;

/// A ring of one kind.
#[derive(Default)]
pub(super) struct Ring {
    inner: Mutex<Inner>,
}

/// In the order they came, by a number that only grows.
#[derive(Default)]
struct Inner {
    next: u64,
    all: BTreeMap<u64, Note>,
    /// By the group's uid; empty for those that led to no group.
    of_group: HashMap<String, VecDeque<u64>>,
}

impl Inner {
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

    fn push(&mut self, note: Note) {
        let of_group = self.of_group.get(&note.group_uid);
        if of_group.map_or(0, VecDeque::len) >= note.kind.max_per_group() {
            self.forget_oldest_of(&note.group_uid);
        }
        if self.all.len() >= note.kind.max()
            && let Some((_, oldest)) = self.all.first_key_value()
        {
            // The oldest of all is the oldest of its group.
            let group_uid = oldest.group_uid.clone();
            self.forget_oldest_of(&group_uid);
        }
        let of_group = self.of_group.entry(note.group_uid.clone()).or_default();
        of_group.push_back(self.next);
        self.all.insert(self.next, note);
        self.next += 1;
    }
}

impl Ring {
    pub(super) fn push(&self, note: Note) {
        self.lock().push(note);
    }

    /// Of one group, newest first.
    pub(super) fn of_group(&self, group_uid: &str, limit: usize) -> Vec<v1::Refusal> {
        let ring = self.lock();
        let numbers = ring.of_group.get(group_uid).into_iter().flatten().rev();
        numbers
            .filter_map(|number| ring.all.get(number))
            .take(limit)
            .map(|note| note.refusal.clone())
            .collect()
    }

    /// Newest first.
    pub(super) fn newest(&self, limit: usize, meant: impl Fn(&Note) -> bool) -> Vec<v1::Refusal> {
        let ring = self.lock();
        let notes = ring.all.values().rev().filter(|note| meant(note));
        notes.take(limit).map(|note| note.refusal.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::NoteKind;

    #[test]
    fn what_went_is_forgotten_in_its_group_as_well() {
        let ring = Ring::default();
        let max = NoteKind::Refused.max();
        for n in 0..max + 5 {
            let group = format!("g{}", n % 20);
            let refusal = v1::Refusal {
                reason: n.to_string(),
                ..Default::default()
            };
            ring.push(Note::new(NoteKind::Refused, &group, refusal));
        }
        let all = ring.newest(usize::MAX, |_| true);
        assert_eq!(all.len(), max);
        assert_eq!(all[0].reason, (max + 4).to_string());
        assert_eq!(all[max - 1].reason, "5");
        let ring = ring.lock();
        let in_groups: usize = ring.of_group.values().map(VecDeque::len).sum();
        assert_eq!(in_groups, ring.all.len());
    }
}
