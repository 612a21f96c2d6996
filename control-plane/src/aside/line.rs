//! Who is next: a line with so many turns at a time. Orgs are served in turns, and within one org who came first.
//!
//! Guarantees:
//! - Next is an org with the fewest turns under way, whose last one was longest ago: however many of one org wait, another waits for no more than those
//!   under way and one for each other org.
//! - Who gives up waiting gives up the place, and a turn goes on when it is dropped, however that comes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

pub(super) struct Line(Mutex<State>);

struct State {
    free: usize,
    /// Orgs with somebody waiting, who was served longest ago first. No queue is empty.
    queues: VecDeque<Queue>,
    /// Turns that an org has now.
    under_way: HashMap<Arc<str>, usize>,
}

struct Queue {
    org: Arc<str>,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// Held while it runs.
pub(super) struct Turn {
    line: Arc<Line>,
    /// None once it is given back.
    org: Option<Arc<str>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(org) = self.org.take() {
            self.line.pass_on(org);
        }
    }
}

/// Of one who waits.
struct Place {
    line: Arc<Line>,
    org: Arc<str>,
    turn: oneshot::Receiver<Turn>,
}

impl Drop for Place {
    fn drop(&mut self) {
        // A turn that came meanwhile goes on with the receiver.
        self.turn.close();
        self.line.lock().forget_who_left(&self.org);
    }
}

impl Line {
    pub(super) fn new(turns: usize) -> Self {
        Self(Mutex::new(State {
            free: turns,
            queues: VecDeque::new(),
            under_way: HashMap::new(),
        }))
    }

    pub(super) async fn turn(self: &Arc<Self>, org: &str) -> Turn {
        let org: Arc<str> = org.into();
        loop {
            let mut place = {
                let mut state = self.lock();
                if state.begin(&org) {
                    return self.turn_of(org);
                }
                let turn = state.wait(&org);
                let (line, org) = (Arc::clone(self), Arc::clone(&org));
                Place { line, org, turn }
            };
            // No sender is dropped unsent while somebody waits.
            if let Ok(turn) = (&mut place.turn).await {
                return turn;
            }
        }
    }

    fn turn_of(self: &Arc<Self>, org: Arc<str>) -> Turn {
        Turn {
            line: Arc::clone(self),
            org: Some(org),
        }
    }

