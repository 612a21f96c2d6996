//! Counts of what listeners reported, added up by group in memory: as they are, or until they are written.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hookplane_proto::v1;

use super::notes::{MAX_NAME_BYTES, MAX_SECRETS};

/// All groups' counts.
#[derive(Default)]
pub(super) struct Counts {
    groups: Mutex<HashMap<String, v1::GroupCounts>>,
}

impl Counts {
    pub(super) fn add(&self, counted: v1::GroupCounters) {
        let mut groups = self.lock();
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

    pub(super) fn of(&self, group_uids: &[&str]) -> HashMap<String, v1::GroupCounts> {
        let groups = self.lock();
        let known = group_uids
            .iter()
            .filter_map(|uid| groups.get_key_value(*uid));
        known.map(|(uid, sum)| (uid.clone(), sum.clone())).collect()
    }

    pub(super) fn forget(&self, group_uid: &str) {
        self.lock().remove(group_uid);
    }

    /// All there is, and from here on nothing.
    pub(super) fn take(&self) -> HashMap<String, v1::GroupCounts> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, v1::GroupCounts>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
