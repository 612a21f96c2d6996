//! The event log in PostgreSQL, which any number of replicas share.
//!
//! ```text
//!   callers ─▶ queue (bounded) ─▶ a few writers: all that waits, one statement, one commit that waits for the standbys ─▶ answers
//!   leases, settlements, reads ─▶ a pool of connections, bounded in number and time
//! ```
//!
//! - An answer leaves after the commit that holds it is on the primary's disk and on a standby's. A commit that PostgreSQL warns about, or whose answer
//!   didn't come, is not taken for one: see [`writer`].
//! - A server that can't keep that promise is refused, or, where the operator said so, told in every receipt: see [`durability`].
//! - What is found by text or time, and what each group has, is written behind the appends, by one replica at a time: see [`texts`].
//! - Everything is bounded in time here: an append by its own deadline, each other call by ten seconds.

mod activity;
mod append;
mod attempts;
mod connection;
mod connector;
mod durability;
mod fault;
mod leases;
mod line;
mod list;
mod notes;
mod pool;
mod queue;
mod quiet;
mod read;
mod repeats;
mod replay;
mod retain;
mod schema;
mod search;
mod settle;
mod shapes;
mod spans;
mod statement;
mod tail;
mod texts;
mod token;
mod totals;
mod trouble;
mod upgrade;
mod waiting;
mod wake;
mod writer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::{Clock, Timestamp};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::activity::{Activity, ActivityOf, Bucket, Buckets};
use super::{
    Appended, Cursor, DeliveryLog, Durability, Lease, LogError, NewCallback, NewDelivery, Note,
    NoteKind, Notes, NotesOf, PutBack, Queue, Reach, Retention, Selection, Settle, Stats, TailItem,
    Usage, Waiting,
};
use crate::outgoing::OutgoingTls;
use connector::Connector;
use pool::Pool;

/// What an operator may set.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE`; of several hosts the one that takes writes is used.
    pub url: String,
    /// With it TLS is required, and the server's certificate and name are checked.
    pub tls: Option<OutgoingTls>,
    /// Takes a server that can lose what was acknowledged. Every receipt says so then.
    pub accept_weaker_durability: bool,
    /// Callbacks that may wait for a writer.
    pub queue_callbacks: usize,
    /// Bytes that may wait for a writer.
    pub queue_bytes: usize,
    /// Callbacks in one commit.
    pub batch_callbacks: usize,
    /// Bytes in one commit.
    pub batch_bytes: usize,
    /// Commits at the same time, each on a connection of its own.
    pub writers: usize,
    /// Connections for everything else.
    pub connections: usize,
    /// Attempts before a delivery is dead.
    pub max_attempts: u32,
    /// Before the second attempt.
    pub first_back_off: Duration,
    /// It doubles up to this.
    pub longest_back_off: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            tls: None,
            accept_weaker_durability: false,
            queue_callbacks: 4_096,
            queue_bytes: 64 << 20,
            batch_callbacks: 256,
            batch_bytes: 4 << 20,
            writers: 4,
            connections: 12,
            max_attempts: 10,
            first_back_off: Duration::from_secs(1),
            longest_back_off: Duration::from_secs(600),
        }
    }
}

/// The most rows any read or lease answers with, whatever is asked.
const MAX_ROWS: usize = 1_000;

/// For what waits to be noted to be written at the end.
const LAST_NOTES: Duration = Duration::from_millis(500);

/// What all parts of the log share.
struct Shared {
    options: PostgresOptions,
    /// For all but appends.
    pool: Pool,
    queue: queue::Queue,
    durability: Arc<durability::State>,
    wake: wake::Wake,
    counted: Mutex<Stats>,
    noted: notes::Waiting,
    activity: Buckets,
    /// Held by readers of it, and for its commits.
    charted: RwLock<()>,
    trouble: Arc<trouble::Trouble>,
    forgetting: repeats::Place,
    retaining: retain::Places,
    /// As stored; what lease tokens are signed with.
    token_key: [u8; 32],
}

