use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use tokio::sync::mpsc;

use super::*;
use crate::store::{Entry, Listing, Transaction};

/// How long a test waits for what must come.
const WAIT: Duration = Duration::from_secs(10);

type Content = BTreeMap<String, (Revision, &'static str)>;

/// A store that says what it is told to: each watch plays its script, then hangs unless the script ends it.
#[derive(Default)]
struct Scripted {
    content: Mutex<(Revision, Content)>,
    watches: Mutex<VecDeque<Vec<Result<Change, StoreError>>>>,
    /// Where each watch began.
    asked: Mutex<Vec<Revision>>,
}

impl Scripted {
    fn put(&self, revision: Revision, key: &str, value: &'static str) {
        let mut content = self.content.lock().unwrap();
        content.0 = revision;
        content.1.insert(key.to_owned(), (revision, value));
    }

    fn delete(&self, revision: Revision, key: &str) {
        let mut content = self.content.lock().unwrap();
        content.0 = revision;
        content.1.remove(key);
    }

    fn script(&self, watch: Vec<Result<Change, StoreError>>) {
        self.watches.lock().unwrap().push_back(watch);
    }
}

#[async_trait::async_trait]
impl Store for Scripted {
    async fn get(&self, _key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(None)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        _at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        let content = self.content.lock().unwrap();
        let entries = content
            .1
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|a| key.as_str() > a))
            .take(limit)
            .map(|(key, (revision, value))| Entry {
                key: key.clone(),
                value: Bytes::from_static(value.as_bytes()),
                revision: *revision,
            })
            .collect();
        Ok(Listing {
            entries,
            revision: content.0,
        })
    }

    async fn commit(&self, _transaction: Transaction) -> Result<Revision, StoreError> {
        Err(StoreError::Unavailable("read only".to_owned()))
    }

    async fn watch(&self, _prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        self.asked.lock().unwrap().push(after);
        let script = self.watches.lock().unwrap().pop_front();
        let hang = script.is_none();
        let played = tokio_stream::iter(script.unwrap_or_default());
        if hang {
            Ok(Box::pin(tokio_stream::pending()))
        } else if self.watches.lock().unwrap().is_empty() {
            // The last script stays open, as a quiet watch does.
            Ok(Box::pin(played.chain(tokio_stream::pending())))
        } else {
            Ok(Box::pin(played))
        }
    }
}

fn change(
    revision: Revision,
    key: &str,
    value: Option<&'static str>,
) -> Result<Change, StoreError> {
    Ok(Change {
        revision,
        keys: vec![(
            key.to_owned(),
            value.map(|v| Bytes::from_static(v.as_bytes())),
        )],
    })
}

/// What a reader of the batches would hold, and the revisions it went through.
struct Seen {
    batches: mpsc::UnboundedReceiver<Batch>,
    content: BTreeMap<String, Bytes>,
    revisions: Vec<Revision>,
    shutdown: CancellationToken,
}

impl Seen {
    async fn start(store: &Arc<Scripted>, audit: Duration) -> Self {
        let timing = Timing {
            pause: Duration::from_millis(1),
            pause_max: Duration::from_millis(5),
            audit,
            answer: WAIT,
        };
        Self::start_timed(store, timing).await
    }

    async fn start_timed(store: &Arc<Scripted>, timing: Timing) -> Self {
        let (_prompt, prompts) = mpsc::channel(1);
        let mut follower = Follower::new(store.clone(), "v1/", timing, prompts);
        let first = follower.list().await.unwrap().unwrap();
        let (send, batches) = mpsc::unbounded_channel();
        send.send(first).unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(follower.follow(
            move |batch| {
                let _ = send.send(batch);
            },
            shutdown.clone(),
        ));
        Self {
            batches,
            content: BTreeMap::new(),
            revisions: Vec::new(),
            shutdown,
        }
    }

