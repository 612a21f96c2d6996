//! Takes deliveries for a while, and ends what was taken for longer.
//!
//! A lease is in its delivery's row: which one it is, and until when, by PostgreSQL's clock. So any replica serves any subscriber, and the
//! leases of one that died run out like all others. Whoever asks for work ends those that ran out first: no replica has that task, and no
//! timer decides anything.
//!
//! Of an order key only the delivery that has the turn can be leased (`schema_2.sql`). What came lately has to be looked at for that first; an append
//! doesn't, and so waits for nobody.

use std::time::Duration;

use hookplane_rules::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::Shared;
use super::attempts::recorded;
use super::fault::Fault;
use super::pool::Session;
use super::read::{
    DELIVERY_COLUMNS, DELIVERY_WIDTH, EVENT_COLUMNS, EVENT_WIDTH, OF_EVENT, delivery_at, event_at,
};
use super::token::Token;
use crate::log::{LEASE_BYTES, Lease, LogError, Queue};

/// The longest a delivery may be put off or leased, so that a wrong figure doesn't hide it for ever: 24 hours.
pub(super) const MAX_DELAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Leases that are ended by one statement.
const EXPIRE_AT_ONCE: i64 = 256;

/// The server's time, once for a whole statement.
pub(super) const NOW: &str = "now AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms)";

/// For a statement whose loss is a redelivery: its commit doesn't wait for a disk. Left alone while the line has to be begun anew, which is
/// more than a redelivery. Joined by the statement's end, or it isn't run.
pub(super) const UNSYNCED: &str =
    "mode AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) FROM line)";

/// For readers of the tail: what these rows of deliveries were changed to.
pub(super) fn noted(rows: &str) -> String {
    format!(
        "noted AS (INSERT INTO changes (group_uid, seq, event_id, n, status, attempts, reason, at)
         SELECT group_uid, (SELECT line_place()) + row_number() OVER (), event_id, n, status, attempts, reason, updated FROM {rows})"
    )
}

/// What an attempt that failed waits, in SQL: twice as long after each; half of it is random, so that what failed together doesn't come
/// back together. `first` and `longest` stand for milliseconds.
pub(super) fn back_off(attempts: &str, first: &str, longest: &str) -> String {
    let half = format!(
        "greatest(least({first} * (1::bigint << least(greatest({attempts} - 1, 0), 30)), {longest}) / 2, 1)"
    );
    format!("({half} + floor(random() * {half})::bigint)")
}

/// Whole milliseconds, as far as they go.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What bounds the attempts at a delivery, as statements are given it.
pub(super) struct Limits {
    /// Attempts before it is dead.
    pub(super) attempts: i32,
    /// Before the second one, in milliseconds.
    pub(super) first: i64,
    /// It doubles up to this.
    pub(super) longest: i64,
}

impl Limits {
    pub(super) fn of(shared: &Shared) -> Self {
        let options = &shared.options;
        // At most a day, so that no product of them overflows.
        let bounded = |duration| millis(duration).min(MAX_DELAY_MS);
        Self {
            attempts: i32::try_from(options.max_attempts).unwrap_or(i32::MAX),
            first: bounded(options.first_back_off),
            longest: bounded(options.longest_back_off),
        }
    }
}

/// Looks for turns before what has one is leased, though there may be more to look at.
const LOOKS: usize = 4;

/// Ends, as `ended`, the leases that ran out; each counts as an attempt that failed. The wait until the next one begins with the lease's end,
/// not with this statement. `$1` to `$3` are [`Limits`].
fn ended() -> String {
    format!(
        "over AS MATERIALIZED (
             SELECT group_uid, event_id, n, updated FROM deliveries
             WHERE status = 2 AND due <= (SELECT ms FROM now)
             ORDER BY due LIMIT {EXPIRE_AT_ONCE} FOR UPDATE SKIP LOCKED
         ), ended AS (
             UPDATE deliveries SET status = CASE WHEN attempts >= $1 AND destination = '' THEN 5 ELSE 1 END, due = due + {}, lease = 0,
                 updated = now.ms, reason = 'the lease ran out', recorded = recorded + 1
             FROM over, now
             WHERE deliveries.group_uid = over.group_uid AND deliveries.event_id = over.event_id AND deliveries.n = over.n
             RETURNING deliveries.*, over.updated AS began
         ), {}",
        back_off("attempts", "$2", "$3"),
        recorded(
            "(SELECT group_uid, event_id, n, recorded, attempts AS number, 5 AS outcome, began AS started, 0 AS latency, 0 AS status, reason,
              '' AS excerpt, mapping_version FROM ended) AS tried"
        ),
    )
}

