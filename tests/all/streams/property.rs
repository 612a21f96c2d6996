//! Any life of a configuration, of its control plane and of its listeners, over a store whose watch delays, repeats, reorders, breaks off and
//! is compacted: in the end every listener has what the store has, and none was ever sent older state as newer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookplane_control_plane::keys;
use hookplane_control_plane::store::{
    Change, Changes, Entry, Listing, Revision, Store, StoreError, Transaction,
};
use hookplane_proto::v1;
use hookplane_rules::digest_of;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use prost::Message;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::backends::Backends;
use super::model::{Heard, Model};
use super::replica::Replica;
use super::rig::{Rig, uid};
use crate::fake_control_plane::{Failure, PATIENCE};

const GROUPS: u8 = 3;
const POOLS: [&str; 2] = ["default", "b"];
/// Two of each pool.
const LISTENERS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Group(u8),
    DeleteGroup(u8),
    Move(u8),
    Disable(u8),
    Secret(u8),
    /// Pins another definition with its next save.
    Connector(u8),
    Webhook(u8, u8),
    DeleteWebhook(u8, u8),
    Disconnect(usize),
    RestartListener(usize),
    RestartControlPlane,
    Watch(Mood),
}

/// What a watch does to the changes that it brings from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Good,
    /// Each comes once more.
    Repeats,
    /// Every other one comes after the one that follows it.
    Reorders,
    /// It ends with the next one, which it doesn't bring.
    Breaks,
    /// The next one has been compacted.
    Compacted,
    Late,
}

fn step() -> impl Strategy<Value = Step> {
    let (g, w, l) = (0..GROUPS, 0..3_u8, 0..LISTENERS);
    let mood = prop_oneof![
        Just(Mood::Good),
        Just(Mood::Repeats),
        Just(Mood::Reorders),
        Just(Mood::Breaks),
        Just(Mood::Compacted),
        Just(Mood::Late),
    ];
    prop_oneof![
        4 => g.clone().prop_map(Step::Group),
        2 => g.clone().prop_map(Step::DeleteGroup),
        3 => g.clone().prop_map(Step::Move),
        1 => g.clone().prop_map(Step::Disable),
        1 => g.clone().prop_map(Step::Secret),
        1 => g.clone().prop_map(Step::Connector),
        6 => (g.clone(), w.clone()).prop_map(|(g, w)| Step::Webhook(g, w)),
        3 => (g, w).prop_map(|(g, w)| Step::DeleteWebhook(g, w)),
        3 => l.clone().prop_map(Step::Disconnect),
        1 => l.prop_map(Step::RestartListener),
        2 => Just(Step::RestartControlPlane),
        4 => mood.prop_map(Step::Watch),
    ]
}

/// A store whose watches are in a mood.
struct Moody {
    inner: Arc<dyn Store>,
    mood: Arc<Mutex<Mood>>,
}

#[async_trait::async_trait]
impl Store for Moody {
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
        self.inner.list(prefix, after, limit, at).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.inner.commit(transaction).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        let changes = self.inner.watch(prefix, after).await?;
        let (to, brought) = mpsc::unbounded_channel();
        tokio::spawn(bring(changes, self.mood.clone(), to));
        Ok(Box::pin(UnboundedReceiverStream::new(brought)))
    }
}

async fn bring(
    mut changes: Changes,
    mood: Arc<Mutex<Mood>>,
    to: mpsc::UnboundedSender<Result<Change, StoreError>>,
) {
    let mut held = None;
    loop {
        let next = tokio::select! {
            next = changes.next() => next,
            // One that is held back comes a little later, when none follows it.
            () = tokio::time::sleep(Duration::from_millis(20)), if held.is_some() => {
                let _ = to.send(held.take().expect("it is some"));
                continue;
            }
            () = to.closed() => return,
        };
        let Some(next) = next else { return };
        let now = *mood.lock().unwrap();
        match now {
            Mood::Breaks | Mood::Compacted => {
                *mood.lock().unwrap() = Mood::Good;
                if now == Mood::Compacted {
                    let (asked, oldest) = (0, 0);
                    let _ = to.send(Err(StoreError::Compacted { asked, oldest }));
                }
                return;
            }
            Mood::Late => tokio::time::sleep(Duration::from_millis(15)).await,
            Mood::Repeats => {
                let _ = to.send(next.clone());
            }
            Mood::Reorders if held.is_none() => {
                held = Some(next);
                continue;
            }
            Mood::Good | Mood::Reorders => {}
        }
        let _ = to.send(next);
        if let Some(held) = held.take() {
            let _ = to.send(held);
        }
    }
}

