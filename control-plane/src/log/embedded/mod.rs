//! The event log in one directory of this machine, on SQLite.
//!
//! ```text
//!   callers ─▶ queue (bounded) ─▶ one writer: BEGIN, all that waits, COMMIT (syncs) ─▶ answers
//!   readers ─▶ a few read-only connections, off the async workers
//!   index   ─▶ a database beside it, made of what was kept, for searches: see [`index`]
//! ```
//!
//! - An answer leaves after the commit that holds it was synced. No timer decides what is kept.
//! - A callback that fails for its own reason doesn't touch the others of its batch. A write that fails (no space, a spent quota): the batch is
//!   refused and the next one tried. A sync that fails, or anything else: nothing is taken until the log is opened again.
//! - What tells repeats is decided in the transaction that keeps the event, and durable with it: see [`dedup`].
//! - One process at a time has the directory open.

mod append;
mod attempts;
mod dedup;
mod fault;
#[cfg(test)]
mod filled;
mod forget;
mod index;
mod leases;
mod list;
mod made;
mod notes;
mod order;
mod queue;
mod queues;
mod read;
mod retain;
mod schema;
mod seam;
mod selection;
mod shapes;
mod tables;
mod tail;
mod token;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hookplane_rules::Clock;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{Cursor, LogError, Selection, Stats};
use crate::sqlite;
use dedup::Recent;
use fault::Fault;
use index::{Health, Index};
use queue::{Bounds, Call, Queue, Waiting};
use read::cursor;
use tables::{Leases, Memory, Tables, Time};

/// Searches for text at the same time.
const MAX_SEARCHES: usize = 2;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Options {
    /// Syncs each commit. Without it a crash of the machine loses what was acknowledged, and the receipt says `degraded`.
    pub sync: bool,
    /// Callbacks that may wait for the writer.
    pub queue_callbacks: usize,
    /// Bytes that may wait for the writer.
    pub queue_bytes: usize,
    /// Callbacks in one commit.
    pub batch_callbacks: usize,
    /// Bytes in one commit.
    pub batch_bytes: usize,
    /// Attempts before a delivery is dead.
    pub max_attempts: u32,
    /// Before the second attempt.
    pub first_back_off: Duration,
    /// It doubles up to this.
    pub longest_back_off: Duration,
    /// Reads at the same time.
    pub readers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: true,
            queue_callbacks: 4_096,
            queue_bytes: 64 << 20,
            batch_callbacks: 256,
            batch_bytes: 4 << 20,
            max_attempts: 10,
            first_back_off: Duration::from_secs(1),
            longest_back_off: Duration::from_secs(600),
            readers: 4,
        }
    }
}

/// How a page of events, and one of deliveries, is found: of each statement that leads to it the steps of its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plans {
    /// Of a list of events.
    pub events: Vec<String>,
    /// Of a list of deliveries.
    pub deliveries: Vec<String>,
}

struct Shared {
    queue: Queue,
    clock: Arc<dyn Clock>,
    newest: watch::Sender<Cursor>,
    failing: AtomicBool,
    failure: OnceLock<String>,
    ended: watch::Sender<bool>,
    /// Each with the index that it reads, see [`Health`].
    readers: Mutex<Vec<(u64, Connection)>>,
    permits: Arc<Semaphore>,
    /// Of searches for text, which may take seconds each: they leave readers for all else.
    searches: Arc<Semaphore>,
    counted: Mutex<Stats>,
    notes: notes::InMemory,
    /// Held by who brings it up, and by who takes something out of it and the log.
    index: Arc<tokio::sync::Mutex<Index>>,
    health: Arc<Health>,
    walks: retain::Walks,
    time: Time,
}

