//! Why callbacks are not kept at the moment: told to the operator now and then, and to whoever's time is up meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::log::LogError;

/// Between two words to the operator: a server that is in trouble fails many times a second.
const TOLD_EVERY: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Trouble(Mutex<State>);

#[derive(Default)]
struct State {
    /// Since the last commit.
    why: Option<String>,
    told: Option<Instant>,
}

impl Trouble {
    /// A commit failed.
    pub(super) fn came(&self, error: &LogError) {
        let mut state = self.lock();
        if state.told.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
            state.told = Some(Instant::now());
            tracing::warn!(%error, "callbacks are not kept, and are answered 503 unless that ends in time");
        }
        state.why = Some(error.to_string());
    }

    /// One went well.
    pub(super) fn ended(&self) {
        self.lock().why = None;
    }

    /// What a callback is told that could not be kept by its deadline.
    pub(super) fn time_was_up(&self) -> LogError {
        LogError::Unavailable(match &self.lock().why {
            Some(why) => format!("its time was up: {why}"),
            None => "its time was up".to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
