//! What became of callbacks and deliveries over the last two days, by group and by org, in buckets of five minutes: what charts are drawn from.
//!
//! It promises what the notes do: adding never waits and never fails, and what was added in the last seconds before a crash may be lost. Adding
//! is a look-up and an addition under a lock that nobody holds for longer; everything is bounded by the numbers here.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hookplane_rules::Timestamp;

use super::Settlement;

/// Of one bucket, in milliseconds.
pub(super) const BUCKET: i64 = 5 * 60 * 1_000;
/// Buckets that are kept: two days.
pub(super) const KEPT: i64 = 2 * 24 * 12;
/// Buckets in memory of all groups, and as many of all orgs. Past it the oldest go first, so that charts are shorter where there is very much.
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
    new: Sums,
    /// Taken, and not yet known to be written.
    under_way: Sums,
}

#[derive(Default)]
struct Sums {
    groups: Kept,
    orgs: Kept,
}

/// What was added in one bucket, by whose it is.
type InBucket = HashMap<String, Activity>;

#[derive(Default)]
struct Kept {
    /// Oldest first.
    buckets: VecDeque<(i64, InBucket)>,
    /// Sums in all of them.
    sums: usize,
    newest: i64,
    /// The first one that is whole, where there was too much.
    cut: Option<i64>,
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
        let Sums { groups, orgs } = &mut inner.new;
        for (kept, whose) in [(groups, group_uid), (orgs, org)] {
            kept.follow_the_clock_to(bucket, &mut gone);
            kept.add(whose, bucket, activity, &mut gone);
        }
        drop(inner);
        // Freed now that nobody waits.
        drop(gone);
    }

    /// Oldest first, of buckets that began at or after `since`; also what is being written.
    pub(super) fn of(&self, of: ActivityOf<'_>, since: Timestamp) -> Vec<Bucket> {
        self.with(of, since, BTreeMap::new())
    }

    /// The same, added to what is there of it elsewhere.
    pub(super) fn with(
        &self,
        of: ActivityOf<'_>,
        since: Timestamp,
        mut all: BTreeMap<i64, Activity>,
    ) -> Vec<Bucket> {
        let inner = self.lock();
        for sums in [&inner.new, &inner.under_way] {
            let (kept, whose) = sums.kept(of);
            let first = first_since(since);
            let buckets = kept.buckets.iter().filter(|(bucket, _)| *bucket >= first);
            for (bucket, sums) in buckets {
                if let Some(activity) = sums.get(whose) {
                    all.entry(*bucket).or_default().add(*activity);
                }
            }
        }
        let all = all.into_iter();
        all.map(|(bucket, activity)| (begins(bucket), activity))
            .collect()
    }

    /// From when on all is there, where there was too much.
    pub(super) fn cut(&self, of: ActivityOf<'_>) -> Option<Timestamp> {
        self.lock().new.kept(of).0.cut.map(begins)
    }

    /// Takes what was added since the last time, to be written. Whoever takes is the only one.
    pub(super) fn take(&self) -> Taken<'_> {
        let mut inner = self.lock();
        let taken = std::mem::take(&mut inner.new);
        let rows = |kept: &Kept, is_org| {
            let mut rows = Vec::with_capacity(kept.sums);
            for (bucket, sums) in &kept.buckets {
                rows.extend(sums.iter().map(|(whose, activity)| Row {
                    is_org,
                    whose: whose.clone(),
                    bucket: *bucket,
                    activity: *activity,
                }));
            }
            rows
        };
        let mut all = rows(&taken.groups, false);
        all.extend(rows(&taken.orgs, true));
        inner.under_way = taken;
        Taken {
            from: self,
            rows: all,
        }
    }

    pub(super) fn forget(&self, group_uid: &str) {
        let mut inner = self.lock();
        inner.new.groups.forget(group_uid);
        inner.under_way.groups.forget(group_uid);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sums {
    fn kept<'a>(&self, of: ActivityOf<'a>) -> (&Kept, &'a str) {
        match of {
            ActivityOf::Group(uid) => (&self.groups, uid),
            ActivityOf::Org(name) => (&self.orgs, name),
        }
    }
}

/// What is being written. Unless it is said to be, it is put back, however the writing ends.
pub(super) struct Taken<'a> {
    from: &'a Buckets,
    pub(super) rows: Vec<Row>,
}

impl Taken<'_> {
    pub(super) fn written(self) {
        self.from.lock().under_way = Sums::default();
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut gone = Vec::new();
        let mut inner = self.from.lock();
        let Sums { groups, orgs } = std::mem::take(&mut inner.under_way);
        inner.new.groups.put_back(groups, &mut gone);
        inner.new.orgs.put_back(orgs, &mut gone);
    }
}

impl Kept {
    fn put_back(&mut self, older: Self, gone: &mut Vec<InBucket>) {
        for (bucket, sums) in older.buckets {
            for (whose, activity) in sums {
                self.add(&whose, bucket, activity, gone);
            }
        }
    }

