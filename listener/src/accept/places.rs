//! Places for connections, and who gives one up when there are no more.
//!
//! When all are taken and another caller is there, the connection that has asked nothing for now and came first of those is ended for it. Without
//! that, whoever opens connections and says nothing keeps everybody else out for as long as a head may take. Requests under way are never touched.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Pulse;

/// Who holds a place, and how many there may be.
pub(super) struct Places {
    free: Arc<Semaphore>,
    most: usize,
    /// In the order in which they came. Those that have left are among them, until there are too many.
    there: VecDeque<Weak<Pulse>>,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            most,
            there: VecDeque::with_capacity(0),
        }
    }

    /// Waits for one. Nothing is lost when that is given up.
    pub(super) fn free(&self) -> impl Future<Output = Option<OwnedSemaphorePermit>> + use<> {
        let free = self.free.clone();
        // It is never closed.
        async move { free.acquire_owned().await.ok() }
    }

    /// Has one connection end for another, where none is free and one is idle.
    pub(super) fn make_room(&mut self) {
        if self.free.available_permits() > 0 {
            return;
        }
        for _ in 0..self.there.len() {
            let Some(first) = self.there.pop_front() else {
                return;
            };
            match first.upgrade() {
                Some(pulse) if pulse.is_idle() => {
                    pulse.give_up.notify_one();
                    return;
                }
                Some(_) => self.there.push_back(first),
                None => {}
            }
        }
    }

    pub(super) fn taken_by(&mut self, pulse: &Arc<Pulse>) {
        if self.there.len() >= self.most * 2 {
            self.there.retain(|pulse| pulse.strong_count() > 0);
        }
        self.there.push_back(Arc::downgrade(pulse));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Beat;
    use super::*;

    fn gives_up(pulse: &Pulse) -> bool {
        std::pin::pin!(pulse.give_up.notified()).enable()
    }

    #[test]
    fn the_first_of_those_that_ask_nothing_gives_its_place_up() {
        let mut places = Places::new(3);
        let _all = places.free.clone().try_acquire_many_owned(3).unwrap();
        let [busy, left, idle, other] = [(); 4].map(|()| Arc::new(Pulse::new()));
        let _request = Beat::new(&busy);
        for pulse in [&busy, &left, &idle, &other] {
            places.taken_by(pulse);
        }
        drop(left);
        places.make_room();
        assert!(gives_up(&idle) && !gives_up(&busy) && !gives_up(&other));
        places.make_room();
        assert!(gives_up(&other) && !gives_up(&busy));
        places.make_room();
        assert!(!gives_up(&busy));
    }

    #[test]
    fn nobody_gives_a_place_up_while_one_is_free() {
        let mut places = Places::new(1);
        let idle = Arc::new(Pulse::new());
        places.taken_by(&idle);
        places.make_room();
        assert!(!gives_up(&idle));
    }

    #[test]
    fn those_that_have_left_are_forgotten() {
        let mut places = Places::new(10);
        for _ in 0..1_000 {
            places.taken_by(&Arc::new(Pulse::new()));
        }
        assert!(places.there.len() <= 20);
    }
}
