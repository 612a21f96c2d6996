use std::time::Duration;

use bytes::Bytes;
use tokio_stream::StreamExt;

use super::*;
use crate::store::{Precondition, Write};

fn put(key: &str, value: &str) -> Transaction {
    Transaction {
        checks: Vec::new(),
        writes: vec![Write::Put(
            key.into(),
            Bytes::copy_from_slice(value.as_bytes()),
        )],
    }
}

#[tokio::test]
async fn a_second_opener_is_refused_and_told_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let first = EmbeddedStore::open(dir.path()).unwrap();
    let Err(StoreError::Unavailable(message)) = EmbeddedStore::open(dir.path()) else {
        panic!("two stores on one directory");
    };
    assert!(message.contains("another process"), "{message}");
    drop(first);
    EmbeddedStore::open(dir.path()).unwrap();
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart_with_its_revision() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let revision = store.commit(put("v1/a", "1")).await.unwrap();
    drop(store);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    assert_eq!(store.get("v1/a").await.unwrap().unwrap().revision, revision);
    assert!(store.commit(put("v1/a", "2")).await.unwrap() > revision);
}

// Else what a crash left of its listeners would be in doubt for a quarter of a minute.
#[tokio::test]
async fn what_an_earlier_process_said_of_itself_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    for key in [keys::of_replica("x", "beat"), "v1/a".to_owned()] {
        store.commit(put(&key, "1")).await.unwrap();
    }
    drop(store);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let left = store.list("", None, 10, None).await.unwrap().entries;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].key, "v1/a");
}

#[tokio::test]
async fn an_older_file_keeps_its_epoch_as_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let revision = store.commit(put("v1/a", "1")).await.unwrap();
    drop(store);
    let file = Connection::open(dir.path().join("config.db")).unwrap();
    file.execute_batch("INSERT INTO meta VALUES ('epoch', 'as before'); PRAGMA user_version = 1;")
        .unwrap();
    drop(file);
    for _ in 0..2 {
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let epoch = store.get(crate::keys::EPOCH).await.unwrap().unwrap();
        assert_eq!(
            (&epoch.value[..], epoch.revision),
            (&b"as before"[..], revision + 1)
        );
        let kept = store.get("v1/a").await.unwrap().unwrap();
        assert_eq!((&kept.value[..], kept.revision), (&b"1"[..], revision));
    }
}

// Risk 4: a lost or damaged file is an error that says what to do, and never an empty store.
#[tokio::test]
async fn a_store_whose_file_is_lost_is_not_taken_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.db");
    EmbeddedStore::open(dir.path()).unwrap();
    // Opened again and again, it is marked once.
    EmbeddedStore::open(dir.path()).unwrap();
    let mark = std::fs::read(dir.path().join("config.lock")).unwrap();
    assert_eq!(mark, schema::MADE.as_bytes());
    let damaged = || match EmbeddedStore::open(dir.path()) {
        Err(StoreError::Damaged(message)) => message,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it is taken for a new one"),
    };
    for bytes in [None, Some(&b""[..]), Some(&[7; 4096][..])] {
        let _ = std::fs::remove_file(&path);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        let message = damaged();
        assert!(
            message.contains("config.db") && message.contains("backup"),
            "{message}"
        );
    }
}

// Risk 12: the store compacted under a watcher.
#[tokio::test]
async fn compaction_forgets_old_versions_and_keeps_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open_keeping(dir.path(), 10).unwrap();
    store.commit(put("v1/still", "kept")).await.unwrap();
    store.commit(put("v1/gone", "x")).await.unwrap();
    store
        .commit(Transaction {
            checks: vec![("v1/gone".into(), Precondition::Present)],
            writes: vec![Write::Delete("v1/gone".into())],
        })
        .await
        .unwrap();
    let mut last = 0;
    for i in 0..2 * COMPACT_EVERY {
        last = store.commit(put("v1/busy", &i.to_string())).await.unwrap();
    }
    assert!(matches!(
        store.watch("v1/", 1).await,
        Err(StoreError::Compacted { asked: 1, oldest }) if oldest > 1
    ));
    assert!(matches!(
        store.list("v1/", None, 10, Some(2)).await,
        Err(StoreError::Compacted { .. })
    ));
    let keys: Vec<String> = store
        .list("v1/", None, 10, None)
        .await
        .unwrap()
        .entries
        .into_iter()
        .map(|e| e.key)
        .collect();
    assert_eq!(keys, ["v1/busy", "v1/still"]);
    let mut watch = store.watch("v1/", last - 2).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, last - 1);
    let rows: i64 = held(&store.shared.reader)
        .unwrap()
        .query_row("SELECT COUNT(*) FROM versions", [], |row| row.get(0))
        .unwrap();
    assert!(rows < 100, "{rows} rows are left");
}