    /// Reads on until `done`. Never goes backwards, never is empty once it was not.
    async fn until(&mut self, done: impl Fn(&BTreeMap<String, Bytes>) -> bool) {
        while !done(&self.content) {
            let batch = tokio::time::timeout(WAIT, self.batches.recv())
                .await
                .expect("nothing more came")
                .expect("the follower ended");
            assert!(
                self.revisions
                    .last()
                    .is_none_or(|last| batch.revision >= *last),
                "went backwards"
            );
            self.revisions.push(batch.revision);
            for (key, value) in batch.keys {
                match value {
                    Some((_, value)) => self.content.insert(key, value),
                    None => self.content.remove(&key),
                };
            }
            assert!(self.content.contains_key("v1/always"), "was cleared");
        }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

const NEVER: Duration = Duration::from_secs(3600);

fn has(key: &'static str, value: &'static str) -> impl Fn(&BTreeMap<String, Bytes>) -> bool {
    move |content| content.get(key).is_some_and(|v| v == value)
}

fn store() -> Arc<Scripted> {
    let store = Arc::new(Scripted::default());
    store.put(5, "v1/always", "here");
    store
}

// Risk 14: a store delivers twice or backwards.
#[tokio::test]
async fn what_comes_twice_or_backwards_is_not_applied_again() {
    let store = store();
    store.script(vec![
        change(6, "v1/a", Some("six")),
        change(7, "v1/a", Some("seven")),
        change(6, "v1/a", Some("six")),
        change(7, "v1/a", Some("seven")),
        change(3, "v1/always", None),
        change(8, "v1/b", Some("end")),
    ]);
    let mut seen = Seen::start(&store, NEVER).await;
    seen.until(has("v1/b", "end")).await;
    assert_eq!(seen.content["v1/a"], "seven");
    assert_eq!(seen.revisions, [5, 6, 7, 8]);
}

// Risk 14: a store delivers late, so that the position is past it already.
#[tokio::test]
async fn what_was_overtaken_is_not_lost() {
    let store = store();
    let six = change(6, "v1/overtaken", Some("six"));
    store.script(vec![change(7, "v1/a", Some("seven")), six]);
    store.script(vec![]);
    let mut seen = Seen::start(&store, NEVER).await;
    store.put(6, "v1/overtaken", "six");
    store.put(7, "v1/a", "seven");
    seen.until(|content| content.contains_key("v1/a") && content.contains_key("v1/overtaken"))
        .await;
}

// Risk 13: the position advances only on events.
#[tokio::test]
async fn a_watch_that_breaks_goes_on_from_the_last_event() {
    let store = store();
    store.script(vec![
        change(6, "v1/a", Some("six")),
        Err(StoreError::Unavailable("gone".to_owned())),
    ]);
    store.script(vec![]);
    store.script(vec![change(7, "v1/a", Some("seven"))]);
    let mut seen = Seen::start(&store, NEVER).await;
    // The store is ahead of what its watches brought.
    store.put(7, "v1/a", "seven");
    seen.until(has("v1/a", "seven")).await;
    assert_eq!(*store.asked.lock().unwrap(), [5, 6, 6]);
}

// Risk 12: a store compacted under a watcher.
#[tokio::test]
async fn compaction_lists_again_and_compares_and_never_clears() {
    let store = store();
    store.put(6, "v1/old", "old");
    let compacted = || {
        Err(StoreError::Compacted {
            asked: 6,
            oldest: 9,
        })
    };
    store.script(vec![compacted()]);
    store.script(vec![compacted()]);
    store.script(vec![]);
    let mut seen = Seen::start(&store, NEVER).await;
    store.delete(8, "v1/old");
    store.put(9, "v1/a", "nine");
    seen.until(has("v1/a", "nine")).await;
    assert!(!seen.content.contains_key("v1/old"));
}

// Risk 12: troubles that a list ended don't add up, or each would be noticed later than the one before.
#[tokio::test]
async fn once_a_list_has_come_pauses_are_short_again() {
    let gone = || Err(StoreError::Unavailable("gone".to_owned()));
    let timing = Timing {
        pause: Duration::from_millis(1),
        pause_max: NEVER,
        audit: NEVER,
        answer: WAIT,
    };
    let store = store();
    // If they did, the 20th pause would be a quarter of an hour.
    for _ in 0..5 {
        for _ in 0..4 {
            store.script(vec![gone()]);
        }
        store.script(vec![Err(StoreError::Compacted {
            asked: 5,
            oldest: 6,
        })]);
    }
    store.script(vec![change(7, "v1/a", Some("seven"))]);
    let mut seen = Seen::start_timed(&store, timing).await;
    seen.until(has("v1/a", "seven")).await;
}

// Risks 14 and 17: what a watch lost in silence, a removal among it, is found by the audit.
#[tokio::test]
async fn what_a_watch_dropped_is_found_by_the_audit() {
    let store = store();
    store.put(6, "v1/gone", "soon");
    let mut seen = Seen::start(&store, Duration::from_millis(5)).await;
    seen.until(has("v1/gone", "soon")).await;
    store.delete(7, "v1/gone");
    store.put(8, "v1/a", "eight");
    seen.until(|content| !content.contains_key("v1/gone") && content.contains_key("v1/a"))
        .await;
}

// Risk 25: older state is never taken for newer.
#[tokio::test]
async fn a_list_from_the_past_is_not_taken() {
    let store = store();
    let mut follower = Follower::new(store.clone(), "v1/", Timing::default(), mpsc::channel(1).1);
    assert!(follower.list().await.unwrap().is_some());
    store.content.lock().unwrap().0 = 4;
    assert_eq!(follower.list().await.unwrap(), None);
    assert_eq!(follower.position, 5);
}
