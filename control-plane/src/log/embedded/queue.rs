//! What waits for the writer: bounded in pieces and in bytes, refused at once when full.
//!
//! There is no timer: what waits when the last commit left is the next batch, so a quiet log commits each callback by itself and a busy one
//! many at a time.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::fault::Fault;
use super::tables::Tables;
use crate::log::LogError;

/// One piece of work for the writer, done within a batch's transaction and answered after its commit.
pub(super) trait Work: Send {
    /// Does it. What it has to say is kept until the commit is known. Done again when the transaction had to be begun anew.
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<(), Fault>;
    /// Says how it ended.
    fn answer(self: Box<Self>, committed: Result<(), LogError>);
    /// Nobody waits for the answer any more, so it needn't be begun.
    fn is_abandoned(&self) -> bool;
}

/// A piece of work that was not begun, with what it costs to keep waiting.
pub(super) struct Waiting {
    pub(super) bytes: usize,
    pub(super) work: Box<dyn Work>,
}

/// How much may wait, and how much goes into one commit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) queue_pieces: usize,
    pub(super) queue_bytes: usize,
    pub(super) batch_pieces: usize,
    pub(super) batch_bytes: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
}

/// Between the callers and the writer.
pub(super) struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    ready: Condvar,
}

/// What the writer is to do next.
pub(super) enum Next {
    /// Work, or nothing but the time having come.
    Batch(Vec<Waiting>),
    /// Everything was taken and nothing more will come.
    Closed,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            ready: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; were it so, the queue would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a piece of work or refuses it, without waiting.
    pub(super) fn push(&self, waiting: Waiting) -> Result<(), LogError> {
        let mut state = self.state();
        if state.closed {
            return Err(LogError::Unavailable("it is closed".into()));
        }
        let full = state.waiting.len() >= self.bounds.queue_pieces
            || (state.bytes > 0 && state.bytes + waiting.bytes > self.bounds.queue_bytes);
        if full {
            return Err(LogError::Unavailable(format!(
                "{} callbacks wait to be written already",
                state.waiting.len()
            )));
        }
        // The writer sleeps only while nothing waits, and waking it is a system call, whether it sleeps or not.
        let may_sleep = state.waiting.is_empty();
        state.bytes += waiting.bytes;
        state.waiting.push_back(waiting);
        drop(state);
        if may_sleep {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// How much waits.
    pub(super) fn len(&self) -> u64 {
        self.state().waiting.len() as u64
    }

    /// Waits for work, at most until `until`, and takes all that fits one commit.
    pub(super) fn take(&self, until: Option<Instant>) -> Next {
        let mut state = self.state();
        while state.waiting.is_empty() && !state.closed {
            let Some(until) = until else {
                state = self
                    .ready
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let now = Instant::now();
            if now >= until {
                return Next::Batch(Vec::new());
            }
            state = self
                .ready
                .wait_timeout(state, until - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if state.waiting.is_empty() {
            return Next::Closed;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(next) = state.waiting.front() {
            let fits = bytes + next.bytes <= self.bounds.batch_bytes;
            if !batch.is_empty() && (batch.len() >= self.bounds.batch_pieces || !fits) {
                break;
            }
            let Some(next) = state.waiting.pop_front() else {
                break;
            };
            bytes += next.bytes;
            state.bytes -= next.bytes;
            batch.push(next);
        }
        Next::Batch(batch)
    }

    /// Pieces that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Refuses everything from now on. What waits is still taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.ready.notify_all();
    }
}

/// A closure as a piece of work.
pub(super) struct Call<T, F> {
    work: F,
    outcome: Option<T>,
    reply: oneshot::Sender<Result<T, LogError>>,
}

impl<T, F> Call<T, F>
where
    T: Send + 'static,
    F: Fn(&mut Tables<'_>) -> Result<T, Fault> + Send + 'static,
{
    /// The work, and where its answer comes.
    pub(super) fn new(work: F) -> (Box<Self>, oneshot::Receiver<Result<T, LogError>>) {
        let (reply, answer) = oneshot::channel();
        (
            Box::new(Self {
                work,
                outcome: None,
                reply,
            }),
            answer,
        )
    }
}

impl<T, F> Work for Call<T, F>
where
    T: Send + 'static,
    F: Fn(&mut Tables<'_>) -> Result<T, Fault> + Send + 'static,
{
    fn run(&mut self, tables: &mut Tables<'_>) -> Result<(), Fault> {
        self.outcome = None;
        self.outcome = Some((self.work)(tables)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), LogError>) {
        let Self { outcome, reply, .. } = *self;
        let answer = committed.and_then(|()| {
            outcome.ok_or_else(|| LogError::Unavailable("the work was not begun".into()))
        });
        // The caller may have gone: its deadline passed.
        drop(reply.send(answer));
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_that_is_pushed_is_slept_through() {
        const CALLERS: usize = 4;
        const EACH: usize = 500;
        let queue = Arc::new(Queue::new(Bounds {
            queue_pieces: CALLERS * EACH,
            queue_bytes: CALLERS * EACH,
            batch_pieces: 7,
            batch_bytes: 5,
        }));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || {
                    for _ in 0..EACH {
                        let (work, _) = Call::new(|_: &mut Tables<'_>| Ok(()));
                        queue.push(Waiting { bytes: 1, work }).expect("fits");
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        let mut taken = 0;
        while taken < CALLERS * EACH {
            let until = Instant::now() + Duration::from_secs(20);
            let Next::Batch(batch) = queue.take(Some(until)) else {
                panic!("nobody closed it");
            };
            assert!(Instant::now() < until, "it was not woken");
            taken += batch.len();
        }
        for caller in callers {
            caller.join().expect("ends well");
        }
    }
}
