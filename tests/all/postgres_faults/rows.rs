//! Rows that can't be written, room that is short, statements that are given up, and callbacks of any size.

use std::net::SocketAddr;
use std::time::Duration;

use hookplane_control_plane::log::postgres::PostgresOptions;
use hookplane_control_plane::log::{Appended, DeliveryLog, LogError};
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::{callback, key};
use hookplane_tests::proxy::Proxy;
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls};

use super::{
    PATIENCE, SHORT, append, assert_unavailable, kept, open, open_with, options, shared, until_sql,
};

/// Has PostgreSQL fail, with this code, whatever puts such events in.
fn fail_events(postgres: &Postgres, database: &str, ids: &str, code: &str) {
    postgres.sql(
        database,
        &format!(
            "CREATE FUNCTION hookplane.fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'as the test wants it'; END $$;
             CREATE TRIGGER fails BEFORE INSERT ON hookplane.events FOR EACH ROW WHEN (NEW.id LIKE '{ids}') EXECUTE FUNCTION hookplane.fails()"
        ),
    );
}

/// Somebody else's transaction that has all keys.
async fn hold_all_keys(database: &str) -> Client {
    let postgres = shared();
    let url = postgres.node_url(postgres.primary(), database);
    let (client, connection) = tokio_postgres::connect(&url, NoTls)
        .await
        .expect("connects");
    tokio::spawn(connection);
    client
        .batch_execute("BEGIN; LOCK TABLE hookplane.dedup IN EXCLUSIVE MODE")
        .await
        .expect("locks");
    client
}

// Risk 43: an event that PostgreSQL can't put in, for whatever reason, costs its own callback the answer, and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn event_that_always_fails_blocks_nobody_else() {
    let postgres = shared();
    // A page that is damaged; a value that is wrong; an error in PostgreSQL itself; a statement that is ended each time.
    for (number, code) in ["XX001", "22000", "XX000", "57014"].iter().enumerate() {
        let database = format!("fails{number}");
        let log = open_with(PostgresOptions {
            writers: 1,
            ..options(&postgres.database(&database))
        })
        .await
        .expect("opens");
        fail_events(postgres, &database, "bad%", code);
        let ask = |id: String, patience: Duration| {
            let log = log.clone();
            let new = callback(&id, None, None, 0);
            tokio::spawn(async move { (append(&log, new, patience).await, id) })
        };
        let mut bad = Vec::new();
        let mut good = Vec::new();
        for number in 0..5 {
            bad.push(ask(format!("bad{number}"), SHORT));
            good.extend((0..4).map(|item| ask(format!("e{number}{item}"), PATIENCE / 2)));
        }
        for good in good {
            let (answer, id) = good.await.expect("doesn't panic");
            assert_eq!(answer, kept(&id), "{code}");
        }
        for bad in bad {
            let (answer, _) = bad.await.expect("doesn't panic");
            assert!(answer.is_err(), "{code}: {answer:?}");
        }
        log.close().await;
    }
}

// Risk 9: what PostgreSQL has no room for is not kept, is said to be so, and goes on once there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn server_without_room_keeps_nothing_and_goes_on_once_it_has_some() {
    let postgres = shared();
    let log = open(&postgres.database("room")).await;
    fail_events(postgres, "room", "%", "53100");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = append(&log, callback("lost", None, None, 0), SHORT).await;
        assert_unavailable(&answer);
        let why = answer.expect_err("no room").to_string();
        // Unless its time was up in the middle of a statement.
        if why.contains("free some on PostgreSQL's disk") {
            break;
        }
        assert!(Instant::now() < deadline, "{why}");
    }
    let waiting = {
        let log = log.clone();
        let new = callback("waits", None, None, 0);
        tokio::spawn(async move { append(&log, new, PATIENCE).await })
    };
    postgres.sql("room", "DROP TRIGGER fails ON hookplane.events");
    assert_eq!(waiting.await.expect("doesn't panic"), kept("waits"));
    let ids = postgres.sql("room", "SELECT id FROM hookplane.events");
    assert_eq!(ids, "waits");
    log.close().await;
}

// Risk 9: what waits is bounded in number and in bytes; one more is refused at once, and those that were let in are kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn full_queue_refuses_at_once_and_keeps_what_it_let_in() {
    let postgres = shared();
    let number = PostgresOptions {
        queue_callbacks: 4,
        ..PostgresOptions::default()
    };
    let bytes = PostgresOptions {
        queue_bytes: 8 << 10,
        ..PostgresOptions::default()
    };
    for (database, limits) in [("number", number), ("bytes", bytes)] {
        let log = open_with(PostgresOptions {
            url: postgres.database(database),
            writers: 1,
            batch_callbacks: 2,
            ..limits
        })
        .await
        .expect("opens");
        let holder = hold_all_keys(database).await;
        let mut let_in = Vec::new();
        let refused = loop {
            let id = format!("e{}", let_in.len());
            let mut new = callback(&id, None, None, 0);
            new.events[0].dedup.delivery_key = Some(key(&id));
            let asked = log.clone();
            let mut answer = tokio::spawn(async move { append(&asked, new, PATIENCE).await });
            // As long as nothing can be kept, the only answer is a refusal.
            match tokio::time::timeout(Duration::from_millis(50), &mut answer).await {
                Ok(refused) => break refused.expect("doesn't panic"),
                Err(_) => let_in.push(answer),
            }
            assert!(let_in.len() < 20, "{database}: it takes any number");
        };
        assert!(
            matches!(&refused, Err(LogError::Unavailable(why)) if why.contains("wait to be written")),
            "{refused:?}"
        );
        holder.batch_execute("ROLLBACK").await.expect("lets go");
        let mut were_kept = 0;
        for (number, answer) in let_in.into_iter().enumerate() {
            match answer.await.expect("doesn't panic") {
                // On a busy machine it comes late.
                Err(LogError::Unavailable(why)) if why.contains("wait to be written") => {}
                answer => {
                    assert_eq!(answer, kept(&format!("e{number}")));
                    were_kept += 1;
                }
            }
        }
        assert!(were_kept >= 4, "{database}: {were_kept}");
        log.close().await;
    }
}

