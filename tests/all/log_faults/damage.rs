//! Bytes that are not what was written.

use std::path::Path;

use hookplane_control_plane::log::{Appended, DeliveryLog, LogError};
use hookplane_tests::log_suite::{numbered, numbered_events};

use super::FRAME_BYTES;
use super::appender::{Dice, PATIENCE, contents, open};

/// What a killed log of `count` events leaves, and how long its write-ahead log was after each.
async fn left_behind(dir: &Path, count: usize, body: usize) -> (Vec<u8>, Vec<usize>) {
    let live = tempfile::tempdir().expect("a directory");
    let log = open(live.path()).expect("opens");
    let wal = live.path().join("events.db-wal");
    let mut lengths = Vec::new();
    for number in 0..count {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let answer = log.append(numbered("a", number, body), deadline).await;
        assert!(matches!(answer, Ok(Appended::Kept { .. })));
        lengths.push(std::fs::metadata(&wal).expect("is there").len() as usize);
    }
    for name in ["events.db", "events.db-wal", "events.lock"] {
        std::fs::copy(live.path().join(name), dir.join(name)).expect("copies");
    }
    log.close().await;
    (
        std::fs::read(dir.join("events.db-wal")).expect("reads"),
        lengths,
    )
}

/// Opens a copy of what was left with another write-ahead log. How many of the callbacks are there, from the first on.
async fn reopened(left: &Path, wal: &[u8]) -> Result<usize, LogError> {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["events.db", "events.lock"] {
        std::fs::copy(left.join(name), dir.path().join(name)).expect("copies");
    }
    std::fs::write(dir.path().join("events.db-wal"), wal).expect("writes");
    let log = open(dir.path())?;
    let ids = contents(&log).await;
    log.close().await;
    let count = (0..)
        .take_while(|number| ids.contains(&format!("a-{number}-0")))
        .count();
    let events: usize = (0..count).map(numbered_events).sum();
    assert_eq!(events, ids.len(), "no gap");
    Ok(count)
}

// Risk 4: a torn tail costs nothing that is whole before it, and is not called damage.
#[tokio::test]
async fn truncated_write_ahead_log_keeps_all_that_is_whole() {
    let left = tempfile::tempdir().expect("a directory");
    let (wal, lengths) = left_behind(left.path(), 12, 2_000).await;
    let mut dice = Dice::new(0x7465_6172);
    let mut cuts: Vec<usize> = lengths
        .iter()
        .flat_map(|end| [end - 1, *end, end + 1])
        .collect();
    cuts.extend([0, 1, 31, 32, 33, 55, 56]);
    cuts.extend((0..60).map(|_| dice.below(wal.len() as u64) as usize));
    for cut in cuts {
        let mut torn = wal[..cut.min(wal.len())].to_vec();
        let whole = lengths.iter().filter(|end| **end <= torn.len()).count();
        let found = reopened(left.path(), &torn).await;
        // The tables are in there too: without them it is said that something was lost.
        let no_tables = whole == 0 && matches!(found, Err(LogError::Damaged(_)));
        assert!(no_tables || found == Ok(whole), "cut at {cut}: {found:?}");
        // The file had been made longer, and what was written there never came.
        torn.resize(wal.len(), 0);
        let found = reopened(left.path(), &torn).await;
        let no_tables = whole == 0 && matches!(found, Err(LogError::Damaged(_)));
        assert!(
            no_tables || matches!(found, Ok(found) if found >= whole),
            "zeros from {cut}: {found:?}"
        );
    }
}

// Risk 4: damage before something sound is said, never taken for the end.
#[tokio::test]
async fn flipped_byte_in_the_write_ahead_log_is_damage() {
    let left = tempfile::tempdir().expect("a directory");
    let (wal, lengths) = left_behind(left.path(), 12, 2_000).await;
    let mut dice = Dice::new(0x666c_6970);
    // Every byte of the header and of some frames' headers, and some of the pages.
    let mut places: Vec<usize> = (0..32 + 24).collect();
    for end in &lengths[..11] {
        places.extend(end - FRAME_BYTES..end - FRAME_BYTES + 24);
    }
    places.extend((0..60).map(|_| dice.below(wal.len() as u64) as usize));
    for place in places {
        let mut flipped = wal.clone();
        flipped[place] ^= 1 << dice.below(8);
        // Of the last two, a flip can make what a torn tail would look like.
        let before = lengths.iter().filter(|end| **end <= place).count();
        match reopened(left.path(), &flipped).await {
            Err(LogError::Damaged(_)) => assert!(before < 11, "{place} may be a torn tail"),
            Ok(found) => assert!(before >= 10 && found >= before, "{place}: {found} are left"),
            Err(error) => panic!("{place}: {error}"),
        }
    }
}

// Risk 4: as above, with whole sectors gone.
#[tokio::test]
async fn lost_sector_in_the_write_ahead_log_is_damage() {
    let left = tempfile::tempdir().expect("a directory");
    let (wal, lengths) = left_behind(left.path(), 12, 2_000).await;
    for sector in 0..wal.len() / 512 {
        if sector % 3 != 0 {
            continue;
        }
        let mut lost = wal.clone();
        lost[sector * 512..(sector + 1) * 512].fill(0);
        if lost == wal {
            continue;
        }
        let before = lengths.iter().filter(|end| **end <= sector * 512).count();
        match reopened(left.path(), &lost).await {
            Err(LogError::Damaged(_)) => assert!(before < 11, "sector {sector}"),
            Ok(found) => assert!(before >= 10 && found >= before, "sector {sector}: {found}"),
            Err(error) => panic!("sector {sector}: {error}"),
        }
    }
}

// Risk 4: what an older write-ahead log left behind the newer one's end is neither damage nor events.
#[tokio::test]
async fn older_frames_behind_the_end_are_no_damage() {
    let left = tempfile::tempdir().expect("a directory");
    // Past the 16 MiB after which it begins anew, and a little more.
    let (mut wal, _) = left_behind(left.path(), 20, 1 << 20).await;
    let newest = wal[16..24].to_vec();
    let last = wal.len() - FRAME_BYTES;
    assert_ne!(
        wal[last + 8..last + 16],
        newest,
        "the last frame is an older one"
    );
    assert_eq!(reopened(left.path(), &wal).await, Ok(20));
    wal[last + 100] ^= 1;
    assert_eq!(reopened(left.path(), &wal).await, Ok(20));
}
