//! What PostgreSQL does for each list, lease and look, over 100,000 events: it walks an index as far as it has to, and reads no table whole.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::log::postgres::{PostgresLog, PostgresOptions};
use hookplane_control_plane::log::{
    Cursor, DeliveryLog, NewDelivery, Queue, Retention, Selection, Settlement,
};
use hookplane_proto::v1::DeliveryStatus;
use hookplane_rules::Timestamp;
use hookplane_tests::clock::TestClock;
use hookplane_tests::engines::postgres::Postgres;

const EVENTS: u32 = 100_000;
const PAGE: usize = 20;

/// Of 100 groups in five orgs, each event with up to two deliveries, nearly all of them delivered. One webhook has a large backlog.
const FILL: &str = "SET search_path = hookplane;
    INSERT INTO events SELECT 'g' || i % 100, 'e' || i, (i / 4)::bigint << 20 | i % 4 * 8, 'org' || i % 5, 'code',
            (array['order.paid', 'order', 'user.made'])[1 + i % 3], i, i, i % 3, 0, NULL, ''::bytea
        FROM generate_series(4, 100003) i;
    INSERT INTO deliveries SELECT group_uid, e.id, n, seq + n, org, 'w' || group_uid || n, 'hook',
            CASE WHEN seq % 97 = 0 THEN 4 WHEN seq % 89 = 0 THEN 5 WHEN group_uid = 'g7' THEN 1 ELSE 3 END, 1, kept, 0, kept, kept, '', 'key'
        FROM events e, generate_series(1, e.deliveries) n;
    INSERT INTO changes SELECT group_uid, ((25100 + row_number() OVER ()) << 20), event_id, n, 3, 1, '', created FROM deliveries WHERE status = 3;
    ANALYZE";

/// Then a backlog of one order key, of a delivery for each event; and each event's text, of which one word in a thousand events is the same.
const FILL_MORE: &str = "SET search_path = hookplane;
    INSERT INTO deliveries (group_uid, event_id, n, seq, org, webhook_uid, webhook, status, attempts, due, lease, created, updated, reason,
            idempotency_key, destination, order_key, order_hash, turn)
        SELECT group_uid, id, 9, seq + 7, org, 'keyed', 'hook', 1, 0, kept, 0, kept, kept, '', 'key', 'crm', 'k', 1,
            CASE id WHEN 'e4' THEN 0 WHEN 'e100003' THEN 1 ELSE 2 END FROM events;
    INSERT INTO texts SELECT group_uid, seq, kept, array_to_tsvector(array['order', 'of' || kept % 7, 'some' || kept % 1000, 'only' || kept,
            '/g/' || group_uid, '/o/' || org, '/12/' || (kept >> 12), '/15/' || (kept >> 15), '/18/' || (kept >> 18), '/21/' || (kept >> 21)])
        FROM events ORDER BY seq;
    INSERT INTO spans SELECT kept >> 12, min(seq), max(seq), min(received), max(received) FROM events GROUP BY kept >> 12;
    UPDATE text_mark SET seq = (SELECT max(seq) FROM events), place = 100003;
    ANALYZE";

/// Words that all have, that one in a thousand has, that one has, and so on.
const TEXTS: [&str; 7] = [
    "order",
    "some7",
    "only4711",
    "only47",
    "only4711 ord",
    "order only4711",
    "nowhere",
];

fn selections() -> Vec<Selection> {
    let any = Selection::default;
    let text = |text: &str| Some(text.to_owned());
    let org = Selection {
        org: text("org2"),
        ..any()
    };
    let group = Selection {
        group_uid: text("g42"),
        ..org.clone()
    };
    let webhook = Selection {
        webhook_uid: text("wg421"),
        ..group.clone()
    };
    let unmatched = Selection {
        unmatched: true,
        ..any()
    };
    let mut all = vec![any(), org, group, webhook, unmatched];
    for index in 0..all.len() {
        all.push(Selection {
            event_type: text("order"),
            since: Some(Timestamp(10)),
            until: Some(Timestamp(99_000)),
            ..all[index].clone()
        });
    }
    all
}

