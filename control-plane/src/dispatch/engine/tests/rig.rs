//! An engine over a real log, store and view, whose sinks do what a test says and whose seams break when it says so.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hookplane_proto::v1;
use hookplane_rules::{Clock, Timestamp};
use prost::Message as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::{Engine, Timing, run_engine};
use super::silence::Silence;
use crate::catalogue::Catalogue;
use crate::config::{Fleet, View};
use crate::context::Context;
use crate::dispatch::client::HttpClient;
use crate::dispatch::engine::lock;
use crate::dispatch::sink::{Job, Outcome, Sink, Verdict};
use crate::dispatch::target::resolve;
use crate::drift::Drift;
use crate::keys;
use crate::log::embedded::{EmbeddedLog, Options};
use crate::log::{
    Appended, Cursor, Dedup, DeliveryLog, Durability, Lease, LogError, NewCallback, NewDelivery,
    NewEvent, Notes, PutBack, Queue, Reach, Retention, Selection, Settle, Stats, TailItem, Usage,
    Waiting,
};
use crate::mapping::MappingVersions;
use crate::seal::SealKey;
use crate::store::{
    Changes, EmbeddedStore, Entry, Listing, Revision, Store, StoreError, Transaction, Write,
};

/// For what is bound to come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const NOW: i64 = 1_700_000_000_000;

