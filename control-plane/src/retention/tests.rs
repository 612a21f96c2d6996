//! Rounds over an embedded log and store.

use std::sync::atomic::{AtomicI64, Ordering};

use hookplane_rules::{Clock, Timestamp};

use super::*;
use crate::log::embedded::{EmbeddedLog, Options};
use crate::log::{Dedup, NewCallback, NewEvent};
use crate::seal::SealKey;
use crate::store::{EmbeddedStore, Transaction, Write};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// It is turned by hand.
struct Hand(AtomicI64);

impl Hand {
    fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

struct Rig {
    keeper: Keeper,
    log: Arc<EmbeddedLog>,
    clock: Arc<Hand>,
    shutdown: CancellationToken,
    dir: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand(AtomicI64::new(1_700_000_000_000)));
        let options = Options {
            sync: false,
            ..Options::default()
        };
        let log = EmbeddedLog::open(&dir.path().join("log"), clock.clone(), options).unwrap();
        let store = EmbeddedStore::open(&dir.path().join("store")).unwrap();
        let seal = Arc::new(SealKey::load_or_create(&dir.path().join("seal.key")).unwrap());
        let shutdown = CancellationToken::new();
        let view = View::start(store.clone(), seal, shutdown.clone());
        let keeper = Keeper {
            log: log.clone(),
            store,
            view: view.await.unwrap(),
            forgotten: BTreeSet::new(),
            forget: Instant::now() + FORGET_FIRST,
            clocks: clocks::Clocks::new(clock.clone()),
        };
        Self {
            keeper,
            log,
            clock,
            shutdown,
            dir,
        }
    }

    /// Of a group that has the org's name.
    async fn keep(&self, id: &str, org: &str) {
        let event = v1::Event {
            id: id.to_owned(),
            org: org.to_owned(),
            group_uid: org.to_owned(),
            ..Default::default()
        };
        let mut key = [0; 32];
        key[..id.len()].copy_from_slice(id.as_bytes());
        let callback = NewCallback {
            org: org.to_owned(),
            group_uid: org.to_owned(),
            refuse_suspected_replays: false,
            dedup_window: DAY,
            events: vec![NewEvent {
                event,
                dedup: Dedup {
                    delivery_key: Some(key),
                    id_key: None,
                    content_key: None,
                    body_digest: [0; 32],
                },
                deliveries: Vec::new(),
            }],
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        self.log.append(callback, deadline).await.unwrap();
    }

    /// Rows that tell repeats.
    fn repeats(&self) -> i64 {
        let db = rusqlite::Connection::open(self.dir.path().join("log/events.db")).unwrap();
        db.query_row("SELECT count(*) FROM dedup", [], |row| row.get(0))
            .unwrap()
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.log.close().await;
    }
}

#[tokio::test]
async fn a_round_forgets_repeats_once_an_hour() {
    let mut rig = Rig::start().await;
    for id in ["one", "two"] {
        rig.keep(id, "acme").await;
    }
    // They are put into their table, and none of them is so old.
    let ages = Duration::from_secs(u32::MAX.into());
    assert_eq!(rig.log.forget_repeats(ages).await, Ok(0));
    rig.clock.advance(DAY * 15);
    assert_eq!(rig.repeats(), 2);
    rig.keeper.round().await.unwrap();
    assert_eq!(rig.repeats(), 2, "not at once after the start");
    rig.keeper.forget = Instant::now();
    rig.keeper.round().await.unwrap();
    assert_eq!(rig.repeats(), 0, "past twice the longest window");
    let next = rig.keeper.forget.duration_since(Instant::now());
    assert!(next > FORGET_EVERY / 2, "{next:?}");
    rig.end().await;
}

#[tokio::test]
async fn a_group_goes_by_what_its_org_says() {
    let mut rig = Rig::start().await;
    let org = v1::Org {
        spec: Some(v1::OrgSpec {
            retention: Some(v1::Retention {
                max_days: 5,
                max_bytes: 0,
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let says = Write::Put(keys::org("brief"), org.encode_to_vec().into());
    let transaction = Transaction {
        checks: Vec::new(),
        writes: vec![says],
    };
    rig.keeper.store.commit(transaction).await.unwrap();
    for org in ["brief", "usual"] {
        rig.keep(org, org).await;
    }
    for (days, left) in [(4, 2), (2, 1), (23, 1), (2, 0)] {
        rig.clock.advance(DAY * days);
        // Of what isn't counted yet it is only known that there is some.
        while rig.log.index().await.unwrap() {}
        let kept = rig.keeper.round().await.unwrap();
        assert_eq!(kept.events, left, "{days} days later");
    }
    rig.end().await;
}
