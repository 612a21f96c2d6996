use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio_stream::StreamExt;

use super::*;
use crate::store::{Changes, EmbeddedStore, Entry, Listing, Revision, Transaction, Write};

fn connect(fleet: &Arc<Fleet>, name: &str, pool: &str) -> Connected {
    let hello = v1::ConfigHello {
        listener: name.to_owned(),
        boot: name.to_owned(),
        ..Default::default()
    };
    fleet.connect(&hello, &ListenerScope::new(None, pool), Timestamp(0))
}

#[test]
fn live_needs_a_ready_listener_and_all_ready_ones_at_the_revision() {
    let fleet = Arc::new(Fleet::new());
    assert!(!fleet.live("acme", "default", "g", 1).applied);
    let a = connect(&fleet, "a", "default");
    a.applied((5, 0), None, vec![]);
    assert!(
        !fleet.live("acme", "default", "g", 5).applied,
        "not ready yet"
    );
    a.ready(true);
    assert!(fleet.live("acme", "default", "g", 5).applied);
    let b = connect(&fleet, "b", "default");
    assert!(
        fleet.live("acme", "default", "g", 5).applied,
        "b doesn't serve yet"
    );
    b.ready(true);
    let live = fleet.live("acme", "default", "g", 5);
    assert!(!live.applied);
    assert_eq!(live.connected, 2);
    drop(b);
    assert!(fleet.live("acme", "default", "g", 5).applied);
    assert!(
        !fleet.live("acme", "other", "g", 5).applied,
        "another pool's listener"
    );
}

#[test]
fn a_refused_resource_is_not_live_until_a_later_push_of_it_is_taken() {
    let fleet = Arc::new(Fleet::new());
    let a = connect(&fleet, "a", "default");
    a.ready(true);
    let refused = v1::ConfigError {
        uid: "g".to_owned(),
        revision: 6,
        reason: "no".to_owned(),
    };
    a.applied((6, 0), None, vec![refused]);
    assert_eq!(fleet.live("acme", "default", "g", 6).problems, ["a: no"]);
    a.applied((7, 0), Some(&["h".into()]), vec![]);
    assert!(!fleet.live("acme", "default", "g", 6).applied);
    assert!(fleet.live("acme", "default", "h", 7).applied);
    a.applied((8, 0), Some(&["g".into()]), vec![]);
    assert!(fleet.live("acme", "default", "g", 8).applied);
}

#[test]
fn made_up_refusals_take_a_bounded_room() {
    let fleet = Arc::new(Fleet::new());
    let a = connect(&fleet, "a", "default");
    for n in 0..2 * MAX_PROBLEMS {
        let made_up = v1::ConfigError {
            uid: n.to_string(),
            ..Default::default()
        };
        a.applied((1, 0), Some(&[]), vec![made_up]);
    }
    let kept = fleet
        .lock()
        .listeners
        .values()
        .next()
        .unwrap()
        .problems
        .len();
    assert_eq!(kept, MAX_PROBLEMS);
}

#[test]
fn the_same_run_on_a_new_stream_replaces_its_old_one() {
    let fleet = Arc::new(Fleet::new());
    let old = connect(&fleet, "a", "default");
    old.ready(true);
    let new = connect(&fleet, "a", "default");
    assert_eq!(fleet.listeners(None, 0, |_| 0).len(), 1);
    drop(old);
    assert_eq!(fleet.listeners(None, 0, |_| 0).len(), 1);
    drop(new);
    assert!(fleet.listeners(None, 0, |_| 0).is_empty());
}

/// A replica's way to the store, which a test can close.
struct Way {
    inner: Arc<EmbeddedStore>,
    /// Nothing is written by it.
    mute: AtomicBool,
    /// Its watch brings nothing.
    deaf: Arc<AtomicBool>,
    /// It can't be listed either.
    blind: AtomicBool,
    /// Commits that were refused for what they expected.
    conflicts: AtomicUsize,
    commits: AtomicUsize,
    largest: AtomicUsize,
}

