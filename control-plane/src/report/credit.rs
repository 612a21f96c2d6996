//! What may be in flight: a bounded number over all listeners, shared among their streams, less while the event log can't keep up.
//!
//! An org's own listeners have an eighth of it at most: whatever they send, there is room for the others.
//!
//! A stream is told its part when it opens and whenever that changes; how many callbacks and bytes are here in all is held to the bound in
//! any case.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Callbacks in flight over all streams.
const ALL_CALLBACKS: u32 = 65_536;
/// Bytes in flight over all streams, in [`UNIT`]s: 512 MiB.
const ALL_UNITS: u32 = 512 * 1024;
/// One org's own listeners may have this part of either: its bytes are then one message of the largest size.
const ORG_PART: u32 = 8;
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
    all: Arc<Room>,
    /// Of orgs whose own listeners have streams.
    orgs: Mutex<HashMap<Arc<str>, Weak<Room>>>,
}

/// What may be here.
struct Room {
    most: (u32, u32),
    callbacks: Arc<Semaphore>,
    units: Arc<Semaphore>,
}

impl Room {
    fn new(callbacks: u32, units: u32) -> Arc<Self> {
        Arc::new(Self {
            most: (callbacks, units),
            callbacks: Arc::new(Semaphore::new(callbacks as usize)),
            units: Arc::new(Semaphore::new(units as usize)),
        })
    }

    /// Waits. None never happens: nobody closes the semaphores.
    async fn take(
        &self,
        callbacks: u32,
        units: u32,
    ) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        // In one order, so that no two wait for each other. One larger than all there is gets all there is.
        let callbacks = callbacks.clamp(1, self.most.0);
        let callbacks = self.callbacks.clone().acquire_many_owned(callbacks).await;
        let units = units.clamp(1, self.most.1);
        let units = self.units.clone().acquire_many_owned(units).await;
        Some((callbacks.ok()?, units.ok()?))
    }
}

/// A stream that counts. Dropping it gives its part to the others.
pub(super) struct Member {
    credit: Arc<Credit>,
    /// None: an operator's listener, which serves many.
    org: Option<Arc<Room>>,
}

/// What a batch takes while it is here.
pub(super) struct Taken {
    _of_org: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
    _of_all: (OwnedSemaphorePermit, OwnedSemaphorePermit),
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
            all: Room::new(ALL_CALLBACKS, ALL_UNITS),
            orgs: Mutex::default(),
        })
    }

    /// `org`: of a listener that serves one alone.
    pub(super) fn join(
        self: &Arc<Self>,
        org: Option<&Arc<str>>,
    ) -> (Member, watch::Receiver<Grant>) {
        self.change(|state| state.streams += 1);
        let member = Member {
            org: org.map(|org| self.room_of(org)),
            credit: self.clone(),
        };
        (member, self.grant.subscribe())
    }

    fn room_of(&self, org: &Arc<str>) -> Arc<Room> {
        let mut orgs = self.orgs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = orgs.get(org).and_then(Weak::upgrade) {
            return room;
        }
        orgs.retain(|_, room| room.strong_count() > 0);
        let room = Room::new(ALL_CALLBACKS / ORG_PART, ALL_UNITS / ORG_PART);
        orgs.insert(org.clone(), Arc::downgrade(&room));
        room
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

impl Member {
    /// Waits for room. None never happens, as above.
    pub(super) async fn take(&self, callbacks: usize, bytes: usize) -> Option<Taken> {
        let callbacks = u32::try_from(callbacks).unwrap_or(u32::MAX);
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        // Its org's first: what waits for that takes nothing from the others.
        let Some(org) = &self.org else {
            return Some(Taken {
                _of_org: None,
                _of_all: self.credit.all.take(callbacks, units).await?,
            });
        };
        let (callbacks, units) = (callbacks.min(org.most.0), units.min(org.most.1));
        Some(Taken {
            _of_org: Some(org.take(callbacks, units).await?),
            _of_all: self.credit.all.take(callbacks, units).await?,
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.credit
            .change(|state| state.streams = state.streams.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_streams_together_have_a_bounded_number_and_each_its_part() {
        let credit = Credit::new();
        let (first, told) = credit.join(None);
        assert_eq!(told.borrow().callbacks, CREDIT_CALLBACKS);
        let more: Vec<_> = (1..64).map(|_| credit.join(None)).collect();
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
        let members: Vec<_> = (0..16).map(|_| credit.join(None)).collect();
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
        let (member, _told) = credit.join(None);
        let huge = member.take(usize::MAX, usize::MAX).await;
        assert!(huge.is_some());
        assert_eq!(credit.all.callbacks.available_permits(), 0);
        drop(huge);
        assert!(member.take(1, 1).await.is_some());
        assert_eq!(credit.all.units.available_permits(), ALL_UNITS as usize);
    }

    // Promise 8, against an org's own listener: what it holds here is not the others'.
    #[tokio::test]
    async fn one_orgs_listeners_leave_room_for_the_others_whatever_they_send() {
        let credit = Credit::new();
        let acme: Arc<str> = "acme".into();
        let greedy: Vec<_> = (0..4).map(|_| credit.join(Some(&acme)).0).collect();
        let held = greedy[0].take(usize::MAX, usize::MAX).await;
        assert!(held.is_some());
        let most = (ALL_CALLBACKS - ALL_CALLBACKS / ORG_PART) as usize;
        assert_eq!(credit.all.callbacks.available_permits(), most);
        let more = tokio::task::unconstrained(greedy[1].take(1, 1));
        assert!(
            futures_util::FutureExt::now_or_never(more).is_none(),
            "another stream of it waits"
        );
        let other: Arc<str> = "other".into();
        for org in [Some(&other), None] {
            let (member, _told) = credit.join(org);
            assert!(member.take(1, 1).await.is_some());
        }
        drop((held, greedy));
        credit.join(Some(&other));
        assert_eq!(
            credit.orgs.lock().unwrap().len(),
            1,
            "who left is forgotten"
        );
    }
}
