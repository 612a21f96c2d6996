//! Queues: a webhook's destinations by themselves, order keys, what waits, and what is put back.

use std::time::Duration;

use hookplane_control_plane::log::{
    DeliveryLog, LEASE_BYTES, Lease, NewCallback, PutBack, Queue, Settlement, Waiting,
};
use hookplane_proto::v1::DeliveryStatus;

use super::{Backend, append, callback};

const MINUTE: Duration = Duration::from_secs(60);

/// An event with a delivery for each `webhook/destination/key`.
pub(super) fn for_queues(id: &str, queues: &[&str]) -> NewCallback {
    let mut new = callback(id, None, None, 0);
    let event = &mut new.events[0];
    let one = event.deliveries.remove(0);
    for (number, queue) in queues.iter().enumerate() {
        let mut parts = queue.split('/');
        let mut next = || parts.next().unwrap_or("").to_owned();
        let mut delivery = one.clone();
        (delivery.webhook_uid, delivery.destination) = (next(), next());
        delivery.order_key = next();
        delivery.mapping_version = u32::try_from(number).expect("few");
        event.deliveries.push(delivery);
    }
    new
}

pub(super) fn queue(name: &str) -> Queue {
    let (webhook, destination) = name.split_once('/').unwrap_or((name, ""));
    Queue {
        webhook_uid: webhook.into(),
        destination: destination.into(),
    }
}

/// What can be leased of a queue now.
pub(super) async fn lease_all(log: &dyn DeliveryLog, name: &str) -> Vec<Lease> {
    let leases = log.lease(&queue(name), 100, MINUTE).await;
    leases.expect("leases")
}

fn ids(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| &*lease.delivery.id).collect()
}

/// Leases what there is of a queue, which is one, and settles it.
async fn settle_one(log: &dyn DeliveryLog, name: &str, id: &str, settlement: Settlement) {
    let leases = lease_all(log, name).await;
    assert_eq!(ids(&leases), [id]);
    settle(log, &leases[0], settlement).await;
}

pub(super) async fn settle(log: &dyn DeliveryLog, lease: &Lease, settlement: Settlement) {
    let settled = log
        .settle(vec![(lease.token.clone(), settlement).into()])
        .await;
    assert_eq!(settled, Ok(vec![true]));
}

fn nack(give_up: bool) -> Settlement {
    Settlement::Nack {
        delay: Some(Duration::ZERO),
        reason: "no".into(),
        give_up,
    }
}

pub(super) async fn each_destination_is_leased_by_itself(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    append(&*log, for_queues("a", &["w", "w/crm", "v/crm/k"])).await;
    append(&*log, for_queues("b", &["w/crm"])).await;
    let leases = lease_all(&*log, "w/crm").await;
    assert_eq!(ids(&leases), ["a-2", "b-1"]);
    let delivery = &leases[0].delivery;
    assert_eq!((&*delivery.destination, &*delivery.order_key), ("crm", ""));
    assert_eq!(delivery.mapping_version, 1);
    assert_eq!(leases[0].event.id, "a");
    let leases = lease_all(&*log, "v/crm").await;
    assert_eq!(ids(&leases), ["a-3"]);
    settle(&*log, &leases[0], Settlement::Ack).await;
    assert_eq!(ids(&lease_all(&*log, "w").await), ["a-1"]);
    for nobody in ["w/other", "v", "crm"] {
        assert!(lease_all(&*log, nobody).await.is_empty(), "{nobody}");
    }
    let read = log.delivery("a-3").await.expect("there");
    assert_eq!((&*read.destination, &*read.order_key), ("crm", "k"));
    assert_eq!(read.mapping_version, 2);
    log.close().await;
}

