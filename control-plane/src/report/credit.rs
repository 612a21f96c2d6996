//! What may be in flight: a bounded number over all listeners, shared among their streams, less while the event log can't keep up.
//!
//! A stream is told its part when it opens and whenever that changes; how many callbacks and bytes are here in all is held to the bound in
//! any case.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Callbacks in flight over all streams.
const ALL_CALLBACKS: u32 = 65_536;
/// Bytes in flight over all streams, in [`UNIT`]s: 512 MiB.
const ALL_UNITS: u32 = 512 * 1024;
/// A permit's worth of bytes.
const UNIT: usize = 1024;
/// Callbacks of one stream: what keeps the log busy while answers are on their way.
pub(super) const CREDIT_CALLBACKS: u32 = 4_096;
/// Bytes of one stream. At least one message of the largest size.
pub(super) const CREDIT_BYTES: u32 = 64 * 1024 * 1024;
/// However many streams there are, and however slow the log is.
const LEAST_CALLBACKS: u32 = 16;
const LEAST_BYTES: u32 = 1024 * 1024;
/// Halved as often, at most: to a 256th.
const MAX_HALVINGS: u32 = 8;
/// Before it is halved again: what is in flight has to be answered first.
const LOWER_AFTER: Duration = Duration::from_millis(250);
/// Without a callback turned back for so long, it is doubled again.
const RAISE_AFTER: Duration = Duration::from_secs(1);

/// One stream's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) callbacks: u32,
    pub(super) bytes: u32,
}

struct State {
    streams: u32,
    halvings: u32,
    /// When it was halved last.
    lowered: Instant,
    /// Since when nothing was turned back, or since when it was doubled last.
    quiet_since: Instant,
}

impl State {
    fn grant(&self) -> Grant {
        let part = |all: u32| (all >> self.halvings) / self.streams.max(1);
        let bytes = part(ALL_UNITS).saturating_mul(UNIT as u32);
        Grant {
            callbacks: part(ALL_CALLBACKS).clamp(LEAST_CALLBACKS, CREDIT_CALLBACKS),
            bytes: bytes.clamp(LEAST_BYTES, CREDIT_BYTES),
        }
    }
}

/// See the module.
pub(super) struct Credit {
    state: Mutex<State>,
    grant: watch::Sender<Grant>,
    callbacks: Arc<Semaphore>,
    units: Arc<Semaphore>,
}

/// A stream that counts. Dropping it gives its part to the others.
pub(super) struct Member(Arc<Credit>);

/// What a batch takes while it is here.
pub(super) struct Taken {
    _callbacks: OwnedSemaphorePermit,
    _units: OwnedSemaphorePermit,
}

impl Credit {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            streams: 0,
            halvings: 0,
            lowered: Instant::now(),
            quiet_since: Instant::now(),
        };
        Arc::new(Self {
            grant: watch::Sender::new(state.grant()),
            state: Mutex::new(state),
            callbacks: Arc::new(Semaphore::new(ALL_CALLBACKS as usize)),
            units: Arc::new(Semaphore::new(ALL_UNITS as usize)),
        })
    }

    pub(super) fn join(self: &Arc<Self>) -> (Member, watch::Receiver<Grant>) {
        self.change(|state| state.streams += 1);
        (Member(self.clone()), self.grant.subscribe())
    }

    /// Waits for room. None never happens: nobody closes the semaphores.
    pub(super) async fn take(&self, callbacks: usize, bytes: usize) -> Option<Taken> {
        let callbacks = u32::try_from(callbacks).unwrap_or(u32::MAX);
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        // In one order, so that no two wait for each other. One larger than all there is gets all there is.
        let callbacks = callbacks.clamp(1, ALL_CALLBACKS);
        let callbacks = self.callbacks.clone().acquire_many_owned(callbacks).await;
        let units = self
            .units
            .clone()
            .acquire_many_owned(units.clamp(1, ALL_UNITS));
        Some(Taken {
            _callbacks: callbacks.ok()?,
            _units: units.await.ok()?,
        })
    }

    /// Something was turned back.
    pub(super) fn overloaded(&self, now: Instant) {
        let mut lowered = None;
        self.change(|state| {
            state.quiet_since = now;
            let waited = now.saturating_duration_since(state.lowered) >= LOWER_AFTER;
            if state.halvings < MAX_HALVINGS && (waited || state.halvings == 0) {
                state.halvings += 1;
                state.lowered = now;
                lowered = Some(state.grant());
            }
        });
        if let Some(grant) = lowered {
            tracing::warn!(
                callbacks = grant.callbacks,
                "the event log turns callbacks back; listeners may have fewer in flight"
            );
        }
    }

    /// All of a batch was kept, or not wanted.
    pub(super) fn well(&self, now: Instant) {
        if self.lock().halvings == 0 {
            return;
        }
        self.change(|state| {
            if now.saturating_duration_since(state.quiet_since) >= RAISE_AFTER {
                state.halvings = state.halvings.saturating_sub(1);
                state.quiet_since = now;
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let grant = state.grant();
        // Under the lock, so that the last word is the newest.
        self.grant
            .send_if_modified(|told| std::mem::replace(told, grant) != grant);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0
            .change(|state| state.streams = state.streams.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_streams_together_have_a_bounded_number_and_each_its_part() {
        let credit = Credit::new();
        let (first, told) = credit.join();
        assert_eq!(told.borrow().callbacks, CREDIT_CALLBACKS);
        let more: Vec<_> = (1..64).map(|_| credit.join()).collect();
        assert_eq!(told.borrow().callbacks, ALL_CALLBACKS / 64);
        assert!(told.borrow().bytes <= CREDIT_BYTES / 8);
        drop(more);
        assert_eq!(told.borrow().callbacks, CREDIT_CALLBACKS);
        drop(first);
        assert_eq!(credit.lock().streams, 0);
    }

    #[test]
    fn what_is_turned_back_lowers_it_and_quiet_raises_it_again() {
        let credit = Credit::new();
        let members: Vec<_> = (0..16).map(|_| credit.join()).collect();
        let told = || members[0].1.borrow().callbacks;
        let start = Instant::now();
        credit.overloaded(start);
        assert_eq!(told(), CREDIT_CALLBACKS / 2);
        credit.overloaded(start);
        assert_eq!(told(), CREDIT_CALLBACKS / 2, "once for what was in flight");
        let mut now = start;
        for _ in 0..40 {
            now += LOWER_AFTER;
            credit.overloaded(now);
        }
        assert_eq!(told(), LEAST_CALLBACKS);
        credit.well(now);
        assert_eq!(told(), LEAST_CALLBACKS, "not before a while");
        for _ in 0..MAX_HALVINGS {
            now += RAISE_AFTER;
            credit.well(now);
        }
        assert_eq!(told(), CREDIT_CALLBACKS);
    }

    #[tokio::test]
    async fn room_is_given_back_and_what_is_larger_than_all_of_it_goes_alone() {
        let credit = Credit::new();
        let huge = credit.take(usize::MAX, usize::MAX).await;
        assert!(huge.is_some());
        assert_eq!(credit.callbacks.available_permits(), 0);
        drop(huge);
        assert!(credit.take(1, 1).await.is_some());
        assert_eq!(credit.units.available_permits(), ALL_UNITS as usize);
    }
}
