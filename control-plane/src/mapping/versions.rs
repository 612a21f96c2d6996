//! Versions of mappings, as they are needed: read from the store, compiled, kept for a while. The one part of this module that waits for anything.
//!
//! A version never changes, so what is kept is right as long as anybody has its number.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookplane_proto::v1;
use prost::Message;

use super::{Mapping, Record, reason};
use crate::aside::{Aside, Here};
use crate::keys;
use crate::store::{Store, StoreError};

/// Versions kept compiled, and their bytes as they are stored and those of their patterns; those needed longest ago are thrown out first.
const KEPT: usize = 512;
const KEPT_BYTES: usize = 64 * 1024 * 1024;
/// Of one compiled pattern, at most.
const PATTERN_BYTES: usize = 256 * 1024;

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
    pub(crate) async fn get(
        &self,
        aside: &'static Aside,
        org: &str,
        webhook_uid: &str,
        version: u32,
    ) -> Result<Arc<Mapping>, VersionError> {
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
        let stored_bytes = entry.value.len();
        let stored = v1::Mapping::decode(entry.value)
            .map_err(|error| lost(format!("can't be read: {error}")))?;
        // Two who need the same at once both compile it, and neither waits for the other.
        let compiled = aside.run(org, move |_| Mapping::compile(&stored)).await;
        let compiled = compiled.map_err(|error| lost(format!("can't be compiled: {error}")))?;
        let mapping = compiled.map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).take(3).collect();
            lost(format!("no longer compiles: {}", errors.join("; ")))
        })?;
        let bytes = stored_bytes + mapping.patterns() * PATTERN_BYTES;
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
    pub(crate) async fn record(
        &self,
        aside: &'static Aside,
        delivery: &v1::Delivery,
        event: &v1::Event,
    ) -> Result<Option<Record>, NoRecord> {
        let version = delivery.mapping_version;
        if version == 0 {
            return Ok(None);
        }
        let mapping = match self
            .get(aside, &event.org, &delivery.webhook_uid, version)
            .await
        {
            Ok(mapping) => mapping,
            Err(VersionError::Store(error)) => return Err(NoRecord::Store(error)),
            Err(lost) => return Err(NoRecord::Hold(lost.to_string())),
        };
        // The body is shared.
        let of_task = event.clone();
        let work = move |_: &Here| mapping.apply(&of_task);
        let applied = aside.finish(&event.org, work).await;
        applied
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aside::DELIVERIES;
    use crate::store::{EmbeddedStore, Transaction, Write};

    async fn put(store: &dyn Store, key: String, value: Vec<u8>) {
        let transaction = Transaction {
            checks: Vec::new(),
            writes: vec![Write::Put(key, value.into())],
        };
        store.commit(transaction).await.unwrap();
    }

    /// Of one constant field, some bytes large.
    fn mapping(bytes: usize) -> v1::Mapping {
        let field = v1::FieldMapping {
            default: Some("x".to_owned()),
            values: (0..bytes / 1000)
                .map(|n| (format!("{n:01000}"), "x".to_owned()))
                .collect(),
            ..Default::default()
        };
        v1::Mapping {
            active: true,
            base: Some(v1::RecordMapping {
                object: "O".to_owned(),
                fields: [("X".to_owned(), field)].into(),
                ..Default::default()
            }),
        }
    }

    #[tokio::test]
    async fn a_version_is_read_once_and_what_is_kept_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        let versions = MappingVersions::new(store.clone());
        put(&*store, keys::mapping("w", 1), mapping(0).encode_to_vec()).await;
        let first = versions.get(&DELIVERIES, "acme", "w", 1).await.unwrap();
        let again = versions.get(&DELIVERIES, "acme", "w", 1).await.unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let large = mapping(200_000).encode_to_vec();
        let most = KEPT_BYTES / large.len();
        for number in 2..=u32::try_from(most).unwrap() + 2 {
            put(&*store, keys::mapping("w", number), large.clone()).await;
            versions
                .get(&DELIVERIES, "acme", "w", number)
                .await
                .unwrap();
        }
        let kept = versions.lock().iter().map(|one| one.bytes).sum::<usize>();
        assert!(kept <= KEPT_BYTES);
        assert_eq!(versions.lock().len(), most);
        let anew = versions.get(&DELIVERIES, "acme", "w", 1).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &anew));
    }

    #[tokio::test]
    async fn a_version_that_is_gone_or_damaged_holds_its_deliveries() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).unwrap();
        let versions = MappingVersions::new(store.clone());
        let delivery = |mapping_version: u32| v1::Delivery {
            webhook_uid: "w".to_owned(),
            mapping_version,
            ..Default::default()
        };
        let event = v1::Event::default();
        assert_eq!(
            versions.record(&DELIVERIES, &delivery(0), &event).await,
            Ok(None)
        );
        put(&*store, keys::mapping("w", 2), b"\xff\xff".to_vec()).await;
        put(
            &*store,
            keys::mapping("w", 3),
            v1::Mapping::default().encode_to_vec(),
        )
        .await;
        for (version, part) in [
            (1, "no longer kept"),
            (2, "can't be read"),
            (3, "spec.mapping.base: is missing"),
        ] {
            match versions
                .record(&DELIVERIES, &delivery(version), &event)
                .await
            {
                Err(NoRecord::Hold(reason)) => {
                    assert!(
                        reason.starts_with(&format!("mapping v{version}: "))
                            && reason.contains(part),
                        "{reason}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
