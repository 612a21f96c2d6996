//! List, then watch, for ever: what keeps a view of the store true.
//!
//! ```text
//!   list at R ──▶ one batch (what differs from what is known) ──▶ watch after R ──▶ a batch per revision
//!      ▲                                                             │
//!      ├── Compacted: list again and compare, never clear ◀──────────┤
//!      ├── audit, now and then: list again and compare ◀─────────────┤
//!      ├── prompted by the canary: watch again, list again, or forget everything and list ◀──┤
//!      └── (position kept) error or end: watch again after a jittered pause
//! ```
//!
//! Guarantees: the position advances only with what was brought, never with a time-out; a revision that is not above the position is
//! not applied again; what a watch lost in silence is found by the next audit; no call of the store is waited for without end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::store::{Change, Changes, Revision, Store, StoreError};

/// Keys asked for at once. For each page etcd counts all keys that are left: 300,000 in pages of 1,000 took 18 s, nearly all of it counting.
const PAGE: usize = 10_000;

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// The longest first pause after an error; doubles up to `pause_max`.
    pub(crate) pause: Duration,
    /// The longest pause.
    pub(crate) pause_max: Duration,
    /// Between audits.
    pub(crate) audit: Duration,
    /// For the store's answer to a page of a list, or to a watch's beginning.
    pub(crate) answer: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            pause: Duration::from_millis(100),
            pause_max: Duration::from_secs(30),
            audit: Duration::from_secs(300),
            answer: Duration::from_secs(10),
        }
    }
}

/// What changed, to be applied as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Of the store, once it is applied.
    pub(crate) revision: Revision,
    /// Keys with their value and its revision; none for a key that is gone.
    pub(crate) keys: Vec<(String, Option<(Revision, Bytes)>)>,
    /// True when it is everything there is, and in place of all that was known.
    pub(crate) anew: bool,
}

/// What the canary found, and what is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// The watch is silent: another one, from where this one is.
    WatchAgain,
    /// Another one was silent too.
    ListAgain,
    /// The store was rolled back: what is known of it is of another epoch.
    Forget,
}

/// Follows one prefix of a store.
pub(crate) struct Follower {
    store: Arc<dyn Store>,
    prefix: &'static str,
    timing: Timing,
    /// Every key there is, with its revision: what a list is compared with.
    known: HashMap<String, Revision>,
    position: Revision,
    prompts: mpsc::Receiver<Prompt>,
    /// Until a list has come, it is in place of all that was known.
    anew: bool,
    listed: Arc<Notify>,
}

/// Why a watch was left.
enum Left {
    Ended(String),
    /// Without a pause.
    WatchAgain,
    ListAgain(&'static str),
    Shutdown,
}

impl Follower {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        prefix: &'static str,
        timing: Timing,
        prompts: mpsc::Receiver<Prompt>,
    ) -> Self {
        Self {
            store,
            prefix,
            timing,
            known: HashMap::new(),
            position: 0,
            prompts,
            anew: true,
            listed: Arc::default(),
        }
    }

    /// Told of every list but the first: it may be of a later revision than any that a watch of this prefix brought elsewhere.
    pub(crate) fn listed(&self) -> Arc<Notify> {
        self.listed.clone()
    }

    /// Lists everything, and says what differs from what is known. None when the list is older than what is known.
    pub(crate) async fn list(&mut self) -> Result<Option<Batch>, StoreError> {
        let mut at = None;
        let mut after: Option<String> = None;
        let mut entries = Vec::new();
        loop {
            let page = self.store.list(self.prefix, after.as_deref(), PAGE, at);
            let page = timeout(self.timing.answer, page)
                .await
                .map_err(|_| unanswered())??;
            at = at.or(Some(page.revision));
            let full = page.entries.len() >= PAGE;
            after = page.entries.last().map(|e| e.key.clone());
            entries.extend(page.entries);
            if !full {
                break;
            }
        }
        let revision = at.unwrap_or_default();
        // An isolated or restored member may list the past. Older state is never taken for newer.
        if revision < self.position {
            return Ok(None);
        }
        let mut gone = std::mem::take(&mut self.known);
        let mut keys = Vec::new();
        for entry in entries {
            let same = gone.remove(&entry.key) == Some(entry.revision);
            self.known.insert(entry.key.clone(), entry.revision);
            if !same {
                keys.push((entry.key, Some((entry.revision, entry.value))));
            }
        }
        keys.extend(gone.into_keys().map(|key| (key, None)));
        self.position = revision;
        Ok(Some(Batch {
            revision,
            keys,
            anew: std::mem::take(&mut self.anew),
        }))
    }

