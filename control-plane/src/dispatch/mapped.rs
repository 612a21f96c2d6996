//! Mappings applied aside: some take long, and whoever waits for nothing but the network shouldn't wait for them.

use std::sync::{Arc, LazyLock};

use hookplane_proto::v1;
use tokio::sync::Semaphore;

use crate::mapping::{MappingVersions, NoRecord, Record, Value, VersionError, reason};

/// About half of the cores are the mappings'; the cores are the whole process's, and so is this.
static AT_ONCE: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new((cores / 2).max(1))
});

/// What the version that a delivery is for makes of its event. None where it is for none.
pub(crate) async fn record(
    mappings: &MappingVersions,
    delivery: &v1::Delivery,
    event: &v1::Event,
) -> Result<Option<Record>, NoRecord> {
    let version = delivery.mapping_version;
    if version == 0 {
        return Ok(None);
    }
    let mapping = match mappings.get(&delivery.webhook_uid, version).await {
        Ok(mapping) => mapping,
        Err(VersionError::Store(error)) => return Err(NoRecord::Store(error)),
        Err(lost) => return Err(NoRecord::Hold(lost.to_string())),
    };
    // Never closed.
    let turn = AT_ONCE.acquire().await;
    // The body is shared.
    let (mapping, event) = (Arc::clone(&mapping), event.clone());
    let applied = tokio::task::spawn_blocking(move || {
        // Given back when the work ends, also where nobody waits for it any more.
        let _turn = turn;
        mapping.apply(&event)
    });
    match applied.await {
        Ok(applied) => applied
            .map(Some)
            .map_err(|problems| NoRecord::Hold(reason(version, &problems))),
        // A fault of ours is whoever's asked for it.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime ends, and this with it.
        Err(_) => std::future::pending().await,
    }
}

/// Bytes in memory, near enough.
pub(crate) fn weight(record: &Record) -> usize {
    const OF_EACH: usize = 64;
    let fields: usize = record
        .fields
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::Text(text) | Value::Number(text) | Value::Json(text) => text.len(),
                Value::Boolean(_) | Value::Null => 0,
            };
            OF_EACH + name.len() + value
        })
        .sum();
    let parents = record.parents.iter().map(|parent| weight(&parent.record));
    let children = record.children.iter().map(|child| weight(&child.record));
    OF_EACH + record.object.len() + fields + parents.sum::<usize>() + children.sum::<usize>()
}