/// The nodes of a plan that was run that gave, or threw away, more than a tenth of all rows.
fn too_much(plan: &str) -> Vec<&str> {
    let figure = |line: &str, name: &str| -> Option<f64> {
        let (_, rest) = line.split_once(name)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    let lines = plan.lines();
    lines
        // What a walk found is read again from memory.
        .filter(|line| !line.contains("CTE Scan"))
        .filter(|line| {
            let rows = line
                .split_once("(actual ")
                .and_then(|(_, actual)| Some(figure(actual, "rows=")? * figure(actual, "loops=")?));
            let removed = figure(line, "Rows Removed by Filter: ");
            rows.or(removed)
                .is_some_and(|rows| rows > f64::from(EVENTS / 10))
        })
        .collect()
}

/// What the test fills the tables with begins so.
const FILLS: &str = "Query Text: SET search_path = hookplane;";

/// The plans that were logged, each with its statement.
fn plans(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).expect("reads");
    text.split(" LOG:  duration: ")
        .skip(1)
        .filter(|entry| entry.contains("plan:") && !entry.contains(FILLS))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn a_page_costs_what_it_shows_among_a_hundred_thousand_events() {
    let postgres = Postgres::start_alone(&[
        "fsync = off",
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_analyze = on",
        "auto_explain.log_timing = off",
        "auto_explain.log_nested_statements = on",
    ]);
    let url = postgres.database("plans");
    let options = PostgresOptions {
        url,
        accept_weaker_durability: true,
        ..PostgresOptions::default()
    };
    let opened = PostgresLog::open(options, Arc::new(TestClock::default()));
    let log = opened.await.expect("opens");
    postgres.sql("plans", FILL);
    let output = postgres.data(0).with_extension("log");
    let before = plans(&output).len();
    for selection in selections() {
        let from = Some(Cursor(15_000 << 20));
        log.events(&selection, from, PAGE).await.expect("reads");
        for status in [None, Some(1), Some(2), Some(3), Some(4), Some(5)] {
            let status = status.map(|status| DeliveryStatus::try_from(status).expect("one"));
            let selection = Selection {
                status,
                ..selection.clone()
            };
            log.deliveries(&selection, from, PAGE).await.expect("reads");
        }
        for after in [15_000u64 << 20, 25_200 << 20] {
            log.tail(&selection, Cursor(after), true, PAGE)
                .await
                .expect("reads");
            let newest = log.tail_newest(&selection, Cursor(after), None, true, PAGE);
            newest.await.expect("reads");
        }
    }
    let minute = Duration::from_secs(60);
    for _ in 0..3 {
        let leases = log
            .lease(&Queue::of_subscribers("wg71"), PAGE, minute)
            .await
            .expect("leases");
        assert_eq!(leases.len(), PAGE);
        let acks = leases
            .into_iter()
            .map(|lease| (lease.token, Settlement::Ack));
        let settled = log.settle(acks.map(Into::into).collect()).await;
        assert_eq!(settled, Ok(vec![true; PAGE]));
    }
    log.event("e99").await.expect("there");
    log.delivery("e5-1").await.expect("there");
    postgres.sql("plans", FILL_MORE);
    let keyed = Queue {
        webhook_uid: "keyed".to_owned(),
        destination: "crm".to_owned(),
    };
    // A backlog of one key costs whoever leases nothing.
    for event in ["e4", "e5", "e6"] {
        let leases = log.lease(&keyed, PAGE, minute).await.expect("leases");
        let ids: Vec<_> = leases
            .iter()
            .map(|lease| &*lease.delivery.event_id)
            .collect();
        assert_eq!(ids, [event]);
        let ack = (leases[0].token.clone(), Settlement::Ack).into();
        assert_eq!(log.settle(vec![ack]).await, Ok(vec![true]));
    }
    let waiting = log.waiting(None, PAGE).await.expect("reads");
    assert_eq!(waiting[0].queue, keyed);
    for selection in selections() {
        for text in TEXTS {
            let selection = Selection {
                text: Some(text.to_owned()),
                ..selection.clone()
            };
            let events = log.events(&selection, None, PAGE).await.expect("reads");
            let any = selection.org.is_none() && selection.since.is_none() && !selection.unmatched;
            if text == "only4711 ord" && any {
                assert_eq!(events[0].0, Cursor(((4711 / 4) << 20) | ((4711 % 4) * 8)));
            }
            log.deliveries(&selection, None, PAGE).await.expect("reads");
        }
    }
    // A time long ago, or yet to come.
    for (since, until) in [
        (None, Some(9_000)),
        (Some(2_000_000), None),
        (Some(5_000), Some(5_001)),
    ] {
        for selection in selections() {
            let selection = Selection {
                since: since.map(Timestamp),
                until: until.map(Timestamp),
                ..selection
            };
            log.events(&selection, None, PAGE).await.expect("reads");
            log.deliveries(&selection, None, PAGE).await.expect("reads");
        }
    }
    for destination in ["crm", "none"] {
        let selection = Selection {
            destination: Some(destination.to_owned()),
            ..Selection::default()
        };
        log.deliveries(&selection, None, PAGE).await.expect("reads");
    }
    let new = NewDelivery {
        webhook_uid: "new".to_owned(),
        ..NewDelivery::default()
    };
    assert_eq!(log.add_deliveries("e99", vec![new]).await, Ok(1));
    let retention = Retention::of_age("g42", minute);
    let gone = log.retain(&retention).await.expect("retains");
    assert_eq!(gone, 0, "what is pending stays");
    log.drop_deliveries("wg71", "gone").await.expect("drops");
    log.usage().await.expect("reads");
    let plans = plans(&output);
    assert!(plans.len() > before + 60, "they are logged");
    let whole = [
        "Seq Scan on events",
        "Seq Scan on deliveries",
        "Seq Scan on texts",
    ];
    let bad: Vec<_> = plans[before..]
        .iter()
        .map(|plan| (too_much(plan), plan))
        .filter(|(much, plan)| !much.is_empty() || whole.iter().any(|whole| plan.contains(whole)))
        .collect();
    // One of each statement.
    let mut texts = BTreeSet::new();
    let told: Vec<_> = bad
        .iter()
        .filter(|(_, plan)| texts.insert(plan.split("LIMIT").next().map(|text| text.get(20..500))))
        .map(|(much, plan)| format!("{much:#?} of {EVENTS} in {plan}"))
        .collect();
    assert!(bad.is_empty(), "{}: {}", bad.len(), told.join("\n\n"));
}
