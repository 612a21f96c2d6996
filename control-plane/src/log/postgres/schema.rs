//! Makes the log's tables and has them brought up ([`upgrade`]), whoever of several replicas comes first.

use std::time::Duration;

use hookplane_rules::Timestamp;
use tokio::time::Instant;

use super::connection::Connection;
use super::connector::Connector;
use super::durability::WEAKER;
use super::fault::Fault;
use super::upgrade;
use crate::log::LogError;

/// What opening may take, tables included.
pub(super) const OPEN_TIME: Duration = Duration::from_secs(20);

/// Clocks that are set by NTP are nearer.
const CLOCKS_DIFFER: Duration = Duration::from_secs(30);

/// Of the tables that this program works with.
pub(super) const VERSION: i64 = 3;

/// Version 1.
const TABLES: &str = include_str!("schema.sql");
/// From each version to the next, from version 1 on: see [`upgrade`].
pub(super) const STEPS: [&str; VERSION as usize - 1] =
    [include_str!("schema_2.sql"), include_str!("schema_3.sql")];
/// How callbacks are kept, from [`APPEND_SINCE`] on.
pub(super) const APPEND: &str = include_str!("append.sql");
/// What came with that version: tables of it have it already.
pub(super) const APPEND_SINCE: i64 = 2;

/// Held by whoever makes or changes tables: the bytes `hkpl`.
pub(super) const LOCK: i64 = 0x686b_706c;

/// What is the same for as long as the tables are.
pub(super) struct Opened {
    pub(super) token_key: [u8; 32],
    /// The server's time then, in milliseconds since 1970.
    server_time: i64,
}

impl Opened {
    /// Says so when the server and this machine disagree about the time: what an operator sees of an event is then from both.
    pub(super) fn compare_clocks(&self, ours: Timestamp) {
        let ahead = Duration::from_millis(self.server_time.abs_diff(ours.0));
        if ahead > CLOCKS_DIFFER {
            tracing::warn!("PostgreSQL's clock is {ahead:?} from this machine's: set both by NTP");
        }
    }
}

/// Makes the tables where there are none, brings older ones up, and refuses those of a newer program. The deadline is for all but bringing up, which
/// takes as long as there is much in them.
pub(super) async fn open(connector: &Connector, deadline: Instant) -> Result<Opened, LogError> {
    let connection = connector.connect(deadline).await?;
    let known = within(deadline, version(&connection)).await?;
    if let Some(known) = known.filter(|known| (1..VERSION).contains(known)) {
        upgrade::bring_up(&connection, known).await?;
        return within(Instant::now() + OPEN_TIME, make(&connection)).await;
    }
    within(deadline, make(&connection)).await
}

async fn within<T>(
    deadline: Instant,
    asked: impl Future<Output = Result<T, LogError>>,
) -> Result<T, LogError> {
    let answer = tokio::time::timeout_at(deadline, asked).await;
    answer.unwrap_or_else(|_| {
        Err(LogError::Unavailable(
            "PostgreSQL didn't answer in time".into(),
        ))
    })
}

async fn make(connection: &Connection) -> Result<Opened, LogError> {
    let client = &connection.client;
    let fault = |error: tokio_postgres::Error| LogError::from(Fault::from(error));
    if version(connection).await? == Some(VERSION) {
        return read(connection).await;
    }
    // What bounds other statements is less than making tables may take, or waiting for whoever makes them. This is all that bounds it at the server,
    // should this replica be frozen by then.
    let most = OPEN_TIME.as_millis();
    client
        .batch_execute(&format!(
            "BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = {most}; SET LOCAL idle_in_transaction_session_timeout = {most}"
        ))
        .await
        .map_err(fault)?;
    client
        .batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})"))
        .await
        .map_err(fault)?;
    match version(connection).await? {
        None => {
            let steps = STEPS.join(";");
            client
                .batch_execute(&format!(
                    "CREATE SCHEMA IF NOT EXISTS hookplane; SET LOCAL search_path = hookplane, pg_catalog; {TABLES}; {steps}; {APPEND}
                     CREATE FUNCTION weaker_durability_v1() RETURNS text LANGUAGE sql STABLE AS $$ {WEAKER} $$;
                     INSERT INTO meta (name, value) VALUES ('version', '{VERSION}')"
                ))
                .await
                .map_err(fault)?;
            let mut key = [0u8; 32];
            getrandom::fill(&mut key)
                .map_err(|error| LogError::Failed(format!("no random numbers: {error}")))?;
            client
                .execute(
                    "INSERT INTO meta (name, value) VALUES ('token_key', $1)",
                    &[&hex::encode(key)],
                )
                .await
                .map_err(fault)?;
        }
        // Another replica made them meanwhile.
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => {
            return Err(LogError::Failed(format!(
                "the log in PostgreSQL is of version {newer}, and this program knows {VERSION}; use a newer program"
            )));
        }
        Some(older) => {
            return Err(LogError::Failed(format!(
                "the log in PostgreSQL is of version {older}, which never was released"
            )));
        }
    }
    client.batch_execute("COMMIT").await.map_err(fault)?;
    read(connection).await
}

/// None where there are no tables.
pub(super) async fn version(connection: &Connection) -> Result<Option<i64>, LogError> {
    let fault = |error: tokio_postgres::Error| LogError::from(Fault::from(error));
    // Read from the table of tables: `to_regclass` asks a cache, and after a wait for the lock that may not know yet what another has made.
    let there = connection
        .client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
             WHERE nspname = 'hookplane' AND relname = 'meta')",
            &[],
        )
        .await
        .map_err(fault)?;
    if !there.get::<_, bool>(0) {
        return Ok(None);
    }
    let version = meta(connection, "version").await?;
    version
        .and_then(|version| version.parse().ok())
        .map(Some)
        .ok_or_else(|| LogError::Damaged("hookplane.meta has no version".into()))
}

async fn read(connection: &Connection) -> Result<Opened, LogError> {
    let damaged = || LogError::Damaged("hookplane.meta has no token_key".into());
    let key = meta(connection, "token_key").await?.ok_or_else(damaged)?;
    let key = hex::decode(key).ok().and_then(|key| key.try_into().ok());
    let time = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let time = connection.client.query_one(time, &[]).await;
    Ok(Opened {
        server_time: time.map_err(Fault::from)?.get(0),
        token_key: key.ok_or_else(damaged)?,
    })
}

pub(super) async fn meta(connection: &Connection, name: &str) -> Result<Option<String>, LogError> {
    let row = connection
        .client
        .query_opt("SELECT value FROM hookplane.meta WHERE name = $1", &[&name])
        .await
        .map_err(|error| LogError::from(Fault::from(error)))?;
    Ok(row.map(|row| row.get(0)))
}
