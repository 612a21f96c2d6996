//! What one push is made of: a small header of the stream's own, and bytes that all streams share.

use std::sync::Arc;

use bytes::Bytes;
use hookplane_proto::encoded_config::{self as encoded, Kind};
use hookplane_proto::v1;

use crate::config::list::FRAMING_BYTES;
use crate::config::pool::{Delta, Snapshot};

/// A delta, at most: below the 4 MiB that a gRPC peer takes unless told otherwise. Larger is a list.
const DELTA_BYTES: usize = 3 * 1024 * 1024;

/// A push that waits for its answer.
pub(super) struct Push {
    pub(super) nonce: u64,
    pub(super) to: u64,
    pub(super) digest: u64,
    /// None for a full list.
    pub(super) uids: Option<Vec<Arc<str>>>,
}

/// A whole list, in chunks; the last one says so. Each is made when the one before it is on its way.
pub(super) fn list(
    nonce: u64,
    snapshot: &Snapshot,
    proof: Bytes,
) -> (Push, impl Iterator<Item = Kind>) {
    let end = v1::ConfigListEnd {
        nonce,
        revision: snapshot.revision,
        count: snapshot.list.count() as u64,
        digest: snapshot.digest,
        proof,
    };
    let chunks = snapshot.list.chunks();
    let last = chunks.len() - 1;
    let parts = chunks.enumerate().map(move |(i, resources)| {
        Kind::ListChunk(encoded::ListChunk {
            resources: resources.iter().map(|r| r.bytes.clone()).collect(),
            end: (i == last).then(|| end.clone()),
        })
    });
    let push = Push {
        nonce,
        to: snapshot.revision,
        digest: snapshot.digest,
        uids: None,
    };
    (push, parts)
}

/// What changed, as one message. None when it is too large for one.
pub(super) fn delta(nonce: u64, from: u64, delta: Delta, proof: Bytes) -> Option<(Push, Kind)> {
    let size: usize = delta
        .upserts
        .iter()
        .map(|r| r.bytes.len() + FRAMING_BYTES)
        .chain(delta.removes.iter().map(|uid| uid.len() + FRAMING_BYTES))
        .sum();
    if size > DELTA_BYTES {
        return None;
    }
    let upserts = delta.upserts.iter().map(|r| r.uid.clone());
    let push = Push {
        nonce,
        to: delta.to,
        digest: delta.digest,
        uids: Some(upserts.chain(delta.removes.iter().cloned()).collect()),
    };
    let message = encoded::Delta {
        nonce,
        from,
        to: delta.to,
        digest: delta.digest,
        removes: delta.removes.iter().map(|uid| uid.to_string()).collect(),
        upserts: delta.upserts.iter().map(|r| r.bytes.clone()).collect(),
        proof,
    };
    Some((push, Kind::Delta(message)))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::config::encoded::{Encoded, Encoder};
    use crate::config::list::List;

    fn resource(uid: usize, bytes: usize) -> Arc<Encoded> {
        let mut webhook = v1::Webhook::default();
        webhook.spec.get_or_insert_default().label = "x".repeat(bytes);
        Encoder::default().encode(&v1::ConfigResource {
            uid: format!("uid-{uid}"),
            revision: 1,
            group_uid: String::new(),
            body: Some(v1::config_resource::Body::Webhook(webhook)),
        })
    }

    fn snapshot(resources: Vec<Arc<Encoded>>) -> Snapshot {
        Snapshot {
            revision: 9,
            digest: 7,
            cursor: 0,
            list: Arc::new(List::new(resources)),
        }
    }

    // Risk 31: the 4 MiB default message limit.
    #[test]
    fn a_list_of_50_000_is_cut_at_one_mebibyte_and_only_its_last_part_ends_it() {
        let mut resources: Vec<_> = (0..50_000).map(|i| resource(i, 200)).collect();
        // Some as large as they come.
        resources.extend((50_000..50_003).map(|i| resource(i, 1_000_000)));
        let snapshot = snapshot(resources);
        let (push, kinds) = list(3, &snapshot, Bytes::new());
        assert_eq!((push.nonce, push.to, push.digest), (3, 9, 7));
        let kinds: Vec<Kind> = kinds.collect();
        assert!(kinds.len() > 10);
        let mut count = 0;
        for (i, kind) in kinds.iter().enumerate() {
            let Kind::ListChunk(chunk) = kind else {
                panic!("not a chunk");
            };
            assert!(chunk.encoded_len() <= 1024 * 1024);
            count += chunk.resources.len();
            assert_eq!(chunk.end.is_some(), i + 1 == kinds.len());
        }
        assert_eq!(count, 50_003);
    }

    #[test]
    fn an_empty_list_still_ends() {
        let snapshot = snapshot(vec![]);
        let kinds: Vec<Kind> = list(1, &snapshot, Bytes::new()).1.collect();
        assert!(matches!(&kinds[..], [Kind::ListChunk(c)] if c.end.is_some()));
    }

    #[test]
    fn a_delta_too_large_for_one_message_is_none() {
        let large = Delta {
            to: 2,
            digest: 0,
            cursor: 0,
            removes: vec![],
            upserts: (0..40).map(|i| resource(i, 100_000)).collect(),
        };
        assert!(delta(1, 1, large, Bytes::new()).is_none());
    }
}
