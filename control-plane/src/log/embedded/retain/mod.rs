//! Deletes what is settled of a group and may go, a bounded step at a time, so that no append waits long behind it.
//!
//! ```text
//!   a reader looks for what goes, oldest first ─▶ out of the index ─▶ the writer looks again, and deletes ─▶ free pages go back
//! ```
//!
//! An event goes with all its deliveries, their attempts and their changes. What tells repeats stays: it has its own time, and is in its table
//! before the event that it came with goes.
//!
//! A call looks at what goes, and besides at a bounded number of events: see [`Reached`].

mod delete;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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

/// Steps of one walk in one call: 16,384 events.
const WALK_STEPS: u32 = 64;

/// Events that go in one call, about.
const CALL_EVENTS: u64 = 4_096;

/// Steps in a row that find nothing aged, after which the younger ones aren't looked at: events are kept nearly in order.
const VAIN_STEPS: u32 = 4;

/// What was kept so much later than now was kept while the clock was ahead. It is passed as what waits is, and goes once it has aged: whatever is behind
/// it need not be younger.
const AHEAD: Duration = Duration::from_secs(60 * 60);

/// Groups whose walks are remembered. Past it all are walked anew, which costs time and loses nothing.
const MAX_GROUPS: usize = 100_000;

/// How far the walks over each group's events have come, as long as the log is open.
#[derive(Debug, Default)]
pub(super) struct Walks(Mutex<HashMap<String, Reached>>);

/// How far the walks over one group's events have come, in numbers of the line: what was passed isn't looked at in each call again.
///
/// ```text
///   oldest event ───────── oldest ─────────────── younger ──────────── newest event
///     │ waited when it was passed │ is kept for longer │ hasn't aged yet
///     └─ again, round and round ─▶│
/// ```
#[derive(Debug, Clone, Default)]
struct Reached {
    /// The ages it was walked with. With others the walks begin anew.
    ages: (Duration, Duration),
    /// What is too old whether it was matched or not.
    oldest: i64,
    /// What is too old for one of the two.
    younger: i64,
    /// Of what stayed because it wasn't settled: most of it is by now, or never will be.
    again: i64,
}

/// What may go, in the log's own terms.
#[derive(Debug, Clone)]
struct Horizon {
    group_uid: String,
    /// Kept before this.
    matched: i64,
    unmatched: i64,
    /// Kept after this: by a clock that was ahead.
    ahead: i64,
    /// Bytes that are too many.
    excess: u64,
}

/// What a call did.
#[derive(Debug, Default)]
struct Done {
    /// Events that went.
    gone: u64,
    /// Events that were looked at.
    looked: u64,
}

/// Some of it. Says how many events went.
pub(super) async fn some(log: &EmbeddedLog, retention: &Retention) -> Result<u64, LogError> {
    Ok(call(log, retention).await?.gone)
}

async fn call(log: &EmbeddedLog, retention: &Retention) -> Result<Done, LogError> {
    let now = log.shared.clock.now().0;
    let group_uid = retention.group_uid.clone();
    let kept = log.read(move |db| index::bytes(db, &group_uid)).await?;
    let mut horizon = Horizon {
        group_uid: retention.group_uid.clone(),
        matched: now.saturating_sub(millis(retention.max_age)),
        unmatched: now.saturating_sub(millis(retention.unmatched_age)),
        ahead: now.saturating_add(millis(AHEAD)),
        excess: retention
            .max_bytes
            .map_or(0, |most| kept.saturating_sub(most)),
    };
    let mut reached = log.shared.walks.of(retention);
    let mut done = Done::default();
    // What no webhook matched is settled when it is passed. So where that is kept for longer, the others may have been passed too soon.
    let passed = if horizon.unmatched < horizon.matched {
        reached.younger
    } else {
        reached.oldest
    };
    // The oldest first: where there is too much, they go first.
    let walk = Walk {
        after: reached.again,
        until: passed,
        aged: i64::MAX,
    };
    let (at, ended) = walk.run(log, &mut horizon, &mut done).await?;
    reached.again = if ended { 0 } else { at };
    let walk = Walk {
        after: reached.oldest,
        until: i64::MAX,
        aged: horizon.matched.min(horizon.unmatched),
    };
    (reached.oldest, _) = walk.run(log, &mut horizon, &mut done).await?;
    if horizon.matched != horizon.unmatched {
        let walk = Walk {
            after: reached.younger.max(reached.oldest),
            until: i64::MAX,
            aged: horizon.matched.max(horizon.unmatched),
        };
        (reached.younger, _) = walk.run(log, &mut horizon, &mut done).await?;
    }
    log.shared.walks.set(&horizon.group_uid, reached);
    if done.gone > 0 {
        tidy(log, horizon.matched).await?;
    }
    Ok(done)
}

