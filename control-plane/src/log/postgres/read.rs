//! Reads one event or delivery.

use hookplane_proto::v1;

use super::Shared;
use crate::log::LogError;

pub(super) async fn event(_shared: &Shared, _id: &str) -> Result<v1::Event, LogError> {
    Err(LogError::Unavailable("not built yet".into()))
}

pub(super) async fn delivery(_shared: &Shared, _id: &str) -> Result<v1::Delivery, LogError> {
    Err(LogError::Unavailable("not built yet".into()))
}
