//! What the other replicas said last, as this one's watch brings it, and what is in doubt of it.
//!
//! ```text
//!   unheard ──its beat moves──▶ heard ──`silent` without one──▶ silent ──`dead`──▶ buried, by whoever can write
//!      └────────────────────────────┴────▶ gone: its keys are, as the store says
//! ```
//!
//! Time is this process's own, since it last saw a beat move: clocks are not compared. Only what the store says is gone is gone: a replica
//! that is itself cut off stays in doubt of all the others, for as long as it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use prost::Message;
use tokio::time::Instant;

use super::flow::{RunId, Sum, by_run, plus};
use super::record::{Beat, KNOWS, Part, Record, Summary};
use crate::config::watch::Batch;
use crate::keys;
use crate::store::Revision;

/// All of them.
#[derive(Default)]
pub(super) struct Others {
    /// This one, whose keys say nothing new.
    pub(super) own: String,
    /// How far the watch has come.
    pub(super) seen: Revision,
    /// A beat is missing among those that the watch brought, and who knows what else: it has to list.
    pub(super) gap: bool,
    replicas: HashMap<String, Replica>,
    silent: Duration,
}

/// One of them.
pub(super) struct Replica {
    /// Of its beat. None: what is left of one that was buried.
    pub(super) beat: Option<Revision>,
    count: u64,
    public_url: String,
    knows: u32,
    counts: bool,
    whole: bool,
    /// When its beat was seen to move last.
    moved: Option<Instant>,
    first_seen: Instant,
    summaries: BTreeMap<String, Option<Summary>>,
    parts: BTreeMap<String, Option<Part>>,
    /// What it counted of listeners. None: it has told nothing, or nothing came.
    flow: Option<HashMap<RunId, Sum>>,
}

/// How far one is to be believed.
pub(super) enum Word<'a> {
    /// As it stands.
    Good(&'a Summary),
    /// It may be another by now.
    Doubtful(&'a Summary),
    /// It has not told all of it, or not readably.
    Unknown,
}

impl Others {
    pub(super) fn new(own: String, silent: Duration) -> Self {
        Self {
            own,
            silent,
            ..Self::default()
        }
    }

    /// Whether it says anything about another replica.
    pub(super) fn apply(&mut self, batch: Batch) -> bool {
        let now = Instant::now();
        self.seen = batch.revision;
        if batch.anew {
            self.replicas.clear();
        }
        let mut told = batch.anew;
        for (key, value) in batch.keys {
            let Some((id, rest)) = key
                .strip_prefix(keys::FLEET)
                .and_then(|key| key.split_once('/'))
            else {
                continue;
            };
            if id == self.own {
                continue;
            }
            told = true;
            let replica = self.replicas.entry(id.to_owned()).or_insert(Replica {
                beat: None,
                count: 0,
                public_url: String::new(),
                knows: 0,
                counts: false,
                whole: false,
                moved: None,
                first_seen: now,
                summaries: BTreeMap::new(),
                parts: BTreeMap::new(),
                flow: None,
            });
            match value {
                Some((revision, value)) => {
                    // What was there when this one began to look may be of one that is long dead.
                    let moved = (!batch.anew).then_some(now);
                    self.gap |= replica.put(rest, revision, value, moved);
                }
                None => replica.remove(rest),
            }
        }
        self.replicas.retain(|_, replica| !replica.is_empty());
        told
    }

    /// What they say of the listeners that serve this org in this pool. `here`: whether a listener of that scope, name and boot is this one's.
    pub(super) fn words<'a>(
        &'a self,
        org: &'a str,
        pool: &'a str,
        here: impl Fn(&Record) -> bool + Copy + 'a,
    ) -> impl Iterator<Item = (&'a str, Word<'a>)> + 'a {
        let now = Instant::now();
        self.alive().flat_map(move |(id, replica)| {
            let unknown = !replica.is_readable();
            let heard = replica.heard_within(self.silent, now);
            let said = replica
                .summaries
                .values()
                .flatten()
                .filter(move |summary| summary.scope().serves(org, pool))
                .filter(move |summary| heard || !self.moved_on(replica, summary, here, now))
                .map(move |summary| {
                    let word = if heard {
                        Word::Good(summary)
                    } else {
                        Word::Doubtful(summary)
                    };
                    (id, word)
                });
            said.chain(unknown.then_some((id, Word::Unknown)))
        })
    }

    /// Each listener with what it runs.
    pub(super) fn listeners(&self) -> impl Iterator<Item = (&Record, super::Runs)> {
        self.alive().flat_map(|(_, replica)| {
            replica.records().map(|record| {
                let alike = || {
                    let scope = record.scope();
                    let mut of = replica.summaries.values().flatten();
                    of.find(|summary| summary.scope() == scope)?.alike
                };
                (record, record.runs.or_else(alike).unwrap_or_default())
            })
        })
    }

    /// What they counted of a run. None where one of them doesn't count.
    pub(super) fn handed_over(&self, run: RunId) -> Option<Sum> {
        self.alive().try_fold(Sum::default(), |sum, (_, replica)| {
            let counted = replica.flow.as_ref().and_then(|flow| flow.get(&run));
            let more = counted.copied().unwrap_or_default();
            replica.counts.then(|| plus(sum, more))
        })
    }

    /// What another replica was told that callback URLs begin with, where it is not this.
    pub(super) fn other_url(&self, public_url: &str) -> Option<(&str, &str)> {
        self.alive()
            .map(|(id, replica)| (id, replica.public_url.as_str()))
            .find(|(_, url)| *url != public_url)
    }

    /// One that runs an older program than this.
    pub(super) fn older(&self) -> Option<&str> {
        let mut all = self.alive();
        all.find_map(|(id, replica)| (replica.knows < KNOWS).then_some(id))
    }

    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        self.alive().next().is_some()
    }

    /// Those that may be buried: silent for so long, with their beats as they were seen, and what is left of others.
    pub(super) fn dead(&self, after: Duration) -> Vec<(String, Option<Revision>, Vec<String>)> {
        let now = Instant::now();
        self.replicas
            .iter()
            .filter(|(_, replica)| {
                let last = replica.moved.unwrap_or(replica.first_seen);
                now.duration_since(last) >= after
            })
            .map(|(id, replica)| {
                let rest = replica.summaries.keys().chain(replica.parts.keys());
                let flow = replica.flow.as_ref().map(|_| FLOW.to_owned());
                (
                    id.clone(),
                    replica.beat,
                    rest.cloned().chain(flow).collect(),
                )
            })
            .collect()
    }

    fn alive(&self) -> impl Iterator<Item = (&str, &Replica)> {
        self.replicas
            .iter()
            .filter(|(_, replica)| replica.beat.is_some())
            .map(|(id, replica)| (id.as_str(), replica))
    }

    /// Whether every listener that a silent replica had in a scope is known to be elsewhere by now, in the same run: it has one stream, so
    /// what the silent one said of it is over.
    fn moved_on(
        &self,
        silent: &Replica,
        summary: &Summary,
        here: impl Fn(&Record) -> bool,
        now: Instant,
    ) -> bool {
        let scope = summary.scope();
        let elsewhere: HashSet<(&str, &str)> = self
            .alive()
            .filter(|(_, replica)| replica.heard_within(self.silent, now))
            .flat_map(|(_, replica)| replica.records())
            .filter(|record| record.scope() == scope)
            .map(|record| (record.name.as_str(), record.boot.as_str()))
            .collect();
        let mut of_scope = 0;
        for record in silent.records().filter(|record| record.scope() == scope) {
            of_scope += 1;
            let known = elsewhere.contains(&(record.name.as_str(), record.boot.as_str()));
            if record.boot.is_empty() || !(known || here(record)) {
                return false;
            }
        }
        of_scope == summary.connected
    }
}

