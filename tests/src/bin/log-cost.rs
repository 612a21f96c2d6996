//! What keeping an event costs the embedded log: CPU time of its own thread and of the whole process, per event.
//!
//! `log-cost DIR EVENTS CALLERS [settle]`: appends that many events of 7 KiB from so many callers at a time, each matched by one webhook and
//! told by three keys, as GitHub's are. With `settle` a subscriber takes them while they come, 32 at a time, and acknowledges them. Figures
//! of a shared machine drift: compare within one run, or count instructions (`perf stat`).
//!
//! `log-cost inspect DIR EVENTS`: fills a log with so many small events, and tells how long lists and searches take then, each with the
//! plans of its statements: which index is walked. Ten million take some 11 GB.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::{Appended, DeliveryLog, NewCallback, Queue, Settlement};
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::callback;
use sha2::{Digest, Sha256};

const BODY_BYTES: usize = 7 * 1024;
const LEASE: Duration = Duration::from_secs(60);
const LEASED_AT_ONCE: usize = 32;
/// Longer than any wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// One as the control plane makes it of a callback from GitHub. Ids grow with time, keys are random.
fn github(number: u64) -> NewCallback {
    let digest: [u8; 32] = Sha256::digest(number.to_le_bytes()).into();
    let other: [u8; 32] = Sha256::digest(digest).into();
    let mut new = callback("", None, None, 0);
    new.group_uid = "01a20a4e-cd4b-74d6-ad56-b6e4fcd04393".into();
    let event = &mut new.events[0];
    event.event.id = format!(
        "01a20a4e-{:04x}-7{:03x}-ad56-b6e4{number:08x}",
        number >> 12 & 0xffff,
        number & 0xfff
    );
    event.event.r#type = "pull_request.opened".into();
    event.event.group_uid.clone_from(&new.group_uid);
    event.event.body = vec![b'x'; BODY_BYTES].into();
    event.dedup.delivery_key = Some(digest);
    event.dedup.id_key = Some(other);
    event.dedup.content_key = Some(Sha256::digest(other).into());
    event.dedup.body_digest = digest;
    event.deliveries[0].webhook_uid = "01a20a4e-cd4b-74d6-ad56-b6e4fcd04394".into();
    event.deliveries[0].idempotency_key = hex::encode(digest);
    new
}

/// On-CPU microseconds of the log's own thread, and of all threads that are there now.
fn cpu() -> (f64, f64) {
    let mut own = 0.0;
    let mut all = 0.0;
    for thread in std::fs::read_dir("/proc/self/task").expect("Linux") {
        let thread = thread.expect("is listed").path();
        let read = |name: &str| std::fs::read_to_string(thread.join(name));
        let (Ok(name), Ok(times)) = (read("comm"), read("schedstat")) else {
            continue; // It has ended meanwhile.
        };
        let nanos = times
            .split(' ')
            .next()
            .and_then(|first| first.parse::<f64>().ok());
        let micros = nanos.expect("a number") / 1000.0;
        all += micros;
        if name.trim() == "event-log" {
            own += micros;
        }
    }
    (own, all)
}

async fn settle(log: Arc<EmbeddedLog>, events: u64) {
    let webhook = github(0).events.remove(0).deliveries.remove(0).webhook_uid;
    let mut newest = log.newest();
    let mut settled = 0;
    while settled < events {
        newest.borrow_and_update();
        let leases = log
            .lease(&Queue::of_subscribers(&webhook), LEASED_AT_ONCE, LEASE)
            .await
            .expect("leases");
        if leases.is_empty() {
            newest.changed().await.expect("open");
            continue;
        }
        settled += leases.len() as u64;
        let acks = leases
            .into_iter()
            .map(|lease| (lease.token, Settlement::Ack));
        log.settle(acks.map(Into::into).collect())
            .await
            .expect("settles");
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (dir, events, callers, settles) = match arguments.as_slice() {
        [_, inspect, dir, events] if inspect == "inspect" => {
            let events = events.parse().expect("a number of events");
            let told = hookplane_tests::inspect::run(Path::new(dir), events).await;
            std::io::Write::write_all(&mut std::io::stdout(), told.as_bytes()).expect("is read");
            return;
        }
        [_, dir, events, callers] => (dir, events, callers, false),
        [_, dir, events, callers, last] if last == "settle" => (dir, events, callers, true),
        _ => panic!("log-cost DIR EVENTS CALLERS [settle], or log-cost inspect DIR EVENTS"),
    };
    let events: u64 = events.parse().expect("a number of events");
    let callers: u64 = callers.parse().expect("a number of callers");
    let clock = Arc::new(TestClock::default());
    let log = EmbeddedLog::open(Path::new(dir), clock, Options::default()).expect("opens");
    let next = Arc::new(AtomicU64::new(0));
    let (own, all) = cpu();
    let started = Instant::now();
    let mut tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (log, next) = (log.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= events {
                        return;
                    }
                    let deadline = tokio::time::Instant::now() + PATIENCE;
                    let answer = log.append(github(number), deadline).await;
                    assert!(matches!(answer, Ok(Appended::Kept { .. })), "{answer:?}");
                }
            })
        })
        .collect();
    if settles {
        tasks.push(tokio::spawn(settle(log.clone(), events)));
    }
    for task in tasks {
        task.await.expect("doesn't panic");
    }
    let seconds = started.elapsed().as_secs_f64();
    let (own_after, all_after) = cpu();
    let per_event = |micros: f64| micros / events as f64;
    let line = format!(
        "callers {callers} settle {settles}: {:.1} µs/event on the log's thread, {:.1} in all; {:.0} events/s\n",
        per_event(own_after - own),
        per_event(all_after - all),
        events as f64 / seconds,
    );
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("is read");
    log.close().await;
}
