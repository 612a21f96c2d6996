//! Reads up the line of events and changes.

use super::Shared;
use crate::log::{Cursor, LogError, Selection, TailItem};

pub(super) async fn tail(
    _shared: &Shared,
    _selection: &Selection,
    _after: Cursor,
    _changes: bool,
    _limit: usize,
) -> Result<(Vec<TailItem>, Cursor), LogError> {
    Err(LogError::Unavailable("not built yet".into()))
}