// Risk 9: a statement that is at work when its time is up is ended, and leaves nothing behind: no row, no transaction, no connection for the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn append_that_is_given_up_is_ended_at_the_server() {
    let postgres = shared();
    let log = open_with(PostgresOptions {
        writers: 1,
        ..options(&postgres.database("given-up"))
    })
    .await
    .expect("opens");
    let holder = hold_all_keys("given-up").await;
    let patience = Duration::from_millis(300);
    let answer = append(&log, callback("late", Some(1), None, 0), patience).await;
    assert_unavailable(&answer);
    let at_work = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'given-up' AND application_name = 'hookplane'
        AND (state LIKE 'idle in transaction%' OR wait_event_type = 'Lock')";
    until_sql(postgres, "postgres", at_work, "0").await;
    holder.batch_execute("ROLLBACK").await.expect("lets go");
    let answer = append(&log, callback("next", Some(2), None, 0), PATIENCE).await;
    assert_eq!(answer, kept("next"));
    let ids = postgres.sql("given-up", "SELECT id FROM hookplane.events");
    assert_eq!(ids, "next");
    log.close().await;
}

// Risk 6: a connection that breaks after the statement arrived and before its answer: the callback is sent again, and is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answer_that_is_lost_on_its_way_is_asked_for_again() {
    let postgres = shared();
    let url = postgres.database("lost");
    let primary: SocketAddr = postgres.endpoints()[postgres.primary()]
        .parse()
        .expect("an address");
    let proxy = Proxy::to(primary).await.expect("starts");
    let at = url.find('@').expect("a user");
    let address = proxy.address;
    let through = format!("{}@{address}/lost", &url[..at]);
    let log = open(&through).await;
    let ask = |id: &'static str| {
        let log = log.clone();
        let new = callback(id, Some(3), None, 0);
        tokio::spawn(async move { append(&log, new, PATIENCE).await })
    };
    let warm = append(&log, callback("warm", Some(1), None, 0), PATIENCE).await;
    assert_eq!(warm, kept("warm"));
    proxy.swallow_answers();
    let answer = ask("a");
    let there = "SELECT count(*) FROM hookplane.events WHERE id = 'a'";
    until_sql(postgres, "lost", there, "1").await;
    proxy.cut_open();
    assert_eq!(answer.await.expect("doesn't panic"), kept("a"));
    let duplicate = Ok(Appended::Duplicate { of: "a".into() });
    assert_eq!(ask("resent").await.expect("doesn't panic"), duplicate);
    let rows = "SELECT (SELECT count(*) FROM hookplane.events) || ' ' || (SELECT count(*) FROM hookplane.deliveries)";
    assert_eq!(postgres.sql("lost", rows), "2 2");
    log.close().await;
}

// Risk 9: the largest callbacks that listeners send are kept, whatever the size of a batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_events_and_the_largest_body_are_each_kept_whole() {
    let postgres = shared();
    let log = open(&postgres.database("large")).await;
    let mut many = callback("", None, None, 0);
    let one = many.events.remove(0);
    for number in 0..10_000 {
        let mut event = one.clone();
        event.event.id = format!("many{number:05}");
        event.event.body = vec![b'x'; 64].into();
        event.dedup.delivery_key = Some(key(&event.event.id));
        many.events.push(event);
    }
    let mut large = callback("large", Some(1), None, 0);
    large.events[0].event.body = vec![b'x'; 25 << 20].into();
    let (many, large) = tokio::join!(append(&log, many, PATIENCE), append(&log, large, PATIENCE));
    assert_eq!(large, kept("large"));
    assert!(
        matches!(&many, Ok(Appended::Kept { event_ids }) if event_ids.len() == 10_000),
        "{:?}",
        many.as_ref().err()
    );
    let event = log.event("large").await.expect("reads");
    assert_eq!(event.body.len(), 25 << 20);
    let rows = "SELECT (SELECT count(*) FROM hookplane.events) || ' ' || (SELECT count(*) FROM hookplane.deliveries)";
    assert_eq!(postgres.sql("large", rows), "10001 10001");
    log.close().await;
}
