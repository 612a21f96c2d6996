use std::sync::Arc;

use super::build::*;
use super::checked::*;
use super::*;
use crate::log::NewCallback;
use crate::report::identity;
use hookplane_proto::v1::EventFlag;

const KEY: [u8; 32] = [3; 32];

fn group() -> v1::WebhookGroup {
    v1::WebhookGroup {
        metadata: Some(v1::Metadata {
            org: "acme".to_owned(),
            name: "shop".to_owned(),
            uid: "g".to_owned(),
            ..Default::default()
        }),
        spec: Some(v1::WebhookGroupSpec::default()),
        status: None,
    }
}

fn webhook(uid: &str) -> Arc<v1::Webhook> {
    Arc::new(v1::Webhook {
        metadata: Some(v1::Metadata {
            name: format!("name-of-{uid}"),
            uid: uid.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn event(index: u32, matched: &[&str]) -> v1::ReportedEvent {
    v1::ReportedEvent {
        index,
        in_batch: true,
        registered: true,
        item: format!("item {index}").into(),
        matches: matched
            .iter()
            .map(|uid| v1::ReportedMatch {
                webhook_uid: (*uid).to_owned(),
                matched: true,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

fn callback(events: Vec<v1::ReportedEvent>) -> v1::ReportedCallback {
    v1::ReportedCallback {
        request_id: vec![1; 16].into(),
        body: "[]".into(),
        events,
        ..Default::default()
    }
}

fn built(group: &v1::WebhookGroup, callback: v1::ReportedCallback) -> NewCallback {
    build(
        &identity::Key::new(&KEY),
        group,
        &[webhook("w")],
        [1; 16],
        callback,
    )
}

#[test]
fn only_the_wanted_events_of_a_batch_are_kept() {
    let new = built(&group(), callback(vec![event(0, &[]), event(1, &["w"])]));
    assert_eq!(new.events.len(), 1);
    assert!(new.events[0].event.id.ends_with(".1"));
    assert_eq!(new.events[0].event.body, "item 1");
    assert_eq!(new.events[0].deliveries[0].webhook, "name-of-w");
    assert_eq!(new.dedup_window, Duration::from_secs(7 * SECONDS_PER_DAY));
}

// Risk 7: colliding or unstable ids. They are of what came, whatever was taken out of it.
#[test]
fn what_is_redacted_changes_no_identity() {
    let mut whole = event(0, &["w"]);
    (whole.in_batch, whole.delivery_id) = (false, "d".to_owned());
    let identities = |mut event: v1::ReportedEvent, came: &[u8], left: &'static str, item: bool| {
        let is_whole = came == left.as_bytes();
        let digest = match is_whole {
            true => Default::default(),
            false => bytes::Bytes::copy_from_slice(&identity::digest(came)),
        };
        (event.item, event.item_digest) = match item {
            true => (left.into(), digest.clone()),
            false => Default::default(),
        };
        let mut callback = callback(vec![event]);
        if !item {
            (callback.body, callback.body_digest) = (left.into(), digest);
        }
        if !is_whole {
            callback.redacted = vec!["payload.email".to_owned()];
        }
        let new = built(&group(), callback).events.remove(0);
        let key = new.deliveries[0].idempotency_key.clone();
        (new.dedup, key, new.event.identity)
    };
    for unique in [true, false] {
        whole.delivery_id_is_unique = unique;
        let of = |came: &[u8], left, item| identities(whole.clone(), came, left, item);
        for item in [true, false] {
            let as_it_came = of(b"all of it", "all of it", item);
            assert_eq!(of(b"all of it", "some of it", item), as_it_came);
            let other = of(b"all of that", "some of it", item);
            assert_ne!(other.0.body_digest, as_it_came.0.body_digest);
            assert_eq!(other.1 == as_it_came.1, unique, "the id decides alone");
        }
    }
}

// Risk 8: the window is the group's own, in days.
#[test]
fn a_group_says_for_how_long_repeats_are_told() {
    let mut group = group();
    group.spec.get_or_insert_default().dedup_window_days = 30;
    let new = built(&group, callback(vec![event(0, &["w"])]));
    assert_eq!(new.dedup_window, Duration::from_secs(30 * SECONDS_PER_DAY));
}

#[test]
fn a_group_that_captures_keeps_the_unmatched_too_and_says_so() {
    let mut group = group();
    group.spec.get_or_insert_default().capture_unmatched = true;
    let new = built(&group, callback(vec![event(0, &[]), event(1, &["w"])]));
    assert_eq!(new.events.len(), 2);
    let unmatched = i32::from(EventFlag::Unmatched);
    assert!(new.events[0].event.flags.contains(&unmatched));
    assert!(!new.events[1].event.flags.contains(&unmatched));
}

#[test]
fn a_deleted_webhooks_delivery_is_dropped_with_a_reason() {
    let new = built(&group(), callback(vec![event(0, &["w", "gone"])]));
    assert_eq!(new.events[0].deliveries.len(), 1);
    let verdict = &new.events[0].event.verdicts[1];
    assert!(!verdict.matched);
    assert_eq!(verdict.reason, "the webhook was deleted");
}

#[test]
fn a_webhook_named_twice_gets_one_delivery() {
    let new = built(&group(), callback(vec![event(0, &["w", "w"])]));
    assert_eq!(new.events[0].deliveries.len(), 1);
}

#[test]
fn only_our_own_mark_makes_a_test() {
    let mut forged = callback(vec![event(0, &["w"])]);
    forged.flags = vec![EventFlag::Test.into()];
    forged.test_mark = "00".repeat(32);
    let test = i32::from(EventFlag::Test);
    assert!(
        !built(&group(), forged.clone()).events[0]
            .event
            .flags
            .contains(&test)
    );
    forged.test_mark = identity::test_mark(
        &identity::Key::new(&KEY),
        "g",
        &identity::digest(&forged.body),
    );
    assert!(
        built(&group(), forged).events[0]
            .event
            .flags
            .contains(&test)
    );
}

#[test]
fn what_is_malformed_is_refused_with_a_reason() {
    let good = callback(vec![event(0, &["w"]), event(1, &["w"])]);
    assert!(checked(&good).is_ok());
    let mut bad = good.clone();
    bad.request_id = vec![1; 15].into();
    assert!(checked(&bad).is_err());
    let mut bad = good.clone();
    bad.events.clear();
    assert!(checked(&bad).is_err());
    let mut bad = good.clone();
    bad.events[1].index = 0;
    assert!(checked(&bad).is_err());
    let mut bad = good.clone();
    bad.events[1].in_batch = false;
    assert!(checked(&bad).is_err());
    let mut bad = good.clone();
    bad.events[0].delivery_id = "x".repeat(MAX_TEXT_BYTES + 1);
    assert!(checked(&bad).is_err());
    let mut bad = good;
    bad.events = (0..=MAX_EVENTS as u32).map(|i| event(i, &[])).collect();
    assert!(checked(&bad).is_err());
}

// What a listener reports may not grow here: it is checked before anything is copied.
#[test]
fn what_would_be_kept_many_times_over_is_refused() {
    let bounded = |callback: &v1::ReportedCallback| checked(callback).map(|_| ());
    let two = || callback(vec![event(0, &[]), event(1, &[])]);
    assert_eq!(bounded(&two()), Ok(()));
    let mut whole_body_for_each = two();
    whole_body_for_each.events[1].item.clear();
    assert!(
        bounded(&whole_body_for_each)
            .unwrap_err()
            .contains("no item")
    );

    let mut head_for_each = callback((0..10_000).map(|n| event(n, &[])).collect());
    assert_eq!(bounded(&head_for_each), Ok(()));
    head_for_each.query = "q".repeat(MAX_COPIED_BYTES / 10_000 + 1);
    assert!(
        bounded(&head_for_each)
            .unwrap_err()
            .contains("times events")
    );

    for field in ["content_type", "method"] {
        let mut head = two();
        match field {
            "method" => head.method = "x".repeat(MAX_HEAD_BYTES + 1),
            _ => head.content_type = "x".repeat(MAX_HEAD_BYTES + 1),
        }
        assert!(bounded(&head).is_err(), "{field}");
    }
    let mut matches = two();
    let made_up = event(0, &["made up"]).matches.remove(0);
    matches.events[0].matches = vec![made_up.clone(); MAX_MATCHES + 1];
    assert!(bounded(&matches).unwrap_err().contains("matches"));
    let mut long = two();
    long.events[0].matches = vec![v1::ReportedMatch {
        reason: "x".repeat(MAX_TEXT_BYTES),
        ..made_up
    }];
    assert!(bounded(&long).unwrap_err().contains("match is larger"));
    let mut names = two();
    names.events[0].unsigned_values = vec!["x".repeat(1_024); 65];
    assert!(bounded(&names).unwrap_err().contains("unsigned_values"));
}
