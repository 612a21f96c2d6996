//! A replica that appends to the log in PostgreSQL until it is killed: `postgres-child URL`. It says the number of each callback that is kept.
//!
//! Tests freeze it, and want the same keys meanwhile.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::shared_keys;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    let options = PostgresOptions {
        url,
        ..PostgresOptions::default()
    };
    let log = PostgresLog::open(options, Arc::new(TestClock::default()));
    let log = log.await.expect("opens");
    for number in 0.. {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        // Frozen for long it may be told that its time was up.
        let kept = log.append(shared_keys("child", number), deadline).await;
        let said = std::io::stdout()
            .lock()
            .write_all(format!("{number}\n").as_bytes());
        if said.is_err() {
            return; // Nobody listens any more.
        }
        drop(kept);
    }
}
