//! Tells whoever waits that there is something new, here and at the other replicas.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Shared;
use crate::log::Cursor;

/// Where news are told.
#[derive(Default)]
pub(super) struct Wake {
    newest: watch::Sender<Cursor>,
}

impl Wake {
    /// Pending deliveries of these webhooks were kept, and events; the commit is done. Never waits.
    pub(super) fn kept(&self, _webhooks: Vec<String>) {}

    pub(super) fn newest(&self) -> watch::Receiver<Cursor> {
        self.newest.subscribe()
    }
}

/// Starts what listens and tells.
pub(super) fn start(_shared: &Arc<Shared>, _tasks: &mut JoinSet<()>) {}
