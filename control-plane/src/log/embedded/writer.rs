//! The one thread that writes: takes what waits, does it in one transaction, syncs, and only then answers.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use rusqlite::Connection;

use super::fault::Fault;
use super::queue::{Next, Waiting, Work};
use super::tables::{Memory, Tables};
use super::{Shared, leases, retain};
use crate::log::{Cursor, LogError};
use crate::sqlite;

/// What a piece of work is told.
type Answer = Result<(), LogError>;

pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) memory: Memory,
    pub(super) shared: Arc<Shared>,
    /// Held for as long as anything may be written.
    pub(super) lock: File,
    /// Where the database is.
    pub(super) path: PathBuf,
    pub(super) checkpoints: sqlite::Checkpoints,
}

impl Writer {
    pub(super) fn run(mut self) {
        loop {
            let time = self.memory.time;
            let wakes = [
                self.memory.leases.first().map(|(at, _)| at),
                self.memory.due.first(),
            ];
            // Once failed there is nothing to wake for.
            let until = if self.shared.failure().is_some() {
                None
            } else {
                wakes.into_iter().flatten().min().map(|at| time.instant(at))
            };
            match self.shared.queue.take(until) {
                Next::Batch(batch) => self.batch(batch),
                Next::Closed => break,
            }
        }
        if self.shared.failure().is_none()
            && let Err(fault) = retain_seq(&mut self)
                .and_then(|()| Ok(sqlite::checkpoint(&self.db, true).map(drop)?))
        {
            tracing::warn!(error = %fault.answer(), "closing the event log: the next start recovers it");
        }
        self.shared.close_readers();
        drop(self.db);
        drop(self.lock);
        self.shared.ended.send_replace(true);
    }

    fn batch(&mut self, batch: Vec<Waiting>) {
        let mut batch: Vec<_> = batch
            .into_iter()
            .map(|waiting| waiting.work)
            .filter(|work| !work.is_abandoned())
            .collect();
        if let Some(failure) = self.shared.failure() {
            for work in batch {
                work.answer(Err(LogError::Failed(failure.clone())));
            }
            return;
        }
        let before = self.memory.next_seq;
        let due = self.memory.due.come(self.memory.time.now());
        if batch.is_empty()
            && !due
            && self
                .memory
                .leases
                .expired(self.memory.time.now(), 1)
                .is_empty()
        {
            return;
        }
        let (began, pieces, before_it) = (Instant::now(), batch.len(), self.memory.counted);
        match self.transact(&mut batch) {
            Ok(answers) => {
                self.memory.committed();
                self.count(began, pieces);
                let newest = Cursor(u64::try_from(self.memory.next_seq - 1).unwrap_or(0));
                // First: who was answered finds the event in the tail.
                if due || self.memory.next_seq != before {
                    self.shared.newest.send_replace(newest);
                }
                for (work, answer) in batch.into_iter().zip(answers) {
                    work.answer(answer);
                }
                let sync = self.memory.options.sync;
                if let Some(fault) = self.checkpoints.if_grown(&self.db, sync) {
                    self.stop(fault.into());
                }
            }
            Err(fault) => {
                self.memory.undone();
                self.memory.counted = before_it;
                let error = self.failed(fault);
                for work in batch {
                    work.answer(Err(LogError::Unavailable(error.to_string())));
                }
            }
        }
    }

    /// A commit of so many pieces of work is done.
    fn count(&mut self, began: Instant, pieces: usize) {
        let counted = &mut self.memory.counted;
        counted.commits += 1;
        counted.commit_time += began.elapsed();
        counted.pieces += pieces as u64;
        counted.leased = self.memory.leases.len();
        let shared = self.shared.counted.lock();
        *shared.unwrap_or_else(PoisonError::into_inner) = *counted;
    }

    /// One transaction: durable when this returns.
    ///
    /// A savepoint around each piece costs each of them, and a piece that fails for its own reason is rare: then all is undone, and done again
    /// with savepoints.
    fn transact(&mut self, batch: &mut [Box<dyn Work>]) -> Result<Vec<Answer>, Fault> {
        match self.attempt(batch, |tables, work| work.run(tables).map(Ok)) {
            Err(fault) if fault.is_own() => {
                self.db.prepare_cached("ROLLBACK")?.execute([])?;
                self.memory.undone();
                self.attempt(batch, |tables, work| {
                    match tables.whole(|tables| work.run(tables)) {
                        Err(Fault::Own(error)) => Ok(Err(error)),
                        done => done.map(Ok),
                    }
                })
            }
            done => done,
        }
    }

