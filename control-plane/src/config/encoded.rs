//! Resources as bytes: each version is encoded once, and every stream and every list sends those same bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hookplane_proto::v1;
use hookplane_rules::digest_of;
use prost::Message;

/// One version of one resource.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) uid: Arc<str>,
    pub(crate) revision: u64,
    /// Its part of a digest.
    pub(crate) share: u64,
    /// A `ConfigResource`.
    pub(crate) bytes: Bytes,
}

/// The only place that encodes a resource, so that it can say how often it did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoder {
    made: Arc<AtomicU64>,
}

impl Encoder {
    pub(crate) fn encode(&self, resource: &v1::ConfigResource) -> Arc<Encoded> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Arc::new(Encoded {
            uid: resource.uid.as_str().into(),
            revision: resource.revision,
            share: digest_of(&resource.uid, resource.revision),
            bytes: resource.encode_to_vec().into(),
        })
    }

    /// Encodings so far.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}
