//! What keeping an event costs the log in PostgreSQL, beside the plainest way to keep it there: one insert for each request.
//!
//! `postgres-cost EVENTS CALLERS...`: starts a primary and a synchronous standby, and for each number of callers has so many events of 7 KiB kept by
//! them, first by the log (three keys and one webhook each, as GitHub's), then each by an `INSERT` of its own into a table with one unique key, on a
//! connection for each caller. Says for both the events a second, and the CPU time of an event here and in the two servers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{Appended, DeliveryLog, NewCallback};
use hookplane_tests::clock::TestClock;
use hookplane_tests::engines::postgres::Postgres;
use hookplane_tests::log_suite::callback;
use sha2::{Digest, Sha256};
use tokio_postgres::NoTls;

const BODY_BYTES: usize = 7 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// Of noise, so that compressing it gains nothing, and made once, so that making it costs nothing.
fn body(number: u64) -> Bytes {
    static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
        let block = |number: u64| Sha256::digest(number.to_le_bytes());
        (0..1 << 15).flat_map(block).collect()
    });
    let from = number as usize * 31 % (NOISE.len() - BODY_BYTES);
    NOISE.slice(from..from + BODY_BYTES)
}

fn github(number: u64) -> NewCallback {
    let digest: [u8; 32] = Sha256::digest(number.to_le_bytes()).into();
    let other: [u8; 32] = Sha256::digest(digest).into();
    let mut new = callback(&format!("event-{number:012}"), None, None, 0);
    let event = &mut new.events[0];
    event.event.body = body(number);
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

/// Has so many callers run, each until the events are all kept, and says what it cost.
async fn measure<F: Future<Output = ()> + Send + 'static>(
    what: &str,
    postgres: &Postgres,
    events: u64,
    callers: impl Iterator<Item = F>,
) {
    let (began, own, servers) = (Instant::now(), own_cpu(), postgres.cpu());
    let tasks: Vec<_> = callers.map(tokio::spawn).collect();
    for task in tasks {
        task.await.expect("ends well");
    }
    let took = began.elapsed();
    say(
        what,
        events,
        took,
        own_cpu() - own,
        postgres.cpu() - servers,
    );
}

#[tokio::main]
async fn main() {
    let arguments: Result<Vec<u64>, _> = std::env::args().skip(1).map(|a| a.parse()).collect();
    let Ok([events, rounds @ ..]) = arguments.as_deref() else {
        panic!("postgres-cost EVENTS CALLERS...");
    };
    let (events, mut first) = (*events, 0);
    let postgres = Postgres::start_pair();
    let options = PostgresOptions {
        url: postgres.database("d"),
        ..PostgresOptions::default()
    };
    let log = PostgresLog::open(options, Arc::new(TestClock::default()));
    let log = log.await.expect("opens");
    let table = "CREATE TABLE plain (id text PRIMARY KEY, key bytea UNIQUE, body bytea);
                 ALTER TABLE plain ALTER COLUMN body SET STORAGE EXTERNAL";
    postgres.sql("d", table);
    for &callers in rounds {
        let numbers = || Arc::new(AtomicU64::new(first));
        let (next, last) = (numbers(), first + events);
        let run = (0..callers).map(|_| by_the_log(log.clone(), next.clone(), last));
        measure(&format!("{callers} callers, log"), &postgres, events, run).await;

        let mut clients = Vec::new();
        for _ in 0..callers {
            let node = postgres.node_url(postgres.primary(), "d");
            let (client, connection) = tokio_postgres::connect(&node, NoTls)
                .await
                .expect("connects");
            tokio::spawn(connection);
            clients.push(client);
        }
        let next = numbers();
        let run = clients
            .into_iter()
            .map(|client| by_an_insert_each(client, next.clone(), last));
        let what = format!("{callers} callers, an insert each");
        measure(&what, &postgres, events, run).await;
        first = last;
    }
    log.close().await;
}
