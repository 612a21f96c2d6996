//! What became of callbacks and deliveries over the last two days, by group and by org, in buckets of five minutes: what charts are drawn from.
//!
//! It promises what the notes do: adding never waits and never fails, and what was added in the last seconds before a crash may be lost. Adding
//! is a look-up and an addition under a lock that every callback takes. So a bucket is a table of its own: the oldest goes as a whole, and is freed
//! behind the lock, however many groups it has. Everything is bounded by the numbers here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hookplane_rules::Timestamp;

use super::Settlement;

/// Of one bucket, in milliseconds.
pub(super) const BUCKET: i64 = 5 * 60 * 1_000;
/// Buckets that are kept: two days.
pub(super) const KEPT: i64 = 2 * 24 * 12;
/// Sums in memory of all groups, and as many of all orgs. Past it the oldest go first, so that charts are shorter where there is very much.
const MAX: usize = 100_000;

/// Counted of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Events that were kept.
    pub accepted: u64,
    /// Requests that were turned away.
    pub refused: u64,
    /// Genuine, and not kept: not registered, or matched by no webhook.
    pub filtered: u64,
    /// Repeats of what was kept before.
    pub duplicates: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Attempts to deliver that didn't get through.
    pub failed: u64,
}

impl Activity {
    /// As rows are stored.
    pub(super) fn sums(self) -> [u64; 6] {
        [
            self.accepted,
            self.refused,
            self.filtered,
            self.duplicates,
            self.delivered,
            self.failed,
        ]
    }

    /// Back from that.
    pub(super) fn of_sums(sums: [u64; 6]) -> Self {
        let [accepted, refused, filtered, duplicates, delivered, failed] = sums;
        Self {
            accepted,
            refused,
            filtered,
            duplicates,
            delivered,
            failed,
        }
    }

    /// What a settlement, once it is done, is counted as: how an attempt ended, or nothing.
    pub fn of(settlement: &Settlement) -> Self {
        let mut activity = Self::default();
        match settlement {
            Settlement::Ack => activity.delivered = 1,
            Settlement::Nack { .. } => activity.failed = 1,
            Settlement::Return | Settlement::Extend(_) | Settlement::Hold { .. } => {}
        }
        activity
    }

    /// Both together.
    pub fn add(&mut self, more: Self) {
        let mut sums = self.sums();
        for (sum, more) in sums.iter_mut().zip(more.sums()) {
            *sum = sum.saturating_add(more);
        }
        *self = Self::of_sums(sums);
    }
}

