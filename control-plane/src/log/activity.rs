//! What became of callbacks and deliveries over the last two days, by group and by org, in buckets of five minutes: what charts are drawn from.
//!
//! It promises what the notes do: adding never waits and never fails, and what was added in the last seconds before a crash may be lost. Adding
//! is a look-up and an addition under a lock that nobody holds for longer; everything is bounded by the numbers here.

use std::collections::{BTreeMap, HashMap};
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
    groups: Kept,
    orgs: Kept,
}

#[derive(Default)]
struct Kept {
    of: HashMap<String, BTreeMap<i64, Activity>>,
    /// Buckets in all.
    buckets: usize,
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
        let mut inner = self.lock();
        inner.groups.add(group_uid, bucket, activity);
        inner.orgs.add(org, bucket, activity);
    }

    /// Oldest first, of buckets that began at or after `since`.
    pub(super) fn of(&self, of: ActivityOf<'_>, since: Timestamp) -> Vec<Bucket> {
        let inner = self.lock();
        let (kept, whose) = match of {
            ActivityOf::Group(uid) => (&inner.groups, uid),
            ActivityOf::Org(name) => (&inner.orgs, name),
        };
        let first = first_since(since);
        let buckets = kept.of.get(whose).into_iter();
        let buckets = buckets.flat_map(|buckets| buckets.range(first..));
        buckets
            .map(|(bucket, activity)| (begins(*bucket), *activity))
            .collect()
    }

    /// From when on all is there, where there was too much.
    pub(super) fn cut(&self, of: ActivityOf<'_>) -> Option<Timestamp> {
        let inner = self.lock();
        let kept = match of {
            ActivityOf::Group(_) => &inner.groups,
            ActivityOf::Org(_) => &inner.orgs,
        };
        kept.cut.map(begins)
    }

    /// Everything, and from here on nothing.
    pub(super) fn take(&self) -> Vec<Row> {
        let taken = std::mem::take(&mut *self.lock());
        let rows = |kept: Kept, is_org| {
            kept.of.into_iter().flat_map(move |(whose, buckets)| {
                buckets.into_iter().map(move |(bucket, activity)| Row {
                    is_org,
                    whose: whose.clone(),
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
        let mut inner = self.lock();
        for row in rows {
            let kept = match row.is_org {
                true => &mut inner.orgs,
                false => &mut inner.groups,
            };
            kept.add(&row.whose, row.bucket, row.activity);
        }
    }

    pub(super) fn forget(&self, group_uid: &str) {
        let groups = &mut self.lock().groups;
        if let Some(gone) = groups.of.remove(group_uid) {
            groups.buckets -= gone.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, whose: &str, bucket: i64, activity: Activity) {
        if bucket > self.newest {
            self.newest = bucket;
            self.forget_before(bucket - KEPT + 1);
        }
        if bucket <= self.newest - KEPT {
            return;
        }
        // A name that is known costs no copy of it.
        if !self.of.contains_key(whose) {
            self.of.insert(whose.to_owned(), BTreeMap::new());
        }
        let Some(buckets) = self.of.get_mut(whose) else {
            return;
        };
        let before = buckets.len();
        buckets.entry(bucket).or_default().add(activity);
        self.buckets += buckets.len() - before;
        let mut window = KEPT;
        while self.buckets > MAX && window > 1 {
            window /= 2;
            let first = self.newest - window + 1;
            self.cut = Some(first);
            self.forget_before(first);
        }
        if self.buckets > MAX {
            *self = Self {
                newest: self.newest,
                cut: Some(self.newest + 1),
                ..Self::default()
            };
        }
    }

    fn forget_before(&mut self, first: i64) {
        self.of.retain(|_, buckets| {
            *buckets = buckets.split_off(&first);
            !buckets.is_empty()
        });
        self.buckets = self.of.values().map(BTreeMap::len).sum();
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
        assert!(buckets.lock().groups.buckets <= MAX);
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
        assert!(buckets.lock().groups.buckets <= MAX);
        assert!(!buckets.of(ActivityOf::Org("acme"), Timestamp(0)).is_empty());
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