#[tokio::test]
async fn a_watcher_that_lags_beyond_the_history_is_told_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open_keeping(dir.path(), 1).unwrap();
    let mut watch = store.watch("v1/", 0).await.unwrap();
    let mut last = 0;
    for i in 0..2 * COMPACT_EVERY {
        last = store.commit(put("v1/a", &i.to_string())).await.unwrap();
    }
    let mut position = 0;
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        while let Some(change) = watch.next().await {
            match change {
                Ok(change) => {
                    // Never a gap: either the next one, or Compacted.
                    assert_eq!(change.revision, position + 1);
                    position = change.revision;
                    if position == last {
                        return None;
                    }
                }
                Err(e) => return Some(e),
            }
        }
        None
    })
    .await
    .unwrap();
    assert!(position == last || matches!(ended, Some(StoreError::Compacted { .. })));
}

// Risk 4: damage is told from an empty store.
#[tokio::test]
async fn a_file_that_is_damaged_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.db"), vec![7u8; 8192]).unwrap();
    assert!(matches!(
        EmbeddedStore::open(dir.path()),
        Err(StoreError::Damaged(_))
    ));
}

#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let _store = EmbeddedStore::open(dir.path()).unwrap();
    for file in ["config.db", "config.db-wal"] {
        let mode = std::fs::metadata(dir.path().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file} has mode {mode:o}");
    }
}

// Risk 5: what a commit that was refused left is no damage, and the next one is made.
#[tokio::test]
async fn after_a_refused_write_the_next_is_made_and_nothing_of_it_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store.commit(put("v1/a", "1")).await.unwrap();
    let wal = dir.path().join("config.db-wal");
    let whole = std::fs::metadata(&wal).unwrap().len();
    let limit = |pages: i64| {
        held(&store.shared.writer)
            .unwrap()
            .db
            .pragma_update(None, "max_page_count", pages)
            .unwrap();
    };
    limit(1);
    let large = "x".repeat(200_000);
    let Err(StoreError::Unavailable(message)) = store.commit(put("v1/b", &large)).await else {
        panic!("there is no space");
    };
    assert!(message.contains("free some space"), "{message}");
    // As a write that stopped in the middle leaves it.
    let mut torn = File::options().append(true).open(&wal).unwrap();
    std::io::Write::write_all(&mut torn, &[7; 5_000]).unwrap();
    assert!(store.commit(put("v1/b", &large)).await.is_err());
    assert_eq!(std::fs::metadata(&wal).unwrap().len(), whole);
    limit(1_000_000);
    store.commit(put("v1/b", &large)).await.unwrap();
    drop(store);
    let store = EmbeddedStore::open(dir.path()).unwrap();
    assert!(store.get("v1/b").await.unwrap().is_some());
}

#[tokio::test]
async fn the_writer_checkpoints_by_itself_and_never_in_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    for connection in [
        &held(&store.shared.writer).unwrap().db,
        &*held(&store.shared.reader).unwrap(),
    ] {
        for (pragma, value) in [
            ("wal_autocheckpoint", 0),
            ("cache_spill", 0),
            ("synchronous", 2),
        ] {
            let is: i64 = connection
                .pragma_query_value(None, pragma, |row| row.get(0))
                .unwrap();
            assert_eq!(is, value, "{pragma}");
        }
    }
    let large = "x".repeat(1_000_000);
    for i in 0..20 {
        store.commit(put(&format!("v1/{i}"), &large)).await.unwrap();
    }
    let wal = std::fs::metadata(dir.path().join("config.db-wal")).unwrap();
    assert!(wal.len() < 12 << 20, "{} bytes", wal.len());
}
