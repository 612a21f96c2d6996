//! What keeping an event costs the log in PostgreSQL, beside the plainest way to keep it there: one insert for each request.
//!
//! `postgres-cost EVENTS CALLERS`: starts a primary and a synchronous standby, and has so many events of 7 KiB kept by so many callers at a time,
//! first by the log (three keys and one webhook each, as GitHub's), then each by an `INSERT` of its own into a table with one unique key, on a
//! connection for each caller. Says for both the events a second, and the CPU time of an event here and in the two servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{Appended, DeliveryLog, NewCallback};
use hookplane_tests::clock::TestClock;
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::callback;
use sha2::{Digest, Sha256};
use tokio_postgres::NoTls;

const BODY_BYTES: usize = 7 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

fn github(number: u64) -> NewCallback {
    let digest: [u8; 32] = Sha256::digest(number.to_le_bytes()).into();
    let other: [u8; 32] = Sha256::digest(digest).into();
    let mut new = callback(&format!("event-{number:012}"), None, None, 0);
    let event = &mut new.events[0];
    // Of many blocks, so that compressing it gains nothing.
    let block = |part: u64| Sha256::digest((number << 16 | part).to_le_bytes());
    let body: Vec<u8> = (0..BODY_BYTES as u64 / 32).flat_map(block).collect();
    event.event.body = body.into();
    event.dedup.delivery_key = Some(digest);
    event.dedup.id_key = Some(other);
    event.dedup.content_key = Some(Sha256::digest(other).into());
    event.dedup.body_digest = digest;
    new
}

/// Of this process.
fn own_cpu() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .expect("Linux")
        .into()
}

#[expect(clippy::print_stdout, reason = "what it is run for")]
fn say(what: &str, events: u64, took: Duration, own: Duration, servers: Duration) {
    let each = |time: Duration| time.as_micros() as u64 / events;
    println!(
        "{what}: {:.0} events/s, {} us of CPU an event here, {} us in the servers",
        events as f64 / took.as_secs_f64(),
        each(own),
        each(servers)
    );
}

async fn by_the_log(log: Arc<PostgresLog>, next: Arc<AtomicU64>, events: u64) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= events {
            return;
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let answer = log.append(github(number), deadline).await;
        assert!(matches!(answer, Ok(Appended::Kept { .. })), "{answer:?}");
    }
}

async fn by_an_insert_each(client: tokio_postgres::Client, next: Arc<AtomicU64>, events: u64) {
    let insert = "INSERT INTO plain VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let insert = client.prepare(insert).await.expect("prepares");
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= events {
            return;
        }
        let event = github(number).events.remove(0);
        let key = event.dedup.delivery_key.expect("has one").to_vec();
        let body = event.event.body.to_vec();
        client
            .execute(&insert, &[&event.event.id, &key, &body])
            .await
            .expect("inserts");
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let (Some(Ok(events)), Some(Ok(callers))) = (arguments.next(), arguments.next()) else {
        panic!("postgres-cost EVENTS CALLERS");
    };
    let postgres = Postgres::start_pair();
    let url = postgres.database("d");
    let options = PostgresOptions {
        url: url.clone(),
        ..PostgresOptions::default()
    };
    let log = PostgresLog::open(options, Arc::new(TestClock::default()));
    let log = log.await.expect("opens");
    let (began, own, servers) = (Instant::now(), own_cpu(), postgres.cpu());
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|_| tokio::spawn(by_the_log(log.clone(), next.clone(), events)))
        .collect();
    for task in tasks {
        task.await.expect("ends well");
    }
    let took = began.elapsed();
    say(
        "log",
        events,
        took,
        own_cpu() - own,
        postgres.cpu() - servers,
    );
    log.close().await;

    let table = "CREATE TABLE plain (id text PRIMARY KEY, key bytea UNIQUE, body bytea)";
    postgres.sql("d", table);
    let mut clients = Vec::new();
    for _ in 0..callers {
        let node = postgres.node_url(postgres.primary(), "d");
        let (client, connection) = tokio_postgres::connect(&node, NoTls)
            .await
            .expect("connects");
        tokio::spawn(connection);
        clients.push(client);
    }
    let (began, own, servers) = (Instant::now(), own_cpu(), postgres.cpu());
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::spawn(by_an_insert_each(client, next.clone(), events)))
        .collect();
    for task in tasks {
        task.await.expect("ends well");
    }
    let took = began.elapsed();
    say(
        "an insert each",
        events,
        took,
        own_cpu() - own,
        postgres.cpu() - servers,
    );
}
