//! What SQLite does for each list: it walks an index, in the order of the answer.

use std::cell::RefCell;

use hookplane_proto::v1::DeliveryStatus;
use hookplane_rules::Timestamp;
use rusqlite::Connection;

use super::{Fault, Page, deliveries, events};
use crate::log::embedded::index::Index;
use crate::log::embedded::schema;
use crate::log::{Cursor, Selection};

/// Of a list's statements. Words are looked for in the record, which is of no event: then it ends there.
fn plans(
    db: &Connection,
    selection: &Selection,
    before: Option<Cursor>,
    places: fn(&Page<'_>) -> Result<Vec<i64>, Fault>,
) -> Vec<String> {
    let page = Page {
        plans: Some(RefCell::default()),
        ..Page::new(db, selection, before, 10)
    };
    let done = places(&page);
    assert!(done.is_ok() || selection.text.is_some(), "{selection:?}");
    page.plans.expect("asked for").into_inner()
}

/// A log of one event with two deliveries, one of them added.
fn opened() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, _, db) = schema::open(dir.path(), true).expect("opens");
    let health = Index::open(dir.path(), 0).health();
    Index::attach(dir.path(), &db, &health).expect("attaches");
    db.execute_batch(
        "INSERT INTO events (seq, id, org, group_uid, group_name, type, received, kept, deliveries, flags, claims, checksum, record)
             VALUES (1, 'e', 'acme', 'g', 'g', 'order.paid', 5, 5, 1, 0, x'', 0, x'');
         INSERT INTO deliveries (seq, event_seq, webhook_uid, webhook, status, attempts, due, created, updated, reason, idempotency_key)
             VALUES (2, 1, 'w', 'w', 1, 0, 0, 0, 0, '', '');
         INSERT INTO queues VALUES ('w', 'crm', 'acme', 'g'), ('w', '', 'acme', 'g');
         UPDATE found.mark SET seq = 1; INSERT INTO found.spans VALUES (0, 5, 5)",
    )
    .expect("inserts");
    (dir, db)
}

/// Each of the first together with each of the second, and so on.
fn selections() -> Vec<Selection> {
    let text = |text: &str| Some(text.to_owned());
    let mut all = vec![Selection::default()];
    let mut with = |choices: &[&dyn Fn(&mut Selection)]| {
        let before = all.clone();
        for choice in choices {
            all.extend(before.iter().cloned().map(|mut selection| {
                choice(&mut selection);
                selection
            }));
        }
    };
    with(&[
        &|of| of.org = text("acme"),
        &|of| of.group_uid = text("g"),
        &|of| of.webhook_uid = text("w"),
        &|of| {
            (of.org, of.group_uid, of.webhook_uid) = (text("acme"), text("g"), text("w"));
        },
        &|of| of.event_id = text("e"),
    ]);
    with(&[&|of| of.destination = text("crm")]);
    with(&[&|of| of.event_type = text("order")]);
    with(&[&|of| (of.since, of.until) = (Some(Timestamp(1)), Some(Timestamp(9)))]);
    with(&[
        &|of| of.status = Some(DeliveryStatus::Pending),
        &|of| of.status = Some(DeliveryStatus::Leased),
        &|of| of.status = Some(DeliveryStatus::Delivered),
        &|of| of.status = Some(DeliveryStatus::Dead),
    ]);
    with(&[&|of| of.text = text("paid ord")]);
    with(&[&|of| of.unmatched = true]);
    all
}

#[test]
fn every_list_walks_an_index_and_sorts_nothing_but_a_few() {
    let (_dir, db) = opened();
    let selections = selections();
    assert!(selections.len() > 400);
    for selection in &selections {
        for before in [None, Some(Cursor(9))] {
            for places in [events::places, deliveries::places] {
                for plan in plans(&db, selection, before, places) {
                    let few = selection.status == Some(DeliveryStatus::Pending)
                        && plan.contains("deliveries_pending");
                    let by_words = plan.starts_with("SCAN found.words VIRTUAL TABLE INDEX");
                    assert!(
                        !plan.contains("SCAN") || few || by_words,
                        "{selection:?}: {plan}"
                    );
                    let of_one_event = selection.event_id.is_some();
                    assert!(
                        !plan.contains("TEMP B-TREE") || few || of_one_event,
                        "{selection:?}: {plan}"
                    );
                }
            }
        }
    }
}

