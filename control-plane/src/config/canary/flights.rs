//! What a canary leaves in the store, so that it knows the store again: a number that only it writes, one higher with each flight.
//!
//! ```text
//!   the number is as it was left ─▶ written, one higher
//!   a later one of ours (its answer was lost) ─▶ taken for the last, and written
//!   none, or an older one ─▶ what was committed is gone: the store was put back to an older copy
//! ```
//!
//! Numbers of canaries that are gone go after some hours. That is also how long one may be frozen: whoever comes back later finds its number
//! gone, and takes the store for one that was put back, which costs full lists and nothing else.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::keys;
use crate::store::{MAX_WRITES, Precondition, Revision, Store, StoreError, Transaction, Write};

/// One that has not moved for so long is gone.
const GONE: Duration = Duration::from_secs(6 * 3600);
/// Looked at together. More are of a later look.
const LOOKED_AT: usize = 1_000;

/// Of one canary.
#[derive(Default)]
pub(super) struct Flights {
    /// Made with the first flight.
    key: String,
    /// The last one that is known to be written, and where.
    last: Option<(u64, Revision)>,
    /// The last one that was tried.
    tried: u64,
    others: Others,
}

/// All there were when it was looked last.
#[derive(Default)]
struct Others {
    at: Option<Instant>,
    seen: HashMap<String, Revision>,
}

/// What became of a flight.
pub(super) enum Recorded {
    At(Revision),
    /// What the store has instead: its revision, or that of the last flight it knows of.
    RolledBack(Revision),
}

impl Flights {
    /// Writes the canary, and the number beside it. `before` is a revision that this store is known to have had.
    pub(super) async fn record(
        &mut self,
        store: &dyn Store,
        before: Revision,
    ) -> Result<Recorded, StoreError> {
        if self.key.is_empty() {
            self.key = format!("{}{}", keys::FLIGHTS, super::epoch::random()?);
        }
        let revision = match self.write(store).await {
            Err(StoreError::Conflict { .. }) => {
                let found = store.get(&self.key).await?;
                let (number, revision) = found.map_or((0, 0), |entry| {
                    let number = std::str::from_utf8(&entry.value).ok();
                    let number = number.and_then(|number| number.parse().ok());
                    (number.unwrap_or(0), entry.revision)
                });
                if number <= self.last.map_or(0, |(number, _)| number) {
                    return Ok(Recorded::RolledBack(revision));
                }
                self.last = Some((number, revision));
                self.write(store).await?
            }
            done => done?,
        };
        if revision <= before {
            return Ok(Recorded::RolledBack(revision));
        }
        self.last = Some((self.tried, revision));
        self.others.sweep(store, &self.key).await;
        Ok(Recorded::At(revision))
    }

    async fn write(&mut self, store: &dyn Store) -> Result<Revision, StoreError> {
        self.tried += 1;
        let last = self
            .last
            .map_or(Precondition::Absent, |(_, at)| Precondition::At(at));
        let transaction = Transaction {
            checks: vec![(self.key.clone(), last)],
            writes: vec![
                Write::Put(keys::CANARY.to_owned(), bytes::Bytes::from_static(b"1")),
                Write::Put(self.key.clone(), self.tried.to_string().into()),
            ],
        };
        store.commit(transaction).await
    }
}

impl Others {
    /// Now and then: takes away those that have not moved since the last time.
    async fn sweep(&mut self, store: &dyn Store, own: &str) {
        if self.at.is_some_and(|at| at.elapsed() < GONE) {
            return;
        }
        self.at = Some(Instant::now());
        if let Err(error) = self.try_sweep(store, own).await {
            tracing::debug!(%error, "what canaries of dead control planes left stays for now");
        }
    }