    /// From one org to who is next.
    fn pass_on(self: &Arc<Self>, mut from: Arc<str>) {
        loop {
            let next = self.lock().end(&from);
            let Some((org, waiting)) = next else { return };
            match waiting.send(self.turn_of(org)) {
                Ok(()) => return,
                // He gave up just now.
                Err(mut turn) => match turn.org.take() {
                    Some(org) => from = org,
                    None => return,
                },
            }
        }
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.lock().free
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// True where a turn is free: it is the org's now.
    fn begin(&mut self, org: &Arc<str>) -> bool {
        let is_free = self.free > 0;
        if is_free {
            self.free -= 1;
            *self.under_way.entry(Arc::clone(org)).or_default() += 1;
        }
        is_free
    }

    fn wait(&mut self, org: &Arc<str>) -> oneshot::Receiver<Turn> {
        let (sender, turn) = oneshot::channel();
        match self.queues.iter_mut().find(|queue| queue.org == *org) {
            Some(queue) => queue.waiting.push_back(sender),
            None => self.queues.push_back(Queue {
                org: Arc::clone(org),
                waiting: VecDeque::from([sender]),
            }),
        }
        turn
    }

    /// One of the org's turns ends: whose it is now. Who is next is decided before, so that an org's next one comes after others'.
    fn end(&mut self, from: &Arc<str>) -> Option<(Arc<str>, oneshot::Sender<Turn>)> {
        let of_org = |org| self.under_way.get(org).copied().unwrap_or_default();
        let queues = self.queues.iter().enumerate();
        let next = queues.min_by_key(|(_, queue)| of_org(&queue.org));
        let next = next.map(|(at, _)| at);
        if let Some(count) = self.under_way.get_mut(from) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(from);
            }
        }
        self.free += 1;
        let mut queue = self.queues.remove(next?)?;
        let first = queue.waiting.pop_front()?;
        let org = Arc::clone(&queue.org);
        if !queue.waiting.is_empty() {
            self.queues.push_back(queue);
        }
        self.begin(&org).then_some((org, first))
    }

    fn forget_who_left(&mut self, org: &Arc<str>) {
        let Some(at) = self.queues.iter().position(|queue| queue.org == *org) else {
            return;
        };
        let waiting = &mut self.queues[at].waiting;
        waiting.retain(|one| !one.is_closed());
        if waiting.is_empty() {
            self.queues.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt as _;

    use super::*;

    type Waits = Pin<Box<dyn Future<Output = Turn> + Send>>;

    /// In the line, or already served.
    fn come(line: &Arc<Line>, org: &'static str) -> Result<Turn, Waits> {
        let line = Arc::clone(line);
        let mut waits: Waits = Box::pin(async move { line.turn(org).await });
        match (&mut waits).now_or_never() {
            Some(turn) => Ok(turn),
            None => Err(waits),
        }
    }

    fn wait(line: &Arc<Line>, org: &'static str) -> Waits {
        come(line, org).err().expect("no turn is free")
    }

    fn is_empty(line: &Line) -> bool {
        let state = line.lock();
        state.queues.is_empty() && state.under_way.is_empty()
    }

    // Promise 8: whatever one org has waiting, another's turn comes.
    #[test]
    fn who_waits_behind_a_hundred_of_another_org_is_next() {
        let line = Arc::new(Line::new(1));
        let first = come(&line, "greedy").ok().unwrap();
        let mut greedy: Vec<_> = (0..100).map(|_| wait(&line, "greedy")).collect();
        let mut other = wait(&line, "other");
        drop(first);
        let turn = (&mut other).now_or_never().unwrap();
        assert!(greedy.iter_mut().all(|one| one.now_or_never().is_none()));
        // And again, so that they take turns; within an org who came first is first.
        let mut again = wait(&line, "other");
        drop(turn);
        let turn = (&mut greedy[0]).now_or_never().unwrap();
        assert!((&mut again).now_or_never().is_none());
        drop(turn);
        drop((&mut again).now_or_never().unwrap());
        for one in &mut greedy[1..] {
            drop(one.now_or_never().unwrap());
        }
        drop((greedy, other, again));
        assert!(is_empty(&line));
        assert_eq!(line.free(), 1);
    }

    #[test]
    fn who_has_turns_under_way_comes_after_who_has_none() {
        let line = Arc::new(Line::new(2));
        let first = come(&line, "greedy").ok().unwrap();
        let second = come(&line, "other").ok().unwrap();
        let mut of_greedy = wait(&line, "greedy");
        let mut of_third = wait(&line, "third");
        drop(second);
        assert!((&mut of_greedy).now_or_never().is_none());
        let third = (&mut of_third).now_or_never().unwrap();
        drop(first);
        let greedy = (&mut of_greedy).now_or_never().unwrap();
        drop((third, greedy));
        assert_eq!(line.free(), 2);
    }

    #[test]
    fn who_gives_up_keeps_no_place_and_no_turn() {
        let line = Arc::new(Line::new(1));
        let first = come(&line, "a").ok().unwrap();
        let (gone, unread) = (wait(&line, "a"), wait(&line, "b"));
        let mut last = wait(&line, "c");
        drop(gone);
        assert_eq!(line.lock().queues.len(), 2);
        // It is given the turn, and goes without having looked.
        drop(first);
        assert!((&mut last).now_or_never().is_none());
        drop(unread);
        drop((&mut last).now_or_never().unwrap());
        drop(last);
        assert!(is_empty(&line));
        assert!(come(&line, "a").is_ok());
    }
}
