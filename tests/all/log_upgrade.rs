//! Logs that an older program made: here in PostgreSQL.

mod embedded;

use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{
    Activity, ActivityOf, Cursor, DeliveryLog, LogError, Queue, Selection, Settle, Settlement,
};
use hookplane_proto::v1::{self, DeliveryStatus};
use hookplane_rules::Timestamp;
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::backends::{InPostgres, open_postgres};
use hookplane_tests::log_suite::keep;
use prost::Message;
use tokio_postgres::{Client, NoTls};

use crate::fake_control_plane::eventually;

/// As version 1 made its tables.
const VERSION_1: &str = include_str!("../../control-plane/src/log/postgres/schema.sql");
/// What version 2 made beside them.
const VERSION_2: &str = concat!(
    include_str!("../../control-plane/src/log/postgres/schema_2.sql"),
    ";\n",
    include_str!("../../control-plane/src/log/postgres/append.sql")
);
const MINUTE: Duration = Duration::from_secs(60);

fn options(url: &str) -> PostgresOptions {
    PostgresOptions {
        url: url.to_owned(),
        accept_weaker_durability: true,
        ..PostgresOptions::default()
    }
}

async fn open(url: &str) -> Result<Arc<PostgresLog>, LogError> {
    open_postgres(options(url), Arc::default()).await
}

/// The same, once: what is broken off would be tried again.
async fn open_once(url: &str) -> Result<Arc<PostgresLog>, LogError> {
    PostgresLog::open(options(url), Arc::new(TestClock::default())).await
}

/// A client that runs SQL, as an older replica does.
async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connects");
    tokio::spawn(connection);
    // As it has for each statement.
    let bound = "SET lock_timeout = '1s'; SET statement_timeout = '10s'; SET search_path = hookplane, pg_catalog";
    client.batch_execute(bound).await.expect("sets");
    client
}

async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(client: &Client, sql: &str) -> T {
    client.query_one(sql, &[]).await.expect("reads").get(0)
}

/// A database of version 1 with three events, and a client.
async fn of_version_1() -> (Client, String) {
    of_version(1, VERSION_1).await
}

/// The same of a later one.
async fn of_version(version: u32, tables: &str) -> (Client, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let url = InPostgres::shared().url(dir.path());
    let client = client(&url).await;
    let key = "07".repeat(32);
    client
        .batch_execute(&format!(
            "BEGIN; CREATE SCHEMA hookplane; SET LOCAL search_path = hookplane, pg_catalog; {tables};
             CREATE FUNCTION weaker_durability_v1() RETURNS text LANGUAGE sql STABLE AS $$ SELECT '' $$;
             INSERT INTO meta (name, value) VALUES ('version', '{version}'), ('token_key', '{key}'); COMMIT"
        ))
        .await
        .expect("an older version");
    for (id, status) in [
        ("a", DeliveryStatus::Pending),
        ("b", DeliveryStatus::Dead),
        ("c", DeliveryStatus::Delivered),
    ] {
        let kept = keep_as_version_1(id, status);
        client.batch_execute(&kept).await.expect("is kept");
    }
    (client, url)
}

/// As version 1 leases what is due of a webhook, and says which events those are of.
async fn lease_as_version_1(client: &Client) -> Vec<String> {
    let sql = "WITH picked AS MATERIALIZED (
             SELECT group_uid, event_id, n FROM deliveries WHERE webhook_uid = 'w' AND status = 1 AND due <= 2 ORDER BY due, seq LIMIT 9 FOR UPDATE SKIP LOCKED
         ), d AS (
             UPDATE deliveries SET status = 2, attempts = attempts + 1, due = due + 60000, lease = 7, updated = 2, reason = '' FROM picked
             WHERE deliveries.group_uid = picked.group_uid AND deliveries.event_id = picked.event_id AND deliveries.n = picked.n
             RETURNING deliveries.*
         ) SELECT event_id FROM d ORDER BY seq";
    let rows = client.query(sql, &[]).await.expect("leases");
    rows.iter().map(|row| row.get(0)).collect()
}

