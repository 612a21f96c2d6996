//! How much of what is costly runs at once: in all, and for one org. Who would wait too long is told to come again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::status::Problem;

/// A caller waits no longer for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Turns {
    all: Arc<Semaphore>,
    each: usize,
    patience: Duration,
    /// Those that somebody has or waits for.
    of_org: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Held while it runs.
pub(super) struct Turn {
    _of_org: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            each,
            patience: PATIENCE,
            of_org: Mutex::default(),
        }
    }

    /// The org's first, so that one that waits for its own keeps nothing from others.
    pub(super) async fn take(&self, org: &str) -> Result<Turn, Problem> {
        self.take_within(org, self.patience).await
    }

    async fn take_within(&self, org: &str, patience: Duration) -> Result<Turn, Problem> {
        let of_org = {
            let mut known = self.of_org.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, one| Arc::strong_count(one) > 1);
            let one = known.entry(org.to_owned());
            Arc::clone(one.or_insert_with(|| Arc::new(Semaphore::new(self.each))))
        };
        let both = async {
            let of_org = of_org.acquire_owned().await?;
            let of_all = Arc::clone(&self.all).acquire_owned().await?;
            Ok(Turn {
                _of_org: of_org,
                _of_all: of_all,
            })
        };
        match tokio::time::timeout(patience, both).await {
            Ok(taken) => taken
                .map_err(|error: tokio::sync::AcquireError| Problem::Internal(error.to_string())),
            Err(_) => Err(Problem::Busy(
                "as many of these run as may at once: try again in a while".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
impl Turns {
    /// Whose callers wait for nothing.
    pub(super) fn impatient(self) -> Self {
        let patience = Duration::ZERO;
        Self { patience, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_org_takes_no_more_than_its_own() {
        let turns = Turns::new(3, 1);
        let first = turns.take("a").await.ok().unwrap();
        let second = turns.take_within("a", Duration::ZERO).await;
        assert!(matches!(second, Err(Problem::Busy(_))));
        let other = turns.take("b").await;
        assert!(other.is_ok());
        drop(first);
        assert!(turns.take("a").await.is_ok());
        assert!(turns.of_org.lock().unwrap().len() <= 2);
    }

    // Promise 8: whatever one org has under way, another's turn comes.
    #[tokio::test]
    async fn no_org_has_all_turns_of_previews_comparisons_replays_or_reads() {
        let (previews, comparisons) = (
            super::super::preview::turns(),
            super::super::compare::turns(),
        );
        let (replays, reads) = (super::super::replay::turns(), super::super::event::reads());
        for turns in [previews, comparisons, replays, reads] {
            let mut taken = Vec::new();
            while let Ok(turn) = turns.take_within("greedy", Duration::ZERO).await {
                taken.push(turn);
            }
            assert!(!taken.is_empty());
            assert!(turns.take_within("other", Duration::ZERO).await.is_ok());
        }
    }
}
