//! The files of one database, and whether they can be trusted.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{BufReader, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::checkpoint::wal_pages;
use super::{Fault, checkpoint, open_connection, wal};

/// Which database of a directory.
pub(crate) struct Database {
    /// Its file.
    pub(crate) name: &'static str,
    /// Locked by the process that has it open. Says whether one was ever made here, so that a lost file isn't taken for a new one.
    pub(crate) lock: &'static str,
    /// What the lock says then.
    pub(crate) made: &'static str,
    /// What is kept in it, with its verb.
    pub(crate) kept: &'static str,
    /// What of a large one is not looked through by then is looked at when it is read. None: all of it is.
    pub(crate) check_time: Option<Duration>,
}

/// After damage.
const WHAT_TO_DO: &str = "restore the directory from a backup, or move it away to begin anew";
/// What is kept is its owner's alone: bodies of events, callback URLs.
const FILE_MODE: u32 = 0o600;
/// The write-ahead log is looked through in pieces of this many bytes.
const READ_BYTES: usize = 1 << 20;

fn io(what: &str, path: &Path, error: &std::io::Error) -> Fault {
    Fault::Disk(format!("{what} {}: {error}", path.display()))
}

fn wal_path(database: &Path) -> PathBuf {
    let mut path = OsString::from(database);
    path.push("-wal");
    path.into()
}

/// Takes the directory for this process, and opens a database in it. `prepare` sets a connection up; `tables` makes them, or looks at their
/// version.
pub(crate) fn open(
    dir: &Path,
    database: &Database,
    sync: bool,
    prepare: impl FnOnce(&Connection) -> Result<(), Fault>,
    tables: impl FnOnce(&Connection, i64) -> Result<(), Fault>,
) -> Result<(File, PathBuf, Connection), Fault> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| io("create", dir, &error))?;
    let lock_path = dir.join(database.lock);
    let lock = OpenOptions::new()
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
            return Err(Fault::Refused(format!(
                "{} is in use by another process; end that one, or name another directory",
                dir.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(io("lock", &lock_path, &error)),
    }
    let mut mark = Vec::new();
    (&lock)
        .take(database.made.len() as u64)
        .read_to_end(&mut mark)
        .map_err(|error| io("read", &lock_path, &error))?;
    let made = mark == database.made.as_bytes();
    let path = dir.join(database.name);
    let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let damaged =
        |what: String| Fault::Damaged(format!("{}: {what}; {WHAT_TO_DO}", path.display()));
    if made && size == 0 {
        // Risk 4: an empty one in its place would forget what was promised.
        return Err(damaged(format!(
            "it is missing or empty, though {} kept in it",
            database.kept
        )));
    }
    let wal_file = wal_path(&path);
    match File::open(&wal_file) {
        Ok(file) => {
            let found = wal::damage(BufReader::with_capacity(READ_BYTES, file))
                .map_err(|error| io("read", &wal_file, &error))?;
            if let Some(what) = found {
                return Err(damaged(what));
            }
            if sync {
                write_anew(&wal_file).map_err(|error| io("write", &wal_file, &error))?;
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io("open", &wal_file, &error)),
    }
    // SQLite gives its other files the mode of this one.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(|error| io("create", &path, &error))?;
    let connect = || {
        let connection = open_connection(&path)?;
        prepare(&connection)?;
        // All of it again, whatever was copied before: after a failed sync that may not be on the disk.
        checkpoint(&connection, true)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if made && version == 0 {
            return Err(Fault::Damaged(format!(
                "it has no tables, though {} kept in it",
                database.kept
            )));
        }
        tables(&connection, version)?;
        check(&connection, database.check_time)?;
        Ok(connection)
    };
    let connection = connect().map_err(|fault| match fault {
        Fault::Damaged(what) => damaged(what),
        other => other,
    })?;
    if !made {
        lock.set_len(0)
            .and_then(|()| lock.write_all_at(database.made.as_bytes(), 0))
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

/// SQLite's own check of every page's structure, as far as it comes in that time.
fn check(connection: &Connection, time: Option<Duration>) -> Result<(), Fault> {
    let interrupt = connection.get_interrupt_handle();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let started = Instant::now();
    let answer: Result<String, _> = std::thread::scope(|scope| {
        scope.spawn(move || {
            let Some(time) = time else { return };
            if wait.recv_timeout(time) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
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
                "the database is large: checked in part, the rest when it is read"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Cuts off what a refused transaction left behind the last commit. Without this, the end of one that was refused behind a shorter one that was kept
/// looks like damage: see [`wal`]. Synced, so that it can't come back under what is written next.
pub(crate) fn cut(connection: &Connection, database: &Path, sync: bool) -> Result<(), Fault> {
    let pages = u64::try_from(wal_pages(connection)?).unwrap_or(0);
    let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let path = wal_path(database);
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
