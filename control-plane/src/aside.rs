//! What users wrote, compiled and evaluated beside the threads that serve everybody.
//!
//! ```text
//!   async task ─ run(org, work) ─▶ a turn of so many ─▶ a blocking thread: work(&Here) ─▶ what it made
//! ```
//!
//! - A filter, a pattern or a mapping costs what its bounds allow, some 40 ms, and none of that is a worker's: what takes a [`Here`] can't be called on one.
//! - No more of them run at once than about half of the cores, for each purpose apart: who previews holds up no delivery, and who delivers no save.
//! - Orgs take turns ([`line`]): what one has waiting holds up no other.
//! - What was begun keeps its turn to its end, also where nobody waits for it any more.

mod line;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::task::JoinError;

use line::{Line, Turn};

/// The cores are the whole process's, and so are these.
pub(crate) struct Aside(LazyLock<Arc<Line>>);

/// Records for deliveries.
pub(crate) static DELIVERIES: Aside = Aside::new();
/// Events tried with webhooks, for callers who wait: previews, comparisons, feeds, tails; and payloads that are shown.
pub(crate) static TRIALS: Aside = Aside::new();
/// What is saved.
pub(crate) static SAVES: Aside = Aside::new();
/// Order keys of what comes in.
pub(crate) static ARRIVALS: Aside = Aside::new();

/// That this is no thread which serves anybody else. Only [`Aside::run`] has one.
pub(crate) struct Here(());

impl Aside {
    pub(crate) const fn new() -> Self {
        Self(LazyLock::new(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            Arc::new(Line::new((cores / 2).max(1)))
        }))
    }

    /// Does it when it is the org's turn. The error says that it broke off.
    pub(crate) async fn run<T: Send + 'static>(
        &'static self,
        org: &str,
        work: impl FnOnce(&Here) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        done(self.0.turn(org).await, work).await
    }

    /// The same for who can't go on without it: where it breaks off, that breaks off too.
    pub(crate) async fn finish<T: Send + 'static>(
        &'static self,
        org: &str,
        work: impl FnOnce(&Here) -> T + Send + 'static,
    ) -> T {
        match self.run(org, work).await {
            Ok(made) => made,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends, and this with it.
            Err(_) => std::future::pending().await,
        }
    }

    /// As [`Aside::run`] does, unless its turn doesn't come within that time: then it isn't done.
    pub(crate) async fn run_within<T: Send + 'static>(
        &'static self,
        org: &str,
        patience: Duration,
        work: impl FnOnce(&Here) -> T + Send + 'static,
    ) -> Option<Result<T, JoinError>> {
        let turn = tokio::time::timeout(patience, self.0.turn(org)).await;
        Some(done(turn.ok()?, work).await)
    }
}

/// Its turn ends with it, also where it breaks off.
async fn done<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce(&Here) -> T + Send + 'static,
) -> Result<T, JoinError> {
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work(&Here(()))
    })
    .await
}

#[cfg(test)]
impl Aside {
    /// Until they are dropped.
    pub(crate) async fn all_turns(&'static self, org: &str) -> Box<dyn Send> {
        let mut all = Vec::new();
        for _ in 0..self.0.free() {
            all.push(self.0.turn(org).await);
        }
        Box::new(all)
    }
}

#[cfg(test)]
impl Here {
    /// A test's thread serves nobody else.
    pub(crate) fn of_test() -> Self {
        Self(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};

    use super::*;

    // On the one worker there is: work that stood on it would wait for ever for what only the worker can do.
    #[tokio::test]
    async fn work_holds_no_worker() {
        static OWN: Aside = Aside::new();
        let (let_go, wait) = mpsc::channel::<()>();
        let work = OWN.run("acme", move |_| wait.recv().is_ok());
        let other = async {
            let_go.send(()).unwrap();
        };
        let (done, ()) = tokio::join!(work, other);
        assert!(done.unwrap());
    }

    #[tokio::test]
    async fn no_more_runs_at_once_than_there_are_turns_and_who_gives_up_frees_none() {
        static OWN: Aside = Aside::new();
        let turns = OWN.0.free();
        let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (let_go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(wait));
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let all: Vec<_> = (0..turns + 3)
            .map(|_| {
                let (under_way, most) = (Arc::clone(&under_way), Arc::clone(&most));
                let (wait, begun) = (Arc::clone(&wait), begun.clone());
                tokio::spawn(OWN.run("acme", move |_| {
                    let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    begun.send(()).unwrap();
                    let _ = wait.lock().unwrap().recv();
                    under_way.fetch_sub(1, Ordering::SeqCst);
                }))
            })
            .collect();
        for _ in 0..turns {
            begins.recv().await.unwrap();
        }
        // Nobody waits for those under way any more; they go on all the same.
        for one in &all[..turns] {
            one.abort();
        }
        for _ in 0..turns + 3 {
            let_go.send(()).unwrap();
        }
        for _ in 0..3 {
            begins.recv().await.unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), turns);
    }

    #[tokio::test]
    async fn work_that_breaks_off_gives_its_turn_back() {
        static OWN: Aside = Aside::new();
        let turns = OWN.0.free();
        for _ in 0..=turns {
            let broken = OWN.run("acme", |_| panic!("it breaks off, as the test has it"));
            assert!(broken.await.is_err());
        }
        assert_eq!(OWN.0.free(), turns);
    }

    #[tokio::test]
    async fn who_waits_for_so_long_at_most_leaves_undone_what_has_no_turn() {
        static OWN: Aside = Aside::new();
        let held = OWN.all_turns("greedy").await;
        let undone = OWN.run_within("acme", Duration::ZERO, |_| ()).await;
        assert!(undone.is_none());
        drop(held);
        let done = OWN.run_within("acme", Duration::ZERO, |_| ()).await;
        assert!(done.unwrap().is_ok());
    }
}
