//! Deletes what is settled and aged.

use super::Shared;
use crate::log::{LogError, Retention};

pub(super) async fn retain(_shared: &Shared, _retention: Retention) -> Result<u64, LogError> {
    Err(LogError::Unavailable("not built yet".into()))
}
