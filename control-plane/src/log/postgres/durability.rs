//! Whether the server can keep the promise: what is answered as kept is on its disk and on a standby's (risk 2).
//!
//! ```text
//!   each new connection ─┐
//!   every two seconds   ─┼─▶ the server's own settings ─▶ weaker? ─▶ appends are refused, or every receipt says `degraded`
//!   each append         ─┘   (`durability.sql`)
//! ```
//!
//! A setting may be weakened while the server runs. So the append asks in its own transaction, and it is the one that counts; the others are there
//! to refuse early, to tell an operator, and to see that all is well again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookplane_proto::v1;
use tokio::time::{Instant, MissedTickBehavior};

use super::Shared;
use crate::log::{Durability, LogError};

/// Says what is weaker than promised and what to set, or nothing. Settings only: whether a standby is there now is known to each commit, which
/// waits for it.
pub(super) const WEAKER: &str = include_str!("durability.sql");

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What was seen last.
pub(super) struct State {
    accept_weaker: bool,
    /// Empty when all is as promised.
    weaker: Mutex<String>,
}

impl State {
    pub(super) fn new(accept_weaker: bool) -> Self {
        Self {
            accept_weaker,
            weaker: Mutex::default(),
        }
    }

    /// A server said what of it is weaker.
    pub(super) fn saw(&self, weaker: &str) {
        let mut seen = self.weaker.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == weaker {
            return;
        }
        if weaker.is_empty() {
            tracing::info!("PostgreSQL keeps what it acknowledges again");
        } else {
            tracing::warn!("PostgreSQL can lose what it acknowledged: {weaker}");
        }
        weaker.clone_into(&mut seen);
    }

    /// Whether a weaker server is refused.
    pub(super) fn is_strict(&self) -> bool {
        !self.accept_weaker
    }

    /// Why nothing may be appended, if so.
    pub(super) fn check(&self) -> Result<(), LogError> {
        let weaker = self.weaker();
        if weaker.is_empty() || self.accept_weaker {
            return Ok(());
        }
        Err(LogError::Unavailable(refusal(&weaker)))
    }

    pub(super) fn receipt(&self) -> v1::Receipt {
        if self.weaker().is_empty() {
            v1::Receipt::Replicated
        } else {
            v1::Receipt::Degraded
        }
    }

    pub(super) fn now(&self) -> Durability {
        let weaker = self.weaker();
        let reasons = weaker.split("; ").filter(|reason| !reason.is_empty());
        Durability {
            receipt: self.receipt(),
            reasons: reasons.map(str::to_owned).collect(),
        }
    }

    fn weaker(&self) -> String {
        let weaker = self.weaker.lock();
        weaker.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is said of a server that isn't taken.
pub(super) fn refusal(weaker: &str) -> String {
    format!(
        "PostgreSQL can lose what it acknowledged: {weaker}; or take it as it is with --accept-weaker-durability"
    )
}

/// Looks now and then, for as long as the log is open.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let look = async {
            let mut session = shared.pool.session(Instant::now() + LOOK_EVERY).await?;
            session.query_opt(WEAKER, &[]).await
        };
        match look.await {
            Ok(Some(row)) => shared.durability.saw(row.get(0)),
            Ok(None) => {}
            // Nothing is known then, and nothing can be appended either.
            Err(fault) => tracing::debug!("PostgreSQL's settings can't be read: {}", fault.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Risk 2.
    #[test]
    fn weaker_server_is_refused_unless_accepted_and_told_then() {
        for accept in [false, true] {
            let state = State::new(accept);
            assert_eq!(state.check(), Ok(()));
            assert_eq!(state.receipt(), v1::Receipt::Replicated);
            state.saw("fsync is off: set fsync = on; no standby");
            assert_eq!(state.check().is_ok(), accept);
            assert_eq!(state.receipt(), v1::Receipt::Degraded);
            assert_eq!(
                state.now().reasons,
                ["fsync is off: set fsync = on", "no standby"]
            );
            state.saw("");
            assert_eq!(state.check(), Ok(()));
            assert_eq!(state.receipt(), v1::Receipt::Replicated);
        }
    }
}
