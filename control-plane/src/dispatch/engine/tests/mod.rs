//! The engine as a whole, where it needs seams that break when a test says so.

pub(crate) mod rig;
mod silence;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hookplane_proto::v1;
use prost::Message as _;
use tokio::time::Instant;
use v1::{DeliveryStatus, DestinationState};

use self::rig::{Rig, Said, Scripted, until};
use super::lock;
use crate::dispatch::sink::Verdict;
use crate::keys;

/// Longer than any test.
const HOUR: Duration = Duration::from_secs(60 * 60);

fn mapping() -> Vec<u8> {
    let from = v1::FieldMapping {
        from: "payload.n".to_owned(),
        ..Default::default()
    };
    let base = v1::RecordMapping {
        object: "Order__c".to_owned(),
        fields: [("N__c".to_owned(), from)].into(),
        ..Default::default()
    };
    let mapping = v1::Mapping {
        active: true,
        base: Some(base),
    };
    mapping.encode_to_vec()
}

#[tokio::test]
async fn a_store_that_cannot_be_asked_for_a_mapping_pauses_the_destination_and_nothing_is_lost() {
    const EVENTS: usize = 12;
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http"]).await;
    rig.put(keys::mapping("orders", 1), mapping()).await;
    let sink = Scripted::willing(5);
    rig.sink("orders", &sink);
    rig.mappings.fails.store(true, Ordering::SeqCst);
    let mut ids = Vec::new();
    for _ in 0..EVENTS {
        ids.push(rig.event("orders", |one| one.mapping_version = 1).await);
    }
    rig.run(|_| {});
    until(|| rig.status("orders").state() == DestinationState::Waiting).await;
    let status = rig.status("orders");
    assert!(status.reason.contains("mapping"), "{}", status.reason);
    for id in &ids {
        let delivery = rig.becomes(id, DeliveryStatus::Pending).await;
        assert_eq!(delivery.attempts, 0, "it is nobody's attempt");
    }
    assert_eq!(sink.count(), 0);
    rig.mappings.fails.store(false, Ordering::SeqCst);
    rig.clock.advance(Duration::from_secs(6));
    for id in &ids {
        let delivered = rig.becomes(id, DeliveryStatus::Delivered).await;
        assert_eq!(delivered.attempts, 1);
    }
    assert_eq!(sink.count(), EVENTS);
}

#[tokio::test]
async fn a_delivery_whose_mapping_breaks_off_takes_no_other_down() {
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http"]).await;
    rig.put(keys::mapping("orders", 1), mapping()).await;
    rig.break_off_at(keys::mapping("orders", 2));
    let sink = Scripted::willing(10);
    rig.sink("orders", &sink);
    let good = rig.event("orders", |one| one.mapping_version = 1).await;
    let poison = rig.event("orders", |one| one.mapping_version = 2).await;
    let other = rig.event("orders", |one| one.mapping_version = 1).await;
    rig.run(|_| {});
    rig.becomes(&good, DeliveryStatus::Delivered).await;
    rig.becomes(&other, DeliveryStatus::Delivered).await;
    let poison = rig.becomes(&poison, DeliveryStatus::Pending).await;
    assert_eq!(poison.attempts, 1, "it ends in the dead letters");
    assert!(poison.reason.contains("broke off"), "{}", poison.reason);
    assert_eq!(rig.status("orders").state(), DestinationState::Active);
}

#[tokio::test]
async fn records_count_among_the_bytes_that_are_under_way() {
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http"]).await;
    rig.put(keys::mapping("orders", 1), mapping()).await;
    let sink = Scripted::new(10, |_| Said::Wait);
    rig.sink("orders", &sink);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(rig.event("orders", |one| one.mapping_version = 1).await);
    }
    let engine = rig.run(|_| {});
    until(|| sink.count() == ids.len()).await;
    // Four events of seven bytes, and what was made of them.
    assert!(engine.turns.bytes() > 4 * 64, "{}", engine.turns.bytes());
    sink.go_on.send_replace(true);
    for id in &ids {
        rig.becomes(id, DeliveryStatus::Delivered).await;
    }
    until(|| engine.turns.bytes() == 0).await;
}

