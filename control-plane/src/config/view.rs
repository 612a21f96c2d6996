//! The store's configuration in memory, kept by one watch: what streams send, and what reports are matched against again.
//!
//! Reads are a short lock and a few shared pointers. It is never empty in between and never goes backwards.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::{Connector, Group};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::compiled::{Compiled, Judge};
use super::encoded::Encoder;
use super::pool::{Delta, Snapshot};
use super::state::State;
use super::watch::{Batch, Follower, Timing};
use super::{ListenerScope, canary, epoch, pool::Pool};
use crate::access::Tokens;
use crate::keys;
use crate::report::Orders;
use crate::seal::SealKey;
use crate::store::{Store, StoreError};

/// The store in memory.
pub struct View {
    state: RwLock<State>,
    encoder: Encoder,
    seal: Arc<SealKey>,
    compiled: Compiled,
    orders: Arc<Orders>,
    revision: watch::Sender<u64>,
    /// Apart from the revision: most of what is written, every replica's canary among it, is nothing to a listener, and thousands of
    /// streams would be woken for it.
    offers: watch::Sender<()>,
    /// Milliseconds; [`UNKNOWN`] before the first canary.
    lag: AtomicU64,
    /// See [`View::current`].
    current: Mutex<Option<Instant>>,
    /// Webhooks that were deleted since somebody asked, by their uids, with the reason their deliveries are dropped for.
    dropping: Mutex<BTreeMap<String, String>>,
    /// Webhooks that lost their subscribers since somebody asked: their keys, by their uids.
    unsubscribed: Mutex<BTreeMap<String, String>>,
    /// When a listener last had another epoch begun.
    renewed: Mutex<Option<Instant>>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

const UNKNOWN: u64 = u64::MAX;
/// Another epoch costs every listener a full list, so what a listener says has one begun this often at most.
const RENEWALS: Duration = Duration::from_secs(60);

/// One group as the view has it.
#[derive(Clone)]
pub struct GroupRecord {
    /// As stored, secrets sealed, with `metadata.revision`.
    pub group: Arc<v1::WebhookGroup>,
    /// The last revision of the group or of any of its webhooks, removals counted.
    pub revision: u64,
    /// What [`View::compiled`] makes of it.
    pub(crate) judge: Arc<Judge>,
    /// Its webhooks in order of their names, with the template.
    pub webhooks: Arc<Vec<Arc<v1::Webhook>>>,
}

impl GroupRecord {
    /// Of a group that isn't saved, and has no webhooks yet.
    pub(crate) fn unsaved(group: v1::WebhookGroup, connector: Arc<Connector>) -> Self {
        let group = Arc::new(group);
        Self {
            judge: Arc::new(Judge {
                group: Arc::clone(&group),
                connector,
                webhooks: Vec::new(),
            }),
            group,
            revision: 0,
            webhooks: Arc::default(),
        }
    }

