//! Keeps callbacks.

use std::sync::Arc;

use tokio::time::Instant;

use super::{PostgresOptions, Shared};
use crate::log::{Appended, LogError, NewCallback};

pub(super) struct Queue {}

impl Queue {
    pub(super) fn new(_options: &PostgresOptions) -> Self {
        Self {}
    }

    pub(super) fn len(&self) -> u64 {
        0
    }

    pub(super) async fn close(&self) {}
}

pub(super) async fn append(
    shared: &Shared,
    _callback: NewCallback,
    _deadline: Instant,
) -> Result<Appended, LogError> {
    shared.wake.kept(Vec::new());
    Err(LogError::Unavailable("not built yet".into()))
}

pub(super) async fn write(_shared: Arc<Shared>) {}