/// The sessions that are at such a statement and wait for a lock.
fn waiting_at(statement: &str) -> String {
    format!(
        "SELECT coalesce(min(pid), 0) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%{statement}%' AND pid <> pg_backend_pid()"
    )
}

/// Until there is one.
async fn waits_at(client: &Client, statement: &str) -> i32 {
    let sql = waiting_at(statement);
    let pid = eventually(async || {
        let pid: i32 = one(client, &sql).await;
        Ok((pid != 0).then_some(pid))
    });
    pid.await.expect("it gets there")
}

/// As version 1 keeps an event with one delivery.
fn keep_as_version_1(id: &str, status: DeliveryStatus) -> String {
    let event = v1::Event {
        id: id.into(),
        org: "acme".into(),
        group_uid: "g".into(),
        r#type: "order.paid".into(),
        format: v1::PayloadFormat::Json.into(),
        body: format!(r#"{{"name":"word{id}"}}"#).into_bytes().into(),
        ..Default::default()
    };
    let record: String = event
        .encode_to_vec()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let status = status as i32;
    format!(
        "INSERT INTO hookplane.events (group_uid, id, seq, org, group_name, type, received, kept, deliveries, flags, record)
             VALUES ('g', '{id}', hookplane.line_place(), 'acme', 'shop', 'order.paid', 1, 1, 1, 0, '\\x{record}');
         INSERT INTO hookplane.deliveries (group_uid, event_id, n, seq, org, webhook_uid, webhook, status, attempts, due, lease, created, updated,
                 reason, idempotency_key)
             VALUES ('g', '{id}', 1, hookplane.line_place() + 1, 'acme', 'w', 'paid', {status}, 1, 1, 0, 1, 1, '', 'key-{id}');"
    )
}

// Risk 4: what was kept is there after the step to a newer version, whichever of several replicas does it, and one that still runs the older program
// goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_version_1_is_brought_up_by_one_of_two_replicas() {
    let (client, url) = of_version_1().await;
    let (first, second) = tokio::join!(open_once(&url), open_once(&url));
    let (first, second) = (first.expect("opens"), second.expect("opens"));
    assert_eq!(meta(&client).await, "version 3");
    let kept = keep_as_version_1("d", DeliveryStatus::Pending);
    client.batch_execute(&kept).await.expect("is kept");
    keep(&*second, "e").await;
    let queue = Queue::of_subscribers("w");
    let leases = first.lease(&queue, 10, MINUTE).await.expect("leases");
    let ids: Vec<_> = leases.iter().map(|lease| &*lease.delivery.id).collect();
    assert_eq!(ids, ["a-1", "d-1", "e-1"]);
    let ack = Settle {
        token: leases[0].token.clone(),
        settlement: Settlement::Ack,
        attempt: Some(v1::Attempt::default()),
    };
    assert_eq!(second.settle(vec![ack]).await, Ok(vec![true]));
    let read = first.delivery("a-1").await.expect("there");
    assert_eq!((read.history.len(), read.mapping_version), (1, 0));
    assert_eq!(first.replay(&["b-1".to_owned().into()]).await, Ok(1));
    while first.index().await.expect("indexes") {}
    let text = Selection {
        text: Some("worda".into()),
        ..Selection::default()
    };
    let found = second.events(&text, None, 10).await.expect("reads");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1.id, "a");
    assert_eq!(second.usage().await.expect("reads")[0].events, 5);
    let (lines, _) = second
        .tail(&Selection::default(), Cursor(0), false, 10)
        .await
        .expect("reads");
    let ids: Vec<_> = lines.iter().map(|line| &*line.event.id).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
    for log in [first, second] {
        log.close().await;
    }
    open(&url).await.expect("opens again").close().await;
}

