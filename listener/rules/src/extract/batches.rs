//! Batches within batches, and values that are read of what surrounds an item.

use std::sync::Arc;

use hookplane_proto::v1::EventFlag;

use crate::testing::*;
use crate::{Extracted, Group};

fn protocol(rest: &str) -> String {
    format!("schemes: [{{name: token, token: {{location: \"header:X-Token\"}}}}]\n{rest}")
}

fn read(group: &Group, body: &str) -> Extracted {
    let headers = [("x-token", SECRET), ("content-type", "application/json")];
    group
        .extract(genuine(group, callback(&headers, body.to_owned())))
        .unwrap()
}

/// Type and id of each event, and its text.
fn events(group: &Arc<Group>, body: &str) -> Vec<(String, String, String)> {
    read(group, body)
        .events()
        .iter()
        .map(|event| {
            (
                event.event_type.clone(),
                event.delivery_id.clone(),
                String::from_utf8(event.item.to_vec()).unwrap(),
            )
        })
        .collect()
}

fn of(list: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    list.iter()
        .map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned()))
        .collect()
}

const META: &str = r#"
extract:
  eventType: [{join: ["json:/object", "item:/field"], separator: .}]
  deliveryId: [{join: ["parent:/id", "item:/n"], separator: "-"}]
batch: {items: "json:/entry/*/changes", andItems: ["json:/entry/*/messaging"], maxItems: 4}
"#;

