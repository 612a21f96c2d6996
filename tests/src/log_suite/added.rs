//! Deliveries that are made of an event after it was kept.

use std::time::Duration;

use hookplane_control_plane::log::{
    Cursor, DeliveryLog, LogError, NewDelivery, Retention, Selection, Settlement,
};

use super::queues::{for_queues, lease_all, settle};
use super::{Backend, append, tail_until};

fn delivery(webhook: &str, destination: &str) -> NewDelivery {
    NewDelivery {
        webhook_uid: webhook.into(),
        webhook: webhook.into(),
        destination: destination.into(),
        idempotency_key: format!("{webhook}/{destination}"),
        ..NewDelivery::default()
    }
}

/// Ids of deliveries and of events, newest first, page by page.
async fn listed(log: &dyn DeliveryLog, selection: Selection) -> (String, String) {
    let (mut deliveries, mut events) = (Vec::new(), Vec::new());
    let mut before = None;
    while let Some((cursor, one)) = log
        .deliveries(&selection, before, 1)
        .await
        .expect("reads")
        .pop()
    {
        before = Some(cursor);
        deliveries.push(one.id);
    }
    let mut before = None;
    while let Some((cursor, one)) = log
        .events(&selection, before, 1)
        .await
        .expect("reads")
        .pop()
    {
        before = Some(cursor);
        events.push(one.id);
    }
    (deliveries.join(" "), events.join(" "))
}

/// The lines of new deliveries.
async fn tail(log: &dyn DeliveryLog, selection: &Selection, changes: bool) -> Vec<String> {
    let read = log.tail(selection, Cursor(0), changes, 100).await;
    let lines = read.expect("reads").0.into_iter();
    let new = lines.filter(|line| !line.change);
    new.filter_map(|line| Some(line.delivery?.id)).collect()
}

pub(super) async fn added_deliveries_are_like_any_other(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    append(&*log, for_queues("a", &["w"])).await;
    append(&*log, for_queues("none", &[])).await;
    append(&*log, for_queues("b", &["w", "v"])).await;
    while log.index().await.expect("indexes") {}
    let new = || vec![delivery("w", ""), delivery("w", "crm"), delivery("x", "")];
    assert_eq!(log.add_deliveries("a", new()).await, Ok(2));
    assert_eq!(log.add_deliveries("a", new()).await, Ok(0));
    assert_eq!(
        log.add_deliveries("none", vec![delivery("x", "")]).await,
        Ok(1)
    );
    let unknown = log.add_deliveries("nothing", new()).await;
    assert!(matches!(unknown, Err(LogError::NotFound(_))), "{unknown:?}");
    let (_, end) = tail_until(&*log, |line| {
        let delivery = line.delivery.as_ref();
        delivery.is_some_and(|delivery| delivery.id == "none-1")
    })
    .await;
    assert!(end > Cursor(0));
    for indexed in [false, true] {
        if indexed {
            while log.index().await.expect("indexes") {}
        }
        let any = Selection::default;
        let all = "none-1 a-3 a-2 b-2 b-1 a-1";
        for (selection, deliveries, events) in [
            (any(), all, "b none a"),
            (
                Selection {
                    group_uid: Some("g".into()),
                    ..any()
                },
                all,
                "b none a",
            ),
            (
                Selection {
                    org: Some("acme".into()),
                    event_type: Some("order".into()),
                    ..any()
                },
                all,
                "b none a",
            ),
            (
                Selection {
                    org: Some("beta".into()),
                    ..any()
                },
                "",
                "",
            ),
            (
                Selection {
                    event_id: Some("a".into()),
                    ..any()
                },
                "a-3 a-2 a-1",
                "a",
            ),
            (
                Selection {
                    webhook_uid: Some("x".into()),
                    ..any()
                },
                "none-1 a-3",
                "none a",
            ),
            (
                Selection {
                    webhook_uid: Some("x".into()),
                    event_type: Some("order.paid".into()),
                    ..any()
                },
                "none-1 a-3",
                "none a",
            ),
            (
                Selection {
                    destination: Some("crm".into()),
                    ..any()
                },
                "a-2",
                "a",
            ),
            (
                Selection {
                    unmatched: true,
                    ..any()
                },
                "",
                "",
            ),
        ] {
            let found = listed(&*log, selection.clone()).await;
            assert_eq!(
                (&*found.0, &*found.1),
                (deliveries, events),
                "{selection:?}, indexed: {indexed}"
            );
        }
    }
    // One line for each event and webhook, unless all is asked for.
    let group = Selection {
        group_uid: Some("g".into()),
        ..Selection::default()
    };
    for selection in [Selection::default(), group] {
        let lines = tail(&*log, &selection, false).await;
        assert_eq!(lines, ["a-1", "b-1", "b-2", "a-3", "none-1"]);
        let lines = tail(&*log, &selection, true).await;
        let all = ["a-1", "b-1", "b-2", "a-2", "a-3", "none-1"];
        assert_eq!(lines, all);
    }
    // By themselves, too.
    let leases = lease_all(&*log, "w/crm").await;
    assert_eq!(leases[0].delivery.id, "a-2");
    assert_eq!(leases[0].delivery.idempotency_key, "w/crm");
    assert_eq!(leases[0].event.id, "a");
    settle(&*log, &leases[0], Settlement::Ack).await;
    assert_eq!(log.replay(&["a-2".to_owned().into()]).await, Ok(1));
    log.close().await;
    drop(log);
    let log = backend.open(dir.path()).await;
    let read = log.delivery("a-3").await.expect("there");
    assert_eq!((&*read.webhook_uid, &*read.event_id), ("x", "a"));
    for id in ["a-4", "a-03", "none-2"] {
        assert!(log.delivery(id).await.is_err(), "{id}");
    }
    log.close().await;
}

// Risk 5: an event stays as long as one of its deliveries is unsettled, and goes with all of them.
pub(super) async fn added_deliveries_keep_their_event(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    append(&*log, for_queues("a", &[])).await;
    append(&*log, for_queues("b", &[])).await;
    assert_eq!(
        log.add_deliveries("a", vec![delivery("x", "")]).await,
        Ok(1)
    );
    let day = Duration::from_secs(24 * 3600);
    backend.advance(dir.path(), day * 10).await;
    let retention = Retention::of_age("g", day);
    assert_eq!(log.retain(&retention).await, Ok(1));
    assert!(log.event("b").await.is_err());
    let leases = lease_all(&*log, "x").await;
    assert_eq!(leases[0].delivery.id, "a-1");
    settle(&*log, &leases[0], Settlement::Ack).await;
    assert_eq!(log.retain(&retention).await, Ok(1));
    assert!(log.event("a").await.is_err());
    assert!(log.delivery("a-1").await.is_err());
    log.close().await;
}

pub(super) async fn one_line_of_an_event_for_a_webhook(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    append(&*log, for_queues("a", &["w/crm", "v", "w/http", "w"])).await;
    tail_until(&*log, |line| {
        line.delivery.as_ref().is_some_and(|one| one.id == "a-4")
    })
    .await;
    for selection in [
        Selection::default(),
        Selection {
            org: Some("acme".into()),
            ..Selection::default()
        },
    ] {
        assert_eq!(tail(&*log, &selection, false).await, ["a-1", "a-2"]);
        assert_eq!(
            tail(&*log, &selection, true).await,
            ["a-1", "a-2", "a-3", "a-4"]
        );
    }
    log.close().await;
}
