//! What becomes of deliveries, and of callbacks with several events.

use std::time::Duration;

use hookplane_control_plane::log::{Appended, DeliveryLog, LogError, Queue, Retention, Settlement};
use hookplane_proto::v1::{DeliveryStatus, EventFlag};

use super::{Backend, append, callback, keep, key, lease_one, lease_one_of, numbered};

const MINUTE: Duration = Duration::from_secs(60);
/// More than any backend is set to in the tests.
const MOST_ATTEMPTS: u32 = 30;

fn kept(ids: &[&str]) -> Appended {
    Appended::Kept {
        event_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    }
}

async fn status(log: &dyn DeliveryLog, id: &str) -> DeliveryStatus {
    log.delivery(id).await.expect("there").status()
}

// Risk 7: the same id with another body, where the id doesn't decide alone, is two events and says so.
pub(super) async fn reused_id_is_kept_and_flagged(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for (id, delivery) in [("a", 1), ("b", 2)] {
        let mut new = callback(id, Some(delivery), None, delivery);
        new.events[0].dedup.id_key = Some(key("the id"));
        assert_eq!(append(&*log, new).await, kept(&[id]));
    }
    let event = log.event("b").await.expect("kept");
    assert_eq!(event.flags, [EventFlag::IdReused as i32]);
    assert_eq!(event.duplicate_of, "a");
    assert!(log.event("a").await.expect("kept").flags.is_empty());
    log.close().await;
}

// Risk 1: what a sender names can't keep a genuine event from being kept, nor what shares its transaction.
pub(super) async fn any_text_of_a_sender_is_kept(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let mut new = callback("a", Some(1), None, 1);
    new.events[0].event.r#type = "paid\0\u{1}é".to_owned();
    new.events[0].deliveries[0].hold = Some("no \0 such field".to_owned());
    assert_eq!(append(&*log, new).await, kept(&["a"]));
    assert_eq!(
        log.event("a").await.expect("kept").r#type,
        "paid\0\u{1}é",
        "as it came"
    );
    assert_eq!(status(&*log, "a-1").await, DeliveryStatus::Held);
    log.close().await;
}

// Risk 6: a callback of several events is kept whole or not at all, and each of its events is deduplicated by itself.
pub(super) async fn batch_is_whole(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let batch = numbered("a", 3, 10);
    assert_eq!(batch.events.len(), 3);
    let first = kept(&["a-3-0", "a-3-1", "a-3-2"]);
    assert_eq!(append(&*log, batch.clone()).await, first);
    assert_eq!(append(&*log, batch.clone()).await, first, "our own resend");
    let mut again = batch.clone();
    for event in &mut again.events {
        event.event.id = format!("again-{}", event.event.id);
    }
    let duplicate = Appended::Duplicate { of: "a-3-0".into() };
    assert_eq!(append(&*log, again.clone()).await, duplicate);
    // One of it is new.
    again.events[1].dedup.delivery_key = Some(key("another"));
    assert_eq!(append(&*log, again).await, kept(&["again-a-3-1"]));
    for (id, duplicates) in [("a-3-0", 2), ("a-3-1", 1), ("a-3-2", 2)] {
        let event = log.event(id).await.expect("kept");
        assert_eq!(event.duplicates, duplicates, "{id}");
    }
    // Two items of one callback are two, whatever they say.
    let mut twins = numbered("twins", 3, 10);
    for event in &mut twins.events {
        event.dedup.delivery_key = Some(key("twin"));
    }
    let all = kept(&["twins-3-0", "twins-3-1", "twins-3-2"]);
    assert_eq!(append(&*log, twins.clone()).await, all);
    // A replay that is refused takes the whole callback with it, keys too.
    let mut original = callback("original", Some(7), Some(8), 7);
    assert_eq!(append(&*log, original.clone()).await, kept(&["original"]));
    let mut refused = numbered("refused", 3, 10);
    refused.refuse_suspected_replays = true;
    refused.events[2].dedup.content_key = original.events.remove(0).dedup.content_key;
    let replay = Appended::Replay {
        of: "original".into(),
    };
    assert_eq!(append(&*log, refused.clone()).await, replay);
    assert!(log.event("refused-3-0").await.is_err());
    refused.events.truncate(2);
    for event in &mut refused.events {
        event.event.id = format!("later-{}", event.event.id);
    }
    let later = kept(&["later-refused-3-0", "later-refused-3-1"]);
    assert_eq!(append(&*log, refused).await, later);
    log.close().await;
}

