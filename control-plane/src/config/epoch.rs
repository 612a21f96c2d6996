//! The store's epoch: a random id in the store itself, so that every backend has it and every watch brings it.
//!
//! Revisions compare only within one. When the store turns out to be behind what it once said, because it was restored from a backup or is
//! a copy, whoever notices writes another one, under a guard, so that of several that notice one writes.

use crate::keys;
use crate::store::{Precondition, Revision, Store, StoreError, Transaction, Write};

use super::tombstone;

/// Makes the epoch, and the horizon of tombstones, where the store has none.
pub(crate) async fn ensure(store: &dyn Store) -> Result<(), StoreError> {
    let found = store.get(keys::EPOCH).await?;
    if found.is_some() && store.get(keys::HORIZON).await?.is_some() {
        return Ok(());
    }
    // What was deleted until now left no tombstone. In a new store that is nothing.
    let now = store.list(keys::ROOT, None, 1, None).await?.revision;
    let mut transaction = Transaction {
        checks: vec![(keys::HORIZON.to_owned(), Precondition::Absent)],
        writes: vec![tombstone::put_horizon(now)],
    };
    if found.is_none() {
        let absent = (keys::EPOCH.to_owned(), Precondition::Absent);
        transaction.checks.push(absent);
        transaction.writes.push(put(&random()?));
    }
    match store.commit(transaction).await {
        // Another control plane starts at the same time.
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Begins another epoch than `old`, unless somebody has. Says at which revision the store has another one.
pub(crate) async fn renew(store: &dyn Store, old: &str) -> Result<Revision, StoreError> {
    loop {
        let check = match store.get(keys::EPOCH).await? {
            Some(entry) if entry.value != old => return Ok(entry.revision),
            Some(entry) => Precondition::At(entry.revision),
            None => Precondition::Absent,
        };
        let transaction = Transaction {
            checks: vec![(keys::EPOCH.to_owned(), check)],
            writes: vec![put(&random()?)],
        };
        match store.commit(transaction).await {
            // Whoever was first wrote another one.
            Err(StoreError::Conflict { .. }) => {}
            done => return done,
        }
    }
}

fn put(epoch: &str) -> Write {
    Write::Put(keys::EPOCH.to_owned(), epoch.to_owned().into())
}

/// Of 128 bits: no two are the same.
pub(super) fn random() -> Result<String, StoreError> {
    let mut epoch = [0u8; 16];
    getrandom::fill(&mut epoch)
        .map_err(|e| StoreError::Unavailable(format!("no randomness from the system: {e}")))?;
    Ok(hex::encode(epoch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EmbeddedStore;

    async fn stored(store: &dyn Store) -> String {
        let entry = store.get(keys::EPOCH).await.unwrap().unwrap();
        String::from_utf8(entry.value.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn of_several_that_notice_one_writes_another_epoch() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let (one, two) = tokio::join!(ensure(&*store), ensure(&*store));
        one.and(two).unwrap();
        let first = stored(&*store).await;
        ensure(&*store).await.unwrap();
        assert_eq!(stored(&*store).await, first, "it is made once");

        let (one, two) = tokio::join!(renew(&*store, &first), renew(&*store, &first));
        assert_eq!(one.unwrap(), two.unwrap());
        let second = stored(&*store).await;
        assert_ne!(second, first);
        renew(&*store, &first).await.unwrap();
        assert_eq!(
            stored(&*store).await,
            second,
            "the old one is not renewed twice"
        );
    }
}
