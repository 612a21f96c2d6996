//! The config store's write-ahead log with bytes that are not what was written: damage is said, a torn tail is not called damage.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hookplane_control_plane::store::{EmbeddedStore, Store, StoreError, Transaction, Write};

/// Commits of what is damaged.
const COMMITS: usize = 12;
/// A frame of the write-ahead log, in bytes.
const FRAME: usize = 4120;

async fn put(store: &Arc<EmbeddedStore>, number: usize) {
    let value = Bytes::from(vec![b'a' + number as u8; 2_000]);
    let writes = vec![Write::Put(format!("v1/{number:02}"), value)];
    let transaction = Transaction {
        checks: Vec::new(),
        writes,
    };
    store.commit(transaction).await.expect("commits");
}

/// What a killed store leaves, and how long its write-ahead log was after each commit.
async fn left_behind(dir: &Path) -> (Vec<u8>, Vec<usize>) {
    let live = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(live.path()).expect("opens");
    let wal = live.path().join("config.db-wal");
    let mut lengths = Vec::new();
    for number in 0..COMMITS {
        put(&store, number).await;
        lengths.push(std::fs::metadata(&wal).expect("is there").len() as usize);
    }
    for name in ["config.db", "config.db-wal", "config.lock"] {
        std::fs::copy(live.path().join(name), dir.join(name)).expect("copies");
    }
    (
        std::fs::read(dir.join("config.db-wal")).expect("reads"),
        lengths,
    )
}

/// Opens a copy of what was left with another write-ahead log. How many of the commits are there.
async fn reopened(left: &Path, wal: &[u8]) -> Result<usize, StoreError> {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["config.db", "config.lock"] {
        std::fs::copy(left.join(name), dir.path().join(name)).expect("copies");
    }
    std::fs::write(dir.path().join("config.db-wal"), wal).expect("writes");
    let store = EmbeddedStore::open(dir.path())?;
    let listing = store.list("v1/", None, 100, None).await?;
    for (number, entry) in listing.entries.iter().enumerate() {
        assert_eq!(entry.key, format!("v1/{number:02}"), "no gap");
    }
    assert_eq!(listing.revision as usize, listing.entries.len());
    Ok(listing.entries.len())
}

// Risk 4: a torn tail costs nothing that is whole before it, and is not called damage.
#[tokio::test]
async fn truncated_write_ahead_log_keeps_every_whole_commit() {
    let left = tempfile::tempdir().expect("a directory");
    let (wal, lengths) = left_behind(left.path()).await;
    let mut cuts: Vec<usize> = lengths
        .iter()
        .flat_map(|end| [end - FRAME, end - 1, *end, end + 1])
        .collect();
    cuts.extend([0, 1, 31, 32, 33, 55, 56]);
    for cut in cuts {
        let mut torn = wal[..cut.min(wal.len())].to_vec();
        let whole = lengths.iter().filter(|end| **end <= torn.len()).count();
        for zeros in [false, true] {
            if zeros {
                // The file had been made longer, and what was written there never came.
                torn.resize(wal.len(), 0);
            }
            let found = reopened(left.path(), &torn).await;
            // The tables may be in there too: without them it is said that something was lost.
            let no_tables = whole == 0 && matches!(found, Err(StoreError::Damaged(_)));
            assert!(
                no_tables
                    || matches!(found, Ok(found) if found >= whole && (zeros || found == whole)),
                "cut at {cut}: {found:?}"
            );
        }
    }
}

// Risk 4: damage before something sound is said, never taken for the end.
#[tokio::test]
async fn flipped_byte_or_lost_sector_in_the_write_ahead_log_is_damage() {
    let left = tempfile::tempdir().expect("a directory");
    let (wal, lengths) = left_behind(left.path()).await;
    let mut bent = Vec::new();
    let headers = lengths[..COMMITS - 1]
        .iter()
        .flat_map(|end| end - FRAME..end - FRAME + 24);
    for place in (0..56).chain(headers).chain((56..wal.len()).step_by(1_999)) {
        let mut flipped = wal.clone();
        flipped[place] ^= 1 << (place % 8);
        bent.push((place, flipped));
    }
    for place in (0..wal.len() / 512 * 512).step_by(5 * 512) {
        let mut lost = wal.clone();
        lost[place..place + 512].fill(0);
        if lost != wal {
            bent.push((place, lost));
        }
    }
    let mut refused = 0;
    for (place, wal) in bent {
        // Of the last two, this can make what a torn tail would look like.
        let before = lengths.iter().filter(|end| **end <= place).count();
        match reopened(left.path(), &wal).await {
            Err(StoreError::Damaged(message)) => {
                assert!(before < COMMITS - 1, "{place} may be a torn tail");
                assert!(
                    message.contains("config.db") && message.contains("backup"),
                    "{message}"
                );
                refused += 1;
            }
            Ok(found) => assert!(
                before >= COMMITS - 2 && found >= before,
                "{place}: {found} are left"
            ),
            Err(error) => panic!("{place}: {error}"),
        }
    }
    assert!(refused > 200, "{refused}");
}