// Risk 10: what is held waits for an operator, and for nobody else.
pub(super) async fn held_is_delivered_after_a_replay(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let mut new = callback("a", None, None, 0);
    new.events[0].deliveries[0].hold = Some("the filter erred".into());
    append(&*log, new).await;
    keep(&*log, "b").await;
    let held = log.delivery("a-1").await.expect("there");
    assert_eq!(held.status(), DeliveryStatus::Held);
    assert_eq!(held.reason, "the filter erred");
    let leases = log
        .lease(&Queue::of_subscribers("w"), 10, MINUTE)
        .await
        .expect("leases");
    let ids: Vec<_> = leases.iter().map(|lease| lease.event.id.as_str()).collect();
    assert_eq!(ids, ["b"]);
    let all = ["a-1", "b-1", "a-2", "nothing"].map(String::from);
    assert_eq!(
        log.replay(&all.clone().map(Into::into)).await,
        Ok(1),
        "what is leased is not"
    );
    let lease = lease_one(&*log, MINUTE).await;
    assert_eq!(lease.delivery.id, "a-1");
    assert_eq!(lease.delivery.idempotency_key, "key-a");
    log.close().await;
}

// Risk 10: a sink that always fails ends in a dead letter. Risk 8: its replay, and a resend after the window, carry the same key.
pub(super) async fn attempts_end_in_a_dead_letter(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    append(&*log, callback("a", Some(1), None, 0)).await;
    let mut attempts = 0;
    while status(&*log, "a-1").await != DeliveryStatus::Dead {
        attempts += 1;
        assert!(attempts < MOST_ATTEMPTS, "it ends");
        let lease = lease_one(&*log, MINUTE).await;
        assert_eq!(lease.delivery.attempts, attempts);
        assert_eq!(lease.delivery.idempotency_key, "key-a");
        let nack = Settlement::Nack {
            // Both the usual back-off and one that is asked for.
            delay: (attempts % 2 == 0).then_some(Duration::ZERO),
            reason: format!("no {attempts}"),
            give_up: false,
        };
        assert_eq!(
            log.settle(vec![(lease.token, nack).into()]).await,
            Ok(vec![true])
        );
    }
    assert!(attempts > 1);
    let dead = log.delivery("a-1").await.expect("visible");
    assert_eq!(
        (dead.attempts, dead.reason),
        (attempts, format!("no {attempts}"))
    );
    assert!(
        log.lease(&Queue::of_subscribers("w"), 1, MINUTE)
            .await
            .expect("leases")
            .is_empty()
    );
    assert_eq!(log.replay(&["a-1".to_owned().into()]).await, Ok(1));
    let lease = lease_one(&*log, MINUTE).await;
    assert_eq!(lease.delivery.attempts, 1);
    assert_eq!(lease.delivery.idempotency_key, "key-a");
    let settled = log
        .settle(vec![(lease.token, Settlement::Ack).into()])
        .await;
    assert_eq!(settled, Ok(vec![true]));
    backend.advance(dir.path(), Duration::from_secs(3601)).await;
    let mut late = callback("late", Some(1), None, 0);
    late.events[0].deliveries[0].idempotency_key = "key-a".into();
    assert_eq!(append(&*log, late).await, kept(&["late"]));
    let lease = lease_one(&*log, MINUTE).await;
    assert_eq!(lease.delivery.idempotency_key, "key-a");
    log.close().await;
}

pub(super) async fn deleted_webhook_drops_what_is_unsettled(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for id in ["delivered", "leased", "pending"] {
        keep(&*log, id).await;
    }
    let mut held = callback("held", None, None, 0);
    held.events[0].deliveries[0].hold = Some("held".into());
    let mut both = held.events[0].deliveries[0].clone();
    both.webhook_uid = "other".into();
    both.hold = None;
    held.events[0].deliveries.push(both);
    append(&*log, held).await;
    let lease = lease_one(&*log, MINUTE).await;
    let settled = log
        .settle(vec![(lease.token, Settlement::Ack).into()])
        .await;
    assert_eq!(settled, Ok(vec![true]));
    let leased = lease_one(&*log, MINUTE).await;
    assert_eq!(
        log.drop_deliveries("w", "its webhook was deleted").await,
        Ok(3)
    );
    assert_eq!(log.drop_deliveries("w", "again").await, Ok(0));
    assert_eq!(
        status(&*log, "delivered-1").await,
        DeliveryStatus::Delivered
    );
    for id in ["leased-1", "pending-1", "held-1"] {
        let delivery = log.delivery(id).await.expect("there");
        assert_eq!(delivery.status(), DeliveryStatus::Dropped, "{id}");
        assert_eq!(delivery.reason, "its webhook was deleted");
    }
    let late = log
        .settle(vec![(leased.token, Settlement::Ack).into()])
        .await;
    assert_eq!(late, Ok(vec![false]));
    assert!(
        log.lease(&Queue::of_subscribers("w"), 10, MINUTE)
            .await
            .expect("leases")
            .is_empty()
    );
    let other = lease_one_of(&*log, "other", MINUTE).await;
    assert_eq!(other.delivery.id, "held-2", "another webhook's stay");
    log.close().await;
}

