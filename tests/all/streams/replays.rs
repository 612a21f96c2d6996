//! Deliveries put back in numbers, and events fed to webhooks that came later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use tonic::Code;
use v1::DeliveryStatus;

use super::backends::on_cluster;
use super::gated::Gated;
use super::report::{Reporting, callback};
use super::rig::{Rig, webhook_path};
use super::subscribe::{Subscriber, delivery};
use crate::fake_control_plane::{Failure, eventually, soon};

/// All messages of a replay, the last with how it ended.
async fn replay(
    rig: &Rig,
    of: &str,
    set: impl FnOnce(&mut v1::ReplayRequest),
) -> Result<Vec<v1::ReplayResponse>, tonic::Status> {
    let mut request = v1::ReplayRequest {
        parent: webhook_path(of),
        rate_per_second: 10_000,
        ..Default::default()
    };
    set(&mut request);
    let mut stream = rig.events().replay(request).await?.into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await? {
        answers.push(answer);
    }
    Ok(answers)
}

fn last(answers: &[v1::ReplayResponse]) -> (u64, u64, u64) {
    let last = answers.last().cloned().unwrap_or_default();
    assert!(last.done, "{answers:?}");
    (last.looked_at, last.replayed, last.skipped)
}

/// Reports so many events of a group, the n-th with n in it.
async fn report(
    rig: &Rig,
    group: &v1::WebhookGroup,
    numbers: std::ops::Range<usize>,
) -> Result<(), Failure> {
    let mut stream = Reporting::connect(rig, "").await?;
    for n in numbers {
        let body = format!(r#"{{"n":{n},"word":"w{n}"}}"#);
        let one = callback(group, &format!("d-{n}"), body.as_bytes());
        stream.report(one).await?;
    }
    Ok(())
}

/// With the webhook `code/all`, all of whose deliveries are dead.
async fn all_dead(count: usize) -> Result<(Rig, Vec<v1::Delivery>), Failure> {
    let rig = Rig::start().await?;
    let dead = die(&rig, count).await?;
    Ok((rig, dead))
}

async fn die(rig: &Rig, count: usize) -> Result<Vec<v1::Delivery>, Failure> {
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    report(rig, &group, 0..count).await?;
    let mut subscriber = Subscriber::start(rig, "code/all", 0, 0).await?;
    for _ in 0..count {
        let lease = subscriber.next().await?;
        subscriber.nack(&lease, |nack| nack.give_up = true).await?;
    }
    subscriber.leave().await?;
    of_status(rig, DeliveryStatus::Dead, count).await
}

/// Those of a status, once there are so many.
async fn of_status(
    rig: &Rig,
    status: DeliveryStatus,
    count: usize,
) -> Result<Vec<v1::Delivery>, Failure> {
    eventually(async || {
        let mut all = rig.deliveries("code/all").await?;
        all.retain(|delivery| delivery.status() == status);
        Ok((all.len() == count).then_some(all))
    })
    .await
}

// Risk 10: what nobody could take is not lost; it comes again in the order it came, with the key it had.
#[tokio::test]
async fn dead_letters_are_put_back_oldest_first_with_the_keys_they_had() -> Result<(), Failure> {
    let (rig, dead) = all_dead(30).await?;
    let dry = replay(&rig, "code/all", |request| request.dry_run = true).await?;
    assert_eq!(last(&dry), (30, 30, 0));
    of_status(&rig, DeliveryStatus::Dead, 30).await?;
    // The list is newest first.
    let expected: Vec<_> = dead
        .iter()
        .rev()
        .map(|one| one.idempotency_key.clone())
        .collect();
    assert_eq!(last(&replay(&rig, "code/all", |_| {}).await?), (30, 30, 0));
    let mut subscriber = Subscriber::start(&rig, "code/all", 1, 0).await?;
    let mut keys = Vec::new();
    for _ in 0..30 {
        let lease = subscriber.next().await?;
        assert_eq!(delivery(&lease).attempts, 1);
        keys.push(delivery(&lease).idempotency_key);
        subscriber.ack(&lease).await?;
    }
    assert_eq!(keys, expected);
    Ok(())
}

// Risk 10: a poison event is not replayed for ever either. Each is dead again before the next step looks, so that a second look would find it.
#[tokio::test]
async fn what_is_dead_again_while_it_runs_is_not_taken_twice() -> Result<(), Failure> {
    let mut gated = None;
    let rig = Rig::start_with(|log| {
        let over = Gated::over(log);
        gated = Some(Arc::clone(&over));
        over
    })
    .await?;
    let gated = gated.ok_or("a log")?;
    let dead = die(&rig, 45).await?;
    gated.kill_what_is_put_back();
    // Three pages of it, each in steps of two.
    let replayed = replay(&rig, "code/all", |request| request.rate_per_second = 20);
    assert_eq!(last(&replayed.await?), (45, 45, 0));
    let expected: Vec<_> = dead.iter().rev().map(|one| one.id.clone()).collect();
    assert_eq!(gated.put_back(), expected);
    of_status(&rig, DeliveryStatus::Dead, 45).await?;
    Ok(())
}

// Risk 10: what nobody would be given is not put back, to wait for ever: whoever asks is told what to do.
#[tokio::test]
async fn what_is_for_subscribers_that_are_no_more_is_not_put_back() -> Result<(), Failure> {
    let (rig, dead) = all_dead(2).await?;
    rig.update_webhook("code", "all", |spec| {
        spec.destinations = vec![v1::WebhookDestination {
            http: Some(v1::HttpTarget {
                url: "https://example.com/hooks".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }];
    })
    .await?;
    let by_ids = async || {
        let request = v1::ReplayDeliveriesRequest {
            delivery_ids: dead.iter().map(|one| one.id.clone()).collect(),
            ..Default::default()
        };
        rig.events().replay_deliveries(request).await
    };
    let one_by_one = by_ids().await.err().ok_or("it is put back")?;
    let selected = replay(&rig, "code/all", |_| {}).await;
    let selected = selected.err().ok_or("it is put back")?;
    for status in [one_by_one, selected] {
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        assert!(status.message().contains("add `subscribe`"), "{status}");
    }
    // Among others they are passed over.
    let of_group = replay(&rig, "code/-", |_| {}).await?;
    assert_eq!(last(&of_group), (2, 0, 2));
    of_status(&rig, DeliveryStatus::Dead, 2).await?;
    // Once there are some again.
    rig.update_webhook("code", "all", |spec| spec.destinations.clear())
        .await?;
    assert_eq!(by_ids().await?.into_inner().replayed, 2);
    Ok(())
}

#[tokio::test]
async fn a_selection_is_narrowed_and_bounded() -> Result<(), Failure> {
    let (rig, _) = all_dead(6).await?;
    let none = replay(&rig, "code/all", |request| {
        request.r#type = "refund".to_owned();
    });
    assert_eq!(last(&none.await?), (0, 0, 0));
    let none = replay(&rig, "code/all", |request| {
        request.set_status(DeliveryStatus::Held)
    });
    assert_eq!(last(&none.await?), (0, 0, 0));
    let late = rig.clock.clone();
    late.advance(Duration::from_secs(3_600));
    let since = hookplane_rules::time::to_wire(hookplane_rules::Clock::now(&*late));
    let none = replay(&rig, "code/all", |request| request.since = Some(since));
    assert_eq!(last(&none.await?), (0, 0, 0));
    // The oldest.
    let some = replay(&rig, "code/all", |request| request.max = 2).await?;
    assert_eq!(last(&some), (2, 2, 0));
    let pending = of_status(&rig, DeliveryStatus::Pending, 2).await?;
    let events: BTreeSet<_> = pending.iter().map(|one| one.event_id.clone()).collect();
    let kept = rig.events_of("code").await?;
    let oldest = kept.iter().rev().take(2).map(|event| event.id.clone());
    assert_eq!(events, oldest.collect());
    for (field, set) in [
        (
            "status",
            (|r| r.set_status(DeliveryStatus::Pending)) as fn(&mut v1::ReplayRequest),
        ),
        ("rate_per_second", |r| r.rate_per_second = 10_001),
        ("text", |r| r.text = "x".repeat(201)),
        ("parent", |r| {
            (r.feed, r.parent) = (true, "orgs/acme".into())
        }),
    ] {
        let refused = replay(&rig, "code/all", set).await.err();
        let refused = refused.ok_or(field)?;
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert!(
            refused.message().starts_with(field),
            "{}",
            refused.message()
        );
    }
    Ok(())
}

#[tokio::test]
async fn deliveries_of_a_webhook_that_is_gone_are_skipped() -> Result<(), Failure> {
    let (rig, _) = all_dead(3).await?;
    rig.delete_webhook("code", "all").await?;
    for dry_run in [true, false] {
        let answers = replay(&rig, "code", |request| request.dry_run = dry_run).await?;
        assert_eq!(last(&answers), (3, 0, 3));
    }
    Ok(())
}

// An event that came before its webhook is delivered to it once, as if the webhook had been there.
#[tokio::test]
async fn events_that_were_captured_are_fed_to_a_webhook_made_later_once() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig
        .group("code", |spec| {
            (spec.capture_unmatched, spec.dedup_window_days) = (true, 1);
        })
        .await?;
    report(&rig, &group, 0..6).await?;
    rig.webhook("code", "all", "payload.n != 3").await?;
    // What comes now is matched when it comes.
    report(&rig, &group, 6..7).await?;
    let feed = |dry_run| {
        replay(&rig, "code/all", move |request| {
            (request.feed, request.dry_run) = (true, dry_run);
        })
    };
    assert_eq!(last(&feed(true).await?), (7, 5, 2));
    assert_eq!(rig.deliveries("code/all").await?.len(), 1);
    assert_eq!(last(&feed(false).await?), (7, 5, 2));
    assert_eq!(last(&feed(false).await?), (7, 0, 7));
    let mut subscriber = Subscriber::start(&rig, "code/all", 0, 0).await?;
    let mut fed = BTreeMap::new();
    for _ in 0..6 {
        let lease = subscriber.next().await?;
        let event = lease.event.clone().unwrap_or_default();
        fed.insert(event.delivery_id, delivery(&lease).idempotency_key);
        subscriber.ack(&lease).await?;
    }
    assert_eq!(fed.len(), 6);
    assert!(!fed.contains_key("d-3"));
    Ok(())
}

// Risk 8: sent again after the window it is another event, and the sink sees the same key. Over PostgreSQL the window is by the server's clock.
#[tokio::test]
async fn what_was_fed_has_the_key_of_a_resend_after_the_window() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig
        .group("code", |spec| {
            (spec.capture_unmatched, spec.dedup_window_days) = (true, 1);
        })
        .await?;
    report(&rig, &group, 0..1).await?;
    rig.webhook("code", "all", "").await?;
    let feed = replay(&rig, "code/all", |request| request.feed = true).await?;
    assert_eq!(last(&feed), (1, 1, 0));
    let mut subscriber = Subscriber::start(&rig, "code/all", 0, 0).await?;
    let fed = subscriber.next().await?;
    subscriber.ack(&fed).await?;
    rig.clock.advance(Duration::from_secs(3 * 24 * 60 * 60));
    report(&rig, &group, 0..1).await?;
    let again = subscriber.next().await?;
    assert_ne!(delivery(&again).event_id, delivery(&fed).event_id);
    let key = |lease| delivery(lease).idempotency_key;
    assert_eq!(key(&again), key(&fed));
    Ok(())
}

#[tokio::test]
async fn a_feed_is_narrowed_by_type_and_text_and_bounded() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig
        .group("code", |spec| spec.capture_unmatched = true)
        .await?;
    report(&rig, &group, 0..5).await?;
    rig.webhook("code", "all", "").await?;
    let feed = |set: fn(&mut v1::ReplayRequest)| {
        replay(&rig, "code/all", move |request| {
            request.feed = true;
            set(request);
        })
    };
    let none = feed(|request| request.r#type = "refund".to_owned());
    assert_eq!(last(&none.await?).1, 0);
    let one = feed(|request| request.text = "w3".to_owned());
    assert_eq!(last(&one.await?), (1, 1, 0));
    let two = feed(|request| request.max = 2);
    assert_eq!(last(&two.await?).1, 2);
    let left = feed(|_| {});
    assert_eq!(last(&left.await?), (5, 2, 3));
    Ok(())
}

#[tokio::test]
async fn progress_is_told_while_it_goes_on() -> Result<(), Failure> {
    let (rig, _) = all_dead(3).await?;
    let request = v1::ReplayRequest {
        parent: webhook_path("code/all"),
        rate_per_second: 1,
        ..Default::default()
    };
    let mut stream = rig.events().replay(request).await?.into_inner();
    // Three at one a second: there is a message before the end.
    let mut before_the_end = 0;
    loop {
        let answer = soon(stream.message()).await??.ok_or("it ended early")?;
        if answer.done {
            assert_eq!((answer.total, answer.replayed), (3, 3));
            break;
        }
        before_the_end += u32::from(answer.total == 3);
    }
    assert!(before_the_end > 0);
    Ok(())
}

on_cluster!(
    dead_letters_are_put_back_oldest_first_with_the_keys_they_had,
    what_is_dead_again_while_it_runs_is_not_taken_twice,
    events_that_were_captured_are_fed_to_a_webhook_made_later_once,
    deliveries_of_a_webhook_that_is_gone_are_skipped,
    a_feed_is_narrowed_by_type_and_text_and_bounded,
    progress_is_told_while_it_goes_on,
);
