//! The logs that the suite is run over.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{DeliveryLog, LogError};
use tokio::time::Instant;

use super::{Backend, PATIENCE};
use crate::clock::TestClock;
use crate::engines::postgres::Postgres;

/// The embedded one, in the directory itself.
pub struct InDirectory {
    clock: Arc<TestClock>,
    options: Options,
}

impl InDirectory {
    /// With its clock at rest.
    pub fn new(options: Options) -> Self {
        Self {
            clock: Arc::default(),
            options,
        }
    }
}

#[async_trait::async_trait]
impl Backend for InDirectory {
    async fn open(&self, dir: &Path) -> Arc<dyn DeliveryLog> {
        EmbeddedLog::open(dir, self.clock.clone(), self.options.clone()).expect("opens")
    }

    async fn advance(&self, _dir: &Path, by: Duration) {
        self.clock.advance(by);
    }
}

/// Opens a log there, however busy the machine is: its own time for that may be up before a server that was just started gets to it.
pub async fn open_postgres(
    options: PostgresOptions,
    clock: Arc<TestClock>,
) -> Result<Arc<PostgresLog>, LogError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match PostgresLog::open(options.clone(), clock.clone()).await {
            Err(LogError::Unavailable(_)) if Instant::now() < deadline => {}
            opened => return opened,
        }
    }
}

/// PostgreSQL with a standby, one for all who ask, and a database for each directory.
pub struct InPostgres {
    postgres: &'static Postgres,
}

impl InPostgres {
    /// Starts it for the first who asks.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        Self {
            postgres: SHARED.get_or_init(Postgres::start_pair),
        }
    }

    /// The URL of that directory's database, which is made where there is none.
    pub fn url(&self, dir: &Path) -> String {
        let name = name(dir);
        let there = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
        if self.postgres.sql("postgres", &there) == "0" {
            return self.postgres.database(&name);
        }
        self.postgres.url_of(&name)
    }

    /// Every file that may hold something of that directory's database, at both servers: its own, and their journals, in which all comes first.
    pub fn files(&self, dir: &Path) -> Vec<PathBuf> {
        let oid = format!(
            "SELECT oid FROM pg_database WHERE datname = '{}'",
            name(dir)
        );
        let oid = self.postgres.sql("postgres", &oid);
        let nodes = [self.postgres.primary(), self.postgres.standby()];
        let folders = nodes.into_iter().flat_map(|node| {
            let data = self.postgres.data(node);
            [data.join("base").join(&oid), data.join("pg_wal")]
        });
        let files = folders.flat_map(|folder| std::fs::read_dir(folder).expect("a folder"));
        files.map(|file| file.expect("a file").path()).collect()
    }
}

fn name(dir: &Path) -> String {
    let name = dir.file_name().expect("has a name").to_string_lossy();
    format!("log{}", name.replace('.', "-"))
}

#[async_trait::async_trait]
impl Backend for InPostgres {
    async fn open(&self, dir: &Path) -> Arc<dyn DeliveryLog> {
        let options = PostgresOptions {
            url: self.url(dir),
            first_back_off: Duration::from_millis(10),
            ..PostgresOptions::default()
        };
        let clock = Arc::new(TestClock::default());
        open_postgres(options, clock).await.expect("opens")
    }

    /// By the server's clock, which can't be moved: so what is stored becomes older.
    async fn advance(&self, dir: &Path, by: Duration) {
        let by = by.as_millis();
        let sql = format!(
            "UPDATE hookplane.dedup SET seen = seen - {by}; UPDATE hookplane.events SET kept = kept - {by};
             UPDATE hookplane.deliveries SET created = created - {by}, updated = updated - {by};
             UPDATE hookplane.changes SET at = at - {by}"
        );
        self.postgres.sql(&name(dir), &sql);
    }
}