// Risk 4: the same a version later. What version 2 made isn't made again, its replicas go on, and those of this one count together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_version_2_is_brought_up_and_counts_for_charts() {
    let (older, url) = of_version(2, &format!("{VERSION_1}; {VERSION_2}")).await;
    let (first, second) = tokio::join!(open_once(&url), open_once(&url));
    let logs = [first.expect("opens"), second.expect("opens")];
    assert_eq!(meta(&older).await, "version 3");
    assert_eq!(indices(&older).await, indices_of_a_new_one().await);
    let kept = keep_as_version_1("d", DeliveryStatus::Pending);
    older.batch_execute(&kept).await.expect("is kept");
    let leases = logs[1].lease(&Queue::of_subscribers("w"), 9, MINUTE).await;
    let leases = leases.expect("leases");
    let ids: Vec<_> = leases.iter().map(|lease| &*lease.event.id).collect();
    assert_eq!(ids, ["a", "d"]);
    let one = Activity {
        delivered: 1,
        ..Activity::default()
    };
    for (count, log) in (1..).zip(&logs) {
        log.notes().happened("acme", "g", Timestamp(0), one);
        let told = log.notes().activity(ActivityOf::Org("acme"), Timestamp(0));
        let told = told.await.expect("reads");
        assert_eq!((told.len(), told[0].1.delivered), (1, count));
        // Written at the latest when it ends.
        log.close().await;
    }
}

/// The version, and how far the step to the next one is.
async fn meta(client: &Client) -> String {
    let sql = "SELECT string_agg(name || ' ' || value, ', ' ORDER BY name DESC) FROM meta WHERE name IN ('version', 'step')";
    one(client, sql).await
}

// Risk 4: whoever brings a log up may be ended at any moment; the next one does the rest, and nothing of it twice. Meanwhile older replicas keep, lease and
// settle. Take the notes of steps, the look at an index that was left half-way or the turn out, and it ends in an error or begins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_broken_off_is_gone_on_with_while_older_replicas_work() {
    /// Being built, or dropped since it is half built, which waits for `slow` as well.
    const INDEX: &str = "INDEX CONCURRENTLY events_unmatched_by_seq";
    let (older, url) = of_version_1().await;
    // What another older replica is at holds the index back, and so this test can look.
    let slow = client(&url).await;
    let kept = keep_as_version_1("slow", DeliveryStatus::Held);
    let (event, _) = kept.split_once(';').expect("two statements");
    slow.batch_execute(&format!("BEGIN; {event}"))
        .await
        .expect("keeps");

    // The first replica's session is ended.
    let opening = || {
        let url = url.clone();
        tokio::spawn(async move { open_once(&url).await })
    };
    let first = opening();
    let pid = waits_at(&older, INDEX).await;
    assert_eq!(meta(&older).await, "version 1, step 2.7");
    older
        .execute("SELECT pg_terminate_backend($1)", &[&pid])
        .await
        .expect("ends it");
    let broken = first.await.expect("no panic").err().expect("not opened");
    assert!(matches!(broken, LogError::Unavailable(_)), "{broken}");
    let half = "SELECT count(*) FROM pg_index WHERE indexrelid = 'events_unmatched_by_seq'::regclass AND NOT indisvalid";
    assert_eq!(one::<i64>(&older, half).await, 1);
    let done = "SELECT 'deliveries_pending_own'::regclass::oid::bigint";
    let was: i64 = one(&older, done).await;
    let half_built = "SELECT 'events_unmatched_by_seq'::regclass::oid::bigint";
    let was_half_built: i64 = one(&older, half_built).await;

    // Older ones work.
    let kept = keep_as_version_1("d", DeliveryStatus::Pending);
    older.batch_execute(&kept).await.expect("is kept");
    assert_eq!(lease_as_version_1(&older).await, ["a", "d"]);
    let settled = "UPDATE deliveries SET status = 3, lease = 0 WHERE lease = 7 AND event_id = 'a'";
    assert_eq!(older.execute(settled, &[]).await.expect("settles"), 1);

    // The second is killed, which the server notices in the middle of what it does.
    let second = opening();
    waits_at(&older, INDEX).await;
    second.abort();
    drop(second.await);
    let sql = waiting_at(INDEX);
    eventually(async || Ok((one::<i32>(&older, &sql).await == 0).then_some(())))
        .await
        .expect("its session ends");

    // Two at once, of which one waits for the other.
    let both = [opening(), opening()];
    waits_at(&older, INDEX).await;
    assert_eq!(meta(&older).await, "version 1, step 2.7");
    slow.batch_execute("COMMIT").await.expect("commits");
    let mut logs = Vec::new();
    for one in both {
        logs.push(one.await.expect("no panic").expect("opens"));
    }
    assert_eq!(meta(&older).await, "version 3");
    assert_eq!(one::<i64>(&older, done).await, was, "not built twice");
    let is_half_built = one::<i64>(&older, half_built).await == was_half_built;
    assert!(!is_half_built, "built anew");
    let broken = "SELECT count(*) FROM pg_index WHERE NOT indisvalid OR NOT indisready";
    assert_eq!(one::<i64>(&older, broken).await, 0);
    assert_eq!(indices(&older).await, indices_of_a_new_one().await);
    for log in &logs {
        let delivery = log.delivery("a-1").await.expect("there");
        assert_eq!(delivery.status(), DeliveryStatus::Delivered);
    }
    keep(&*logs[0], "e").await;
    let leases = logs[1].lease(&Queue::of_subscribers("w"), 9, MINUTE).await;
    let leases = leases.expect("leases");
    let ids: Vec<_> = leases.iter().map(|lease| &*lease.event.id).collect();
    assert_eq!(ids, ["d", "e"], "the older one's lease ran out long ago");
    for log in logs {
        log.close().await;
    }
}

