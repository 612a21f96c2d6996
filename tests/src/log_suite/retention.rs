//! What goes, what stays, and how much there is.

use std::time::Duration;

use hookplane_control_plane::log::{Cursor, DeliveryLog, Retention, Selection, Settlement, Usage};

use super::queues::{lease_all, settle};
use super::reads::{all_events, shaped};
use super::{Backend, append};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Of one event's record, at least.
const BODY_BYTES: u64 = 1024;

async fn retain_all(log: &dyn DeliveryLog, retention: &Retention) -> u64 {
    let mut gone = 0;
    loop {
        let some = log.retain(retention).await.expect("retains");
        gone += some;
        if some == 0 {
            return gone;
        }
    }
}

async fn ack_all(log: &dyn DeliveryLog, webhook: &str) {
    for lease in lease_all(log, webhook).await {
        settle(log, &lease, Settlement::Ack).await;
    }
}

async fn events_of(log: &dyn DeliveryLog, group: &str) -> String {
    let selection = Selection {
        group_uid: Some(group.into()),
        ..Selection::default()
    };
    all_events(log, &selection, 100).await
}

async fn usage(log: &dyn DeliveryLog, group: &str) -> Option<Usage> {
    let all = log.usage().await.expect("reads");
    all.into_iter()
        .find(|usage| usage.group_uid == group && usage.events > 0)
}

// Risk 5: only of that group, only what is settled, and what no webhook matched by its own age.
pub(super) async fn each_group_goes_by_its_own_ages(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for (id, group, webhooks) in [
        ("a1", "g1", &["w1"][..]),
        ("a2", "g1", &[]),
        ("a3", "g1", &["pending"]),
        ("a4", "g1", &["held"]),
        ("a5", "g1", &["w1", "pending"]),
        ("b1", "g2", &["w2"]),
    ] {
        append(&*log, shaped(id, "acme", group, "order", 1, webhooks)).await;
    }
    ack_all(&*log, "w1").await;
    ack_all(&*log, "w2").await;
    backend.advance(dir.path(), DAY * 3).await;
    for (id, webhooks) in [("a6", &["w1"][..]), ("a7", &[])] {
        append(&*log, shaped(id, "acme", "g1", "order", 1, webhooks)).await;
    }
    ack_all(&*log, "w1").await;
    let unmatched_first = Retention {
        unmatched_age: DAY,
        ..Retention::of_age("g1", DAY * 10)
    };
    assert_eq!(retain_all(&*log, &unmatched_first).await, 1);
    assert_eq!(events_of(&*log, "g1").await, "a7 a6 a5 a4 a3 a1");
    let unmatched_last = Retention {
        unmatched_age: DAY * 10,
        ..Retention::of_age("g1", DAY)
    };
    backend.advance(dir.path(), DAY * 2).await;
    assert_eq!(retain_all(&*log, &unmatched_last).await, 2);
    assert_eq!(events_of(&*log, "g1").await, "a7 a5 a4 a3");
    assert_eq!(events_of(&*log, "g2").await, "b1");
    // Nothing of what went is left to be read; what stays can be delivered.
    assert!(log.delivery("a1-1").await.is_err());
    ack_all(&*log, "pending").await;
    assert_eq!(
        log.drop_deliveries("held", "its webhook was deleted").await,
        Ok(1)
    );
    backend.advance(dir.path(), DAY * 2).await;
    assert_eq!(retain_all(&*log, &unmatched_last).await, 3);
    assert_eq!(events_of(&*log, "g1").await, "a7");
    let (lines, _) = log
        .tail(&Selection::default(), Cursor(0), true, 100)
        .await
        .expect("reads");
    assert!(
        lines
            .iter()
            .all(|line| ["a7", "b1"].contains(&&*line.event.id))
    );
    log.close().await;
}

// Risk 5: the oldest settled go until the rest fits.
pub(super) async fn a_group_is_cut_to_its_size(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    const EVENTS: u64 = 20;
    for number in 0..EVENTS {
        let id = format!("e{number:02}");
        let webhook: &[&str] = match number {
            0 => &["pending"],
            1 => &[],
            _ => &["w"],
        };
        append(&*log, shaped(&id, "acme", "g1", "order", 1, webhook)).await;
        append(
            &*log,
            shaped(&format!("o{number}"), "acme", "g2", "order", 1, &[]),
        )
        .await;
    }
    while log.index().await.expect("indexes") {}
    ack_all(&*log, "w").await;
    let before = usage(&*log, "g1").await.expect("some");
    assert_eq!((before.events, &*before.org), (EVENTS, "acme"));
    assert!(before.bytes >= EVENTS * BODY_BYTES, "{before:?}");
    let by_size = |max_bytes| Retention {
        max_bytes: Some(max_bytes),
        ..Retention::of_age("g1", DAY)
    };
    assert_eq!(retain_all(&*log, &by_size(before.bytes)).await, 0);
    let half = before.bytes / 2;
    let gone = retain_all(&*log, &by_size(half)).await;
    let after = usage(&*log, "g1").await.expect("some");
    assert_eq!(after.events, EVENTS - gone);
    assert!(
        after.bytes <= half && after.bytes > half - 2 * BODY_BYTES,
        "{after:?} of {before:?}"
    );
    let left = events_of(&*log, "g1").await;
    assert!(left.starts_with("e19 e18 "), "{left}");
    assert!(left.ends_with(" e00") && !left.contains("e01"), "{left}");
    // What is unsettled stays, whatever its size.
    retain_all(&*log, &by_size(0)).await;
    assert_eq!(events_of(&*log, "g1").await, "e00");
    ack_all(&*log, "pending").await;
    retain_all(&*log, &by_size(0)).await;
    assert_eq!(usage(&*log, "g1").await, None);
    let other = usage(&*log, "g2").await.expect("some");
    assert_eq!(other.events, EVENTS);
    log.close().await;
}
