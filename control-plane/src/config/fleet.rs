//! The listeners that are connected, and what each of them runs: here, and at every other replica.
//!
//! ```text
//!   config streams ─▶ own listeners ─┬─▶ live, listeners ◀── others ◀── watch of `fleet/`
//!                                    └─▶ publish ─▶ `fleet/REPLICA/…` in the store ─────▲
//! ```
//!
//! Guarantees, with however many replicas: `live` is true only with at least one ready listener in the pool and all of them on the
//! resource, each replica's word included; one that is silent and has listeners there is in doubt, and in doubt it is not live. Every
//! replica answers the same, a moment later. A dead replica's part is gone [`Timing::dead`] after its last word; what a listener of its
//! says elsewhere counts from [`Timing::silent`] on.
//!
//! A replica that can't reach the store is not heard of, and so are its listeners: to the others they are as those that lost their streams.

mod flow;
mod others;
mod publish;
mod record;
mod scoped;
mod tally;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ListenerScope;
use super::scope::scopes_of;
use super::watch::{Follower, Timing as Following};
use crate::keys;
use crate::store::{Store, StoreError};
use flow::{Flow, plus};
pub(crate) use flow::{RunId, Sum};
use others::{Others, Word};
use publish::Publisher;
use record::{Record, Runs};
use scoped::Scoped;
use tally::Tally;

/// What is known at a time of what one listener refused: it names resources as it likes.
const MAX_PROBLEMS: usize = 1_000;

/// How replicas know that the others live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Between two beats, while there are others.
    pub(crate) beat: Duration,
    /// The same while there are none.
    pub(crate) beat_alone: Duration,
    /// After the last beat of another replica what it said is in doubt.
    pub(crate) silent: Duration,
    /// After its last beat its part is removed. Longer than a listener stays with a replica that doesn't answer its pings, which is under 10 s.
    pub(crate) dead: Duration,
    /// For a write to be made, and for the watch to bring it.
    pub(crate) answer: Duration,
    /// What listeners handed over is told this often.
    pub(crate) flow: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(2),
            beat_alone: Duration::from_secs(10),
            silent: Duration::from_secs(5),
            dead: Duration::from_secs(15),
            answer: Duration::from_secs(4),
            flow: Duration::from_secs(10),
        }
    }
}

/// All connected listeners.
pub struct Fleet {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
    /// Apart, so that what is counted of each batch waits for nothing.
    flow: Flow,
}

#[derive(Default)]
struct Inner {
    next: u64,
    /// This replica's.
    listeners: BTreeMap<u64, Listener>,
    /// The same by what they say they are. Only a run without an id can be there more than once.
    by_run: HashMap<Run, BTreeSet<u64>>,
    /// The same added up.
    scopes: BTreeMap<ListenerScope, Scoped>,
    /// Slots below the highest one that are free.
    free: BTreeSet<usize>,
    others: Others,
}

/// One run of one listener.
#[derive(PartialEq, Eq, Hash)]
struct Run {
    name: String,
    boot: String,
    scope: ListenerScope,
}

struct Listener {
    /// Its place among those that are written together: kept as long as it is connected, so that one that leaves moves no other.
    slot: usize,
    name: String,
    boot: String,
    scope: ListenerScope,
    software_version: String,
    ready: bool,
    runs: Runs,
    /// What it refused, by uid.
    problems: BTreeMap<String, v1::ConfigError>,
    connected: Timestamp,
}

/// A listener's place in the fleet. Dropping it takes the listener out.
pub struct Connected {
    fleet: Arc<Fleet>,
    id: u64,
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

impl Fleet {
    /// An empty fleet of one replica, until it is [joined](Self::join) to others.
    pub fn new() -> Self {
        Self {
            inner: Mutex::default(),
            changed: watch::Sender::new(0),
            flow: Flow::default(),
        }
    }

