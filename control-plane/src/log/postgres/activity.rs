//! What charts are drawn from: a small table that all replicas add to.
//!
//! ```text
//!   happened ─▶ memory ─▶ every ten seconds: a row for each group, org and bucket in which anything happened
//!                  └──────────────┬──────────────┘
//!                        what is read: both
//! ```
//!
//! Reading writes nothing, so that no view of a chart waits for a turn to write. What is being written is in the table or in memory to whoever reads,
//! never in both or neither: only the commit keeps readers out. No disk waits for such a commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hookplane_rules::Timestamp;
use tokio::time::sleep;

use super::Shared;
use super::fault::Fault;
use super::statement::text;
use crate::log::LogError;
use crate::log::activity::{Activity, ActivityOf, BUCKET, Bucket, KEPT, Taken, first_since};

/// Between two writes.
const EVERY: Duration = Duration::from_secs(10);

/// Writes what was added, for as long as the log is there.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut failing = false;
    loop {
        sleep(EVERY).await;
        let written = write(&shared).await.map_err(LogError::from);
        // Of several failures the first is told.
        if let Err(error) = &written
            && !failing
        {
            tracing::warn!(%error, "what charts are drawn from is not written yet; it is tried again");
        }
        failing = written.is_err();
    }
}

/// Writes all that was added. What can't be written waits on.
pub(super) async fn write(shared: &Shared) -> Result<(), Fault> {
    let taken = shared.activity.take();
    if taken.rows.is_empty() {
        return Ok(());
    }
    insert(shared, taken).await
}

async fn insert(shared: &Shared, taken: Taken<'_>) -> Result<(), Fault> {
    // No replica's clock that is ahead removes what the others counted: what goes is old by the server's as well.
    const SQL: &str = "
        WITH mode AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
        server AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000 / $12::bigint)::bigint AS now),
        gone AS (DELETE FROM activity WHERE bucket <= (SELECT least($10::bigint, now) - $11::bigint FROM server)),
        new AS (
            INSERT INTO activity (kind, whose, bucket, accepted, refused, filtered, duplicates, delivered, failed)
            SELECT kind, whose, bucket, sum(accepted), sum(refused), sum(filtered), sum(duplicates), sum(delivered), sum(failed)
            FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
                AS new (kind, whose, bucket, accepted, refused, filtered, duplicates, delivered, failed)
            WHERE bucket > $10::bigint - $11::bigint AND bucket <= (SELECT now + $11::bigint FROM server)
            GROUP BY kind, whose, bucket
            ON CONFLICT (kind, whose, bucket) DO UPDATE SET
                accepted = activity.accepted + excluded.accepted, refused = activity.refused + excluded.refused,
                filtered = activity.filtered + excluded.filtered, duplicates = activity.duplicates + excluded.duplicates,
                delivered = activity.delivered + excluded.delivered, failed = activity.failed + excluded.failed
        )
        SELECT count(*) FROM mode";
    // One replica at a time: so no two wait for each other both ways.
    const TURN: &str = "SELECT pg_advisory_xact_lock(1752920173)";
    let rows = &taken.rows;
    let newest = rows.iter().map(|row| row.bucket).max().unwrap_or_default();
    let kinds: Vec<i16> = rows.iter().map(|row| kind(row.is_org)).collect();
    let whose: Vec<String> = rows.iter().map(|row| text(&row.whose)).collect();
    let buckets: Vec<i64> = rows.iter().map(|row| row.bucket).collect();
    let column = |place: usize| -> Vec<i64> {
        let sums = rows.iter().map(|row| row.activity.sums()[place]);
        // Sums of sums fit as well.
        sums.map(|sum| {
            i64::try_from(sum)
                .unwrap_or(i64::MAX / 1_024)
                .min(i64::MAX / 1_024)
        })
        .collect()
    };
    let mut session = shared.pool.call().await?;
    session.begin("").await?;
    session.query(TURN, &[]).await?;
    session
        .query(
            SQL,
            &[
                &kinds,
                &whose,
                &buckets,
                &column(0),
                &column(1),
                &column(2),
                &column(3),
                &column(4),
                &column(5),
                &newest,
                &KEPT,
                &BUCKET,
            ],
        )
        .await?;
    let _no_reader = shared.charted.write().await;
    session.commit().await?;
    taken.written();
    Ok(())
}

/// As stored. Never used for anything else.
fn kind(is_org: bool) -> i16 {
    if is_org { 2 } else { 1 }
}

pub(super) async fn activity(
    shared: &Shared,
    of: ActivityOf<'_>,
    since: Timestamp,
) -> Result<Vec<Bucket>, LogError> {
    let (is_org, whose) = match of {
        ActivityOf::Group(uid) => (false, uid),
        ActivityOf::Org(name) => (true, name),
    };
    let sql =
        "SELECT bucket, accepted, refused, filtered, duplicates, delivered, failed FROM activity
        WHERE kind = $1 AND whose = $2 AND bucket >= $3";
    let mut session = shared.pool.read().await?;
    // Until what is in memory is added.
    let _no_commit = shared.charted.read().await;
    let rows = session
        .query(sql, &[&kind(is_org), &whose, &first_since(since)])
        .await?;
    let mut written = BTreeMap::new();
    for row in &rows {
        let get = |place| row.try_get::<_, i64>(place).map_err(Fault::from);
        let mut sums = [0; 6];
        for (place, sum) in sums.iter_mut().enumerate() {
            *sum = get(place + 1)?.unsigned_abs();
        }
        written.insert(get(0)?, Activity::of_sums(sums));
    }
    Ok(shared.activity.with(of, since, written))
}
