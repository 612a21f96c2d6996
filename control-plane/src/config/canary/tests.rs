//! A store whose watch is as bad as a test wants, over a real one.

use std::sync::Mutex;

use hookplane_proto::v1;
use prost::Message;
use tokio::sync::watch as flag;
use tokio_stream::StreamExt;

use super::*;
use crate::config::watch;
use crate::keys;
use crate::seal::SealKey;
use crate::store::{Changes, EmbeddedStore, Entry, Listing, Transaction, Write};

const WAIT: Duration = Duration::from_secs(20);

/// What becomes of the changes that a watch would bring.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    /// The watches that there are bring nothing more; new ones do.
    Silent,
    /// Every watch is silent; only a list tells.
    Mute,
}

struct Moody {
    inner: Mutex<Arc<EmbeddedStore>>,
    mood: flag::Sender<Mood>,
    watches: Mutex<Vec<Revision>>,
}

impl Moody {
    fn new(inner: Arc<EmbeddedStore>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(inner),
            mood: flag::Sender::new(Mood::Good),
            watches: Mutex::default(),
        })
    }

    fn inner(&self) -> Arc<EmbeddedStore> {
        self.inner.lock().unwrap().clone()
    }
}

#[async_trait::async_trait]
impl Store for Moody {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner().get(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        self.inner().list(prefix, after, limit, at).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.inner().commit(transaction).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        self.watches.lock().unwrap().push(after);
        let mut mood = self.mood.subscribe();
        // One that begins after the others fell silent is a good one.
        if *mood.borrow_and_update() == Mood::Silent {
            self.mood.send_replace(Mood::Good);
            mood.mark_unchanged();
        }
        let changes = self.inner().watch(prefix, after).await;
        let mut was_bad = false;
        Ok(Box::pin(changes?.filter(move |_| {
            was_bad |= mood.has_changed().unwrap_or(true) || *mood.borrow() == Mood::Mute;
            !was_bad
        })))
    }
}

struct Rig {
    store: Arc<Moody>,
    view: Arc<View>,
    dir: tempfile::TempDir,
    _end: tokio_util::sync::DropGuard,
}

impl Rig {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let seal = Arc::new(SealKey::load_or_create(&dir.path().join("seal.key")).unwrap());
        let store = Moody::new(EmbeddedStore::open(&dir.path().join("store")).unwrap());
        let shutdown = CancellationToken::new();
        let timing = Timing {
            every: Duration::from_millis(5),
            within: Duration::from_millis(100),
        };
        let timing = (watch::Timing::default(), timing);
        let view = View::start_with(store.clone(), seal, shutdown.clone(), timing)
            .await
            .unwrap();
        Self {
            store,
            view,
            dir,
            _end: shutdown.drop_guard(),
        }
    }

    async fn write(&self, key: &str) -> Revision {
        let value = v1::Org::default().encode_to_vec().into();
        let transaction = Transaction {
            checks: Vec::new(),
            writes: vec![Write::Put(key.to_owned(), value)],
        };
        self.store.commit(transaction).await.unwrap()
    }

    async fn sees(&self, revision: Revision) {
        let deadline = Instant::now() + WAIT;
        assert!(self.view.reached(revision, deadline).await);
    }
}

#[tokio::test]
async fn the_watch_s_lag_is_measured() {
    let rig = Rig::start().await;
    assert_eq!(rig.view.lag(), None);
    let mut revisions = rig.view.revisions();
    let measured = async {
        while rig.view.lag().is_none() {
            revisions.changed().await.unwrap();
        }
    };
    timeout(WAIT, measured).await.unwrap();
}

// Risk 14: a watch that brings nothing more and says nothing.
#[tokio::test]
async fn a_watch_that_fell_silent_is_started_again_from_where_it_was() {
    let rig = Rig::start().await;
    rig.sees(rig.write("v1/orgs/a").await).await;
    rig.store.mood.send_replace(Mood::Silent);
    rig.sees(rig.write("v1/orgs/b").await).await;
    let watches = rig.store.watches.lock().unwrap().clone();
    assert!(watches.len() >= 2 && watches.is_sorted(), "{watches:?}");
}

// Risks 14 and 15: every watch is silent, as those of an isolated member are.
#[tokio::test]
async fn where_no_watch_brings_anything_a_list_does() {
    let rig = Rig::start().await;
    rig.sees(rig.write("v1/orgs/a").await).await;
    rig.store.mood.send_replace(Mood::Mute);
    rig.sees(rig.write("v1/orgs/b").await).await;
}

// Risk 26: the store goes back under a control plane that runs.
#[tokio::test]
async fn a_store_that_went_back_begins_another_epoch_and_is_read_anew() {
    let rig = Rig::start().await;
    // So far ahead that a watch from there would miss all that is written at first.
    for _ in 0..100 {
        rig.write("v1/orgs/a").await;
    }
    rig.sees(rig.write("v1/orgs/a").await).await;
    let epoch = rig.view.epoch();
    let older = EmbeddedStore::open(&rig.dir.path().join("older")).unwrap();
    let put = |key: &str, value: String| Transaction {
        checks: Vec::new(),
        writes: vec![Write::Put(key.to_owned(), value.into())],
    };
    older
        .commit(put(keys::EPOCH, epoch.to_string()))
        .await
        .unwrap();
    *rig.store.inner.lock().unwrap() = older;
    // Watches of the old one end as well as they may.
    rig.store.mood.send_replace(Mood::Silent);
    let mut revisions = rig.view.revisions();
    let renewed = async {
        while rig.view.epoch() == epoch {
            revisions.changed().await.unwrap();
        }
    };
    timeout(WAIT, renewed).await.unwrap();
    let stored = rig.store.get(keys::EPOCH).await.unwrap().unwrap();
    assert_eq!(stored.value, rig.view.epoch().as_bytes());
    // And it goes on from there.
    rig.sees(rig.write("v1/orgs/c").await).await;
}

// Risk 26: somebody else noticed, began another epoch, and so much was written since that revisions say nothing.
#[tokio::test]
async fn an_epoch_that_began_unheard_is_noticed() {
    let rig = Rig::start().await;
    rig.sees(rig.write("v1/orgs/a").await).await;
    let other = EmbeddedStore::open(&rig.dir.path().join("other")).unwrap();
    let put = |key: &str| Transaction {
        checks: Vec::new(),
        writes: vec![Write::Put(key.to_owned(), "another".into())],
    };
    let began = other.commit(put(keys::EPOCH)).await.unwrap();
    assert!(began <= rig.view.revision());
    // The view comes there by its own canary.
    let ahead = rig.view.revision() + 200;
    while other.commit(put("v1/orgs/a")).await.unwrap() < ahead {}
    let flown = fly(&*other, &rig.view, &mut Flights::default(), WAIT).await;
    assert!(matches!(flown, Flight::OtherEpoch));
}
