//! Appends to the embedded log until it is killed, and says on stdout what was acknowledged. Meanwhile it has what tells repeats put in its table.
//!
//! `log-child DIR PREFIX CALLERS BODY_BYTES sync|unsynced [settle]`. Lines: `opened`; `K id` kept, `U id` refused for now; `failed` once nothing is
//! taken any more, then `P kept` or `P refused` for each of a few more tries, and `opened` again after the log was opened anew. With `settle` it
//! delivers what it keeps meanwhile, and says `A id` of each delivery that the log said is settled.
//!
//! Tests run it under the shim in `tests/shim`, which takes its commands from this process's stdin.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::log::{Appended, DeliveryLog, LogError, Queue, Settlement};
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::numbered;

/// Appends that are tried on a log that has failed.
const PROBES: usize = 50;
const LEASED_AT_ONCE: usize = 8;
/// Longer than any test waits.
const PATIENCE: Duration = Duration::from_secs(60);

fn say(line: &str) {
    // Written in one piece: a line is there whole or not at all.
    let written = std::io::stdout()
        .lock()
        .write_all(format!("{line}\n").as_bytes());
    if written.is_err() {
        std::process::exit(0); // Nobody listens any more.
    }
}

async fn append(
    log: &EmbeddedLog,
    prefix: &str,
    number: usize,
    body: usize,
) -> Result<(), LogError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let callback = numbered(prefix, number, body);
    match log.append(callback, deadline).await? {
        Appended::Kept { .. } => Ok(()),
        other => panic!("{prefix}-{number} is new, and the log says {other:?}"),
    }
}

/// Until the log has failed.
async fn call(log: Arc<EmbeddedLog>, prefix: String, body: usize) {
    for number in 0.. {
        match append(&log, &prefix, number, body).await {
            Ok(()) => say(&format!("K {prefix}-{number}")),
            Err(LogError::Unavailable(_)) => say(&format!("U {prefix}-{number}")),
            Err(_) => return,
        }
    }
}

/// Has what tells repeats written into its table again and again, and nothing deleted, until the log has failed.
async fn tidy(log: Arc<EmbeddedLog>) {
    let never = Duration::from_secs(u32::MAX.into());
    loop {
        match log.forget_repeats(never).await {
            Ok(gone) => assert_eq!(gone, 0),
            Err(LogError::Unavailable(_)) => {}
            Err(_) => return,
        }
    }
}

/// Delivers until the log has failed.
async fn settle(log: Arc<EmbeddedLog>) {
    let queue = Queue::of_subscribers("w");
    let mut newest = log.newest();
    loop {
        newest.borrow_and_update();
        let leases = match log.lease(&queue, LEASED_AT_ONCE, PATIENCE).await {
            Ok(leases) => leases,
            Err(LogError::Unavailable(_)) => continue,
            Err(_) => return,
        };
        if leases.is_empty() {
            if newest.changed().await.is_err() {
                return;
            }
            continue;
        }
        let acks = leases.iter();
        let acks = acks.map(|lease| (lease.token.clone(), Settlement::Ack).into());
        match log.settle(acks.collect()).await {
            Ok(settled) => {
                for (lease, settled) in leases.iter().zip(settled) {
                    assert!(settled, "nobody else settles");
                    say(&format!("A {}", lease.delivery.id));
                }
            }
            Err(LogError::Unavailable(_)) => {}
            Err(_) => return,
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, dir, prefix, callers, body, sync, more @ ..] = arguments.as_slice() else {
        panic!("five arguments, not {arguments:?}");
    };
    let settles = more.first().is_some_and(|more| more == "settle");
    let callers: usize = callers.parse().expect("a number of callers");
    let body: usize = body.parse().expect("a number of bytes");
    let options = Options {
        sync: sync == "sync",
        ..Options::default()
    };
    for round in 0.. {
        let clock = Arc::new(TestClock::default());
        let log = match EmbeddedLog::open(Path::new(dir), clock, options.clone()) {
            Ok(log) => log,
            Err(error) => return say(&format!("refused {error}")),
        };
        say("opened");
        let mut tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let prefix = format!("{prefix}.{round}.{caller}");
                tokio::spawn(call(log.clone(), prefix, body))
            })
            .collect();
        tasks.push(tokio::spawn(tidy(log.clone())));
        if settles {
            tasks.push(tokio::spawn(settle(log.clone())));
        }
        for task in tasks {
            task.await.expect("doesn't panic");
        }
        say("failed");
        for probe in 0..PROBES {
            let kept = append(&log, &format!("{prefix}.{round}.probe"), probe, body).await;
            say(if kept.is_ok() { "P kept" } else { "P refused" });
        }
        log.close().await;
    }
}
