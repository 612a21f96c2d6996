//! What a webhook reads of a payload: the paths of its mapping, its filter and its order, worked out once for each version of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::filter::{Expression, Filter, VARIABLES};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::walk;
use crate::mapping::Mapping;

/// Webhooks whose paths are remembered, and the bytes of those. Past it some are worked out anew.
const MAX_WEBHOOKS: usize = 5_000;
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Each path as it is written, and as it is found.
pub(super) type Paths = Arc<[(String, String)]>;

/// What the paths are of: a digest of mapping, filter and order.
pub(super) type Version = [u8; 32];

#[derive(Default)]
pub(super) struct Reads {
    /// By uid, with the version of the webhook that they are of.
    of: HashMap<String, (Version, Paths)>,
    bytes: usize,
}

impl Reads {
    pub(super) fn known(&self, uid: &str, version: &Version) -> Option<Paths> {
        let (of, paths) = self.of.get(uid)?;
        (of == version).then(|| Arc::clone(paths))
    }

    pub(super) fn note(&mut self, uid: &str, version: Version, paths: Paths) {
        self.forget(uid);
        let more = weight(&paths);
        while self.of.len() >= MAX_WEBHOOKS || self.bytes + more > MAX_BYTES {
            // Any of them.
            let Some(one) = self.of.keys().next().cloned() else {
                break;
            };
            self.forget(&one);
        }
        self.bytes += more;
        self.of.insert(uid.to_owned(), (version, paths));
    }

    fn forget(&mut self, uid: &str) {
        if let Some((_, paths)) = self.of.remove(uid) {
            self.bytes -= weight(&paths);
        }
    }
}

fn weight(paths: &Paths) -> usize {
    /// Of an entry, and of a path, besides their texts.
    const EACH: usize = 64;
    let each = paths
        .iter()
        .map(|(path, found)| path.len() + found.len() + EACH);
    EACH + each.sum::<usize>()
}

pub(super) fn version(spec: &v1::WebhookSpec) -> Version {
    let mut digest = Sha256::new();
    for text in [spec.filter.as_bytes(), spec.order_by.as_bytes()] {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    }
    if let Some(mapping) = &spec.mapping {
        digest.update(mapping.encode_to_vec());
    }
    digest.finalize().into()
}

/// What doesn't compile was admitted by another version, and reads nothing here.
pub(super) fn paths(spec: &v1::WebhookSpec) -> Paths {
    let mut all = BTreeSet::new();
    if let Some(mapping) = spec.mapping.as_ref().filter(|mapping| mapping.active)
        && let Ok(mapping) = Mapping::compile(mapping)
    {
        all.extend(mapping.paths());
    }
    if !spec.filter.trim().is_empty()
        && let Ok(filter) = Filter::compile(&spec.filter)
    {
        all.extend(filter.paths());
    }
    if !spec.order_by.trim().is_empty()
        && let Ok(order) = Expression::compile(&spec.order_by, &VARIABLES)
    {
        all.extend(order.paths());
    }
    let found = all.into_iter().filter_map(|path| {
        let found = walk::as_found(&path)?;
        Some((path, found))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_reads_what_its_filter_and_its_order_name() {
        let mut spec = v1::WebhookSpec {
            filter: "payload.lines.exists(l, l.sku == 'x') && headers['a'] == 'b'".to_owned(),
            order_by: "payload.customer.id".to_owned(),
            ..Default::default()
        };
        let found = |spec: &v1::WebhookSpec| {
            let all = paths(spec);
            all.iter()
                .map(|(_, found)| found.clone())
                .collect::<Vec<_>>()
        };
        let before = version(&spec);
        assert_eq!(
            found(&spec),
            [
                "payload.customer.id",
                "payload.lines",
                "payload.lines[*].sku"
            ]
        );
        spec.filter.clear();
        assert_ne!(version(&spec), before);
        assert_eq!(found(&spec), ["payload.customer.id"]);
    }

    #[test]
    fn paths_are_remembered_for_one_version_and_within_bounds() {
        let mut reads = Reads::default();
        let paths: Paths = vec![("p".repeat(500_000), "q".repeat(500_000))].into();
        reads.note("a", [1; 32], Arc::clone(&paths));
        assert!(reads.known("a", &[1; 32]).is_some());
        assert!(reads.known("a", &[2; 32]).is_none());
        for n in 0..50 {
            reads.note(&n.to_string(), [n; 32], Arc::clone(&paths));
        }
        assert!(reads.bytes <= MAX_BYTES && reads.of.len() >= 10);
        let all: usize = reads.of.values().map(|(_, paths)| weight(paths)).sum();
        assert_eq!(all, reads.bytes);
    }
}