#[async_trait::async_trait]
impl Store for Way {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        if self.blind.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("blind".to_owned()));
        }
        self.inner.list(prefix, after, limit, at).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        if self.mute.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("mute".to_owned()));
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        for write in &transaction.writes {
            if let Write::Put(_, value) = write {
                self.largest.fetch_max(value.len(), Ordering::Relaxed);
            }
        }
        let done = self.inner.commit(transaction).await;
        if matches!(done, Err(StoreError::Conflict { .. })) {
            self.conflicts.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        let deaf = self.deaf.clone();
        let changes = self.inner.watch(prefix, after).await?;
        Ok(Box::pin(
            changes.filter(move |_| !deaf.load(Ordering::Relaxed)),
        ))
    }
}

/// One of several over a store. Ends with this, and says goodbye unless it is mute.
struct Replica {
    way: Arc<Way>,
    fleet: Arc<Fleet>,
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

const QUICK: Timing = Timing {
    beat: Duration::from_millis(50),
    beat_alone: Duration::from_millis(200),
    silent: Duration::from_secs(1),
    dead: Duration::from_secs(2),
    answer: Duration::from_millis(500),
    flow: Duration::from_millis(100),
};

/// No replica of these is ever taken for silent, however slow the machine.
const PATIENT: Timing = Timing {
    silent: Duration::from_secs(600),
    dead: Duration::from_secs(1200),
    ..QUICK
};

impl Replica {
    async fn join(store: &Arc<EmbeddedStore>, timing: Timing) -> Self {
        let way = Arc::new(Way {
            inner: store.clone(),
            mute: AtomicBool::new(false),
            deaf: Arc::default(),
            blind: AtomicBool::new(false),
            conflicts: AtomicUsize::new(0),
            commits: AtomicUsize::new(0),
            largest: AtomicUsize::new(0),
        });
        let (fleet, tasks) = (Arc::new(Fleet::new()), TaskTracker::new());
        let end = CancellationToken::new();
        fleet
            .join_with(
                way.clone(),
                "http://localhost".into(),
                &tasks,
                end.clone(),
                timing,
            )
            .await
            .unwrap();
        Self {
            way,
            fleet,
            tasks,
            end,
        }
    }

