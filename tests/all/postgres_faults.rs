//! The event log in PostgreSQL under kills, freezes, lost standbys, and settings that promise less.

mod commits;
mod disk;
mod durability;
mod locks;
mod opening;
mod rows;
mod standby;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::fake_control_plane::until;
use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{Appended, DeliveryLog, LogError, NewCallback};
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::backends::open_postgres;
use tokio::time::Instant;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of a caller who is going to be disappointed.
const SHORT: Duration = Duration::from_millis(1_500);

/// A primary and its standby for all tests that leave them as they are; each has a database of its own there.
fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start_pair)
}

fn options(url: &str) -> PostgresOptions {
    PostgresOptions {
        url: url.to_owned(),
        ..PostgresOptions::default()
    }
}

async fn open_with(options: PostgresOptions) -> Result<Arc<PostgresLog>, LogError> {
    open_postgres(options, Arc::default()).await
}

async fn open(url: &str) -> Arc<PostgresLog> {
    open_with(options(url)).await.expect("opens")
}

/// The log's answer within `patience`, which it has to keep to by itself.
async fn append(
    log: &PostgresLog,
    callback: NewCallback,
    patience: Duration,
) -> Result<Appended, LogError> {
    let deadline = Instant::now() + patience;
    let answer = log.append(callback, deadline);
    tokio::time::timeout_at(deadline + PATIENCE, answer)
        .await
        .expect("an answer")
}

fn kept(id: &str) -> Result<Appended, LogError> {
    Ok(Appended::Kept {
        event_ids: vec![id.to_owned()],
    })
}

#[track_caller]
fn assert_unavailable(answer: &Result<Appended, LogError>) {
    assert!(
        matches!(answer, Err(LogError::Unavailable(_))),
        "{answer:?}"
    );
}

/// Waits until a query on the primary prints this.
async fn until_sql(postgres: &Postgres, database: &str, sql: &str, printed: &str) {
    until(|| postgres.sql(database, sql) == printed)
        .await
        .unwrap_or_else(|error| panic!("{sql} prints {printed}: {error}"));
}
