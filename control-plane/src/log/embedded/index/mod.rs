//! What events can be found by beside their place on the line: words, types, webhooks, times; and how much there is of each group.
//!
//! ```text
//!   events.db ─▶ follow: a step of events at a time, in the order of the line ─▶ index.db ─▶ search: places of events, newest first
//!                                                                                   ▲
//!   retain ─▶ what goes is taken out first ─────────────────────────────────────────┘
//! ```
//!
//! It is a database of its own, so that no append waits for it. All that is in it is known from the log: lost or damaged, it is made anew. What it
//! finds are candidates; each is looked at in the log before it is shown. What was kept after the mark is not in it yet. Where it can't be
//! opened, events are kept, delivered and listed without it; searches of text are refused, and nothing goes by size.

mod follow;
mod search;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use crate::log::Usage;
use crate::sqlite;

pub(super) use follow::step;
pub(super) use search::{FIND, Patience, Sought, Words, ranges};

/// In the log's directory.
const FILE: &str = "index.db";

/// Of the tables. Another one is thrown away.
const VERSION: i64 = 1;

/// A leaf of the text index is half of one.
const PAGE_BYTES: u32 = 8 * 1024;

/// Of the write-ahead log before it is copied into the database.
const CHECKPOINT_PAGES: u32 = 1_000;

/// Pages given back to the file system in one step.
const VACUUM_PAGES: u32 = 1_024;

const TABLES: &str = "
-- One document for each event, its rowid the event's place. Of its words only which document has them is kept.
CREATE VIRTUAL TABLE words USING fts5(document, content = '', contentless_delete = 1, detail = none, tokenize = ascii);

-- When the events of a stretch of the line were received, see `search`.
CREATE TABLE spans (
    span   INTEGER PRIMARY KEY,
    oldest INTEGER NOT NULL,
    newest INTEGER NOT NULL
) STRICT;

-- Of the events that are in the index.
CREATE TABLE usage (
    group_uid TEXT    PRIMARY KEY,
    org       TEXT    NOT NULL,
    events    INTEGER NOT NULL,
    bytes     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Events up to this one are in the index.
CREATE TABLE mark (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL) STRICT;
INSERT INTO mark VALUES (1, 0);
";

/// Made when it isn't there, so that an index of before is left as it is.
const GOING: &str = "
-- Events that were taken out since they go. Those that the log still has are put in again: they were put back, or what deletes them was cut.
CREATE TABLE IF NOT EXISTS going (seq INTEGER PRIMARY KEY) STRICT;
";

/// For readers, where there is none: the same without words, and without a mark.
const NONE: &str = "ATTACH DATABASE ':memory:' AS found;
CREATE TABLE found.spans (span INTEGER, oldest INTEGER, newest INTEGER);
CREATE TABLE found.usage (group_uid TEXT, org TEXT, events INTEGER, bytes INTEGER);
CREATE TABLE found.mark (seq INTEGER);";

/// What readers and the index tell each other.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Why there is none.
    missing: Mutex<Option<String>>,
    /// A reader found it damaged.
    suspect: AtomicBool,
    /// How often it was made anew, or lost: a reader of an earlier one sees what isn't there any more.
    generation: AtomicU64,
}

