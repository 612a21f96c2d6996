//! Deletes what is settled of a group and may go, a bounded step at a time, so that no append waits long behind it.
//!
//! ```text
//!   a reader looks for what goes, oldest first ─▶ out of the index ─▶ the writer looks again, and deletes ─▶ free pages go back
//! ```
//!
//! An event goes with all its deliveries, their attempts and their changes. What tells repeats stays: it has its own time, and is in its table
//! before the event that it came with goes.

mod delete;

use rusqlite::{Connection, params};

use super::EmbeddedLog;
use super::fault::Fault;
use super::index::{self, Going};
use super::tables::millis;
use crate::log::{LogError, Retention};
use delete::{GOES, delete, tidy};

pub(super) use delete::remember_seq;

/// Events one step looks at.
const STEP_EVENTS: i64 = 256;

/// Events that go in one call, about.
const CALL_EVENTS: u64 = 4_096;

/// Steps in a row that find nothing aged, after which the younger ones aren't looked at: events are kept nearly in order.
const VAIN_STEPS: u32 = 4;

/// What may go, in the log's own terms.
#[derive(Debug, Clone)]
struct Horizon {
    group_uid: String,
    /// Kept before this.
    matched: i64,
    unmatched: i64,
    /// Bytes that are too many.
    excess: u64,
}

/// Some of it. Says how many events went.
pub(super) async fn some(log: &EmbeddedLog, retention: &Retention) -> Result<u64, LogError> {
    let now = log.shared.clock.now().0;
    let group_uid = retention.group_uid.clone();
    let kept = log.read(move |db| index::bytes(db, &group_uid)).await?;
    let mut horizon = Horizon {
        group_uid: retention.group_uid.clone(),
        matched: now.saturating_sub(millis(retention.max_age)),
        unmatched: now.saturating_sub(millis(retention.unmatched_age)),
        excess: retention
            .max_bytes
            .map_or(0, |most| kept.saturating_sub(most)),
    };
    let (mut gone, mut after, mut vain) = (0, 0, 0);
    while gone < CALL_EVENTS && vain < VAIN_STEPS {
        let asked = horizon.clone();
        let step = log.read(move |db| look(db, &asked, after)).await?;
        let Some(last) = step.last else { break };
        after = last;
        vain = if step.aged { 0 } else { vain + 1 };
        if !step.going.is_empty() {
            let (events, bytes) = delete(log, &horizon, step.going).await?;
            gone += events;
            horizon.excess = horizon.excess.saturating_sub(bytes);
        }
    }
    if gone > 0 {
        tidy(log, horizon.matched).await?;
    }
    Ok(gone)
}

/// What a step found.
struct Step {
    /// None: there are no more.
    last: Option<i64>,
    /// Some were old enough for what is kept the shorter, settled or not, matched or not: there may be more behind them.
    aged: bool,
    going: Vec<Going>,
}

/// The events behind one, oldest first.
fn look(db: &Connection, horizon: &Horizon, after: i64) -> Result<Step, Fault> {
    let mut read = db.prepare_cached(&format!(
        "SELECT e.seq, length(e.record), {GOES}, e.kept < CASE
             WHEN e.deliveries = 0 AND NOT EXISTS (SELECT 1 FROM added a WHERE a.event_seq = e.seq) THEN ?4 ELSE ?3 END, e.kept < max(?3, ?4)
         FROM events e WHERE e.group_uid = ?1 AND e.seq > ?2 ORDER BY e.seq LIMIT ?5"
    ))?;
    let mut rows = read.query(params![
        horizon.group_uid,
        after,
        horizon.matched,
        horizon.unmatched,
        STEP_EVENTS
    ])?;
    let mut step = Step {
        last: None,
        aged: false,
        going: Vec::new(),
    };
    let mut excess = horizon.excess;
    while let Some(row) = rows.next()? {
        let (seq, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (settled, aged, by_the_other): (bool, bool, bool) =
            (row.get(2)?, row.get(3)?, row.get(4)?);
        step.last = Some(seq);
        let goes = aged || excess > 0;
        step.aged |= goes || by_the_other;
        if goes && settled {
            excess = excess.saturating_sub(bytes.unsigned_abs());
            step.going.push(Going { seq, bytes });
        }
    }
    Ok(step)
}
