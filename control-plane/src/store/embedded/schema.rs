//! The file: how it is opened, what is verified, and its tables.
//!
//! | table | row |
//! | --- | --- |
//! | `meta` | `epoch`: random hex; `revision`: of the newest write; `compacted`: the oldest revision that can be asked for |
//! | `versions` | one version of one key; `value` is NULL where it was removed; `seq` orders the keys of one revision |

use std::fs::{DirBuilder, File};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::super::StoreError;

/// After damage.
pub(super) const WHAT_TO_DO: &str =
    "restore the directory from a backup, or move it away to begin anew";
/// Raised when the tables change shape.
const SCHEMA_VERSION: i64 = 1;
/// What `PRAGMA synchronous` answers for FULL.
const SYNCHRONOUS_FULL: i64 = 2;

const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE versions (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        revision INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        value BLOB
    );
    CREATE UNIQUE INDEX versions_by_key ON versions (key, revision);
    CREATE UNIQUE INDEX versions_by_revision ON versions (revision, seq);
    INSERT INTO meta VALUES ('revision', 0), ('compacted', 0);
";

/// Callback URLs are credentials, so nobody else may look into a directory that we make.
pub(super) fn make_directory(dir: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(dir)
        .map_err(|e| StoreError::Unavailable(format!("make {}: {e}", dir.display())))
}

/// A new file is there after a power cut only once its directory is synced.
pub(super) fn sync_directory(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| StoreError::Unavailable(format!("sync {}: {e}", dir.display())))
}

pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    make_private_file(path)?;
    opened(path).map_err(|error| match error {
        StoreError::Damaged(what) if !what.contains(WHAT_TO_DO) => {
            StoreError::Damaged(format!("{}: {what}; {WHAT_TO_DO}", path.display()))
        }
        other => other,
    })
}

fn opened(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = open(path)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(sql)?;
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA fullfsync = 1;")
        .map_err(sql)?;
    let synchronous: i64 = connection
        .query_row("PRAGMA synchronous", [], |row| row.get(0))
        .map_err(sql)?;
    // Risk 2: a mode that can't keep the promise is refused.
    if mode != "wal" || synchronous != SYNCHRONOUS_FULL {
        return Err(StoreError::Unavailable(format!(
            "SQLite runs with journal mode {mode} and synchronous {synchronous}, which can't keep what is written: use a local file system"
        )));
    }
    let check: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(sql)?;
    if check != "ok" {
        return Err(StoreError::Damaged(format!(
            "{}: {check}; {WHAT_TO_DO}",
            path.display()
        )));
    }
    make_tables(&mut connection)?;
    Ok(connection)
}

pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = open(path)?;
    connection
        .execute_batch("PRAGMA query_only = 1;")
        .map_err(sql)?;
    Ok(connection)
}

pub(super) fn epoch(connection: &Connection) -> Result<String, StoreError> {
    connection
        .query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| {
            row.get(0)
        })
        .map_err(sql)
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(sql)
}

fn make_private_file(path: &Path) -> Result<(), StoreError> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map(drop)
        .map_err(|e| StoreError::Unavailable(format!("open {}: {e}", path.display())))
}

fn make_tables(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction().map_err(sql)?;
    let version: i64 = transaction
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(sql)?;
    match version {
        0 => {
            let mut epoch = [0u8; 16];
            getrandom::fill(&mut epoch).map_err(|e| {
                StoreError::Unavailable(format!("no randomness from the system: {e}"))
            })?;
            transaction.execute_batch(TABLES).map_err(sql)?;
            transaction
                .execute(
                    "INSERT INTO meta VALUES ('epoch', ?1)",
                    [hex::encode(epoch)],
                )
                .map_err(sql)?;
            transaction
                .pragma_update(None, "user_version", SCHEMA_VERSION)
                .map_err(sql)?;
            transaction.commit().map_err(sql)
        }
        SCHEMA_VERSION => {
            let epoch: Option<String> = transaction
                .query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| {
                    row.get(0)
                })
                .optional()
                .map_err(sql)?;
            if epoch.is_some() {
                Ok(())
            } else {
                Err(StoreError::Damaged("the epoch is missing".to_owned()))
            }
        }
        other => Err(StoreError::Unavailable(format!(
            "the file has schema {other}, this release reads {SCHEMA_VERSION}: use the release that wrote it"
        ))),
    }
}

/// What the caller should do about an error of SQLite's.
pub(super) fn sql(error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => StoreError::Damaged(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}