    /// Whose it is.
    pub(crate) fn org(&self) -> &str {
        self.group.metadata.as_ref().map_or("", |m| &m.org)
    }
}

/// What a stream may send, all of it of one moment.
pub(crate) enum Offered {
    /// What changed.
    Delta(Delta),
    /// Everything.
    List(Snapshot),
    /// Nothing: the stream is of another epoch.
    OtherEpoch,
}

impl View {
    /// Lists the store, then follows it until `shutdown`. The view is whole when this returns.
    pub async fn start(
        store: Arc<dyn Store>,
        seal: Arc<SealKey>,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, StoreError> {
        let timing = (Timing::default(), canary::Timing::default());
        Self::start_with(store, seal, shutdown, timing).await
    }

    pub(crate) async fn start_with(
        store: Arc<dyn Store>,
        seal: Arc<SealKey>,
        shutdown: CancellationToken,
        timing: (Timing, canary::Timing),
    ) -> Result<Arc<Self>, StoreError> {
        epoch::ensure(&*store).await?;
        let (prompt, prompts) = mpsc::channel(1);
        let mut follower = Follower::new(store.clone(), keys::ROOT, timing.0, prompts);
        let Some(list) = follower.list().await? else {
            // Only a list older than an earlier one is none.
            return Err(StoreError::Unavailable(
                "the store listed nothing".to_owned(),
            ));
        };
        let encoder = Encoder::default();
        let state = State::begin(seal.clone(), encoder.clone(), Arc::default(), list);
        let view = Arc::new(Self {
            revision: watch::Sender::new(state.revision),
            offers: watch::Sender::new(()),
            state: RwLock::new(state),
            encoder,
            seal,
            compiled: Compiled::default(),
            orders: Arc::default(),
            lag: AtomicU64::new(UNKNOWN),
            current: Mutex::new(None),
            dropping: Mutex::default(),
            unsubscribed: Mutex::default(),
            renewed: Mutex::new(None),
            shutdown: shutdown.clone(),
            tasks: TaskTracker::new(),
        });
        let of_watch = view.clone();
        let apply = move |batch| of_watch.apply(batch);
        let of_canary = canary::Follower {
            prompt,
            listed: follower.listed(),
        };
        view.tasks.spawn(follower.follow(apply, shutdown.clone()));
        view.tasks.spawn(canary::run(
            store,
            view.clone(),
            of_canary,
            timing.1,
            shutdown,
        ));
        Ok(view)
    }

    fn apply(&self, batch: Batch) {
        let revision = batch.revision;
        let noted = batch.keys.iter().filter_map(|(key, value)| {
            let uid = key.strip_prefix(keys::DROPPING)?;
            let (_, reason) = value.as_ref()?;
            Some((uid.to_owned(), String::from_utf8_lossy(reason).into_owned()))
        });
        let noted: Vec<_> = noted.collect();
        let mut unsubscribed: Vec<(String, String)> = self.read(|state| {
            let saved = batch.keys.iter().filter(|(_, value)| value.is_some());
            let had =
                saved.filter_map(|(key, _)| Some((state.with_subscribers(key)?, key.clone())));
            had.collect()
        });
        let offers = if batch.anew {
            // Built aside: until it is whole the last one is read.
            let tokens = self.tokens();
            let state = State::begin(self.seal.clone(), self.encoder.clone(), tokens, batch);
            *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
            true
        } else {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.apply(batch)
        };
        // Once nothing is matched with them any more.
        self.dropping().extend(noted);
        unsubscribed.retain(|(uid, key)| {
            let stays = self.webhook(uid).is_some();
            stays && self.read(|state| state.with_subscribers(key)).is_none()
        });
        self.unsubscribed().extend(unsubscribed);
        self.revision.send_replace(revision);
        if offers {
            self.offers.send_replace(());
        }
    }

    /// Webhooks that this view has seen deleted. Whoever has dropped their deliveries removes them.
    pub(crate) fn dropping(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.dropping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Webhooks that this view has seen lose their subscribers. Whoever has noted it removes them.
    pub(crate) fn unsubscribed(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        let all = self.unsubscribed.lock();
        all.unwrap_or_else(PoisonError::into_inner)
    }

    /// A group by its uid.
    pub fn group(&self, uid: &str) -> Option<GroupRecord> {
        self.read(|state| state.record(uid))
    }

    /// A group by org and name.
    pub fn group_named(&self, org: &str, name: &str) -> Option<GroupRecord> {
        self.read(|state| state.record_named(org, name))
    }

    /// A webhook by its uid, as stored, with `metadata.revision`.
    pub(crate) fn webhook(&self, uid: &str) -> Option<Arc<v1::Webhook>> {
        self.read(|state| state.webhook(uid))
    }

    /// A destination by org and name, as stored, with `metadata.revision`.
    pub(crate) fn destination(&self, org: &str, name: &str) -> Option<Arc<v1::Destination>> {
        self.read(|state| state.destination(org, name))
    }

    /// The destinations of an org, in order of their names.
    pub(crate) fn destinations_of(&self, org: &str) -> Vec<Arc<v1::Destination>> {
        self.read(|state| state.destinations_of(org))
    }

    /// True when any webhook has a destination that is pushed to.
    pub(crate) fn pushes(&self) -> bool {
        self.read(|state| state.pushing > 0)
    }

    /// The uids of all destinations that have a name of their own.
    pub(crate) fn destinations(&self) -> HashSet<String> {
        self.read(State::destinations)
    }

    /// The longest window in which any group knows repeats, in days; 0 where none says.
    pub(crate) fn longest_dedup_days(&self) -> u32 {
        self.read(State::longest_dedup_days)
    }

    /// How many webhooks an org has.
    pub(crate) fn webhooks_of(&self, org: &str) -> usize {
        self.read(|state| state.webhooks_below(&format!("{}{org}/", keys::WEBHOOKS)))
    }

    /// A group with its webhooks, as its reports are judged. The error says why it doesn't compile: it was saved by another version.
    pub fn compiled(&self, record: &GroupRecord) -> Result<Arc<Group>, String> {
        self.compiled.get(&record.judge, &self.seal)
    }

    /// What webhooks' deliveries are ordered by, compiled.
    pub(crate) fn orders(&self) -> &Arc<Orders> {
        &self.orders
    }

    /// The keys of the groups with such a status.
    pub(crate) fn groups_where(
        &self,
        status: impl Fn(&v1::WebhookGroupStatus) -> bool,
    ) -> Vec<String> {
        self.read(|state| state.groups_where(status))
    }

    /// The groups below a key that are wanted, as stored, with `metadata.revision`, in order of their keys.
    pub(crate) fn groups_below(
        &self,
        prefix: &str,
        wanted: impl Fn(&v1::WebhookGroup) -> bool,
    ) -> Vec<(String, Arc<v1::WebhookGroup>)> {
        // Nothing waits while they are looked through.
        let mut found = self.read(|state| state.groups_below(prefix));
        found.retain(|(_, group)| wanted(group));
        found
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

    /// Told when what some listeners are offered has changed, or the epoch.
    pub(crate) fn offers(&self) -> watch::Receiver<()> {
        self.offers.subscribe()
    }

    /// Waits until the view has come to `revision`, so that a caller reads its own write. False after `deadline`.
    pub async fn reached(&self, revision: u64, deadline: Instant) -> bool {
        let mut revisions = self.revision.subscribe();
        let reached = revisions.wait_for(|now| *now >= revision);
        matches!(tokio::time::timeout_at(deadline, reached).await, Ok(Ok(_)))
    }

    /// The id that this view's revisions are of. Empty while the store has none.
    pub fn epoch(&self) -> Arc<str> {
        self.read(|state| state.epoch.clone())
    }

    /// How long the watch took to bring what was written here last. None before the first measurement.
    pub fn lag(&self) -> Option<Duration> {
        let lag = self.lag.load(Ordering::Relaxed);
        (lag != UNKNOWN).then(|| Duration::from_millis(lag))
    }

    /// What was written before then is in the view for certain: a canary that was written after it came. None before the first, or long ago
    /// where the store or the watch is gone.
    pub(crate) fn current(&self) -> Option<Instant> {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_current(&self, at: Instant) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// True once in a while.
    pub(super) fn may_renew(&self) -> bool {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let may = renewed.is_none_or(|at| at.elapsed() >= RENEWALS);
        if may {
            *renewed = Some(Instant::now());
        }
        may
    }

    pub(super) fn set_lag(&self, lag: Duration) {
        let millis = u64::try_from(lag.as_millis()).unwrap_or(UNKNOWN - 1);
        self.lag.store(millis, Ordering::Relaxed);
    }

    /// How many resource versions were encoded. One change of one resource is one, however many listeners it goes to.
    pub fn encodings(&self) -> u64 {
        self.encoder.made()
    }

    /// Ends with the server: streams drain.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Owns the tasks of streams. Close it and wait on it after `shutdown`.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// The place in a pool's history of a listener that was there at `revision`. None when it needs a full list.
    pub(crate) fn place(&self, scope: &ListenerScope, epoch: &str, revision: u64) -> Option<u64> {
        self.read(|state| {
            if *state.epoch != *epoch {
                return None;
            }
            match state.pools.get(scope) {
                Some(pool) => pool.cursor_at(revision),
                None => Pool::new(state.pools.horizon()).cursor_at(revision),
            }
        })
    }

    /// The revision of the last change of what these listeners are offered.
    pub(crate) fn changed_at(&self, scope: &ListenerScope) -> u64 {
        self.read(|state| state.pools.get(scope).map_or(0, Pool::changed_at))
    }

    pub(crate) fn changed_after(&self, scope: &ListenerScope, cursor: u64) -> bool {
        self.read(|state| {
            let pool = state.pools.get(scope);
            pool.is_some_and(|pool| pool.cursor() > cursor)
        })
    }

    /// What a stream of `epoch` sends next. Everything when `since` is none or too long ago.
    pub(crate) fn offer(&self, scope: &ListenerScope, epoch: &str, since: Option<u64>) -> Offered {
        self.read(|state| {
            if *state.epoch != *epoch {
                return Offered::OtherEpoch;
            }
            let none = Pool::new(state.pools.horizon());
            let pool = state.pools.get(scope).unwrap_or(&none);
            match since.and_then(|cursor| pool.delta(cursor, state.revision)) {
                Some(delta) => Offered::Delta(delta),
                None => Offered::List(pool.snapshot(state.revision)),
            }
        })
    }

    /// Of everything that these listeners are offered now.
    pub(crate) fn digest(&self, scope: &ListenerScope) -> u64 {
        self.read(|state| state.pools.get(scope).map_or(0, Pool::digest))
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}
