//! SIGKILL at random moments, a short run of the campaign.

use hookplane_tests::campaign::Campaign;

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
