//! Deletes what is settled of a group and may go, a bounded step at a time, so that nothing waits long behind it. Several replicas may be at it at
//! once.
//!
//! Three walks, each from the oldest on: what webhooks matched and is too old; what none matched and is too old; and, where the group has more bytes
//! than it may, whatever is settled. Each has its own time in a call and goes on where it was left, so that a long row of what isn't settled keeps
//! nothing behind it. With an event goes all that is of it. Space is given to what comes later, by PostgreSQL's own vacuum.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::fault::Fault;
use super::leases::{NOW, millis};
use super::texts::MARK_LOCK;
use super::totals;
use crate::log::{LogError, Retention};

/// Events one step looks at.
const STEP_EVENTS: i64 = 256;
/// Changes one step looks at: they are small.
const STEP_CHANGES: i64 = 1024;

/// Milliseconds. What was kept so much later than now was kept while the clock was ahead: it is passed, and goes once it has aged.
const AHEAD: i64 = 60 * 60 * 1_000;

/// Of one walk in a call; a step that was begun in it is ended.
const SLICE: Duration = Duration::from_millis(2_500);
/// Walks that are on their way: of more the places are forgotten, and they begin anew.
const MAX_PLACES: usize = 10_000;

/// Which events a walk is over.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Walk {
    Matched,
    Unmatched,
    Any,
}

/// Where walks go on, by group: behind an event.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<(String, Walk), i64>>);

impl Places {
    fn get(&self, group: &str, walk: Walk) -> i64 {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (group.to_owned(), walk);
        places.get(&key).copied().unwrap_or_default()
    }

    /// 0: from the oldest on.
    fn set(&self, group: &str, walk: Walk, after: i64) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (group.to_owned(), walk);
        if after == 0 {
            places.remove(&key);
            return;
        }
        if places.len() >= MAX_PLACES && !places.contains_key(&key) {
            places.clear();
        }
        places.insert(key, after);
    }
}

/// What a step did.
struct Step {
    /// The last one looked at.
    last: i64,
    gone: u64,
    bytes: i64,
}

/// Some of it. Says how many events went: none once there is nothing that may go.
pub(super) async fn retain(shared: &Shared, retention: &Retention) -> Result<u64, LogError> {
    let group = &*retention.group_uid;
    let age = millis(retention.max_age);
    let unmatched_age = millis(retention.unmatched_age);
    let mut gone = walk(shared, group, Walk::Matched, age, i64::MAX).await?;
    gone += walk(shared, group, Walk::Unmatched, unmatched_age, i64::MAX).await?;
    if let Some(most) = retention.max_bytes {
        let known = totals::bytes(&mut shared.pool.call().await?, group).await?;
        let beyond = known.saturating_sub(i64::try_from(most).unwrap_or(i64::MAX));
        gone += walk(shared, group, Walk::Any, 0, beyond).await?;
    }
    if gone == 0 {
        spans(shared).await?;
    }
    let until = Instant::now() + SLICE;
    while Instant::now() < until && changes(shared, group, age).await? {}
    Ok(gone)
}

/// Goes on from where the last call left it, to the end and then once from the oldest on to there, until something went that was too old, or as
/// many bytes as were too many.
async fn walk(
    shared: &Shared,
    group: &str,
    walk: Walk,
    age: i64,
    mut beyond: i64,
) -> Result<u64, LogError> {
    let until = Instant::now() + SLICE;
    let began = shared.retaining.get(group, walk);
    let (mut after, mut turned, mut gone) = (began, began == 0, 0);
    while beyond > 0 && Instant::now() < until {
        let Some(step) = events(shared, group, walk, age, beyond, after).await? else {
            after = 0;
            if turned {
                break;
            }
            turned = true;
            continue;
        };
        after = step.last;
        gone += step.gone;
        match walk {
            Walk::Any => beyond -= step.bytes,
            Walk::Matched | Walk::Unmatched if step.gone > 0 => break,
            Walk::Matched | Walk::Unmatched => {}
        }
        // All of it was looked at.
        if turned && began > 0 && after >= began {
            after = 0;
            break;
        }
    }
    // The oldest go first, those as well that were settled since.
    if beyond <= 0 {
        after = 0;
    }
    shared.retaining.set(group, walk, after);
    Ok(gone)
}

