//! Secrets at rest: sealed with an authenticated cipher, bound to the resource they belong to.

use std::path::Path;

use bytes::Bytes;
use zeroize::Zeroizing;

/// The key that seals secrets. It lives in a file of its own, never in the store.
pub struct SealKey {}

/// A sealed secret that can't be opened: another key, another resource, or damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sealed secret of {uid} can't be opened: the seal key is not the one it was sealed with, or it is damaged"
)]
pub struct SealError {
    /// The resource.
    pub uid: String,
}

impl SealKey {
    /// Reads the key file; refuses one that others can read.
    pub fn load(_path: &Path) -> std::io::Result<Self> {
        todo!()
    }

    /// Reads the key file, or makes it (mode 0600, synced) when there is none.
    pub fn load_or_create(_path: &Path) -> std::io::Result<Self> {
        todo!()
    }

    /// Seals `plain`, which belongs to the resource `uid` and is its `field`.
    pub fn seal(&self, _uid: &str, _field: &str, _plain: &[u8]) -> std::io::Result<Bytes> {
        todo!()
    }

    /// Opens what was sealed for this `uid` and `field`.
    pub fn open(
        &self,
        _uid: &str,
        _field: &str,
        _sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        todo!()
    }
}
