//! The files of the log, and whether they can be trusted.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
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
/// Events hold what their senders and receivers keep to themselves.
const FILE_MODE: u32 = 0o600;
/// The write-ahead log is looked through in pieces of this many bytes.
const READ_BYTES: usize = 1 << 20;
/// What of a large log is not looked through by then is looked at when it is read.
const CHECK_TIME: Duration = Duration::from_secs(5);

fn io(what: &str, path: &Path, error: &std::io::Error) -> LogError {
    LogError::Failed(format!("{what} {}: {error}", path.display()))
}

/// Takes the directory for this process, and opens the database in it.
pub(super) fn open(dir: &Path, sync: bool) -> Result<(File, PathBuf, Connection), LogError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| io("create", dir, &error))?;
    let lock_path = dir.join(LOCK);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
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
    let wal_path = dir.join(WAL);
    match File::open(&wal_path) {
        Ok(file) => {
            let found = wal::damage(BufReader::with_capacity(READ_BYTES, file))
                .map_err(|error| io("read", &wal_path, &error))?;
            if let Some(what) = found {
                return Err(damaged(what));
            }
            if sync {
                write_anew(&wal_path).map_err(|error| io("write", &wal_path, &error))?;
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io("open", &wal_path, &error)),
    }
    // SQLite gives its other files the mode of this one.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(|error| io("create", &path, &error))?;
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

/// Writes a file as it is over itself, and syncs it. After a failed sync what is read is not what the disk holds, and a second sync says
/// nothing about it; SQLite believes it, and a crash while it copies from the write-ahead log would then leave half a transaction.
fn write_anew(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut piece = vec![0u8; READ_BYTES];
    let mut at = 0;
    loop {
        let length = file.read_at(&mut piece, at)?;
        if length == 0 {
            return file.sync_all();
        }
        file.write_all_at(&piece[..length], at)?;
        at += length as u64;
    }
}

fn connect(path: &Path, sync: bool, made: bool) -> Result<Connection, Fault> {
    let connection = Connection::open(path)?;
    schema::prepare(&connection, sync)?;
    // All of it again, whatever was copied before: after a failed sync that may not be on the disk.
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
    wal_pages_after(connection, sql)
}

/// How many pages the write-ahead log holds.
pub(super) fn wal_pages(connection: &Connection) -> Result<i64, Fault> {
    wal_pages_after(connection, "PRAGMA wal_checkpoint(NOOP)")
}

fn wal_pages_after(connection: &Connection, sql: &str) -> Result<i64, Fault> {
    Ok(connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(1))?)
}

/// Cuts off what a refused batch left behind the last commit. Without this, the end of one refused batch behind a shorter one that was kept
/// looks like damage: see [`wal`]. Synced, so that it can't come back under what is written next.
pub(super) fn cut(connection: &Connection, database: &Path, sync: bool) -> Result<(), Fault> {
    let pages = u64::try_from(wal_pages(connection)?).unwrap_or(0);
    let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let path = database.with_file_name(WAL);
    let done = OpenOptions::new().write(true).open(&path).and_then(|file| {
        let end = wal::length(pages, page.into());
        if file.metadata()?.len() > end {
            file.set_len(end)?;
            if sync {
                file.sync_all()?;
            }
        }
        Ok(())
    });
    match done {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Fault::Disk(format!("cut {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}
