//! The listeners that are connected, and what each of them runs.

use hookplane_proto::v1;

/// All connected listeners.
pub struct Fleet {}

impl Fleet {
    /// Whether every ready listener of the pool runs this resource at this revision or a later one.
    pub fn live(&self, _pool: &str, _uid: &str, _revision: u64) -> v1::Live {
        todo!()
    }
}