    /// What `ask` says once it says something.
    async fn until<T>(&self, mut ask: impl FnMut(&Fleet) -> Option<T>) -> T {
        let mut changes = self.fleet.changes();
        let asked = async {
            loop {
                changes.borrow_and_update();
                if let Some(said) = ask(&self.fleet) {
                    return said;
                }
                // What is in doubt is so by the time alone.
                let _ = tokio::time::timeout(Duration::from_millis(20), changes.changed()).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked)
            .await
            .unwrap()
    }

    async fn until_live(&self, revision: u64) -> v1::Live {
        self.until(|fleet| {
            let live = fleet.live("acme", "default", "g", revision);
            live.applied.then_some(live)
        })
        .await
    }

    async fn until_named(&self, names: &[&str]) -> Vec<v1::Listener> {
        self.until(|fleet| {
            let all = fleet.listeners(None, 0, |_| 0);
            let named: Vec<&str> = all.iter().map(|l| &*l.name).collect();
            (named == names).then_some(all)
        })
        .await
    }

    async fn leave(self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn store() -> (Arc<EmbeddedStore>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (EmbeddedStore::open(folder.path()).unwrap(), folder)
}

fn serving(replica: &Replica, name: &str, revision: u64) -> Connected {
    let connected = connect(&replica.fleet, name, "default");
    connected.applied((revision, 7), None, vec![]);
    connected.ready(true);
    connected
}

fn refused(uid: &str) -> v1::ConfigError {
    v1::ConfigError {
        uid: uid.to_owned(),
        revision: 6,
        reason: "no".to_owned(),
    }
}

// Promise 5, whichever replica is asked.
#[tokio::test]
async fn a_replica_without_listeners_knows_what_those_of_the_other_run() {
    let (store, _folder) = store().await;
    let a = Replica::join(&store, PATIENT).await;
    let one = serving(&a, "one", 5);
    // One that comes later knows it from the list, one that was there from the watch.
    let b = Replica::join(&store, PATIENT).await;
    let live = b.until_live(5).await;
    assert_eq!(live.connected, 1);
    assert!(!b.fleet.live("acme", "default", "g", 6).applied);
    assert!(!b.fleet.live("acme", "other", "g", 5).applied);
    one.applied((6, 7), Some(&[]), vec![]);
    b.until_live(6).await;

    // A listener here and one there: both have to run it.
    let two = serving(&b, "two", 6);
    assert_eq!(
        a.until(
            |f| (f.live("acme", "", "g", 6).connected == 2).then_some(f.live("acme", "", "g", 6))
        )
        .await,
        b.fleet.live("acme", "", "g", 6)
    );
    two.applied((7, 7), Some(&[]), vec![]);
    assert!(
        !b.fleet.live("acme", "default", "g", 7).applied,
        "the other's is behind"
    );
    one.applied((7, 7), Some(&[]), vec![refused("g")]);
    let problems = b
        .until(|fleet| {
            let live = fleet.live("acme", "default", "g", 7);
            (!live.problems.is_empty()).then_some(live.problems)
        })
        .await;
    assert_eq!(problems, ["one: no"]);
    assert!(b.fleet.live("acme", "default", "h", 7).applied);

    let (of_a, of_b) = (
        a.until_named(&["one", "two"]).await,
        b.until_named(&["one", "two"]).await,
    );
    let plain = |l: v1::Listener| (l.name, l.boot, l.pool, l.ready, l.problems, l.connect_time);
    assert_eq!(
        of_a.into_iter().map(plain).collect::<Vec<_>>(),
        of_b.into_iter().map(plain).collect::<Vec<_>>()
    );
    drop(one);
    b.until_named(&["two"]).await;
    b.until_live(7).await;
}

// Promise 8: an org's tokens see the listeners of that org, whichever replica they are at.
#[tokio::test]
async fn an_org_sees_its_own_listeners_of_another_replica_and_no_others() {
    let (store, _folder) = store().await;
    let a = Replica::join(&store, PATIENT).await;
    let b = Replica::join(&store, PATIENT).await;
    let mut open = Vec::new();
    for org in [None, Some("acme"), Some("other")] {
        let name = org.unwrap_or("operators");
        let hello = v1::ConfigHello {
            listener: name.to_owned(),
            boot: name.to_owned(),
            ..Default::default()
        };
        let scope = ListenerScope::new(org, "edge");
        let connected = a.fleet.connect(&hello, &scope, Timestamp(0));
        connected.applied((5, 7), None, vec![]);
        connected.ready(true);
        open.push(connected);
    }
    b.until_named(&["acme", "operators", "other"]).await;
    let of = |org| {
        let all = b.fleet.listeners(org, 0, |_| 0);
        all.into_iter().map(|l| l.name).collect::<Vec<_>>()
    };
    assert_eq!(of(Some("acme")), ["acme"]);
    assert!(of(Some("nobody")).is_empty());
    let live = b.until(|f| Some(f.live("acme", "edge", "g", 5))).await;
    assert_eq!(live.connected, 2, "its own and the operator's");
}

// Promise 5: in doubt it is not live.
#[tokio::test]
async fn a_silent_replica_is_in_doubt_until_it_is_forgotten() {
    let (store, _folder) = store().await;
    let a = Replica::join(&store, QUICK).await;
    let b = Replica::join(&store, QUICK).await;
    let _one = serving(&a, "one", 5);
    let _two = serving(&b, "two", 5);
    b.until(|f| (f.live("acme", "", "g", 5).connected == 2).then_some(()))
        .await;
    b.until_named(&["one", "two"]).await;
    a.way.mute.store(true, Ordering::Relaxed);
    a.way.deaf.store(true, Ordering::Relaxed);
    let doubt = b
        .until(|f| Some(f.live("acme", "", "g", 5)).filter(|live| !live.applied))
        .await;
    assert!(doubt.problems[0].contains("silent"), "{:?}", doubt.problems);
    assert_eq!(doubt.connected, 2);
    assert!(
        !b.fleet.live("acme", "other", "g", 5).applied
            && b.fleet.live("acme", "other", "g", 5).problems.is_empty(),
        "it had none in that pool"
    );
    // To one that is cut off, all the others are in doubt, and stay so.
    a.until(|f| (!f.live("acme", "", "g", 5).applied).then_some(()))
        .await;
    let live = b.until_live(5).await;
    assert_eq!(live.connected, 1);
    b.until_named(&["two"]).await;
    assert!(!a.fleet.live("acme", "", "g", 5).applied);
    // It was not dead: it comes back.
    a.way.mute.store(false, Ordering::Relaxed);
    a.way.deaf.store(false, Ordering::Relaxed);
    b.until(|f| (f.live("acme", "", "g", 5).connected == 2).then_some(()))
        .await;
    b.until_live(5).await;
}

#[tokio::test]
async fn a_listener_that_left_a_silent_replica_counts_where_it_is_now() {
    let (store, _folder) = store().await;
    let timing = Timing {
        dead: Duration::from_secs(600),
        ..QUICK
    };
    let a = Replica::join(&store, timing).await;
    let b = Replica::join(&store, timing).await;
    let at_a = serving(&a, "one", 5);
    b.until_named(&["one"]).await;
    a.way.mute.store(true, Ordering::Relaxed);
    let at_b = serving(&b, "one", 6);
    // While the other one is not known to be silent, both count.
    assert!(!b.fleet.live("acme", "", "g", 6).applied);
    let live = b.until_live(6).await;
    assert_eq!(live.connected, 1, "it is one listener");
    assert_eq!(b.fleet.listeners(None, 0, |_| 0).len(), 1);
    // Another run of it proves nothing about that one.
    drop(at_b);
    let hello = v1::ConfigHello {
        listener: "one".to_owned(),
        boot: "another".to_owned(),
        ..Default::default()
    };
    let scope = ListenerScope::new(None, "");
    let again = b.fleet.connect(&hello, &scope, Timestamp(0));
    again.applied((6, 7), None, vec![]);
    again.ready(true);
    assert!(!b.fleet.live("acme", "", "g", 6).applied);
    drop(at_a);
}

#[tokio::test]
async fn a_replica_that_ends_takes_its_part_out_at_once() {
    let (store, _folder) = store().await;
    let a = Replica::join(&store, PATIENT).await;
    let b = Replica::join(&store, PATIENT).await;
    let _one = serving(&a, "one", 5);
    b.until_named(&["one"]).await;
    a.leave().await;
    b.until_named(&[]).await;
    b.leave().await;
    let left = store.list(keys::FLEET, None, 10, None).await.unwrap();
    assert!(left.entries.is_empty(), "{:?}", left.entries);
}

#[tokio::test]
async fn what_an_earlier_run_left_counts_for_nothing_and_is_removed() {
    let (store, _folder) = store().await;
    let a = Replica::join(&store, QUICK).await;
    let _one = serving(&a, "one", 5);
    let b = Replica::join(&store, QUICK).await;
    b.until_live(5).await;
    b.way.mute.store(true, Ordering::Relaxed);
    a.way.mute.store(true, Ordering::Relaxed);
    b.leave().await;
    a.leave().await;
    let c = Replica::join(&store, QUICK).await;
    let live = c.fleet.live("acme", "", "g", 5);
    assert!(!live.applied, "nobody has heard of it since");
    c.until_named(&[]).await;
    // Its own is all there is.
    let key = keys::of_replica(&c.fleet.lock().others.own, "beat");
    loop {
        let left = store.list(keys::FLEET, None, 10, None).await.unwrap();
        if left.entries.iter().all(|entry| entry.key == key) {
            break;
        }
        tokio::task::yield_now().await;
    }
}

// Not its clock but the store decides who is dead.
#[tokio::test]
async fn a_replica_that_hears_nothing_buries_nobody() {
    let (store, _folder) = store().await;
    let a = Replica::join(&store, QUICK).await;
    let b = Replica::join(&store, PATIENT).await;
    let one = serving(&b, "one", 5);
    a.until_live(5).await;
    let id = b.fleet.lock().others.own.clone();
    a.way.blind.store(true, Ordering::Relaxed);
    a.way.deaf.store(true, Ordering::Relaxed);
    one.applied((6, 7), Some(&[]), vec![]);
    // It tries, and is refused.
    let tried = |_: &Fleet| (a.way.conflicts.load(Ordering::Relaxed) > 0).then_some(());
    a.until(tried).await;
    assert!(!a.fleet.live("acme", "", "g", 5).applied);
    assert_eq!(b.fleet.lock().others.own, id, "nor was it taken for dead");
    a.way.blind.store(false, Ordering::Relaxed);
    a.way.deaf.store(false, Ordering::Relaxed);
    a.until_live(6).await;
}

// Risk 14: a watch that drops what it should bring.
#[tokio::test]
async fn what_the_watch_of_the_others_lost_is_found_without_an_audit() {
    let (store, _folder) = store().await;
    let a = Replica::join(&store, PATIENT).await;
    let b = Replica::join(&store, PATIENT).await;
    let one = serving(&b, "one", 5);
    a.until_live(5).await;
    a.way.deaf.store(true, Ordering::Relaxed);
    one.applied((6, 7), Some(&[]), vec![]);
    // Its own writes not coming back, it lists.
    a.until_live(6).await;
    one.applied((7, 7), Some(&[]), vec![]);
    let before = b.way.commits.load(Ordering::Relaxed);
    b.until(|_| (b.way.commits.load(Ordering::Relaxed) >= before + 3).then_some(()))
        .await;
    // The next beat shows that one is missing.
    a.way.deaf.store(false, Ordering::Relaxed);
    a.until_live(7).await;
}

#[tokio::test]
async fn a_change_that_a_thousand_listeners_take_is_told_in_a_few_writes() {
    let (store, _folder) = store().await;
    let timing = Timing {
        beat: Duration::from_secs(3),
        ..PATIENT
    };
    let a = Replica::join(&store, timing).await;
    let b = Replica::join(&store, timing).await;
    let all: Vec<Connected> = (0..1_000)
        .map(|n| serving(&a, &format!("l{n}"), 5))
        .collect();
    b.until(|f| (f.listeners(None, 0, |_| 0).len() == 1_000).then_some(()))
        .await;
    let before = a.way.commits.load(Ordering::Relaxed);
    for (n, one) in all.iter().enumerate() {
        one.applied((6, 8), Some(&[]), vec![]);
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    b.until_live(6).await;
    let writes = a.way.commits.load(Ordering::Relaxed) - before;
    assert!(writes <= 20, "{writes}");
    // And what each of them runs is known without having been told one by one.
    assert!(
        b.fleet
            .listeners(None, 0, |_| 8)
            .iter()
            .all(|l| l.revision == 6)
    );
    // The places of those that leave are taken again.
    let mut all = all;
    all.truncate(3);
    b.until(|f| (f.listeners(None, 0, |_| 0).len() == 3).then_some(()))
        .await;
    let inner = a.fleet.lock();
    assert_eq!(inner.listeners.values().map(|l| l.slot).max(), Some(2));
    assert!(inner.free.is_empty());
}

#[tokio::test]
async fn made_up_names_and_refusals_fit_into_the_store_and_leave_the_rest_in_doubt() {
    let (store, _folder) = store().await;
    let a = Replica::join(&store, PATIENT).await;
    let b = Replica::join(&store, PATIENT).await;
    let long = "ä".repeat(1_024);
    let all: Vec<Connected> = (0..80)
        .map(|n| {
            let name = format!("{n:0>256}");
            let one = serving(&a, &name, 5);
            let made_up = |m: usize| v1::ConfigError {
                uid: format!("{:0>128}", n * MAX_PROBLEMS + m),
                revision: 5,
                reason: long.clone(),
            };
            one.applied((5, 7), None, (0..MAX_PROBLEMS).map(made_up).collect());
            one
        })
        .collect();
    b.until(|f| (f.listeners(None, 0, |_| 0).len() == 80).then_some(()))
        .await;
    let live = |fleet: &Fleet| fleet.live("acme", "", "g", 5);
    b.until(|f| (live(f).connected == 80).then_some(())).await;
    assert_eq!(live(&a.fleet), live(&b.fleet));
    assert!(!live(&b.fleet).applied);
    let largest = a.way.largest.load(Ordering::Relaxed);
    assert!(largest <= crate::store::MAX_VALUE_BYTES, "{largest}");
    let shown = b.fleet.listeners(None, 0, |_| 0);
    let last = shown[0].problems.last().unwrap();
    assert!(last.reason.starts_with("and "), "{last:?}");
    drop(all);
}

/// What is shown of the only listener.
fn last_minute(fleet: &Fleet) -> Option<(u64, u64)> {
    let all = fleet.listeners(None, 0, |_| 0);
    let flow = all.first()?.last_minute?;
    Some((flow.accepted, flow.refused))
}

// A listener reports to two replicas and has its config stream with one of them or a third.
#[tokio::test]
async fn what_a_listener_hands_over_is_added_up_at_every_replica() {
    let (store, _folder) = store().await;
    let a = Replica::join(&store, PATIENT).await;
    let b = Replica::join(&store, PATIENT).await;
    let _one = serving(&a, "one", 5);
    b.until_named(&["one"]).await;
    assert_eq!(last_minute(&b.fleet), Some((0, 0)));
    let run = RunId::of(&ListenerScope::new(None, "default"), "one", "one");
    let sum = |accepted, refused| Sum { accepted, refused };
    a.fleet.handed_over(run, sum(2, 0));
    b.fleet.handed_over(run, sum(3, 1));
    for replica in [&a, &b] {
        replica
            .until(|fleet| (last_minute(fleet) == Some((5, 1))).then_some(()))
            .await;
    }
    // Another run of it has handed over nothing.
    b.fleet.handed_over(
        RunId::of(&ListenerScope::new(None, "default"), "one", "two"),
        sum(7, 7),
    );
    assert_eq!(last_minute(&b.fleet), Some((5, 1)));
    // Who has left counts no more, and with nobody to tell it to it is taken back.
    b.leave().await;
    a.until(|fleet| (last_minute(fleet) == Some((2, 0))).then_some(()))
        .await;
    let key = keys::of_replica(&a.fleet.lock().others.own, others::FLOW);
    let gone = async {
        while store.get(&key).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .unwrap();
}

#[tokio::test]
async fn beside_a_replica_that_does_not_count_throughput_is_unknown_and_not_nothing() {
    let (store, _folder) = store().await;
    let a = Replica::join(&store, PATIENT).await;
    let _one = serving(&a, "one", 5);
    assert_eq!(last_minute(&a.fleet), Some((0, 0)));
    let older = record::Beat {
        count: 1,
        whole: true,
        ..Default::default()
    };
    let key = keys::of_replica("older", others::BEAT);
    let put = Write::Put(key, prost::Message::encode_to_vec(&older).into());
    let writes = vec![put];
    store
        .commit(Transaction {
            checks: vec![],
            writes,
        })
        .await
        .unwrap();
    a.until(|fleet| last_minute(fleet).is_none().then_some(()))
        .await;
    assert_eq!(a.fleet.listeners(None, 0, |_| 0).len(), 1);
}
