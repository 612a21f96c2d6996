//! What every backend of the log's seam has to do.

mod added;
mod attempts;
pub mod backends;
mod late;
pub mod notes;
mod queues;
mod reads;
pub mod repeats;
mod retention;
mod search;
mod stays;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::{
    Appended, Cursor, Dedup, DeliveryLog, Lease, NewCallback, NewDelivery, NewEvent, Queue,
    Retention, Selection, Settlement, TailItem,
};
use hookplane_proto::v1;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the suite is run over.
#[async_trait::async_trait]
pub trait Backend: Send + Sync {
    /// Opens the log that belongs to a directory, again and again. Elsewhere than in that directory its name tells which is meant.
    async fn open(&self, dir: &Path) -> Arc<dyn DeliveryLog>;

    /// Lets time pass for that log.
    async fn advance(&self, dir: &Path, by: Duration);
}

/// A callback of one event for one webhook, its delivery key from `delivery`.
pub fn callback(id: &str, delivery: Option<u8>, content: Option<u8>, body: u8) -> NewCallback {
    NewCallback {
        org: "acme".into(),
        group_uid: "g".into(),
        refuse_suspected_replays: false,
        dedup_window: Duration::from_secs(3600),
        events: vec![NewEvent {
            event: v1::Event {
                id: id.into(),
                org: "acme".into(),
                group_uid: "g".into(),
                r#type: "order.paid".into(),
                receive_time: Some(prost_types_of(1_700_000_000)),
                body: vec![body; 1024].into(),
                ..Default::default()
            },
            dedup: Dedup {
                delivery_key: delivery.map(|key| [key; 32]),
                id_key: None,
                content_key: content.map(|key| [key; 32]),
                body_digest: [body; 32],
            },
            deliveries: vec![NewDelivery {
                webhook_uid: "w".into(),
                webhook: "paid".into(),
                idempotency_key: format!("key-{id}"),
                ..NewDelivery::default()
            }],
        }],
    }
}

/// Callback `number` of a caller: one event, in every fourth case three, each told by a delivery key of its own.
pub fn numbered(prefix: &str, number: usize, body: usize) -> NewCallback {
    let mut all = callback("", None, None, 0);
    let one = all.events.remove(0);
    for item in 0..numbered_events(number) {
        let mut event = one.clone();
        event.event.id = format!("{prefix}-{number}-{item}");
        event.event.body = vec![item as u8; body].into();
        event.dedup.delivery_key = Some(key(&event.event.id));
        event.deliveries[0].idempotency_key = format!("key-{}", event.event.id);
        all.events.push(event);
    }
    all
}

/// How many events that callback has.
pub fn numbered_events(number: usize) -> usize {
    if number % 4 == 3 { 3 } else { 1 }
}

/// Callback `number` of whoever asks: events of its own, with keys that everybody's callback of that number has.
pub fn shared_keys(prefix: &str, number: usize) -> NewCallback {
    let mut all = callback("", None, None, 0);
    let one = all.events.remove(0);
    for item in 0..20 {
        let mut event = one.clone();
        event.event.id = format!("{prefix}-{number}-{item}");
        event.dedup.delivery_key = Some(key(&format!("{number}-{item}")));
        all.events.push(event);
    }
    all
}

/// A key that is as unique as the name, up to 32 bytes.
pub fn key(name: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key[..name.len()].copy_from_slice(name.as_bytes());
    key
}

