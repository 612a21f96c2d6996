//! What the log's database looks like, and the settings without which it keeps no promise.
//!
//! One line of numbers runs through it: each event, each delivery and each change of a delivery takes the next `seq`. An event and its
//! deliveries are made together and take neighbouring numbers, the event first: delivery `n` of the event at `s` is at `s + n`, and its id is
//! the event's id, a dash, and `n`.
//!
//! All times are milliseconds since 1970. `due` is on the log's own time line (see `Time`), the others are the clock's.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::fault::Fault;

/// Of the tables below. A log of a newer version is refused; an older one is brought up when there is one.
pub(super) const VERSION: i64 = 1;

/// Marks the file as ours (`PRAGMA application_id`): the bytes `hkpl`.
pub(super) const APPLICATION_ID: i64 = 0x686b_706c;

/// Columns that are filtered on come before the blob: SQLite then doesn't touch the pages the blob overflows to.
pub(super) const TABLES: &str = "
-- A genuine callback, or one item of it. Rows are never updated: a retained row costs one write in its life.
CREATE TABLE events (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    org          TEXT    NOT NULL,
    group_uid    TEXT    NOT NULL,
    group_name   TEXT    NOT NULL,
    type         TEXT    NOT NULL,
    received     INTEGER NOT NULL,
    deliveries   INTEGER NOT NULL,  -- how many were made with it, at seq + 1 and on
    flags        INTEGER NOT NULL,  -- what the append found: bit n is hookplane.v1.EventFlag n
    duplicate_of TEXT,              -- the earlier event, where a flag says so
    checksum     INTEGER NOT NULL,  -- of record, see `checksum`
    record       BLOB    NOT NULL   -- hookplane.v1.Event as it came in
) STRICT;
CREATE INDEX events_by_org   ON events (org, seq, type, received);
CREATE INDEX events_by_group ON events (group_uid, seq, type, received);

-- One event for one webhook.
CREATE TABLE deliveries (
    seq             INTEGER PRIMARY KEY,
    event_seq       INTEGER NOT NULL,
    org             TEXT    NOT NULL,
    group_uid       TEXT    NOT NULL,
    webhook_uid     TEXT    NOT NULL,
    webhook         TEXT    NOT NULL,
    status          INTEGER NOT NULL,  -- hookplane.v1.DeliveryStatus
    attempts        INTEGER NOT NULL,  -- the running one included
    due             INTEGER NOT NULL,  -- not before this
    created         INTEGER NOT NULL,
    updated         INTEGER NOT NULL,
    reason          TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL
) STRICT;
CREATE INDEX deliveries_by_org     ON deliveries (org, seq, status);
CREATE INDEX deliveries_by_group   ON deliveries (group_uid, seq, status);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_uid, seq, status);
CREATE INDEX deliveries_pending    ON deliveries (webhook_uid, due, seq) WHERE status = 1;
CREATE INDEX deliveries_leased     ON deliveries (webhook_uid, seq)      WHERE status = 2;
-- Held, dead and dropped: what an operator looks for among millions that were delivered.
CREATE INDEX deliveries_stuck      ON deliveries (status, seq)           WHERE status >= 4;

-- Each change of a delivery's status after it was made, for readers of the tail.
CREATE TABLE changes (
    seq          INTEGER PRIMARY KEY,
    delivery_seq INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    at           INTEGER NOT NULL
) STRICT;

-- What tells repeats. Kinds: 1 a delivery id (with or without the body), 2 a delivery id alone that doesn't decide alone, 3 the signed bytes,
-- 4 another body under a delivery id that decides alone.
CREATE TABLE dedup (
    group_uid   TEXT    NOT NULL,
    kind        INTEGER NOT NULL,
    key         BLOB    NOT NULL,
    event_id    TEXT    NOT NULL,
    body_digest BLOB    NOT NULL,
    seen        INTEGER NOT NULL,
    PRIMARY KEY (group_uid, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedup_by_age ON dedup (seen);

-- Resends that were recognised and not kept. Apart from events, so that counting doesn't write the event again.
CREATE TABLE duplicates (
    event_id TEXT    PRIMARY KEY,
    count    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `last_seq`: the highest number known to be taken, for when the rows that had it are gone. `token_key`: what lease tokens are signed with.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY  NOT NULL
) STRICT, WITHOUT ROWID;
";

/// How long a statement waits for a lock: only opening and checkpoints ever meet one.
const BUSY_MS: u32 = 2_000;

/// What a connection keeps in memory of the database, in KiB.
const CACHE_KIB: i64 = 16 * 1024;

/// Statements a connection keeps prepared.
const PREPARED: usize = 128;

/// Sets up one connection, and reads back what the promise rests on.
///
/// A connection never checkpoints by itself: SQLite doesn't report what goes wrong then, and a swallowed sync error is a lost event.
pub(super) fn prepare(connection: &Connection, sync: bool) -> Result<(), Fault> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    let synchronous = if sync { "FULL" } else { "OFF" };
    connection.execute_batch(&format!(
        "PRAGMA busy_timeout = {BUSY_MS};
         PRAGMA auto_vacuum = INCREMENTAL;
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

/// Refuses settings that are weaker than what the receipt says.
pub(super) fn verify(connection: &Connection, sync: bool) -> Result<(), Fault> {
    let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if !journal.eq_ignore_ascii_case("wal") {
        return Err(Fault::Refused(format!(
            "journal_mode is {journal}, and only wal keeps what was acknowledged; put the log on a local file system with shared memory"
        )));
    }
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    let enough: i64 = 2;
    if sync && synchronous < enough {
        return Err(Fault::Refused(format!(
            "synchronous is {synchronous} on a connection, and FULL ({enough}) is what the receipt promises; an acknowledged event could be lost"
        )));
    }
    Ok(())
}

/// Tells any single changed run of bytes from what was written: each step is a bijection of the sum so far.
pub(super) fn checksum(bytes: &[u8]) -> i64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = bytes.len() as u64 ^ MULTIPLIER;
    let mut mix = |word: u64| {
        sum = (sum ^ word).wrapping_mul(MULTIPLIER).rotate_left(29);
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        mix(u64::from_le_bytes(*word));
    }
    let mut last = [0u8; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(u64::from_le_bytes(last));
    sum.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_changes_the_checksum() {
        let mut bytes: Vec<u8> = (0..100u8).collect();
        let sum = checksum(&bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum, checksum(&bytes), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

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
