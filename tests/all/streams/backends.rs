//! Where a rig keeps things: in its folder, or in its part of the cluster that all tests share, three members of etcd and a PostgreSQL with a
//! synchronous standby. The tests of a file that `on_cluster!` names run over both.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::postgres::PostgresOptions;
use hookplane_control_plane::store::etcd::{EtcdOptions, EtcdStore};
use hookplane_control_plane::store::{EmbeddedStore, Store};
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::backends::{InPostgres, open_postgres};

use super::rig::ATTEMPTS;
use crate::fake_control_plane::Failure;

const BACK_OFF: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Backends {
    Embedded,
    Cluster,
}

thread_local! {
    /// A test begins on a thread of its own, and its rigs are made there.
    static CHOSEN: Cell<Backends> = const { Cell::new(Backends::Embedded) };
}

impl Backends {
    /// Those of the test that runs on this thread.
    pub(super) fn chosen() -> Self {
        CHOSEN.get()
    }

    /// Runs a test whose rigs are made on the cluster.
    pub(super) fn cluster<T>(test: impl FnOnce() -> T) -> T {
        CHOSEN.set(Self::Cluster);
        let done = test();
        CHOSEN.set(Self::Embedded);
        done
    }

    /// The store that belongs to the folder.
    pub(super) async fn store(self, folder: &Path) -> Result<Arc<dyn Store>, Failure> {
        if self == Self::Embedded {
            return Ok(EmbeddedStore::open(&folder.join("store"))?);
        }
        let name = folder.file_name().ok_or("it has a name")?;
        let options = EtcdOptions {
            endpoints: crate::store::cluster().hosts(),
            prefix: format!("{}/", name.display()),
            ..EtcdOptions::default()
        };
        Ok(EtcdStore::open(options).await?)
    }

    /// The log that belongs to the folder.
    pub(super) async fn log(
        self,
        folder: &Path,
        clock: Arc<TestClock>,
    ) -> Result<Arc<dyn DeliveryLog>, Failure> {
        if self == Self::Embedded {
            let options = Options {
                max_attempts: ATTEMPTS,
                first_back_off: BACK_OFF,
                longest_back_off: BACK_OFF,
                ..Options::default()
            };
            return Ok(EmbeddedLog::open(&folder.join("log"), clock, options)?);
        }
        let options = PostgresOptions {
            url: InPostgres::shared().url(folder),
            max_attempts: ATTEMPTS,
            first_back_off: BACK_OFF,
            longest_back_off: BACK_OFF,
            ..PostgresOptions::default()
        };
        Ok(open_postgres(options, clock).await?)
    }

    /// What the provider of a callback that is kept is told.
    pub(super) fn receipt(self) -> &'static str {
        match self {
            Self::Embedded => "synced",
            Self::Cluster => "replicated",
        }
    }
}

/// The same tests once more, over etcd and PostgreSQL.
macro_rules! on_cluster {
    ($($test:ident),* $(,)?) => {
        mod on_cluster {
            $(#[test]
            fn $test() -> Result<(), crate::fake_control_plane::Failure> {
                crate::streams::backends::Backends::cluster(super::$test)
            })*
        }
    };
}
pub(super) use on_cluster;
