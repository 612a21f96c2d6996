//! Who makes the tables, and who may open them.

use std::sync::Arc;

use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::log::postgres::PostgresLog;
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::callback;

use super::{PATIENCE, append, kept, open, open_with, options, shared};

/// Replicas of a new installation start at once, and each of them works.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_are_made_once_by_whoever_comes_first() {
    let postgres = shared();
    for round in 0..2 {
        let url = postgres.database(&format!("opened{round}"));
        let starters: Vec<_> = (0..4)
            .map(|_| {
                tokio::spawn(PostgresLog::open(
                    options(&url),
                    Arc::new(TestClock::default()),
                ))
            })
            .collect();
        for (number, starter) in starters.into_iter().enumerate() {
            let opened = starter.await.expect("doesn't panic");
            let log = opened.unwrap_or_else(|error| panic!("replica {number} opens: {error}"));
            let id = format!("e{number}");
            let answer = append(&log, callback(&id, None, None, 0), PATIENCE).await;
            assert_eq!(answer, kept(&id));
            log.close().await;
        }
        let keys = "SELECT count(*) FROM hookplane.meta WHERE name IN ('version', 'token_key')";
        assert_eq!(postgres.sql(&format!("opened{round}"), keys), "2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tables_of_a_newer_program_are_refused_and_a_user_without_ddl_may_open() {
    let postgres = shared();
    let url = postgres.database("newer");
    let log = open(&url).await;
    log.close().await;

    postgres.sql(
        "newer",
        "CREATE ROLE app LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA hookplane TO app;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA hookplane TO app",
    );
    let (_, hosts) = url.split_once('@').expect("has a user");
    let log = open(&format!("postgres://app:p@{hosts}")).await;
    let answer = append(&log, callback("a", Some(1), None, 0), PATIENCE).await;
    assert_eq!(answer, kept("a"));
    log.close().await;

    postgres.sql(
        "newer",
        "UPDATE hookplane.meta SET value = '99' WHERE name = 'version'",
    );
    let error = open_with(options(&url)).await.err().expect("is refused");
    assert!(error.to_string().contains("use a newer program"), "{error}");
}
