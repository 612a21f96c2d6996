//! How a test waits: for a condition, and never longer than [`PATIENCE`]. Two crates take this file, and each uses a part of it.

use std::time::Duration;

/// What goes wrong in a test that asks over sockets.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Longest wait for anything that is bound to come: as long as a busy machine may take over 50 MiB in a build for tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what is bound to come.
pub async fn soon<T>(what: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(tokio::time::timeout(PATIENCE, what)
        .await
        .map_err(|_| "what was waited for did not come")?)
}

/// Waits until a condition holds.
pub async fn until(mut condition: impl FnMut() -> bool) -> Result<(), Failure> {
    eventually(async || Ok(condition().then_some(()))).await
}

/// Asks until there is an answer.
pub async fn eventually<T>(
    mut ask: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    soon(async {
        loop {
            if let Some(value) = ask().await? {
                return Ok(value);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await?
}

/// The same for a test that runs commands.
pub mod blocking {
    use std::time::{Duration, Instant};

    use super::PATIENCE;

    /// Tries until it is given a value, and fails the test past [`PATIENCE`].
    pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = attempt() {
                return value;
            }
            assert!(start.elapsed() < PATIENCE, "gave up waiting: {what}");
            pause();
        }
    }

    /// Between two looks at a condition.
    #[expect(
        clippy::disallowed_methods,
        reason = "the pause of a wait that has a condition and a deadline"
    )]
    pub fn pause() {
        std::thread::sleep(Duration::from_millis(10));
    }
}
