//! Commits that no standby has.

use std::time::Duration;

use hookplane_control_plane::log::postgres::PostgresLog;
use hookplane_control_plane::log::{Appended, DeliveryLog, NewCallback};
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::callback;
use tokio::time::Instant;

use super::{PATIENCE, SHORT, append, assert_unavailable, kept, open, until_sql};

/// Not kept for whoever asks, and on the primary's disk all the same. On a busy machine the time of one that asks may be up before it gets there.
async fn commits_here_alone(
    log: &PostgresLog,
    postgres: &Postgres,
    id: &str,
    new: impl Fn(&str) -> NewCallback,
) {
    let sql = format!("SELECT count(*) FROM hookplane.events WHERE id = '{id}'");
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert_unavailable(&append(log, new(id), SHORT).await);
        if postgres.sql("d", &sql) == "1" {
            return;
        }
        assert!(Instant::now() < deadline, "{id} is committed");
    }
}

/// On the primary's disk, whoever else has it.
async fn until_committed_here(postgres: &Postgres, id: &str) {
    let sql = format!("SELECT count(*) FROM hookplane.events WHERE id = '{id}'");
    until_sql(postgres, "d", &sql, "1").await;
}

// Risk 42: once its wait for the standby is given up, a commit is there for all to see and on one disk only. Neither it nor what repeats it may be
// acknowledged before a standby has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_no_standby_has_is_neither_kept_nor_known() {
    let mut postgres = Postgres::start_pair();
    let log = open(&postgres.database("d")).await;
    let before = append(&log, callback("before", None, None, 0), PATIENCE).await;
    assert_eq!(before, kept("before"));
    let standby = postgres.standby();
    // Not frozen: what is on its way would wait in its socket, and be there in the end.
    postgres.kill(standby);
    let new = |id: &str| match id {
        "keyless" => callback(id, None, None, 1),
        "content" => callback(id, None, Some(3), 1),
        _ => callback(id, Some(7), None, 1),
    };
    for id in ["a", "keyless", "content"] {
        commits_here_alone(&log, &postgres, id, new).await;
        assert_unavailable(&append(&log, new(id), SHORT).await);
    }
    assert_unavailable(&append(&log, new("provider's resend"), SHORT).await);
    // Risk 9: nor does what was given up go on waiting there.
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    until_sql(&postgres, "postgres", waiting, "0").await;
    // With the standby back, all of it is what it seemed to be.
    postgres.restart(standby);
    for id in ["a", "keyless", "content"] {
        assert_eq!(append(&log, new(id), PATIENCE).await, kept(id));
    }
    let duplicate = Ok(Appended::Duplicate { of: "a".into() });
    assert_eq!(
        append(&log, new("provider's resend"), PATIENCE).await,
        duplicate
    );

    // And without it, were it to take over as it is.
    postgres.kill(standby);
    let lost = |id: &str| callback(id, Some(8), None, 2);
    commits_here_alone(&log, &postgres, "lost", lost).await;
    for id in ["lost", "resend"] {
        assert_unavailable(&append(&log, lost(id), SHORT).await);
    }
    postgres.kill(postgres.primary());
    postgres.restart(standby);
    postgres.promote();
    let ids = postgres.sql("d", "SELECT id FROM hookplane.events ORDER BY id");
    assert_eq!(ids, "a\nbefore\ncontent\nkeyless");
    postgres.rejoin();
    assert_eq!(append(&log, lost("resend"), PATIENCE).await, kept("resend"));
    log.close().await;
}

// Risk 42: whoever cancels the wait, PostgreSQL says so in a warning and reports the commit as done.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancelled_wait_for_the_standby_is_no_commit() {
    let mut postgres = Postgres::start_pair();
    let log = open(&postgres.database("d")).await;
    let standby = postgres.standby();
    postgres.kill(standby);
    let appending = {
        let log = log.clone();
        tokio::spawn(async move {
            let new = callback("a", Some(1), None, 0);
            append(&log, new, Duration::from_secs(5)).await
        })
    };
    let mut cancelled = 0;
    while !appending.is_finished() {
        // A session that is ended answers nothing more.
        let end = ["pg_cancel_backend", "pg_terminate_backend"][cancelled % 2];
        let end =
            format!("SELECT count({end}(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
        cancelled += usize::from(postgres.sql("postgres", &end) != "0");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_unavailable(&appending.await.expect("doesn't panic"));
    assert!(cancelled > 2, "it tried again and waited again");
    until_committed_here(&postgres, "a").await;
    postgres.restart(standby);
    let again = append(&log, callback("a", Some(1), None, 0), PATIENCE).await;
    assert_eq!(again, kept("a"));
    log.close().await;
}
