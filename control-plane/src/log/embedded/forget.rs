//! Forgets what tells repeats once no window reaches back so far, a bounded step at a time.

use rusqlite::params;

use super::EmbeddedLog;
use super::fault::Fault;
use super::read::seq;
use super::tables::{Tables, millis};
use crate::log::LogError;

/// Rows one step looks at: they are small, and neighbours share a page.
const STEP_KEYS: i64 = 4096;

/// Those that were seen longer ago. Says how many.
pub(super) async fn repeats(
    log: &EmbeddedLog,
    older_than: std::time::Duration,
) -> Result<u64, LogError> {
    let now = log.shared.clock.now().0;
    let horizon = now.saturating_sub(millis(older_than).saturating_mul(2));
    // What is in memory only is looked at as well.
    let until = seq(*log.shared.newest.borrow());
    while log
        .write(64, move |tables| Ok(tables.memory.recent.rush(until)))
        .await?
    {}
    let (mut after, mut gone) = (Some(Vec::new()), 0);
    while let Some(key) = after {
        let (last, some) = log
            .write(64, move |tables| step(tables, horizon, &key))
            .await?;
        gone += some;
        after = last;
    }
    Ok(gone)
}

/// One step over the rows behind a key, in the order in which they lie: those that were seen before `horizon` go. Says where to go on, and how
/// many went.
///
/// The horizon is two windows back, not one: the row of a name has to be there as long as one of another body is looked for behind it.
fn step(tables: &Tables<'_>, horizon: i64, after: &[u8]) -> Result<(Option<Vec<u8>>, u64), Fault> {
    let last: Option<Vec<u8>> = tables
        .db
        .prepare_cached(
            "SELECT max(key) FROM (SELECT key FROM dedup WHERE key > ?1 ORDER BY key LIMIT ?2)",
        )?
        .query_row(params![after, STEP_KEYS], |row| row.get(0))?;
    let mut gone = 0;
    if let Some(last) = &last {
        gone = tables
            .db
            .prepare_cached("DELETE FROM dedup WHERE key > ?1 AND key <= ?2 AND seen < ?3")?
            .execute(params![after, last, horizon])?;
    }
    Ok((last, gone as u64))
}