/// Hands out what is due, oldest first.
pub(super) async fn lease(
    shared: &Shared,
    queue: &Queue,
    max: usize,
    duration: Duration,
) -> Result<Vec<Lease>, LogError> {
    let Some(began) = shared.wake.quiet.begin(queue) else {
        return Ok(Vec::new());
    };
    let mut session = shared.pool.call().await?;
    let asked = Asked {
        limit: i64::try_from(max).unwrap_or(i64::MAX),
        duration: millis(duration).clamp(1, MAX_DELAY_MS),
        lease: random()?,
    };
    let mut looks = LOOKS;
    let (leases, is_all) = loop {
        let (leases, left) = once(shared, &mut session, queue, &asked, looks == 0).await?;
        if !left.unlooked || looks == 0 {
            break (leases, !left.unlooked && !left.cut);
        }
        looks -= 1;
        if !take_turns(&mut session, queue).await? {
            looks = 0;
        }
    };
    drop(session);
    if is_all && leases.len() < max {
        shared.wake.quiet.emptied(queue, began);
    }
    if !leases.is_empty() {
        shared.wake.changed();
    }
    Ok(leases)
}

/// What a lease is to be.
struct Asked {
    limit: i64,
    /// In milliseconds.
    duration: i64,
    lease: i64,
}

/// What there is besides what was leased.
#[derive(Default)]
struct Left {
    /// Something wasn't looked at.
    unlooked: bool,
    /// More is due than goes into one answer.
    cut: bool,
}

/// What is due and has its turn, unless there is something that wasn't looked at: that may be older. Says whether there is; with `anyway` it doesn't
/// matter.
async fn once(
    shared: &Shared,
    session: &mut Session<'_>,
    queue: &Queue,
    asked: &Asked,
    anyway: bool,
) -> Result<(Vec<Lease>, Left), LogError> {
    // Written out for the indices, of which each has a part.
    let part = if queue.destination.is_empty() {
        "destination = ''"
    } else {
        "destination <> ''"
    };
    let sql = format!(
        "WITH {UNSYNCED}, {NOW}, {ended}, unlooked AS MATERIALIZED (
             SELECT EXISTS (SELECT FROM deliveries WHERE webhook_uid = $4 AND destination = $8 AND status = 1 AND turn = 1) AS is_left
         ), first AS MATERIALIZED (
             SELECT group_uid, event_id, n, due, seq FROM deliveries
             WHERE webhook_uid = $4 AND destination = $8 AND {part} AND status = 1 AND turn = 0 AND due <= (SELECT ms FROM now)
                 AND ($9 OR NOT (SELECT is_left FROM unlooked))
             ORDER BY due, seq LIMIT $5 FOR UPDATE SKIP LOCKED
         ), sized AS MATERIALIZED (
             SELECT *, sum(bytes) OVER (ORDER BY due, seq) - bytes AS before FROM (
                 SELECT first.*, (SELECT octet_length(e.record)::bigint FROM events e
                     WHERE e.group_uid = first.group_uid AND e.id = first.event_id OFFSET 0) AS bytes FROM first) AS of_each
         ), picked AS MATERIALIZED (
             SELECT group_uid, event_id, n, due FROM sized WHERE before < {LEASE_BYTES}
         ), d AS (
             UPDATE deliveries SET status = 2, attempts = attempts + 1, due = now.ms + $6, lease = $7, updated = now.ms, reason = ''
             FROM picked, now
             WHERE deliveries.group_uid = picked.group_uid AND deliveries.event_id = picked.event_id AND deliveries.n = picked.n
             RETURNING deliveries.*, picked.due AS was_due
         ), {noted}
         SELECT {ENDED}, {EVENT_COLUMNS}, {DELIVERY_COLUMNS}, d.group_uid, d.due, unlooked.is_left,
             (SELECT count(*) FROM sized) > (SELECT count(*) FROM picked)
         FROM unlooked LEFT JOIN (d JOIN events e ON {OF_EVENT}) ON true LEFT JOIN mode ON true ORDER BY d.was_due, d.seq",
        ended = ended(),
        noted = noted(
            "(SELECT group_uid, event_id, n, status, attempts, reason, updated FROM ended UNION ALL
              SELECT group_uid, event_id, n, status, attempts, reason, updated FROM d) AS altered"
        ),
    );
    let limits = Limits::of(shared);
    let rows = session
        .query(
            &sql,
            &[
                &limits.attempts,
                &limits.first,
                &limits.longest,
                &queue.webhook_uid,
                &asked.limit,
                &asked.duration,
                &asked.lease,
                &queue.destination,
                &anyway,
            ],
        )
        .await?;
    let mut leases = Vec::with_capacity(rows.len());
    let mut left = Left::default();
    // Without a lease there is one row all the same.
    for (number, row) in rows.iter().enumerate() {
        if number == 0 {
            count_ended(shared, row)?;
            left.unlooked = row.try_get(UNLOOKED).map_err(Fault::from)?;
            left.cut = row.try_get(CUT).map_err(Fault::from)?;
        }
        if let Some(lease) = read(row, asked.lease, &shared.token_key)? {
            leases.push(lease);
        }
    }
    Ok((leases, left))
}

