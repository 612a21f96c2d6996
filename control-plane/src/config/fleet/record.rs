//! What a replica tells the others of its listeners, as it is stored.
//!
//! | key | value |
//! | --- | --- |
//! | `fleet/REPLICA/beat` | [`Beat`]: written with everything else, and every few seconds. Without it the rest is nobody's |
//! | `fleet/REPLICA/scopes/HASH` | [`Summary`] of the listeners of one scope there: what decides whether something is live |
//! | `fleet/REPLICA/listeners/N` | [`Part`]: each of them, [`PER_PART`] to a key, for `get listeners` |
//! | `fleet/REPLICA/flow` | [`Part`]: what was counted of each that reports there, for the same. An older program reads a part without listeners |
//!
//! REPLICA is a random id of one run of one control plane. Listeners name themselves and what they refused as they like, so every text
//! and every list has a bound here, the same for the replica that writes it and for its own answers. Field numbers are never used again.

use std::collections::BTreeMap;

use hookplane_proto::v1;
use hookplane_rules::text::clip;
use prost::Message;
use sha2::{Digest, Sha256};

use super::{Inner, Listener, Scoped};
use crate::config::ListenerScope;

/// Below the store's 1 MiB for a value, with [`RECORD_BYTES`] and the longest names each.
pub(super) const PER_PART: usize = 64;
/// Refused resources that one scope's summary names; past it every resource there is in doubt.
const SUMMARY_PROBLEMS: usize = 256;
/// Of a name or a reason in a summary.
const TEXT_BYTES: usize = 256;
/// Of what one listener refused, in bytes, as it is shown.
const RECORD_BYTES: usize = 8 * 1024;
/// The same of all listeners of a replica together, and again of all its summaries: made-up refusals shall not fill the store.
const REPLICA_BYTES: usize = 4 * 1024 * 1024;

/// What this program knows of what is configured. An older one says less, or nothing: what it would get wrong isn't saved while it lives
/// (`api/skew.rs`).
///
/// 1: destinations that are pushed to, mappings, order keys; redaction, retention.
pub(super) const KNOWS: u32 = 1;

/// Proves that its replica lives.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Beat {
    /// Only grows.
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
    /// All that the replica has to tell is written.
    #[prost(bool, tag = "2")]
    pub(super) whole: bool,
    /// What callback URLs begin with, as that replica was told.
    #[prost(string, tag = "3")]
    pub(super) public_url: String,
    /// See [`KNOWS`].
    #[prost(uint32, tag = "4")]
    pub(super) knows: u32,
    /// It tells what listeners hand over.
    #[prost(bool, tag = "5")]
    pub(super) counts: bool,
}

/// The listeners of one scope at one replica.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Summary {
    /// None: of all orgs.
    #[prost(string, optional, tag = "1")]
    pub(super) org: Option<String>,
    #[prost(string, tag = "2")]
    pub(super) pool: String,
    #[prost(uint32, tag = "3")]
    pub(super) connected: u32,
    /// Of those. What follows is of them alone.
    #[prost(uint32, tag = "4")]
    pub(super) ready: u32,
    /// The lowest revision that one of them runs.
    #[prost(uint64, tag = "5")]
    pub(super) lowest: u64,
    #[prost(message, repeated, tag = "6")]
    pub(super) problems: Vec<Problem>,
    /// More was refused than `problems` names.
    #[prost(bool, tag = "7")]
    pub(super) more: bool,
    /// What all that are connected run, where it is the same. A change of this alone waits for the details, which leave it out.
    #[prost(message, optional, tag = "8")]
    pub(super) alike: Option<Runs>,
}

/// A resource that listeners refused.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Problem {
    #[prost(string, tag = "1")]
    pub(super) uid: String,
    /// One of them, and its reason.
    #[prost(string, tag = "2")]
    pub(super) listener: String,
    #[prost(string, tag = "3")]
    pub(super) reason: String,
    /// So many more did.
    #[prost(uint32, tag = "4")]
    pub(super) others: u32,
}

/// What a listener runs.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Runs {
    #[prost(uint64, tag = "1")]
    pub(super) revision: u64,
    #[prost(uint64, tag = "2")]
    pub(super) digest: u64,
}

/// Some listeners.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Part {
    #[prost(message, repeated, tag = "1")]
    pub(super) listeners: Vec<Record>,
    #[prost(message, repeated, tag = "2")]
    pub(super) counted: Vec<Counted>,
}

/// What one run of a listener handed over in the last minute.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Counted {
    /// See [`super::flow::RunId`].
    #[prost(fixed64, tag = "1")]
    pub(super) run: u64,
    #[prost(uint64, tag = "2")]
    pub(super) accepted: u64,
    #[prost(uint64, tag = "3")]
    pub(super) refused: u64,
}

