//! The files of the log, and whether they can be trusted.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::fault::Fault;
use super::{schema, wal};
use crate::log::LogError;

const DATABASE: &str = "events.db";
const WAL: &str = "events.db-wal";
/// Locked by the process that has the log open. Says whether a log was ever made here, so that a lost database isn't taken for a new one.
const LOCK: &str = "events.lock";
const MADE: &str = "hookplane event log\n";
/// What of a large log is not looked through by then is looked at when it is read.
const CHECK_TIME: Duration = Duration::from_secs(5);

fn io(what: &str, path: &Path, error: &std::io::Error) -> LogError {
    LogError::Failed(format!("{what} {}: {error}", path.display()))
}

/// Takes the directory for this process, and opens the database in it.
pub(super) fn open(dir: &Path, sync: bool) -> Result<(File, PathBuf, Connection), LogError> {
    std::fs::create_dir_all(dir).map_err(|error| io("create", dir, &error))?;
    let lock_path = dir.join(LOCK);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(|error| io("open", &lock_path, &error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(LogError::Failed(format!(
                "{} is in use by another process; end that one, or name another directory",
                dir.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(io("lock", &lock_path, &error)),
    }
    let mut mark = String::new();
    lock.read_to_string(&mut mark)
        .map_err(|error| io("read", &lock_path, &error))?;
    let made = mark == MADE;
    let path = dir.join(DATABASE);
    let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let damaged = |what: String| {
        LogError::Damaged(format!(
            "{}: {what}; restore the directory from a backup, or move it away to begin anew",
            path.display()
        ))
    };
    if made && size == 0 {
        return Err(damaged(
            "it is missing or empty, though events were kept in it".into(),
        ));
    }
    if let Ok(wal_file) = std::fs::read(dir.join(WAL))
        && let Some(what) = wal::damage(&wal_file)
    {
        return Err(damaged(what));
    }
    let connection = connect(&path, sync, made).map_err(|fault| match fault {
        Fault::Damaged(what) => damaged(what),
        other => other.answer(),
    })?;
    if !made {
        lock.set_len(0)
            .and_then(|()| lock.write_all(MADE.as_bytes()))
            .and_then(|()| lock.sync_all())
            .map_err(|error| io("write", &lock_path, &error))?;
    }
    if sync {
        // The names of new files are durable only with their directory.
        for dir in [
            Some(dir),
            dir.parent().filter(|parent| !parent.as_os_str().is_empty()),
        ]
        .into_iter()
        .flatten()
        {
            File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(|error| io("sync", dir, &error))?;
        }
    }
    Ok((lock, path, connection))
}

fn connect(path: &Path, sync: bool, made: bool) -> Result<Connection, Fault> {
    let connection = Connection::open(path)?;
    schema::prepare(&connection, sync)?;
    // Writes what the write-ahead log holds into the database anew: after a failed sync, what is read from it may not be on the disk.
    checkpoint(&connection, true)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 if made => {
            return Err(Fault::Damaged(
                "it has no tables, though events were kept in it".into(),
            ));
        }
        0 => connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {} PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT;",
            schema::TABLES,
            schema::APPLICATION_ID,
            schema::VERSION
        ))?,
        schema::VERSION => {}
        newer => {
            return Err(Fault::Refused(format!(
                "the log is of version {newer}, and this program knows {}; use a newer program",
                schema::VERSION
            )));
        }
    }
    check(&connection)?;
    Ok(connection)
}

/// SQLite's own check of every page's structure, as far as it comes in [`CHECK_TIME`].
fn check(connection: &Connection) -> Result<(), Fault> {
    let interrupt = connection.get_interrupt_handle();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let started = Instant::now();
    let answer: Result<String, _> = std::thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(CHECK_TIME) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let answer = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        drop(done);
        answer
    });
    match answer {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(what) => Err(Fault::Damaged(what)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            tracing::info!(
                seconds = started.elapsed().as_secs(),
                "event log is large: checked in part, the rest when it is read"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Copies the write-ahead log into the database. Says how many pages it holds.
pub(super) fn checkpoint(connection: &Connection, truncate: bool) -> Result<i64, Fault> {
    let sql = if truncate {
        "PRAGMA wal_checkpoint(TRUNCATE)"
    } else {
        "PRAGMA wal_checkpoint(PASSIVE)"
    };
    Ok(connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(1))?)
}