// What has an order key waits for those of its key that came before, whatever becomes of them, and for nobody else.
pub(super) async fn deliveries_of_one_key_go_one_after_the_other(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for (id, queues) in [
        ("e1", &["w/crm/k", "w/http/k", "v/crm/k"][..]),
        ("e2", &["w/crm/k"]),
        ("e3", &["w/crm"]),
        ("e4", &["w/crm/j"]),
    ] {
        append(&*log, for_queues(id, queues)).await;
    }
    let mut held = for_queues("e0", &["w/crm/m"]);
    held.events[0].deliveries[0].hold = Some("a field is missing".into());
    append(&*log, held).await;
    append(&*log, for_queues("e5", &["w/crm/m"])).await;
    let leases = lease_all(&*log, "w/crm").await;
    assert_eq!(ids(&leases), ["e1-1", "e3-1", "e4-1", "e5-1"]);
    for other in ["w/http", "v/crm"] {
        assert_eq!(lease_all(&*log, other).await.len(), 1, "{other}");
    }
    // While it waits for its next attempt, too.
    let later = Settlement::Nack {
        delay: Some(MINUTE),
        reason: "later".into(),
        give_up: false,
    };
    settle(&*log, &leases[2], later).await;
    append(&*log, for_queues("e6", &["w/crm/j"])).await;
    assert!(lease_all(&*log, "w/crm").await.is_empty());
    settle(&*log, &leases[0], nack(false)).await;
    settle_one(&*log, "w/crm", "e1-1", Settlement::Return).await;
    // Dead, held, dropped and delivered ones are no longer waited for.
    settle_one(&*log, "w/crm", "e1-1", nack(true)).await;
    let second = lease_all(&*log, "w/crm").await;
    assert_eq!(ids(&second), ["e2-1"]);
    append(&*log, for_queues("e7", &["w/crm/k"])).await;
    assert!(lease_all(&*log, "w/crm").await.is_empty());
    let hold = Settlement::Hold {
        reason: "no such field".into(),
    };
    settle(&*log, &second[0], hold).await;
    let third = lease_all(&*log, "w/crm").await;
    assert_eq!(ids(&third), ["e7-1"]);
    settle(&*log, &third[0], nack(false)).await;
    // What is put back is the older one again.
    let back = ["e1-1", "e2-1"].map(|id| PutBack::from(id.to_owned()));
    assert_eq!(log.replay(&back).await, Ok(2));
    for id in ["e1-1", "e2-1", "e7-1"] {
        settle_one(&*log, "w/crm", id, Settlement::Ack).await;
    }
    assert!(lease_all(&*log, "w/crm").await.is_empty());
    log.close().await;
}

// Who pushes to a destination counts the attempts, and says when one was the last.
pub(super) async fn attempts_at_a_destination_end_when_it_is_said(backend: &dyn Backend) {
    /// More than any backend of the suite has for subscribers.
    const MANY: u32 = 30;
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    append(&*log, for_queues("a", &["w/crm"])).await;
    for attempt in 1..=MANY {
        let leases = lease_all(&*log, "w/crm").await;
        assert_eq!(leases[0].delivery.attempts, attempt);
        settle(&*log, &leases[0], nack(attempt == MANY)).await;
    }
    let dead = log.delivery("a-1").await.expect("there");
    assert_eq!((dead.status(), dead.attempts), (DeliveryStatus::Dead, MANY));
    log.close().await;
}

// Leases that ended with the log's process, or ran out, leave the order as it was.
pub(super) async fn order_is_kept_through_a_restart(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for id in ["a", "b"] {
        append(&*log, for_queues(id, &["w/crm/k"])).await;
    }
    let short = Duration::from_millis(1);
    let leases = log.lease(&queue("w/crm"), 10, short).await;
    assert_eq!(ids(&leases.expect("leases")), ["a-1"]);
    log.close().await;
    drop(log);
    let log = backend.open(dir.path()).await;
    for id in ["a-1", "b-1"] {
        let lease = super::lease_one_in(&*log, &queue("w/crm"), MINUTE).await;
        assert_eq!(lease.delivery.id, id);
        assert!(lease_all(&*log, "w/crm").await.is_empty());
        settle(&*log, &lease, Settlement::Ack).await;
    }
    log.close().await;
}