impl Walks {
    fn of(&self, retention: &Retention) -> Reached {
        let ages = (retention.max_age, retention.unmatched_age);
        let groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = groups.get(&retention.group_uid);
        let reached = reached.filter(|reached| reached.ages == ages);
        reached.cloned().unwrap_or(Reached {
            ages,
            ..Reached::default()
        })
    }

    fn set(&self, group_uid: &str, reached: Reached) {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.len() >= MAX_GROUPS && !groups.contains_key(group_uid) {
            groups.clear();
        }
        groups.insert(group_uid.to_owned(), reached);
    }
}

/// A way over events of a group, from the older to the younger.
#[derive(Debug, Clone, Copy)]
struct Walk {
    after: i64,
    until: i64,
    /// It passes what was kept before this, and what is too much.
    aged: i64,
}

impl Walk {
    /// Deletes what goes, as far as one call comes. Says how far it passed, and whether there is no more.
    async fn run(
        self,
        log: &EmbeddedLog,
        horizon: &mut Horizon,
        done: &mut Done,
    ) -> Result<(i64, bool), LogError> {
        let (mut walk, mut passed, mut vain) = (self, self.after, 0);
        for _ in 0..WALK_STEPS {
            if done.gone >= CALL_EVENTS || vain == VAIN_STEPS {
                break;
            }
            let asked = horizon.clone();
            let step = log.read(move |db| look(db, &asked, walk)).await?;
            let Some(last) = step.last else {
                return Ok((passed, true));
            };
            walk.after = last;
            done.looked += step.looked;
            if !step.going.is_empty() {
                let (events, bytes) = delete(log, &horizon.group_uid, step.going).await?;
                done.gone += events;
                horizon.excess = horizon.excess.saturating_sub(bytes);
            }
            match step.passed {
                Some(seq) => (passed, vain) = (seq, 0),
                None => vain += 1,
            }
        }
        Ok((passed, false))
    }
}

/// What a step found.
#[derive(Debug, Default)]
struct Step {
    looked: u64,
    /// None: there are no more.
    last: Option<i64>,
    /// The last one that the walk passes. None: all are younger, and no clock was ahead, and what is behind them is younger still.
    passed: Option<i64>,
    going: Vec<Going>,
}

/// The first of a walk.
fn look(db: &Connection, horizon: &Horizon, walk: Walk) -> Result<Step, Fault> {
    let mut read = db.prepare_cached(&looks())?;
    let mut rows = read.query(params![
        horizon.group_uid,
        walk.after,
        walk.until,
        horizon.matched,
        horizon.unmatched,
        walk.aged,
        horizon.excess > 0,
        STEP_EVENTS,
        horizon.ahead
    ])?;
    let mut step = Step::default();
    let mut excess = horizon.excess;
    while let Some(row) = rows.next()? {
        let (seq, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (aged, older, settled): (bool, bool, bool) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let ahead: bool = row.get(5)?;
        step.looked += 1;
        step.last = Some(seq);
        if older || ahead || excess > 0 {
            step.passed = Some(seq);
        }
        if settled && (aged || excess > 0) {
            excess = excess.saturating_sub(bytes.unsigned_abs());
            step.going.push(Going { seq, bytes });
        }
    }
    Ok(step)
}

/// What isn't too old is asked for its deliveries only where there is too much.
fn looks() -> String {
    format!(
        "SELECT e.seq, e.bytes, e.aged, e.older, CASE WHEN e.aged OR ?7 THEN {GOES} ELSE 0 END, e.ahead FROM (
             SELECT e.seq, e.deliveries, length(e.record) AS bytes, e.kept < ?6 AS older, e.kept > ?9 AS ahead, e.kept < CASE
                 WHEN e.deliveries = 0 AND NOT EXISTS (SELECT 1 FROM added a WHERE a.event_seq = e.seq) THEN ?5 ELSE ?4 END AS aged
             FROM events e WHERE e.group_uid = ?1 AND e.seq > ?2 AND e.seq <= ?3 ORDER BY e.seq LIMIT ?8) e"
    )
}
