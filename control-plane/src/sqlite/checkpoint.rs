//! Copies the write-ahead log into the database. SQLite would do it by itself, but without saying what went wrong.

use rusqlite::Connection;

use super::{Fault, verify};

/// When the write-ahead log is copied into the database: whenever it has grown by 2,000 pages (8 MiB; of the event log 16).
const CHECKPOINT_PAGES: i64 = 2_000;
/// When readers are made to let go of it, so that it can start anew: 64 MiB, of the event log 128.
const WAL_LIMIT_PAGES: i64 = 16_000;

/// How far a writer has copied.
#[derive(Default)]
pub(crate) struct Checkpoints {
    /// Pages in the write-ahead log when it was last copied, or tried to be.
    copied: i64,
}

impl Checkpoints {
    /// After a commit, and after its answer where that is possible. None: it is done, not due, or possible later. A fault: what the disk holds
    /// isn't known, so nothing more may be written.
    pub(crate) fn if_grown(&mut self, connection: &Connection, sync: bool) -> Option<Fault> {
        match self.copy(connection, sync) {
            Ok(()) => None,
            Err(Fault::Full(what) | Fault::Write(what) | Fault::Busy(what)) => {
                tracing::warn!(what, "the write-ahead log can't be copied for now");
                None
            }
            Err(fault) => Some(fault),
        }
    }

    fn copy(&mut self, connection: &Connection, sync: bool) -> Result<(), Fault> {
        let pages = wal_pages(connection)?;
        if pages < self.copied {
            self.copied = 0; // It began anew.
        }
        if pages - self.copied < CHECKPOINT_PAGES {
            return Ok(());
        }
        self.copied = pages;
        let pages = checkpoint(connection, false)?;
        verify(connection, sync)?;
        if pages > WAL_LIMIT_PAGES {
            checkpoint(connection, true)?;
        }
        Ok(())
    }
}

/// Copies the write-ahead log into the database. Says how many pages it holds.
pub(crate) fn checkpoint(connection: &Connection, truncate: bool) -> Result<i64, Fault> {
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
