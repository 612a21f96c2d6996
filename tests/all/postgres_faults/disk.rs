//! A disk that is full, and one that fails.

use std::collections::BTreeSet;
use std::time::Duration;

use hookplane_control_plane::log::{Appended, DeliveryLog, LogError};
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::numbered;

use super::{PATIENCE, SHORT, append, assert_unavailable, open};

/// More than a page: each makes its table longer.
const BODY: usize = 20_000;
/// Of whoever waits for what will not come.
const SHORTER: Duration = Duration::from_millis(300);

fn stored(postgres: &Postgres) -> BTreeSet<String> {
    let ids = postgres.sql("d", "SELECT id FROM hookplane.events");
    ids.lines().map(str::to_owned).collect()
}

// Risk 5: on a full disk the new is refused with the reason, nothing that was kept goes, and all goes on once there is space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_refuses_the_new_and_drops_nothing_of_the_old() {
    let mut postgres = Postgres::start_pair();
    postgres.onto_bad_disk();
    let log = open(&postgres.database("d")).await;
    let mut all = BTreeSet::new();
    for number in 0..40 {
        let answer = append(&log, numbered("before", number, BODY), PATIENCE).await;
        let Ok(Appended::Kept { event_ids }) = answer else {
            panic!("{answer:?}");
        };
        all.extend(event_ids);
    }
    postgres.set_disk("full", true);
    let mut refused = 0;
    for number in 0..40 {
        // What pages have room for is kept still.
        match append(&log, numbered("full", number, BODY), SHORT).await {
            Ok(Appended::Kept { event_ids }) => all.extend(event_ids),
            Err(LogError::Unavailable(why)) => {
                assert!(why.contains("no space left"), "{why}");
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 30, "{refused}");
    assert_eq!(stored(&postgres), all);
    postgres.set_disk("full", false);
    let answer = append(&log, numbered("full", 39, BODY), PATIENCE).await;
    assert!(matches!(answer, Ok(Appended::Kept { .. })), "{answer:?}");
    log.close().await;
}

// Risk 3: PostgreSQL ends itself when a sync of its write-ahead log fails, for what was to be on the disk may never get there. Until it is back
// nothing is acknowledged, and then all is there that was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_sync_ends_acknowledging_until_the_server_has_recovered() {
    let mut postgres = Postgres::start_pair();
    postgres.onto_bad_disk();
    let log = open(&postgres.database("d")).await;
    let mut all = BTreeSet::new();
    for number in 0..20 {
        let answer = append(&log, numbered("before", number, 100), PATIENCE).await;
        let Ok(Appended::Kept { event_ids }) = answer else {
            panic!("{answer:?}");
        };
        all.extend(event_ids);
    }
    postgres.set_disk("eio", true);
    for number in 0..20 {
        let answer = append(&log, numbered("lost", number, 100), SHORTER).await;
        assert_unavailable(&answer);
    }
    postgres.set_disk("eio", false);
    postgres.restart(postgres.primary());
    let answer = append(&log, numbered("after", 0, 100), PATIENCE).await;
    assert!(matches!(answer, Ok(Appended::Kept { .. })), "{answer:?}");
    assert!(stored(&postgres).is_superset(&all));
    log.close().await;
}