impl Health {
    /// A reader met a fault.
    pub(super) fn met(&self, fault: &Fault) {
        if matches!(fault, Fault::Index(_)) {
            self.suspect.store(true, Ordering::Release);
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether there is one, before something is looked for in it.
    pub(super) fn is_there(&self) -> Result<(), Fault> {
        let missing = self.missing.lock();
        match &*missing.unwrap_or_else(PoisonError::into_inner) {
            Some(why) => Err(Fault::NoIndex(why.clone())),
            None => Ok(()),
        }
    }
}

/// The only connection that writes to it.
pub(super) struct Index {
    /// None: it can't be opened for now. The log does without it; searches of text say so.
    db: Option<Connection>,
    path: PathBuf,
    /// The last number that the log had taken when it was opened. An index of a later log isn't this one's.
    last: i64,
    health: Arc<Health>,
}

/// Damage of the index is not damage of the log.
fn of_index<T>(done: Result<T, impl Into<Fault>>) -> Result<T, Fault> {
    done.map_err(|fault| match fault.into() {
        Fault::Damaged(what) => Fault::Index(what),
        fault => fault,
    })
}

/// An event that goes.
#[derive(Debug, Clone)]
pub(super) struct Going {
    pub(super) seq: i64,
    pub(super) bytes: i64,
}

impl Index {
    /// Opens the one beside the log, or makes it. `last` is the last number that the log took.
    pub(super) fn open(dir: &Path, last: i64) -> Self {
        let mut index = Self {
            db: None,
            path: dir.join(FILE),
            last,
            health: Arc::default(),
        };
        if let Err(fault) = index.open_again() {
            let error = fault.answer();
            tracing::warn!(%error, "events are kept and delivered without their index; it is tried again");
        }
        index
    }

    fn open_again(&mut self) -> Result<(), Fault> {
        let opened = connect(&self.path).and_then(|db| Ok((mark_of(&db)?, db)));
        let opened = match opened {
            Ok((mark, db)) if mark <= self.last => Ok(db),
            Ok(_) => {
                tracing::warn!("the index of events is of another log, and is made anew");
                self.anew()
            }
            // What can't be written can't be made anew either.
            Err(fault @ (Fault::Full(_) | Fault::Write(_) | Fault::Busy(_) | Fault::Disk(_))) => {
                Err(fault)
            }
            Err(fault) => {
                let what = fault.what();
                tracing::warn!(what, "the index of events can't be read, and is made anew");
                self.anew()
            }
        };
        self.is_now(opened)
    }

    /// It can't be read: from here on it is another one, with nothing in it yet.
    fn renew(&mut self, what: &str) -> Result<(), Fault> {
        tracing::error!(what, "the index of events is damaged, and is made anew");
        self.db = None;
        let anew = self.anew();
        self.is_now(anew)
    }

    fn anew(&self) -> Result<Connection, Fault> {
        remove(&self.path)?;
        connect(&self.path)
    }

    /// From here on it is that one, or none.
    fn is_now(&mut self, opened: Result<Connection, Fault>) -> Result<(), Fault> {
        let (db, why) = match opened {
            Ok(db) => (Some(db), None),
            Err(fault) => (None, Some(fault.what())),
        };
        self.db = db;
        self.health.suspect.store(false, Ordering::Release);
        let missing = self.health.missing.lock();
        *missing.unwrap_or_else(PoisonError::into_inner) = why;
        self.health.generation.fetch_add(1, Ordering::AcqRel);
        self.health.is_there()
    }

    pub(super) fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// For a reader of the log: the index is `found` in its statements. Where there is none, or it can't be read now, `found` is empty and
    /// hasn't come anywhere. Says whether that is so for longer than one read.
    pub(super) fn attach(dir: &Path, reader: &Connection, health: &Health) -> Result<bool, Fault> {
        if health.is_there().is_err() {
            reader.execute_batch(NONE)?;
            return Ok(true);
        }
        let attach = || -> Result<(), Fault> {
            let path = dir.join(FILE);
            of_index(reader.execute("ATTACH DATABASE ?1 AS found", [path.to_string_lossy()]))?;
            of_index(reader.execute_batch("PRAGMA found.cache_size = -16384"))?;
            of_index(mark(reader)).map(drop)
        };
        let Err(fault) = attach() else {
            return Ok(true);
        };
        let what = fault.what();
        if matches!(fault, Fault::Own(_) | Fault::Index(_)) {
            health.met(&Fault::Index(what.clone()));
        }
        tracing::debug!(what, "the index of events isn't read");
        let mut there =
            reader.prepare("SELECT 1 FROM pragma_database_list WHERE name = 'found'")?;
        if there.exists([])? {
            reader.execute_batch("DETACH DATABASE found")?;
        }
        reader.execute_batch(NONE)?;
        Ok(false)
    }

    fn db(&mut self) -> Result<&mut Connection, Fault> {
        match &mut self.db {
            Some(db) => Ok(db),
            None => {
                self.health.is_there()?;
                Err(Fault::NoIndex("it isn't open".into()))
            }
        }
    }

    /// Events up to this one are in it.
    fn mark(&mut self) -> Result<i64, Fault> {
        mark_of(self.db()?)
    }

    /// Does something whole or not at all.
    fn whole<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let transaction = of_index(self.db()?.transaction())?;
        let done = of_index(work(&transaction))?;
        of_index(transaction.commit())?;
        Ok(done)
    }

    /// Takes events of one group out, for good: it is on the disk before they go, so that none is counted or found that isn't there.
    pub(super) fn forget(&mut self, group_uid: &str, going: &[Going]) -> Result<(), Fault> {
        let Some(db) = &self.db else {
            // Opened again with what goes now still in it, it would count that for ever: it is made anew instead.
            return if self.path.is_file() {
                remove(&self.path)
            } else {
                Ok(())
            };
        };
        db.pragma_update(None, "synchronous", "FULL")?;
        let forgotten = self.whole(|db| {
            let mut there = db.prepare_cached("SELECT 1 FROM words_docsize WHERE id = ?1")?;
            let mut delete = db.prepare_cached("DELETE FROM words WHERE rowid = ?1")?;
            let mut goes = db.prepare_cached("INSERT OR IGNORE INTO going (seq) VALUES (?1)")?;
            let (mut events, mut bytes) = (0i64, 0i64);
            for event in going {
                if there.exists([event.seq])? {
                    delete.execute([event.seq])?;
                    goes.execute([event.seq])?;
                    events += 1;
                    bytes += event.bytes;
                }
            }
            db.prepare_cached(
                "UPDATE usage SET events = events - ?2, bytes = bytes - ?3 WHERE group_uid = ?1",
            )?
            .execute(params![group_uid, events, bytes])?;
            db.prepare_cached("DELETE FROM usage WHERE group_uid = ?1 AND events <= 0")?
                .execute([group_uid])?;
            Ok(())
        });
        self.db()?.pragma_update(None, "synchronous", "NORMAL")?;
        match forgotten {
            Err(Fault::Index(what)) => self.renew(&what),
            forgotten => forgotten,
        }
    }

    /// Gives up what is of events before the first one, and space that nothing takes up.
    pub(super) fn shrink(&mut self, first: i64) -> Result<(), Fault> {
        if self.db.is_none() {
            return Ok(());
        }
        self.whole(|db| search::forget_spans(db, first))?;
        let db = self.db()?;
        db.execute_batch("INSERT INTO words (words, rank) VALUES ('merge', 200)")?;
        let mut vacuum = db.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }

    /// All of it is in one file from here on.
    pub(super) fn close(&self) {
        let Some(db) = &self.db else { return };
        if let Err(fault) = sqlite::checkpoint(db, true) {
            let error = Fault::from(fault).answer();
            tracing::warn!(%error, "closing the index of events: the next start recovers it");
        }
    }
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Fault::Disk(format!("create {}: {error}", path.display())))?;
    let db = sqlite::open_connection(path)?;
    db.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL;"
    ))?;
    sqlite::prepare(&db, false)?;
    // What a crash takes of it is indexed again.
    db.execute_batch(&format!(
        "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
    ))?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => db.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"
        ))?,
        VERSION => {}
        other => return Err(Fault::Refused(format!("it is of version {other}"))),
    }
    db.execute_batch(GOING)?;
    Ok(db)
}