/// A listener that runs by itself.
struct Running {
    model: Arc<Mutex<Model>>,
    disconnect: Arc<Notify>,
    restart: Arc<Mutex<bool>>,
    task: JoinHandle<Result<(), Failure>>,
}

impl Running {
    fn start(name: &str, pool: &str, lenient: bool, url: watch::Receiver<String>) -> Self {
        let mut model = Model::new(name, pool);
        model.lenient = lenient;
        let model = Arc::new(Mutex::new(model));
        let (disconnect, restart) = (Arc::new(Notify::new()), Arc::new(Mutex::new(false)));
        let task = tokio::spawn(listen(
            model.clone(),
            disconnect.clone(),
            restart.clone(),
            url,
        ));
        Self {
            model,
            disconnect,
            restart,
            task,
        }
    }
}

async fn listen(
    shown: Arc<Mutex<Model>>,
    disconnect: Arc<Notify>,
    restart: Arc<Mutex<bool>>,
    url: watch::Receiver<String>,
) -> Result<(), Failure> {
    let mut model = shown.lock().unwrap().clone();
    loop {
        if std::mem::take(&mut *restart.lock().unwrap()) {
            model.restart();
        }
        let at = url.borrow().clone();
        let mut stream = match model.connect(&at).await {
            Ok(stream) => stream,
            // It restarts, or refuses for the moment.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(3)).await;
                continue;
            }
        };
        // It may have ended by now, like at any other time.
        let _ = stream.ready().await;
        loop {
            let heard = tokio::select! {
                said = stream.said() => said,
                () = disconnect.notified() => break,
            };
            let Some(said) = heard else { break };
            if model.take(&stream, said).await? == Heard::Drain {
                break;
            }
            *shown.lock().unwrap() = model.clone();
        }
    }
}

/// What the store has for a pool, read past everything under test: uid → revision.
async fn stored(store: &dyn Store, pool: &str) -> Result<BTreeMap<String, u64>, Failure> {
    let mut at = None;
    let mut all = Vec::new();
    for prefix in [keys::GROUPS, keys::WEBHOOKS, keys::PINS] {
        let listing = store.list(prefix, None, 1_000, at).await?;
        at = Some(listing.revision);
        all.push(listing.entries);
    }
    let mut expected = BTreeMap::new();
    let mut names = Vec::new();
    for entry in &all[0] {
        let group = v1::WebhookGroup::decode(entry.value.clone())?;
        if group.spec.is_some_and(|spec| spec.pool == pool) {
            expected.insert(uid(&group.metadata), entry.revision);
            names.push(entry.key.replace(keys::GROUPS, keys::WEBHOOKS) + "/");
            let pin = keys::pin(&group.status.unwrap_or_default().connector_version);
            let pin = all[2]
                .iter()
                .find(|entry| entry.key == pin)
                .ok_or("no pin")?;
            expected.insert(pin.key[keys::PINS.len()..].to_owned(), pin.revision);
        }
    }
    for entry in &all[1] {
        if names.iter().any(|name| entry.key.starts_with(name)) {
            let webhook = v1::Webhook::decode(entry.value.clone())?;
            expected.insert(uid(&webhook.metadata), entry.revision);
        }
    }
    Ok(expected)
}

async fn edit(rig: &Rig, step: &Step, version: u32) {
    let group = |g: &u8| format!("g{g}");
    let webhook = |w: &u8| format!("w{w}");
    // What isn't there can't be changed; that it is refused is no matter here.
    let _ = match step {
        Step::Group(g) => rig
            .group(&group(g), |spec| {
                spec.pool = POOLS[usize::from(*g) % 2].to_owned()
            })
            .await
            .map(drop),
        Step::DeleteGroup(g) => rig.delete_group(&group(g)).await,
        Step::Move(g) => rig
            .update_group(&group(g), |spec| {
                let there = POOLS.iter().position(|pool| *pool == spec.pool);
                spec.pool = POOLS[1 - there.unwrap_or(0)].to_owned();
            })
            .await
            .map(drop),
        Step::Disable(g) => rig
            .update_group(&group(g), |spec| spec.disabled = !spec.disabled)
            .await
            .map(drop),
        Step::Secret(g) => rig
            .update_group(&group(g), |spec| {
                spec.signature_secrets = vec![v1::SignatureSecret {
                    value: format!("secret {version}"),
                    ..Default::default()
                }];
            })
            .await
            .map(drop),
        Step::Connector(g) => {
            let patient = rig.patience(5 + version).await;
            let saved = rig
                .update_group(&group(g), |spec| spec.display_name = version.to_string())
                .await;
            patient.and(saved.map(drop))
        }
        Step::Webhook(g, w) => match rig.webhook(&group(g), &webhook(w), "").await {
            Ok(_) => Ok(()),
            Err(_) => rig
                .update_webhook(&group(g), &webhook(w), |spec| {
                    spec.label = format!("version {version}");
                })
                .await
                .map(drop),
        },
        Step::DeleteWebhook(g, w) => rig.delete_webhook(&group(g), &webhook(w)).await,
        _ => Ok(()),
    };
}

