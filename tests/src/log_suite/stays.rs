//! What stays: who is at work on it, or will be.

use std::time::Duration;

use hookplane_control_plane::log::{NewDelivery, PutBack, Retention, Selection, Settlement};
use hookplane_proto::v1::DeliveryStatus;

use super::queues::{for_queues, lease_all, settle};
use super::reads::all_events;
use super::{Backend, append};

const DAY: Duration = Duration::from_secs(24 * 3600);

// Risk 5: what somebody is at work on, was given back, or waits for its next attempt stays, however old it is and however much there is.
pub(super) async fn what_is_under_way_never_goes(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for id in ["leased", "later", "returned", "back", "dead"] {
        append(&*log, for_queues(id, &[id])).await;
    }
    while log.index().await.expect("indexes") {}
    let lease = async |id: &str| lease_all(&*log, id).await.remove(0);
    let later = |give_up| Settlement::Nack {
        delay: Some(DAY),
        reason: "no".into(),
        give_up,
    };
    settle(&*log, &lease("later").await, later(false)).await;
    settle(&*log, &lease("returned").await, Settlement::Return).await;
    settle(&*log, &lease("back").await, later(true)).await;
    settle(&*log, &lease("dead").await, later(true)).await;
    assert_eq!(log.replay(&["back-1".to_owned().into()]).await, Ok(1));
    backend.advance(dir.path(), DAY * 10).await;
    let leased = lease("leased").await;
    let gone = Retention {
        max_bytes: Some(0),
        ..Retention::of_age("g", DAY)
    };
    let mut went = 0;
    loop {
        let some = log.retain(&gone).await.expect("retains");
        went += some;
        if some == 0 {
            break;
        }
    }
    assert_eq!(went, 1);
    let left = all_events(&*log, &Selection::default(), 10).await;
    assert_eq!(left, "back returned later leased");
    settle(&*log, &leased, Settlement::Ack).await;
    assert_eq!(log.retain(&gone).await, Ok(1));
    log.close().await;
}

// What is put back begins anew and takes its place among those of its key, whatever waits there, is leased or was added since.
pub(super) async fn what_is_put_back_keeps_its_place_and_counts_anew(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for id in ["a", "b", "c"] {
        append(&*log, for_queues(id, &["w/crm/k"])).await;
    }
    let fail = |give_up| Settlement::Nack {
        delay: Some(Duration::ZERO),
        reason: "no".into(),
        give_up,
    };
    for give_up in [false, false, true] {
        let leases = lease_all(&*log, "w/crm").await;
        assert_eq!(leases[0].delivery.id, "a-1");
        settle(&*log, &leases[0], fail(give_up)).await;
    }
    let of_b = lease_all(&*log, "w/crm").await;
    assert_eq!(of_b[0].delivery.id, "b-1");
    let back = || PutBack {
        delivery_id: "a-1".into(),
        mapping_version: Some(4),
    };
    assert_eq!(log.replay(&[back(), back()]).await, Ok(1), "once is enough");
    assert!(
        lease_all(&*log, "w/crm").await.is_empty(),
        "one of its key is under way"
    );
    settle(&*log, &of_b[0], Settlement::Return).await;
    for (id, attempts) in [("a-1", 1), ("b-1", 1), ("c-1", 1)] {
        let leases = lease_all(&*log, "w/crm").await;
        let delivery = &leases[0].delivery;
        assert_eq!((&*delivery.id, delivery.attempts), (id, attempts));
        settle(&*log, &leases[0], Settlement::Ack).await;
    }
    log.close().await;
}

// An event that no webhook matched is kept, and feeds a webhook that was made later: once, with all that a delivery has.
pub(super) async fn what_nobody_matched_feeds_a_later_webhook(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for id in ["a", "b"] {
        append(&*log, for_queues(id, &[])).await;
    }
    append(&*log, for_queues("c", &["w"])).await;
    log.close().await;
    drop(log);
    let log = backend.open(dir.path()).await;
    while log.index().await.expect("indexes") {}
    let unmatched = Selection {
        unmatched: true,
        ..Selection::default()
    };
    assert_eq!(all_events(&*log, &unmatched, 10).await, "b a");
    let new = || NewDelivery {
        webhook_uid: "later".into(),
        webhook: "later".into(),
        destination: "crm".into(),
        order_key: "k".into(),
        mapping_version: 3,
        hold: None,
        idempotency_key: "key".into(),
    };
    for (id, made) in [("a", 1), ("b", 1), ("a", 0)] {
        let twice = vec![new(), new()];
        assert_eq!(log.add_deliveries(id, twice).await, Ok(made), "{id}");
    }
    assert_eq!(all_events(&*log, &unmatched, 10).await, "");
    for id in ["a-1", "b-1"] {
        let leases = lease_all(&*log, "later/crm").await;
        assert_eq!(leases.len(), 1, "they have one key");
        let delivery = &leases[0].delivery;
        assert_eq!(delivery.id, id);
        assert_eq!((&*delivery.order_key, delivery.mapping_version), ("k", 3));
        settle(&*log, &leases[0], Settlement::Ack).await;
        // It is there, whatever became of it.
        let event = &leases[0].event.id;
        assert_eq!(log.add_deliveries(event, vec![new()]).await, Ok(0));
        let read = log.delivery(id).await.expect("there");
        assert_eq!(read.status(), DeliveryStatus::Delivered);
    }
    log.close().await;
}
