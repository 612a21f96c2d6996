//! The line of numbers that runs through the log in PostgreSQL, which readers of the tail walk: whatever ends late, crashes or is moved, they miss
//! nothing.

use hookplane_control_plane::log::postgres::PostgresLog;
use hookplane_control_plane::log::{Cursor, DeliveryLog, Selection, Settlement, TailItem};
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::{callback, keep, numbered, tail_until};
use tokio::time::Instant;

use crate::fake_control_plane::{PATIENCE, eventually};
use crate::log_replicas::{MINUTE, lease_one, open, settle};

/// A server of the test's own: what is open or broken there is in nobody's way.
fn server(settings: &[&str]) -> Postgres {
    let mut all = vec!["fsync = off"];
    all.extend(settings);
    Postgres::start_alone(&all)
}

/// The ids of deliveries, in order.
fn ids(lines: &[TailItem]) -> Vec<&str> {
    let deliveries = lines.iter().filter_map(|line| line.delivery.as_ref());
    deliveries.map(|delivery| &*delivery.event_id).collect()
}

// Risk 13, of the tail: transactions end in another order than they took their numbers. Let the line go to `pg_snapshot_xmax` and the
// one that commits late is passed by for good.
#[tokio::test]
async fn the_tail_never_passes_by_what_commits_late() {
    let postgres = server(&[]);
    let url = postgres.database("late");
    let (a, b) = (open(&url).await, open(&url).await);
    keep(&*a, "before").await;
    let (_, after) = tail_until(&*a, |line| line.event.id == "before").await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let driver = tokio::spawn(connection);
    // As an append that takes its number and is slow to commit.
    client
        .batch_execute(
            "BEGIN; SET search_path = hookplane;
             INSERT INTO events SELECT group_uid, 'late', line_place(), org, group_name, type, received, kept, deliveries, flags, duplicate_of, record
                 FROM events WHERE id = 'before';
             INSERT INTO deliveries SELECT group_uid, 'late', n, line_place() + 1, org, webhook_uid, webhook, status, attempts, due, lease, created,
                 updated, reason, 'late' FROM deliveries WHERE event_id = 'before'",
        )
        .await
        .expect("is open");
    for id in ["after-1", "after-2"] {
        keep(&*b, id).await;
    }
    let any = Selection::default();
    // Whoever asks for work need not wait for it.
    assert_eq!(lease_one(&b, MINUTE).await.event.id, "before");
    assert_eq!(lease_one(&a, MINUTE).await.event.id, "after-1");
    let (lines, next) = a.tail(&any, after, false, 100).await.expect("reads");
    assert_eq!(
        ids(&lines),
        Vec::<&str>::new(),
        "it would pass by the late one"
    );
    client.batch_execute("COMMIT").await.expect("commits");
    let deadline = Instant::now() + PATIENCE;
    let mut newest = a.newest();
    let (mut seen, mut at) = (Vec::new(), next);
    while seen.len() < 3 {
        let (lines, next) = a.tail(&any, at, false, 100).await.expect("reads");
        seen.extend(ids(&lines).into_iter().map(str::to_owned));
        if next == at {
            let changed = tokio::time::timeout_at(deadline, newest.changed()).await;
            changed.expect("comes").expect("open");
        }
        at = next;
    }
    assert_eq!(seen, ["late", "after-1", "after-2"]);
    driver.abort();
}

/// What the tail has behind `after`, once it has that event.
async fn goes_on(log: &PostgresLog, after: Cursor, until: &str) -> Vec<String> {
    let any = Selection::default();
    let deadline = Instant::now() + PATIENCE;
    let mut newest = log.newest();
    loop {
        // It may not be up again.
        if let Ok((lines, _)) = log.tail(&any, after, false, 1000).await {
            let ids: Vec<_> = ids(&lines).into_iter().map(str::to_owned).collect();
            if ids.iter().any(|id| id == until) {
                return ids;
            }
        }
        tokio::time::timeout_at(deadline, newest.changed())
            .await
            .expect("comes after what was read")
            .expect("open");
    }
}

