//! An embedded log that an older program made.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::{
    Appended, DeliveryLog, NewDelivery, Queue, Retention, Selection, Settlement,
};
use hookplane_proto::v1::DeliveryStatus;
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::{callback, key};
use rusqlite::Connection;

/// As version 2 made its tables, word for word.
const VERSION_2: &str = include_str!("../../../control-plane/src/log/embedded/schema-2.sql");

/// Its rows are those of today, but for what version 3 added to them.
const ROWS: &str = "
    INSERT INTO main.events SELECT * FROM now.events;
    INSERT INTO main.deliveries
        SELECT seq, event_seq, webhook_uid, webhook, status, attempts, due, created, updated, reason, idempotency_key FROM now.deliveries;
    INSERT INTO main.changes SELECT seq, delivery_seq, status, attempts, reason, at FROM now.changes;
    INSERT INTO main.dedup SELECT * FROM now.dedup;
    INSERT INTO main.duplicates SELECT * FROM now.duplicates;
    INSERT INTO main.meta SELECT * FROM now.meta;
    PRAGMA user_version = 2";

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn open(dir: &Path, clock: &Arc<TestClock>) -> Arc<EmbeddedLog> {
    let options = Options {
        sync: false,
        ..Options::default()
    };
    EmbeddedLog::open(dir, clock.clone(), options).expect("opens")
}

async fn append(log: &EmbeddedLog, id: &str, name: &str, webhooks: &[&str]) -> Appended {
    let mut new = callback(id, None, None, 0);
    let event = &mut new.events[0];
    event.dedup.delivery_key = Some(key(name));
    let of = |webhook: &&str| NewDelivery {
        webhook_uid: (*webhook).into(),
        webhook: (*webhook).into(),
        hold: (*webhook == "held").then(|| "the filter erred".into()),
        idempotency_key: format!("key-{id}"),
        ..NewDelivery::default()
    };
    event.deliveries = webhooks.iter().map(of).collect();
    let deadline = tokio::time::Instant::now() + MINUTE;
    log.append(new, deadline).await.expect("is taken")
}

/// Settles what there is of a webhook.
async fn settle(log: &EmbeddedLog, webhook: &str, settlement: Settlement) -> Vec<String> {
    let queue = Queue::of_subscribers(webhook);
    let leases = log.lease(&queue, 100, MINUTE).await.expect("leases");
    let ids = leases.iter().map(|lease| lease.delivery.id.clone());
    let ids = ids.collect();
    let all = leases.into_iter();
    let all = all.map(|lease| (lease.token, settlement.clone()).into());
    log.settle(all.collect()).await.expect("settles");
    ids
}

/// A directory with what the older program left: deliveries in every state, one of them leased.
async fn left_by_version_2(clock: &Arc<TestClock>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path(), clock);
    for (id, webhooks) in [
        ("delivered", &["w"][..]),
        ("dead", &["dead"]),
        ("leased", &["leased", "v"]),
        ("held", &["held"]),
        ("none", &[]),
        ("dropped", &["gone"]),
        ("again", &["back"]),
    ] {
        append(&log, id, id, webhooks).await;
    }
    let fail = |give_up| Settlement::Nack {
        delay: Some(Duration::ZERO),
        reason: "no such customer".into(),
        give_up,
    };
    settle(&log, "w", Settlement::Ack).await;
    settle(&log, "dead", fail(true)).await;
    settle(&log, "back", fail(false)).await;
    log.drop_deliveries("gone", "its webhook was deleted")
        .await
        .expect("drops");
    let leased = Queue::of_subscribers("leased");
    log.lease(&leased, 1, MINUTE).await.expect("leases");
    // Some of what tells repeats is in its table, and some in the events alone.
    let never = Duration::from_secs(u32::MAX.into());
    log.forget_repeats(never).await.expect("forgets");
    append(&log, "pending", "pending", &["w"]).await;
    log.close().await;
    drop(log);

    let now = dir.path().join("events.db");
    let old = dir.path().join("old.db");
    let application: i64 = Connection::open(&now)
        .and_then(|db| db.pragma_query_value(None, "application_id", |row| row.get(0)))
        .expect("reads");
    let db = Connection::open(&old).expect("opens");
    db.execute_batch(&format!(
        "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; {VERSION_2} PRAGMA application_id = {application};"
    ))
    .expect("is SQL");
    db.execute("ATTACH DATABASE ?1 AS now", [now.to_str().expect("a path")])
        .expect("attaches");
    db.execute_batch(ROWS).expect("copies");
    db.close().map_err(|(_, error)| error).expect("closes");
    for name in ["events.db-wal", "events.db-shm", "index.db"] {
        drop(std::fs::remove_file(dir.path().join(name)));
    }
    std::fs::rename(old, now).expect("renames");
    // The test's clock stands, and what the log counts from it begins anew with each opening: so that what was due then is due now.
    clock.advance(MINUTE);
    dir
}