    /// Shares it with all replicas over that store, until `shutdown`; then this one's part is taken out. What the others have said by now
    /// is known when this returns.
    pub async fn join(
        self: &Arc<Self>,
        store: Arc<dyn Store>,
        public_url: Arc<str>,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<(), StoreError> {
        self.join_with(store, public_url, tasks, shutdown, Timing::default())
            .await
    }

    pub(crate) async fn join_with(
        self: &Arc<Self>,
        store: Arc<dyn Store>,
        public_url: Arc<str>,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
        timing: Timing,
    ) -> Result<(), StoreError> {
        let (prompt, prompts) = mpsc::channel(1);
        let mut follower = Follower::new(store.clone(), keys::FLEET, Following::default(), prompts);
        let publisher = Publisher::new(store, self.clone(), timing, prompt, public_url)?;
        self.lock().others = Others::new(publisher.id().to_owned(), timing.silent);
        if let Some(list) = follower.list().await? {
            self.heard(list);
        }
        let fleet = self.clone();
        let apply = move |batch| fleet.heard(batch);
        tasks.spawn(follower.follow(apply, shutdown.clone()));
        tasks.spawn(publisher.run(shutdown));
        Ok(())
    }

    fn heard(&self, batch: super::watch::Batch) {
        if self.lock().others.apply(batch) {
            self.changed.send_modify(|n| *n += 1);
        }
    }

    /// A listener has said hello. One of the same run that is still here is a stream that broke unnoticed, and makes way.
    pub fn connect(
        self: &Arc<Self>,
        hello: &v1::ConfigHello,
        scope: &ListenerScope,
        now: Timestamp,
    ) -> Connected {
        let id = self.change(|inner| {
            if !hello.boot.is_empty() {
                let run = Run {
                    name: hello.listener.clone(),
                    boot: hello.boot.clone(),
                    scope: scope.clone(),
                };
                let gone = inner.by_run.remove(&run).unwrap_or_default();
                gone.into_iter().for_each(|id| inner.remove(id));
            }
            inner.insert(Listener {
                slot: 0,
                name: hello.listener.clone(),
                boot: hello.boot.clone(),
                scope: scope.clone(),
                software_version: hello.software_version.clone(),
                ready: false,
                runs: Runs::default(),
                problems: BTreeMap::new(),
                connected: now,
            })
        });
        Connected {
            fleet: self.clone(),
            id,
        }
    }

    /// Whether every ready listener that serves this org in this pool runs this resource at this revision or a later one.
    pub fn live(&self, org: &str, pool: &str, uid: &str, revision: u64) -> v1::Live {
        let pool = ListenerScope::new(None, pool).pool;
        let inner = self.lock();
        let mut tally = Tally::new(uid, revision);
        for scope in scopes_of(org, &pool) {
            tally.add(&inner.summary(&scope));
        }
        let here = |record: &Record| inner.has(record);
        for (replica, word) in inner.others.words(org, &pool, here) {
            match word {
                Word::Good(summary) => tally.add(summary),
                Word::Doubtful(summary) => {
                    tally.add(summary);
                    let listeners = summary.connected;
                    tally.doubt(format!(
                        "the control plane's replica {replica} is silent, and has {listeners} listeners here"
                    ));
                }
                Word::Unknown => tally.doubt(format!(
                    "the control plane's replica {replica} has not told of its listeners"
                )),
            }
        }
        tally.live()
    }

    /// Told of every change, so that a caller can wait for what it applied to be live.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// An org's own, or all of them, in order of pool and name. Those that serve many orgs are the operator's, and what they say of one org is
    /// no other's to read. One whose digest is what its pool is `offered` now runs what the store has, whatever was written there since that is
    /// none of its business. A run of a listener that several replicas name is shown once, as its newest stream.
    pub fn listeners(
        &self,
        org: Option<&str>,
        store_revision: u64,
        offered: impl Fn(&ListenerScope) -> u64,
    ) -> Vec<v1::Listener> {
        let shown = |record: Record, scope: &ListenerScope, runs: Runs, flow| v1::Listener {
            revision: if runs.revision > 0 && runs.digest == offered(scope) {
                runs.revision.max(store_revision)
            } else {
                runs.revision
            },
            name: record.name,
            boot: record.boot,
            pool: record.pool,
            software_version: record.software_version,
            ready: record.ready,
            store_revision,
            problems: record.problems,
            connect_time: Some(hookplane_rules::time::to_wire(Timestamp(
                record.connected_ms,
            ))),
            last_minute: flow,
        };
        let inner = self.lock();
        let own = inner
            .listeners
            .values()
            .map(|l| (Record::of(l, None), l.runs));
        let others = inner
            .others
            .listeners()
            .map(|(record, runs)| (record.clone(), runs));
        let now = Instant::now();
        let mut all: Vec<(ListenerScope, Record, Runs, Option<Sum>)> = own
            .chain(others)
            .map(|(record, runs)| (record.scope(), record, runs))
            .filter(|(scope, ..)| org.is_none() || scope.org.as_deref() == org)
            .map(|(scope, record, runs)| {
                let run = RunId::of(&scope, &record.name, &record.boot);
                let there = inner.others.handed_over(run);
                let flow = there.map(|there| plus(there, self.flow.of(run, now)));
                (scope, record, runs, flow)
            })
            .collect();
        drop(inner);
        all.sort_by(|(a_scope, a, ..), (b_scope, b, ..)| {
            (&a.pool, &a.name, &a_scope.org, &a.boot, -a.connected_ms).cmp(&(
                &b.pool,
                &b.name,
                &b_scope.org,
                &b.boot,
                -b.connected_ms,
            ))
        });
        all.dedup_by(|(later_scope, later, ..), (scope, first, ..)| {
            let same = later.name == first.name && later.boot == first.boot;
            same && later_scope == scope && !first.boot.is_empty()
        });
        all.into_iter()
            .map(|(scope, record, runs, flow)| shown(record, &scope, runs, flow))
            .collect()
    }

    /// A listener handed this over to this replica, or told it.
    pub(crate) fn handed_over(&self, run: RunId, sum: Sum) {
        self.flow.count(run, sum, Instant::now());
    }

    /// Another replica, and what it makes callback URLs begin with, where that is not `public_url`.
    pub(crate) fn other_url(&self, public_url: &str) -> Option<(String, String)> {
        let inner = self.lock();
        let (replica, url) = inner.others.other_url(public_url)?;
        Some((replica.to_owned(), url.to_owned()))
    }

    /// Another replica that runs a program older than this one.
    pub(crate) fn older(&self) -> Option<String> {
        self.lock().others.older().map(str::to_owned)
    }

    /// How many are connected to this replica, and how many of those are ready, by pool.
    pub fn own_pools(&self) -> BTreeMap<Arc<str>, (u32, u32)> {
        let mut pools: BTreeMap<Arc<str>, (u32, u32)> = BTreeMap::new();
        for listener in self.lock().listeners.values() {
            let (connected, ready) = pools.entry(listener.scope.pool.clone()).or_default();
            *connected += 1;
            *ready += u32::from(listener.ready);
        }
        pools
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let done = change(&mut self.lock());
        self.changed.send_modify(|n| *n += 1);
        done
    }
}

impl Connected {
    /// It serves, or has begun to drain.
    pub fn ready(&self, ready: bool) {
        self.update(|l| l.ready = ready);
    }