fn mark_of(db: &Connection) -> Result<i64, Fault> {
    let mut mark = of_index(db.prepare_cached("SELECT seq FROM mark"))?;
    of_index(mark.query_row([], |row| row.get(0)))
}

fn remove(path: &Path) -> Result<(), Fault> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Fault::Disk(format!("remove {}: {error}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Of a reader: events up to this one are in the index. None where there is no index.
fn found_mark(db: &Connection) -> Result<Option<i64>, Fault> {
    let mut mark = db.prepare_cached("SELECT seq FROM found.mark")?;
    Ok(mark.query_row([], |row| row.get(0)).optional()?)
}

/// Of a reader: events behind this one are looked for without it.
pub(super) fn mark(db: &Connection) -> Result<i64, Fault> {
    Ok(found_mark(db)?.unwrap_or(0))
}

/// Of a reader: what is kept of each group; of one that the index has nothing of yet only that there is something.
pub(super) fn usage(db: &Connection) -> Result<Vec<Usage>, Fault> {
    let mut read = db.prepare_cached(
        "WITH RECURSIVE there (uid) AS (
             SELECT min(group_uid) FROM main.events
             UNION ALL SELECT (SELECT min(group_uid) FROM main.events WHERE group_uid > there.uid) FROM there WHERE uid IS NOT NULL
         )
         SELECT org, group_uid, events, bytes FROM found.usage WHERE events > 0
         UNION ALL SELECT (SELECT org FROM main.events WHERE group_uid = uid ORDER BY seq LIMIT 1), uid, 0, 0 FROM there
         WHERE uid IS NOT NULL AND uid NOT IN (SELECT group_uid FROM found.usage WHERE events > 0)",
    )?;
    let rows = read.query_map([], |row| {
        Ok(Usage {
            org: row.get(0)?,
            group_uid: row.get(1)?,
            events: row.get::<_, i64>(2)?.unsigned_abs(),
            bytes: row.get::<_, i64>(3)?.unsigned_abs(),
        })
    })?;
    of_index(rows.collect::<Result<_, _>>())
}

/// Of a reader: the bytes of one group.
pub(super) fn bytes(db: &Connection, group_uid: &str) -> Result<u64, Fault> {
    let bytes: Option<i64> = db
        .prepare_cached("SELECT bytes FROM found.usage WHERE group_uid = ?1")?
        .query_row([group_uid], |row| row.get(0))
        .optional()?;
    Ok(bytes.unwrap_or(0).unsigned_abs())
}
