//! The installation's MAC key: made once, sealed, and the same for every replica.

use std::sync::Arc;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::keys;
use crate::seal::SealKey;
use crate::store::{Precondition, Store, StoreError, Transaction, Write};

/// What the key is sealed for.
const UID: &str = "installation";
const FIELD: &str = "mac-key";

/// Why a store can't be used with a seal key.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// What is sealed there was sealed with another, or is damaged.
    #[error(
        "the store was begun with another seal key, or the installation's key in it is damaged"
    )]
    AnotherKey,
    /// It can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether anything of ours is in the store.
pub async fn begun(store: &dyn Store) -> Result<bool, StoreError> {
    let listing = store.list(keys::ROOT, None, 1, None).await?;
    Ok(!listing.entries.is_empty())
}

/// Makes the store this seal key's, unless it is another's already.
pub async fn claim(store: &dyn Store, seal: &SealKey) -> Result<(), ClaimError> {
    read_or_make(store, seal).await.map(drop)
}

/// Reads the MAC key, or makes it. Two that start at once agree: the second one's write is refused, and it takes the first one's key.
pub async fn mac_key(store: &dyn Store, seal: &SealKey) -> Result<Arc<[u8; 32]>, StoreError> {
    read_or_make(store, seal)
        .await
        .map_err(|error| match error {
            ClaimError::Store(error) => error,
            ClaimError::AnotherKey => StoreError::Damaged(error.to_string()),
        })
}

async fn read_or_make(store: &dyn Store, seal: &SealKey) -> Result<Arc<[u8; 32]>, ClaimError> {
    if let Some(entry) = store.get(keys::INSTALLATION).await? {
        return open(seal, &entry.value);
    }
    let mut key = Zeroizing::new([0u8; 32]);
    getrandom::fill(key.as_mut())
        .map_err(|e| StoreError::Unavailable(format!("no randomness from the system: {e}")))?;
    let sealed = seal
        .seal(UID, FIELD, key.as_ref())
        .map_err(|e| StoreError::Unavailable(format!("seal the installation's key: {e}")))?;
    match create(store, sealed).await {
        Ok(_) => Ok(Arc::new(*key)),
        Err(StoreError::Conflict { .. }) => {
            let entry = store.get(keys::INSTALLATION).await?.ok_or_else(|| {
                StoreError::Damaged(format!("`{}` was there and is gone", keys::INSTALLATION))
            })?;
            open(seal, &entry.value)
        }
        Err(e) => Err(e.into()),
    }
}

async fn create(store: &dyn Store, sealed: Bytes) -> Result<u64, StoreError> {
    store
        .commit(Transaction {
            checks: vec![(keys::INSTALLATION.to_owned(), Precondition::Absent)],
            writes: vec![Write::Put(keys::INSTALLATION.to_owned(), sealed)],
        })
        .await
}

fn open(seal: &SealKey, sealed: &[u8]) -> Result<Arc<[u8; 32]>, ClaimError> {
    let plain = seal
        .open(UID, FIELD, sealed)
        .map_err(|_| ClaimError::AnotherKey)?;
    let key: [u8; 32] = plain
        .as_slice()
        .try_into()
        .map_err(|_| StoreError::Damaged("the installation's key has a wrong length".to_owned()))?;
    Ok(Arc::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EmbeddedStore;

    #[tokio::test]
    async fn two_starters_agree_on_one_key_and_keep_it() {
        let dir = tempfile::tempdir().unwrap();
        let seal = SealKey::load_or_create(&dir.path().join("seal.key")).unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let (one, two) = tokio::join!(mac_key(&*store, &seal), mac_key(&*store, &seal));
        let one = one.unwrap();
        assert_eq!(one, two.unwrap());
        let stored = store.get(keys::INSTALLATION).await.unwrap().unwrap();
        assert!(!stored.value.windows(8).any(|w| w == &one[..8]));
        assert_eq!(mac_key(&*store, &seal).await.unwrap(), one);
        // Another seal key is refused; the key is never made anew over the old one.
        let other = SealKey::load_or_create(&dir.path().join("other.key")).unwrap();
        assert!(matches!(
            mac_key(&*store, &other).await,
            Err(StoreError::Damaged(_))
        ));
    }
}