    /// It runs `revision`, except what it refused. `pushed`: what it was sent; none means everything it has.
    pub fn applied(
        &self,
        (revision, digest): (u64, u64),
        pushed: Option<&[Arc<str>]>,
        refused: Vec<v1::ConfigError>,
    ) {
        self.update(|l| {
            l.runs = Runs { revision, digest };
            match pushed {
                None => l.problems.clear(),
                Some(uids) => uids.iter().for_each(|uid| {
                    l.problems.remove(&**uid);
                }),
            }
            for error in refused {
                if l.problems.len() < MAX_PROBLEMS || l.problems.contains_key(&error.uid) {
                    l.problems.insert(error.uid.clone(), error);
                }
            }
        });
    }

    fn update(&self, update: impl FnOnce(&mut Listener)) {
        self.fleet.change(|inner| {
            let Some(listener) = inner.listeners.get_mut(&self.id) else {
                return;
            };
            // It is there as long as a listener of it is.
            if let Some(scoped) = inner.scopes.get_mut(&listener.scope) {
                scoped.take_out(self.id, listener);
                update(listener);
                scoped.add(self.id, listener);
            }
        });
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.fleet.change(|inner| inner.remove(self.id));
    }
}

impl Inner {
    fn insert(&mut self, mut listener: Listener) -> u64 {
        listener.slot = self.free.pop_first().unwrap_or(self.listeners.len());
        self.next += 1;
        let id = self.next;
        self.by_run
            .entry(Run::of(&listener))
            .or_default()
            .insert(id);
        let scoped = self.scopes.entry(listener.scope.clone()).or_default();
        scoped.add(id, &listener);
        self.listeners.insert(id, listener);
        id
    }

    fn remove(&mut self, id: u64) {
        if let Some(gone) = self.listeners.remove(&id) {
            if let Some(scoped) = self.scopes.get_mut(&gone.scope) {
                scoped.take_out(id, &gone);
                if scoped.is_empty() {
                    self.scopes.remove(&gone.scope);
                }
            }
            let run = Run::of(&gone);
            if let Some(same) = self.by_run.get_mut(&run) {
                same.remove(&id);
                if same.is_empty() {
                    self.by_run.remove(&run);
                }
            }
            self.free.insert(gone.slot);
            // Those at the end are no longer below the highest.
            while self
                .free
                .last()
                .is_some_and(|last| *last >= self.listeners.len() + self.free.len() - 1)
            {
                self.free.pop_last();
            }
        }
    }

    fn has(&self, record: &Record) -> bool {
        self.by_run.contains_key(&Run {
            name: record.name.clone(),
            boot: record.boot.clone(),
            scope: record.scope(),
        })
    }
}

impl Run {
    fn of(listener: &Listener) -> Self {
        Self {
            name: listener.name.clone(),
            boot: listener.boot.clone(),
            scope: listener.scope.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
