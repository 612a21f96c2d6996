//! What readers see: selections, pages, the tail.

use std::time::Duration;

use hookplane_control_plane::log::{
    Cursor, DeliveryLog, NewCallback, Selection, Settlement, TailItem,
};
use hookplane_proto::v1::DeliveryStatus;
use hookplane_rules::Timestamp;

use super::{Backend, append, callback, lease_one_of, prost_types_of, tail_until};

/// An event at a second, for some webhooks; those that begin with `held` get it held.
pub(super) fn shaped(
    id: &str,
    org: &str,
    group: &str,
    event_type: &str,
    second: i64,
    webhooks: &[&str],
) -> NewCallback {
    let mut new = callback(id, None, None, 0);
    new.org = org.into();
    new.group_uid = group.into();
    let event = &mut new.events[0];
    event.event.org = org.into();
    event.event.group_uid = group.into();
    event.event.r#type = event_type.into();
    event.event.receive_time = Some(prost_types_of(second));
    let delivery = event.deliveries.remove(0);
    for webhook in webhooks {
        let mut delivery = delivery.clone();
        delivery.webhook_uid = (*webhook).into();
        delivery.hold = webhook.starts_with("held").then(|| "a filter erred".into());
        event.deliveries.push(delivery);
    }
    new
}

/// Each selection, the events and the deliveries it means, newest first.
fn selections() -> Vec<(Selection, &'static str, &'static str)> {
    let any = Selection::default;
    let text = |text: &str| Some(text.to_owned());
    let second = |second: i64| Some(Timestamp(second * 1000));
    vec![
        (any(), "e6 e5 e4 e3 e2 e1", "e6-1 e5-1 e3-1 e2-2 e2-1 e1-1"),
        (
            Selection {
                org: text("acme"),
                ..any()
            },
            "e5 e3 e2 e1",
            "e5-1 e3-1 e2-2 e2-1 e1-1",
        ),
        (
            Selection {
                group_uid: text("g1"),
                ..any()
            },
            "e5 e2 e1",
            "e5-1 e2-2 e2-1 e1-1",
        ),
        (
            Selection {
                org: text("beta"),
                group_uid: text("g1"),
                ..any()
            },
            "",
            "",
        ),
        (
            Selection {
                org: text("beta"),
                webhook_uid: text("w1"),
                ..any()
            },
            "",
            "",
        ),
        (
            Selection {
                org: text("beta"),
                event_id: text("e1"),
                ..any()
            },
            "",
            "",
        ),
        (
            Selection {
                webhook_uid: text("w2"),
                ..any()
            },
            "e2",
            "e2-2",
        ),
        (
            Selection {
                event_id: text("e2"),
                ..any()
            },
            "e2",
            "e2-2 e2-1",
        ),
        (
            Selection {
                event_type: text("order.paid"),
                ..any()
            },
            "e4 e2 e1",
            "e2-2 e2-1 e1-1",
        ),
        (
            Selection {
                event_type: text("order"),
                ..any()
            },
            "e4 e3 e2 e1",
            "e3-1 e2-2 e2-1 e1-1",
        ),
        (
            Selection {
                since: second(3),
                until: second(5),
                ..any()
            },
            "e4 e3",
            "e3-1",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Held),
                ..any()
            },
            "e3",
            "e3-1",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Delivered),
                ..any()
            },
            "e1",
            "e1-1",
        ),
        (
            Selection {
                org: text("acme"),
                status: Some(DeliveryStatus::Pending),
                event_type: text("order"),
                since: second(1),
                ..any()
            },
            "e2",
            "e2-2 e2-1",
        ),
    ]
}

pub(super) async fn all_events(
    log: &dyn DeliveryLog,
    selection: &Selection,
    limit: usize,
) -> String {
    let mut ids: Vec<String> = Vec::new();
    let mut before = None;
    loop {
        let page = log.events(selection, before, limit).await.expect("reads");
        assert!(page.len() <= limit);
        let Some((last, _)) = page.last() else { break };
        before = Some(*last);
        ids.extend(page.into_iter().map(|(_, event)| event.id));
    }
    ids.join(" ")
}

pub(super) async fn all_deliveries(
    log: &dyn DeliveryLog,
    selection: &Selection,
    limit: usize,
) -> String {
    let mut ids: Vec<String> = Vec::new();
    let mut before = None;
    loop {
        let page = log.deliveries(selection, before, limit).await;
        let page = page.expect("reads");
        assert!(page.len() <= limit);
        let Some((last, _)) = page.last() else { break };
        before = Some(*last);
        ids.extend(page.into_iter().map(|(_, delivery)| delivery.id));
    }
    ids.join(" ")
}

/// The whole tail: deliveries (`e1-1`), events without any (`e4`), changes (`e1-1:3`).
async fn all_lines(
    log: &dyn DeliveryLog,
    selection: &Selection,
    changes: bool,
    limit: usize,
    end: Cursor,
) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut after = Cursor(0);
    loop {
        let (items, next) = log
            .tail(selection, after, changes, limit)
            .await
            .expect("reads");
        assert!(items.len() <= limit);
        assert!(
            items
                .iter()
                .all(|item| after < item.cursor && item.cursor <= next)
        );
        assert!(items.is_sorted_by(|one, two| one.cursor < two.cursor));
        lines.extend(items.iter().map(named));
        if next >= end {
            return lines.join(" ");
        }
        assert!(next > after, "goes on");
        after = next;
    }
}

