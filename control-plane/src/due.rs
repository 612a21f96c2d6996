//! When something is due: at a time that may be none, or at random, so that many that came together don't go together.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// At a time. Never, without one.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Anything from nothing to `longest`.
pub(crate) fn within(longest: Duration) -> Duration {
    // Without randomness the longest is still right, only the same for all.
    let share = getrandom::u32().unwrap_or(u32::MAX);
    longest.mul_f64(f64::from(share) / f64::from(u32::MAX))
}