#[tokio::test]
async fn an_attempt_that_breaks_off_counts_and_comes_again_later() {
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http"]).await;
    let sink = Scripted::new(1, |_| Said::Panic);
    rig.sink("orders", &sink);
    let id = rig.event("orders", |_| {}).await;
    rig.run(|_| {});
    until(|| sink.count() == 1).await;
    let delivery = rig.becomes(&id, DeliveryStatus::Pending).await;
    assert_eq!(delivery.attempts, 1);
    assert!(delivery.reason.contains("broke off"), "{}", delivery.reason);
}

#[tokio::test]
async fn what_a_server_says_is_told_in_part_and_without_control_characters() {
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http"]).await;
    let sink = Scripted::new(1, |_| Said::Because("\u{1b}[31mä".repeat(10_000)));
    rig.sink("orders", &sink);
    let id = rig.event("orders", |_| {}).await;
    rig.run(|_| {});
    until(|| sink.count() == 1).await;
    let delivery = rig.becomes(&id, DeliveryStatus::Pending).await;
    for told in [&delivery.reason, &delivery.history[0].reason] {
        assert!(!told.is_empty() && told.len() <= 2_048, "{}", told.len());
        assert!(!told.contains(char::is_control));
    }
}

#[tokio::test]
async fn a_lane_that_breaks_off_is_left_alone_and_begun_again_while_others_go_on() {
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http"]).await;
    rig.webhook("other", &["http"]).await;
    let (sink, others) = (Scripted::willing(1), Scripted::willing(1));
    rig.sink("orders", &sink);
    rig.sink("other", &others);
    let mut broken = false;
    *lock(&rig.log.on_lease) = Some(Box::new(move |queue| {
        if queue.webhook_uid == "orders" && !std::mem::replace(&mut broken, true) {
            panic!("the log breaks off, as the test has it");
        }
    }));
    let first = rig.event("orders", |_| {}).await;
    rig.run(|_| {});
    until(|| rig.status("orders").state() == DestinationState::Waiting).await;
    let status = rig.status("orders");
    assert!(status.reason.contains("broke off"), "{}", status.reason);
    let other = rig.event("other", |_| {}).await;
    rig.becomes(&other, DeliveryStatus::Delivered).await;
    rig.looks(3).await;
    assert_eq!((sink.count(), rig.log.leases("orders")), (0, 1));
    rig.clock.advance(Duration::from_secs(61));
    rig.becomes(&first, DeliveryStatus::Delivered).await;
}

#[tokio::test]
async fn a_pause_is_of_the_whole_destination_said_and_no_attempt() {
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http"]).await;
    let pause = Verdict::Pause {
        time: Duration::from_secs(60),
    };
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let sink = Scripted::new(2, move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Said::Each(vec![Verdict::Done, pause.clone()]),
        _ => Said::All(Verdict::Done),
    });
    rig.sink("orders", &sink);
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(rig.event("orders", |_| {}).await);
    }
    rig.run(|_| {});
    until(|| rig.status("orders").state() == DestinationState::Waiting).await;
    assert_eq!(rig.status("orders").reason, "so it was said");
    rig.becomes(&ids[0], DeliveryStatus::Delivered).await;
    let paused = rig.becomes(&ids[1], DeliveryStatus::Pending).await;
    assert_eq!(paused.attempts, 0);
    rig.looks(3).await;
    assert_eq!(sink.count(), 2, "it waits");
    rig.clock.advance(Duration::from_secs(61));
    let delivered = rig.becomes(&ids[1], DeliveryStatus::Delivered).await;
    assert_eq!(delivered.attempts, 1);
}

#[tokio::test]
async fn what_a_view_that_hears_nothing_does_not_know_is_left_as_it_is() {
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http"]).await;
    // Another replica knows of one more destination already.
    rig.cut_off().await;
    let id = rig
        .event("orders", |one| one.destination = "new".to_owned())
        .await;
    rig.run(|timing| timing.patience = Duration::ZERO);
    rig.looks(10).await;
    let delivery = rig.delivery(&id).await;
    assert_eq!(delivery.status(), DeliveryStatus::Pending);
    // It was the view alone that it waited for.
    rig.context.view.set_current(Instant::now());
    rig.looks(1).await;
    let held = rig.becomes(&id, DeliveryStatus::Held).await;
    assert!(held.reason.contains("`new`"), "{}", held.reason);
    assert_eq!(held.attempts, 0);
}

