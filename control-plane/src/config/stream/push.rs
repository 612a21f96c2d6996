//! What one push is made of.

use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_proto::v1::stream_config_response::Kind;
use prost::Message;

use crate::config::pool::{Delta, Snapshot};

/// A list's part, at most. 1 MiB less the room for its header and the end.
const CHUNK_BYTES: usize = 1024 * 1024 - 1024;
/// A delta, at most: below the 4 MiB that a gRPC peer takes unless told otherwise. Larger is a list.
pub(super) const DELTA_BYTES: usize = 3 * 1024 * 1024;

/// A push that waits for its answer.
pub(super) struct Push {
    pub(super) nonce: u64,
    pub(super) to: u64,
    pub(super) digest: u64,
    /// None for a full list.
    pub(super) uids: Option<Vec<String>>,
}

/// A whole list, in chunks; the last one says so.
pub(super) fn list(nonce: u64, snapshot: Snapshot) -> (Push, Vec<Kind>) {
    let count = snapshot.resources.len() as u64;
    let mut chunks = vec![v1::ConfigListChunk::default()];
    let mut bytes = 0;
    for resource in snapshot.resources {
        // Its tag and length, besides itself.
        let size = resource.encoded_len() + 8;
        if bytes > 0 && bytes + size > CHUNK_BYTES {
            chunks.push(v1::ConfigListChunk::default());
            bytes = 0;
        }
        bytes += size;
        if let Some(chunk) = chunks.last_mut() {
            chunk.resources.push(Arc::unwrap_or_clone(resource));
        }
    }
    if let Some(chunk) = chunks.last_mut() {
        chunk.end = Some(v1::ConfigListEnd {
            nonce,
            revision: snapshot.revision,
            count,
            digest: snapshot.digest,
        });
    }
    let push = Push {
        nonce,
        to: snapshot.revision,
        digest: snapshot.digest,
        uids: None,
    };
    (push, chunks.into_iter().map(Kind::ListChunk).collect())
}

/// What changed, as one message. None when it is too large for one.
pub(super) fn delta(nonce: u64, from: u64, delta: Delta) -> Option<(Push, Vec<Kind>)> {
    let size: usize = delta
        .upserts
        .iter()
        .map(|r| r.encoded_len() + 8)
        .chain(delta.removes.iter().map(|uid| uid.len() + 8))
        .sum();
    if size > DELTA_BYTES {
        return None;
    }
    let uids = delta
        .upserts
        .iter()
        .map(|r| r.uid.clone())
        .chain(delta.removes.iter().cloned())
        .collect();
    let push = Push {
        nonce,
        to: delta.to,
        digest: delta.digest,
        uids: Some(uids),
    };
    let message = v1::ConfigDelta {
        nonce,
        from,
        to: delta.to,
        digest: delta.digest,
        removes: delta.removes,
        upserts: delta
            .upserts
            .into_iter()
            .map(Arc::unwrap_or_clone)
            .collect(),
    };
    Some((push, vec![Kind::Delta(message)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(uid: usize, bytes: usize) -> Arc<v1::ConfigResource> {
        let mut webhook = v1::Webhook::default();
        webhook.spec.get_or_insert_default().label = "x".repeat(bytes);
        Arc::new(v1::ConfigResource {
            uid: format!("uid-{uid}"),
            revision: 1,
            group_uid: String::new(),
            body: Some(v1::config_resource::Body::Webhook(webhook)),
        })
    }

    // Risk 31: the 4 MiB default message limit.
    #[test]
    fn a_list_is_cut_at_one_mebibyte_and_only_its_last_part_ends_it() {
        let snapshot = Snapshot {
            revision: 9,
            digest: 7,
            resources: (0..50).map(|i| resource(i, 100_000)).collect(),
        };
        let (push, kinds) = list(3, snapshot);
        assert_eq!((push.nonce, push.to, push.digest), (3, 9, 7));
        assert!(kinds.len() > 4);
        let mut count = 0;
        for (i, kind) in kinds.iter().enumerate() {
            let Kind::ListChunk(chunk) = kind else {
                panic!("not a chunk");
            };
            assert!(chunk.encoded_len() <= 1024 * 1024);
            count += chunk.resources.len();
            assert_eq!(chunk.end.is_some(), i + 1 == kinds.len());
        }
        assert_eq!(count, 50);
    }

    #[test]
    fn an_empty_list_still_ends() {
        let snapshot = Snapshot {
            revision: 1,
            digest: 0,
            resources: vec![],
        };
        let (_, kinds) = list(1, snapshot);
        assert!(matches!(&kinds[..], [Kind::ListChunk(c)] if c.end.is_some()));
    }

    #[test]
    fn a_delta_too_large_for_one_message_is_none() {
        let large = Delta {
            to: 2,
            digest: 0,
            removes: vec![],
            upserts: (0..40).map(|i| resource(i, 100_000)).collect(),
        };
        assert!(delta(1, 1, large).is_none());
    }
}