    /// Goes on until `shutdown`, handing every batch to `apply`.
    pub(crate) async fn follow(
        mut self,
        mut apply: impl FnMut(Batch) + Send,
        shutdown: CancellationToken,
    ) {
        let mut pause = self.timing.pause;
        let mut list_first = false;
        loop {
            let before = self.position;
            let left = if list_first {
                match self.list().await {
                    Ok(Some(batch)) => {
                        list_first = false;
                        // It answers again: what fails next is another trouble, not the last one's next attempt.
                        pause = self.timing.pause;
                        apply(batch);
                        self.listed.notify_one();
                        continue;
                    }
                    Ok(None) => Left::Ended("the store listed an older revision".to_owned()),
                    Err(error) => Left::Ended(error.to_string()),
                }
            } else {
                self.watch(&mut apply, &shutdown).await
            };
            match left {
                Left::Shutdown => return,
                Left::WatchAgain => {}
                Left::ListAgain(why) => {
                    tracing::debug!(why, position = self.position, "listing the store again");
                    list_first = true;
                    // A store that compacts in a loop, or a watch that is always out of order, must not make this one spin.
                    if self.position == before {
                        tokio::time::sleep(crate::due::within(self.timing.pause)).await;
                    }
                }
                Left::Ended(reason) => {
                    if self.position > before {
                        pause = self.timing.pause;
                    }
                    let wait = crate::due::within(pause);
                    tracing::warn!(%reason, position = self.position, ?wait, "the store's watch ended; it is started again");
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(wait) => {}
                    }
                    pause = (pause * 2).min(self.timing.pause_max);
                }
            }
        }
    }

    async fn watch(
        &mut self,
        apply: &mut (impl FnMut(Batch) + Send),
        shutdown: &CancellationToken,
    ) -> Left {
        let begun = timeout(
            self.timing.answer,
            self.store.watch(self.prefix, self.position),
        );
        let mut changes: Changes = match begun.await.unwrap_or_else(|_| Err(unanswered())) {
            Ok(changes) => changes,
            Err(StoreError::Compacted { .. }) => return Left::ListAgain(COMPACTED),
            Err(error) => return Left::Ended(error.to_string()),
        };
        let audit = Instant::now() + self.timing.audit;
        loop {
            let next = tokio::select! {
                () = shutdown.cancelled() => return Left::Shutdown,
                () = tokio::time::sleep_until(audit) => return Left::ListAgain("audit"),
                Some(prompt) = self.prompts.recv() => return self.prompted(prompt),
                next = changes.next() => next,
            };
            match next {
                Some(Ok(change)) if change.revision <= self.position => {
                    if self.is_news(&change) {
                        return Left::ListAgain("the watch is out of order");
                    }
                    tracing::warn!(
                        revision = change.revision,
                        position = self.position,
                        "the store's watch brought what it brought before; ignored"
                    );
                }
                Some(Ok(change)) => apply(self.take(change)),
                Some(Err(StoreError::Compacted { .. })) => return Left::ListAgain(COMPACTED),
                Some(Err(error)) => return Left::Ended(error.to_string()),
                None => return Left::Ended("the watch ended".to_owned()),
            }
        }
    }

    fn prompted(&mut self, prompt: Prompt) -> Left {
        match prompt {
            Prompt::WatchAgain => Left::WatchAgain,
            Prompt::ListAgain => Left::ListAgain("the watch is silent"),
            Prompt::Forget => {
                self.known.clear();
                self.position = 0;
                self.anew = true;
                Left::ListAgain("the store was rolled back")
            }
        }
    }

    /// Whether a change that comes too late was not known by then: one that overtook it moved the position past it.
    fn is_news(&self, change: &Change) -> bool {
        change.keys.iter().any(|(key, value)| {
            let known = self.known.get(key).copied();
            match value {
                Some(_) => known.is_none_or(|known| known < change.revision),
                None => known.is_some_and(|known| known < change.revision),
            }
        })
    }

    /// The only place besides a list that moves the position.
    fn take(&mut self, change: Change) -> Batch {
        self.position = change.revision;
        let keys = change
            .keys
            .into_iter()
            .map(|(key, value)| match value {
                Some(value) => {
                    self.known.insert(key.clone(), change.revision);
                    (key, Some((change.revision, value)))
                }
                None => {
                    self.known.remove(&key);
                    (key, None)
                }
            })
            .collect();
        Batch {
            revision: change.revision,
            keys,
            anew: false,
        }
    }
}

const COMPACTED: &str = "compacted";

fn unanswered() -> StoreError {
    StoreError::Unavailable("the store did not answer in time".to_owned())
}

#[cfg(test)]
mod tests;
