//! What fails: tried again, given up, left alone; and nobody else is held up by it.

use std::time::Duration;

use hookplane_proto::v1;
use hookplane_tests::destinations::{Receiver, Reply};
use v1::{AttemptOutcome, DeliveryStatus, DestinationState};

use super::{Shop, http, named, own, willing};
use crate::fake_control_plane::{Failure, eventually, until};

#[tokio::test]
async fn what_fails_is_tried_again_with_the_same_key() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let receiver = Receiver::start(|received| match received.number {
        0 => Reply::Status(500),
        1 => Reply::Closed,
        _ => Reply::Status(200),
    })
    .await?;
    shop.rig
        .pushed("orders", vec![own("", http(&receiver.url))], |_| {})
        .await?;
    shop.event("d-1", "{}").await?;
    let delivered = shop
        .rig
        .all_are("shop/orders", 1, DeliveryStatus::Delivered)
        .await?;
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    let key = &*delivered[0].idempotency_key;
    for (n, one) in received.iter().enumerate() {
        assert_eq!(one.header("webhook-id"), key);
        assert_eq!(one.header("hookplane-attempt"), (n + 1).to_string());
    }
    let history = shop.rig.history(&delivered[0].id).await?;
    let came: Vec<_> = history
        .iter()
        .map(|one| (one.number, one.outcome(), one.status))
        .collect();
    let expected = [
        (1, AttemptOutcome::Retry, 500),
        (2, AttemptOutcome::Retry, 0),
        (3, AttemptOutcome::Delivered, 200),
    ];
    assert_eq!(came, expected);
    shop.rig.charted("shop", [1, 1, 2]).await
}

// Risk 10: an event that is never taken ends in the dead letters, with the reason.
#[tokio::test]
async fn attempts_end_in_the_dead_letters_and_gone_ends_them_at_once() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let receiver = Receiver::start(|_| Reply::Status(422)).await?;
    let gone = Receiver::start(|_| Reply::Status(410)).await?;
    let mut two = own("two", http(&receiver.url));
    two.limits = Some(v1::DeliveryLimits {
        max_attempts: 2,
        ..Default::default()
    });
    shop.rig.pushed("orders", vec![two], |_| {}).await?;
    shop.rig
        .pushed("gone", vec![own("", http(&gone.url))], |_| {})
        .await?;
    shop.event("d-1", "{}").await?;
    let dead = shop
        .rig
        .all_are("shop/orders", 1, DeliveryStatus::Dead)
        .await?;
    assert_eq!((dead[0].attempts, receiver.count()), (2, 2));
    assert!(
        dead[0].reason.contains("422") && dead[0].reason.contains("last"),
        "{}",
        dead[0].reason
    );
    let dead = shop
        .rig
        .all_are("shop/gone", 1, DeliveryStatus::Dead)
        .await?;
    assert_eq!((dead[0].attempts, gone.count()), (1, 1));
    let history = shop.rig.history(&dead[0].id).await?;
    assert_eq!(history[0].outcome(), AttemptOutcome::GaveUp);
    Ok(())
}

#[tokio::test]
async fn what_the_receiver_asks_for_is_waited_for_and_a_redirect_is_not_followed()
-> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let elsewhere = willing().await?;
    let to = format!("location: {}", elsewhere.url);
    let moved = Receiver::start(move |_| Reply::With(307, to.clone(), String::new())).await?;
    let busy =
        Receiver::start(|_| Reply::With(429, "retry-after: 3600".to_owned(), "later".to_owned()))
            .await?;
    let both = vec![own("moved", http(&moved.url)), own("busy", http(&busy.url))];
    shop.rig.pushed("orders", both, |_| {}).await?;
    shop.event("d-1", "{}").await?;
    let waits = eventually(async || {
        let all = shop.rig.deliveries("shop/orders").await?;
        let tried = all
            .iter()
            .all(|one| one.attempts > 0 && one.status() == DeliveryStatus::Pending);
        Ok((all.len() == 2 && tried).then_some(all))
    })
    .await?;
    for one in waits {
        let history = shop.rig.history(&one.id).await?;
        match &*one.destination {
            "moved" => assert!(
                history[0].reason.contains("redirects"),
                "{}",
                history[0].reason
            ),
            _ => {
                assert_eq!((history.len(), history[0].status), (1, 429));
                let next = one.next_attempt_time.ok_or("it has a time")?.seconds;
                let was = history[0].start_time.ok_or("it has a time")?.seconds;
                assert!((3595..3700).contains(&(next - was)), "{}", next - was);
            }
        }
    }
    assert_eq!((elsewhere.count(), busy.count()), (0, 1));
    Ok(())
}

