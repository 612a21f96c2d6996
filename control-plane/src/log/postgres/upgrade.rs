//! Brings the tables of an older program up, step by step, while its replicas go on.
//!
//! ```text
//!   turn: an advisory lock of this session ─▶ how far is it? ─▶ step ─▶ noted ─▶ step ─▶ noted ─▶ … ─▶ of this version
//!     └ another replica's: looked again              ├ a transaction of moments, which notes itself
//!                                                    └ an index, `CONCURRENTLY`
//! ```
//!
//! - Whoever is killed or cut off leaves the rest to the next one: what is noted isn't done again, and an index that wasn't ended is dropped and
//!   built anew. The server ends the turn with the session.
//! - What older replicas do isn't held up: building an index keeps nobody waiting, and a transaction that needs a table for itself waits for it no
//!   longer than all others can wait behind it, and comes again.
//! - It takes as long as there is much in the tables. Until it is done no replica of this program opens the log.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;

use super::connection::Connection;
use super::fault::Fault;
use super::schema::{APPEND, APPEND_SINCE, LOCK, STEPS, VERSION, meta, version};
use crate::log::LogError;

/// What begins a step in a file of them.
const MARK: &str = "-- STEP\n";

/// Between two looks at a turn that another replica has, and before a transaction is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// What a transaction waits for a table: appends wait behind it meanwhile, and answer in time all the same.
const LOCK_TIME_MS: u32 = 500;
/// A transaction that has waited for so long that often waits for one that nobody ends.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// One index of all that is kept takes less, and nothing else bounds it.
const SETTINGS: &str = "SET statement_timeout = '12h'; SET lock_timeout = 0";
/// Where the server knows them: a session that does nothing for so long is over, and its turn with it, since its replica is frozen; and one whose replica is
/// gone is over in the middle of an index too, not at its end.
const ENDS: [&str; 2] = [
    "SET idle_session_timeout = '60s'",
    "SET client_connection_check_interval = '2s'",
];

/// Where what is done is noted: the version that is being made, a dot, and how many of its steps.
const NOTE: &str = "step";

/// What is done at once.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Statements of one transaction.
    Transaction(&'static str),
    /// `CREATE INDEX` or `DROP INDEX`, without the comments.
    Index(String),
}

/// The steps of a file, in order.
fn steps(file: &'static str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in file.split(MARK).skip(1) {
        let is_comment = |line: &&str| line.trim().is_empty() || line.starts_with("--");
        let statements = part.lines().filter(|line| !is_comment(line));
        let statements = statements.collect::<Vec<_>>().join("\n");
        if begin(&statements).is_none() {
            steps.push(Step::Transaction(part));
            continue;
        }
        let each = statements.split(';').map(str::trim);
        let each = each.filter(|statement| !statement.is_empty());
        steps.extend(each.map(|statement| Step::Index(statement.to_owned())));
    }
    steps
}

/// What a statement about an index begins with, and the rest: its name first.
fn begin(statement: &str) -> Option<(&'static str, &str)> {
    ["CREATE INDEX", "CREATE UNIQUE INDEX", "DROP INDEX"]
        .into_iter()
        .find_map(|begin| Some((begin, statement.strip_prefix(begin)?.trim_start())))
}

/// Until the tables are of this version, whoever does it.
pub(super) async fn bring_up(connection: &Connection, known: i64) -> Result<(), LogError> {
    run(connection, SETTINGS).await?;
    for end in ENDS {
        if let Err(fault) = run(connection, end).await {
            tracing::debug!(
                error = fault.message,
                "a session that nobody goes on with ends later"
            );
        }
    }
    tracing::info!(
        "the log in PostgreSQL is brought from version {known} to {VERSION}: with much in it that takes long; older replicas go on meanwhile"
    );
    let turn = format!("SELECT pg_try_advisory_lock({LOCK})");
    let mut told = false;
    while !is_true(connection, &turn).await? {
        // Not a wait at the server, which whoever builds an index would wait for in turn.
        if !std::mem::replace(&mut told, true) {
            tracing::info!("another replica is at it");
        }
        sleep(PAUSE).await;
    }
    // Another may have done all of it.
    let mut at = version(connection).await?.unwrap_or(VERSION);
    while at < VERSION {
        let file = usize::try_from(at - 1).ok().and_then(|at| STEPS.get(at));
        at += 1;
        let steps = file.map(|file| steps(file)).unwrap_or_default();
        let done = done(connection, at).await?;
        for (number, step) in steps.iter().enumerate().skip(done) {
            let note = note(at, number + 1);
            match step {
                Step::Transaction(sql) => {
                    transaction(connection, &format!("{sql}; {note}")).await?
                }
                Step::Index(sql) => {
                    index(connection, sql).await?;
                    run(connection, &note).await?;
                }
            }
            tracing::info!("step {} of {} is done", number + 1, steps.len() + 1);
        }
        let append = if at == APPEND_SINCE { APPEND } else { "" };
        let last = format!(
            "{append}; UPDATE meta SET value = '{at}' WHERE name = 'version'; DELETE FROM meta WHERE name = '{NOTE}'"
        );
        transaction(connection, &last).await?;
        tracing::info!("the log in PostgreSQL is of version {at}");
    }
    let turn = format!("SELECT pg_advisory_unlock({LOCK})");
    Ok(run(connection, &turn).await?)
}

