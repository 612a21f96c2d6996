//! What the version of the mapping that a delivery is for makes of its event.

use crate::context::Context;
use crate::log::Lease;
use crate::mapping::Record;

/// Why there are no records.
pub(super) enum Unmapped {
    /// An operator has to mend something.
    Hold(String),
    /// The store can't be asked.
    Later(String),
}

pub(super) async fn mapped(_context: &Context, lease: &Lease) -> Result<Option<Record>, Unmapped> {
    match lease.delivery.mapping_version {
        0 => Ok(None),
        _ => Err(Unmapped::Later("not built yet".to_owned())),
    }
}