#[test]
fn each_selection_is_led_by_its_own_index() {
    let (_dir, db) = opened();
    let text = |text: &str| Some(text.to_owned());
    let any = Selection::default;
    let group = || Selection {
        group_uid: text("g"),
        ..any()
    };
    let webhook = || Selection {
        webhook_uid: text("w"),
        ..any()
    };
    for (selection, of_events, of_deliveries) in [
        (
            any(),
            "e USING INTEGER PRIMARY KEY",
            "d USING INTEGER PRIMARY KEY",
        ),
        (
            group(),
            "events_by_group (group_uid=?",
            "deliveries_by_webhook (webhook_uid=?",
        ),
        (
            Selection {
                org: text("acme"),
                ..any()
            },
            "events_by_org (org=?",
            "deliveries_by_webhook (webhook_uid=?",
        ),
        (
            webhook(),
            "e USING INTEGER PRIMARY KEY",
            "deliveries_by_webhook (webhook_uid=? AND seq>? AND seq<?",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Dead),
                ..any()
            },
            "e USING INTEGER PRIMARY KEY",
            "deliveries_stuck (status=? AND seq>? AND seq<?",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Dead),
                ..webhook()
            },
            "",
            "deliveries_stuck_of (webhook_uid=? AND status=? AND seq>? AND seq<?",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Pending),
                ..group()
            },
            "",
            "deliveries_pending (webhook_uid=?",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Leased),
                ..any()
            },
            "",
            "deliveries_leased (seq>? AND seq<?",
        ),
    ] {
        for (places, index) in [
            (events::places as fn(&Page<'_>) -> _, of_events),
            (deliveries::places, of_deliveries),
        ] {
            let plans = plans(&db, &selection, None, places);
            assert!(plans[0].contains(index), "{selection:?}: {plans:#?}");
        }
    }
    // Words, types, and what nobody matched are found by the text index, and looked at by their place.
    for selection in [
        Selection {
            text: text("paid"),
            ..group()
        },
        Selection {
            event_type: text("order"),
            ..group()
        },
    ] {
        for places in [events::places as fn(&Page<'_>) -> _, deliveries::places] {
            let plans = plans(&db, &selection, None, places);
            for walked in [
                "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)",
                "SCAN found.words VIRTUAL TABLE INDEX",
            ] {
                let is_walked = plans.iter().any(|plan| plan.starts_with(walked));
                assert!(is_walked, "{selection:?}: {plans:#?}");
            }
        }
    }
}

/// A mapping that broke holds thousands, and most of them have the words that somebody looks for.
#[test]
fn words_of_many_that_are_stuck_are_looked_for_among_the_newest_first() {
    let (_dir, db) = opened();
    db.execute_batch(
        "WITH RECURSIVE n(seq) AS (SELECT 3 UNION ALL SELECT seq + 1 FROM n WHERE seq < 1500)
         INSERT INTO deliveries (seq, event_seq, webhook_uid, webhook, status, attempts, due, created, updated, reason, idempotency_key)
             SELECT seq, 1, 'w', 'w', 4, 0, 0, 0, 0, '', '' FROM n",
    )
    .expect("inserts");
    let held = Selection {
        text: Some("paid".to_owned()),
        status: Some(DeliveryStatus::Held),
        group_uid: Some("g".to_owned()),
        ..Selection::default()
    };
    let plans = plans(&db, &held, None, deliveries::places);
    assert!(plans[0].contains("deliveries_stuck"), "{plans:#?}");
}