async fn run(connection: &Connection, sql: &str) -> Result<(), Fault> {
    Ok(connection.client.batch_execute(sql).await?)
}

async fn is_true(connection: &Connection, sql: &str) -> Result<bool, Fault> {
    Ok(connection.client.query_one(sql, &[]).await?.try_get(0)?)
}

/// How many steps towards a version were done before.
async fn done(connection: &Connection, of: i64) -> Result<usize, LogError> {
    let Some(noted) = meta(connection, NOTE).await? else {
        return Ok(0);
    };
    let read = || {
        let (version, done) = noted.split_once('.')?;
        let is_of_it = version.parse() == Ok(of);
        is_of_it.then(|| done.parse().ok())?
    };
    read().ok_or_else(|| {
        LogError::Damaged(format!("hookplane.meta has a step that isn't one: {noted}"))
    })
}

fn note(version: i64, done: usize) -> String {
    format!(
        "INSERT INTO meta (name, value) VALUES ('{NOTE}', '{version}.{done}') ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
}

/// Again and again, as long as others are at the tables.
async fn transaction(connection: &Connection, sql: &str) -> Result<(), LogError> {
    let whole = format!("BEGIN; SET LOCAL lock_timeout = {LOCK_TIME_MS}; {sql}; COMMIT");
    let until = Instant::now() + LONGEST_WAIT;
    loop {
        let Err(fault) = run(connection, &whole).await else {
            return Ok(());
        };
        let waited = fault.code == Some(SqlState::LOCK_NOT_AVAILABLE);
        if !waited || Instant::now() > until {
            return Err(fault.into());
        }
        run(connection, "ROLLBACK").await?;
        tracing::info!(
            "a transaction has a table that has to be altered: it is tried again; if it stays, look for it in pg_stat_activity"
        );
        sleep(PAUSE).await;
    }
}

/// An index, as it is to be: built, dropped, or both where it was left half-way.
async fn index(connection: &Connection, sql: &str) -> Result<(), LogError> {
    let Some((what, rest)) = begin(sql) else {
        return Err(LogError::Failed(format!("it is about no index: {sql}")));
    };
    let name = rest.split_whitespace().next().unwrap_or_default();
    let is_valid = "SELECT indisvalid FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
         JOIN pg_catalog.pg_index ON indexrelid = pg_class.oid WHERE nspname = 'hookplane' AND relname = $1";
    let there = connection.client.query_opt(is_valid, &[&name]).await;
    let is_valid: Option<bool> = there.map_err(Fault::from)?.map(|row| row.get(0));
    let is_wanted = what != "DROP INDEX";
    if is_wanted && is_valid == Some(true) {
        return Ok(());
    }
    if is_valid.is_some() {
        let drop = format!("DROP INDEX CONCURRENTLY {name}");
        run(connection, &drop).await?;
    }
    if is_wanted {
        let build = format!("{what} CONCURRENTLY {rest}");
        run(connection, &build).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // What a large table is altered by is short or doesn't block: an index in a transaction would do both wrong.
    #[test]
    fn steps_are_indices_one_by_one_and_transactions_without_those_of_older_tables() {
        for file in STEPS {
            assert!(file.starts_with("--"));
            let steps = steps(file);
            assert!(!steps.is_empty());
            for step in steps {
                match step {
                    Step::Index(sql) => {
                        assert_eq!(sql.matches(" INDEX ").count(), 1, "{sql}");
                        assert!(!sql.contains("CONCURRENTLY"), "{sql}");
                    }
                    Step::Transaction(sql) => {
                        let indices = sql.split("INDEX ").skip(1);
                        for index in indices {
                            let table = index.split(" ON ").nth(1).expect("of a table");
                            let table = table.split_whitespace().next().expect("a name");
                            assert!(sql.contains(&format!("CREATE TABLE {table} (")), "{table}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn each_index_is_a_step_of_its_own() {
        let file = "-- Words; more.\n\n-- STEP\nALTER TABLE a;\n-- STEP\n-- By b; and c.\nCREATE INDEX x ON a (b)\n    WHERE c;\nDROP INDEX y;\n";
        assert_eq!(
            steps(file),
            [
                Step::Transaction("ALTER TABLE a;\n"),
                Step::Index("CREATE INDEX x ON a (b)\n    WHERE c".to_owned()),
                Step::Index("DROP INDEX y".to_owned()),
            ]
        );
    }
}