    async fn try_sweep(&mut self, store: &dyn Store, own: &str) -> Result<(), StoreError> {
        let found = store.list(keys::FLIGHTS, None, LOOKED_AT, None).await?;
        let found = found.entries.into_iter().filter(|entry| entry.key != own);
        let found: HashMap<_, _> = found.map(|entry| (entry.key, entry.revision)).collect();
        let before = std::mem::replace(&mut self.seen, found);
        let same = |(key, at): &(&String, &Revision)| before.get(*key) == Some(*at);
        let gone: Vec<_> = self.seen.iter().filter(same).collect();
        for some in gone.chunks(MAX_WRITES / 2) {
            let checks = some
                .iter()
                .map(|(key, at)| ((*key).clone(), Precondition::At(**at)));
            let writes = some.iter().map(|(key, _)| Write::Delete((*key).clone()));
            let transaction = Transaction {
                checks: checks.collect(),
                writes: writes.collect(),
            };
            match store.commit(transaction).await {
                // Another one swept, or one of them flew: next time.
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::EmbeddedStore;

    fn store(folder: &std::path::Path, name: &str) -> Arc<EmbeddedStore> {
        EmbeddedStore::open(&folder.join(name)).unwrap()
    }

    async fn put(store: &dyn Store, key: &str, value: String) -> Revision {
        let transaction = Transaction {
            checks: Vec::new(),
            writes: vec![Write::Put(key.to_owned(), value.into())],
        };
        store.commit(transaction).await.unwrap()
    }

    async fn flew(flights: &mut Flights, store: &dyn Store, before: Revision) -> Option<Revision> {
        match flights.record(store, before).await.unwrap() {
            Recorded::At(revision) => Some(revision),
            Recorded::RolledBack(_) => None,
        }
    }

    // Risk 26: revisions that grew past where they were before hide that a store was put back.
    #[tokio::test]
    async fn a_store_without_the_last_flight_was_put_back_however_far_it_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let (now, then) = (store(folder.path(), "now"), store(folder.path(), "then"));
        let mut flights = Flights::default();
        let first = flew(&mut flights, &*now, 0).await.unwrap();
        let second = flew(&mut flights, &*now, first).await.unwrap();
        // An older copy knows of the first flight, or of none.
        let older = flights.key.clone();
        for known in [Some(1), None] {
            if let Some(number) = known {
                put(&*then, &older, number.to_string()).await;
            } else {
                let transaction = Transaction {
                    checks: Vec::new(),
                    writes: vec![Write::Delete(older.clone())],
                };
                then.commit(transaction).await.unwrap();
            }
            while put(&*then, "v1/orgs/a", String::new()).await <= second + 10 {}
            assert_eq!(flew(&mut flights, &*then, second).await, None);
        }
    }

    // Risk 26: and a copy that was made after the last flight has it, but none of what was written then.
    #[tokio::test]
    async fn a_store_that_goes_on_below_what_was_seen_was_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), "store");
        let mut flights = Flights::default();
        let first = flew(&mut flights, &*store, 0).await.unwrap();
        assert_eq!(flew(&mut flights, &*store, first + 10).await, None);
    }

    #[tokio::test]
    async fn a_flight_whose_answer_was_lost_is_no_other_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), "store");
        let mut flights = Flights::default();
        // The first one's as well as a later one's.
        for _ in 0..2 {
            flights.write(&*store).await.unwrap();
            let revision = flew(&mut flights, &*store, 0).await.unwrap();
            assert_eq!(flights.last.unwrap().1, revision);
        }
    }

    #[tokio::test]
    async fn what_canaries_left_that_are_gone_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), "store");
        let (mut one, mut two) = (Flights::default(), Flights::default());
        let mut gone = Flights::default();
        for flights in [&mut gone, &mut two, &mut one] {
            flew(flights, &*store, 0).await.unwrap();
        }
        flew(&mut two, &*store, 0).await.unwrap();
        assert!(store.get(&gone.key).await.unwrap().is_some());
        // As when hours have passed.
        one.others.at = None;
        flew(&mut one, &*store, 0).await.unwrap();
        assert!(store.get(&gone.key).await.unwrap().is_none());
        assert!(store.get(&two.key).await.unwrap().is_some());
        assert!(flew(&mut two, &*store, 0).await.is_some());
    }
}
