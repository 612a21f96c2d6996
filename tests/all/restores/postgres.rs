//! Backups of the events: base backups with the write-ahead log up to a moment, and dumps that are loaded into another server.

use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{
    Appended, Cursor, DeliveryLog, Lease, LogError, NewCallback, Queue, Selection, Settlement,
};
use hookplane_proto::v1::DeliveryStatus;
use hookplane_tests::engines::postgres::{ARCHIVED, Postgres};
use hookplane_tests::log_suite::backends::open_postgres;
use hookplane_tests::log_suite::{callback, tail_until};
use tokio::time::Instant;

use crate::fake_control_plane::{PATIENCE, eventually};

/// Of a lease that the test is done with before.
const LONG: Duration = Duration::from_secs(3600);
/// Of one that it waits for.
const SHORT: Duration = Duration::from_millis(1);

async fn open(url: &str) -> Arc<PostgresLog> {
    let options = PostgresOptions {
        url: url.to_owned(),
        accept_weaker_durability: true,
        first_back_off: Duration::from_millis(1),
        longest_back_off: Duration::from_millis(1),
        ..PostgresOptions::default()
    };
    let opened = open_postgres(options, Arc::default()).await;
    opened.expect("opens")
}

/// Until the server is reached again.
async fn append(log: &PostgresLog, callback: NewCallback) -> Appended {
    let append = async || match log
        .append(callback.clone(), Instant::now() + PATIENCE)
        .await
    {
        Ok(appended) => Ok(Some(appended)),
        Err(LogError::Unavailable(_)) => Ok(None),
        Err(error) => Err(error.into()),
    };
    let appended = eventually(append).await;
    appended.unwrap_or_else(|error| panic!("appends: {error}"))
}

async fn keep(log: &PostgresLog, id: &str, delivery: u8) {
    let event_ids = vec![id.to_owned()];
    let appended = append(log, callback(id, Some(delivery), None, delivery)).await;
    assert_eq!(appended, Appended::Kept { event_ids });
}

fn duplicate(of: &str) -> Appended {
    Appended::Duplicate { of: of.to_owned() }
}

async fn lease(log: &PostgresLog, most: usize, duration: Duration) -> Vec<Lease> {
    log.lease(&Queue::of_subscribers("w"), most, duration)
        .await
        .expect("leases")
}

/// Until that event's is handed out.
async fn lease_of(log: &PostgresLog, event: &str) -> Lease {
    let deadline = Instant::now() + PATIENCE;
    let mut newest = log.newest();
    loop {
        let leases = lease(log, 1, LONG).await;
        if let Some(lease) = leases.into_iter().find(|lease| lease.event.id == event) {
            return lease;
        }
        tokio::time::timeout_at(deadline, newest.changed())
            .await
            .expect("due in time")
            .expect("open");
    }
}

/// All that there is, each once, oldest first.
async fn events(log: &PostgresLog, last: &str) -> Vec<String> {
    let (lines, _) = tail_until(log, |line| line.event.id == last && !line.change).await;
    let new = lines.iter().filter(|line| !line.change);
    new.map(|line| line.event.id.clone()).collect()
}

/// What comes after a place on the line, up to this event.
async fn after(log: &PostgresLog, mut after: Cursor, last: &str) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut newest = log.newest();
    let mut ids = Vec::new();
    while ids.last().map(String::as_str) != Some(last) {
        let read = log.tail(&Selection::default(), after, false, 100).await;
        let (lines, next) = read.expect("reads");
        ids.extend(lines.into_iter().map(|line| line.event.id));
        if next == after {
            tokio::time::timeout_at(deadline, newest.changed())
                .await
                .expect("comes in time")
                .expect("open");
        }
        after = next;
    }
    ids
}

