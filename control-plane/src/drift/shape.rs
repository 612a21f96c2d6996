//! The shape of one event type: which paths its payloads have had, of which kinds, and since when.
//!
//! Events that are looked at are numbered. A path that is there in each of them is there as often as the numbers from its first to its last say.
//!
//! This is also how it is kept, as a message of protobuf whose field numbers are never used again.

use std::collections::BTreeMap;

use hookplane_rules::Timestamp;
use prost::Message;

use super::walk::{Found, KINDS};
use crate::log::MAX_SHAPE_BYTES;

/// Of one event type. What is beyond isn't learned.
pub(super) const MAX_PATHS: usize = 500;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    /// Events that were looked at.
    #[prost(uint64, tag = "1")]
    pub(super) samples: u64,
    #[prost(btree_map = "string, message", tag = "2")]
    pub(super) paths: BTreeMap<String, Seen>,
}

/// One path.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Seen {
    #[prost(message, required, tag = "1")]
    pub(super) all: Span,
    /// By the number of the kind.
    #[prost(btree_map = "uint32, message", tag = "2")]
    pub(super) kinds: BTreeMap<u32, Span>,
}

/// Where something was among the numbered events.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
    #[prost(uint64, tag = "2")]
    pub(super) first: u64,
    #[prost(uint64, tag = "3")]
    pub(super) last: u64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "4")]
    pub(super) first_time: i64,
    #[prost(int64, tag = "5")]
    pub(super) last_time: i64,
}

impl Span {
    fn add(&mut self, sample: u64, now: i64) {
        if self.count == 0 {
            (self.first, self.first_time) = (sample, now);
        }
        self.count += 1;
        (self.last, self.last_time) = (sample, now);
    }

    /// With what came after `before` events.
    fn append(&mut self, later: &Self, before: u64) {
        if self.count == 0 {
            (self.first, self.first_time) = (before + later.first, later.first_time);
        }
        self.count += later.count;
        (self.last, self.last_time) = (before + later.last, later.last_time);
    }
}

impl Shape {
    /// Takes one more event in.
    pub(super) fn learn(&mut self, found: &Found, now: Timestamp) {
        self.samples += 1;
        let sample = self.samples;
        for (path, bits) in found {
            let Some(seen) = self.seen(path) else {
                continue;
            };
            seen.all.add(sample, now.0);
            for kind in (0..KINDS).filter(|kind| bits & (1 << kind) != 0) {
                seen.kinds.entry(kind).or_default().add(sample, now.0);
            }
        }
    }

    /// A path that is known, or may become so.
    fn seen(&mut self, path: &str) -> Option<&mut Seen> {
        if self.paths.len() >= MAX_PATHS && !self.paths.contains_key(path) {
            return None;
        }
        Some(self.paths.entry(path.to_owned()).or_default())
    }

    /// With what was learned after it.
    pub(super) fn append(&mut self, later: &Self) {
        let before = self.samples;
        self.samples += later.samples;
        for (path, of) in &later.paths {
            let Some(seen) = self.seen(path) else {
                continue;
            };
            seen.all.append(&of.all, before);
            for (kind, span) in &of.kinds {
                seen.kinds.entry(*kind).or_default().append(span, before);
            }
        }
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        /// A path's node, and a kind's.
        const PATH: usize = 120;
        const KIND: usize = 56;
        let paths = self.paths.iter();
        paths
            .map(|(path, seen)| path.len() + PATH + seen.kinds.len() * KIND)
            .sum()
    }

    pub(super) fn kept(&self) -> bytes::Bytes {
        let mut bytes = self.encode_to_vec();
        if bytes.len() > MAX_SHAPE_BYTES {
            // The longest paths are the deepest, and the least likely to be read.
            let mut small = self.clone();
            let mut paths: Vec<String> = small.paths.keys().cloned().collect();
            paths.sort_by_key(String::len);
            while bytes.len() > MAX_SHAPE_BYTES
                && let Some(longest) = paths.pop()
            {
                small.paths.remove(&longest);
                if paths.len().is_multiple_of(8) {
                    bytes = small.encode_to_vec();
                }
            }
            bytes = small.encode_to_vec();
        }
        bytes.into()
    }
}
