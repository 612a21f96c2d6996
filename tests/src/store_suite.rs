//! What every config store has to do. Each function is given an empty store; a backend's test runs them all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookplane_control_plane::store::{
    Change, Changes, MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES, MAX_WRITES, Precondition, Revision,
    Store, StoreError, Transaction, Write,
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

/// As much as the seam promises is taken, in one transaction and in one value, and comes back as it was, from reads and from a watch.
pub async fn what_is_as_large_as_may_be_is_taken(store: Arc<dyn Store>) {
    let start = store
        .commit(writes(vec![put("v1/start", "")]))
        .await
        .expect("put");
    let value = "v".repeat(MAX_VALUE_BYTES);
    let keys = ["v1/big/a", "v1/big/b"];
    let rest = MAX_TRANSACTION_BYTES - MAX_VALUE_BYTES - keys[0].len() - keys[1].len();
    let most = vec![put(keys[0], &value), put(keys[1], &value[..rest])];
    let mut over = most.clone();
    over.push(put("x", ""));
    let refused = store.commit(writes(over)).await;
    let Err(StoreError::TooLarge(message)) = refused else {
        panic!("a byte too many was taken");
    };
    assert!(
        message.contains(&MAX_TRANSACTION_BYTES.to_string()),
        "{message}"
    );
    let at = store.commit(writes(most)).await.expect("1.25 MiB");
    let page = store.list("v1/big/", None, 10, None).await.expect("a page");
    let sizes: Vec<_> = page.entries.iter().map(|e| e.value.len()).collect();
    assert_eq!(sizes, [MAX_VALUE_BYTES, rest]);
    let mut changes = store.watch("v1/big/", start).await.expect("watch");
    let change = next(&mut changes).await;
    assert_eq!((change.revision, change.keys.len()), (at, 2));
    // Checks count as well.
    let mut many = writes(vec![put("v1/m", "x")]);
    many.checks = (0..MAX_WRITES)
        .map(|i| (format!("v1/m/{i}"), Precondition::Absent))
        .collect();
    let refused = store.commit(many.clone()).await;
    assert!(matches!(refused, Err(StoreError::TooLarge(_))));
    many.checks.pop();
    store.commit(many.clone()).await.expect("as many as may be");
    many.checks.pop();
    many.checks
        .push(("v1/big/a".to_owned(), Precondition::Absent));
    let conflict = StoreError::Conflict {
        key: "v1/big/a".to_owned(),
    };
    assert_eq!(store.commit(many).await, Err(conflict));
}

/// A transaction that removes what isn't there changes nothing, brings nothing, and is at a revision that there was; so is one of checks only.
pub async fn what_changes_nothing_has_no_revision_of_its_own(store: Arc<dyn Store>) {
    let first = store
        .commit(writes(vec![put("v1/a", "1")]))
        .await
        .expect("put");
    let mut changes = store.watch("v1/", first).await.expect("watch");
    let nothing = Write::Delete("v1/none".to_owned());
    for transaction in [
        writes(vec![nothing.clone(), nothing]),
        Transaction {
            checks: vec![("v1/a".to_owned(), Precondition::At(first))],
            writes: Vec::new(),
        },
    ] {
        assert_eq!(store.commit(transaction).await, Ok(first));
    }
    let second = store
        .commit(writes(vec![put("v1/b", "1")]))
        .await
        .expect("put");
    assert!(second > first);
    assert_eq!(next(&mut changes).await.revision, second);
    let list = store.list("v1/", None, 10, None).await.expect("a page");
    assert_eq!(list.entries.len(), 2);
    // Revision 0 is before every write, so nothing was ever written there.
    let never = checked("v1/none", Precondition::At(0), put("v1/none", "1"));
    let conflict = StoreError::Conflict {
        key: "v1/none".to_owned(),
    };
    assert_eq!(store.commit(never).await, Err(conflict));
}

/// Of several writes of a key in one transaction the last one holds, and the watch brings what holds.
pub async fn of_writes_of_one_key_the_last_holds(store: Arc<dyn Store>) {
    let start = store
        .commit(writes(vec![put("v1/a", "0"), put("v1/b", "0")]))
        .await
        .expect("put");
    let at = store
        .commit(writes(vec![
            put("v1/a", "1"),
            Write::Delete("v1/b".to_owned()),
            Write::Delete("v1/a".to_owned()),
            put("v1/a", "2"),
        ]))
        .await
        .expect("put");
    let entry = store.get("v1/a").await.expect("read").expect("there");
    assert_eq!((&entry.value[..], entry.revision), (&b"2"[..], at));
    let mut changes = store.watch("v1/", start).await.expect("watch");
    let mut change = next(&mut changes).await;
    change.keys.sort();
    let expected = [
        ("v1/a".to_owned(), Some(Bytes::from_static(b"2"))),
        ("v1/b".to_owned(), None),
    ];
    assert_eq!((change.revision, &change.keys[..]), (at, &expected[..]));
}

