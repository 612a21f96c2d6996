//! What every config store has to do. Each function is given an empty store; a backend's test runs them all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookplane_control_plane::store::{
    Change, Changes, MAX_VALUE_BYTES, MAX_WRITES, Precondition, Store, StoreError, Transaction,
    Write,
};
use tokio_stream::StreamExt;

const DEADLINE: Duration = Duration::from_secs(20);

fn put(key: &str, value: &str) -> Write {
    Write::Put(key.to_owned(), Bytes::copy_from_slice(value.as_bytes()))
}

fn writes(writes: Vec<Write>) -> Transaction {
    Transaction {
        checks: Vec::new(),
        writes,
    }
}

fn checked(key: &str, precondition: Precondition, write: Write) -> Transaction {
    Transaction {
        checks: vec![(key.to_owned(), precondition)],
        writes: vec![write],
    }
}

async fn next(changes: &mut Changes) -> Change {
    tokio::time::timeout(DEADLINE, changes.next())
        .await
        .expect("a change within the deadline")
        .expect("the watch goes on")
        .expect("a change, no error")
}

/// A transaction whose check fails writes nothing and names the key.
pub async fn preconditions_hold_or_nothing_is_written(store: Arc<dyn Store>) {
    let conflict = |key: &str| StoreError::Conflict {
        key: key.to_owned(),
    };
    let absent = Precondition::Absent;
    let first = store
        .commit(checked("v1/a", absent, put("v1/a", "1")))
        .await
        .expect("absent");
    let again = store
        .commit(checked("v1/a", absent, put("v1/b", "1")))
        .await;
    assert_eq!(again, Err(conflict("v1/a")));
    assert_eq!(store.get("v1/b").await, Ok(None));
    let missing = checked("v1/b", Precondition::Present, put("v1/c", "1"));
    assert_eq!(store.commit(missing).await, Err(conflict("v1/b")));
    let at = checked("v1/a", Precondition::At(first), put("v1/a", "2"));
    let second = store.commit(at.clone()).await.expect("at its revision");
    assert!(second > first);
    assert_eq!(store.commit(at).await, Err(conflict("v1/a")));
    let entry = store.get("v1/a").await.expect("read").expect("there");
    assert_eq!((&entry.value[..], entry.revision), (&b"2"[..], second));
    let gone = Write::Delete("v1/a".to_owned());
    store
        .commit(checked("v1/a", Precondition::Present, gone))
        .await
        .expect("delete");
    assert_eq!(store.get("v1/a").await, Ok(None));
    store
        .commit(checked("v1/a", absent, put("v1/a", "3")))
        .await
        .expect("absent after a delete");
}

/// All pages of a list are of the first page's revision, in order, and hold nothing of another prefix.
pub async fn a_list_is_of_one_revision(store: Arc<dyn Store>) {
    for name in ["b", "a", "d", "c"] {
        let key = format!("v1/x/{name}");
        store
            .commit(writes(vec![put(&key, "old")]))
            .await
            .expect("put");
    }
    store
        .commit(writes(vec![put("v1/xy", "other"), put("v1/y/a", "other")]))
        .await
        .expect("put");
    let first = store.list("v1/x/", None, 2, None).await.expect("a page");
    store
        .commit(writes(vec![
            put("v1/x/c", "new"),
            Write::Delete("v1/x/d".to_owned()),
            put("v1/x/e", "new"),
        ]))
        .await
        .expect("put");
    let after = first.entries.last().map(|e| e.key.clone());
    let second = store
        .list("v1/x/", after.as_deref(), 10, Some(first.revision))
        .await
        .expect("a page");
    assert_eq!(second.revision, first.revision);
    let all: Vec<_> = first.entries.iter().chain(&second.entries).collect();
    let keys: Vec<_> = all.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["v1/x/a", "v1/x/b", "v1/x/c", "v1/x/d"]);
    assert!(all.iter().all(|e| &e.value[..] == b"old"));
    let now = store.list("v1/x/", None, 10, None).await.expect("a page");
    let keys: Vec<_> = now.entries.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["v1/x/a", "v1/x/b", "v1/x/c", "v1/x/e"]);
}

