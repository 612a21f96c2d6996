//! What is remembered of attempts.

use std::time::Duration;

use hookplane_control_plane::log::{DeliveryLog, Queue, Selection, Settle, Settlement};
use hookplane_proto::v1::{self, AttemptOutcome, DeliveryStatus};

use super::{Backend, append, callback, keep, lease_one, prost_types_of};

const MINUTE: Duration = Duration::from_secs(60);
/// As the contract says.
const KEPT: usize = 50;
const EXCERPT_BYTES: usize = 2_048;

/// As a sink tells of one.
fn attempt(status: u32) -> v1::Attempt {
    v1::Attempt {
        start_time: Some(prost_types_of(1_700_000_005)),
        latency_milliseconds: 7,
        status,
        reason: format!("answered {status}"),
        excerpt: "ä".repeat(EXCERPT_BYTES),
        mapping_version: 3,
        ..Default::default()
    }
}

async fn settle(log: &dyn DeliveryLog, token: &str, settlement: Settlement, status: u32) -> bool {
    let settle = Settle {
        token: token.into(),
        settlement,
        attempt: Some(attempt(status)),
    };
    log.settle(vec![settle]).await.expect("settles")[0]
}

fn nack(give_up: bool) -> Settlement {
    Settlement::Nack {
        delay: Some(Duration::ZERO),
        reason: "no".into(),
        give_up,
    }
}

/// Number and outcome of each, oldest first.
async fn history(log: &dyn DeliveryLog, id: &str) -> Vec<(u32, AttemptOutcome)> {
    let delivery = log.delivery(id).await.expect("there");
    let history = delivery.history.iter();
    history.map(|one| (one.number, one.outcome())).collect()
}

pub(super) async fn each_attempt_is_remembered(backend: &dyn Backend) {
    use AttemptOutcome::{Delivered, Expired, GaveUp, Held, Retry};
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    keep(&*log, "a").await;
    let first = lease_one(&*log, MINUTE).await;
    assert!(settle(&*log, &first.token, nack(false), 500).await);
    assert!(
        !settle(&*log, &first.token, nack(false), 500).await,
        "stale"
    );
    let kept = log.delivery("a-1").await.expect("there").history;
    let expected = v1::Attempt {
        number: 1,
        outcome: Retry.into(),
        excerpt: "ä".repeat(EXCERPT_BYTES / 2),
        ..attempt(500)
    };
    assert_eq!(kept, [expected]);
    let returned = lease_one(&*log, MINUTE).await;
    assert!(settle(&*log, &returned.token, Settlement::Return, 0).await);
    lease_one(&*log, Duration::from_millis(1)).await;
    let third = lease_one(&*log, MINUTE).await;
    let extend = Settlement::Extend(MINUTE);
    assert!(settle(&*log, &third.token, extend, 0).await);
    let hold = Settlement::Hold {
        reason: "no such field".into(),
    };
    assert!(settle(&*log, &third.token, hold, 0).await);
    assert_eq!(
        history(&*log, "a-1").await,
        [(1, Retry), (2, Expired), (3, Held)]
    );
    // A replay begins to count anew, and what was stays.
    assert_eq!(log.replay(&["a-1".to_owned().into()]).await, Ok(1));
    let again = lease_one(&*log, MINUTE).await;
    assert!(settle(&*log, &again.token, nack(true), 410).await);
    assert_eq!(log.replay(&["a-1".to_owned().into()]).await, Ok(1));
    let last = lease_one(&*log, MINUTE).await;
    assert!(settle(&*log, &last.token, Settlement::Ack, 200).await);
    log.close().await;
    drop(log);
    let log = backend.open(dir.path()).await;
    let all = [
        (1, Retry),
        (2, Expired),
        (3, Held),
        (1, GaveUp),
        (1, Delivered),
    ];
    assert_eq!(history(&*log, "a-1").await, all);
    let listed = log.deliveries(&Selection::default(), None, 10).await;
    assert!(
        listed.expect("reads")[0].1.history.is_empty(),
        "lists are lean"
    );
    log.close().await;
}

// Risk 10: the attempt that uses up the last is told as such.
pub(super) async fn the_last_attempt_is_told(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    keep(&*log, "a").await;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let lease = lease_one(&*log, MINUTE).await;
        assert!(settle(&*log, &lease.token, nack(false), 500).await);
        if log.delivery("a-1").await.expect("there").status() == DeliveryStatus::Dead {
            break;
        }
    }
    let history = history(&*log, "a-1").await;
    assert_eq!(history.len(), attempts);
    let (last, before) = history.split_last().expect("some");
    assert_eq!(last.1, AttemptOutcome::GaveUp);
    assert!(
        before
            .iter()
            .all(|(_, outcome)| *outcome == AttemptOutcome::Retry)
    );
    log.close().await;
}

pub(super) async fn history_is_bounded(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    append(&*log, callback("a", None, None, 0)).await;
    for status in 1..=u32::try_from(KEPT).expect("few") + 3 {
        let mut leases = log
            .lease(&Queue::of_subscribers("w"), 1, MINUTE)
            .await
            .expect("leases");
        let lease = leases.pop().expect("is due");
        assert!(settle(&*log, &lease.token, Settlement::Ack, status).await);
        assert_eq!(log.replay(&["a-1".to_owned().into()]).await, Ok(1));
    }
    let history = log.delivery("a-1").await.expect("there").history;
    assert_eq!(history.len(), KEPT);
    assert_eq!(history[0].status, 4, "the oldest went");
    log.close().await;
}
