use hookplane_proto::v1;
use serde_json::{Value as Json, json};

use super::*;

mod fields;
mod lists;
mod properties;
mod records;
mod refused;

/// As a manifest writes it.
fn mapping(text: Json) -> v1::Mapping {
    serde_json::from_value(text).unwrap()
}

fn compiled(base: Json) -> Mapping {
    Mapping::compile(&mapping(json!({"active": true, "base": base})))
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn event(payload: &str) -> v1::Event {
    v1::Event {
        r#type: "orders/paid".to_owned(),
        delivery_id: "d-1".to_owned(),
        external_id: "acme".to_owned(),
        format: v1::PayloadFormat::Json.into(),
        body: payload.to_owned().into(),
        headers: [("x-topic".to_owned(), "orders".to_owned())].into(),
        query: "shop=a&tag=x&tag=y".to_owned(),
        ..Default::default()
    }
}

fn records(base: Json, payload: &str) -> Json {
    let record = compiled(base)
        .apply(&event(payload))
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    serde_json::from_str(&record.to_json()).unwrap()
}

/// `field: reason` of each.
fn problems(base: Json, payload: &str) -> Vec<String> {
    told(&compiled(base).apply(&event(payload)).unwrap_err())
}

/// The same of any.
fn told(problems: &[v1::FieldProblem]) -> Vec<String> {
    let written = |problem: &v1::FieldProblem| format!("{}: {}", problem.field, problem.reason);
    problems.iter().map(written).collect()
}

/// The contract's example.
fn order() -> Json {
    json!({
        "object": "Order__c", "operation": "upsert", "key": "Shop_Id__c",
        "fields": {
            "Shop_Id__c": {"from": "payload.id", "type": "string"},
            "Total__c": {"from": "payload.total_price", "type": "decimal", "onMissing": "fail"},
            "Note__c": {"from": "payload.note", "default": "none"},
            "Late__c": {"cel": "payload.tags.exists(t, t == 'late')", "type": "boolean"},
        },
        "parents": [{"object": "Account", "field": "Account__r", "key": "Email__c", "fields": {"Email__c": {"from": "payload.email"}}}],
        "children": [{
            "object": "OrderLine__c", "forEach": "payload.line_items", "parentField": "Order__r", "key": "Line_Id__c",
            "fields": {"Line_Id__c": {"from": "item.id", "type": "string"}, "Sku__c": {"from": "item.sku"}},
        }],
    })
}

const PAID: &str = r#"{"id": 9007199254740993, "total_price": "199.00", "note": null, "tags": ["late"], "email": "a@b.example",
    "line_items": [{"id": 1, "sku": "A"}, {"id": 2, "sku": "B"}, {"id": 2, "sku": "C"}]}"#;

#[test]
fn an_event_becomes_a_record_with_its_parent_and_children() {
    let lines = [("1", "A"), ("2", "B"), ("2", "C")].map(|(id, sku)| {
        json!({
            "parentField": "Order__r", "object": "OrderLine__c", "operation": "upsert", "key": "Line_Id__c",
            "fields": {"Line_Id__c": id, "Sku__c": sku},
        })
    });
    let expected = json!([{
        "object": "Order__c", "operation": "upsert", "key": "Shop_Id__c",
        "fields": {"Late__c": true, "Note__c": "none", "Shop_Id__c": "9007199254740993", "Total__c": 199.00},
        "parents": [{
            "field": "Account__r", "object": "Account", "operation": "upsert", "key": "Email__c", "fields": {"Email__c": "a@b.example"},
        }],
        "children": lines,
    }]);
    assert_eq!(records(order(), PAID), expected);
    let record = compiled(order()).apply(&event(PAID)).unwrap();
    assert!(
        record.to_json().contains(r#""Total__c":199.00"#),
        "digits are kept"
    );
}

#[test]
fn every_problem_is_told_at_its_field_and_no_record_is_made() {
    assert_eq!(
        problems(
            order(),
            r#"{"note": "x", "tags": 5, "line_items": [{"id": 1, "sku": {"a": 1}}, {"sku": "B"}]}"#
        ),
        [
            "base.fields.Late__c: Unexpected type: got 'int', want 'iterable' (in `payload.tags.exists(t, t == 'late')`)",
            "base.fields.Shop_Id__c: `payload.id` is missing",
            "base.fields.Total__c: `payload.total_price` is missing",
            "base.parents[0].fields.Email__c: `payload.email` is missing",
            "base.children[0][0].fields.Sku__c: is an object: give the field the type json, or a converter that makes text of it",
            "base.children[0][1].fields.Line_Id__c: `item.id` is missing",
        ]
    );
}

#[test]
fn who_tries_a_mapping_is_told_what_goes_without_a_value_and_why() {
    let mut base = order();
    base["fields"]["Typo__c"] = json!({"from": "payload.totl_price"});
    base["fields"]["Emptied__c"] = json!({"from": "payload.note", "onMissing": "null"});
    let tried = compiled(base).attempt(&event(
        r#"{"id": 1, "total_price": "2.50", "note": null, "email": "a@b.example", "line_items": []}"#,
    ));
    assert_eq!(told(&tried.problems), [""; 0]);
    assert_eq!(
        told(&tried.without),
        [
            "base.fields.Emptied__c: emptied: `payload.note` is null",
            "base.fields.Late__c: left out: its expression has no value here",
            "base.fields.Note__c: its default: `payload.note` is null",
            "base.fields.Typo__c: left out: `payload.totl_price` is missing",
            "base.children[0].forEach: no records: `payload.line_items` is missing or has no items",
        ]
    );
    let record = tried.record.unwrap().to_json();
    assert!(record.contains(r#""Total__c":2.50"#), "{record}");
}

#[test]
fn who_tries_a_mapping_sees_what_there_is_beside_a_problem() {
    let payload = r#"{"id": 1, "tags": [], "email": "a@b.example", "line_items": [{"id": 1, "sku": "A"}, {"sku": "B"}]}"#;
    let tried = compiled(order()).attempt(&event(payload));
    assert_eq!(
        told(&tried.problems),
        [
            "base.fields.Total__c: `payload.total_price` is missing",
            "base.children[0][1].fields.Line_Id__c: `item.id` is missing",
        ]
    );
    let record = tried.record.unwrap();
    let names: Vec<_> = record
        .fields
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["Late__c", "Note__c", "Shop_Id__c"]);
    assert_eq!(record.children.len(), 2);
    // Delivered is all of it or nothing.
    assert!(compiled(order()).apply(&event(payload)).is_err());
}