async fn live(steps: &[Step]) -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let mood = Arc::new(Mutex::new(Mood::Good));
    let store = Arc::new(Moody {
        inner: rig.another_store().await?,
        mood: mood.clone(),
    });
    let mut replica = Replica::start(&rig, store.clone(), |api| api).await?;
    let url = watch::Sender::new(replica.url.clone());
    // A view that was brought a later change first says that it has come so far. Who leaves then and resumes at another has missed the
    // earlier one, and its digest tells.
    let lenient = steps
        .iter()
        .any(|step| matches!(step, Step::Watch(Mood::Reorders)));
    let listeners: Vec<Running> = (0..LISTENERS)
        .map(|n| Running::start(&format!("l{n}"), POOLS[n % 2], lenient, url.subscribe()))
        .collect();
    let versions = AtomicU32::new(1);
    for step in steps {
        match step {
            Step::Disconnect(l) => listeners[*l].disconnect.notify_one(),
            Step::RestartListener(l) => {
                *listeners[*l].restart.lock().unwrap() = true;
                listeners[*l].disconnect.notify_one();
            }
            Step::RestartControlPlane => {
                drop(replica);
                replica = Replica::start(&rig, store.clone(), |api| api).await?;
                url.send_replace(replica.url.clone());
            }
            Step::Watch(next) => *mood.lock().unwrap() = *next,
            edits => edit(&rig, edits, versions.fetch_add(1, Ordering::Relaxed)).await,
        }
    }
    *mood.lock().unwrap() = Mood::Good;
    // What is read from the store itself, and what a control plane that never had any trouble sends.
    let fresh = Replica::start(&rig, rig.another_store().await?, |api| api).await?;
    for (n, listener) in listeners.iter().enumerate() {
        let pool = POOLS[n % 2];
        let expected = stored(&*rig.store, pool).await?;
        let digest = expected.iter().fold(0_u64, |sum, (uid, revision)| {
            sum.wrapping_add(digest_of(uid, *revision))
        });
        let mut whole = Model::new("fresh", pool);
        let mut stream = whole.connect(&fresh.url).await?;
        whole.until(&mut stream, |l| l.lists == 1).await?;
        let had: BTreeMap<String, u64> = whole
            .resources
            .iter()
            .map(|(uid, r)| (uid.clone(), r.revision))
            .collect();
        assert_eq!(had, expected, "a full list is what the store has");
        let converged = async {
            loop {
                {
                    let model = listener.model.lock().unwrap();
                    if model.resources == whole.resources && model.plan.digest() == digest {
                        return;
                    }
                }
                assert!(
                    !listener.task.is_finished(),
                    "a listener gave up: see above"
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, converged).await.is_err() {
            let model = listener.model.lock().unwrap();
            panic!(
                "listener {n} has {:#?}, not {:#?}",
                model.resources, whole.resources
            );
        }
        // That it is the newest, and not on its way to something else.
        assert_eq!(expected, stored(&*rig.store, pool).await?);
    }
    for listener in &listeners {
        listener.task.abort();
    }
    Ok(())
}

// Risks 12, 13, 14, 17 and 25 at once.
#[test]
fn whatever_happens_listeners_end_with_what_the_store_has() {
    many_lives(8);
}

// The same risks where the watches are of etcd.
#[test]
fn whatever_happens_listeners_end_with_what_etcd_has() {
    Backends::cluster(|| many_lives(3));
}

fn many_lives(cases: u32) {
    let seed = std::env::var(SEED)
        .ok()
        .map_or_else(any_seed, |seed| seed.parse().unwrap());
    let config = Config {
        cases,
        // A case takes a second or two; a shorter one that fails too is worth some of them.
        max_shrink_iters: 30,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let steps = prop::collection::vec(step(), 20..60);
    let run = TestRunner::new(config).run(&steps, |steps| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(live(&steps))
            .map_err(|error| TestCaseError::fail(error.to_string()))
    });
    if let Err(error) = run {
        panic!("{error}\nagain with {SEED}={seed}");
    }
}

/// Names the seed of a run that failed, to have the same steps again.
const SEED: &str = "CONFIG_PROPERTY_SEED";

fn any_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one("a seed")
}