// Risk 4: a log of the version before is read, delivered, and retained as if it had been made by this one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_version_2_is_brought_up() {
    let clock = Arc::new(TestClock::default());
    let dir = left_by_version_2(&clock).await;
    let log = open(dir.path(), &clock);
    while log.index().await.expect("indexes") {}
    let group = Selection {
        group_uid: Some("g".into()),
        ..Selection::default()
    };
    let listed = log.deliveries(&group, None, 100).await.expect("reads");
    let listed: Vec<_> = listed
        .iter()
        .map(|(_, one)| (&*one.id, one.status(), one.attempts, &*one.destination))
        .collect();
    use DeliveryStatus::{Dead, Delivered, Dropped, Held, Pending};
    assert_eq!(
        listed,
        [
            ("pending-1", Pending, 0, ""),
            ("again-1", Pending, 1, ""),
            ("dropped-1", Dropped, 0, ""),
            ("held-1", Held, 0, ""),
            ("leased-2", Pending, 0, ""),
            ("leased-1", Pending, 1, ""),
            ("dead-1", Dead, 1, ""),
            ("delivered-1", Delivered, 1, ""),
        ]
    );
    let held = log.delivery("held-1").await.expect("there");
    assert_eq!(held.reason, "the filter erred");
    for name in ["delivered", "pending"] {
        let repeat = append(&log, "other", name, &["w"]).await;
        assert_eq!(repeat, Appended::Duplicate { of: name.into() });
    }
    // What version 3 brought works for what was there before.
    let back = ["dead-1", "held-1"].map(|id| id.to_owned().into());
    assert_eq!(log.replay(&back).await, Ok(2));
    let crm = || NewDelivery {
        webhook_uid: "later".into(),
        destination: "crm".into(),
        ..NewDelivery::default()
    };
    for id in ["none", "delivered"] {
        assert_eq!(log.add_deliveries(id, vec![crm()]).await, Ok(1), "{id}");
    }
    for (webhook, ids) in [
        ("w", "pending-1"),
        ("v", "leased-2"),
        ("back", "again-1"),
        ("dead", "dead-1"),
        ("held", "held-1"),
    ] {
        let settled = settle(&log, webhook, Settlement::Ack).await;
        assert_eq!(settled, [ids], "{webhook}");
    }
    log.drop_deliveries("later", "gone").await.expect("drops");
    clock.advance(DAY * 30);
    let by_age = Retention::of_age("g", DAY);
    while log.retain(&by_age).await.expect("retains") > 0 {}
    let left = log.events(&group, None, 10).await.expect("reads");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1.id, "leased", "nobody has taken it");
    assert_eq!(settle(&log, "leased", Settlement::Ack).await, ["leased-1"]);
    while log.retain(&by_age).await.expect("retains") > 0 {}
    log.close().await;
    drop(log);
    let db = Connection::open(dir.path().join("events.db")).expect("opens");
    for table in ["events", "deliveries", "changes", "attempts", "added"] {
        let rows: i64 = db
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get(0)
            })
            .expect("reads");
        assert_eq!(rows, 0, "{table}");
    }
}
