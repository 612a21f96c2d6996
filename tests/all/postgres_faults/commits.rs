//! A primary that is killed, gone, or frozen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{Appended, DeliveryLog, Queue};
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::{callback, numbered, numbered_events};
use tokio::time::Instant;

use super::{
    PATIENCE, SHORT, append, assert_unavailable, kept, open, open_with, options, until_sql,
};
use crate::fake_control_plane::until;

// Risk 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_acknowledged_while_the_server_is_gone() {
    let mut postgres = Postgres::start_pair();
    let log = open(&postgres.database("d")).await;
    let primary = postgres.primary();
    postgres.kill(primary);
    let callers: Vec<_> = (0..300)
        .map(|number| {
            let log = log.clone();
            let new = callback(&format!("gone{number}"), None, None, 0);
            tokio::spawn(async move { append(&log, new, SHORT).await })
        })
        .collect();
    for caller in callers {
        assert_unavailable(&caller.await.expect("doesn't panic"));
    }
    postgres.restart(primary);
    let answer = append(&log, callback("after", None, None, 0), PATIENCE).await;
    assert_eq!(answer, kept("after"));
    log.close().await;
}

/// What callers sent, and whether it was acknowledged.
type Sent = Arc<Mutex<BTreeMap<(usize, usize), bool>>>;

/// Until it has failed twice since the server is gone: on a busy machine one that isn't may be late.
async fn call(log: Arc<PostgresLog>, caller: usize, sent: Sent, gone: Arc<AtomicBool>) {
    let mut failures = 0;
    for number in 0.. {
        sent.lock().unwrap().insert((caller, number), false);
        match append(&log, numbered(&format!("c{caller}"), number, 500), SHORT).await {
            Ok(Appended::Kept { event_ids }) => {
                assert_eq!(event_ids.len(), numbered_events(number));
                sent.lock().unwrap().insert((caller, number), true);
            }
            Ok(other) => panic!("it is new, and the log says {other:?}"),
            Err(_) if gone.load(Ordering::Relaxed) => failures += 1,
            Err(_) => {}
        }
        if failures == 2 {
            return;
        }
    }
}

fn stored(postgres: &Postgres) -> BTreeSet<String> {
    let ids = postgres.sql("d", "SELECT id FROM hookplane.events");
    ids.lines().map(str::to_owned).collect()
}

// Risks 1 and 6: what was acknowledged is there after the primary is killed and comes back, or the standby takes over; what is called known is
// there; and all that is sent again is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_primary_loses_nothing_that_was_acknowledged() {
    for promote in [false, true] {
        let mut postgres = Postgres::start_pair();
        let url = postgres.database("d");
        let log = open(&url).await;
        let sent = Sent::default();
        let gone = Arc::<AtomicBool>::default();
        let callers: Vec<_> = (0..12)
            .map(|caller| tokio::spawn(call(log.clone(), caller, sent.clone(), gone.clone())))
            .collect();
        let acked = || {
            sent.lock()
                .unwrap()
                .values()
                .filter(|acked| **acked)
                .count()
        };
        until(|| acked() >= 100).await.expect("they are kept");
        postgres.kill(postgres.primary());
        gone.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.expect("ends");
        }
        if promote {
            postgres.promote();
        } else {
            postgres.restart(postgres.primary());
        }
        let sent = std::mem::take(&mut *sent.lock().unwrap());
        let events = |caller: usize, number: usize| {
            let new = numbered(&format!("c{caller}"), number, 500);
            new.events.into_iter().map(|event| event.event.id)
        };
        let there = stored(&postgres);
        for ((caller, number), acked) in &sent {
            let here = events(*caller, *number)
                .filter(|id| there.contains(id))
                .count();
            assert!(
                here == numbered_events(*number) || (here == 0 && !acked),
                "c{caller}-{number}, acknowledged: {acked}, has {here} events (promoted: {promote})"
            );
        }
        if promote {
            postgres.rejoin();
        }
        // Providers send again what wasn't acknowledged, and some of what was: with other event ids.
        let resends: Vec<_> = sent
            .keys()
            .map(|&(caller, number)| {
                let log = log.clone();
                let mut again = numbered(&format!("c{caller}"), number, 500);
                for event in &mut again.events {
                    event.event.id.push_str("-again");
                }
                let answer = async move { append(&log, again, PATIENCE).await };
                (caller, number, tokio::spawn(answer))
            })
            .collect();
        let mut all = BTreeSet::new();
        for (caller, number, answer) in resends {
            match answer.await.expect("doesn't panic") {
                Ok(Appended::Kept { event_ids }) => all.extend(event_ids),
                Ok(Appended::Duplicate { .. }) => all.extend(events(caller, number)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            stored(&postgres),
            all,
            "each is there once (promoted: {promote})"
        );
        let deliveries = postgres.sql("d", "SELECT count(*) FROM hookplane.deliveries");
        assert_eq!(deliveries, all.len().to_string());
        log.close().await;
    }
}