impl Replica {
    /// Whether a beat is missing before this one.
    fn put(
        &mut self,
        key: &str,
        revision: Revision,
        value: bytes::Bytes,
        moved: Option<Instant>,
    ) -> bool {
        let mut gap = false;
        if key == BEAT {
            let beat = read::<Beat>(key, value).unwrap_or_default();
            gap = self.beat.is_some() && beat.count > self.count.saturating_add(1);
            self.beat = Some(revision);
            (self.count, self.whole) = (beat.count, beat.whole);
            (self.public_url, self.knows) = (beat.public_url, beat.knows);
            self.counts = beat.counts;
            self.moved = moved.or(self.moved);
        } else if key.starts_with("scopes/") {
            let summary = read(key, value);
            self.summaries.insert(key.to_owned(), summary);
        } else if key == FLOW {
            self.flow = read(key, value).map(by_run);
        } else {
            self.parts.insert(key.to_owned(), read(key, value));
        }
        gap
    }

    fn remove(&mut self, key: &str) {
        if key == BEAT {
            self.beat = None;
        } else if key == FLOW {
            self.flow = None;
        } else {
            self.summaries.remove(key);
            self.parts.remove(key);
        }
    }

    fn is_empty(&self) -> bool {
        self.beat.is_none()
            && self.summaries.is_empty()
            && self.parts.is_empty()
            && self.flow.is_none()
    }

    fn is_readable(&self) -> bool {
        self.whole && self.summaries.values().all(Option::is_some)
    }

    fn heard_within(&self, silent: Duration, now: Instant) -> bool {
        self.moved
            .is_some_and(|moved| now.duration_since(moved) < silent)
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.parts
            .values()
            .flatten()
            .flat_map(|part| &part.listeners)
    }
}

/// Below a replica's key.
pub(super) const BEAT: &str = "beat";
pub(super) const FLOW: &str = "flow";

fn read<M: Message + Default>(key: &str, value: bytes::Bytes) -> Option<M> {
    M::decode(value)
        .map_err(|error| tracing::error!(key, %error, "what another replica said of its listeners can't be read; it is in doubt"))
        .ok()
}
