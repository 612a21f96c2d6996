//! The store on SQLite, for one process: `config.db` in a directory.
//!
//! ```text
//!   commit ─▶ writer (one connection, one at a time) ─▶ versions ─▶ sync ─▶ newest revision told to the watches
//!   get, list, watch ─▶ reader (a connection of its own, WAL) ─▶ versions
//! ```
//!
//! Every version of a key is a row until it is compacted, so a list at a revision and a watch from a revision read the same table, and a
//! watch that lags loses nothing: it is only told that something is new, and reads on from where it was. The last
//! [`DEFAULT_KEPT_REVISIONS`] revisions are kept; older ones are answered with [`StoreError::Compacted`].
//!
//! SQLite runs in WAL mode with `synchronous=FULL`, which is verified at the start: a commit is on the disk before it is answered. After a
//! write or sync that failed, nothing is written until the store is opened again. A lock on `config.lock` keeps a second process out. SQLite
//! runs on blocking threads, never on those of the runtime.

mod schema;
mod versions;

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Changes, Entry, Listing, MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, MAX_WRITES, Revision, Store,
    StoreError, Transaction, Write,
};

/// Locked by the process that has the store open. Says whether one was ever made here, so that a lost file isn't taken for a new one.
const LOCK: &str = "config.lock";
const MADE: &[u8] = b"hookplane config store\n";

/// For how many revisions a watch may lag or a list may take.
const DEFAULT_KEPT_REVISIONS: u64 = 10_000;

/// Compaction costs a little; it is done once for this many revisions.
const COMPACT_EVERY: u64 = 64;

/// Changes waiting for a watcher that is busy; more stay in the file.
const WATCH_BUFFER: usize = 16;

/// The embedded store.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
}

struct Shared {
    epoch: String,
    kept_revisions: u64,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    newest: watch::Sender<Revision>,
    /// Set when what the disk holds is no longer known.
    failed: AtomicBool,
    /// Held as long as the store is open.
    _lock: File,
}

impl EmbeddedStore {
    /// Opens the store in `dir`, or makes it. Blocks while it reads the file through once.
    pub fn open(dir: &Path) -> Result<Arc<Self>, StoreError> {
        Self::open_keeping(dir, DEFAULT_KEPT_REVISIONS)
    }

    /// Like [`open`](Self::open), remembering at least this many revisions.
    pub fn open_keeping(dir: &Path, kept_revisions: u64) -> Result<Arc<Self>, StoreError> {
        schema::make_directory(dir)?;
        let mut lock = lock(dir)?;
        let path = dir.join("config.db");
        let made = is_made(&mut lock).map_err(|e| unusable("read", dir, &e))?;
        if made && std::fs::metadata(&path).map_or(0, |file| file.len()) == 0 {
            // Risk 4: an empty store in its place would answer every provider 404.
            return Err(StoreError::Damaged(format!(
                "{}: it is missing or empty, though a configuration was kept in it; {}",
                path.display(),
                schema::WHAT_TO_DO
            )));
        }
        let writer = schema::open_writer(&path)?;
        if !made {
            lock.write_all(MADE)
                .and_then(|()| lock.sync_all())
                .map_err(|e| unusable("write", dir, &e))?;
        }
        let reader = schema::open_reader(&path)?;
        schema::sync_directory(dir)?;
        let epoch = schema::epoch(&writer)?;
        let revision = versions::revision(&writer)?;
        Ok(Arc::new(Self {
            shared: Arc::new(Shared {
                epoch,
                kept_revisions: kept_revisions.max(1),
                writer: Mutex::new(writer),
                reader: Mutex::new(reader),
                newest: watch::Sender::new(revision),
                failed: AtomicBool::new(false),
                _lock: lock,
            }),
        }))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        blocking(Arc::clone(&self.shared), work).await
    }
}

async fn blocking<T: Send + 'static>(
    shared: Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(move || work(&shared))
        .await
        .map_err(|e| StoreError::Unavailable(format!("the store's thread ended: {e}")))?
}

/// Whether the lock says that a store was made here.
fn is_made(lock: &mut File) -> io::Result<bool> {
    let mut mark = Vec::new();
    lock.read_to_end(&mut mark)?;
    Ok(mark.starts_with(MADE))
}

fn unusable(what: &str, dir: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("{what} {}: {error}", dir.join(LOCK).display()))
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let mut options = File::options();
    options.create(true).truncate(false).read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options
        .open(&path)
        .map_err(|e| StoreError::Unavailable(format!("open {}: {e}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(format!(
            "{} is in use by another process: stop that one first, or name another directory",
            dir.display()
        ))),
        Err(TryLockError::Error(e)) => Err(StoreError::Unavailable(format!(
            "lock {}: {e}",
            path.display()
        ))),
    }
}

