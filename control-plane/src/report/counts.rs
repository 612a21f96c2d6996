//! What listeners counted, added up by group: in memory, since this process started.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hookplane_proto::v1;

/// Names of secrets counted in one group: more than a group has at a time, so that those of a rotation fit.
const MAX_SECRETS: usize = 32;
/// Of a secret's name, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// All groups' counts.
#[derive(Default)]
pub struct Counts {
    groups: Mutex<HashMap<String, v1::GroupCounts>>,
}

impl Counts {
    /// Adds what a listener counted since it last said so. `exists`: asked of every group known here when a new one comes, so that those
    /// of deleted groups go.
    pub fn add(&self, counted: v1::GroupCounters, exists: impl Fn(&str) -> bool) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if !groups.contains_key(&counted.group_uid) {
            groups.retain(|uid, _| exists(uid));
        }
        let sum = groups.entry(counted.group_uid).or_default();
        sum.refused = sum.refused.saturating_add(counted.refused);
        sum.not_registered = sum.not_registered.saturating_add(counted.not_registered);
        sum.not_matched = sum.not_matched.saturating_add(counted.not_matched);
        sum.duplicates = sum.duplicates.saturating_add(counted.duplicates);
        for (name, uses) in counted.secret_uses {
            let known = sum.secret_uses.contains_key(&name);
            if known || (sum.secret_uses.len() < MAX_SECRETS && name.len() <= MAX_NAME_BYTES) {
                let sum = sum.secret_uses.entry(name).or_default();
                *sum = sum.saturating_add(uses);
            }
        }
    }

    /// Of one group.
    pub fn of(&self, group_uid: &str) -> v1::GroupCounts {
        self.groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(group_uid)
            .cloned()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(group: &str, secret: &str) -> v1::GroupCounters {
        v1::GroupCounters {
            group_uid: group.to_owned(),
            refused: 1,
            secret_uses: [(secret.to_owned(), 2)].into(),
            ..Default::default()
        }
    }

    #[test]
    fn counts_of_several_messages_add_up() {
        let counts = Counts::default();
        counts.add(counted("g", "old"), |_| true);
        counts.add(counted("g", "old"), |_| true);
        counts.add(counted("h", "old"), |_| true);
        let sum = counts.of("g");
        assert_eq!(sum.refused, 2);
        assert_eq!(sum.secret_uses.get("old"), Some(&4));
        assert_eq!(counts.of("h").refused, 1);
        assert_eq!(counts.of("nobody"), v1::GroupCounts::default());
    }

    #[test]
    fn made_up_names_and_deleted_groups_take_no_room() {
        let counts = Counts::default();
        for n in 0..MAX_SECRETS * 2 {
            counts.add(counted("g", &n.to_string()), |_| true);
        }
        assert_eq!(counts.of("g").secret_uses.len(), MAX_SECRETS);
        counts.add(counted("h", "s"), |uid| uid != "g");
        assert_eq!(counts.of("g"), v1::GroupCounts::default());
    }
}
