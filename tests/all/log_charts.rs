//! What charts are drawn from, in PostgreSQL: in memory, in its table and on the way between them.

use std::sync::Arc;

use hookplane_control_plane::log::postgres::PostgresLog;
use hookplane_control_plane::log::{Activity, ActivityOf, DeliveryLog};
use hookplane_rules::Timestamp;
use hookplane_tests::engines::postgres::Postgres;

use crate::log_replicas::open;

/// A Tuesday in 2023, long before the server's time.
const THEN: i64 = 1_700_000_000_000;

fn count(log: &PostgresLog, at: i64, accepted: u64) {
    let activity = Activity {
        accepted,
        ..Activity::default()
    };
    log.notes().happened("acme", "g", Timestamp(at), activity);
}

/// All that is told, of the group and of the org.
async fn told(log: &PostgresLog) -> [u64; 2] {
    let mut sums = [0; 2];
    let of_both = [ActivityOf::Group("g"), ActivityOf::Org("acme")];
    for (sum, of) in sums.iter_mut().zip(of_both) {
        let buckets = log.notes().activity(of, Timestamp(0)).await;
        let buckets = buckets.expect("reads");
        *sum = buckets.iter().map(|(_, of)| of.accepted).sum();
    }
    sums
}

// Looking is no writing: have reads write what is counted, and one that is given up half-way takes it along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_at_a_chart_and_gives_up_changes_no_count() {
    let postgres = Postgres::start_alone(&["fsync = off"]);
    let url = postgres.database("charts");
    let log = open(&url).await;
    for _ in 0..50 {
        count(&log, THEN, 1);
        let reading = tokio::spawn({
            let log = Arc::clone(&log);
            async move { told(&log).await }
        });
        tokio::task::yield_now().await;
        reading.abort();
        // Ended, whichever way.
        let _ = reading.await;
    }
    assert_eq!(told(&log).await, [50, 50]);
    count(&log, THEN, 1);
    log.close().await;
    let rows = "SELECT count(*) FROM hookplane.activity";
    assert_eq!(postgres.sql("charts", rows), "2");
    let log = open(&url).await;
    count(&log, THEN, 1);
    assert_eq!(told(&log).await, [52, 52]);
    log.close().await;
}

// A replica's clock that is days ahead, for as long as it takes to write once, takes nothing of anybody's chart, and leaves nothing that stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dated_in_the_future_removes_nothing_of_a_chart() {
    const DAY: i64 = 24 * 3_600_000;
    let postgres = Postgres::start_alone(&["fsync = off"]);
    let url = postgres.database("future");
    let millis = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let now: i64 = postgres.sql("future", millis).parse().expect("a number");
    for (at, accepted) in [(now, 3), (now + DAY * 10, 100), (now + DAY, 4)] {
        let log = open(&url).await;
        count(&log, at, accepted);
        log.close().await;
    }
    let log = open(&url).await;
    assert_eq!(told(&log).await, [7, 7]);
    // Of what is old by both clocks nothing stays.
    postgres.sql(
        "future",
        "UPDATE hookplane.activity SET bucket = bucket - 1000",
    );
    count(&log, now, 5);
    log.close().await;
    let log = open(&url).await;
    assert_eq!(told(&log).await, [5, 5]);
    log.close().await;
}
