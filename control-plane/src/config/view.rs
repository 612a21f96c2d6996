//! The store's configuration in memory, kept by one watch: what streams send, and what reports are matched against again.
//!
//! Reads are a short lock and a few shared pointers. It is never empty in between and never goes backwards.

use std::sync::{Arc, PoisonError, RwLock};

use hookplane_proto::v1;
use hookplane_rules::Group;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::pool::{Delta, Pool, Snapshot};
use super::state::State;
use super::watch::{Follower, Timing};
use crate::access::Tokens;
use crate::keys;
use crate::seal::SealKey;
use crate::store::{Store, StoreError};

/// The store in memory.
pub struct View {
    state: RwLock<State>,
    epoch: RwLock<String>,
    revision: watch::Sender<u64>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

/// One group as the view has it.
#[derive(Clone)]
pub struct GroupRecord {
    /// As stored, secrets sealed, with `metadata.revision`.
    pub group: Arc<v1::WebhookGroup>,
    /// The last revision of the group or of any of its webhooks, removals counted.
    pub revision: u64,
    /// Compiled, with its webhooks.
    pub compiled: Arc<Group>,
    /// Its webhooks in order of their names, with the template.
    pub webhooks: Arc<Vec<Arc<v1::Webhook>>>,
}

impl View {
    /// Lists the store, then follows it until `shutdown`. The view is whole when this returns.
    pub async fn start(
        store: Arc<dyn Store>,
        seal: Arc<SealKey>,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, StoreError> {
        let epoch = store.epoch().await?;
        let mut follower = Follower::new(store, keys::ROOT, Timing::default());
        let first = follower.list().await?;
        let mut state = State::new(seal);
        if let Some(batch) = first {
            state.apply(batch);
        }
        let view = Arc::new(Self {
            revision: watch::Sender::new(state.revision),
            state: RwLock::new(state),
            epoch: RwLock::new(epoch),
            shutdown: shutdown.clone(),
            tasks: TaskTracker::new(),
        });
        let of_watch = view.clone();
        view.tasks.spawn(follower.follow(
            move |batch| {
                let revision = batch.revision;
                of_watch
                    .state
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .apply(batch);
                of_watch.revision.send_replace(revision);
            },
            shutdown,
        ));
        Ok(view)
    }

    /// A group by its uid.
    pub fn group(&self, uid: &str) -> Option<GroupRecord> {
        self.read(|state| state.record(uid))
    }

    /// A group by org and name.
    pub fn group_named(&self, org: &str, name: &str) -> Option<GroupRecord> {
        self.read(|state| state.record_named(org, name))
    }

    /// The stored tokens.
    pub fn tokens(&self) -> Arc<Tokens> {
        self.read(|state| state.tokens.clone())
    }

    /// The store's revision as far as the watch has come.
    pub fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// Told of every new revision.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Waits until the view has come to `revision`, so that a caller reads its own write. False after `deadline`.
    pub async fn reached(&self, revision: u64, deadline: tokio::time::Instant) -> bool {
        let mut revisions = self.revision.subscribe();
        let reached = revisions.wait_for(|now| *now >= revision);
        matches!(tokio::time::timeout_at(deadline, reached).await, Ok(Ok(_)))
    }

    /// The id that this view's revisions are of.
    pub fn epoch(&self) -> String {
        self.epoch
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends with the server: streams drain.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Owns the tasks of streams. Close it and wait on it after `shutdown`.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Revisions no longer compare with those handed out before: the store was rolled back under its listeners.
    pub(crate) fn begin_epoch(&self) -> Result<(), getrandom::Error> {
        let random = getrandom::u64()?;
        let mut epoch = self.epoch.write().unwrap_or_else(PoisonError::into_inner);
        let base = epoch.split('+').next().unwrap_or_default().to_owned();
        *epoch = format!("{base}+{random:016x}");
        Ok(())
    }

    pub(crate) fn changed_after(&self, pool: &str, revision: u64) -> bool {
        self.read(|state| {
            state
                .pools
                .get(pool)
                .is_some_and(|pool| pool.changed_after(revision))
        })
    }

    pub(crate) fn snapshot(&self, pool: &str) -> Snapshot {
        self.read(|state| match state.pools.get(pool) {
            Some(pool) => pool.snapshot(state.revision),
            None => Pool::new(0).snapshot(state.revision),
        })
    }

    /// None when a full list is needed.
    pub(crate) fn delta(&self, pool: &str, from: u64) -> Option<Delta> {
        self.read(|state| match state.pools.get(pool) {
            Some(pool) => pool.delta(from, state.revision),
            // Nothing is known of such a pool, nor what a listener of it may have had.
            None => None,
        })
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}