/// What there is beside the rows, as it is defined.
async fn indices(client: &Client) -> Vec<String> {
    let sql = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'hookplane'
         UNION ALL SELECT table_name || '.' || column_name || ' ' || data_type || coalesce(column_default, '') FROM information_schema.columns
             WHERE table_schema = 'hookplane'
         UNION ALL SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger WHERE NOT tgisinternal
         UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'hookplane'::regnamespace
         ORDER BY 1";
    let rows = client.query(sql, &[]).await.expect("reads");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn indices_of_a_new_one() -> Vec<String> {
    let dir = tempfile::tempdir().expect("a directory");
    let url = InPostgres::shared().url(dir.path());
    open(&url).await.expect("opens").close().await;
    indices(&client(&url).await).await
}

// Risk 43: a step that needs a table for itself, while somebody is long at it, keeps nobody else waiting for longer than an answer may take. Let it wait for as
// long as it takes, and the older replica's appends wait behind it and fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_older_replicas_keep_does_not_wait_behind_a_step() {
    let (older, url) = of_version_1().await;
    let slow = client(&url).await;
    slow.batch_execute("BEGIN; LOCK TABLE deliveries IN ROW EXCLUSIVE MODE")
        .await
        .expect("locks");
    let opening = {
        let url = url.clone();
        tokio::spawn(async move { open(&url).await })
    };
    waits_at(&older, "ALTER TABLE deliveries").await;
    for number in 0..20 {
        let kept = keep_as_version_1(&format!("n{number:02}"), DeliveryStatus::Pending);
        older.batch_execute(&kept).await.expect("is kept in time");
    }
    assert_eq!(meta(&older).await, "version 1");
    slow.batch_execute("COMMIT").await.expect("commits");
    let log = opening.await.expect("no panic").expect("opens");
    let leases = log.lease(&Queue::of_subscribers("w"), 99, MINUTE).await;
    assert_eq!(leases.expect("leases").len(), 21);
    log.close().await;
}
