//! The file: its tables, and what is verified of them. How it is opened is `crate::sqlite`'s.
//!
//! | table | row |
//! | --- | --- |
//! | `meta` | `revision`: of the newest write; `compacted`: the oldest revision that can be asked for |
//! | `versions` | one version of one key; `value` is NULL where it was removed; `seq` orders the keys of one revision |

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::super::StoreError;
use crate::sqlite::{self, Database, Fault};

/// Every commit is on the disk before it is answered.
pub(super) const SYNC: bool = true;

/// In the directory.
const DATABASE: Database = Database {
    name: "config.db",
    lock: "config.lock",
    made: MADE,
    kept: "a configuration was",
    check_time: None,
};
pub(super) const MADE: &str = "hookplane config store\n";
/// Raised when the tables change shape.
const SCHEMA_VERSION: i64 = 2;
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

/// Takes the directory for this process, and opens the database in it for writing.
pub(super) fn open_writer(dir: &Path) -> Result<(File, PathBuf, Connection), StoreError> {
    let prepare = |connection: &Connection| sqlite::prepare(connection, SYNC);
    sqlite::open(dir, &DATABASE, SYNC, prepare, tables).map_err(store_error)
}

pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = sqlite::open_connection(path).map_err(store_error)?;
    sqlite::prepare(&connection, SYNC).map_err(store_error)?;
    connection
        .execute_batch("PRAGMA query_only = 1;")
        .map_err(sql)?;
    Ok(connection)
}

fn tables(connection: &Connection, version: i64) -> Result<(), Fault> {
    match version {
        0 => {
            let transaction =
                Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            Ok(transaction.commit()?)
        }
        1 => epoch_to_key(connection),
        SCHEMA_VERSION => Ok(()),
        other => Err(Fault::Refused(format!(
            "the file has schema {other}, this release reads {SCHEMA_VERSION}: use the release that wrote it"
        ))),
    }
}

/// Schema 1 had the epoch in `meta`. It becomes a key like any other, the same one, so that listeners resume.
fn epoch_to_key(connection: &Connection) -> Result<(), Fault> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let epoch: Option<String> = transaction
        .query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(epoch) = epoch else {
        return Err(Fault::Damaged("the epoch is missing".to_owned()));
    };
    transaction.execute(
        "UPDATE meta SET value = value + 1 WHERE name = 'revision'",
        [],
    )?;
    transaction.execute(
        "INSERT INTO versions (key, revision, seq, value)
         SELECT ?1, value, 0, ?2 FROM meta WHERE name = 'revision'",
        rusqlite::params![crate::keys::EPOCH, epoch.into_bytes()],
    )?;
    transaction.execute("DELETE FROM meta WHERE name = 'epoch'", [])?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
}

/// What the caller should do about an error of SQLite's.
pub(super) fn sql(error: rusqlite::Error) -> StoreError {
    store_error(error.into())
}

/// What the caller is told.
pub(super) fn store_error(fault: Fault) -> StoreError {
    match fault {
        Fault::Full(what) => StoreError::Unavailable(format!(
            "no space left: {what}; free some space in the data directory, and repeat"
        )),
        Fault::Busy(what) => StoreError::Unavailable(format!(
            "another program has config.db open: {what}; end that one"
        )),
        Fault::Write(what) => StoreError::Unavailable(format!(
            "a write failed: {what}; look at the quota and the disk of the data directory"
        )),
        Fault::Damaged(what) => StoreError::Damaged(what),
        Fault::Disk(what) | Fault::Refused(what) | Fault::Statement(what) => {
            StoreError::Unavailable(what)
        }
    }
}
