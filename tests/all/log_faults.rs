//! The embedded log under kills, lost writes, failing syncs, a full disk, and damage.
//!
//! A child process (`tests/src/bin/log-child.rs`) appends and says what was acknowledged; the tests kill it and look at what it left.

mod appender;
mod damage;
mod settled;

use std::collections::BTreeSet;

use hookplane_control_plane::log::DeliveryLog;

use appender::{Appender, Dice, Shim, acknowledged, contents, lost, open, resend};

/// In the write-ahead log: a page of 8 KiB and the header before it.
const FRAME_BYTES: usize = 8 * 1024 + 24;

// Risks 1 and 6: what is acknowledged survives a kill, once; what is called known is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_appender_loses_nothing_it_acknowledged() {
    let mut dice = Dice::new(0x6b69_6c6c);
    for series in 0..4 {
        let dir = tempfile::tempdir().expect("a directory");
        let mut all = BTreeSet::new();
        for round in 0..6 {
            let body = [10, 1_000, 30_000][dice.below(3) as usize];
            let prefix = format!("{series}.{round}");
            let mut child = Appender::start(dir.path(), &prefix, 12, body, true, &[]);
            match round {
                1 => {} // While it opens what the last one left.
                _ => child.wait_for("K ", 1 + dice.below(300) as usize),
            }
            all.append(&mut acknowledged(&child.killed()));
            if round % 2 == 0 {
                continue; // The next one finds what this one left.
            }
            let left = std::fs::read(dir.path().join("events.db-wal")).map_or(0, |wal| wal.len());
            let log = open(dir.path()).unwrap_or_else(|error| {
                panic!("{prefix}, {left} bytes of write-ahead log: {error}")
            });
            assert_eq!(lost(&all, &contents(&log).await), 0, "{prefix}");
            if round == 5 {
                resend(&log, &all).await;
            }
            log.close().await;
        }
    }
}
// Risk 2: nothing is acknowledged before it is synced; the machine loses power at any moment and keeps any part of what wasn't.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_unsynced_writes_lose_nothing_acknowledged() {
    let shim = Shim::built();
    let mut dice = Dice::new(0x706f_7765);
    for series in 0..3 {
        let dir = tempfile::tempdir().expect("a directory");
        let mut all = BTreeSet::new();
        for round in 0..5 {
            let body = [10, 1_000, 30_000][dice.below(3) as usize];
            let prefix = format!("{series}.{round}");
            let mut child = shim.start(dir.path(), &prefix, 12, body, true);
            // Every other time all that is unsynced goes, else a part of it.
            let seed = dice.below(1 << 40) * (round % 2);
            if round == 3 {
                // While it opens what the last one left, or soon after.
                child.tell(&format!("die {} {seed}", 1 + dice.below(200)));
            } else {
                child.wait_for("K ", 1 + dice.below(400) as usize);
                child.tell(&format!("drop {seed}"));
            }
            all.append(&mut acknowledged(&child.ended()));
            if round % 3 == 2 {
                continue; // The next one finds what this one left.
            }
            let log = open(dir.path()).unwrap_or_else(|error| panic!("{prefix}: {error}"));
            assert_eq!(lost(&all, &contents(&log).await), 0, "{prefix}");
            if round == 4 {
                resend(&log, &all).await;
            }
            log.close().await;
        }
    }
}

// Risk 2: the test above would see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_that_does_not_sync_is_seen_to_lose() {
    let shim = Shim::built();
    let dir = tempfile::tempdir().expect("a directory");
    let mut child = shim.start(dir.path(), "synced", 12, 1_000, true);
    child.wait_for("K ", 50);
    child.tell("drop");
    let synced = acknowledged(&child.ended());
    let mut child = shim.start(dir.path(), "unsynced", 12, 1_000, false);
    child.wait_for("K ", 50);
    child.tell("drop");
    let unsynced = acknowledged(&child.ended());
    let log = open(dir.path()).expect("opens");
    let ids = contents(&log).await;
    assert_eq!(lost(&synced, &ids), 0);
    assert_eq!(lost(&unsynced, &ids), unsynced.len());
    log.close().await;
}

// Risk 3: after a sync that failed nothing is acknowledged until the log is opened again, and then all that was is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_sync_ends_acknowledging() {
    let shim = Shim::built();
    let mut dice = Dice::new(0x6569_6f21);
    for round in 0..12 {
        let dir = tempfile::tempdir().expect("a directory");
        // With large bodies the failing sync is a checkpoint's now and then.
        let body = [100, 60_000][round % 2];
        let mut child = shim.start(dir.path(), &format!("{round}"), 8, body, true);
        child.wait_for("K ", 1 + dice.below(150) as usize);
        child.tell(&format!("eio {}", 1 + dice.below(12)));
        child.wait_for("failed", 1);
        // The power goes while the log is opened again, or later.
        let seed = dice.below(1 << 40);
        if round % 4 < 3 {
            child.tell(&format!("die {} {seed}", 1 + dice.below(300)));
        } else {
            child.wait_for("opened", 1);
            child.wait_for("K ", 1 + dice.below(60) as usize);
            child.tell(&format!("drop {seed}"));
        }
        let said = child.ended();
        let probes: Vec<_> = said.iter().filter(|line| line.starts_with("P ")).collect();
        assert!(probes.len() == 50 || round % 4 < 3, "{round}");
        assert!(probes.iter().all(|line| *line == "P refused"), "{round}");
        let log = open(dir.path()).unwrap_or_else(|error| panic!("{round}: {error}"));
        assert_eq!(
            lost(&acknowledged(&said), &contents(&log).await),
            0,
            "{round}"
        );
        log.close().await;
    }
}

// Risk 5: on a full disk the new is refused, nothing is lost, and it goes on once there is space.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_refuses_and_recovers() {
    let shim = Shim::built();
    let mut dice = Dice::new(0x6675_6c6c);
    for round in 0..6 {
        let dir = tempfile::tempdir().expect("a directory");
        let body = [100, 60_000][round % 2];
        let mut child = shim.start(dir.path(), &format!("{round}"), 8, body, true);
        for _ in 0..6 {
            child.wait_for("K ", 1 + dice.below(40) as usize);
            // A little space comes and goes, so that commits stop at any of their writes.
            for _ in 0..10 {
                let how = ["full", "quota"][dice.below(2) as usize];
                child.tell(&format!("{how} {}", dice.below(100_000)));
                // Nothing of a refused batch is left behind what was kept, no part of a frame either, once the space is used up.
                let path = dir.path().join("events.db-wal");
                let mut left = 1;
                for _ in 0..50 {
                    child.wait_for("U ", 9);
                    left = std::fs::metadata(&path).expect("is there").len();
                    if left == 0 || (left - 32).is_multiple_of(FRAME_BYTES as u64) {
                        left = 0;
                        break;
                    }
                }
                assert_eq!(left, 0, "not a length of whole frames");
            }
            child.tell("space");
        }
        child.wait_for("K ", 1 + dice.below(20) as usize);
        if round % 3 == 2 {
            child.tell("full 5000");
            child.wait_for("U ", 9);
        }
        child.tell(&format!("drop {}", dice.below(1 << 40)));
        let said = child.ended();
        assert!(!said.iter().any(|line| line == "failed"), "{round}");
        let log = open(dir.path()).unwrap_or_else(|error| panic!("{round}: {error}"));
        assert_eq!(
            lost(&acknowledged(&said), &contents(&log).await),
            0,
            "{round}"
        );
        log.close().await;
    }
}