/// A list of thousands of keys, page by page, is of its first page's revision, whatever is written meanwhile.
pub async fn a_long_list_holds_still_while_writes_go_on(store: Arc<dyn Store>) {
    const KEYS: usize = 5_000;
    let name = |i: usize| format!("v1/long/{i:05}");
    for from in (0..KEYS).step_by(100) {
        let some = (from..from + 100).map(|i| put(&name(i), "old")).collect();
        store.commit(writes(some)).await.expect("put");
    }
    let mut page = store
        .list("v1/long/", None, 700, None)
        .await
        .expect("a page");
    let at = page.revision;
    let mut found = Vec::new();
    let mut turn = 0;
    loop {
        let last = page.entries.last().map(|e| e.key.clone());
        let full = page.entries.len() == 700;
        found.extend(page.entries);
        if !full {
            break;
        }
        // Behind, at and before the place where the list is.
        let meanwhile = vec![
            put(&name(turn), "new"),
            put(&name(KEYS - 1 - turn), "new"),
            Write::Delete(name(KEYS / 2 + turn)),
            put(&format!("v1/long/x{turn}"), "new"),
        ];
        store.commit(writes(meanwhile)).await.expect("put");
        turn += 1;
        let next = store.list("v1/long/", last.as_deref(), 700, Some(at));
        page = next.await.expect("a page");
        assert_eq!(page.revision, at);
    }
    let keys: Vec<_> = found.iter().map(|e| e.key.clone()).collect();
    assert_eq!(keys, (0..KEYS).map(name).collect::<Vec<_>>());
    assert!(found.iter().all(|e| &e.value[..] == b"old"));
}

/// A watch begun long after brings every version there was, each revision whole, however much that is at once.
pub async fn a_watch_begun_late_brings_all_there_was(store: Arc<dyn Store>) {
    let start = store
        .commit(writes(vec![put("v1/start", "")]))
        .await
        .expect("put");
    // Together far more than one message of any backend: etcd divides them every 2 MiB, which is two revisions and three keys of the third.
    let value = "v".repeat(150_000);
    let mut expected = Vec::new();
    for _ in 0..12 {
        let keys = ["a", "b", "c", "d", "e"].map(|name| put(&format!("v1/late/{name}"), &value));
        let at = store.commit(writes(keys.to_vec())).await.expect("put");
        expected.push((at, 5));
    }
    let gone = vec![Write::Delete("v1/late/a".to_owned())];
    expected.push((store.commit(writes(gone)).await.expect("delete"), 1));
    let mut changes = store.watch("v1/late/", start).await.expect("watch");
    for (revision, keys) in expected {
        let change = next(&mut changes).await;
        assert_eq!((change.revision, change.keys.len()), (revision, keys));
    }
}

/// What is no longer remembered is said, with what is, to a list and to a watch. `forget` has the backend forget what is before a revision, as it
/// may after a few hundred more.
pub async fn what_is_forgotten_is_said(store: Arc<dyn Store>, forget: impl FnOnce(Revision)) {
    let first = store
        .commit(writes(vec![put("v1/still", "kept")]))
        .await
        .expect("put");
    let mut last = first;
    for turn in 0..200 {
        let busy = vec![put("v1/busy", &turn.to_string())];
        last = store.commit(writes(busy)).await.expect("put");
    }
    forget(last);
    let told = |error: StoreError| match error {
        StoreError::Compacted { asked, oldest } => {
            assert_eq!(asked, first);
            assert!(oldest > first && oldest <= last, "{oldest}");
            oldest
        }
        other => panic!("{other}"),
    };
    let list = store.list("v1/", None, 10, Some(first)).await;
    let oldest = told(list.expect_err("forgotten"));
    let watched = match store.watch("v1/", first).await {
        Ok(mut changes) => tokio::time::timeout(DEADLINE, changes.next())
            .await
            .expect("a word within the deadline")
            .expect("a word")
            .map(|change| panic!("revision {} came first", change.revision)),
        Err(error) => Err(error),
    };
    assert_eq!(watched.map_err(told), Err(oldest));
    // The oldest one is remembered, and what is kept is there.
    let list = store.list("v1/", None, 10, Some(oldest)).await;
    let keys: Vec<_> = list
        .expect("a list")
        .entries
        .into_iter()
        .map(|e| e.key)
        .collect();
    assert_eq!(keys, ["v1/busy", "v1/still"]);
    let mut changes = store.watch("v1/", last).await.expect("watch");
    let more = store.commit(writes(vec![put("v1/busy", "more")])).await;
    assert_eq!(next(&mut changes).await.revision, more.expect("put"));
}