// After a restore nothing is kept twice or under a used id: what the restored log knows is a repeat, what it lost is kept when it comes again,
// and whoever read along is told of all that is new.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn database_put_back_to_an_earlier_moment_goes_on_from_there() {
    let mut postgres = Postgres::start_alone(&ARCHIVED);
    let url = postgres.database("hooks");
    let (stays, goes) = (open(&url).await, open(&url).await);
    keep(&stays, "a", 1).await;
    let backup = postgres.base_backup("backup");
    keep(&stays, "b", 2).await;
    let acked = lease_of(&stays, "a").await;
    let held = lease_of(&stays, "b").await;
    postgres.sql("postgres", "SELECT pg_create_restore_point('then')");
    // All this is lost.
    keep(&goes, "c", 3).await;
    let lost = lease_of(&stays, "c").await;
    let settled = stays
        .settle(vec![(acked.token.clone(), Settlement::Ack).into()])
        .await;
    assert_eq!(settled, Ok(vec![true]));
    for more in 0..50 {
        keep(&goes, &format!("more-{more}"), 100 + more).await;
    }
    let reach = stays.reach().await.expect("reads").last;
    goes.close().await;
    postgres.wait_until_archived();
    postgres.put_back(&backup, "then");

    let again = open(&url).await;
    for log in [&stays, &again] {
        // Also the listener's own resend.
        keep(log, "a", 1).await;
        let repeat = append(log, callback("a2", Some(1), None, 1)).await;
        assert_eq!(repeat, duplicate("a"), "the provider's");
    }
    // The same report, id and all, as it was sent before.
    keep(&stays, "c", 3).await;
    let repeat = append(&again, callback("c2", Some(3), None, 3)).await;
    assert_eq!(repeat, duplicate("c"));
    assert_eq!(after(&stays, reach, "c").await, ["c"]);
    assert_eq!(events(&again, "c").await, ["a", "b", "c"]);

    // Taken and acked since: it comes again, by the same key. An ack from before counts; what is lost has no lease.
    let settle = |token: &str| stays.settle(vec![(token.to_owned(), Settlement::Ack).into()]);
    assert_eq!(settle(&held.token).await, Ok(vec![true]));
    assert_eq!(
        settle(&lost.token).await,
        Ok(vec![true]),
        "of the same event"
    );
    let delivery = stays.delivery(&acked.delivery.id).await.expect("is there");
    assert_eq!(delivery.status, DeliveryStatus::Leased as i32);
    assert_eq!(delivery.idempotency_key, acked.delivery.idempotency_key);
    assert_eq!(settle(&acked.token).await, Ok(vec![true]));
    stays.close().await;
    again.close().await;
}

// A new server numbers its transactions from the start, and the log's line goes on all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dump_that_is_loaded_into_a_new_server_goes_on_where_it_was() {
    let (old, new) = (Postgres::start_alone(&[]), Postgres::start_alone(&[]));
    let log = open(&old.database("hooks")).await;
    // So many transactions that the new server has not had yet.
    old.sql(
        "hooks",
        "DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$",
    );
    for (id, delivery) in [("a", 1), ("b", 2)] {
        keep(&log, id, delivery).await;
    }
    let acked = lease_of(&log, "a").await;
    let settled = log
        .settle(vec![(acked.token, Settlement::Ack).into()])
        .await;
    assert_eq!(settled, Ok(vec![true]));
    let held = lease_of(&log, "b").await;
    let (_, end) = tail_until(&*log, |line| line.change && line.event.id == "b").await;
    log.close().await;

    let folder = tempfile::tempdir().expect("a directory");
    for (name, more) in [("all", &[][..]), ("logged", &["--no-unlogged-table-data"])] {
        let dump = folder.path().join(name);
        old.dump("hooks", more, &dump);
        let log = open(&new.load(name, &dump)).await;
        keep(&log, "a", 1).await;
        let repeat = append(&log, callback("x", Some(2), None, 2)).await;
        assert_eq!(repeat, duplicate("b"));
        keep(&log, "c", 3).await;
        assert_eq!(after(&log, end, "c").await, ["c"], "{name}");
        assert_eq!(events(&log, "c").await, ["a", "b", "c"], "{name}");
        // Whoever held it comes back.
        let ack = (held.token.clone(), Settlement::Ack);
        assert_eq!(log.settle(vec![ack.into()]).await, Ok(vec![true]));
        let next = lease(&log, 10, SHORT).await;
        let next: Vec<_> = next.iter().map(|lease| &*lease.event.id).collect();
        assert_eq!(next, ["c"]);
        log.close().await;
    }
}