impl Shared {
    fn close_readers(&self) {
        self.permits.close();
        self.searches.close();
        self.readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// The embedded [`DeliveryLog`].
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    path: PathBuf,
    sync: bool,
}

impl EmbeddedLog {
    /// Opens the log in a directory, making it when there is none. Blocks: call it before serving.
    pub fn open(
        dir: &Path,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Arc<Self>, LogError> {
        if !options.sync {
            tracing::warn!(
                "the event log doesn't sync: what is acknowledged can be lost when the machine stops"
            );
        }
        let (lock, path, db) = schema::open(dir, options.sync).map_err(Fault::answer)?;
        let sync = options.sync;
        let bounds = Bounds {
            queue_pieces: options.queue_callbacks,
            queue_bytes: options.queue_bytes,
            batch_pieces: options.batch_callbacks,
            batch_bytes: options.batch_bytes,
        };
        let permits = Arc::new(Semaphore::new(options.readers));
        let searches = Arc::new(Semaphore::new(MAX_SEARCHES.min(options.readers)));
        let memory = recover(&db, clock.as_ref(), options).map_err(Fault::answer)?;
        let last = memory.next_seq - 1;
        let index = Index::open(dir, last);
        let newest = cursor(last);
        let notes = notes::InMemory::since(clock.now());
        let shared = Arc::new(Shared {
            queue: Queue::new(bounds),
            clock,
            newest: watch::Sender::new(newest),
            failing: AtomicBool::new(false),
            failure: OnceLock::new(),
            ended: watch::Sender::new(false),
            readers: Mutex::default(),
            permits,
            searches,
            counted: Mutex::default(),
            notes,
            health: index.health(),
            index: Arc::new(tokio::sync::Mutex::new(index)),
            walks: retain::Walks::default(),
            time: memory.time,
        });
        let writer = writer::Writer {
            path: path.clone(),
            checkpoints: sqlite::Checkpoints::default(),
            db,
            memory,
            shared: shared.clone(),
            lock,
        };
        std::thread::Builder::new()
            .name("event-log".into())
            .spawn(move || writer.run())
            .map_err(|error| LogError::Failed(format!("start the writer: {error}")))?;
        Ok(Arc::new(Self { shared, path, sync }))
    }

    /// The plans of what [`DeliveryLog::events`] and [`DeliveryLog::deliveries`] do, for those who look after their cost.
    ///
    /// [`DeliveryLog::events`]: super::DeliveryLog::events
    /// [`DeliveryLog::deliveries`]: super::DeliveryLog::deliveries
    pub async fn plans(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Plans, LogError> {
        let selection = selection.clone();
        let turn = self.search(&selection).await?;
        self.read(move |db| {
            let _turn = turn;
            list::plans(db, &selection, before, limit)
        })
        .await
    }

    async fn write<T, F>(&self, bytes: usize, work: F) -> Result<T, LogError>
    where
        T: Send + 'static,
        F: Fn(&mut Tables<'_>) -> Result<T, Fault> + Send + 'static,
    {
        if self.shared.failing.load(Ordering::Acquire) {
            return Err(LogError::Failed(self.shared.failure().unwrap_or_default()));
        }
        let (work, answer) = Call::new(work);
        self.shared.queue.push(Waiting { bytes, work })?;
        answer
            .await
            .unwrap_or_else(|_| Err(LogError::Unavailable("the writer has ended".into())))
    }

    /// For a search of text while it goes on, where there is an index; others have none.
    async fn search(
        &self,
        selection: &Selection,
    ) -> Result<Option<OwnedSemaphorePermit>, LogError> {
        if selection.text.is_none() {
            return Ok(None);
        }
        self.shared.health.is_there().map_err(Fault::answer)?;
        permit(&self.shared.searches).await.map(Some)
    }

    async fn read<T, F>(&self, work: F) -> Result<T, LogError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let permit = permit(&self.shared.permits).await?;
        let (shared, path, sync) = (self.shared.clone(), self.path.clone(), self.sync);
        let read = move || {
            // Given back when the work ends, and not when its caller does.
            let _permit = permit;
            let generation = shared.health.generation();
            let pooled = {
                let readers = shared.readers.lock();
                let mut readers = readers.unwrap_or_else(PoisonError::into_inner);
                readers.retain(|(of, _)| *of == generation);
                readers.pop()
            };
            let (connection, lasts) = match pooled {
                Some((_, connection)) => (connection, true),
                None => {
                    let connection = sqlite::open_connection(&path)?;
                    schema::prepare(&connection, sync)?;
                    let dir = path.parent().unwrap_or(Path::new(""));
                    let lasts = Index::attach(dir, &connection, &shared.health)?;
                    connection.pragma_update(None, "query_only", true)?;
                    (connection, lasts)
                }
            };
            // One snapshot for all that is read.
            connection.execute_batch("BEGIN")?;
            let answer = work(&connection);
            if let Err(fault) = &answer {
                shared.health.met(fault);
            }
            connection.execute_batch("COMMIT")?;
            if lasts && !shared.permits.is_closed() {
                shared
                    .readers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((generation, connection));
            }
            answer
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| LogError::Unavailable(format!("read: {error}")))?
            .map_err(Fault::answer)
    }
}

async fn permit(of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, LogError> {
    let permit = of.clone().acquire_owned().await;
    permit.map_err(|_| LogError::Unavailable("it is closed".into()))
}

/// What the writer knows by heart, from what is stored.
fn recover(db: &Connection, clock: &dyn Clock, options: Options) -> Result<Memory, Fault> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    let last: i64 = db.query_row(
        "SELECT max((SELECT coalesce(max(seq), 0) FROM events), (SELECT coalesce(max(seq), 0) FROM deliveries),
                    (SELECT coalesce(max(seq), 0) FROM changes), coalesce((SELECT value FROM meta WHERE name = 'last_seq'), 0))",
        [],
        |row| row.get(0),
    )?;
    let mut fresh = [0u8; 32];
    getrandom::fill(&mut fresh)
        .map_err(|error| Fault::Refused(format!("no random numbers: {error}")))?;
    db.execute(
        "INSERT INTO meta (name, value) VALUES ('token_key', ?1) ON CONFLICT (name) DO NOTHING",
        [fresh],
    )?;
    let token_key = db.query_row(
        "SELECT value FROM meta WHERE name = 'token_key'",
        [],
        |row| row.get(0),
    )?;
    let now = clock.now();
    let mut memory = Memory {
        next_seq: last + 1,
        leases: Leases::default(),
        recent: Recent::load(db)?,
        queues: tables::Queues::load(db)?,
        due: tables::DueTimes::default(),
        time: Time::new(now),
        token_key,
        options,
        counted: Stats::default(),
    };
    leases::void_all(&mut Tables {
        db,
        memory: &mut memory,
        clock: now.0,
    })?;
    db.execute_batch("COMMIT")?;
    memory.committed();
    Ok(memory)
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}