pub(crate) struct Rig {
    pub(crate) context: Context,
    pub(crate) log: Arc<Watched>,
    /// What mappings are read from.
    pub(crate) mappings: Arc<Failing>,
    pub(crate) clock: Arc<Hand>,
    view_ends: CancellationToken,
    shutdown: CancellationToken,
    running: Option<JoinHandle<()>>,
    events: AtomicUsize,
    _folder: tempfile::TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.view_ends.cancel();
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

/// A clock that is turned by hand.
pub(crate) struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl Hand {
    pub(crate) fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Rig {
    /// Without an engine yet.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand(AtomicI64::new(NOW)));
        let store: Arc<dyn Store> = EmbeddedStore::open(&folder.path().join("store")).unwrap();
        let options = Options {
            readers: 1,
            ..Options::default()
        };
        let log = EmbeddedLog::open(&folder.path().join("log"), clock.clone(), options).unwrap();
        let log = Arc::new(Watched::over(log));
        let seal = SealKey::load_or_create(&folder.path().join("seal.key")).unwrap();
        let (seal, view_ends) = (Arc::new(seal), CancellationToken::new());
        let view = View::start(store.clone(), seal.clone(), view_ends.clone());
        let view = view.await.unwrap();
        let mappings = Arc::new(Failing {
            store: store.clone(),
            fails: AtomicBool::new(false),
            panics_at: Mutex::default(),
        });
        let context = Context {
            drift: Arc::new(Drift::new(log.clone())),
            mappings: Arc::new(MappingVersions::new(mappings.clone())),
            store,
            log: log.clone(),
            seal,
            mac_key: Arc::new([7; 32]),
            clock: clock.clone(),
            catalogue: Arc::new(Catalogue::of(&[])),
            view,
            fleet: Arc::new(Fleet::new()),
            public_url: "http://localhost".into(),
            stream_age: Duration::from_secs(60)..Duration::from_secs(120),
            client: HttpClient::default(),
            endpoints: Arc::default(),
            metrics: Arc::default(),
        };
        Self {
            context,
            log,
            mappings,
            clock,
            view_ends,
            shutdown: CancellationToken::new(),
            running: None,
            events: AtomicUsize::new(0),
            _folder: folder,
        }
    }

    /// The engine, from now on.
    pub(super) fn run(&mut self, set: impl FnOnce(&mut Timing)) -> Arc<Engine> {
        let mut timing = Timing::default();
        set(&mut timing);
        let engine = Engine::new(self.context.clone(), timing, self.shutdown.clone());
        self.running = Some(tokio::spawn(run_engine(Arc::clone(&engine))));
        engine
    }

    /// Mapping breaks off that needs this version.
    pub(crate) fn break_off_at(&self, version: String) {
        *lock(&self.mappings.panics_at) = Some(version);
    }

    /// From now on the view hears nothing: cut off from the store.
    pub(crate) async fn cut_off(&self) {
        self.view_ends.cancel();
        self.context.view.tasks().close();
        soon(self.context.view.tasks().wait()).await;
    }

    /// A webhook that is delivered to `https://WEBHOOK.example`, under this name.
    pub(crate) async fn webhook(&self, name: &str, destinations: &[&str]) {
        let destinations = destinations
            .iter()
            .map(|destination| v1::WebhookDestination {
                name: (*destination).to_owned(),
                http: Some(v1::HttpTarget {
                    url: format!("https://{name}.example"),
                    ..Default::default()
                }),
                ..Default::default()
            });
        let spec = v1::WebhookSpec {
            active: true,
            destinations: destinations.collect(),
            ..Default::default()
        };
        self.webhook_as(name, spec).await;
    }

    pub(crate) async fn webhook_as(&self, name: &str, spec: v1::WebhookSpec) {
        let webhook = v1::Webhook {
            metadata: Some(v1::Metadata {
                org: "acme".to_owned(),
                group: "shop".to_owned(),
                name: name.to_owned(),
                uid: name.to_owned(),
                ..Default::default()
            }),
            spec: Some(spec),
            status: None,
        };
        let key = keys::webhook("acme", "shop", name);
        self.put(key, webhook.encode_to_vec()).await;
    }

    pub(crate) async fn put(&self, key: String, value: Vec<u8>) {
        let transaction = Transaction {
            checks: Vec::new(),
            writes: vec![Write::Put(key, value.into())],
        };
        let revision = self.context.store.commit(transaction).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        assert!(
            self.view_ends.is_cancelled() || self.context.view.reached(revision, deadline).await
        );
    }

    /// What a webhook's deliveries are sent with.
    pub(crate) fn sink(&self, webhook: &str, sink: &Arc<Scripted>) {
        let view = &self.context.view;
        let stored = view.webhook(webhook).unwrap();
        let resolved = resolve(view, &stored, "http").unwrap();
        let endpoint = self.context.endpoints.get(&resolved.endpoint);
        endpoint.set_sink(&resolved, sink.clone());
    }

    /// How a webhook's destination is doing.
    pub(crate) fn status(&self, webhook: &str) -> v1::DestinationStatus {
        let view = &self.context.view;
        let stored = view.webhook(webhook).unwrap();
        let resolved = resolve(view, &stored, "http").unwrap();
        let now = self.context.clock.now();
        self.context.endpoints.status(&resolved, now)
    }

    /// An event with one delivery, whose id this is of.
    pub(crate) async fn event(&self, webhook: &str, set: impl FnOnce(&mut NewDelivery)) -> String {
        let n = self.events.fetch_add(1, Ordering::SeqCst);
        let id = uuid::Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + n as u128);
        let mut delivery = NewDelivery {
            webhook_uid: webhook.to_owned(),
            webhook: webhook.to_owned(),
            destination: "http".to_owned(),
            idempotency_key: format!("key-{n}"),
            ..Default::default()
        };
        set(&mut delivery);
        let event = v1::Event {
            id: id.to_string(),
            org: "acme".to_owned(),
            group: "shop".to_owned(),
            group_uid: "shop".to_owned(),
            r#type: "order.paid".to_owned(),
            format: v1::PayloadFormat::Json.into(),
            content_type: "application/json".to_owned(),
            body: Bytes::from(format!(r#"{{"n":{n}}}"#)),
            ..Default::default()
        };
        let callback = NewCallback {
            org: "acme".to_owned(),
            group_uid: "shop".to_owned(),
            events: vec![NewEvent {
                event,
                dedup: Dedup {
                    delivery_key: None,
                    id_key: None,
                    content_key: None,
                    body_digest: [0; 32],
                },
                deliveries: vec![delivery],
            }],
            refuse_suspected_replays: false,
            dedup_window: Duration::from_secs(60),
        };
        let deadline = Instant::now() + PATIENCE;
        let kept = self.context.log.append(callback, deadline).await.unwrap();
        assert!(matches!(kept, Appended::Kept { .. }), "{kept:?}");
        let selection = Selection {
            event_id: Some(id.to_string()),
            ..Selection::default()
        };
        let made = self
            .context
            .log
            .deliveries(&selection, None, 1)
            .await
            .unwrap();
        made.into_iter().next().unwrap().1.id
    }

    pub(crate) async fn delivery(&self, id: &str) -> v1::Delivery {
        self.context.log.delivery(id).await.unwrap()
    }

    /// Waits until a delivery is of this status.
    pub(crate) async fn becomes(&self, id: &str, status: v1::DeliveryStatus) -> v1::Delivery {
        soon(async {
            loop {
                let delivery = self.delivery(id).await;
                if delivery.status() == status {
                    return delivery;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }

    /// Has the engine look several times, each because of news.
    pub(crate) async fn looks(&self, times: usize) {
        for _ in 0..times {
            let before = self.log.looks.load(Ordering::SeqCst);
            self.event("nobody", |_| {}).await;
            until(|| self.log.looks.load(Ordering::SeqCst) > before).await;
        }
    }
}

pub(crate) async fn soon<T>(of: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, of).await.unwrap()
}

pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// What a sink does with what it is given.
pub(crate) enum Said {
    All(Verdict),
    Each(Vec<Verdict>),
    /// Again, and why.
    Because(String),
    Panic,
    /// Nothing, until told so.
    Wait,
}

type Script = Box<dyn Fn(&[Job]) -> Said + Send + Sync>;

/// A sink that does what a test says, and notes the keys it was given.
pub(crate) struct Scripted {
    batch: usize,
    script: Script,
    sent: Mutex<Vec<Vec<String>>>,
    pub(crate) go_on: watch::Sender<bool>,
}

impl Scripted {
    pub(crate) fn new(
        batch: usize,
        script: impl Fn(&[Job]) -> Said + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            batch,
            script: Box::new(script),
            sent: Mutex::default(),
            go_on: watch::Sender::new(false),
        })
    }

    pub(crate) fn willing(batch: usize) -> Arc<Self> {
        Self::new(batch, |_| Said::All(Verdict::Done))
    }

    /// By call.
    pub(crate) fn sent(&self) -> Vec<Vec<String>> {
        lock(&self.sent).clone()
    }

    /// Deliveries in all.
    pub(crate) fn count(&self) -> usize {
        lock(&self.sent).iter().map(Vec::len).sum()
    }
}

#[async_trait::async_trait]
impl Sink for Scripted {
    fn batch(&self) -> usize {
        self.batch
    }

    fn with_timeout(&self, _timeout: Duration) -> Arc<dyn Sink> {
        panic!("nobody changes it here")
    }

    async fn deliver(&self, jobs: &[Job]) -> Vec<Outcome> {
        let key = |job: &Job| job.lease.delivery.idempotency_key.clone();
        lock(&self.sent).push(jobs.iter().map(key).collect());
        let mut reason = "so it was said".to_owned();
        let verdicts = match (self.script)(jobs) {
            Said::All(verdict) => vec![verdict; jobs.len()],
            Said::Each(verdicts) => verdicts,
            Said::Because(why) => {
                reason = why;
                vec![Verdict::Retry { after: None }; jobs.len()]
            }
            Said::Panic => panic!("the sink breaks off, as the test has it"),
            Said::Wait => {
                let mut told = self.go_on.subscribe();
                told.wait_for(|go_on| *go_on).await.unwrap();
                vec![Verdict::Done; jobs.len()]
            }
        };
        let outcome = |verdict| Outcome {
            verdict,
            status: None,
            reason: reason.clone(),
            excerpt: String::new(),
        };
        verdicts.into_iter().map(outcome).collect()
    }

    fn preview(&self, _job: &Job) -> Vec<v1::OutboundRequest> {
        Vec::new()
    }

    async fn describe(&self, _object: &str) -> Option<Result<Vec<v1::ObjectDescription>, String>> {
        None
    }
}

/// A store that can't be asked while a test says so, and that breaks off at a key.
pub(crate) struct Failing {
    store: Arc<dyn Store>,
    pub(crate) fails: AtomicBool,
    pub(crate) panics_at: Mutex<Option<String>>,
}

#[async_trait::async_trait]
impl Store for Failing {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        assert_ne!(
            lock(&self.panics_at).as_deref(),
            Some(key),
            "as the test has it"
        );
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("as the test has it".to_owned()));
        }
        self.store.get(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        self.store.list(prefix, after, limit, at).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.store.commit(transaction).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        self.store.watch(prefix, after).await
    }
}

type OnLease = Box<dyn FnMut(&Queue) + Send>;

/// A log that counts what it is asked.
pub(crate) struct Watched {
    log: Arc<dyn DeliveryLog>,
    pub(crate) looks: AtomicUsize,
    leases: Mutex<HashMap<Queue, usize>>,
    /// May panic.
    pub(crate) on_lease: Mutex<Option<OnLease>>,
    /// Of its notes it says nothing.
    pub(crate) is_silent: AtomicBool,
}

impl Watched {
    fn over(log: Arc<dyn DeliveryLog>) -> Self {
        Self {
            log,
            looks: AtomicUsize::new(0),
            leases: Mutex::default(),
            on_lease: Mutex::default(),
            is_silent: AtomicBool::new(false),
        }
    }