/// A watch brings what came before it started and what comes after, once, in order, whole revisions, its prefix only.
pub async fn a_watch_brings_every_change_in_order(store: Arc<dyn Store>) {
    let start = store
        .commit(writes(vec![put("v1/w/a", "0")]))
        .await
        .expect("put");
    let before = store
        .commit(writes(vec![put("v1/w/a", "1"), put("v1/w/b", "1")]))
        .await
        .expect("put");
    let mut changes = store.watch("v1/w/", start).await.expect("watch");
    store
        .commit(writes(vec![put("v1/other", "x")]))
        .await
        .expect("put");
    let after = store
        .commit(writes(vec![
            Write::Delete("v1/w/a".to_owned()),
            put("v1/w/c", "2"),
        ]))
        .await
        .expect("put");
    let change = next(&mut changes).await;
    assert_eq!((change.revision, change.keys.len()), (before, 2));
    let change = next(&mut changes).await;
    assert_eq!(change.revision, after);
    assert!(change.keys.contains(&("v1/w/a".to_owned(), None)));
    assert!(
        change
            .keys
            .contains(&("v1/w/c".to_owned(), Some("2".into())))
    );
}

/// A watcher that reads nothing for a while misses nothing.
pub async fn a_slow_watcher_misses_nothing(store: Arc<dyn Store>) {
    let start = store
        .commit(writes(vec![put("v1/s", "0")]))
        .await
        .expect("put");
    let mut changes = store.watch("v1/", start).await.expect("watch");
    let mut revisions = Vec::new();
    for i in 0..500 {
        let value = i.to_string();
        revisions.push(
            store
                .commit(writes(vec![put("v1/s", &value)]))
                .await
                .expect("put"),
        );
    }
    for revision in revisions {
        assert_eq!(next(&mut changes).await.revision, revision);
    }
}

/// Writers at the same time never both win with the same precondition.
pub async fn of_two_writers_one_wins(store: Arc<dyn Store>) {
    store
        .commit(writes(vec![put("v1/n", "0")]))
        .await
        .expect("put");
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let mut won = 0u32;
            while won < 10 {
                let entry = store.get("v1/n").await.expect("read").expect("there");
                let text = String::from_utf8(entry.value.to_vec()).expect("a number");
                let n: u32 = text.parse().expect("a number");
                let write = put("v1/n", &(n + 1).to_string());
                match store
                    .commit(checked("v1/n", Precondition::At(entry.revision), write))
                    .await
                {
                    Ok(_) => won += 1,
                    Err(StoreError::Conflict { .. }) => {}
                    Err(e) => panic!("{e}"),
                }
            }
        }));
    }
    for task in tasks {
        task.await.expect("a writer");
    }
    let entry = store.get("v1/n").await.expect("read").expect("there");
    assert_eq!(&entry.value[..], b"80");
}

/// Risk 28: what is too large is refused with its size, and nothing of it is written.
pub async fn what_is_too_large_is_refused(store: Arc<dyn Store>) {
    let many = (0..=MAX_WRITES)
        .map(|i| put(&format!("v1/m/{i}"), "x"))
        .collect();
    let Err(StoreError::TooLarge(message)) = store.commit(writes(many)).await else {
        panic!("one write too many was taken");
    };
    assert!(
        message.contains(&(MAX_WRITES + 1).to_string())
            && message.contains(&format!("at most {MAX_WRITES}")),
        "{message}"
    );
    let most = (0..MAX_WRITES)
        .map(|i| put(&format!("v1/m/{i}"), "x"))
        .collect();
    store
        .commit(writes(most))
        .await
        .expect("as many as are possible");
    let large = "x".repeat(MAX_VALUE_BYTES + 1);
    let Err(StoreError::TooLarge(message)) =
        store.commit(writes(vec![put("v1/large", &large)])).await
    else {
        panic!("a value over 1 MiB was taken");
    };
    assert!(message.contains("v1/large"), "{message}");
    assert_eq!(store.get("v1/large").await, Ok(None));
    store
        .commit(writes(vec![put("v1/large", &large[1..])]))
        .await
        .expect("1 MiB");
}
