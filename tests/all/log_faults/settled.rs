//! What was said to be settled, after a kill or a loss of power.

use std::collections::BTreeSet;
use std::path::Path;

use hookplane_control_plane::log::{DeliveryLog, Queue};
use hookplane_proto::v1::DeliveryStatus;

use super::appender::{Dice, PATIENCE, Shim, open};

/// Of which deliveries it was said that they are settled.
fn settled(said: &[String]) -> BTreeSet<String> {
    let ids = said.iter().filter_map(|line| line.strip_prefix("A "));
    ids.map(str::to_owned).collect()
}

/// How many of them are delivered by what a log says when it is opened again. What it hands out then is none of those.
async fn are_delivered(dir: &Path, settled: &BTreeSet<String>) -> usize {
    let log = open(dir).expect("opens");
    let mut delivered = 0;
    for id in settled {
        let delivery = log.delivery(id).await;
        delivered += usize::from(
            delivery.is_ok_and(|delivery| delivery.status() == DeliveryStatus::Delivered),
        );
    }
    let queue = Queue::of_subscribers("w");
    let mut again = 0;
    loop {
        let leases = log.lease(&queue, 1_000, PATIENCE).await.expect("leases");
        if leases.is_empty() {
            break;
        }
        let of_settled = |id: &String| settled.contains(id);
        again += leases
            .iter()
            .filter(|lease| of_settled(&lease.delivery.id))
            .count();
    }
    assert!(delivered + again <= settled.len());
    log.close().await;
    delivered
}

// Risks 2 and 10: who was told that a delivery is settled forgets it, so a kill at any moment after that, or a loss of power, doesn't bring it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_to_be_settled_stays_so_after_a_kill() {
    let shim = Shim::built();
    let mut dice = Dice::new(0x7365_7474);
    for round in 0..6 {
        let dir = tempfile::tempdir().expect("a directory");
        let mut child = shim.start_to_settle(dir.path(), &format!("{round}"), true);
        child.wait_for("A ", 1 + dice.below(150) as usize);
        let said = if round % 2 == 0 {
            child.killed()
        } else {
            child.tell(&format!("drop {}", dice.below(1 << 40)));
            child.ended()
        };
        let settled = settled(&said);
        assert!(!settled.is_empty());
        let delivered = are_delivered(dir.path(), &settled).await;
        assert_eq!(delivered, settled.len(), "{round}");
    }
}

// The test above would see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settlements_that_are_not_synced_are_seen_to_be_lost() {
    let shim = Shim::built();
    let dir = tempfile::tempdir().expect("a directory");
    // The tables are there.
    let mut child = shim.start_to_settle(dir.path(), "synced", true);
    child.wait_for("K ", 5);
    child.killed();
    let mut child = shim.start_to_settle(dir.path(), "unsynced", false);
    child.wait_for("A ", 50);
    child.tell("drop");
    let settled = settled(&child.ended());
    assert_eq!(are_delivered(dir.path(), &settled).await, 0);
}
