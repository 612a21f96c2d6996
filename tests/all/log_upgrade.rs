//! Logs that an older program made: here in PostgreSQL.

mod embedded;

use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{
    Cursor, DeliveryLog, LogError, Queue, Selection, Settle, Settlement,
};
use hookplane_proto::v1::{self, DeliveryStatus};
use hookplane_tests::log_suite::backends::{InPostgres, open_postgres};
use hookplane_tests::log_suite::keep;
use prost::Message;

/// As version 1 made its tables.
const VERSION_1: &str = include_str!("../../control-plane/src/log/postgres/schema.sql");
const MINUTE: Duration = Duration::from_secs(60);

async fn open(url: &str) -> Result<Arc<PostgresLog>, LogError> {
    let options = PostgresOptions {
        url: url.to_owned(),
        accept_weaker_durability: true,
        ..PostgresOptions::default()
    };
    open_postgres(options, Arc::default()).await
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
    let dir = tempfile::tempdir().expect("a directory");
    let url = InPostgres::shared().url(dir.path());
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let driver = tokio::spawn(connection);
    let key = "07".repeat(32);
    client
        .batch_execute(&format!(
            "BEGIN; CREATE SCHEMA hookplane; SET LOCAL search_path = hookplane, pg_catalog; {VERSION_1};
             CREATE FUNCTION weaker_durability_v1() RETURNS text LANGUAGE sql STABLE AS $$ SELECT '' $$;
             INSERT INTO meta (name, value) VALUES ('version', '1'), ('token_key', '{key}'); COMMIT"
        ))
        .await
        .expect("version 1");
    for (id, status) in [
        ("a", DeliveryStatus::Pending),
        ("b", DeliveryStatus::Dead),
        ("c", DeliveryStatus::Delivered),
    ] {
        let kept = keep_as_version_1(id, status);
        client.batch_execute(&kept).await.expect("is kept");
    }
    let (one, two) = tokio::join!(open(&url), open(&url));
    let (one, two) = (one.expect("opens"), two.expect("opens"));
    let version = client
        .query_one(
            "SELECT value FROM hookplane.meta WHERE name = 'version'",
            &[],
        )
        .await
        .expect("reads");
    assert_eq!(version.get::<_, &str>(0), "2");
    let kept = keep_as_version_1("d", DeliveryStatus::Pending);
    client.batch_execute(&kept).await.expect("is kept");
    keep(&*two, "e").await;
    let queue = Queue::of_subscribers("w");
    let leases = one.lease(&queue, 10, MINUTE).await.expect("leases");
    let ids: Vec<_> = leases.iter().map(|lease| &*lease.delivery.id).collect();
    assert_eq!(ids, ["a-1", "d-1", "e-1"]);
    let ack = Settle {
        token: leases[0].token.clone(),
        settlement: Settlement::Ack,
        attempt: Some(v1::Attempt::default()),
    };
    assert_eq!(two.settle(vec![ack]).await, Ok(vec![true]));
    let read = one.delivery("a-1").await.expect("there");
    assert_eq!((read.history.len(), read.mapping_version), (1, 0));
    assert_eq!(one.replay(&["b-1".to_owned().into()]).await, Ok(1));
    while one.index().await.expect("indexes") {}
    let text = Selection {
        text: Some("worda".into()),
        ..Selection::default()
    };
    let found = two.events(&text, None, 10).await.expect("reads");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1.id, "a");
    assert_eq!(two.usage().await.expect("reads")[0].events, 5);
    let (lines, _) = two
        .tail(&Selection::default(), Cursor(0), false, 10)
        .await
        .expect("reads");
    let ids: Vec<_> = lines.iter().map(|line| &*line.event.id).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
    for log in [one, two] {
        log.close().await;
    }
    drop(client);
    driver.await.expect("ends").expect("well");
    open(&url).await.expect("opens again").close().await;
}
