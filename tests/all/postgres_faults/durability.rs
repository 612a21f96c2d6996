//! A server that is set to lose what it acknowledges.

use hookplane_control_plane::log::postgres::PostgresOptions;
use hookplane_control_plane::log::{DeliveryLog, LogError};
use hookplane_proto::v1;
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::callback;

use super::{PATIENCE, append, assert_unavailable, kept, open, open_with, options, until_sql};
use crate::fake_control_plane::eventually;

const WEAKER: [(&str, &str); 6] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
    ("synchronous_commit", "local"),
    ("synchronous_commit", "remote_write"),
    ("synchronous_standby_names", ""),
];

async fn set(postgres: &Postgres, name: &str, value: &str) {
    postgres.sql("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"));
    postgres.sql("postgres", "SELECT pg_reload_conf()");
    until_sql(postgres, "postgres", &format!("SHOW {name}"), value).await;
}

async fn reset(postgres: &Postgres, name: &str) {
    let before = postgres.sql("postgres", &format!("SHOW {name}"));
    postgres.sql("postgres", &format!("ALTER SYSTEM RESET {name}"));
    postgres.sql("postgres", "SELECT pg_reload_conf()");
    let changed = format!("SELECT current_setting('{name}') <> '{before}'");
    until_sql(postgres, "postgres", &changed, "t").await;
}

// Risk 2.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn weaker_server_is_refused_at_the_start_or_shown_where_it_is_accepted() {
    let postgres = Postgres::start_pair();
    let url = postgres.database("d");
    for (number, (name, value)) in WEAKER.into_iter().enumerate() {
        set(&postgres, name, value).await;
        let error = open_with(options(&url)).await.err().expect("is refused");
        assert!(
            matches!(&error, LogError::Failed(why) if why.contains(&format!("set {name}"))),
            "{name} = {value}: {error}"
        );
        let accepting = PostgresOptions {
            accept_weaker_durability: true,
            ..options(&url)
        };
        let log = open_with(accepting).await.expect("opens");
        let id = format!("e{number}");
        let answer = append(&log, callback(&id, None, None, 0), PATIENCE).await;
        assert_eq!(answer, kept(&id));
        assert_eq!(log.receipt(), v1::Receipt::Degraded);
        let durability = log.durability();
        assert_eq!(durability.reasons.len(), 1, "{durability:?}");
        assert!(durability.reasons[0].contains(name), "{durability:?}");
        log.close().await;
        reset(&postgres, name).await;
    }
    let log = open(&url).await;
    assert_eq!(log.receipt(), v1::Receipt::Replicated);
    assert!(log.durability().reasons.is_empty());
    log.close().await;
}

// Risk 2: the setting changes under a log that is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn server_that_becomes_weaker_is_refused_from_then_on_and_taken_again_once_it_is_well() {
    let postgres = Postgres::start_pair();
    let url = postgres.database("d");
    let strict = open(&url).await;
    let accepting = PostgresOptions {
        accept_weaker_durability: true,
        ..options(&url)
    };
    let accepting = open_with(accepting).await.expect("opens");
    let weaker = [WEAKER[0], WEAKER[3], WEAKER[5]];
    for (number, (name, value)) in weaker.into_iter().enumerate() {
        let new = |kind: &str| callback(&format!("{kind}{number}"), None, None, 0);
        for log in [&strict, &accepting] {
            assert_eq!(log.receipt(), v1::Receipt::Replicated);
        }
        let answer = append(&strict, new("before"), PATIENCE).await;
        assert_eq!(answer, kept(&format!("before{number}")));
        set(&postgres, name, value).await;
        // At once: it is the append itself that asks, in its own transaction.
        let refused = append(&strict, new("meanwhile"), PATIENCE).await;
        assert_unavailable(&refused);
        let why = refused.expect_err("refused").to_string();
        assert!(why.contains(&format!("set {name}")), "{why}");
        assert_unavailable(&append(&strict, new("still"), PATIENCE).await);
        let id = format!("accepted{number}");
        assert_eq!(
            append(&accepting, new("accepted"), PATIENCE).await,
            kept(&id)
        );
        assert_eq!(accepting.receipt(), v1::Receipt::Degraded);
        reset(&postgres, name).await;
        let well = eventually(async || {
            let kept = append(&strict, new("after"), PATIENCE).await.is_ok();
            let well = kept && accepting.receipt() == v1::Receipt::Replicated;
            Ok(well.then_some(()))
        });
        well.await
            .unwrap_or_else(|error| panic!("{name}: it is well again: {error}"));
        let sql = format!("SELECT count(*) FROM hookplane.events WHERE id = 'still{number}'");
        assert_eq!(postgres.sql("d", &sql), "0");
    }
    strict.close().await;
    accepting.close().await;
}
