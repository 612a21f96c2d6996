//! What a call looks at, over tables that were filled directly.

use std::time::Duration;

use rusqlite::Connection;

use super::{Done, Going, STEP_EVENTS, VAIN_STEPS, WALK_STEPS, call, delete, looks};
use crate::log::embedded::filled::{DELIVERED, HELD, PENDING, Stretch, filled};
use crate::log::embedded::{EmbeddedLog, schema};
use crate::log::{DeliveryLog, Queue, Retention};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// What a walk may look at that passes nothing.
const IN_VAIN: u64 = VAIN_STEPS as u64 * STEP_EVENTS as u64;
/// What one walk may look at in one call.
const SLICE: u64 = WALK_STEPS as u64 * STEP_EVENTS as u64;

/// A round: until nothing goes.
async fn round(log: &EmbeddedLog, retention: &Retention) -> Done {
    let mut all = Done::default();
    loop {
        let done = call(log, retention).await.expect("retains");
        assert!(done.looked <= 3 * SLICE, "{done:?}");
        all.gone += done.gone;
        all.looked += done.looked;
        if done.gone == 0 {
            return all;
        }
    }
}

// Risk 5: deleting goes on however much is kept: what two ages leave between them isn't looked at in each round again.
#[tokio::test]
async fn what_is_kept_for_longer_is_passed_once() {
    for unmatched_for_longer in [false, true] {
        let kept = SLICE + 1_000;
        let (short, long) = if unmatched_for_longer {
            (Some(DELIVERED), None)
        } else {
            (None, Some(DELIVERED))
        };
        let dir = tempfile::tempdir().expect("a directory");
        let log = filled(
            dir.path(),
            &[
                Stretch(300, 10, Some(DELIVERED)),
                Stretch(kept, 80, long),
                Stretch(300, 81, short),
                Stretch(5_000, 99, Some(DELIVERED)),
            ],
        );
        let mut retention = Retention {
            unmatched_age: DAY * 7,
            ..Retention::of_age("g", DAY * 30)
        };
        if unmatched_for_longer {
            std::mem::swap(&mut retention.max_age, &mut retention.unmatched_age);
        }
        let mut gone = 0;
        for _ in 0..4 {
            gone += round(&log, &retention).await.gone;
        }
        assert_eq!(gone, 600);
        // Those that aren't settled yet are looked for there, where they can be.
        let again = if unmatched_for_longer { SLICE } else { 0 };
        for _ in 0..3 {
            let done = round(&log, &retention).await;
            assert_eq!(done.gone, 0);
            assert!(done.looked <= 2 * IN_VAIN + again, "{done:?} of {kept}");
        }
        log.close().await;
    }
}

// Risk 5: a backlog that isn't settled stays, costs a round a bounded look, and goes once it is settled, wherever it is.
#[tokio::test]
async fn what_waits_is_passed_and_goes_once_it_is_settled() {
    let dir = tempfile::tempdir().expect("a directory");
    let waiting = 2 * SLICE;
    let log = filled(
        dir.path(),
        &[
            Stretch(waiting, 10, Some(PENDING)),
            Stretch(100, 10, Some(HELD)),
            Stretch(100, 10, Some(DELIVERED)),
            Stretch(10, 99, Some(DELIVERED)),
        ],
    );
    let retention = Retention::of_age("g", DAY * 30);
    let mut gone = 0;
    for _ in 0..4 {
        let done = round(&log, &retention).await;
        gone += done.gone;
    }
    assert_eq!(gone, 100, "what is behind them goes");
    let done = round(&log, &retention).await;
    assert!(done.looked <= SLICE + 2 * IN_VAIN, "{done:?} of {waiting}");
    let db = Connection::open(dir.path().join("events.db")).expect("opens");
    let settle = format!("UPDATE deliveries SET status = {DELIVERED}");
    assert!(db.execute(&settle, []).expect("writes") > 0);
    let mut rounds = 0;
    while gone < waiting + 200 {
        gone += round(&log, &retention).await.gone;
        rounds += 1;
        assert!(rounds <= 2 * (waiting / SLICE + 1), "{gone} have gone");
    }
    assert_eq!(round(&log, &retention).await.gone, 0);
    log.close().await;
}

// Risk 5: what is put back while it is on its way out stays, and is found again.
#[tokio::test]
async fn what_is_put_back_meanwhile_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = filled(dir.path(), &[Stretch(3, 10, Some(DELIVERED))]);
    while log.index().await.expect("indexes") {}
    assert_eq!(log.replay(&["e2-1".to_owned().into()]).await, Ok(1));
    let going = [2, 4, 6].map(|seq| Going { seq, bytes: 7 });
    let went = delete(&log, "g", going.to_vec()).await;
    assert_eq!(went, Ok((2, 14)));
    while log.index().await.expect("indexes") {}
    assert_eq!(log.usage().await.expect("reads")[0].events, 1);
    let queue = Queue::of_subscribers("w");
    let leases = log.lease(&queue, 10, DAY).await.expect("leases");
    assert_eq!(leases[0].delivery.id, "e2-1");
    log.close().await;
}

// Risk 5: a clock that was ahead for a while stops no walk.
#[tokio::test]
async fn what_was_kept_by_a_clock_that_was_ahead_stays_and_what_is_behind_it_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let ahead = 2 * SLICE;
    let log = filled(
        dir.path(),
        &[
            Stretch(300, 10, Some(DELIVERED)),
            Stretch(ahead, 900, Some(DELIVERED)),
            Stretch(300, 60, Some(DELIVERED)),
            Stretch(10, 99, Some(DELIVERED)),
        ],
    );
    let retention = Retention::of_age("g", DAY * 30);
    let mut gone = 0;
    for _ in 0..4 {
        gone += round(&log, &retention).await.gone;
    }
    assert_eq!(gone, 600);
    log.close().await;
}

// With other ages it is all looked at again.
#[tokio::test]
async fn a_shorter_age_holds_for_what_was_passed() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = filled(
        dir.path(),
        &[
            Stretch(2_000, 69, Some(HELD)),
            Stretch(100, 70, None),
            Stretch(100, 71, Some(DELIVERED)),
            Stretch(100, 99, None),
        ],
    );
    let ages = |max_age, unmatched_age| Retention {
        max_age: DAY * max_age,
        unmatched_age: DAY * unmatched_age,
        ..Retention::of_age("g", DAY)
    };
    for (retention, gone) in [
        (ages(20, 50), 100),
        (ages(20, 50), 0),
        (ages(50, 25), 100),
        (ages(50, 25), 0),
    ] {
        assert_eq!(round(&log, &retention).await.gone, gone, "{retention:?}");
    }
    log.close().await;
}

#[test]
fn a_walk_is_along_its_groups_part_of_the_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_lock, _, db) = schema::open(dir.path(), false).expect("opens");
    let plan = plan(&db, &looks());
    assert!(
        plan.contains("events_by_group (group_uid=? AND seq>? AND seq<?)")
            && !plan.contains("TEMP B-TREE"),
        "{plan}"
    );
}

fn plan(db: &Connection, sql: &str) -> String {
    let mut plan = db
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .expect("is SQL");
    let rows = plan.query_map([""; 9], |row| row.get::<_, String>(3));
    let steps: Vec<String> = rows
        .expect("runs")
        .collect::<Result<_, _>>()
        .expect("reads");
    steps.join("; ")
}
