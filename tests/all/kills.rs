//! SIGKILL at random moments, short runs of the campaign.

use hookplane_tests::campaign::Campaign;

// Risks 1 and 6: nothing answered 2xx is missing after a kill, and a resend is not kept twice.
#[test]
fn nothing_answered_2xx_is_lost_or_kept_twice_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = Campaign {
        rounds: 6,
        seed: 7,
        posters: 4,
        apart: false,
    }
    .run(folder.path());
    assert!(outcome.acknowledged > 50, "the load was real: {outcome:?}");
    assert!(
        outcome.lost.is_empty() && outcome.twice.is_empty(),
        "{outcome:?}"
    );
}

// The same over the network: a listener or the control plane goes, and the other listener or the next try has the answer.
#[test]
fn nothing_answered_2xx_is_lost_or_kept_twice_when_either_server_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = Campaign {
        rounds: 8,
        seed: 7,
        posters: 4,
        apart: true,
    }
    .run(folder.path());
    assert!(outcome.acknowledged > 50, "the load was real: {outcome:?}");
    assert!(
        outcome.lost.is_empty() && outcome.twice.is_empty(),
        "{outcome:?}"
    );
}