/// Until it takes what is kept again.
async fn keep_again(log: &PostgresLog, id: &str) {
    let append = async || {
        let new = callback(id, None, None, 0);
        Ok(log.append(new, Instant::now() + PATIENCE).await.ok())
    };
    eventually(append).await.expect("it takes them again");
}

// Risk 13, of the tail: after a crash PostgreSQL gives out numbers again that were taken and left no trace. Make the table `line` a logged one
// and what comes then is numbered below what readers have passed.
#[tokio::test]
async fn the_tail_goes_on_after_a_crash_that_takes_numbers_back() {
    let mut postgres = server(&["wal_writer_delay = 10s"]);
    let url = postgres.database("crash");
    let log = open(&url).await;
    keep(&*log, "before").await;
    // Numbers that leave no trace.
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let driver = tokio::spawn(connection);
    for _ in 0..200 {
        client
            .batch_execute("BEGIN; SELECT pg_current_xact_id(); ROLLBACK")
            .await
            .expect("takes a number");
    }
    // Whoever reads is beyond them.
    let mut newest = log.newest();
    newest.borrow_and_update();
    keep_lease(&log).await;
    let (_, after) = tail_until(&*log, |line| line.change).await;
    driver.abort();
    postgres.kill(0);
    postgres.restart(0);
    keep_again(&log, "after").await;
    assert_eq!(goes_on(&log, after, "after").await, ["after"]);
    // And so for one that opens it only then.
    let other = open(&url).await;
    keep(&*other, "later").await;
    assert_eq!(goes_on(&other, after, "later").await, ["after", "later"]);
}

/// Something that is not synced, and is on the line.
async fn keep_lease(log: &PostgresLog) {
    lease_one(log, MINUTE).await;
}

// Risk 26, of the log: moved to a new server by PostgreSQL's own tools and no other command, which numbers its transactions from the start. Take
// `continue_beyond` out of `open` and what comes then lies before all that was there.
#[tokio::test]
async fn the_tail_goes_on_after_a_restore_on_a_new_server() {
    let old = server(&[]);
    let url = old.database("moved");
    let log = open(&url).await;
    for _ in 0..3 {
        old.sql("moved", "DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$");
    }
    for n in 0..8 {
        let deadline = Instant::now() + PATIENCE;
        log.append(numbered("e", n, 10), deadline)
            .await
            .expect("kept");
    }
    let lease = lease_one(&log, MINUTE).await;
    let (_, after) = tail_until(&*log, |line| line.change).await;
    log.close().await;
    let new = server(&[]);
    let to = new.database("moved");
    let dumped = std::process::Command::new("bash")
        .args([
            "-c",
            "set -o pipefail; pg_dump -d \"$1\" | psql -X -q -v ON_ERROR_STOP=1 -d \"$2\"",
            "-",
            &old.node_url(0, "moved"),
            &new.node_url(0, "moved"),
        ])
        .output()
        .expect("runs");
    assert!(
        dumped.status.success(),
        "{}",
        String::from_utf8_lossy(&dumped.stderr)
    );
    let log = open(&to).await;
    keep(&*log, "after").await;
    assert_eq!(goes_on(&log, after, "after").await, ["after"]);
    // A token of before is as good as it was.
    assert!(settle(&log, &lease, Settlement::Ack).await);
    let repeated = log.append(numbered("e", 3, 10), Instant::now() + PATIENCE);
    repeated.await.expect("our own resend");
    let all = log
        .events(&Selection::default(), None, 100)
        .await
        .expect("reads");
    assert_eq!(all.len(), 8 + 2 * 2 + 1, "nothing is kept twice");
    assert_eq!(all[0].1.id, "after", "the newest");
}
