//! Forgets what told repeats, once nothing can be a repeat of it any more.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Shared;
use super::fault::Fault;
use super::leases::{NOW, millis};
use crate::log::LogError;

/// Rows one step looks at: they are small, and neighbours share a page.
const STEP_ROWS: i64 = 4096;
/// Steps of one call.
const STEPS: usize = 64;

/// Where the next call goes on: behind a group's key.
pub(super) type Place = Mutex<(String, Vec<u8>)>;

/// Some steps over all rows, in the order in which they lie, from where the last call ended; after the last row from the first on. Says how many
/// went.
pub(super) async fn forget(shared: &Shared, older_than: Duration) -> Result<u64, LogError> {
    // Two windows, not one: the row of a name has to be there as long as one of another body is looked for behind it.
    let age = millis(older_than).saturating_mul(2);
    let mut after = std::mem::take(&mut *lock(&shared.forgetting));
    let mut gone = 0;
    for _ in 0..STEPS {
        let (last, some) = step(shared, age, &after).await?;
        gone += some;
        let Some(last) = last else { return Ok(gone) };
        after = last;
    }
    *lock(&shared.forgetting) = after;
    Ok(gone)
}

fn lock(place: &Place) -> std::sync::MutexGuard<'_, (String, Vec<u8>)> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

type Key = (String, Vec<u8>);

/// One step behind a key. Says where to go on, and how many went.
async fn step(shared: &Shared, age: i64, after: &Key) -> Result<(Option<Key>, u64), Fault> {
    let sql = format!(
        "WITH {NOW}, step AS MATERIALIZED (
             SELECT group_uid, key, seen FROM dedup WHERE (group_uid, key) > ($2, $3) ORDER BY group_uid, key LIMIT $4
         ), gone AS (
             DELETE FROM dedup USING step, now
             WHERE dedup.group_uid = step.group_uid AND dedup.key = step.key AND step.seen < now.ms - $1 AND dedup.seen < now.ms - $1
             RETURNING 1
         )
         SELECT group_uid, key, (SELECT count(*) FROM gone) FROM step ORDER BY group_uid DESC, key DESC LIMIT 1"
    );
    let mut session = shared.pool.call().await?;
    let row = session
        .query_opt(&sql, &[&age, &after.0, &after.1, &STEP_ROWS])
        .await?;
    let Some(row) = row else {
        return Ok((None, 0));
    };
    let gone: i64 = row.try_get(2)?;
    let last = (row.try_get(0)?, row.try_get(1)?);
    Ok((Some(last), gone.unsigned_abs()))
}
