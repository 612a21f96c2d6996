//! The outermost place: the one that names concrete backends.

use std::path::Path;
use std::sync::Arc;

use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};

use hookplane_control_plane::store::{EmbeddedStore, Store};
use hookplane_rules::Clock;

use crate::failure::Failure;

/// Store and log.
pub(crate) type Backends = (Arc<dyn Store>, Arc<dyn DeliveryLog>);

/// Opens the embedded ones. Another process that has them open is an error of theirs.
pub(crate) async fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Backends, Failure> {
    let dir = dir.to_owned();
    // Opening reads and syncs files, and mends what a crash left.
    tokio::task::spawn_blocking(move || {
        let failed =
            |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", dir.display()));
        let store: Arc<dyn Store> = EmbeddedStore::open(&dir).map_err(|error| failed(&error))?;
        let log: Arc<dyn DeliveryLog> =
            EmbeddedLog::open(&dir, clock, Options::default()).map_err(|error| failed(&error))?;
        Ok((store, log))
    })
    .await
    .map_err(|error| Failure::new(format!("open the stores: {error}")))?
}