fn prost_types_of(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

async fn append(log: &dyn DeliveryLog, callback: NewCallback) -> Appended {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    log.append(callback, deadline).await.expect("is taken")
}

/// Keeps one event that repeats nothing.
pub async fn keep(log: &dyn DeliveryLog, id: &str) {
    let kept = append(log, callback(id, None, None, 0)).await;
    assert_eq!(
        kept,
        Appended::Kept {
            event_ids: vec![id.into()]
        }
    );
}

/// The whole suite.
pub async fn run(backend: &dyn Backend) {
    repeats_are_told(backend).await;
    an_id_of_another_groups_event_changes_nothing_of_it(backend).await;
    leases_end_in_every_way(backend).await;
    settled_and_aged_goes(backend).await;
    reads::selections_and_pages_agree(backend).await;
    work::reused_id_is_kept_and_flagged(backend).await;
    work::batch_is_whole(backend).await;
    work::any_text_of_a_sender_is_kept(backend).await;
    work::held_is_delivered_after_a_replay(backend).await;
    work::attempts_end_in_a_dead_letter(backend).await;
    work::deleted_webhook_drops_what_is_unsettled(backend).await;
    work::delay_and_extension_are_kept_to(backend).await;
    work::passed_deadline_is_an_answer(backend).await;
    work::repeats_outlive_their_events(backend).await;
    notes::notes_are_read_by_group_and_by_org(backend).await;
    notes::of_one_group_only_the_last_notes_are_kept(backend).await;
    notes::counts_add_up_in_a_bounded_room(backend).await;
    notes::activity_adds_up_by_group_and_org_and_two_days_are_kept(backend).await;
    notes::shapes_are_kept_by_group_in_a_bounded_room(backend).await;
    queues::each_destination_is_leased_by_itself(backend).await;
    queues::deliveries_of_one_key_go_one_after_the_other(backend).await;
    queues::attempts_at_a_destination_end_when_it_is_said(backend).await;
    queues::order_is_kept_through_a_restart(backend).await;
    queues::queues_that_wait_are_told(backend).await;
    queues::what_is_put_back_has_the_mapping_that_is_asked_for(backend).await;
    attempts::each_attempt_is_remembered(backend).await;
    attempts::the_last_attempt_is_told(backend).await;
    attempts::history_is_bounded(backend).await;
    added::added_deliveries_are_like_any_other(backend).await;
    added::added_deliveries_keep_their_event(backend).await;
    added::one_line_of_an_event_for_a_webhook(backend).await;
    search::text_is_found_with_any_other_selection(backend).await;
    late::what_was_received_late_is_found_by_its_time(backend).await;
    search::what_went_is_not_found(backend).await;
    queues::a_lease_ends_where_it_has_enough_bytes(backend).await;
    retention::each_group_goes_by_its_own_ages(backend).await;
    retention::a_group_is_cut_to_its_size(backend).await;
    stays::what_is_under_way_never_goes(backend).await;
    stays::what_is_put_back_keeps_its_place_and_counts_anew(backend).await;
    stays::what_nobody_matched_feeds_a_later_webhook(backend).await;
}

// Risks 6, 7 and 8.
async fn repeats_are_told(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let kept = |id: &str| Appended::Kept {
        event_ids: vec![id.into()],
    };
    assert_eq!(
        append(&*log, callback("a", Some(1), None, 1)).await,
        kept("a")
    );
    assert_eq!(
        append(&*log, callback("a", Some(1), None, 1)).await,
        kept("a"),
        "our own resend"
    );
    let duplicate = append(&*log, callback("b", Some(1), None, 1)).await;
    assert_eq!(duplicate, Appended::Duplicate { of: "a".into() });
    assert_eq!(log.event("a").await.expect("kept").duplicates, 1);
    assert!(log.event("b").await.is_err(), "not kept");
    // The id decides alone, and the body is another.
    assert_eq!(
        append(&*log, callback("c", Some(1), None, 2)).await,
        kept("c")
    );
    let event = log.event("c").await.expect("kept");
    assert_eq!(
        (event.flags, event.duplicate_of.as_str()),
        (vec![v1::EventFlag::IdReused as i32], "a")
    );
    let duplicate = append(&*log, callback("d", Some(1), None, 2)).await;
    assert_eq!(duplicate, Appended::Duplicate { of: "c".into() });
    // The signed bytes under another id.
    append(&*log, callback("e", Some(3), Some(9), 3)).await;
    append(&*log, callback("f", Some(4), Some(9), 3)).await;
    assert_eq!(
        log.event("f").await.expect("kept").flags,
        [v1::EventFlag::SuspectedReplay as i32]
    );
    let mut refused = callback("g", Some(5), Some(9), 3);
    refused.refuse_suspected_replays = true;
    assert_eq!(
        append(&*log, refused).await,
        Appended::Replay { of: "e".into() }
    );
    append(&*log, callback("h", None, Some(9), 3)).await;
    assert_eq!(
        log.event("h").await.expect("kept").flags,
        [v1::EventFlag::Repeat as i32]
    );
    // Known after a restart, forgotten after the window.
    log.close().await;
    drop(log);
    let log = backend.open(dir.path()).await;
    let duplicate = append(&*log, callback("i", Some(1), None, 1)).await;
    assert_eq!(duplicate, Appended::Duplicate { of: "a".into() });
    backend.advance(dir.path(), Duration::from_secs(3601)).await;
    assert_eq!(
        append(&*log, callback("j", Some(1), None, 1)).await,
        kept("j")
    );
    let (lines, next) = tail_until(&*log, |line| line.event.id == "j").await;
    let ids: Vec<_> = lines.iter().map(|line| line.event.id.as_str()).collect();
    assert_eq!(ids, ["a", "c", "e", "f", "h", "j"]);
    let more = log.tail(&Selection::default(), next, true, 100).await;
    assert!(more.is_ok_and(|(lines, end)| lines.is_empty() && end >= next));
    log.close().await;
}

// Promise 8: ids are minted by listeners, and one that lies may name any event it has heard of.
async fn an_id_of_another_groups_event_changes_nothing_of_it(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    keep(&*log, "a").await;
    let foreign = |id: &str| {
        let mut callback = callback(id, Some(9), None, 1);
        (callback.org, callback.group_uid) = ("other".into(), "another-group".into());
        callback.events[0].event.org = "other".into();
        callback
    };
    append(&*log, foreign("a")).await;
    append(&*log, foreign("b")).await;
    let event = log.event("a").await.expect("kept");
    assert_eq!(event.duplicates, 0);
    assert_ne!(event.org, "other");
}

/// The whole tail, changes too, once it has the line that is waited for, and where to go on. What was just done is in it within moments.
pub async fn tail_until(
    log: &dyn DeliveryLog,
    is_last: impl Fn(&TailItem) -> bool,
) -> (Vec<TailItem>, Cursor) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut newest = log.newest();
    let (mut lines, mut after) = (Vec::new(), Cursor::default());
    loop {
        let read = log.tail(&Selection::default(), after, true, 100).await;
        let (some, next) = read.expect("reads");
        let moved = next > after;
        lines.extend(some);
        after = next;
        if lines.iter().any(&is_last) {
            return (lines, after);
        }
        if !moved {
            tokio::time::timeout_at(deadline, newest.changed())
                .await
                .expect("comes in time")
                .expect("open");
        }
    }
}

