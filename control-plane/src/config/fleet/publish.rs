//! Tells the other replicas of this one's listeners, and removes what is left of dead ones.
//!
//! ```text
//!   something changed ─▶ what differs from what is written ─▶ one transaction ─▶ at rest for a while, the longer the more it was
//!                          with the beat, and only while the beat is there: who was taken for dead begins anew under another id
//! ```
//!
//! What it costs the store: a beat of some 10 bytes every 2 s ([`Timing::beat`]; 10 s while it is alone). A summary of some 100 bytes when the
//! lowest revision or a number in it changes, so one for each change of the configuration however many listeners take it; at most five
//! writes a second, and 256 KiB. Each listener, some 150 bytes, when one comes, leaves or stays behind the others: at most every second, and 64 KiB
//! a second. What listeners hand over, some 17 bytes each, every 10 s while something comes and there are other replicas, out of those 64 KiB.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::others::{BEAT, FLOW};
use super::record::{Beat, KNOWS, Summary};
use super::{Fleet, Timing};
use crate::config::epoch::random;
use crate::config::watch::Prompt;
use crate::keys;
use crate::store::{Precondition, Revision, Store, StoreError, Transaction, Write};

/// Between two looks at what changed: thousands of listeners take one change within a few of them.
const LOOK: Duration = Duration::from_millis(20);
/// Between two writes, and for so many bytes a second more.
const REST: Duration = Duration::from_millis(200);
const BYTES_PER_SECOND: usize = 256 * 1024;
/// The same between two writes of each listener.
const DETAILS_REST: Duration = Duration::from_secs(1);
const DETAILS_BYTES_PER_SECOND: usize = 64 * 1024;
/// Of one transaction: below what the store takes.
const WRITES_AT_ONCE: usize = 60;
const BYTES_AT_ONCE: usize = 512 * 1024;
/// For what is written to be taken away at the end.
const LEAVE: Duration = Duration::from_secs(1);

/// The task's state.
pub(super) struct Publisher {
    store: Arc<dyn Store>,
    fleet: Arc<Fleet>,
    timing: Timing,
    follower: mpsc::Sender<Prompt>,
    public_url: Arc<str>,
    id: String,
    beats: u64,
    /// What the store has below this replica's key.
    written: BTreeMap<String, Written>,
    /// Of a write that was asked for and whose answer has not come: the end may come first, and it is there all the same.
    unsure: BTreeSet<String>,
    /// A write that the watch hasn't brought yet, and since when.
    unseen: Option<(Revision, Instant)>,
    /// Times in a row that it didn't.
    missed: u32,
    /// The first of several failures is logged.
    failing: bool,
    /// All that is to be told once is.
    whole: bool,
    /// What listeners handed over, as it was counted last for the others. None: nothing, or there is nobody to tell.
    flow: Option<Written>,
}

/// A value, and of a summary the part whose change doesn't wait.
#[derive(Clone, PartialEq, Eq)]
struct Written {
    value: Bytes,
    urgent: Bytes,
}

/// What to write at a key; none to remove it.
type Difference = Vec<(String, Option<Written>)>;