pub(super) async fn queues_that_wait_are_told(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for id in ["a", "b", "c"] {
        let queues = ["w", "w/crm", "w/http", "v/crm", "u"];
        append(&*log, for_queues(id, &queues)).await;
    }
    let waiting = async |after: Option<&str>, limit| {
        let after = after.map(queue);
        let waiting = log.waiting(after.as_ref(), limit).await.expect("reads");
        let name = |of: &Waiting| format!("{}/{}", of.queue.webhook_uid, of.queue.destination);
        (waiting.iter().map(name).collect::<Vec<_>>(), waiting)
    };
    let (names, all) = waiting(None, 10).await;
    assert_eq!(names, ["v/crm", "w/crm", "w/http"]);
    assert!(all.iter().all(|one| one.due_in.is_zero()));
    assert_eq!(waiting(None, 2).await.0, ["v/crm", "w/crm"]);
    assert_eq!(waiting(Some("w/crm"), 10).await.0, ["w/http"]);
    assert_eq!(waiting(Some("v"), 10).await.0, names);
    assert!(waiting(Some("w/http"), 10).await.0.is_empty());
    // What is leased or settled waits no more; what comes again later says when.
    let leases = lease_all(&*log, "w/crm").await;
    assert_eq!(waiting(None, 10).await.0, ["v/crm", "w/http"]);
    for (lease, delay) in leases.iter().zip([3, 1, 2]) {
        let later = Settlement::Nack {
            delay: Some(MINUTE * delay),
            reason: "later".into(),
            give_up: false,
        };
        settle(&*log, lease, later).await;
    }
    let (names, all) = waiting(None, 10).await;
    assert_eq!(names, ["v/crm", "w/crm", "w/http"]);
    assert!(MINUTE / 2 < all[1].due_in && all[1].due_in <= MINUTE);
    let next = log.delivery("b-2").await.expect("there");
    assert!(next.next_attempt_time.is_some());
    assert_eq!(log.drop_deliveries("w", "gone").await, Ok(9));
    assert_eq!(waiting(None, 10).await.0, ["v/crm"]);
    log.close().await;
}

// Risk 10: what an operator mended goes again, with the mapping that is asked for.
pub(super) async fn what_is_put_back_has_the_mapping_that_is_asked_for(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    append(&*log, for_queues("a", &["v", "w/crm", "w/http"])).await;
    let reason = "amount: not a number";
    for name in ["w/crm", "w/http"] {
        let leases = lease_all(&*log, name).await;
        assert_eq!(leases[0].delivery.attempts, 1);
        let hold = Settlement::Hold {
            reason: reason.into(),
        };
        settle(&*log, &leases[0], hold.clone()).await;
        let again = log
            .settle(vec![(leases[0].token.clone(), hold).into()])
            .await;
        assert_eq!(again, Ok(vec![false]), "its lease has ended");
        let held = log.delivery(&leases[0].delivery.id).await.expect("there");
        assert_eq!((held.status(), held.attempts), (DeliveryStatus::Held, 0));
        assert_eq!(held.reason, reason);
        assert!(lease_all(&*log, name).await.is_empty());
    }
    let back = |id: &str, mapping_version| PutBack {
        delivery_id: id.into(),
        mapping_version,
    };
    let replayed = log
        .replay(&[
            back("a-2", Some(7)),
            back("a-3", None),
            back("a-1", Some(9)),
        ])
        .await;
    assert_eq!(replayed, Ok(2));
    for (id, version) in [("a-1", 0), ("a-2", 7), ("a-3", 2)] {
        let delivery = log.delivery(id).await.expect("there");
        assert_eq!(delivery.mapping_version, version, "{id}");
        assert_eq!(delivery.status(), DeliveryStatus::Pending, "{id}");
        assert_eq!(delivery.reason, "", "{id}");
    }
    assert_eq!(
        lease_all(&*log, "w/crm").await[0].delivery.mapping_version,
        7
    );
    log.close().await;
}

// Risk 9: however many are asked for, what one lease reads is bounded.
pub(super) async fn a_lease_ends_where_it_has_enough_bytes(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let of_four = LEASE_BYTES / 4 + 1;
    for id in ["a", "b", "c", "d", "e"] {
        let mut new = for_queues(id, &["heavy"]);
        new.events[0].event.body = vec![b'x'; of_four].into();
        append(&*log, new).await;
    }
    let first = lease_all(&*log, "heavy").await;
    assert_eq!(ids(&first), ["a-1", "b-1", "c-1", "d-1"]);
    // What is left is there at once, and one goes however large it is.
    let second = lease_all(&*log, "heavy").await;
    assert_eq!(ids(&second), ["e-1"]);
    log.close().await;
}
