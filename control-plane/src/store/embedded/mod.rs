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
//! SQLite runs in WAL mode with `synchronous=FULL`, which is verified at the start: a commit is on the disk before it is answered. A
//! write that failed (no space, a spent quota) is refused and the next one tried; after a sync that failed, or anything else, nothing is written
//! until the store is opened again. Damage, in the write-ahead log too, is refused at the start. A lock on `config.lock` keeps a second process
//! out. SQLite runs on blocking threads, never on those of the runtime.

mod schema;
mod versions;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::{Changes, Entry, Listing, Revision, Store, StoreError, Transaction, bounds};
use crate::keys;
use crate::sqlite::{self, Checkpoints, Fault};
use versions::CommitError;

/// For how many revisions a watch may lag or a list may take. The canary writes one every 5 s and the fleet one every 10 s, so that it is
/// nearly 2 days of them.
const DEFAULT_KEPT_REVISIONS: u64 = 50_000;

/// Compaction costs a little; it is done once for this many revisions.
const COMPACT_EVERY: u64 = 64;

/// Changes waiting for a watcher that is busy; more stay in the file.
const WATCH_BUFFER: usize = 16;

/// The embedded store.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
}

struct Shared {
    kept_revisions: u64,
    writer: Mutex<Writer>,
    reader: Mutex<Connection>,
    newest: watch::Sender<Revision>,
    /// Set when what the disk holds is no longer known.
    failed: AtomicBool,
    /// Held as long as the store is open.
    _lock: File,
}

struct Writer {
    db: Connection,
    /// Where the database is.
    path: PathBuf,
    checkpoints: Checkpoints,
}

impl EmbeddedStore {
    /// Opens the store in `dir`, or makes it. Blocks while it reads the file through once.
    pub fn open(dir: &Path) -> Result<Arc<Self>, StoreError> {
        Self::open_keeping(dir, DEFAULT_KEPT_REVISIONS)
    }

    /// Like [`open`](Self::open), remembering at least this many revisions.
    pub fn open_keeping(dir: &Path, kept_revisions: u64) -> Result<Arc<Self>, StoreError> {
        let (lock, path, mut writer) = schema::open_writer(dir)?;
        // The lock is ours, so whoever said something there has ended.
        if let Err(error) = versions::remove_all(&mut writer, keys::FLEET) {
            tracing::warn!(%error, "what an earlier run said of its listeners is left; it is in doubt for some seconds");
        }
        let reader = schema::open_reader(&path)?;
        let revision = versions::revision(&writer)?;
        Ok(Arc::new(Self {
            shared: Arc::new(Shared {
                kept_revisions: kept_revisions.max(1),
                writer: Mutex::new(Writer {
                    db: writer,
                    path,
                    checkpoints: Checkpoints::default(),
                }),
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

/// A panic while a connection was held may have left a transaction open, so such a connection isn't used again.
fn held<T>(connection: &Mutex<T>) -> Result<MutexGuard<'_, T>, StoreError> {
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
        let revision = match versions::commit(&mut writer.db, transaction) {
            Ok(revision) => revision,
            Err(CommitError::Refused(error)) => return Err(error),
            Err(CommitError::Failed(fault)) => {
                self.undone(&writer, &fault);
                return Err(schema::store_error(fault));
            }
        };
        // Told while the writer is held, so that it only grows.
        let grew = self.newest.send_if_modified(|newest| {
            let grew = revision > *newest;
            *newest = revision.max(*newest);
            grew
        });
        if grew {
            self.tidy(&mut writer, revision);
        }
        Ok(revision)
    }

    /// After a transaction that failed: what is left of it goes. Where that isn't possible, or what the disk holds isn't known, it was the last.
    fn undone(&self, writer: &Writer, fault: &Fault) {
        let undone = match fault {
            Fault::Statement(_) | Fault::Busy(_) | Fault::Full(_) | Fault::Write(_) => {
                // Ended already, where undoing it worked the first time.
                let ended = if writer.db.is_autocommit() {
                    Ok(())
                } else {
                    writer.db.execute_batch("ROLLBACK").map_err(Fault::from)
                };
                ended.and_then(|()| sqlite::cut(&writer.db, &writer.path, schema::SYNC))
            }
            worse => Err(worse.clone()),
        };
        if let Err(fault) = undone {
            self.stop(fault);
        }
    }

    fn stop(&self, fault: Fault) {
        let error = schema::store_error(fault);
        tracing::error!(%error, "the config store takes no more writes until it is opened again");
        self.failed.store(true, Ordering::Release);
    }

    /// The commit itself is durable, whatever becomes of this: it is tried again later.
    fn tidy(&self, writer: &mut Writer, revision: Revision) {
        if revision.is_multiple_of(COMPACT_EVERY)
            && let Err(fault) = versions::compact(&mut writer.db, self.kept_revisions)
        {
            self.undone(writer, &fault);
            let error = schema::store_error(fault);
            tracing::warn!(%error, "compact the config store's history");
        }
        if !self.failed.load(Ordering::Acquire)
            && let Some(fault) = writer.checkpoints.if_grown(&writer.db, schema::SYNC)
        {
            self.stop(fault);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.failed.load(Ordering::Acquire) {
            return;
        }
        if let Ok(writer) = self.writer.get_mut()
            && let Err(fault) = sqlite::checkpoint(&writer.db, true)
        {
            let error = schema::store_error(fault);
            tracing::warn!(%error, "closing the config store: the next start recovers it");
        }
    }
}

#[async_trait::async_trait]
impl Store for EmbeddedStore {
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
        bounds::check(&transaction)?;
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