/// Gives turns among what wasn't looked at. False: another replica is at the same, and this one need not wait for it.
async fn take_turns(session: &mut Session<'_>, queue: &Queue) -> Result<bool, Fault> {
    let sql = format!(
        "WITH {UNSYNCED} SELECT take_turns($1, $2) FROM (SELECT 1) AS once LEFT JOIN mode ON true"
    );
    match session
        .query(&sql, &[&queue.webhook_uid, &queue.destination])
        .await
    {
        Ok(_) => Ok(true),
        Err(fault) if fault.is_passing() || fault.code == Some(SqlState::UNIQUE_VIOLATION) => {
            Ok(false)
        }
        Err(fault) => Err(fault),
    }
}

/// How many leases were ended, of those how many deliveries are dead, and whose they are.
const ENDED: &str = "(SELECT count(*) FROM ended), (SELECT count(*) FROM ended WHERE status = 5), ARRAY(SELECT DISTINCT webhook_uid FROM ended)";
/// How many columns that is.
const ENDED_WIDTH: usize = 3;
/// Where a lease's group and end are, and after them whether there is something that wasn't looked at.
const GROUP: usize = ENDED_WIDTH + EVENT_WIDTH + DELIVERY_WIDTH;
const UNLOOKED: usize = GROUP + 2;
/// And whether what is due was cut, since it has too many bytes.
const CUT: usize = UNLOOKED + 1;

fn read(row: &Row, lease: i64, key: &[u8; 32]) -> Result<Option<Lease>, LogError> {
    let delivery = ENDED_WIDTH + EVENT_WIDTH;
    let group: Option<String> = row.try_get(GROUP).map_err(Fault::from)?;
    let Some(group_uid) = group else {
        return Ok(None);
    };
    let token = Token {
        group_uid,
        event_id: row.try_get(delivery).map_err(Fault::from)?,
        n: row.try_get(delivery + 1).map_err(Fault::from)?,
        lease,
    };
    Ok(Some(Lease {
        token: token.sign(key)?,
        delivery: delivery_at(row, delivery)?,
        event: event_at(row, ENDED_WIDTH)?,
        expires: Timestamp(row.try_get(GROUP + 1).map_err(Fault::from)?),
    }))
}

fn count_ended(shared: &Shared, row: &Row) -> Result<(), Fault> {
    let (ended, dead): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if ended > 0 {
        let mut counted = shared.counted();
        counted.expired += ended.unsigned_abs();
        counted.dead += dead.unsigned_abs();
        drop(counted);
        shared.wake.kept(row.try_get(2)?);
    }
    Ok(())
}

/// Ends the leases that ran out, for whoever looks at them without asking for work.
pub(super) async fn expire(shared: &Shared, session: &mut Session<'_>) -> Result<(), Fault> {
    let sql = format!(
        "WITH {UNSYNCED}, {NOW}, {}, {} SELECT {ENDED} FROM (SELECT 1) AS once LEFT JOIN mode ON true",
        ended(),
        noted("ended"),
    );
    let limits = Limits::of(shared);
    let row = session
        .query_opt(&sql, &[&limits.attempts, &limits.first, &limits.longest])
        .await?;
    row.map_or(Ok(()), |row| count_ended(shared, &row))
}

fn random() -> Result<i64, LogError> {
    let number = getrandom::u64()
        .map_err(|error| LogError::Unavailable(format!("no random numbers: {error}")))?;
    // 0 stands for no lease.
    Ok(number.max(1).cast_signed())
}