/// Whose activity is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityOf<'a> {
    /// One group's, by its uid.
    Group(&'a str),
    /// That of all groups of an org, by its name.
    Org(&'a str),
}

/// When a bucket begins, and what was counted in it.
pub type Bucket = (Timestamp, Activity);

/// What was added here, by whose it is.
#[derive(Default)]
pub(super) struct Buckets(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    groups: Kept,
    orgs: Kept,
}

/// What was added in one bucket, by whose it is.
type Sums = HashMap<String, Activity>;

#[derive(Default)]
struct Kept {
    /// Oldest first.
    buckets: VecDeque<(i64, Sums)>,
    /// In all of them.
    sums: usize,
    newest: i64,
}

/// All that was added of one group or org in one bucket.
pub(super) struct Row {
    pub(super) is_org: bool,
    pub(super) whose: String,
    pub(super) bucket: i64,
    pub(super) activity: Activity,
}

impl Buckets {
    pub(super) fn add(&self, org: &str, group_uid: &str, at: Timestamp, activity: Activity) {
        if activity == Activity::default() {
            return;
        }
        let bucket = at.0.div_euclid(BUCKET);
        let mut gone = Vec::new();
        let mut inner = self.lock();
        inner.groups.add(group_uid, bucket, activity, &mut gone);
        inner.orgs.add(org, bucket, activity, &mut gone);
        drop(inner);
        // Freed now that nobody waits.
        drop(gone);
    }

    /// Oldest first, of buckets that began at or after `since`.
    pub(super) fn of(&self, of: ActivityOf<'_>, since: Timestamp) -> Vec<Bucket> {
        let inner = self.lock();
        let (kept, whose) = match of {
            ActivityOf::Group(uid) => (&inner.groups, uid),
            ActivityOf::Org(name) => (&inner.orgs, name),
        };
        let first = first_since(since);
        let buckets = kept.buckets.iter().filter(|(bucket, _)| *bucket >= first);
        buckets
            .filter_map(|(bucket, sums)| Some((begins(*bucket), *sums.get(whose)?)))
            .collect()
    }

    /// Everything, and from here on nothing.
    pub(super) fn take(&self) -> Vec<Row> {
        let taken = std::mem::take(&mut *self.lock());
        let rows = |kept: Kept, is_org| {
            kept.buckets.into_iter().flat_map(move |(bucket, sums)| {
                sums.into_iter().map(move |(whose, activity)| Row {
                    is_org,
                    whose,
                    bucket,
                    activity,
                })
            })
        };
        rows(taken.groups, false)
            .chain(rows(taken.orgs, true))
            .collect()
    }

    /// Puts back what was taken and could not be written.
    pub(super) fn put_back(&self, rows: Vec<Row>) {
        let mut gone = Vec::new();
        let mut inner = self.lock();
        for row in rows {
            let kept = match row.is_org {
                true => &mut inner.orgs,
                false => &mut inner.groups,
            };
            kept.add(&row.whose, row.bucket, row.activity, &mut gone);
        }
    }

    pub(super) fn forget(&self, group_uid: &str) {
        let groups = &mut self.lock().groups;
        for (_, sums) in &mut groups.buckets {
            groups.sums -= usize::from(sums.remove(group_uid).is_some());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// What has to go for it is put among the `gone`.
    fn add(&mut self, whose: &str, bucket: i64, activity: Activity, gone: &mut Vec<Sums>) {
        self.newest = self.newest.max(bucket);
        let first = self.newest - KEPT + 1;
        if bucket < first {
            return;
        }
        while self
            .buckets
            .front()
            .is_some_and(|(oldest, _)| *oldest < first)
        {
            self.forget_oldest(gone);
        }
        let place = self.buckets.partition_point(|(known, _)| *known < bucket);
        if self
            .buckets
            .get(place)
            .is_none_or(|(known, _)| *known != bucket)
        {
            // It will have as many as the one before: a table that grows keeps others waiting.
            let before = place
                .checked_sub(1)
                .and_then(|place| self.buckets.get(place));
            let sums = Sums::with_capacity(before.map_or(0, |(_, sums)| sums.len()));
            self.buckets.insert(place, (bucket, sums));
        }
        let Some((_, sums)) = self.buckets.get_mut(place) else {
            return;
        };
        // A name that is known costs no copy of it.
        match sums.get_mut(whose) {
            Some(sum) => sum.add(activity),
            None => {
                sums.insert(whose.to_owned(), activity);
                self.sums += 1;
            }
        }
        while self.sums > MAX {
            self.forget_oldest(gone);
        }
    }

    fn forget_oldest(&mut self, gone: &mut Vec<Sums>) {
        if let Some((_, sums)) = self.buckets.pop_front() {
            self.sums -= sums.len();
            gone.push(sums);
        }
    }
}

/// The first bucket that began at or after.
pub(super) fn first_since(since: Timestamp) -> i64 {
    since.0.div_euclid(BUCKET) + i64::from(since.0.rem_euclid(BUCKET) > 0)
}

/// When a bucket begins.
pub(super) fn begins(bucket: i64) -> Timestamp {
    Timestamp(bucket.saturating_mul(BUCKET))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Activity {
        Activity {
            accepted: 1,
            ..Activity::default()
        }
    }

    fn at(bucket: i64) -> Timestamp {
        Timestamp(bucket * BUCKET + 1)
    }

    #[test]
    fn what_is_older_than_two_days_goes_and_what_is_too_much_goes_oldest_first() {
        let buckets = Buckets::default();
        for bucket in 0..KEPT + 10 {
            buckets.add("acme", "g", at(bucket), one());
        }
        let kept = buckets.of(ActivityOf::Group("g"), Timestamp(0));
        assert_eq!(kept.len() as i64, KEPT);
        assert_eq!(kept[0].0, begins(10));
        assert_eq!(buckets.lock().groups.sums as i64, KEPT);
        // By a clock that went back.
        buckets.add("acme", "g", at(0), one());
        assert_eq!(
            buckets.of(ActivityOf::Group("g"), Timestamp(0)).len() as i64,
            KEPT
        );
        for bucket in KEPT..KEPT + 10 {
            for group in 0..MAX / 8 {
                buckets.add("acme", &group.to_string(), at(bucket), one());
            }
        }
        assert!(buckets.lock().groups.sums <= MAX);
        let newest = buckets.of(ActivityOf::Group("7"), begins(KEPT + 9));
        assert_eq!(newest, [(begins(KEPT + 9), one())]);
        // However many there are in one bucket.
        for group in 0..MAX + 10 {
            buckets.add("acme", &group.to_string(), at(KEPT + 10), one());
        }
        assert!(buckets.lock().groups.sums <= MAX);
        assert!(!buckets.of(ActivityOf::Org("acme"), Timestamp(0)).is_empty());
    }

    #[test]
    fn what_comes_late_is_counted_in_its_own_bucket() {
        let buckets = Buckets::default();
        for bucket in [7, 9, 8, 7] {
            buckets.add("acme", "g", at(bucket), one());
        }
        let counted = buckets.of(ActivityOf::Group("g"), Timestamp(0));
        let counted: Vec<_> = counted
            .into_iter()
            .map(|(at, sum)| (at, sum.accepted))
            .collect();
        assert_eq!(counted, [(begins(7), 2), (begins(8), 1), (begins(9), 1)]);
        buckets.forget("g");
        assert_eq!(buckets.lock().groups.sums, 0);
        assert_eq!(buckets.of(ActivityOf::Org("acme"), begins(8)).len(), 2);
    }

    #[test]
    fn what_could_not_be_written_waits_on_with_what_came_since() {
        let buckets = Buckets::default();
        buckets.add("acme", "g", at(7), one());
        let taken = buckets.take();
        assert_eq!(taken.len(), 2);
        buckets.add("acme", "g", at(7), one());
        buckets.put_back(taken);
        for of in [ActivityOf::Group("g"), ActivityOf::Org("acme")] {
            assert_eq!(buckets.of(of, at(6))[0].1.accepted, 2);
            assert!(buckets.of(of, at(7)).is_empty(), "it began before");
        }
        buckets.forget("g");
        assert!(buckets.of(ActivityOf::Group("g"), Timestamp(0)).is_empty());
    }
}
