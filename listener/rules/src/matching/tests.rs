use super::*;
use crate::testing::*;

const PROTOCOL: &str = r#"
schemes: [{name: token, token: {location: "header:X-Token"}}]
extract:
  eventType: [{from: "item:/type"}, {from: "header:X-Type"}]
  deliveryId: [{from: "item:/id"}]
batch: {items: "json:"}
"#;

fn matched(group: &Group, body: &str) -> Matched {
    let headers = [
        ("x-token", SECRET),
        ("x-type", "told"),
        ("content-type", "application/json"),
    ];
    let verified = genuine(group, callback(&headers, body.to_owned()));
    group.match_events(group.extract(verified).unwrap())
}

fn report(matched: Matched) -> v1::ReportedCallback {
    matched.into_report([7; 16], 42, NOW)
}

#[test]
fn every_webhook_gets_a_verdict_with_its_reason() {
    let mut off = webhook("off", &["*"], "");
    off.spec.as_mut().unwrap().active = false;
    let webhooks = [
        webhook("all", &["*"], ""),
        off,
        webhook("other", &["refunds"], ""),
        webhook("large", &["orders"], "payload.total > 100"),
        webhook("template", &[], ""),
    ];
    let group = group_of(PROTOCOL, &webhooks, |_| {});
    let matched = matched(
        &group,
        r#"{"type": "orders.paid", "id": "1", "total": 12.50}"#,
    );
    assert_eq!(matched.outcome(), &Outcome::Keep);
    assert_eq!(matched.secret_name(), Some("secret-1"));
    let report = report(matched);
    let verdicts: Vec<_> = report.events[0]
        .matches
        .iter()
        .map(|one| (one.webhook_uid.as_str(), one.matched, one.reason.as_str()))
        .collect();
    assert_eq!(verdicts[0], ("all-uid", true, ""));
    assert_eq!(verdicts[1], ("off-uid", false, "webhook inactive"));
    assert_eq!(
        verdicts[2],
        ("other-uid", false, "not one of its events: `orders.paid`")
    );
    assert!(!verdicts[3].1 && !verdicts[3].2.is_empty());
    assert_eq!(verdicts.len(), 4);
    assert!(group.keeps(&report));
}

#[test]
fn the_report_carries_the_body_as_it_came_and_no_credential() {
    let group = group_of(PROTOCOL, &[webhook("all", &["*"], "")], |_| {});
    let body = "{\"type\": \"a\", \"id\": \"1\", \"price\": 12.50}\r\n";
    let report = report(matched(&group, body));
    assert_eq!(report.body, body);
    assert_eq!(report.request_id, vec![7; 16]);
    assert_eq!(
        (report.plan_revision, report.group_uid.as_str()),
        (42, "group-uid")
    );
    assert!(!format!("{:?}", report.headers).contains(SECRET));
    assert_eq!(report.content_type, "application/json");
    assert_eq!(report.receive_time.unwrap().nanos, 500_000_000);
}