/// A panic while a connection was held may have left a transaction open, so such a connection isn't used again.
fn held(connection: &Mutex<Connection>) -> Result<MutexGuard<'_, Connection>, StoreError> {
    connection
        .lock()
        .map_err(|_| StoreError::Unavailable("an earlier operation panicked; restart".to_owned()))
}

impl Shared {
    fn commit(&self, transaction: &Transaction) -> Result<Revision, StoreError> {
        let mut writer = held(&self.writer)?;
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable(
                "an earlier write failed, so nothing is written any more: check the disk, then restart".to_owned(),
            ));
        }
        let revision = match versions::commit(&mut writer, transaction) {
            Ok(revision) => revision,
            Err(e) => {
                if e.disk_unknown {
                    self.failed.store(true, Ordering::Release);
                }
                return Err(e.error);
            }
        };
        // Told while the writer is held, so that it only grows.
        if self.newest.send_if_modified(|newest| {
            let grew = revision > *newest;
            *newest = revision.max(*newest);
            grew
        }) && revision.is_multiple_of(COMPACT_EVERY)
            && let Err(e) = versions::compact(&mut writer, self.kept_revisions)
        {
            // The commit itself is durable; compaction is tried again later.
            tracing::warn!(error = %e, "compact the config store's history");
        }
        Ok(revision)
    }
}

/// What every backend refuses alike.
fn check_bounds(transaction: &Transaction) -> Result<(), StoreError> {
    let operations = transaction.checks.len() + transaction.writes.len();
    if operations > MAX_WRITES {
        return Err(StoreError::TooLarge(format!(
            "{operations} checks and writes in one transaction, at most {MAX_WRITES} are possible"
        )));
    }
    let mut total = 0;
    for write in &transaction.writes {
        let (key, size) = match write {
            Write::Put(key, value) => (key, value.len()),
            Write::Delete(key) => (key, 0),
        };
        if size > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge(format!(
                "`{key}` would be {size} bytes, at most {MAX_VALUE_BYTES} are possible"
            )));
        }
        total += key.len() + size;
    }
    if total > MAX_TRANSACTION_BYTES {
        return Err(StoreError::TooLarge(format!(
            "{total} bytes in one transaction, at most {MAX_TRANSACTION_BYTES} are possible"
        )));
    }
    Ok(())
}

#[async_trait::async_trait]
impl Store for EmbeddedStore {
    async fn epoch(&self) -> Result<String, StoreError> {
        Ok(self.shared.epoch.clone())
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let key = key.to_owned();
        self.blocking(move |shared| versions::get(&*held(&shared.reader)?, &key))
            .await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.blocking(move |shared| {
            versions::list(
                &mut *held(&shared.reader)?,
                &prefix,
                after.as_deref(),
                limit,
                at,
            )
        })
        .await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        check_bounds(&transaction)?;
        self.blocking(move |shared| shared.commit(&transaction))
            .await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        let newest = self.shared.newest.subscribe();
        let (sender, receiver) = mpsc::channel(WATCH_BUFFER);
        // Asked for once before it starts, so that a revision long gone is refused here.
        let oldest = self
            .blocking(|shared| versions::compacted(&*held(&shared.reader)?))
            .await?;
        if after < oldest {
            return Err(StoreError::Compacted {
                asked: after,
                oldest,
            });
        }
        // Owned by the stream it feeds: it ends when the receiver is dropped, or with the store.
        tokio::spawn(follow(
            Arc::downgrade(&self.shared),
            newest,
            prefix.to_owned(),
            after,
            sender,
        ));
        Ok(Box::pin(ReceiverStream::new(receiver)))
    }
}

/// Reads on from `position` whenever something is new, until nobody listens, the store is closed, or an error.
///
/// Holds the store only while it reads, so that a forgotten watch doesn't keep a closed store's lock.
async fn follow(
    store: std::sync::Weak<Shared>,
    mut newest: watch::Receiver<Revision>,
    prefix: String,
    mut position: Revision,
    sender: mpsc::Sender<Result<super::Change, StoreError>>,
) {
    loop {
        let tip = tokio::select! {
            tip = newest.wait_for(|newest| *newest > position) => match tip {
                Ok(tip) => *tip,
                Err(_) => return,
            },
            () = sender.closed() => return,
        };
        let Some(shared) = store.upgrade() else {
            return;
        };
        let prefix = prefix.clone();
        let read = blocking(shared, move |shared| {
            versions::changes(&mut *held(&shared.reader)?, &prefix, position, tip)
        })
        .await;
        match read {
            Ok((changes, reached)) => {
                for change in changes {
                    if sender.send(Ok(change)).await.is_err() {
                        return;
                    }
                }
                position = reached;
            }
            Err(e) => {
                // A receiver that is gone needs no error.
                let _gone = sender.send(Err(e)).await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
