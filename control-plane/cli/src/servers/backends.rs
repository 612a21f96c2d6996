//! The outermost place: the one that names concrete backends.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};

use hookplane_control_plane::store::{EmbeddedStore, Store};
use hookplane_rules::Clock;

use crate::failure::Failure;

/// Store and log.
pub(crate) type Backends = (Arc<dyn Store>, Arc<dyn DeliveryLog>);

const EMBEDDED: &str = "embedded:";

/// Where configuration is kept, as typed: `embedded:DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreAt(pub(crate) PathBuf);

/// Where events are kept, as typed: `embedded:DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogAt(pub(crate) PathBuf);

impl FromStr for StoreAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        directory(text, "etcd://", "configuration").map(Self)
    }
}

impl FromStr for LogAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        directory(text, "postgres://", "events").map(Self)
    }
}

/// `later` is what will be taken one day, and is told apart from what never will.
fn directory(text: &str, later: &str, what: &str) -> Result<PathBuf, String> {
    match text.strip_prefix(EMBEDDED) {
        Some("") => Err(format!(
            "name a directory, as in {EMBEDDED}/var/lib/hookplane"
        )),
        Some(directory) => Ok(PathBuf::from(directory)),
        None if text.starts_with(later) => Err(format!(
            "{later} is not built yet: this version keeps {what} in {EMBEDDED}DIR"
        )),
        None => Err(format!("this version keeps {what} in {EMBEDDED}DIR")),
    }
}

/// Opens the embedded ones. Another process that has them open is an error of theirs.
pub(crate) async fn open(
    store: &Path,
    log: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Backends, Failure> {
    let (store, log) = (store.to_owned(), log.to_owned());
    // Opening reads and syncs files, and mends what a crash left.
    tokio::task::spawn_blocking(move || {
        let failed = |dir: &Path, error: &dyn std::fmt::Display| {
            Failure::new(format!("{}: {error}", dir.display()))
        };
        let opened = EmbeddedStore::open(&store).map_err(|error| failed(&store, &error))?;
        let events = EmbeddedLog::open(&log, clock, Options::default())
            .map_err(|error| failed(&log, &error))?;
        Ok((opened as Arc<dyn Store>, events as Arc<dyn DeliveryLog>))
    })
    .await
    .map_err(|error| Failure::new(format!("open the stores: {error}")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_is_not_built_is_told_from_one_that_will_never_be() {
        assert_eq!(
            "embedded:data/config".parse(),
            Ok(StoreAt("data/config".into()))
        );
        assert_eq!("embedded:/e".parse(), Ok(LogAt("/e".into())));
        let refused = |error: Result<PathBuf, String>| error.unwrap_err();
        for text in ["etcd://a,b,c", "etcd://"] {
            let error = refused(text.parse::<StoreAt>().map(|at| at.0));
            assert!(error.contains("not built yet"), "{error}");
        }
        let error = refused("postgres://h/db".parse::<LogAt>().map(|at| at.0));
        assert!(error.contains("not built yet"), "{error}");
        for text in ["", "embedded:", "postgres://h/db", "redis://x", "data"] {
            let error = refused(text.parse::<StoreAt>().map(|at| at.0));
            assert!(
                error.contains("embedded:") && !error.contains("not built"),
                "{error}"
            );
        }
    }
}
