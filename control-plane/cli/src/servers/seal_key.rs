//! The seal key where several replicas share a store: the first one makes it, every other needs a copy.
//!
//! ```text
//!  file?  store?       then
//!  no     empty        make it, and claim the store with it; whoever comes second is told to copy the first one's
//!  no     has things   refused: they are sealed with a key that isn't here
//!  yes    empty        claim the store with it
//!  yes    has things   the key that claimed the store, or refused
//! ```
//!
//! The claim is the installation's own key, sealed and written on the condition that there is none: of two that start at once one wins. The file comes
//! first, so that a store is never claimed with a key that nobody has.

use std::path::Path;

use hookplane_control_plane::installation::{self, ClaimError};
use hookplane_control_plane::seal::SealKey;
use hookplane_control_plane::store::Store;

use crate::failure::Failure;

/// The key in this file, with which the store is claimed.
pub(super) async fn of_replica(path: &Path, store: &dyn Store) -> Result<SealKey, Failure> {
    let shown = path.display();
    let copy = format!(
        "copy the file of a replica that runs, or of a backup, to {shown}; without it the secrets in the store can't be opened"
    );
    let made = !path.exists();
    if made && installation::begun(store).await.map_err(failed)? {
        let missing = format!("{shown} is missing, and what the store holds is sealed with it");
        return Err(Failure::new(missing).hint(copy));
    }
    let seal = SealKey::load_or_create(path).map_err(|error| Failure::new(error.to_string()))?;
    match installation::claim(store, &seal).await {
        Ok(()) => Ok(seal),
        Err(ClaimError::Store(error)) => Err(failed(error)),
        Err(ClaimError::AnotherKey) => {
            if made {
                // Another replica was faster, and nothing is sealed with ours.
                std::fs::remove_file(path)?;
            }
            let another = format!("{shown} is not the key that this store was begun with");
            Err(Failure::new(another).hint(copy))
        }
    }
}

fn failed(error: hookplane_control_plane::store::StoreError) -> Failure {
    Failure::new(format!("--store: {error}"))
}