pub(super) async fn delay_and_extension_are_kept_to(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    keep(&*log, "a").await;
    let lease = lease_one(&*log, MINUTE).await;
    let token = lease.token.clone();
    let extend = Settlement::Extend(Duration::from_millis(1));
    assert_eq!(
        log.settle(vec![(token.clone(), extend).into()]).await,
        Ok(vec![true])
    );
    let second = lease_one(&*log, MINUTE).await;
    assert_eq!(second.delivery.attempts, 2, "the extension ran out");
    let extend = Settlement::Extend(MINUTE);
    assert_eq!(
        log.settle(vec![(token, extend).into()]).await,
        Ok(vec![false])
    );
    let nack = Settlement::Nack {
        delay: Some(MINUTE),
        reason: "later".into(),
        give_up: false,
    };
    let forged = "0".repeat(second.token.len());
    let settled = log
        .settle(vec![
            (second.token, nack).into(),
            (forged, Settlement::Ack).into(),
            ("?".into(), Settlement::Ack).into(),
        ])
        .await;
    assert_eq!(settled, Ok(vec![true, false, false]));
    assert!(
        log.lease(&Queue::of_subscribers("w"), 1, MINUTE)
            .await
            .expect("leases")
            .is_empty()
    );
    assert_eq!(status(&*log, "a-1").await, DeliveryStatus::Pending);
    log.close().await;
}

// Risk 9: no wait is longer than its deadline, and what was given up can be sent again.
pub(super) async fn passed_deadline_is_an_answer(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let new = callback("a", Some(1), None, 0);
    let late = log.append(new.clone(), tokio::time::Instant::now()).await;
    assert!(matches!(late, Err(LogError::Unavailable(_))), "{late:?}");
    assert_eq!(append(&*log, new).await, kept(&["a"]));
    log.close().await;
    let deadline = tokio::time::Instant::now() + MINUTE;
    let closed = log.append(callback("b", None, None, 0), deadline).await;
    assert!(
        matches!(closed, Err(LogError::Unavailable(_))),
        "{closed:?}"
    );
}

// Risks 6 and 8: what tells repeats outlives the events, restarts, and, of a later body, the first one's window.
pub(super) async fn repeats_outlive_their_events(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let retention = Retention::of_age("g", minutes(10));
    assert_eq!(
        append(&*log, callback("a", Some(1), None, 1)).await,
        kept(&["a"])
    );
    backend.advance(dir.path(), minutes(50)).await;
    assert_eq!(
        append(&*log, callback("b", Some(1), None, 2)).await,
        kept(&["b"])
    );
    for _ in 0..2 {
        let lease = lease_one(&*log, MINUTE).await;
        let settled = log
            .settle(vec![(lease.token, Settlement::Ack).into()])
            .await;
        assert_eq!(settled, Ok(vec![true]));
    }
    backend.advance(dir.path(), minutes(15)).await;
    assert_eq!(log.retain(&retention).await, Ok(2));
    log.forget_repeats(minutes(60)).await.expect("forgets");
    assert!(log.event("b").await.is_err(), "gone");
    log.close().await;
    drop(log);
    let log = backend.open(dir.path()).await;
    let duplicate = append(&*log, callback("c", Some(1), None, 2)).await;
    assert_eq!(duplicate, Appended::Duplicate { of: "b".into() });
    // The first one is as good as unknown by now.
    assert_eq!(
        append(&*log, callback("d", Some(1), None, 1)).await,
        kept(&["d"])
    );
    backend.advance(dir.path(), minutes(60)).await;
    assert_eq!(
        append(&*log, callback("e", Some(1), None, 2)).await,
        kept(&["e"])
    );
    log.close().await;
}
