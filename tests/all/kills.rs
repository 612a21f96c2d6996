//! Kills, freezes and cuts at random moments, short runs of the campaigns.

use std::cell::RefCell;

use hookplane_tests::campaign::Campaign;
use hookplane_tests::campaign::cluster::{ClusterCampaign, Fault, Pace};

// Risks 1 and 6: nothing answered 2xx is missing after a kill, and a resend is not kept twice.
#[test]
fn nothing_answered_2xx_is_lost_or_kept_twice_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = Campaign {
        rounds: 6,
        seed: 7,
        posters: 4,
    }
    .run(folder.path());
    assert!(outcome.acknowledged > 50, "the load was real: {outcome:?}");
    assert!(
        outcome.lost.is_empty() && outcome.twice.is_empty(),
        "{outcome:?}"
    );
}

fn run(is_cluster: bool) {
    let folder = tempfile::tempdir().unwrap();
    let told = RefCell::new(Vec::new());
    let faults = Fault::all(is_cluster);
    let outcome = ClusterCampaign {
        is_cluster,
        rounds: faults.len() as u64,
        seed: 7,
        posters: 24,
        faults,
        pace: Pace::SHORT,
    }
    .run(folder.path(), &|line| {
        told.borrow_mut().push(line.to_owned())
    });
    let answered = outcome.evidence.answered.len();
    assert!(answered > 50, "the load was real: {answered}");
    let verdict = outcome.evidence.verdict();
    assert!(verdict.is_good(), "{verdict:?} {told:#?}");
    assert!(outcome.table.wrong.is_empty(), "{told:#?}");
}

// The same over the network, and risk 9 with the real processes: a listener or the control plane goes, is frozen, sockets and all, or can't be
// reached. Its callers hear 503 in time, or another listener's 2xx.
#[test]
fn nothing_answered_2xx_is_lost_or_kept_twice_when_either_server_or_the_network_fails() {
    run(false);
}

// Risk 11, and all of it together, over etcd and PostgreSQL: any one process is killed or frozen, any connection is cut or swallows. What hurts a
// replica, or the way to one, costs no caller an answer other than 2xx, though it lasts longer than a provider waits.
#[test]
fn nothing_answered_2xx_is_lost_and_no_lost_replica_is_noticed_when_anything_in_a_cluster_fails() {
    run(true);
}
