//! What may go goes: settled events that are too old or too many, by what their group says, else its org, else the defaults; and the rows that tell
//! repeats, past the longest window of any group.
//!
//! ```text
//!  every minute or so:  usage ─▶ each group's policy ─▶ retain, a step at a time
//!  every hour:          forget repeats
//! ```
//!
//! Each group has a slice of time in a round, and what is left waits for the next: one that has much to delete keeps none of the others waiting. What
//! fails for one group is told at the round's end, when the others had their turn.
//!
//! Nothing goes for an hour after a clock that can't be right: see [`clocks`].
//!
//! Each replica does it, at its own pace: two that do the same delete the same. A step is short, and after each comes a pause as long as the
//! step was, so that callbacks are kept meanwhile. What deletes is the log, and it deletes what is settled and nothing else.

mod clocks;
mod policy;
#[cfg(test)]
mod tests;

pub(crate) use self::policy::DEFAULT_DEDUP_DAYS;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use prost::Message;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::View;
use crate::context::Context;
use crate::due;
use crate::keys;
use crate::log::{DeliveryLog, LogError, Usage};
use crate::store::{Store, StoreError};

/// Between two rounds, and once more as much at random.
const EVERY: Duration = Duration::from_secs(40);
/// Before the first: a server that has just started has something better to do.
const FIRST: Duration = Duration::from_secs(1);
/// After a step, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Of one group in a round, and of forgetting: a call that was begun in it is ended.
const SLICE: Duration = Duration::from_secs(10);
/// Rows that tell repeats: when a call forgot fewer, the others can wait for the next time.
const WORTH_ANOTHER: u64 = 1_000;
/// Between two times that rows which tell repeats are looked through, all of them, and before the first time.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);
const FORGET_FIRST: Duration = Duration::from_secs(5 * 60);
/// Groups that are gone and whose notes were forgotten: past it they are forgotten once more, which costs little.
const MAX_FORGOTTEN: usize = 10_000;

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("`{0}` can't be read: {1}")]
    Damaged(String, prost::DecodeError),
}

/// What is kept in all, as of the last round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

/// What does it.
pub(crate) struct Keeper {
    log: Arc<dyn DeliveryLog>,
    store: Arc<dyn Store>,
    view: Arc<View>,
    /// Groups that are gone, and whose notes are too.
    forgotten: BTreeSet<String>,
    /// When repeats are forgotten next.
    forget: Instant,
    clocks: clocks::Clocks,
}

/// Until `shutdown`.
pub(crate) async fn run(context: Context, shutdown: CancellationToken) {
    let mut keeper = Keeper::new(&context);
    let mut wait = FIRST;
    let mut failed = false;
    loop {
        // Each step is one transaction, so it may end between any two.
        let round = async {
            tokio::time::sleep(wait).await;
            if !keeper.clocks.may_delete(&*keeper.log).await? {
                return Ok(None);
            }
            keeper.round().await.map(Some)
        };
        let done = tokio::select! {
            () = shutdown.cancelled() => return,
            done = round => done,
        };
        match done {
            Ok(None) => {}
            Ok(Some(kept)) => {
                if std::mem::take(&mut failed) {
                    tracing::info!("what may go is deleted again");
                }
                context.metrics.retained(kept, context.clock.now());
            }
            // Said once: until it is mended each round would say the same.
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    tracing::warn!(%error, "what is too old or too much is not deleted yet; it is tried again");
                }
            }
        }
        wait = EVERY + due::within(EVERY);
    }
}

impl Keeper {
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            log: Arc::clone(&context.log),
            store: Arc::clone(&context.store),
            view: Arc::clone(&context.view),
            forgotten: BTreeSet::new(),
            forget: Instant::now() + FORGET_FIRST,
            clocks: clocks::Clocks::new(Arc::clone(&context.clock)),
        }
    }

    /// What may go by now, as far as the time of each group reaches. What is left in all is told, or the first thing that failed.
    pub(crate) async fn round(&mut self) -> Result<Kept, Failed> {
        let mut failed = None;
        let mut orgs = BTreeMap::new();
        match self.log.usage().await {
            Ok(groups) => {
                for of in groups {
                    if let Err(error) = self.group(&of, &mut orgs).await {
                        failed.get_or_insert(error);
                    }
                }
            }
            Err(error) => failed = Some(error.into()),
        }
        if self.forget <= Instant::now() {
            // Set before it is done, so that what fails or takes long isn't done again and again.
            self.forget = Instant::now() + FORGET_EVERY;
            if let Err(error) = self.forget_repeats().await {
                failed.get_or_insert(error.into());
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let mut kept = Kept::default();
        for of in self.log.usage().await? {
            kept.events = kept.events.saturating_add(of.events);
            kept.bytes = kept.bytes.saturating_add(of.bytes);
        }
        Ok(kept)
    }

    /// One group's turn.
    async fn group(
        &mut self,
        of: &Usage,
        orgs: &mut BTreeMap<String, Option<v1::Retention>>,
    ) -> Result<(), Failed> {
        let record = self.view.group(&of.group_uid);
        if record.is_none() {
            self.forget(&of.group_uid).await?;
        }
        let spec = record
            .as_ref()
            .and_then(|record| record.group.spec.as_ref());
        let own = spec.and_then(|spec| spec.retention);
        let of_org = match own {
            Some(_) => None,
            None => self.of_org(&of.org, orgs).await?,
        };
        let policy = policy::of(&of.group_uid, spec, of_org);
        let until = Instant::now() + SLICE;
        while self.step(self.log.retain(&policy)).await? > 0 && Instant::now() < until {}
        Ok(())
    }

    async fn forget_repeats(&self) -> Result<(), LogError> {
        let window = policy::window(self.view.longest_dedup_days());
        let until = Instant::now() + SLICE;
        while self.step(self.log.forget_repeats(window)).await? >= WORTH_ANOTHER
            && Instant::now() < until
        {}
        Ok(())
    }

    /// What it did; then others have as long.
    async fn step(
        &self,
        step: impl Future<Output = Result<u64, LogError>>,
    ) -> Result<u64, LogError> {
        let began = Instant::now();
        let gone = step.await?;
        if gone > 0 {
            tokio::time::sleep(began.elapsed().min(LONGEST_PAUSE)).await;
        }
        Ok(gone)
    }

    /// What is noted of a group that is gone. It was forgotten when it was deleted; what came since, by a replica that hadn't heard, goes now.
    async fn forget(&mut self, group_uid: &str) -> Result<(), LogError> {
        if self.forgotten.contains(group_uid) {
            return Ok(());
        }
        self.log.notes().forget(group_uid).await?;
        if self.forgotten.len() >= MAX_FORGOTTEN {
            self.forgotten.clear();
        }
        self.forgotten.insert(group_uid.to_owned());
        Ok(())
    }

    /// What an org says, read once a round.
    async fn of_org(
        &self,
        org: &str,
        known: &mut BTreeMap<String, Option<v1::Retention>>,
    ) -> Result<Option<v1::Retention>, Failed> {
        if let Some(retention) = known.get(org) {
            return Ok(*retention);
        }
        let key = keys::org(org);
        let retention = match self.store.get(&key).await? {
            Some(entry) => v1::Org::decode(entry.value)
                .map_err(|error| Failed::Damaged(key, error))?
                .spec
                .and_then(|spec| spec.retention),
            None => None,
        };
        known.insert(org.to_owned(), retention);
        Ok(retention)
    }
}
