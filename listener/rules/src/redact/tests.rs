use bytes::Bytes;
use hookplane_proto::v1::{self, EventFlag, PayloadFormat};
use proptest::prelude::*;
use prost::Message;
use serde_json::Value;

use crate::testing::*;
use crate::{FieldError, Group, payload};
use std::sync::Arc;

mod hostile;
mod often;
mod reported;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

const HEADER: &str = r#"
schemes: [{name: token, token: {location: "header:X-Token"}}]
extract:
  eventType: [{from: "json:/type"}, {from: "form:type"}, {from: "header:X-Type"}]
"#;
const BATCH: &str = r#"
schemes: [{name: token, token: {location: "json:/value/*/state"}}]
extract: {eventType: [{from: "item:/type"}]}
batch: {items: "json:/value"}
"#;

fn redaction(path: &str, mask: bool) -> v1::Redaction {
    v1::Redaction {
        path: path.to_owned(),
        mask,
    }
}

fn redacting(protocol: &str, redact: &[(&str, bool)], filter: &str) -> Arc<Group> {
    group_of(protocol, &[webhook("all", &["*"], filter)], |spec| {
        spec.redact = redact
            .iter()
            .map(|(path, mask)| redaction(path, *mask))
            .collect();
    })
}

fn reported(group: &Group, content_type: &str, body: impl Into<Bytes>) -> v1::ReportedCallback {
    let headers = [
        ("x-token", SECRET),
        ("x-type", "told"),
        ("content-type", content_type),
        ("content-digest", "sha-256=:c2VjcmV0:"),
    ];
    let verified = genuine(group, callback(&headers, body));
    let matched = group.match_events(group.extract(verified).unwrap());
    matched.into_report([7; 16], 42, NOW)
}

fn body_of(report: &v1::ReportedCallback) -> &str {
    std::str::from_utf8(&report.body).unwrap()
}

fn refused(path: &str) -> Vec<FieldError> {
    group_with(HEADER, |spec| {
        spec.redact = vec![redaction("payload.a", false), redaction(path, false)];
    })
    .unwrap_err()
}