#[test]
fn arrays_in_each_element_are_events_of_their_parent() {
    let group = group(&protocol(META));
    let body = r#"{"object": "page", "entry": [
        {"id": 7, "changes": [{"field": "feed", "n": 1}, {"field": "leads", "n": 2}]},
        {"id": 8, "messaging": [{"field": "text", "n": 3}], "changes": []}]}"#;
    assert_eq!(
        events(&group, body),
        of(&[
            ("page.feed", "7-1", r#"{"field": "feed", "n": 1}"#),
            ("page.leads", "7-2", r#"{"field": "leads", "n": 2}"#),
            ("page.text", "8-3", r#"{"field": "text", "n": 3}"#),
        ])
    );
}

#[test]
fn an_element_without_an_array_is_an_event_itself() {
    let group = group(&protocol(META));
    let body = r#"{"object": "page", "entry": [{"id": 7, "standby": [1]}, {"id": 8, "changes": [{"n": 1}]}, {"id": 9, "changes": []}]}"#;
    assert_eq!(
        events(&group, body),
        of(&[
            ("page", "8-1", r#"{"n": 1}"#),
            ("page", "7", r#"{"id": 7, "standby": [1]}"#),
        ])
    );
    // No element at all: the body is one event.
    let whole = read(&group, r#"{"object": "page", "entry": []}"#);
    assert_eq!(whole.events().len(), 1);
    assert!(whole.events()[0].item.is_empty());
}

#[test]
fn more_items_than_allowed_are_one_undecodable_body_wherever_they_are() {
    let group = group(&protocol(META));
    let entry = |changes: usize| format!("{{\"changes\": [{}]}}", vec!["1"; changes].join(","));
    for entries in [
        vec![entry(5)],
        vec![entry(3), entry(2)],
        vec!["{}".to_owned(); 5],
        vec![entry(0); 5],
    ] {
        let body = format!("{{\"entry\": [{}]}}", entries.join(","));
        assert_eq!(
            read(&group, &body).flags,
            [EventFlag::Undecodable],
            "{body}"
        );
    }
    let body = format!("{{\"entry\": [{}]}}", entry(4));
    assert!(read(&group, &body).flags.is_empty());
}

#[test]
fn a_wildcard_among_members_gives_its_key() {
    let rest = |items: &str| {
        protocol(&format!(
            "extract: {{eventType: [{{from: \"key:\"}}], deliveryId: [{{from: \"item:/id\"}}]}}\nbatch: {{items: \"{items}\"}}"
        ))
    };
    let body = r#"{"merchants": {"M1": [{"id": 1}], "M2": [{"id": 2}, {"id": 3}]}, "time": 5}"#;
    assert_eq!(
        events(&group(&rest("json:/merchants/*")), body),
        of(&[
            ("M1", "1", r#"{"id": 1}"#),
            ("M2", "2", r#"{"id": 2}"#),
            ("M2", "3", r#"{"id": 3}"#),
        ])
    );
    let body = r#"{"for": "u1", "tweet_create_events": [{"id": 1}], "follow_events": [{"id": 2}], "x.a": [{"id": 3}], "x.b": [{"id": 4}]}"#;
    let keys = |items: &str| -> Vec<String> {
        let events = events(&group(&rest(items)), body);
        events.into_iter().map(|(key, ..)| key).collect()
    };
    assert_eq!(
        keys("json:/*_events"),
        ["tweet_create_events", "follow_events"]
    );
    assert_eq!(keys("json:/x.*"), ["x.a", "x.b"]);
    assert_eq!(
        errors(&rest("json:/a*b*c*"))[0].field,
        "spec.protocol.batch.items"
    );
}

#[test]
fn an_event_can_be_named_by_its_member() {
    let group = group(&protocol(
        r#"
extract:
  eventType: [{memberOf: "json:", skip: [for_user_id, users], ending: "_events"}, {memberOf: "json:", skip: [for_user_id, users]}]
  deliveryId: [{memberOf: "json:/inner"}]
"#,
    ));
    let named = |body: &str| {
        let found = events(&group, body);
        (found[0].0.clone(), found[0].1.clone())
    };
    let of = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        named(
            r#"{"for_user_id": 1, "users": {}, "user": null, "b_events": [], "inner": {"x": null, "y": 0}}"#
        ),
        of("b_events", "y")
    );
    assert_eq!(
        named(r#"{"users": 1, "user_event": {}, "inner": []}"#),
        of("user_event", "")
    );
    assert_eq!(named("[]"), of("", ""));
    assert_eq!(named("nonsense"), of("", ""));
}

#[test]
fn values_are_named_as_the_connector_says() {
    let group = group(&protocol(
        "extract: {eventType: [{from: \"json:/code\", values: {\"1\": created, \"2\": deleted}}]}",
    ));
    let named = |body: &str| events(&group, body)[0].0.clone();
    assert_eq!(named("{\"code\": 1}"), "created");
    assert_eq!(named("{\"code\": \"2\"}"), "deleted");
    assert_eq!(named("{\"code\": 3}"), "3");
}

// Risk 33: what isn't done is refused, not ignored.
#[test]
fn values_that_contradict_themselves_are_refused() {
    for (value, field) in [
        ("{from: \"json:/a\", memberOf: \"json:\"}", ""),
        ("{from: \"json:/a\", skip: [x]}", ""),
        ("{memberOf: \"header:X\"}", ".memberOf"),
        ("{memberOf: \"json:/a->lower\"}", ".memberOf"),
        ("{from: \"json:/a\", values: {x: \"\"}}", ".values.x"),
        ("{from: \"param:nobody\"}", ".from"),
        ("{from: \"json:/a/*/b\"}", ".from"),
    ] {
        let found = errors(&protocol(&format!("extract: {{eventType: [{value}]}}")));
        assert_eq!(
            found[0].field,
            format!("spec.protocol.extract.eventType[0]{field}"),
            "{value}"
        );
    }
}

#[test]
fn a_secret_parameter_never_becomes_a_value_of_an_event() {
    let mut definition = definition(&protocol(
        "extract: {externalId: [{from: \"param:token\"}]}",
    ));
    definition.spec.as_mut().unwrap().parameters = vec![hookplane_proto::v1::ConnectorParameter {
        name: "token".to_owned(),
        secret: true,
        ..Default::default()
    }];
    let found = crate::Connector::compile(&definition).unwrap_err();
    assert!(found[0].message.contains("is a secret"), "{found:?}");
}

#[test]
fn what_is_read_in_a_signed_field_of_a_form_is_signed() {
    let unsigned = |content: &str| {
        let group = group(&format!(
            "schemes: [{{name: one, hmac: {{hash: sha256, content: \"{content}\", signature: \"header:X-Sig\", encoding: hex}}}}]\nextract: {{payload: \"form:p\", eventType: [{{from: \"json:/type\"}}], deliveryId: [{{from: \"form:other\"}}]}}"
        ));
        let field = r#"{"type":"a"}"#;
        let state = crate::verify::hash::MacState::new(
            crate::connector::HashKind::Sha256,
            SECRET.as_bytes(),
        );
        let signature = [field, "1"].map(|text| {
            let mut state = state.clone();
            state.update(text.as_bytes());
            hex::encode(state.finish())
        });
        let signature = &signature[usize::from(content.contains("other"))];
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-sig", signature.as_str()),
        ];
        let body = "p=%7B%22type%22%3A%22a%22%7D&other=1";
        let verified = genuine(&group, callback(&headers, body));
        let extracted = group.extract(verified).unwrap();
        assert_eq!(extracted.events()[0].event_type, "a");
        extracted.events()[0].unsigned_values.clone()
    };
    assert_eq!(unsigned("{form:p}"), ["delivery_id"]);
    assert_eq!(unsigned("{form:other}"), ["type"]);
}