    fn attempt(
        &mut self,
        batch: &mut [Box<dyn Work>],
        run: impl Fn(&mut Tables<'_>, &mut dyn Work) -> Result<Answer, Fault>,
    ) -> Result<Vec<Answer>, Fault> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut tables = Tables {
            db: &self.db,
            memory: &mut self.memory,
            clock: self.shared.clock.now().0,
        };
        let mut answers = Vec::with_capacity(batch.len());
        leases::expire(&mut tables)?;
        for work in batch {
            answers.push(run(&mut tables, work.as_mut())?);
        }
        let newest = self.memory.next_seq - 1;
        self.memory.recent.write_some(&self.db, newest)?;
        self.db.prepare_cached("COMMIT")?.execute([])?;
        Ok(answers)
    }

    /// Nothing of the batch is kept. After anything but a write that failed or a lock, nothing more is taken.
    fn failed(&mut self, fault: Fault) -> LogError {
        if matches!(fault, Fault::Busy(_)) && self.db.is_autocommit() {
            // It wasn't begun.
            let error = fault.answer();
            tracing::warn!(%error, "a batch was refused");
            return error;
        }
        if matches!(fault, Fault::Full(_) | Fault::Write(_)) {
            let undone = if self.db.is_autocommit() {
                Ok(())
            } else {
                self.db.execute_batch("ROLLBACK").map_err(Fault::from)
            };
            let sync = self.memory.options.sync;
            match undone.and_then(|()| Ok(sqlite::cut(&self.db, &self.path, sync)?)) {
                Ok(()) => {
                    let error = fault.answer();
                    tracing::warn!(%error, "a batch was refused");
                    return error;
                }
                Err(worse) => return self.stop(worse),
            }
        }
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "undoing a batch: opening the event log again does it");
        }
        self.stop(fault)
    }

    fn stop(&self, fault: Fault) -> LogError {
        let error = fault.answer();
        self.shared.fail(&error);
        error
    }
}

fn retain_seq(writer: &mut Writer) -> Result<(), Fault> {
    let clock = writer.shared.clock.now().0;
    retain::remember_seq(&Tables {
        db: &writer.db,
        memory: &mut writer.memory,
        clock,
    })
}

impl Shared {
    /// Why nothing more is taken.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }

    fn fail(&self, error: &LogError) {
        tracing::error!(%error, "the event log takes no more writes until it is opened again");
        drop(self.failure.set(error.to_string()));
        self.failing.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;
    use crate::log::DeliveryLog;
    use crate::log::embedded::{EmbeddedLog, Options};
    use hookplane_rules::{Clock, Timestamp};

    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(1_700_000_000_000)
        }
    }

    fn count(tables: &Tables<'_>, id: &str) -> Result<(), Fault> {
        let insert = "INSERT INTO duplicates (event_id, count) VALUES (?1, 1)";
        tables.db.execute(insert, [id])?;
        Ok(())
    }

    // Risk 6: what fails for its own reason leaves nothing behind, and takes nothing of its batch with it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn piece_that_fails_is_undone_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = EmbeddedLog::open(dir.path(), Arc::new(Still), Options::default());
        let log = log.expect("opens");
        let (begin, wait) = mpsc::channel::<()>();
        let (begun, first_runs) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        // Holds the writer, so that the others wait and share a batch.
        let first = log.write(0, move |_| {
            begun.send(()).expect("is waited for");
            wait.lock().expect("is whole").recv().expect("is told");
            Ok(())
        });
        let go = async {
            first_runs.recv().expect("is begun");
            let before = log.write(0, |tables| count(tables, "before"));
            let fails = log.write(0, |tables| {
                count(tables, "fails")?;
                count(tables, "before")
            });
            let after = log.write(0, |tables| count(tables, "after"));
            let last = async {
                assert_eq!(log.shared.queue.waiting(), 3);
                begin.send(()).expect("is waited for");
            };
            tokio::join!(before, fails, after, last)
        };
        let (first, (before, fails, after, ())) = tokio::join!(first, go);
        assert_eq!((first, before, after), (Ok(()), Ok(()), Ok(())));
        assert!(matches!(fails, Err(LogError::Unavailable(_))), "{fails:?}");
        let kept = log.read(|db| {
            let mut rows = db.prepare("SELECT event_id FROM duplicates ORDER BY event_id")?;
            let ids = rows.query_map([], |row| row.get::<_, String>(0))?;
            Ok(ids.collect::<Result<Vec<_>, _>>()?)
        });
        assert_eq!(
            kept.await,
            Ok(vec!["after".to_owned(), "before".to_owned()])
        );
        log.close().await;
    }
}