    /// How often a webhook's deliveries to `http` were asked for.
    pub(crate) fn leases(&self, webhook: &str) -> usize {
        self.asked(webhook, "http")
    }

    /// The same to another destination.
    pub(crate) fn asked(&self, webhook: &str, destination: &str) -> usize {
        let queue = Queue {
            webhook_uid: webhook.to_owned(),
            destination: destination.to_owned(),
        };
        lock(&self.leases).get(&queue).copied().unwrap_or(0)
    }
}

#[async_trait::async_trait]
impl DeliveryLog for Watched {
    fn receipt(&self) -> v1::Receipt {
        self.log.receipt()
    }
    fn durability(&self) -> Durability {
        self.log.durability()
    }
    fn notes(&self) -> &dyn Notes {
        match self.is_silent.load(Ordering::SeqCst) {
            true => &Silence,
            false => self.log.notes(),
        }
    }
    fn stats(&self) -> Stats {
        self.log.stats()
    }
    async fn append(&self, callback: NewCallback, deadline: Instant) -> Result<Appended, LogError> {
        self.log.append(callback, deadline).await
    }
    async fn lease(
        &self,
        queue: &Queue,
        max: usize,
        duration: Duration,
    ) -> Result<Vec<Lease>, LogError> {
        *lock(&self.leases).entry(queue.clone()).or_default() += 1;
        if let Some(on_lease) = &mut *lock(&self.on_lease) {
            on_lease(queue);
        }
        self.log.lease(queue, max, duration).await
    }
    async fn settle(&self, settlements: Vec<Settle>) -> Result<Vec<bool>, LogError> {
        self.log.settle(settlements).await
    }
    async fn waiting(&self, after: Option<&Queue>, limit: usize) -> Result<Vec<Waiting>, LogError> {
        let waiting = self.log.waiting(after, limit).await;
        self.looks.fetch_add(1, Ordering::SeqCst);
        waiting
    }
    async fn event(&self, id: &str) -> Result<v1::Event, LogError> {
        self.log.event(id).await
    }
    async fn delivery(&self, id: &str) -> Result<v1::Delivery, LogError> {
        self.log.delivery(id).await
    }
    async fn events(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Event)>, LogError> {
        self.log.events(selection, before, limit).await
    }
    async fn deliveries(
        &self,
        selection: &Selection,
        before: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<(Cursor, v1::Delivery)>, LogError> {
        self.log.deliveries(selection, before, limit).await
    }
    async fn tail(
        &self,
        selection: &Selection,
        after: Cursor,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError> {
        self.log.tail(selection, after, changes, limit).await
    }
    async fn tail_newest(
        &self,
        selection: &Selection,
        after: Cursor,
        before: Option<Cursor>,
        changes: bool,
        limit: usize,
    ) -> Result<(Vec<TailItem>, Cursor), LogError> {
        self.log
            .tail_newest(selection, after, before, changes, limit)
            .await
    }
    async fn reach(&self) -> Result<Reach, LogError> {
        self.log.reach().await
    }
    fn newest(&self) -> watch::Receiver<Cursor> {
        self.log.newest()
    }
    async fn replay(&self, deliveries: &[PutBack]) -> Result<u32, LogError> {
        self.log.replay(deliveries).await
    }
    async fn add_deliveries(
        &self,
        event_id: &str,
        deliveries: Vec<NewDelivery>,
    ) -> Result<u32, LogError> {
        self.log.add_deliveries(event_id, deliveries).await
    }
    async fn drop_deliveries(&self, webhook_uid: &str, reason: &str) -> Result<u32, LogError> {
        self.log.drop_deliveries(webhook_uid, reason).await
    }
    async fn usage(&self) -> Result<Vec<Usage>, LogError> {
        self.log.usage().await
    }
    async fn retain(&self, retention: &Retention) -> Result<u64, LogError> {
        self.log.retain(retention).await
    }
    async fn forget_repeats(&self, older_than: Duration) -> Result<u64, LogError> {
        self.log.forget_repeats(older_than).await
    }
    async fn index(&self) -> Result<bool, LogError> {
        self.log.index().await
    }
    async fn close(&self) {
        self.log.close().await;
    }
}