    fn forget(&mut self, whose: &str) {
        for (_, sums) in &mut self.buckets {
            self.sums -= usize::from(sums.remove(whose).is_some());
        }
    }

    /// What comes now is never so much older than what came before, unless the clock was wrong then: it is mended, and all begins again.
    fn follow_the_clock_to(&mut self, bucket: i64, gone: &mut Vec<InBucket>) {
        if bucket <= self.newest - KEPT {
            let wrong = std::mem::replace(
                self,
                Self {
                    newest: bucket,
                    cut: Some(bucket),
                    ..Self::default()
                },
            );
            gone.extend(wrong.buckets.into_iter().map(|(_, sums)| sums));
        }
    }

    /// What has to go for it is put among the `gone`.
    fn add(&mut self, whose: &str, bucket: i64, activity: Activity, gone: &mut Vec<InBucket>) {
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
            let sums = InBucket::with_capacity(before.map_or(0, |(_, sums)| sums.len()));
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
            let whole = self.buckets.front().map(|(bucket, _)| *bucket);
            self.cut = Some(whole.unwrap_or(self.newest + 1));
        }
    }

    fn forget_oldest(&mut self, gone: &mut Vec<InBucket>) {
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
        assert_eq!(buckets.lock().new.groups.sums as i64, KEPT);
        for bucket in KEPT..KEPT + 10 {
            for group in 0..MAX / 8 {
                buckets.add("acme", &group.to_string(), at(bucket), one());
            }
        }
        assert!(buckets.lock().new.groups.sums <= MAX);
        let cut = buckets.cut(ActivityOf::Group("7"));
        assert!(
            cut > Some(begins(KEPT)) && cut <= Some(begins(KEPT + 9)),
            "{cut:?}"
        );
        assert_eq!(buckets.cut(ActivityOf::Org("acme")), None);
        let newest = buckets.of(ActivityOf::Group("7"), begins(KEPT + 9));
        assert_eq!(newest, [(begins(KEPT + 9), one())]);
        // However many there are in one bucket.
        for group in 0..MAX + 10 {
            buckets.add("acme", &group.to_string(), at(KEPT + 10), one());
        }
        assert!(buckets.lock().new.groups.sums <= MAX);
        assert!(!buckets.of(ActivityOf::Org("acme"), Timestamp(0)).is_empty());
    }

    // A clock that was wrong for a moment ends no chart for good.
    #[test]
    fn after_a_clock_was_days_ahead_charts_go_on_by_the_mended_one() {
        const DAY: i64 = 24 * 12;
        let buckets = Buckets::default();
        for day in [0, 10, 0, 0] {
            buckets.add("acme", "g", at(day * DAY), one());
        }
        let of_both = [ActivityOf::Group("g"), ActivityOf::Org("acme")];
        for of in of_both {
            let told = buckets.of(of, Timestamp(0));
            assert_eq!((told.len(), told[0].1.accepted), (1, 2));
            assert_eq!(buckets.cut(of), Some(begins(0)));
        }
        // A little back is nothing wrong.
        buckets.add("acme", "g", at(DAY), one());
        buckets.add("acme", "g", at(0), one());
        for of in of_both {
            assert_eq!(buckets.of(of, Timestamp(0)).len(), 2);
        }
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
        assert_eq!(buckets.lock().new.groups.sums, 0);
        assert_eq!(buckets.of(ActivityOf::Org("acme"), begins(8)).len(), 2);
    }

    #[test]
    fn what_is_being_written_is_told_and_waits_on_unless_it_was_written() {
        let buckets = Buckets::default();
        let told = |of| {
            let all = buckets.of(of, at(6));
            all.iter().map(|(_, of)| of.accepted).sum::<u64>()
        };
        let of_both = [ActivityOf::Group("g"), ActivityOf::Org("acme")];
        buckets.add("acme", "g", at(7), one());
        let taken = buckets.take();
        assert_eq!(taken.rows.len(), 2);
        buckets.add("acme", "g", at(7), one());
        assert_eq!(of_both.map(told), [2, 2]);
        // As when the write fails, or nobody waits for it any more.
        drop(taken);
        assert_eq!(of_both.map(told), [2, 2]);
        let all = buckets.of(ActivityOf::Group("g"), at(6));
        assert_eq!(all.len(), 1);
        assert!(
            buckets.of(ActivityOf::Group("g"), at(7)).is_empty(),
            "it began before"
        );
        let taken = buckets.take();
        assert_eq!(taken.rows.len(), 2);
        assert_eq!(taken.rows[0].activity.accepted, 2);
        buckets.add("acme", "g", at(8), one());
        taken.written();
        assert_eq!(of_both.map(told), [1, 1]);
        let taken = buckets.take();
        buckets.forget("g");
        drop(taken);
        assert!(buckets.of(ActivityOf::Group("g"), Timestamp(0)).is_empty());
    }
}