impl Shared {
    fn counted(&self) -> MutexGuard<'_, Stats> {
        // Nothing panics while it is held; were it so, the sums would still be sums.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The [`DeliveryLog`] in PostgreSQL.
pub struct PostgresLog {
    shared: Arc<Shared>,
    /// All that runs beside the callers; ends with the log.
    tasks: Mutex<JoinSet<()>>,
}

impl PostgresLog {
    /// Opens the log: makes the tables or brings them up, and checks what the server promises. All times in it are the server's; `clock` is only
    /// compared with that.
    pub async fn open(
        options: PostgresOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, LogError> {
        let durability = Arc::new(durability::State::new(options.accept_weaker_durability));
        let connector = Connector::new(&options.url, options.tls.clone(), durability.clone())?;
        let connector = Arc::new(connector);
        let opened = schema::open(&connector, Instant::now() + schema::OPEN_TIME).await?;
        opened.compare_clocks(clock.now());
        // The server's settings came with the connection.
        if let Err(LogError::Unavailable(weaker)) = durability.check() {
            return Err(LogError::Failed(weaker));
        }
        let trouble = Arc::<trouble::Trouble>::default();
        let shared = Arc::new(Shared {
            pool: Pool::new(connector, options.connections),
            queue: queue::Queue::new(&options, trouble.clone()),
            durability,
            wake: wake::Wake::default(),
            counted: Mutex::default(),
            noted: notes::Waiting::default(),
            activity: Buckets::default(),
            charted: RwLock::default(),
            trouble,
            forgetting: repeats::Place::default(),
            retaining: retain::Places::default(),
            token_key: opened.token_key,
            options,
        });
        let mut tasks = JoinSet::new();
        for _ in 0..shared.options.writers {
            tasks.spawn(writer::run(shared.clone()));
        }
        tasks.spawn(durability::watch(shared.clone()));
        tasks.spawn(notes::run(shared.clone()));
        tasks.spawn(activity::run(shared.clone()));
        wake::start(&shared, &mut tasks).await?;
        Ok(Arc::new(Self {
            shared,
            tasks: Mutex::new(tasks),
        }))
    }
}

#[async_trait::async_trait]
impl DeliveryLog for PostgresLog {
    fn receipt(&self) -> v1::Receipt {
        self.shared.durability.receipt()
    }

    fn durability(&self) -> Durability {
        self.shared.durability.now()
    }

    fn notes(&self) -> &dyn Notes {
        self
    }

    fn stats(&self) -> Stats {
        Stats {
            waiting: self.shared.queue.len(),
            ..*self.shared.counted()
        }
    }

    async fn append(&self, callback: NewCallback, deadline: Instant) -> Result<Appended, LogError> {
        append::append(&self.shared, callback, deadline).await
    }

    async fn lease(
        &self,
        queue: &Queue,
        max: usize,
        duration: Duration,
    ) -> Result<Vec<Lease>, LogError> {
        leases::lease(&self.shared, queue, max.min(MAX_ROWS), duration).await
    }

    async fn settle(&self, settlements: Vec<Settle>) -> Result<Vec<bool>, LogError> {
        settle::settle(&self.shared, settlements).await
    }

    async fn event(&self, id: &str) -> Result<v1::Event, LogError> {
        read::event(&self.shared, id).await
    }

    async fn delivery(&self, id: &str) -> Result<v1::Delivery, LogError> {
        read::delivery(&self.shared, id).await
    }

    async fn events(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Event)>, LogError> {
        list::events(&self.shared, selection, before, limit.min(MAX_ROWS)).await
    }

    async fn deliveries(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Delivery)>, LogError> {
        list::deliveries(&self.shared, selection, before, limit.min(MAX_ROWS)).await
    }