/// One listener.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Record {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) boot: String,
    #[prost(string, optional, tag = "3")]
    pub(super) org: Option<String>,
    #[prost(string, tag = "4")]
    pub(super) pool: String,
    #[prost(string, tag = "5")]
    pub(super) software_version: String,
    #[prost(bool, tag = "6")]
    pub(super) ready: bool,
    /// None: as the summary of its scope says.
    #[prost(message, optional, tag = "7")]
    pub(super) runs: Option<Runs>,
    #[prost(message, repeated, tag = "8")]
    pub(super) problems: Vec<v1::ConfigError>,
    /// In milliseconds since 1970.
    #[prost(int64, tag = "9")]
    pub(super) connected_ms: i64,
}

impl Summary {
    pub(super) fn scope(&self) -> ListenerScope {
        ListenerScope::new(self.org.as_deref(), &self.pool)
    }
}

impl Record {
    pub(super) fn of(listener: &Listener, runs: Option<Runs>) -> Self {
        let mut record = Self {
            name: listener.name.clone(),
            boot: listener.boot.clone(),
            org: listener.scope.org.as_deref().map(str::to_owned),
            pool: listener.scope.pool.to_string(),
            software_version: listener.software_version.clone(),
            ready: listener.ready,
            runs,
            problems: Vec::new(),
            connected_ms: listener.connected.0,
        };
        let mut room = RECORD_BYTES;
        for problem in listener.problems.values() {
            let size = problem.encoded_len();
            if size > room {
                record.leave_out(listener.problems.len() - record.problems.len());
                break;
            }
            room -= size;
            record.problems.push(problem.clone());
        }
        record
    }

    pub(super) fn scope(&self) -> ListenerScope {
        ListenerScope::new(self.org.as_deref(), &self.pool)
    }

    /// Says so, where the others are shown.
    fn leave_out(&mut self, count: usize) {
        self.problems.push(v1::ConfigError {
            reason: format!("and {count} more"),
            ..v1::ConfigError::default()
        });
    }
}

impl Inner {
    /// Of this replica's listeners of a scope. Costs those that refused something, however many there are.
    pub(super) fn summary(&self, scope: &ListenerScope) -> Summary {
        let nobody = Scoped::default();
        let scoped = self.scopes.get(scope).unwrap_or(&nobody);
        let mut summary = Summary {
            org: scope.org.as_deref().map(str::to_owned),
            pool: scope.pool.to_string(),
            ..scoped.summary()
        };
        let mut problems: BTreeMap<&str, Problem> = BTreeMap::new();
        let refusing = scoped.refusing().filter_map(|id| self.listeners.get(id));
        for listener in refusing.filter(|listener| listener.ready) {
            for (uid, error) in &listener.problems {
                if let Some(known) = problems.get_mut(uid.as_str()) {
                    known.others += 1;
                } else if problems.len() < SUMMARY_PROBLEMS {
                    let problem = Problem {
                        uid: uid.clone(),
                        listener: clip(&listener.name, TEXT_BYTES),
                        reason: clip(&error.reason, TEXT_BYTES),
                        others: 0,
                    };
                    problems.insert(uid, problem);
                } else {
                    summary.more = true;
                }
            }
        }
        summary.problems = problems.into_values().collect();
        summary
    }

    /// By their keys, below the replica's.
    pub(super) fn summaries(&self) -> BTreeMap<String, Summary> {
        let mut room = REPLICA_BYTES;
        let mut summaries = BTreeMap::new();
        for scope in self.scopes.keys() {
            let mut summary = self.summary(scope);
            let size: usize = summary.problems.iter().map(Message::encoded_len).sum();
            if size > room {
                summary.problems.clear();
                summary.more = true;
            } else {
                room -= size;
            }
            summaries.insert(scope_key(scope), summary);
        }
        summaries
    }

    /// By their keys, below the replica's. `summaries`: those of the same moment.
    pub(super) fn parts(&self, summaries: &BTreeMap<String, Summary>) -> BTreeMap<String, Part> {
        let mut room = REPLICA_BYTES;
        let mut parts: BTreeMap<String, Part> = BTreeMap::new();
        for listener in self.listeners.values() {
            let summary = summaries.get(&scope_key(&listener.scope));
            let alike = summary.is_some_and(|summary| summary.alike.is_some());
            let mut record = Record::of(listener, (!alike).then_some(listener.runs));
            let size: usize = record.problems.iter().map(Message::encoded_len).sum();
            if size > room {
                record.problems.clear();
                record.leave_out(listener.problems.len());
            } else {
                room -= size;
            }
            let key = format!("listeners/{}", listener.slot / PER_PART);
            parts.entry(key).or_default().listeners.push(record);
        }
        parts
    }
}

/// Of one length, whatever a listener calls its pool.
fn scope_key(scope: &ListenerScope) -> String {
    let mut hash = Sha256::new();
    hash.update(
        scope
            .org
            .as_deref()
            .unwrap_or(crate::keys::INSTALLATION_WIDE),
    );
    hash.update(b"/");
    hash.update(&*scope.pool);
    format!("scopes/{}", hex::encode(&hash.finalize()[..16]))
}
