//! The canary: a key inside the watched prefix that is written every few seconds, to see the watch bring it.
//!
//! ```text
//!   write ─▶ store ─▶ watch ─▶ view     brought: the time it took is the watch's lag
//!     │                                 not brought: the watch starts again from where it is; the second time, list and compare
//!     └─ a revision that is not new, or its last flight is not there: the store was rolled back under us: another epoch, all is read anew
//! ```
//!
//! A watch that is silent and one that is dead look the same; with the canary neither stays unnoticed for long. It changes nothing that a
//! listener is offered, so it wakes none.
//!
//! Revisions alone don't tell a store that was put back: written to by others, it may have come past where it was before this one looks again.
//! So each flight is recorded, at a key of this canary's own, and holds only if the last one is there (see [`flights`]); and after each it looks
//! whether an epoch that somebody else began was passed by.
//!
//! It also flies after each list. What was listed may be of a later revision than any that the other replicas' watches brought, since not
//! all writes are configuration; with the canary they come past it, so that a listener from here waits nowhere.

mod flights;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use self::flights::{Flights, Recorded};
use super::epoch;
use super::view::View;
use super::watch::Prompt;
use crate::keys;
use crate::store::{Revision, Store, StoreError};

/// How often, and for how long it may be under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) every: Duration,
    pub(crate) within: Duration,
}

impl Default for Timing {
    /// Together under 15 s: by then a watch on a dead or isolated member has been left.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            within: Duration::from_secs(5),
        }
    }
}

/// The follower of the same view.
pub(super) struct Follower {
    /// What is found is told here.
    pub(super) prompt: mpsc::Sender<Prompt>,
    pub(super) listed: Arc<Notify>,
}

/// Until `shutdown`.
pub(super) async fn run(
    store: Arc<dyn Store>,
    view: Arc<View>,
    follower: Follower,
    timing: Timing,
    shutdown: CancellationToken,
) {
    let mut every = tokio::time::interval(timing.every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is now, after the first list.
    let mut missed = 0u32;
    let mut flights = Flights::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = every.tick() => {}
            () = follower.listed.notified() => every.reset(),
        }
        let flown = tokio::select! {
            () = shutdown.cancelled() => return,
            flown = fly(&*store, &view, &mut flights, timing.within) => flown,
        };
        let prompt = match flown {
            Flight::Brought(lag) => {
                missed = 0;
                view.set_lag(lag);
                continue;
            }
            Flight::NotWritten(error) => {
                // The store's own trouble, which everybody who writes is told of.
                tracing::debug!(%error, "the canary could not be written");
                continue;
            }
            Flight::Missing(revision) => {
                missed = missed.saturating_add(1);
                view.set_lag(timing.within);
                tracing::warn!(
                    revision,
                    missed,
                    view = view.revision(),
                    "the store's watch did not bring what was written; it is started again"
                );
                if missed == 1 {
                    Prompt::WatchAgain
                } else {
                    Prompt::ListAgain
                }
            }
            Flight::RolledBack(revision) => {
                tracing::error!(
                    revision,
                    view = view.revision(),
                    "the store is behind what it said before: it was restored from an older copy; another epoch begins"
                );
                let old = view.epoch();
                let renewed = timeout(timing.within, epoch::renew(&*store, &old)).await;
                if let Err(error) = renewed.unwrap_or_else(|_| Err(unanswered())) {
                    tracing::warn!(%error, "another epoch could not be begun yet; it is tried again");
                    continue;
                }
                flights = Flights::default();
                Prompt::Forget
            }
            Flight::OtherEpoch => {
                tracing::error!(
                    view = view.revision(),
                    "another epoch of the store began unheard: it was restored from an older copy; it is read anew"
                );
                Prompt::Forget
            }
        };
        // One that is waiting to be taken does the same.
        let _ = follower.prompt.try_send(prompt);
    }
}

enum Flight {
    Brought(Duration),
    Missing(Revision),
    RolledBack(Revision),
    OtherEpoch,
    NotWritten(StoreError),
}

async fn fly(store: &dyn Store, view: &View, flights: &mut Flights, within: Duration) -> Flight {
    let before = view.revision();
    let began = Instant::now();
    let recorded = timeout(within, flights.record(store, before)).await;
    let revision = match recorded.unwrap_or_else(|_| Err(unanswered())) {
        Ok(Recorded::At(revision)) => revision,
        Ok(Recorded::RolledBack(revision)) => return Flight::RolledBack(revision),
        Err(error) => return Flight::NotWritten(error),
    };
    let written = Instant::now();
    if !view.reached(revision, written + within).await {
        return Flight::Missing(revision);
    }
    let lag = written.elapsed();
    match timeout(within, passed_by(store, view)).await {
        Ok(Ok(false)) => {
            view.set_current(began);
            Flight::Brought(lag)
        }
        Ok(Ok(true)) => Flight::OtherEpoch,
        Ok(Err(error)) => Flight::NotWritten(error),
        Err(_) => Flight::NotWritten(unanswered()),
    }
}

/// Whether the view has come past another epoch and didn't hear of it: somebody else noticed that the store was put back, where this one was not
/// there to see its own writes go.
async fn passed_by(store: &dyn Store, view: &View) -> Result<bool, StoreError> {
    let stored = store.get(keys::EPOCH).await?;
    // First: what comes meanwhile is not passed by.
    let revision = view.revision();
    let other = stored.filter(|entry| entry.value != view.epoch().as_bytes());
    Ok(other.is_some_and(|entry| entry.revision <= revision))
}

fn unanswered() -> StoreError {
    StoreError::Unavailable("no answer".to_owned())
}

#[cfg(test)]
mod tests;
