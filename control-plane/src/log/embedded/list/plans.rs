//! What SQLite does for each list: it walks an index, in the order of the answer.

use std::cell::RefCell;

use hookplane_proto::v1::DeliveryStatus;
use hookplane_rules::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::log::embedded::index::Index;
use crate::log::embedded::schema;
use crate::log::{Cursor, Selection};

thread_local! {
    /// Of the statements that were run.
    static PLANS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Looks at the plan of a statement that is about to be run.
pub(super) fn note(db: &Connection, sql: &str, values: &[Value]) {
    let mut plan = db
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .expect("is SQL");
    let steps = plan
        .query_map(params_from_iter(values), |row| row.get::<_, String>(3))
        .expect("runs");
    let steps: Vec<String> = steps.collect::<Result<_, _>>().expect("reads");
    PLANS.with_borrow_mut(|plans| plans.push(steps.join("; ")));
}

fn noted() -> Vec<String> {
    PLANS.with_borrow_mut(std::mem::take)
}

/// A log of one event with two deliveries, one of them added.
fn opened() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, _, db) = schema::open(dir.path(), true).expect("opens");
    Index::open(dir.path(), 0).expect("opens");
    Index::attach(dir.path(), &db).expect("attaches");
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
            for of_events in [true, false] {
                let done = if of_events {
                    super::events(&db, selection, before, 10).map(drop)
                } else {
                    super::deliveries(&db, selection, before, 10).map(drop)
                };
                // Words are looked for in the record, which is of no event.
                assert!(done.is_ok() || selection.text.is_some());
                for plan in noted() {
                    let few = selection.status == Some(DeliveryStatus::Pending)
                        && plan.contains("deliveries_pending");
                    assert!(!plan.contains("SCAN") || few, "{selection:?}: {plan}");
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
    let of_events = |selection: &Selection| super::events(&db, selection, None, 10).map(drop);
    let of_deliveries =
        |selection: &Selection| super::deliveries(&db, selection, None, 10).map(drop);
    for (selection, events, deliveries) in [
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
            "deliveries_stuck (status=? AND seq<?",
        ),
        (
            Selection {
                status: Some(DeliveryStatus::Dead),
                ..webhook()
            },
            "",
            "deliveries_stuck_of (webhook_uid=? AND status=? AND seq<?",
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
            "deliveries_leased (seq<?",
        ),
    ] {
        of_events(&selection).expect("reads");
        let plans = noted();
        assert!(plans[0].contains(events), "{selection:?}: {plans:#?}");
        of_deliveries(&selection).expect("reads");
        let plans = noted();
        assert!(plans[0].contains(deliveries), "{selection:?}: {plans:#?}");
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
        of_events(&selection).expect("reads");
        of_deliveries(&selection).expect("reads");
        assert!(
            noted()
                .iter()
                .any(|plan| plan.starts_with("SEARCH e USING INTEGER PRIMARY KEY (rowid=?)")),
            "{selection:?}"
        );
    }
    note(
        &db,
        crate::log::embedded::index::FIND,
        &[Value::Text("\"a\"".into()), 1.into(), 2.into()],
    );
    let plan = noted().remove(0);
    assert!(
        plan.contains("VIRTUAL TABLE INDEX") && !plan.contains("TEMP B-TREE"),
        "{plan}"
    );
}
