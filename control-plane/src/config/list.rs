//! A pool's full list, cut into messages once for all listeners that need it at that time.

use std::ops::Range;
use std::sync::Arc;

use super::encoded::Encoded;

/// A list's part, at most. 1 MiB less the room for its header and the end.
const CHUNK_BYTES: usize = 1024 * 1024 - 1024;
/// A resource's tag and length in a message, at most.
pub(crate) const FRAMING_BYTES: usize = 8;

/// All resources of a pool, and where one message ends and the next begins.
#[derive(Debug)]
pub(crate) struct List {
    resources: Vec<Arc<Encoded>>,
    chunks: Vec<Range<usize>>,
}

impl List {
    pub(crate) fn new(resources: Vec<Arc<Encoded>>) -> Self {
        let mut chunks = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (i, resource) in resources.iter().enumerate() {
            let size = resource.bytes.len() + FRAMING_BYTES;
            if bytes > 0 && bytes + size > CHUNK_BYTES {
                chunks.push(start..i);
                (start, bytes) = (i, 0);
            }
            bytes += size;
        }
        // An empty list is one empty message, which ends it.
        chunks.push(start..resources.len());
        Self { resources, chunks }
    }

    pub(crate) fn count(&self) -> usize {
        self.resources.len()
    }

    /// In order; at least one.
    pub(crate) fn chunks(&self) -> impl ExactSizeIterator<Item = &[Arc<Encoded>]> {
        // The ranges were made from these resources.
        self.chunks
            .iter()
            .map(|range| &self.resources[range.clone()])
    }
}