// Risk 9: a frozen server is waited for until the deadline, and no longer; and one that took over in the meantime is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn frozen_primary_is_answered_for_in_time() {
    let mut postgres = Postgres::start_pair();
    let url = postgres.database("d");
    let log = open_with(PostgresOptions {
        accept_weaker_durability: true,
        ..options(&url)
    })
    .await
    .expect("opens");
    let before = append(&log, callback("before", None, None, 0), PATIENCE).await;
    assert_eq!(before, kept("before"));
    let old = postgres.primary();
    postgres.freeze(old);
    // More than there are writers, so that some find a new connection frozen too.
    for round in 0..2 {
        let callers: Vec<_> = (0..20)
            .map(|number| {
                let log = log.clone();
                let new = callback(&format!("frozen{round}-{number}"), None, None, 0);
                tokio::spawn(async move { append(&log, new, Duration::from_millis(500)).await })
            })
            .collect();
        for caller in callers {
            assert_unavailable(&caller.await.expect("doesn't panic"));
        }
    }
    postgres.promote();
    // Nobody follows the new one yet.
    postgres.sql(
        "postgres",
        "ALTER SYSTEM SET synchronous_standby_names = ''",
    );
    postgres.sql("postgres", "SELECT pg_reload_conf()");
    until_sql(&postgres, "postgres", "SHOW synchronous_standby_names", "").await;
    let after = append(&log, callback("after", None, None, 0), PATIENCE).await;
    assert_eq!(after, kept("after"));
    assert_eq!(
        postgres.sql(
            "d",
            "SELECT count(*) FROM hookplane.events WHERE id IN ('before', 'after')"
        ),
        "2"
    );
    postgres.thaw(old);
    log.close().await;
}

// Risk 42: a primary that another one has taken over from, and that nobody has ended, takes writes and commits none of them, whether a wait for its
// standby is given up here or cancelled there. What comes is kept, read and leased at the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn old_primary_that_nobody_fenced_is_left() {
    for cancelled in [false, true] {
        let mut postgres = Postgres::start_pair();
        let log = open_with(PostgresOptions {
            accept_weaker_durability: true,
            ..options(&postgres.database("d"))
        })
        .await
        .expect("opens");
        let before = append(&log, callback("before", None, None, 0), PATIENCE).await;
        assert_eq!(before, kept("before"));
        let old = postgres.primary();
        postgres.promote();
        for setting in [
            "ALTER SYSTEM SET synchronous_standby_names = ''",
            "SELECT pg_reload_conf()",
        ] {
            postgres.sql("postgres", setting);
        }
        // Nobody follows the new one yet.
        until_sql(&postgres, "postgres", "SHOW synchronous_standby_names", "").await;
        if cancelled {
            let appending = {
                let log = log.clone();
                let new = callback("after", None, None, 0);
                tokio::spawn(async move { append(&log, new, Duration::from_secs(8)).await })
            };
            let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
            until(|| {
                postgres.sql_on(old, "postgres", cancel);
                appending.is_finished()
            })
            .await
            .expect("it ends");
            assert_eq!(appending.await.expect("doesn't panic"), kept("after"));
        } else {
            // Each of the writers may have to find out.
            let deadline = Instant::now() + PATIENCE;
            while append(&log, callback("after", None, None, 0), SHORT).await != kept("after") {
                assert!(Instant::now() < deadline, "it stays at the old one");
            }
        }
        let ids = "SELECT string_agg(id, ' ' ORDER BY id) FROM hookplane.events";
        assert_eq!(postgres.sql("d", ids), "after before");
        assert!(log.event("after").await.is_ok(), "read where it is kept");
        let mut newest = log.newest();
        let leased = async {
            let mut leased = Vec::new();
            while leased.len() < 2 {
                let leases = log
                    .lease(&Queue::of_subscribers("w"), 2, PATIENCE)
                    .await
                    .expect("leases");
                leased.extend(leases.into_iter().map(|lease| lease.event.id));
                if leased.len() < 2 {
                    newest.changed().await.expect("open");
                }
            }
            leased
        };
        let leased = tokio::time::timeout(PATIENCE, leased).await;
        assert_eq!(leased.expect("all are leased"), ["before", "after"]);
        log.close().await;
    }
}
