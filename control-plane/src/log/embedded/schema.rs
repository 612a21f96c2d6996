//! What the log's database looks like.
//!
//! One line of numbers runs through it: each event, each delivery and each change of a delivery takes the next `seq`. An event and its
//! deliveries are made together and take neighbouring numbers, the event first: delivery `n` of the event at `s` is at `s + n`, and its id is
//! the event's id, a dash, and `n`. One that is made of the event later has a place of its own, and says its `n` (see the table `added`).
//!
//! All times are milliseconds since 1970. `due` is on the log's own time line (see `Time`), the others are the clock's.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::fault::Fault;
use crate::sqlite::{self, Database};

/// Of the tables in `schema.sql`. Each has its step from the one before, but for 2: version 1 was never part of a release.
const VERSION: i64 = 3;

/// Marks the file as ours (`PRAGMA application_id`): the bytes `hkpl`.
const APPLICATION_ID: i64 = 0x686b_706c;

/// A row is mostly one body of some KiB, and each page of it is written twice, with two calls each into the log: of SQLite's usual 4 KiB an
/// event took three. With larger ones than these a commit of one event writes more than it saves. A log keeps the size it was made with.
const PAGE_BYTES: u32 = 8 * 1024;

/// What an index costs is paid for each event, so there is one only where a walk up or down the line would pass by too much. Deliveries have
/// none by org or group: they are found behind their events, or by their webhooks. What else can be asked for is in `index`.
///
/// Columns that are filtered on come before the blobs: SQLite then doesn't touch the pages a blob overflows to.
const TABLES: &str = include_str!("schema.sql");

/// From version 2, which knew one delivery for each webhook.
const STEP_3: &str = include_str!("schema-3.sql");

/// In the directory.
const DATABASE: Database = Database {
    name: "events.db",
    lock: "events.lock",
    made: "hookplane event log\n",
    kept: "events were",
    check_time: Some(Duration::from_secs(5)),
};

/// Takes the directory for this process, and opens the database in it.
pub(super) fn open(dir: &Path, sync: bool) -> Result<(File, PathBuf, Connection), Fault> {
    let opened = sqlite::open(
        dir,
        &DATABASE,
        sync,
        |connection| prepare(connection, sync),
        tables,
    )?;
    Ok(opened)
}

fn tables(connection: &Connection, version: i64) -> Result<(), sqlite::Fault> {
    match version {
        0 => Ok(connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
        ))?),
        2 => Ok(connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {STEP_3} PRAGMA user_version = {VERSION}; COMMIT;"
        ))?),
        VERSION => Ok(()),
        1.. if version > VERSION => Err(sqlite::Fault::Refused(format!(
            "the log is of version {version}, and this program knows {VERSION}; use a newer program"
        ))),
        older => Err(sqlite::Fault::Refused(format!(
            "the log is of version {older}, from before the first release, and is not read any more; have its deliveries taken by the \
             program that made it, then move events.db, its -wal and -shm, and events.lock away to begin anew"
        ))),
    }
}

/// Sets up one connection. The database's own settings come first: they hold for one that is not written yet.
pub(super) fn prepare(connection: &Connection, sync: bool) -> Result<(), sqlite::Fault> {
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL;"
    ))?;
    sqlite::prepare(connection, sync)
}

/// Tells a change from what was written: any within eight bytes for sure, since each step is a bijection of the sum so far, and others but for
/// one in 2^64. Four sums side by side, so that the processor needn't wait for one multiplication before it begins the next.
pub(super) fn checksum(bytes: &[u8]) -> i64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    const LANES: usize = 4;
    fn mix(sum: &mut u64, word: u64) {
        *sum = (*sum ^ word).wrapping_mul(MULTIPLIER).rotate_left(29);
    }
    let (words, rest) = bytes.as_chunks::<8>();
    let (rounds, single) = words.as_chunks::<LANES>();
    let mut lanes = [MULTIPLIER; LANES];
    for round in rounds {
        for (lane, word) in lanes.iter_mut().zip(round) {
            mix(lane, u64::from_le_bytes(*word));
        }
    }
    let mut sum = bytes.len() as u64 ^ MULTIPLIER;
    for lane in lanes {
        mix(&mut sum, lane);
    }
    for word in single {
        mix(&mut sum, u64::from_le_bytes(*word));
    }
    let mut last = [0u8; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(&mut sum, u64::from_le_bytes(last));
    sum.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_log_has_pages_for_bodies() {
        let dir = tempfile::tempdir().expect("a directory");
        let (_lock, _, db) = open(dir.path(), false).expect("opens");
        let bytes: u32 = db
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .expect("reads");
        assert_eq!(bytes, PAGE_BYTES);
    }

    /// Each table with its columns, each index with its statement.
    fn tables_of(db: &Connection) -> Vec<String> {
        let mut read = db
            .prepare("SELECT type || ' ' || name || coalesce((SELECT group_concat(name || type || \"notnull\" || coalesce(dflt_value, '') || pk) FROM pragma_table_xinfo(m.name)), sql, '')
                      FROM sqlite_schema m ORDER BY 1")
            .expect("is SQL");
        let rows = read.query_map([], |row| row.get::<_, String>(0));
        let words = |row: rusqlite::Result<String>| {
            let row = row.expect("reads");
            row.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        rows.expect("reads").map(words).collect()
    }

    #[test]
    fn log_that_was_brought_up_is_like_a_new_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let old = Connection::open(dir.path().join("events.db")).expect("opens");
        prepare(&old, false).expect("set up");
        old.execute_batch(include_str!("schema-2.sql"))
            .expect("is SQL");
        old.pragma_update(None, "user_version", 2).expect("set");
        tables(&old, 2).expect("is brought up");
        let new = tempfile::tempdir().expect("a directory");
        let (_lock, _, new) = open(new.path(), false).expect("opens");
        assert_eq!(tables_of(&old), tables_of(&new));
    }

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
}