#[tokio::test]
async fn one_that_fails_is_left_alone_says_so_and_gets_everything_later() -> Result<(), Failure> {
    const EVENTS: usize = 12;
    let mut shop = Shop::open().await?;
    let receiver = Receiver::start(|_| Reply::Status(503)).await?;
    let spec = v1::DestinationSpec {
        http: Some(http(&receiver.url)),
        limits: Some(v1::DeliveryLimits {
            concurrency: 1,
            ..Default::default()
        }),
        ..Default::default()
    };
    shop.rig.destination("crm", spec).await?;
    shop.rig
        .pushed("orders", vec![named("crm")], |_| {})
        .await?;
    for n in 0..EVENTS {
        shop.event(&format!("d-{n}"), "{}").await?;
    }
    let failing = eventually(async || {
        let status = shop
            .rig
            .destination_now("crm")
            .await?
            .status
            .unwrap_or_default();
        Ok((status.state() == DestinationState::Failing).then_some(status))
    })
    .await?;
    assert!(
        failing.reason.contains("503") && failing.retry_time.is_some(),
        "{failing:?}"
    );
    // The webhook says it, too.
    let webhook = shop
        .rig
        .update_webhook("shop", "orders", |spec| spec.label = "x".to_owned());
    let of_webhook = webhook.await?.status.unwrap_or_default().destinations;
    assert_eq!(of_webhook[0].name, "crm");
    let state = of_webhook[0]
        .status
        .as_ref()
        .map(v1::DestinationStatus::state);
    assert_eq!(state, Some(DestinationState::Failing));
    let asked = receiver.count();
    assert_eq!(asked, 5, "it was left alone after five on end");
    // Its time is over: one probe, which fails, and it is left alone for longer.
    shop.rig.clock.advance(Duration::from_secs(6));
    until(|| receiver.count() > asked).await?;
    receiver.say(|_| Reply::Status(200));
    let clock = shop.rig.clock.clone();
    let all = eventually(async || {
        // As real time passes for the deliveries' own waits, so does the destination's.
        clock.advance(Duration::from_secs(1));
        let all = shop.rig.deliveries("shop/orders").await?;
        let done = all
            .iter()
            .filter(|one| one.status() == DeliveryStatus::Delivered)
            .count();
        Ok((done == EVENTS).then_some(all))
    })
    .await?;
    assert_eq!(all.len(), EVENTS);
    let status = shop
        .rig
        .destination_now("crm")
        .await?
        .status
        .unwrap_or_default();
    assert_eq!(
        (status.state(), status.delivered),
        (DestinationState::Active, EVENTS as u64)
    );
    Ok(())
}

#[tokio::test]
async fn what_is_paused_waits_and_goes_on_where_it_was() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let (receiver, other) = (willing().await?, willing().await?);
    let spec = v1::DestinationSpec {
        http: Some(http(&receiver.url)),
        paused: true,
        ..Default::default()
    };
    shop.rig.destination("crm", spec).await?;
    let both = vec![named("crm"), own("other", http(&other.url))];
    shop.rig.pushed("orders", both, |_| {}).await?;
    for n in 0..3 {
        shop.event(&format!("d-{n}"), "{}").await?;
    }
    // The other one is not held up, and by then this one would have been sent to.
    until(|| other.count() == 3).await?;
    assert_eq!(receiver.count(), 0);
    let status = shop
        .rig
        .destination_now("crm")
        .await?
        .status
        .unwrap_or_default();
    assert_eq!(status.state(), DestinationState::Paused);
    shop.rig
        .update_destination("crm", "paused", |spec| spec.paused = false)
        .await?;
    let all = shop
        .rig
        .all_are("shop/orders", 6, DeliveryStatus::Delivered)
        .await?;
    assert!(
        all.iter().all(|one| one.attempts == 1),
        "waiting is no attempt"
    );
    Ok(())
}

#[tokio::test]
async fn a_destination_that_never_answers_delays_nobody() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let (stuck, fine) = (Receiver::start(|_| Reply::Never).await?, willing().await?);
    let mut slow = own("", http(&stuck.url));
    slow.limits.get_or_insert_default().timeout_seconds = 120;
    shop.rig.pushed("stuck", vec![slow], |_| {}).await?;
    shop.rig
        .pushed("fine", vec![own("", http(&fine.url))], |_| {})
        .await?;
    for n in 0..40 {
        shop.event(&format!("d-{n}"), "{}").await?;
    }
    shop.rig
        .all_are("shop/fine", 40, DeliveryStatus::Delivered)
        .await?;
    eventually(async || Ok((stuck.count() >= 8).then_some(()))).await?;
    assert_eq!(
        stuck.count(),
        8,
        "as many as it may have at a time, and no more"
    );
    let waiting = shop.rig.deliveries("shop/stuck").await?;
    assert!(
        waiting
            .iter()
            .all(|one| one.status() != DeliveryStatus::Delivered)
    );
    Ok(())
}
