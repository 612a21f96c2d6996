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
        freeze: false,
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
        freeze: false,
    }
    .run(folder.path());
    assert!(outcome.acknowledged > 50, "the load was real: {outcome:?}");
    assert!(
        outcome.lost.is_empty() && outcome.twice.is_empty(),
        "{outcome:?}"
    );
}

// Risk 9, with the real processes: one is frozen, sockets and all. Its callers hear 503 in time, or the other listener's 2xx; nobody hears nothing.
#[test]
fn nothing_answered_2xx_is_lost_or_kept_twice_when_either_server_is_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = Campaign {
        rounds: 2,
        seed: 11,
        posters: 4,
        apart: true,
        freeze: true,
    }
    .run(folder.path());
    assert!(outcome.acknowledged > 10, "the load was real: {outcome:?}");
    assert!(
        outcome.lost.is_empty() && outcome.twice.is_empty(),
        "{outcome:?}"
    );
}
