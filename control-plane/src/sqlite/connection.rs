//! The settings without which a database keeps no promise.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::Fault;

/// How long a statement waits for a lock: only opening and checkpoints ever meet one.
const BUSY_MS: u32 = 2_000;

/// What a connection keeps in memory of the database, in KiB.
const CACHE_KIB: i64 = 16 * 1024;

/// Statements a connection keeps prepared.
const PREPARED: usize = 128;

/// A connection to a file that is there. It has no settings yet: see [`prepare`].
pub(crate) fn open_connection(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// Sets up one connection, and reads back what the promise rests on.
///
/// A connection never checkpoints by itself: SQLite doesn't report what goes wrong then, and a swallowed sync error is a lost commit.
pub(crate) fn prepare(connection: &Connection, sync: bool) -> Result<(), Fault> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Else a statement with `LIMIT ?` is planned anew each time it is run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    let synchronous = if sync { "FULL" } else { "OFF" };
    connection.execute_batch(&format!(
        "PRAGMA busy_timeout = {BUSY_MS};
         PRAGMA journal_mode = WAL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA synchronous = {synchronous};
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_spill = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -{CACHE_KIB};"
    ))?;
    verify(connection, sync)
}

/// Refuses settings that are weaker than what is answered.
pub(crate) fn verify(connection: &Connection, sync: bool) -> Result<(), Fault> {
    let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if !journal.eq_ignore_ascii_case("wal") {
        return Err(Fault::Refused(format!(
            "journal_mode is {journal}, and only wal keeps what was acknowledged; put the directory on a local file system with shared memory"
        )));
    }
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    let enough: i64 = 2;
    if sync && synchronous < enough {
        return Err(Fault::Refused(format!(
            "synchronous is {synchronous} on a connection, and FULL ({enough}) is what is promised; what was acknowledged could be lost"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_that_does_not_sync_is_refused() {
        // Risk 2: a mode that can't keep the promise.
        let dir = tempfile::tempdir().expect("a directory");
        let connection = Connection::open(dir.path().join("x.db")).expect("opens");
        prepare(&connection, true).expect("set up");
        for weaker in ["OFF", "NORMAL"] {
            connection
                .pragma_update(None, "synchronous", weaker)
                .expect("set");
            assert!(
                matches!(verify(&connection, true), Err(Fault::Refused(_))),
                "{weaker}"
            );
        }
        let memory = Connection::open_in_memory().expect("opens");
        assert!(matches!(prepare(&memory, true), Err(Fault::Refused(_))));
    }
}