#[tokio::test]
async fn strays_are_held_with_the_reason_and_what_is_for_a_destination_that_is_there_is_not() {
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http", "gone"]).await;
    rig.sink("orders", &Scripted::new(1, |_| Said::Wait));
    let live = rig.event("orders", |_| {}).await;
    let mut strays = Vec::new();
    for n in 0..3 {
        let of_gone = |one: &mut crate::log::NewDelivery| {
            one.destination = "gone".to_owned();
            one.order_key = format!("k-{}", n % 2);
        };
        strays.push(rig.event("orders", of_gone).await);
    }
    rig.webhook("orders", &["http"]).await;
    rig.run(|timing| timing.patience = Duration::ZERO);
    rig.looks(1).await;
    rig.context.view.set_current(Instant::now());
    rig.looks(1).await;
    for id in &strays {
        let held = rig.becomes(id, DeliveryStatus::Held).await;
        assert!(held.reason.contains("add it again"), "{}", held.reason);
    }
    let live = rig.becomes(&live, DeliveryStatus::Leased).await;
    assert_eq!(live.destination, "http");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strays_whose_destination_is_added_while_they_are_leased_are_given_back() {
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http"]).await;
    let id = rig
        .event("orders", |one| one.destination = "gone".to_owned())
        .await;
    // As the strays are leased it is added again.
    let mut added = v1::Webhook::clone(&rig.context.view.webhook("orders").unwrap());
    let spec = added.spec.get_or_insert_default();
    let mut again = spec.destinations[0].clone();
    again.name = "gone".to_owned();
    again.paused = true;
    spec.destinations.push(again);
    let (store, view) = (rig.context.store.clone(), rig.context.view.clone());
    let handle = tokio::runtime::Handle::current();
    *lock(&rig.log.on_lease) = Some(Box::new(move |queue| {
        if queue.destination != "gone" {
            return;
        }
        let write = crate::store::Write::Put(
            keys::webhook("acme", "shop", "orders"),
            added.encode_to_vec().into(),
        );
        let transaction = crate::store::Transaction {
            checks: Vec::new(),
            writes: vec![write],
        };
        let (store, view) = (store.clone(), view.clone());
        tokio::task::block_in_place(|| {
            handle.block_on(async move {
                let revision = store.commit(transaction).await.unwrap();
                assert!(view.reached(revision, Instant::now() + HOUR).await);
            });
        });
    }));
    rig.run(|timing| timing.patience = Duration::ZERO);
    rig.looks(1).await;
    rig.context.view.set_current(Instant::now());
    rig.looks(1).await;
    until(|| rig.log.asked("orders", "gone") > 0).await;
    rig.looks(3).await;
    let delivery = rig.becomes(&id, DeliveryStatus::Pending).await;
    assert_eq!(delivery.attempts, 0);
}

#[tokio::test]
async fn a_queue_whose_deliveries_all_wait_for_another_of_their_key_is_not_asked_for_at_each_look()
{
    const OTHERS: usize = 80;
    let mut rig = Rig::new().await;
    rig.webhook("orders", &["http"]).await;
    rig.webhook("other", &["http"]).await;
    let (slow, others) = (Scripted::new(1, |_| Said::Wait), Scripted::willing(1));
    rig.sink("orders", &slow);
    rig.sink("other", &others);
    let one_key = |one: &mut crate::log::NewDelivery| one.order_key = "k".to_owned();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(rig.event("orders", one_key).await);
    }
    // What gives nothing is left twice as long each time, so that nothing here depends on how long the others take.
    rig.run(|timing| timing.longest_rest = HOUR);
    until(|| slow.count() == 1).await;
    for _ in 0..OTHERS {
        let other = rig.event("other", |_| {}).await;
        rig.becomes(&other, DeliveryStatus::Delivered).await;
    }
    assert!(rig.log.leases("other") >= OTHERS);
    let asked = rig.log.leases("orders");
    assert!(asked < OTHERS / 4, "at every look: {asked}");
    // What ends lets the next go at once, all the same.
    slow.go_on.send_replace(true);
    for id in &ids {
        rig.becomes(id, DeliveryStatus::Delivered).await;
    }
    let sent: Vec<String> = slow.sent().concat();
    assert_eq!(sent.iter().collect::<HashSet<_>>().len(), ids.len());
}
