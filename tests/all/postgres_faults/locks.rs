//! Replicas that want the same rows.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{DeliveryLog, NewCallback};
use hookplane_tests::log_suite::{callback, key, shared_keys};
use tokio_postgres::NoTls;

use super::{
    PATIENCE, SHORT, append, assert_unavailable, kept, open, open_with, options, shared, until_sql,
};

/// As long as a busy machine may take for what waits for nobody. Whoever is in the way here stays for longer.
const BUDGET: Duration = Duration::from_secs(20);

// Risk 43: a transaction that holds keys and doesn't end costs whoever wants those keys their answer, and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn held_keys_block_nobody_else() {
    let postgres = shared();
    let url = postgres.database("held");
    // Few, so that whoever waits behind those that are blocked shares their transactions.
    let log = open_with(PostgresOptions {
        writers: 2,
        ..options(&url)
    })
    .await
    .expect("opens");
    let (holder, connection) =
        tokio_postgres::connect(&postgres.node_url(postgres.primary(), "held"), NoTls)
            .await
            .expect("connects");
    let connection = tokio::spawn(connection);
    holder
        .batch_execute(
            "BEGIN; INSERT INTO hookplane.dedup
                 SELECT 'g', decode('01' || repeat(lpad(to_hex(i), 2, '0'), 16), 'hex'), 'x', '', 0 FROM generate_series(1, 40) i",
        )
        .await
        .expect("holds the keys");
    let ask = |id: String, delivery: Option<u8>, patience: Duration| {
        let log = log.clone();
        let new = callback(&id, delivery, None, 0);
        tokio::spawn(async move { (append(&log, new, patience).await, id) })
    };
    // Amid the others, and waiting for as long as it is held.
    let mut blocked = Vec::new();
    let mut others = Vec::new();
    for number in 1..=40 {
        others.push(ask(format!("e{number}"), Some(100 + number), BUDGET));
        blocked.push(ask(format!("b{number}"), Some(number), PATIENCE));
    }
    for other in others {
        let (answer, id) = other.await.expect("doesn't panic");
        assert_eq!(answer, kept(&id));
    }
    // And those who come later, one of them for a key that is held.
    let resent = ask("resent".into(), Some(7), SHORT);
    for number in 200..220 {
        let (answer, id) = ask(format!("e{number}"), Some(number), BUDGET)
            .await
            .expect("doesn't panic");
        assert_eq!(answer, kept(&id));
    }
    assert_unavailable(&resent.await.expect("doesn't panic").0);
    assert!(blocked.iter().all(|blocked| !blocked.is_finished()));
    holder
        .batch_execute("ROLLBACK")
        .await
        .expect("lets them go");
    for blocked in blocked {
        let (answer, id) = blocked.await.expect("doesn't panic");
        assert_eq!(answer, kept(&id));
    }
    drop(holder);
    connection.abort();
    log.close().await;
}

/// Many events whose keys come in either order.
fn crossing(prefix: &str, round: usize, backwards: bool) -> NewCallback {
    let mut new = callback("", None, None, 0);
    let one = new.events.remove(0);
    for item in 0..400 {
        let mut event = one.clone();
        event.event.id = format!("{prefix}-{round}-{item:03}");
        event.event.body = Vec::new().into();
        event.dedup.delivery_key = Some(key(&format!("{item:03}-{round}")));
        new.events.push(event);
    }
    if backwards {
        new.events.reverse();
    }
    new
}

// Risk 43: keys are taken in one order, so that replicas wait for one another in one direction only: with a key in the middle held, two callbacks with
// the same keys in opposite orders wait for it both, or one for the other; else each of them has what the other wants next.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn crossing_callbacks_of_two_replicas_never_deadlock() {
    let postgres = shared();
    let url = postgres.database("crossing");
    // Before a wait for a row is given up.
    postgres.sql(
        "postgres",
        "ALTER DATABASE crossing SET deadlock_timeout = '20ms'",
    );
    let (one, other) = (open(&url).await, open(&url).await);
    let (holder, connection) =
        tokio_postgres::connect(&postgres.node_url(postgres.primary(), "crossing"), NoTls)
            .await
            .expect("connects");
    let connection = tokio::spawn(connection);
    for round in 0..3 {
        let hold = format!(
            "BEGIN; INSERT INTO hookplane.dedup
                 VALUES ('g', decode('01' || rpad(encode('200-{round}', 'hex'), 32, '0'), 'hex'), 'x', '', 0)"
        );
        holder.batch_execute(&hold).await.expect("holds the key");
        let ask = |log: &Arc<PostgresLog>, prefix: &'static str, backwards: bool| {
            let log = log.clone();
            let new = crossing(prefix, round, backwards);
            tokio::spawn(async move { append(&log, new, PATIENCE).await })
        };
        let (a, b) = (ask(&one, "a", false), ask(&other, "b", true));
        let both_wait = "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = 'crossing' AND wait_event_type = 'Lock'";
        until_sql(postgres, "postgres", both_wait, "t").await;
        holder.batch_execute("ROLLBACK").await.expect("lets it go");
        for answer in [a, b] {
            let answer = answer.await.expect("doesn't panic");
            assert!(answer.is_ok(), "round {round}: {answer:?}");
        }
    }
    drop(holder);
    connection.abort();
    one.close().await;
    other.close().await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'crossing'";
    assert_eq!(postgres.sql("postgres", deadlocks), "0");
    let events = postgres.sql("crossing", "SELECT count(*) FROM hookplane.events");
    assert_eq!(events, (3 * 400).to_string(), "each key once");
}

// Risk 43: a replica that is frozen in the middle of its appends leaves no transaction open that others would wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn frozen_replica_holds_up_nobody() {
    let url = shared().database("frozen");
    let log = open(&url).await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_postgres-child"))
        .arg(&url)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
    let id = child.id().to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &id]).status();
        assert!(sent.expect("kill runs").success());
    };
    for round in 0..5 {
        let mut number = 0;
        for _ in 0..3 {
            let line = lines.next().expect("goes on").expect("reads");
            number = line.parse().expect("a number");
        }
        signal("-STOP");
        // What it was at when it was frozen is among these.
        for number in number..number + 6 {
            let again = shared_keys(&format!("ours-{round}"), number);
            let answer = append(&log, again, BUDGET).await;
            assert!(answer.is_ok(), "round {round}, {number}: {answer:?}");
        }
        signal("-CONT");
    }
    child.kill().expect("ends");
    child.wait().expect("has ended");
    log.close().await;
}