async fn lease_one(log: &dyn DeliveryLog, duration: Duration) -> Lease {
    lease_one_of(log, "w", duration).await
}

/// Of a webhook's subscribers.
async fn lease_one_of(log: &dyn DeliveryLog, webhook: &str, duration: Duration) -> Lease {
    lease_one_in(log, &Queue::of_subscribers(webhook), duration).await
}

/// Waits until one is due.
async fn lease_one_in(log: &dyn DeliveryLog, queue: &Queue, duration: Duration) -> Lease {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut newest = log.newest();
    loop {
        let mut leases = log.lease(queue, 1, duration).await.expect("leases");
        if let Some(lease) = leases.pop() {
            return lease;
        }
        tokio::time::timeout_at(deadline, newest.changed())
            .await
            .expect("due in time")
            .expect("open");
    }
}

// Risk 10.
async fn leases_end_in_every_way(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    keep(&*log, "a").await;
    let minute = Duration::from_secs(60);
    let first = lease_one(&*log, minute).await;
    assert_eq!(first.delivery.attempts, 1);
    assert_eq!(
        log.settle(vec![(first.token, Settlement::Return).into()])
            .await,
        Ok(vec![true])
    );
    let stale = lease_one(&*log, Duration::from_millis(1)).await;
    assert_eq!(stale.delivery.attempts, 1, "a return doesn't count");
    let again = lease_one(&*log, minute).await;
    assert_eq!(again.delivery.attempts, 2, "an expiry counts");
    let nack = |give_up| Settlement::Nack {
        delay: None,
        reason: "no".into(),
        give_up,
    };
    assert_eq!(
        log.settle(vec![(stale.token.clone(), nack(false)).into()])
            .await,
        Ok(vec![false])
    );
    assert_eq!(
        log.settle(vec![(again.token, nack(true)).into()]).await,
        Ok(vec![true])
    );
    let delivery = log.delivery(&again.delivery.id).await.expect("there");
    assert_eq!(delivery.status(), v1::DeliveryStatus::Dead);
    assert_eq!(log.replay(&[delivery.id.clone().into()]).await, Ok(1));
    let replayed = lease_one(&*log, Duration::from_millis(1)).await;
    assert_eq!(
        (
            replayed.delivery.attempts,
            replayed.delivery.idempotency_key.as_str()
        ),
        (1, "key-a")
    );
    log.close().await;
    drop(log);
    let log = backend.open(dir.path()).await;
    let after = lease_one(&*log, minute).await;
    assert_eq!(
        after.delivery.attempts, 2,
        "void at a restart or run out, and counted"
    );
    assert_eq!(
        log.settle(vec![(stale.token, Settlement::Ack).into()])
            .await,
        Ok(vec![true]),
        "a stale ack settles"
    );
    assert_eq!(
        log.settle(vec![(after.token, Settlement::Ack).into()])
            .await,
        Ok(vec![false]),
        "settled already"
    );
    log.close().await;
}

// Risk 5.
async fn settled_and_aged_goes(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for id in ["a", "b"] {
        keep(&*log, id).await;
    }
    let lease = lease_one(&*log, Duration::from_secs(60)).await;
    log.settle(vec![(lease.token, Settlement::Ack).into()])
        .await
        .expect("settles");
    backend
        .advance(dir.path(), Duration::from_secs(10 * 24 * 3600))
        .await;
    let day = Duration::from_secs(24 * 3600);
    let gone = log.retain(&Retention::of_age("g", day)).await;
    assert_eq!(gone, Ok(1));
    let left = log
        .events(&Selection::default(), None, 10)
        .await
        .expect("reads");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1.id, "b", "the unsettled one stays");
    log.close().await;
}
