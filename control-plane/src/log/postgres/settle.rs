//! Ends attempts.

use super::Shared;
use crate::log::{LogError, Settlement};

pub(super) async fn settle(
    _shared: &Shared,
    _settlements: Vec<(String, Settlement)>,
) -> Result<Vec<bool>, LogError> {
    Err(LogError::Unavailable("not built yet".into()))
}

pub(super) async fn replay(_shared: &Shared, _delivery_ids: &[String]) -> Result<u32, LogError> {
    Err(LogError::Unavailable("not built yet".into()))
}

pub(super) async fn drop_deliveries(
    _shared: &Shared,
    _webhook_uid: &str,
    _reason: &str,
) -> Result<u32, LogError> {
    Err(LogError::Unavailable("not built yet".into()))
}