fn named(item: &TailItem) -> String {
    match (&item.delivery, item.change) {
        (Some(delivery), true) => format!("{}:{}", delivery.id, delivery.status),
        (Some(delivery), false) => delivery.id.clone(),
        (None, change) => {
            assert!(!change);
            item.event.id.clone()
        }
    }
}

/// The same from its end.
async fn all_lines_from_the_newest(
    log: &dyn DeliveryLog,
    selection: &Selection,
    changes: bool,
    limit: usize,
    end: Cursor,
) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut before = None;
    loop {
        let read = log.tail_newest(selection, Cursor(0), before, changes, limit);
        let (items, goes_on) = read.await.expect("reads");
        assert!(items.len() <= limit && goes_on >= end);
        assert!(items.is_sorted_by(|one, two| one.cursor < two.cursor));
        lines.splice(0..0, items.iter().map(named));
        match items.first() {
            Some(first) if items.len() == limit => {
                assert!(before.is_none_or(|before| first.cursor < before), "goes on");
                before = Some(first.cursor);
            }
            _ => return lines.join(" "),
        }
    }
}

fn reversed(ids: &str) -> String {
    ids.split_whitespace().rev().collect::<Vec<_>>().join(" ")
}

/// Selections, pages and the tail say the same whatever the size of a page. One org never sees another.
pub(super) async fn selections_and_pages_agree(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for new in [
        shaped("e1", "acme", "g1", "order.paid", 1, &["w1"]),
        shaped("e2", "acme", "g1", "order.paid.late", 2, &["w1", "w2"]),
        shaped("e3", "acme", "g2", "order", 3, &["held"]),
        shaped("e4", "beta", "g3", "order.paid", 4, &[]),
        shaped("e5", "acme", "g1", "orders", 5, &["w1"]),
        shaped("e6", "beta", "g3", "user", 6, &["w3"]),
    ] {
        append(&*log, new).await;
    }
    let lease = lease_one_of(&*log, "w1", Duration::from_secs(60)).await;
    assert_eq!(lease.delivery.id, "e1-1", "oldest first");
    let settled = log
        .settle(vec![(lease.token, Settlement::Ack).into()])
        .await;
    assert_eq!(settled, Ok(vec![true]));
    let delivered = |line: &TailItem| {
        line.change && line.delivery.as_ref().map(|d| d.status()) == Some(DeliveryStatus::Delivered)
    };
    let (lines, end) = tail_until(&*log, delivered).await;
    // What is at or before `after` is not read again.
    let (after, last) = (lines[1].cursor, &lines[2..]);
    let any = Selection::default();
    let (read, _) = log
        .tail_newest(&any, after, None, true, 100)
        .await
        .expect("reads");
    let read: Vec<String> = read.iter().map(named).collect();
    assert_eq!(read, last.iter().map(named).collect::<Vec<_>>());
    for (selection, events, deliveries) in selections() {
        for limit in [1, 2, 3, 100] {
            assert_eq!(
                all_events(&*log, &selection, limit).await,
                events,
                "{selection:?} by {limit}"
            );
            assert_eq!(
                all_deliveries(&*log, &selection, limit).await,
                deliveries,
                "{selection:?} by {limit}"
            );
            let mut lines: Vec<&str> = deliveries.split_whitespace().collect();
            // Without a delivery it is a line of its own.
            if selection.status.is_none() && events.contains("e4") {
                lines.push("e4");
                lines.sort_unstable_by(|one, two| two.cmp(one));
            }
            let lines = reversed(&lines.join(" "));
            assert_eq!(
                all_lines(&*log, &selection, false, limit, end).await,
                lines,
                "{selection:?} by {limit}"
            );
            assert_eq!(
                all_lines_from_the_newest(&*log, &selection, false, limit, end).await,
                lines,
                "{selection:?} by {limit}"
            );
            if selection.status.is_none() {
                let changes = if deliveries.contains("e1-1") {
                    format!("{lines} e1-1:2 e1-1:3")
                } else {
                    lines
                };
                assert_eq!(
                    all_lines(&*log, &selection, true, limit, end).await,
                    changes,
                    "{selection:?} by {limit}"
                );
                assert_eq!(
                    all_lines_from_the_newest(&*log, &selection, true, limit, end).await,
                    changes,
                    "{selection:?} by {limit}"
                );
            }
        }
    }
    let missing = log.event("e7").await;
    assert!(matches!(
        missing,
        Err(hookplane_control_plane::log::LogError::NotFound(_))
    ));
    for id in ["e1-2", "e1-0", "e1-01", "e1-", "e1", "", "-1"] {
        assert!(log.delivery(id).await.is_err(), "{id}");
    }
    log.close().await;
}