#[test]
fn a_path_is_dropped_or_masked_and_all_else_stays_byte_for_byte() {
    for (path, mask, body, expected) in [
        (
            "payload.b",
            false,
            r#"{ "a" : 12.50 , "b" : "x" , "c":1e3 }"#,
            r#"{ "a" : 12.50 , "c":1e3 }"#,
        ),
        (
            "payload.a",
            false,
            r#"{ "a" : 1 , "b": 2 }"#,
            r#"{ "b": 2 }"#,
        ),
        ("payload.b", false, r#"{"a":1,"b":2}"#, r#"{"a":1}"#),
        ("payload.a", false, r#"{ "a" : {"x": [1,2]} }"#, r#"{  }"#),
        (
            "payload.a",
            true,
            r#"{"a": 10.00, "b": 1}"#,
            r#"{"a": "***", "b": 1}"#,
        ),
        (
            "payload.a",
            true,
            r#"{"a": null, "b": 1}"#,
            r#"{"a": null, "b": 1}"#,
        ),
        (
            "payload.a",
            true,
            r#"{"a": {"x": "1", "y": [true, -2.5e3, null, "\"}"]}, "b": "{"}"#,
            r#"{"a": {"x": "***", "y": ["***", "***", null, "***"]}, "b": "{"}"#,
        ),
        (
            "payload.a[*].s",
            false,
            r#"{"a": [{"s":1,"t":2},{"t":3},{"s":4}]}"#,
            r#"{"a": [{"t":2},{"t":3},{}]}"#,
        ),
        (
            "payload.a[1]",
            false,
            "{\"a\": [1, 2,\n 3]}",
            "{\"a\": [1, null,\n 3]}",
        ),
        (
            "payload.a[0]",
            false,
            r#"{"a": [{"b": 1}, 2]}"#,
            r#"{"a": [null, 2]}"#,
        ),
        (
            "payload.a[*]",
            false,
            r#"{"a": [1, [2], {"b": 3}]}"#,
            r#"{"a": []}"#,
        ),
        (
            "payload.a[*]",
            true,
            r#"{"a": [1, [2], {"b": 3}]}"#,
            r#"{"a": ["***", ["***"], {"b": "***"}]}"#,
        ),
        (
            "payload[\"a.b\"]",
            false,
            r#"{"a.b": 1, "a": {"b": 2}}"#,
            r#"{"a": {"b": 2}}"#,
        ),
        // However the key is written.
        (
            "payload.email",
            false,
            r#"{"e\u006dail": "x", "b": 1}"#,
            r#"{"b": 1}"#,
        ),
        (
            "payload.none.at.all",
            false,
            r#"{"a": 12.50}"#,
            r#"{"a": 12.50}"#,
        ),
    ] {
        let group = redacting(HEADER, &[(path, mask)], "");
        let report = reported(&group, JSON, body);
        assert_eq!(body_of(&report), expected, "{path}");
        assert_eq!(report.events[0].format(), PayloadFormat::Json);
        let changed = body != expected;
        assert_eq!(
            report.redacted,
            if changed { vec![path] } else { vec![] },
            "{path}"
        );
        assert_eq!(report.body_digest.len(), if changed { 32 } else { 0 });
        assert_eq!(report.headers.contains_key("content-digest"), !changed);
    }
}

#[test]
fn to_drop_is_more_than_to_mask_and_rules_may_overlap() {
    let rules = [
        ("payload.a", true),
        ("payload.a.b", false),
        ("payload.c", true),
        ("payload.c", false),
    ];
    let group = redacting(HEADER, &rules, "");
    let report = reported(&group, JSON, r#"{"x": 1, "a": {"b": 1, "d": 2}, "c": 3}"#);
    // What is masked is masked whole.
    assert_eq!(
        body_of(&report),
        r#"{"x": 1, "a": {"b": "***", "d": "***"}}"#
    );
    let group = redacting(
        HEADER,
        &[
            ("payload.a", false),
            ("payload.b", false),
            ("payload.d", false),
        ],
        "",
    );
    let report = reported(&group, JSON, r#"{"a": 1, "b": 2, "c": 3, "d": 4}"#);
    assert_eq!(body_of(&report), r#"{"c": 3}"#);
}

#[test]
fn filters_see_what_is_left() {
    let group = redacting(
        HEADER,
        &[("payload.email", false)],
        "payload.email == 'a@b.c'",
    );
    let report = reported(&group, JSON, r#"{"email": "a@b.c"}"#);
    let verdict = &report.events[0].matches[0];
    assert!(!verdict.matched, "{verdict:?}");
    // And what is matched again is the same.
    let mut again = report.clone();
    group.rematch(&mut again);
    assert_eq!(again, report);
}

#[test]
fn type_and_ids_are_read_before() {
    let group = redacting(HEADER, &[("payload.type", false)], "");
    let report = reported(&group, JSON, r#"{"type": "paid"}"#);
    assert_eq!(report.events[0].r#type, "paid");
    assert_eq!(body_of(&report), "{}");
}

#[test]
fn a_form_loses_fields_and_keeps_the_others_as_they_were_written() {
    let group = redacting(
        HEADER,
        &[
            ("payload.email", false),
            ("payload.phone", true),
            ("payload.tag[1]", false),
        ],
        "",
    );
    let body = "type=p%61id&email=a%40b.c&&phone=1+2&tag=1&tag=2&tag=3&e%6Dail=again&x=%C3%A4";
    let report = reported(&group, FORM, body);
    assert_eq!(
        body_of(&report),
        "type=p%61id&&phone=***&tag=1&tag=&tag=3&x=%C3%A4"
    );
    assert_eq!(report.redacted.len(), 3);
    assert_eq!(report.events[0].r#type, "paid");
}

#[test]
fn a_payload_in_a_forms_field_is_redacted_in_it() {
    for (place, encode) in [
        ("form:data", (|text| text) as fn(String) -> String),
        ("form:data->base64", |text| {
            use base64::Engine as _;
            crate::encoding::BASE64.encode(text)
        }),
    ] {
        let protocol = format!(
            "schemes: [{{name: token, token: {{location: \"header:X-Token\"}}}}]\nextract: {{eventType: [{{from: \"json:/type\"}}], payload: \"{place}\"}}"
        );
        let group = redacting(&protocol, &[("payload.email", false)], "payload.n == 1");
        let form = |text: &str| {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("a", "b")
                .append_pair("data", &encode(text.to_owned()));
            form.finish()
        };
        let report = reported(
            &group,
            FORM,
            form(r#"{"type": "t", "email": "a@b.c", "n": 1}"#),
        );
        assert_eq!(body_of(&report), form(r#"{"type": "t", "n": 1}"#));
        assert!(report.events[0].matches[0].matched);
        let mut again = report.clone();
        group.rematch(&mut again);
        assert_eq!(again, report);
    }
}

#[test]
fn xml_lines_and_parts_become_the_json_that_they_read_as() {
    let part = |name: &str, more: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{value}\r\n")
    };
    let parts = [
        part("email", "", "a@b.c"),
        part("n", "", "1"),
        part("photo", "; filename=\"x.png\"", "a@b.c in a file"),
        "--b--".to_owned(),
    ]
    .concat();
    for (came_as, content_type, body, path, expected) in [
        (
            PayloadFormat::Xml,
            "text/xml",
            "<e><email>a@b.c</email><n>1</n></e>",
            "payload.e.email",
            r#"{"e":{"n":"1"}}"#,
        ),
        (
            PayloadFormat::Ndjson,
            "application/x-ndjson",
            "{\"email\":\"a@b.c\"}\n{\"n\":1}",
            "payload[*].email",
            r#"[{},{"n":1}]"#,
        ),
        (
            PayloadFormat::Multipart,
            "multipart/form-data; boundary=b",
            &parts,
            "payload.email",
            r#"{"n":"1"}"#,
        ),
        // Nobody looks into files, so they are left out in any case.
        (
            PayloadFormat::Multipart,
            "multipart/form-data; boundary=b",
            &parts,
            "payload.other",
            r#"{"email":"a@b.c","n":"1"}"#,
        ),
    ] {
        let group = redacting(HEADER, &[(path, false)], "");
        let report = reported(&group, content_type, body.to_owned());
        assert_eq!(body_of(&report), expected, "{content_type}");
        assert_eq!(report.events[0].format(), PayloadFormat::Json);
        assert_eq!(report.events[0].came_as(), came_as);
        // Whoever looks again doesn't take it for what it has become.
        let mut again = report.clone();
        group.redact(&mut again);
        assert_eq!(again, report);
        let mut late = reported(&redacting(HEADER, &[], ""), content_type, body.to_owned());
        assert_eq!(late.events[0].came_as(), PayloadFormat::Unspecified);
        group.redact(&mut late);
        assert_eq!(late.events[0].came_as(), came_as);
        assert_eq!(
            (
                report.content_type.as_str(),
                report.headers["content-type"].as_str()
            ),
            (JSON, JSON)
        );
        let kept = v1::Event {
            body: report.body.clone(),
            format: report.events[0].format,
            content_type: report.content_type.clone(),
            ..Default::default()
        };
        assert_eq!(payload::to_json(&kept).unwrap(), expected);
    }
}

#[test]
fn a_packed_body_is_redacted_unpacked() {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer
        .write_all(br#"{"email": "a@b.c", "n": 1.0}"#)
        .unwrap();
    let group = redacting(HEADER, &[("payload.email", false)], "payload.n == 1.0");
    let headers = [
        ("x-token", SECRET),
        ("content-encoding", "gzip"),
        ("content-type", JSON),
    ];
    let verified = genuine(&group, callback(&headers, packer.finish().unwrap()));
    let mut report = group
        .match_events(group.extract(verified).unwrap())
        .into_report([7; 16], 42, NOW);
    assert_eq!(body_of(&report), r#"{"n": 1.0}"#);
    assert!(!report.headers.contains_key("content-encoding"));
    group.rematch(&mut report);
    assert!(report.events[0].matches[0].matched, "{report:?}");
}

#[test]
fn what_cannot_be_decoded_is_kept_without_its_body() {
    let group = redacting(HEADER, &[("payload.email", false)], "");
    for body in [
        "{\"email\": \"a@b.c\", \"email\": \"a@b.c\"}",
        "a@b.c",
        "[\"a@b.c\"",
    ] {
        let report = reported(&group, JSON, body);
        assert_eq!(report.body, "");
        assert_eq!(report.redacted, ["payload"]);
        assert_eq!(report.flags, [i32::from(EventFlag::Undecodable)]);
        assert_eq!(report.body_digest.len(), 32);
        assert!(
            !report.undecodable_reason.is_empty() && !report.undecodable_reason.contains("a@b.c")
        );
        assert!(report.events[0].matches[0].matched);
    }
}

#[test]
fn each_item_of_a_batch_is_redacted_and_the_body_around_them_left_out() {
    let group = redacting(BATCH, &[("payload.email", false)], "");
    let body = format!(
        r#"{{"value": [{{"type": "a", "email": "a@b.c", "state": "{SECRET}"}}, {{"type": "b", "state": "{SECRET}", "n": 1.00}}]}}"#
    );
    let report = reported(&group, JSON, body);
    assert_eq!(report.body, "");
    let items: Vec<_> = report
        .events
        .iter()
        .map(|event| event.item.clone())
        .collect();
    assert_eq!(
        items,
        [
            r#"{"type": "a", "state": "***"}"#,
            r#"{"type": "b", "state": "***", "n": 1.00}"#
        ]
    );
    assert_eq!(report.redacted, ["payload.email", "payload.value[*].state"]);
    assert!(
        report
            .events
            .iter()
            .all(|event| event.item_digest.len() == 32)
    );
    assert_eq!(report.body_digest.len(), 32);
}

#[test]
fn a_shared_secret_that_stands_in_the_body_is_masked_without_being_asked_for() {
    for (location, content_type, body, expected) in [
        (
            "json:/auth/key",
            JSON,
            r#"{"auth": {"key": "SECRET"}, "a": 1.0}"#,
            r#"{"auth": {"key": "***"}, "a": 1.0}"#,
        ),
        ("form:key", FORM, "key=SECRET&a=%20", "key=***&a=%20"),
    ] {
        let protocol = format!(
            "schemes: [{{name: token, token: {{location: \"{location}\"}}}}]\nextract: {{eventType: [{{from: \"json:/type\"}}]}}"
        );
        let body = body.replace("SECRET", SECRET);
        let report = reported(&redacting(&protocol, &[], ""), content_type, body.clone());
        assert_eq!(body_of(&report), expected);
        let public = protocol.replace(
            &format!("\"{location}\""),
            &format!("\"{location}\", public: true"),
        );
        let report = reported(&redacting(&public, &[], ""), content_type, body.clone());
        assert_eq!(body_of(&report), body);
    }
    let in_field = r#"
schemes: [{name: token, token: {location: "form:data->json:/token"}}]
extract: {eventType: [{from: "json:/type"}], payload: "form:data"}
"#;
    let body = format!("data=%7B%22token%22%3A%22{SECRET}%22%7D");
    let report = reported(&redacting(in_field, &[], ""), FORM, body);
    assert_eq!(body_of(&report), "data=%7B%22token%22%3A%22***%22%7D");
}

#[test]
fn a_path_that_is_none_is_refused_at_its_place() {
    let errors = refused("customer.email");
    assert_eq!(errors[0].field, "spec.redact[1].path");
    let many = group_with(HEADER, |spec| {
        spec.redact = vec![redaction("payload.a", false); 51];
    });
    assert_eq!(many.unwrap_err()[0].field, "spec.redact");
    let opaque = format!("{HEADER}body: opaque\n");
    let useless = group_with(&opaque, |spec| {
        spec.redact = vec![redaction("payload.a", false)]
    });
    assert_eq!(useless.unwrap_err()[0].field, "spec.redact");
}

/// Any JSON, its objects with few names so that paths lead somewhere.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\"\\\\{},:ä]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]|e f", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_path() -> impl Strategy<Value = (String, bool)> {
    let part = prop_oneof![
        3 => "\\.[a-d]",
        2 => Just("[*]".to_owned()),
        2 => "\\[[01]\\]",
        1 => "\\.[01]",
        1 => Just(".#text".to_owned()),
    ];
    let path =
        prop::collection::vec(part, 1..5).prop_map(|parts| format!("payload{}", parts.concat()));
    (path, any::<bool>())
}

/// An object, or those of a list, in lists of lists, too.
fn in_each(value: &mut Value, done: &mut dyn FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => done(object),
        Value::Array(list) => list.iter_mut().for_each(|item| in_each(item, done)),
        _ => {}
    }
}

const PLANTED: &str = "planted-and-never-to-be-seen";

/// A value with the planted one at a place of its own, and the path there, wild where it may be.
fn planted() -> impl Strategy<Value = (Value, String)> {
    let step = prop_oneof![
        ("[a-d]|e f", any_json()).prop_map(|(name, other)| (Some(name), other, false)),
        (any_json(), any::<bool>()).prop_map(|(other, wild)| (None, other, wild)),
    ];
    (any_json(), prop::collection::vec(step, 1..5), any::<bool>()).prop_map(
        |(root, steps, deep)| {
            let mut value = match deep {
                true => serde_json::json!([PLANTED, {"x": PLANTED}]),
                false => Value::from(PLANTED),
            };
            let mut path = String::new();
            for (name, other, wild) in steps {
                match name {
                    Some(name) => {
                        path = format!("[\"{name}\"]{path}");
                        let mut members = serde_json::Map::new();
                        members.insert("0".to_owned(), other.clone());
                        members.insert(name, value);
                        members.insert("z".to_owned(), other);
                        value = Value::Object(members);
                    }
                    None => {
                        path = if wild {
                            format!("[*]{path}")
                        } else {
                            format!("[1]{path}")
                        };
                        value = Value::from(vec![other.clone(), value, other]);
                    }
                }
            }
            let _ = root;
            (value, format!("payload{path}"))
        },
    )
}

proptest! {
    // What must never be written: whatever the body and the path, the value that stands there leaves in no byte of the report.
    #[test]
    fn a_planted_value_at_a_redacted_path_is_in_no_byte_that_is_reported(
        (value, path) in planted(), mask in any::<bool>(), pretty in any::<bool>(),
    ) {
        let filter = "payload.a == 1 || size(payload) > 0";
        let group = redacting(HEADER, &[(&path, mask)], filter);
        let body = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        prop_assert!(body.contains(PLANTED));
        let report = reported(&group, JSON, body);
        let bytes = report.encode_to_vec();
        let found = bytes.windows(PLANTED.len()).any(|part| part == PLANTED.as_bytes());
        prop_assert!(!found, "{}: {}", path, String::from_utf8_lossy(&report.body));
        // It is still JSON.
        prop_assert!(serde_json::from_slice::<Value>(&report.body).is_ok());
        // And the control plane, which looks again, finds nothing more: what it would take then was never named.
        for again in [Group::redact, Group::rematch] {
            let mut report = report.clone();
            again(&group, &mut report);
            prop_assert_eq!(report.encode_to_vec(), bytes.clone());
        }
    }

    // An item that leaves its place makes room for another, which the next who looks would take.
    #[test]
    fn whatever_is_redacted_whoever_looks_again_takes_nothing_more(value in any_json(), paths in prop::collection::vec(any_path(), 1..4)) {
        let paths: Vec<_> = paths.iter().map(|(path, mask)| (path.as_str(), *mask)).collect();
        let group = redacting(HEADER, &paths, "");
        for (content_type, body) in [(JSON, value.to_string()), (FORM, "a=1&b=1&a=2&a=3&c=&b=2&d=1".to_owned())] {
            let report = reported(&group, content_type, body);
            let mut again = report.clone();
            group.redact(&mut again);
            prop_assert_eq!(again, report, "{:?}", paths);
        }
    }

    /// One walk over text does what a tree would.
    #[test]
    fn what_is_left_is_what_a_tree_without_it_has(value in any_json(), name in "[a-d]", inner in "[a-d]") {
        let path = format!("payload.{name}[*].{inner}");
        let group = redacting(HEADER, &[(&path, false)], "");
        let report = reported(&group, JSON, value.to_string());
        let mut tree = value;
        in_each(&mut tree, &mut |object| {
            if let Some(list) = object.get_mut(&name) {
                in_each(list, &mut |object| drop(object.remove(&inner)));
            }
        });
        let left: Value = serde_json::from_slice(&report.body).unwrap();
        prop_assert_eq!(left, tree);
    }
}