    async fn tail(
        &self,
        selection: &Selection,
        after: Cursor,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError> {
        let limit = limit.clamp(1, MAX_ROWS);
        tail::tail(&self.shared, selection, after, changes, limit).await
    }

    async fn tail_newest(
        &self,
        selection: &Selection,
        after: Cursor,
        before: Option<Cursor>,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError> {
        let limit = limit.clamp(1, MAX_ROWS);
        tail::newest(&self.shared, selection, (after, before), changes, limit).await
    }

    async fn reach(&self) -> Result<Reach, LogError> {
        Ok(line::reach(&mut self.shared.pool.call().await?).await?)
    }

    fn newest(&self) -> watch::Receiver<Cursor> {
        self.shared.wake.newest()
    }

    async fn replay(&self, deliveries: &[PutBack]) -> Result<u32, LogError> {
        replay::replay(&self.shared, deliveries).await
    }

    async fn drop_deliveries(&self, webhook_uid: &str, reason: &str) -> Result<u32, LogError> {
        replay::drop_deliveries(&self.shared, webhook_uid, reason).await
    }

    async fn waiting(&self, after: Option<&Queue>, limit: usize) -> Result<Vec<Waiting>, LogError> {
        waiting::waiting(&self.shared, after, limit.min(MAX_ROWS)).await
    }

    async fn add_deliveries(
        &self,
        event_id: &str,
        deliveries: Vec<NewDelivery>,
    ) -> Result<u32, LogError> {
        replay::add_deliveries(&self.shared, event_id, deliveries).await
    }

    async fn usage(&self) -> Result<Vec<Usage>, LogError> {
        totals::usage(&self.shared).await
    }

    async fn retain(&self, retention: &Retention) -> Result<u64, LogError> {
        retain::retain(&self.shared, retention).await
    }

    async fn forget_repeats(&self, older_than: Duration) -> Result<u64, LogError> {
        repeats::forget(&self.shared, older_than).await
    }

    async fn index(&self) -> Result<bool, LogError> {
        texts::index(&self.shared).await
    }

    async fn close(&self) {
        self.shared.queue.close().await;
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        // No commit is broken off: what it was of would be written again.
        let charted = tokio::time::timeout(LAST_NOTES, self.shared.charted.write()).await;
        tasks.shutdown().await;
        drop(charted);
        // One that fails keeps the other from nothing.
        let last =
            async { tokio::join!(notes::write(&self.shared), activity::write(&self.shared)) };
        match tokio::time::timeout(LAST_NOTES, last).await {
            Ok((Ok(()), Ok(()))) => {}
            Ok((Err(error), _) | (_, Err(error))) => {
                tracing::debug!(error = %LogError::from(error), "the last notes are lost");
            }
            Err(_) => tracing::debug!("the last notes are lost: PostgreSQL didn't answer in time"),
        }
        self.shared.pool.close();
    }
}

#[async_trait::async_trait]
impl Notes for PostgresLog {
    fn note(&self, note: Note) {
        self.shared.noted.note(note);
    }

    async fn notes(
        &self,
        kind: NoteKind,
        of: NotesOf<'_>,
        limit: usize,
    ) -> Result<Vec<v1::Refusal>, LogError> {
        notes::notes(&self.shared, kind, of, limit).await
    }

    fn count(&self, counted: v1::GroupCounters) {
        self.shared.noted.count(counted);
    }

    async fn counts(
        &self,
        group_uids: &[&str],
    ) -> Result<HashMap<String, v1::GroupCounts>, LogError> {
        notes::counts(&self.shared, group_uids).await
    }

    fn happened(&self, org: &str, group_uid: &str, at: Timestamp, activity: Activity) {
        self.shared.activity.add(org, group_uid, at, activity);
    }

    fn counts_since(&self, _: ActivityOf<'_>) -> Option<Timestamp> {
        None
    }

    async fn activity(
        &self,
        of: ActivityOf<'_>,
        since: Timestamp,
    ) -> Result<Vec<Bucket>, LogError> {
        activity::activity(&self.shared, of, since).await
    }

    async fn shapes(&self, group_uid: &str) -> Result<Vec<(String, bytes::Bytes)>, LogError> {
        shapes::shapes(&self.shared, group_uid).await
    }

    async fn remember_shape(
        &self,
        group_uid: &str,
        event_type: &str,
        record: bytes::Bytes,
    ) -> Result<(), LogError> {
        shapes::remember(&self.shared, group_uid, event_type, record).await
    }

    async fn forget(&self, group_uid: &str) -> Result<(), LogError> {
        notes::forget(&self.shared, group_uid).await
    }
}
