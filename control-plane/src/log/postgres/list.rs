//! Lists events and deliveries, the newest first.

use hookplane_proto::v1;

use super::Shared;
use crate::log::{Cursor, LogError, Selection};

pub(super) async fn events(
    _shared: &Shared,
    _selection: &Selection,
    _before: Option<Cursor>,
    _limit: usize,
) -> Result<Vec<(Cursor, v1::Event)>, LogError> {
    Err(LogError::Unavailable("not built yet".into()))
}

pub(super) async fn deliveries(
    _shared: &Shared,
    _selection: &Selection,
    _before: Option<Cursor>,
    _limit: usize,
) -> Result<Vec<(Cursor, v1::Delivery)>, LogError> {
    Err(LogError::Unavailable("not built yet".into()))
}