impl Publisher {
    pub(super) fn new(
        store: Arc<dyn Store>,
        fleet: Arc<Fleet>,
        timing: Timing,
        follower: mpsc::Sender<Prompt>,
        public_url: Arc<str>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            store,
            fleet,
            timing,
            follower,
            public_url,
            id: random()?,
            beats: 0,
            written: BTreeMap::new(),
            unsure: BTreeSet::new(),
            unseen: None,
            missed: 0,
            failing: false,
            whole: false,
            flow: None,
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Until `shutdown`.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.publish() => {}
        }
        // What can't be taken away now is taken away as a dead one's.
        if timeout(LEAVE, self.leave()).await.is_err() {
            tracing::debug!("this replica's part of the fleet could not be removed in time");
        }
    }

    async fn publish(&mut self) {
        let mut changes = self.fleet.changes();
        // Nothing is as urgent as being known at all.
        let mut beat_at = Instant::now();
        let mut rest_until = beat_at;
        let mut details = Details::new(beat_at);
        let mut flow_at = beat_at;
        loop {
            beat_at = beat_at.min(Instant::now() + self.every());
            if Instant::now() >= flow_at {
                flow_at = Instant::now() + self.timing.flow;
                if self.count_flow() {
                    details.owe();
                }
            }
            tokio::select! {
                // The fleet lives as long as this.
                _ = changes.changed() => details.owe(),
                () = sleep_until(beat_at) => {}
                () = crate::due::at(details.due) => {}
            }
            sleep_until(rest_until).await;
            if changes.has_changed().unwrap_or_default() {
                changes.borrow_and_update();
                details.owe();
            }
            if std::mem::take(&mut self.fleet.lock().others.gap) {
                let _ = self.follower.try_send(Prompt::ListAgain);
            }
            let now = Instant::now();
            rest_until = now + LOOK;
            let (detailed, due) = (details.are_due(now), now >= beat_at);
            let difference = self.difference(detailed);
            let bytes = difference.iter().map(|(_, written)| size(written)).sum();
            if !difference.is_empty() || due {
                if let Err(error) = self.write(difference).await {
                    self.failed(&error);
                    rest_until = Instant::now() + REST + crate::due::within(self.timing.beat);
                    continue;
                }
                self.failing = false;
                let now = Instant::now();
                beat_at = now + self.every();
                rest_until = now + REST + for_bytes(bytes, BYTES_PER_SECOND);
            }
            if detailed {
                details.paid(Instant::now() + for_bytes(bytes, DETAILS_BYTES_PER_SECOND));
            }
            if due {
                self.look_after_the_watch();
                self.bury().await;
            }
        }
    }

    /// Whether it differs from what was counted before. Beats wake this often enough.
    fn count_flow(&mut self) -> bool {
        let others = self.fleet.lock().others.any();
        let part = others.then(|| self.fleet.flow.told(Instant::now()));
        let part = part.filter(|part| !part.counted.is_empty());
        let new = part.map(|part| Written {
            value: part.encode_to_vec().into(),
            urgent: Bytes::new(),
        });
        let differs = new != self.flow;
        self.flow = new;
        differs
    }

    fn every(&self) -> Duration {
        if self.fleet.lock().others.any() {
            self.timing.beat
        } else {
            self.timing.beat_alone
        }
    }

    /// What the others don't know. `detailed`: that which may wait as well.
    fn difference(&self, detailed: bool) -> Difference {
        let inner = self.fleet.lock();
        let summaries = inner.summaries();
        let mut wanted: BTreeMap<String, Written> = BTreeMap::new();
        if detailed {
            for (key, part) in inner.parts(&summaries) {
                let value = part.encode_to_vec().into();
                let urgent = Bytes::new();
                wanted.insert(key, Written { value, urgent });
            }
            let flow = self.flow.clone();
            wanted.extend(flow.map(|flow| (FLOW.to_owned(), flow)));
        }
        drop(inner);
        for (key, summary) in summaries {
            wanted.insert(key, Written::of(summary));
        }
        let is_wanted = |key: &String| detailed || key.starts_with("scopes/");
        let gone = self
            .written
            .keys()
            .filter(|key| is_wanted(key) && !wanted.contains_key(*key))
            .map(|key| (key.clone(), None));
        let mut difference: Difference = gone.collect();
        difference.extend(wanted.into_iter().filter_map(|(key, new)| {
            let known = self.written.get(&key);
            let same = known
                .is_some_and(|known| *known == new || (!detailed && known.urgent == new.urgent));
            (!same).then_some((key, Some(new)))
        }));
        // What decides is told first.
        difference.sort_by_key(|(key, _)| !key.starts_with("scopes/"));
        difference
    }

    /// With the beat, in as many transactions as it takes.
    async fn write(&mut self, difference: Difference) -> Result<(), StoreError> {
        let mut rest = difference.into_iter().peekable();
        loop {
            let mut some: Difference = Vec::new();
            let mut bytes = 0;
            while let Some(next) = rest.next_if(|(_, written)| {
                some.is_empty()
                    || (some.len() < WRITES_AT_ONCE && bytes + size(written) <= BYTES_AT_ONCE)
            }) {
                bytes += size(&next.1);
                some.push(next);
            }
            let last = rest.peek().is_none();
            self.commit(some, last).await?;
            if last {
                return Ok(());
            }
        }
    }

    async fn commit(&mut self, some: Difference, last: bool) -> Result<(), StoreError> {
        let beat = Beat {
            count: self.beats + 1,
            whole: self.whole || last,
            public_url: self.public_url.to_string(),
            knows: KNOWS,
            counts: true,
        };
        let key = |rest: &str| keys::of_replica(&self.id, rest);
        let mut writes = vec![Write::Put(key(BEAT), beat.encode_to_vec().into())];
        writes.extend(some.iter().map(|(rest, written)| match written {
            Some(written) => Write::Put(key(rest), written.value.clone()),
            None => Write::Delete(key(rest)),
        }));
        // Who was buried meanwhile doesn't rise from what it writes next.
        let there = if self.beats == 0 {
            Precondition::Absent
        } else {
            Precondition::Present
        };
        let checks = vec![(key(BEAT), there)];
        let seen = self.fleet.lock().others.seen;
        let transaction = Transaction { checks, writes };
        self.unsure.extend(some.iter().map(|(key, _)| key.clone()));
        let revision = match self.ask(transaction).await {
            Err(StoreError::Conflict { key }) => {
                self.begin_anew()?;
                return Err(StoreError::Conflict { key });
            }
            done => done?,
        };
        if revision <= seen {
            // The store was put back to an older copy: what it has of the fleet is of then.
            let _ = self.follower.try_send(Prompt::Forget);
            self.begin_anew()?;
            return Ok(());
        }
        self.beats = beat.count;
        self.whole = beat.whole;
        self.unseen = self.unseen.or(Some((revision, Instant::now())));
        for (key, written) in some {
            match written {
                Some(written) => self.written.insert(key, written),
                None => self.written.remove(&key),
            };
        }
        self.unsure.clear();
        Ok(())
    }

    /// Under another id, with everything to be told again. What the old one left is a dead replica's.
    fn begin_anew(&mut self) -> Result<(), StoreError> {
        self.id = random()?;
        self.fleet.lock().others.own.clone_from(&self.id);
        (self.beats, self.whole) = (0, false);
        self.written.clear();
        self.unsure.clear();
        self.unseen = None;
        Ok(())
    }

    /// The watch of the others is alive while it brings what is written here.
    fn look_after_the_watch(&mut self) {
        let Some((revision, at)) = self.unseen else {
            return;
        };
        if self.fleet.lock().others.seen >= revision {
            (self.unseen, self.missed) = (None, 0);
        } else if at.elapsed() >= self.timing.answer {
            tracing::warn!(
                revision,
                missed = self.missed,
                "the watch of the other replicas did not bring what was written; it is started again"
            );
            let prompt = if self.missed == 0 {
                Prompt::WatchAgain
            } else {
                Prompt::ListAgain
            };
            // One that is waiting to be taken does the same.
            let _ = self.follower.try_send(prompt);
            (self.unseen, self.missed) = (None, self.missed.saturating_add(1));
        }
    }

    /// Takes away what dead replicas left. One that beats after all is not touched: its beat is not as it was seen.
    async fn bury(&self) {
        let dead = self.fleet.lock().others.dead(self.timing.dead);
        for (id, beat, rest) in dead {
            let check = beat.map_or(Precondition::Absent, Precondition::At);
            match self.remove(&id, check, rest).await {
                Ok(()) => tracing::info!(replica = id, "a dead replica's listeners are forgotten"),
                // Another replica did it, or it lives.
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => {
                    tracing::warn!(replica = id, %error, "a dead replica's listeners are not forgotten yet; it is tried again");
                }
            }
        }
    }

    async fn leave(&self) {
        if self.beats == 0 && self.unsure.is_empty() {
            return;
        }
        let mut rest = self.unsure.clone();
        rest.extend(self.written.keys().cloned());
        let rest = rest.into_iter().collect();
        let left = self.remove(&self.id, Precondition::Present, rest).await;
        if let Err(error) = left {
            tracing::debug!(%error, "this replica's part of the fleet could not be removed");
        }
    }

    /// A replica's beat, and with it all that it said, if its beat is as the check says.
    async fn remove(
        &self,
        id: &str,
        mut check: Precondition,
        mut rest: Vec<String>,
    ) -> Result<(), StoreError> {
        loop {
            let keep = rest.len().saturating_sub(WRITES_AT_ONCE);
            let some = rest.split_off(keep);
            let beat = keys::of_replica(id, BEAT);
            let mut writes = vec![Write::Delete(beat.clone())];
            writes.extend(
                some.iter()
                    .map(|rest| Write::Delete(keys::of_replica(id, rest))),
            );
            let checks = vec![(beat, check)];
            self.ask(Transaction { checks, writes }).await?;
            if rest.is_empty() {
                return Ok(());
            }
            check = Precondition::Absent;
        }
    }

    async fn ask(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        timeout(self.timing.answer, self.store.commit(transaction))
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer".to_owned())))
    }

    fn failed(&mut self, error: &StoreError) {
        if matches!(error, StoreError::Conflict { .. }) {
            tracing::warn!(
                "this replica was silent for so long that it was taken for dead; it tells of its listeners anew"
            );
        } else if !self.failing {
            self.failing = true;
            tracing::warn!(%error, "the other replicas can't be told of this one's listeners; it is tried again");
        }
    }
}

/// When what may wait is told.
struct Details {
    /// None while nothing is owed.
    due: Option<Instant>,
    not_before: Instant,
}

impl Details {
    fn new(now: Instant) -> Self {
        Self {
            due: None,
            not_before: now,
        }
    }

    /// A rest first: listeners that take a change one after the other are alike again by then.
    fn owe(&mut self) {
        let at = (Instant::now() + DETAILS_REST).max(self.not_before);
        self.due = self.due.or(Some(at));
    }

    fn are_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now >= due)
    }

    fn paid(&mut self, not_before: Instant) {
        self.due = None;
        self.not_before = not_before;
    }
}

impl Written {
    fn of(mut summary: Summary) -> Self {
        let value = summary.encode_to_vec().into();
        summary.alike = None;
        let urgent = summary.encode_to_vec().into();
        Self { value, urgent }
    }
}

fn size(written: &Option<Written>) -> usize {
    written.as_ref().map_or(0, |written| written.value.len())
}

fn for_bytes(bytes: usize, per_second: usize) -> Duration {
    Duration::from_millis((bytes * 1_000 / per_second) as u64)
}