#[test]
fn what_is_not_registered_or_not_wanted_is_not_kept_unless_captured() {
    let narrow = |capture: bool| {
        group_of(PROTOCOL, &[webhook("paid", &["orders.paid"], "")], |spec| {
            spec.registered_events = vec!["orders".to_owned()];
            spec.capture_unmatched = capture;
        })
    };
    let clause = |group: &Group, body: &str| match matched(group, body).outcome() {
        Outcome::Keep => "keep",
        Outcome::NotKept { clause, reason } => {
            assert!(!reason.is_empty());
            clause
        }
    };
    let group = narrow(false);
    assert_eq!(clause(&group, r#"{"type": "orders.paid"}"#), "keep");
    assert_eq!(clause(&group, r#"{"type": "orders.made"}"#), "not-matched");
    assert_eq!(clause(&group, r#"{"type": "refunds"}"#), "not-registered");
    // One event of a batch keeps them all.
    assert_eq!(
        clause(&group, r#"[{"type": "refunds"}, {"type": "orders.paid"}]"#),
        "keep"
    );
    let group = narrow(true);
    assert_eq!(clause(&group, r#"{"type": "orders.made"}"#), "keep");
    assert_eq!(clause(&group, r#"{"type": "refunds"}"#), "not-registered");
}

#[test]
fn an_undecodable_body_is_held_for_filters_and_matched_for_others() {
    let webhooks = [
        webhook("all", &["*"], ""),
        webhook("filtered", &["*"], "payload.a == 1"),
    ];
    let group = group_of(PROTOCOL, &webhooks, |_| {});
    let report = report(matched(&group, "not json"));
    let matches = &report.events[0].matches;
    assert!(matches[0].matched && matches[0].hold.is_empty());
    assert!(matches[1].matched && !matches[1].hold.is_empty());
    assert_eq!(report.events[0].r#type, "told");
}

#[test]
fn a_rematch_reads_any_body_as_it_was_read_when_it_came() {
    let protocol = r#"
schemes: [{name: token, token: {location: "header:X-Token"}}]
extract: {eventType: [{from: "json:/a/type"}, {from: "form:type"}, {from: "json:/0/type"}], payload: "form:data->base64"}
"#;
    let old = group_of(protocol, &[], |_| {});
    let webhooks = |filter| [webhook("one", &["paid"], filter)];
    let part = "--b\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\npaid\r\n--b--";
    for (content_type, body, filter) in [
        (
            "text/xml",
            "<a><type>paid</type></a>",
            "payload.a.type == 'paid'",
        ),
        (
            "multipart/form-data; boundary=b",
            part,
            "payload.type == 'paid'",
        ),
        (
            "application/x-ndjson",
            "{\"type\":\"paid\"}\n2",
            "payload[1] == 2",
        ),
        (
            "application/x-www-form-urlencoded",
            "type=paid&data=eyJiIjoxfQ",
            "payload.b == 1",
        ),
    ] {
        let new = group_of(protocol, &webhooks(filter), |_| {});
        let read = |group: &Group| {
            let headers = [("x-token", SECRET), ("content-type", content_type)];
            let verified = genuine(group, callback(&headers, body.to_owned()));
            report(group.match_events(group.extract(verified).unwrap()))
        };
        let fresh = read(&new);
        assert!(new.keeps(&fresh), "{content_type}: {:?}", fresh.events);
        let mut again = read(&old);
        assert_eq!(again.body, body, "as it came");
        new.rematch(&mut again);
        assert_eq!(
            again.events[0].matches, fresh.events[0].matches,
            "{content_type}"
        );
    }
}

#[test]
fn a_rematch_from_the_wire_alone_says_what_the_match_would() {
    let old = group_of(PROTOCOL, &[], |_| {});
    let webhooks = [
        webhook("all", &["*"], ""),
        webhook(
            "one",
            &["a"],
            "payload.id == '1' && headers['x-type'] == 'told'",
        ),
    ];
    let new = group_of(PROTOCOL, &webhooks, |_| {});
    for body in [
        r#"{"type": "a", "id": "1"}"#,
        r#"[{"type": "a", "id": "1"}, {"type": "a", "id": "2"}]"#,
        "not json",
    ] {
        let mut again = report(matched(&old, body));
        assert!(!old.keeps(&again));
        new.rematch(&mut again);
        assert!(new.keeps(&again));
        let fresh = report(matched(&new, body));
        let verdicts = |callback: &v1::ReportedCallback| -> Vec<(bool, bool)> {
            callback
                .events
                .iter()
                .flat_map(|event| &event.matches)
                .map(|one| (one.matched, one.hold.is_empty()))
                .collect()
        };
        assert_eq!(verdicts(&again), verdicts(&fresh), "{body}");
    }
}

// Risk 9: what the filters of one callback do is bounded by one budget, whatever the number of its events and webhooks.
#[test]
fn filters_of_one_callback_share_what_they_may_do_and_the_rest_is_held() {
    // What a step costs grows with what the loops around it hold: a long string makes few steps dear.
    let event = serde_json::json!({
        "type": "a", "id": "1", "a": ["x".repeat(60_000)], "b": (0..40).collect::<Vec<_>>(),
    });
    let body = serde_json::Value::from(vec![event; 150]).to_string();
    let webhooks = [
        webhook("all", &["*"], ""),
        webhook("dear", &["*"], "payload.a.all(x, payload.b.all(y, y >= 0))"),
        webhook("cheap", &["*"], "payload.id == '2'"),
    ];
    let group = group_of(PROTOCOL, &webhooks, |spec| {
        spec.max_body_bytes = Some(20 << 20);
    });
    let fresh = report(matched(&group, &body));
    assert_eq!(fresh.events.len(), 150);
    let held = |webhook: usize| -> Vec<bool> {
        let of_events = fresh.events.iter().map(|event| &event.matches[webhook]);
        of_events.map(|one| !one.hold.is_empty()).collect()
    };
    let asked = held(1).iter().take_while(|held| !**held).count();
    // One event's may cost 4,120,000 units and does cost a million.
    assert!((24..100).contains(&asked), "{asked}");
    assert!(held(1)[asked..].iter().all(|held| *held));
    let cheap = held(2);
    let (before, after) = cheap.split_at(asked);
    assert!(!before.contains(&true) && !after.contains(&false));
    assert!(!held(0).contains(&true), "no filter, nothing to be held");
    // Nothing is lost: it waits, and says what to do.
    let last = &fresh.events[149].matches[2];
    assert!(last.matched && last.hold.contains("simplify"), "{last:?}");
    assert!(fresh.events[0].matches[1].matched && !fresh.events[0].matches[2].matched);
    // The control plane's own look is bounded as well, and says the same.
    let mut again = fresh.clone();
    group.rematch(&mut again);
    assert_eq!(again.events, fresh.events);
}