/// One step over the events behind one, of which those may go that were kept longer than `age` ago: pending, leased and held are not settled. Of those
/// that are, the oldest go until they had `bytes`. None once a step has nothing so old: events are kept nearly in order, so that there is no more behind.
/// Only what was kept by a clock that was ahead says nothing of what is behind it.
/// What a step looks at is bounded by its number of events, not by how many of them are old.
///
/// What looks settled is locked and looked at again: the event, so that no delivery is added to it, and its deliveries, so that none is put back. One
/// that another holds is left for the next time.
async fn events(
    shared: &Shared,
    group: &str,
    walk: Walk,
    age: i64,
    bytes: i64,
    after: i64,
) -> Result<Option<Step>, Fault> {
    // What none matched has an index of its own. Of the others each is looked at, since those that were matched may be rare among them.
    let (looked_at, of_walk) = match walk {
        Walk::Matched => ("true", "deliveries > 0"),
        Walk::Unmatched => ("deliveries = 0", "true"),
        Walk::Any => ("true", "true"),
    };
    let sql = format!(
        "WITH {NOW}, step AS MATERIALIZED (
             SELECT group_uid, id, seq, deliveries, octet_length(record)::bigint AS bytes, kept <= (SELECT ms FROM now) - $3 AS aged,
                 kept > (SELECT ms FROM now) + {AHEAD} AS ahead FROM events
             WHERE group_uid = $1 AND seq > $2 AND {looked_at} ORDER BY seq LIMIT $5
         ), settled AS MATERIALIZED (
             SELECT * FROM step WHERE aged AND {of_walk} AND NOT EXISTS (
                 SELECT FROM deliveries d WHERE d.group_uid = step.group_uid AND d.event_id = step.id AND d.status IN (1, 2, 4) OFFSET 0)
         ), old AS MATERIALIZED (
             SELECT * FROM (SELECT *, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM settled) s WHERE before < $4::bigint
         ), locked AS MATERIALIZED (
             SELECT e.group_uid, e.id, e.seq, e.deliveries, old.bytes FROM old JOIN events e ON e.group_uid = old.group_uid AND e.id = old.id
             WHERE e.deliveries = old.deliveries ORDER BY e.group_uid, e.id FOR UPDATE OF e SKIP LOCKED
         ), held AS MATERIALIZED (
             SELECT d.group_uid, d.event_id, d.status NOT IN (1, 2, 4) AS goes
             FROM locked JOIN deliveries d ON d.group_uid = locked.group_uid AND d.event_id = locked.id
             ORDER BY d.group_uid, d.event_id, d.n FOR UPDATE OF d SKIP LOCKED
         ), gone AS MATERIALIZED (
             SELECT * FROM locked
             WHERE deliveries = (SELECT count(*) FROM held WHERE held.group_uid = locked.group_uid AND held.event_id = locked.id AND goes)
         ), a AS (
             DELETE FROM attempts a USING gone WHERE a.group_uid = gone.group_uid AND a.event_id = gone.id
         ), d AS (
             DELETE FROM deliveries d USING gone WHERE d.group_uid = gone.group_uid AND d.event_id = gone.id
         ), u AS (
             DELETE FROM duplicates u USING gone WHERE u.group_uid = gone.group_uid AND u.event_id = gone.id
         ), t AS (
             DELETE FROM texts t USING gone WHERE t.seq = gone.seq AND t.group_uid = gone.group_uid
         ), e AS (
             DELETE FROM events e USING gone WHERE e.group_uid = gone.group_uid AND e.id = gone.id
         ), counted AS (
             UPDATE totals SET events = totals.events - sums.events, bytes = totals.bytes - sums.bytes
             FROM (SELECT count(*) AS events, coalesce(sum(bytes), 0) AS bytes FROM gone WHERE seq <= (SELECT seq FROM text_mark)) AS sums
             WHERE totals.group_uid = $1 AND sums.events > 0
         )
         SELECT (SELECT max(seq) FROM step WHERE (SELECT bool_or(aged OR ahead) FROM step)), (SELECT count(*) FROM gone), (SELECT coalesce(sum(bytes), 0) FROM gone)::bigint"
    );
    let mut session = shared.pool.call().await?;
    session.begin("").await?;
    // Lost with a crash it is done again. The statement's view of the mark is from after the lock.
    let lock = format!(
        "SET LOCAL synchronous_commit = off; SELECT pg_advisory_xact_lock_shared({MARK_LOCK})"
    );
    session.batch(&lock).await?;
    let row = session
        .query_opt(&sql, &[&group, &after, &age, &bytes, &STEP_EVENTS])
        .await?;
    session.commit().await?;
    let Some(row) = row else { return Ok(None) };
    let (last, gone): (Option<i64>, i64) = (row.try_get(0)?, row.try_get(1)?);
    let bytes = row.try_get(2)?;
    Ok(last.map(|last| Step {
        last,
        gone: gone.unsigned_abs(),
        bytes,
    }))
}

/// Of blocks that are before all there is: those of all groups.
async fn spans(shared: &Shared) -> Result<(), Fault> {
    let sql = "DELETE FROM spans WHERE last_seq < (SELECT seq FROM events ORDER BY seq LIMIT 1)";
    shared.pool.call().await?.query(sql, &[]).await?;
    Ok(())
}

/// One step over a group's oldest changes: those go that are too old, and those of what is gone. Says whether there may be more.
async fn changes(shared: &Shared, group: &str, age: i64) -> Result<bool, Fault> {
    let sql = format!(
        "WITH {NOW}, oldest AS MATERIALIZED (
             SELECT ctid AS at_row, group_uid, event_id, n, at FROM changes WHERE group_uid = $1 ORDER BY seq LIMIT $3
         ), gone AS (
             DELETE FROM changes WHERE ctid = ANY (ARRAY(
                 SELECT at_row FROM oldest, now WHERE at < now.ms - $2 OR NOT EXISTS (
                     SELECT FROM deliveries d WHERE d.group_uid = oldest.group_uid AND d.event_id = oldest.event_id AND d.n = oldest.n OFFSET 0)))
             RETURNING 1
         ), empty AS (DELETE FROM totals WHERE group_uid = $1 AND events <= 0)
         SELECT count(*) FROM gone"
    );
    let mut session = shared.pool.call().await?;
    let row = session
        .query_opt(&sql, &[&group, &age, &STEP_CHANGES])
        .await?;
    let gone: i64 = row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
    Ok(gone > 0)
}
