//! What is found by its text.

use std::time::Duration;

use hookplane_control_plane::log::{Retention, Selection, Settlement};
use hookplane_proto::v1::{DeliveryStatus, PayloadFormat};
use hookplane_rules::Timestamp;

use super::queues::{lease_all, settle};
use super::reads::{all_deliveries, all_events, shaped};
use super::{Backend, append};

/// Each selection with its text, the events and the deliveries it means, newest first.
fn searches() -> Vec<(Selection, &'static str, &'static str)> {
    let of = |text: &str| Selection {
        text: Some(text.to_owned()),
        ..Selection::default()
    };
    let name = |name: &str| Some(name.to_owned());
    let second = |second: i64| Some(Timestamp(second * 1000));
    vec![
        (of("ada"), "e6 e5 e2 e1", "e6-1 e5-1 e2-2 e2-1 e1-1"),
        (of("ADA Example"), "e6 e5 e2 e1", "e6-1 e5-1 e2-2 e2-1 e1-1"),
        (of("example, ada!"), "e5 e2 e1", "e5-1 e2-2 e2-1 e1-1"),
        (of("ex"), "e6 e5 e2 e1", "e6-1 e5-1 e2-2 e2-1 e1-1"),
        (of("ex ada"), "e5", "e5-1"),
        (of("rare"), "e3", "e3-1"),
        (of("rar"), "e3", "e3-1"),
        (of("are"), "", ""),
        (of("rare ada"), "", ""),
        (of("größe"), "e4", ""),
        (of("grö"), "e4", ""),
        (of("grosse"), "", ""),
        (of("12 5"), "e4", ""),
        (of("user"), "e6", "e6-1"),
        (
            Selection {
                org: name("acme"),
                ..of("ada")
            },
            "e5 e2 e1",
            "e5-1 e2-2 e2-1 e1-1",
        ),
        (
            Selection {
                group_uid: name("g3"),
                ..of("ada")
            },
            "e6",
            "e6-1",
        ),
        (
            Selection {
                org: name("acme"),
                group_uid: name("g3"),
                ..of("ada")
            },
            "",
            "",
        ),
        (
            Selection {
                webhook_uid: name("w2"),
                ..of("ada")
            },
            "e2",
            "e2-2",
        ),
        (
            Selection {
                event_type: name("order"),
                ..of("ada")
            },
            "e2 e1",
            "e2-2 e2-1 e1-1",
        ),
        (
            Selection {
                since: second(2),
                until: second(6),
                ..of("ada")
            },
            "e5 e2",
            "e5-1 e2-2 e2-1",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Delivered),
                ..of("ada")
            },
            "e1",
            "e1-1",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Pending),
                group_uid: name("g1"),
                ..of("example")
            },
            "e5 e2",
            "e5-1 e2-2 e2-1",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Held),
                ..of("rare")
            },
            "e3",
            "e3-1",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Held),
                ..of("ada")
            },
            "",
            "",
        ),
        (
            Selection {
                event_id: name("e2"),
                ..of("ada")
            },
            "e2",
            "e2-2 e2-1",
        ),
        (
            Selection {
                event_id: name("e3"),
                ..of("ada")
            },
            "",
            "",
        ),
        (
            Selection {
                destination: name("crm"),
                ..of("ada")
            },
            "e5",
            "e5-1",
        ),
        (
            Selection {
                unmatched: true,
                ..Selection::default()
            },
            "e4",
            "",
        ),
        (
            Selection {
                unmatched: true,
                org: name("beta"),
                ..of("12")
            },
            "e4",
            "",
        ),
        (
            Selection {
                unmatched: true,
                ..of("ada")
            },
            "",
            "",
        ),
    ]
}

pub(super) async fn text_is_found_with_any_other_selection(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    let ada = r#"{"mail":"Ada@example.com"}"#;
    for (new, body) in [
        (shaped("e1", "acme", "g1", "order.paid", 1, &["w1"]), ada),
        (
            shaped("e2", "acme", "g1", "order.paid.late", 2, &["w1", "w2"]),
            ada,
        ),
        (
            shaped("e3", "acme", "g2", "order", 3, &["held"]),
            r#"{"note":"a\nrare"}"#,
        ),
        (
            shaped("e4", "beta", "g3", "order.paid", 4, &[]),
            r#"{"Größe":12.5}"#,
        ),
        (
            shaped("e5", "acme", "g1", "orders", 5, &["w1"]),
            r#"["ada","example","ex"]"#,
        ),
        (
            shaped("e6", "beta", "g3", "user", 6, &["w3"]),
            r#"["ada","examples"]"#,
        ),
    ] {
        let mut new = new;
        let event = &mut new.events[0];
        event.event.format = PayloadFormat::Json.into();
        event.event.body = body.as_bytes().to_vec().into();
        if event.event.id == "e5" {
            event.deliveries[0].destination = "crm".into();
        }
        append(&*log, new).await;
    }
    while log.index().await.expect("indexes") {}
    let leases = lease_all(&*log, "w1").await;
    assert_eq!(leases[0].delivery.id, "e1-1");
    settle(&*log, &leases[0], Settlement::Ack).await;
    settle(&*log, &leases[1], Settlement::Return).await;
    for (selection, events, deliveries) in searches() {
        for limit in [1, 2, 3, 100] {
            let found = all_events(&*log, &selection, limit).await;
            assert_eq!(found, events, "{selection:?} by {limit}");
            let found = all_deliveries(&*log, &selection, limit).await;
            assert_eq!(found, deliveries, "{selection:?} by {limit}");
        }
    }
    // What is kept later is found after it is indexed, through a restart.
    log.close().await;
    drop(log);
    let log = backend.open(dir.path()).await;
    let mut new = shaped("e7", "acme", "g1", "order", 7, &["w1"]);
    new.events[0].event.format = PayloadFormat::Json.into();
    new.events[0].event.body = ada.as_bytes().to_vec().into();
    append(&*log, new).await;
    while log.index().await.expect("indexes") {}
    let text = Selection {
        text: Some("ada".into()),
        ..Selection::default()
    };
    assert_eq!(all_events(&*log, &text, 2).await, "e7 e6 e5 e2 e1");
    assert_eq!(log.index().await, Ok(false));
    log.close().await;
}

// What went is not found, and the others are.
pub(super) async fn what_went_is_not_found(backend: &dyn Backend) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = backend.open(dir.path()).await;
    for id in ["a", "b", "c"] {
        let mut new = shaped(id, "acme", "g", "order", 1, &[]);
        if id == "b" {
            new = shaped(id, "acme", "g", "order", 1, &["w"]);
        }
        append(&*log, new).await;
        if id == "b" {
            while log.index().await.expect("indexes") {}
        }
    }
    backend
        .advance(dir.path(), Duration::from_secs(100_000))
        .await;
    let by_age = Retention::of_age("g", Duration::from_secs(1));
    while log.retain(&by_age).await.expect("retains") > 0 {}
    while log.index().await.expect("indexes") {}
    let text = Selection {
        text: Some("order".into()),
        ..Selection::default()
    };
    assert_eq!(all_events(&*log, &text, 10).await, "b");
    assert_eq!(all_deliveries(&*log, &text, 10).await, "b-1");
    log.close().await;
}
