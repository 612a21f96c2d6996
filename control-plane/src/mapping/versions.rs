//! Versions of mappings, as they are needed: read from the store, compiled, kept for a while. The one part of this module that waits for anything.
//!
//! A version never changes, so what is kept is right as long as anybody has its number.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookplane_proto::v1;
use prost::Message;

use super::{Mapping, Record, reason};
use crate::keys;
use crate::store::{Store, StoreError};

/// Versions kept compiled, and their bytes as they are stored; those needed longest ago are thrown out first.
const KEPT: usize = 512;
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Why there is no mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Trying again may help.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Trying again won't: a delivery for it is held.
    #[error("mapping v{version}: {reason}")]
    Lost {
        /// Which.
        version: u32,
        /// What to do.
        reason: String,
    },
}

/// Why an event makes no records.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoRecord {
    /// Trying again may help.
    #[error(transparent)]
    Store(StoreError),
    /// The delivery is held, and why.
    #[error("{0}")]
    Hold(String),
}

/// The versions that were needed last.
pub struct MappingVersions {
    store: Arc<dyn Store>,
    /// The newest last.
    kept: Mutex<VecDeque<Kept>>,
}

struct Kept {
    webhook_uid: String,
    version: u32,
    bytes: usize,
    mapping: Arc<Mapping>,
}

impl MappingVersions {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            kept: Mutex::default(),
        }
    }

    /// A version that was saved, compiled.
    pub async fn get(&self, webhook_uid: &str, version: u32) -> Result<Arc<Mapping>, VersionError> {
        if let Some(mapping) = self.kept(webhook_uid, version) {
            return Ok(mapping);
        }
        let lost = |reason: String| VersionError::Lost { version, reason };
        let key = keys::mapping(webhook_uid, version);
        let Some(entry) = self.store.get(&key).await? else {
            return Err(lost(
                "is no longer kept; replay with the mapping of now".to_owned(),
            ));
        };
        let bytes = entry.value.len();
        let stored = v1::Mapping::decode(entry.value)
            .map_err(|error| lost(format!("can't be read: {error}")))?;
        // Aside: two who need the same at once both compile it, and nobody waits.
        let mapping = Mapping::compile(&stored).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).take(3).collect();
            lost(format!("no longer compiles: {}", errors.join("; ")))
        })?;
        let mapping = Arc::new(mapping);
        self.keep(Kept {
            webhook_uid: webhook_uid.to_owned(),
            version,
            bytes,
            mapping: Arc::clone(&mapping),
        });
        Ok(mapping)
    }

    /// What the version that a delivery is for makes of its event. None where it is for none.
    pub async fn record(
        &self,
        delivery: &v1::Delivery,
        event: &v1::Event,
    ) -> Result<Option<Record>, NoRecord> {
        let version = delivery.mapping_version;
        if version == 0 {
            return Ok(None);
        }
        let mapping = match self.get(&delivery.webhook_uid, version).await {
            Ok(mapping) => mapping,
            Err(VersionError::Store(error)) => return Err(NoRecord::Store(error)),
            Err(lost) => return Err(NoRecord::Hold(lost.to_string())),
        };
        mapping
            .apply(event)
            .map(Some)
            .map_err(|problems| NoRecord::Hold(reason(version, &problems)))
    }

    fn kept(&self, webhook_uid: &str, version: u32) -> Option<Arc<Mapping>> {
        let mut kept = self.lock();
        let is_it = |one: &Kept| one.version == version && one.webhook_uid == webhook_uid;
        let place = kept.iter().rposition(is_it)?;
        let one = kept.remove(place)?;
        let mapping = Arc::clone(&one.mapping);
        kept.push_back(one);
        Some(mapping)
    }

    fn keep(&self, one: Kept) {
        let mut kept = self.lock();
        kept.push_back(one);
        let mut bytes: usize = kept.iter().map(|one| one.bytes).sum();
        while kept.len() > KEPT || bytes > KEPT_BYTES {
            let Some(oldest) = kept.pop_front() else {
                return;
            };
            bytes -= oldest.bytes;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
