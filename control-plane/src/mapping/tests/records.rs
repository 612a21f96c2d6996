//! Parents, children and lists, and what bounds them.

use super::*;
use crate::mapping::apply::MAX_RECORDS;

fn line(children: Json) -> Json {
    json!({"object": "Order", "key": "Id", "fields": {"Id": {"from": "payload.id"}}, "children": children})
}

#[test]
fn lists_within_lists_know_the_item_around_them() {
    let base = line(json!([{
        "object": "Line", "forEach": "payload.lines", "parentField": "Order__r", "key": "Id",
        "fields": {"Id": {"from": "item.id"}},
        "parents": [{"object": "Product", "field": "Product__r", "key": "Sku", "fields": {"Sku": {"from": "item.sku"}, "Name": {"from": "item.name"}},
            "parents": [{"object": "Brand", "field": "Brand__r", "key": "Name", "fields": {"Name": {"cel": "item.brand + '!'"}}}]}],
        "children": [{
            "object": "Tax", "forEach": "item.taxes", "parentField": "Line__r",
            "fields": {
                "Rate": {"from": "item.rate", "type": "decimal"}, "Line": {"from": "parent.id"}, "Order": {"from": "payload.id"},
                "Both": {"cel": "string(parent.id) + item.name"},
            },
            "children": [{
                "object": "Note", "forEach": "item.notes", "parentField": "Tax__r",
                "fields": {"Text": {"from": "item"}, "Rate": {"from": "parent.rate"}, "Line": {"from": "parent.parent.id"}},
            }],
        }],
    }]));
    let payload = r#"{"id": 1, "lines": [
        {"id": 7, "sku": "A", "name": "Tea", "brand": "b", "taxes": [{"rate": 0.190, "name": "vat", "notes": ["n1", "n2"]}, {"rate": 0.05, "name": "x"}]},
        {"id": 8, "sku": "B", "brand": "c", "taxes": null}]}"#;
    let made = records(base, payload);
    let lines = made[0]["children"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0]["parents"][0]["fields"],
        json!({"Name": "Tea", "Sku": "A"})
    );
    assert_eq!(
        lines[0]["parents"][0]["parents"][0]["fields"],
        json!({"Name": "b!"})
    );
    let taxes = lines[0]["children"].as_array().unwrap();
    assert_eq!(taxes.len(), 2);
    assert_eq!(
        taxes[0]["fields"].to_string(),
        r#"{"Both":"7vat","Line":7,"Order":1,"Rate":0.19}"#
    );
    assert_eq!(taxes[0]["parentField"], "Line__r");
    assert_eq!(taxes[0]["operation"], "insert");
    assert_eq!(
        taxes[0]["children"][1]["fields"],
        json!({"Text": "n2", "Rate": 0.19, "Line": 7})
    );
    assert!(lines[1].get("children").is_none());
}

#[test]
fn wildcards_join_the_lists_of_a_list() {
    let base = |path: &str| {
        line(
            json!([{"object": "Line", "forEach": path, "parentField": "Order__r", "fields": {"Id": {"from": "item.id"}}}]),
        )
    };
    let payload = r#"{"id": 1, "parcels": [{"lines": [{"id": 1}, {"id": 2}]}, {}, {"lines": null}, {"lines": [{"id": 3}]}]}"#;
    for path in ["payload.parcels[*].lines", "payload.parcels[*].lines[*]"] {
        let made = records(base(path), payload);
        let ids: Vec<_> = made[0]["children"]
            .as_array()
            .unwrap()
            .iter()
            .map(|child| child["fields"]["Id"].clone())
            .collect();
        assert_eq!(ids, [1, 2, 3], "{path}");
    }
    assert_eq!(
        problems(base("payload.id"), payload),
        ["base.children[0].forEach: what is there is no list"]
    );
    assert!(
        records(base("payload.nothing"), payload)[0]
            .get("children")
            .is_none()
    );
}

#[test]
fn a_child_without_a_list_is_one_record() {
    let base = line(
        json!([{"object": "Task", "parentField": "Order__r", "fields": {"Subject": {"default": "call"}}}]),
    );
    let made = records(base, r#"{"id": 1}"#);
    assert_eq!(made[0]["children"].as_array().unwrap().len(), 1);
}

#[test]
fn a_key_without_a_value_is_a_problem_wherever_it_stands() {
    let child = json!([{"object": "Line", "forEach": "payload.lines", "parentField": "Order__r", "key": "Id", "fields": {"Id": {"from": "item.id"}}}]);
    assert_eq!(
        problems(
            line(child),
            r#"{"id": "", "lines": [{"id": 1}, {}, {"id": "  "}]}"#
        ),
        [
            "base.fields.Id: is the key, and has no value",
            "base.children[0][1].fields.Id: `item.id` is missing",
            "base.children[0][2].fields.Id: is the key, and has no value",
        ]
    );
}

#[test]
fn a_parent_goes_missing_only_where_its_key_says_so() {
    let base = |on_missing: Option<&str>| {
        let mut key = json!({"from": "payload.email"});
        if let Some(on_missing) = on_missing {
            key["onMissing"] = on_missing.into();
        }
        json!({"object": "Order", "fields": {"Id": {"from": "payload.id"}},
            "parents": [{"object": "Account", "field": "Account__r", "key": "Email", "fields": {"Email": key, "Name": {"from": "payload.name", "onMissing": "fail"}}}]})
    };
    let guest = r#"{"id": 1, "email": null}"#;
    assert_eq!(
        problems(base(None), guest),
        [
            "base.parents[0].fields.Email: `payload.email` is null",
            "base.parents[0].fields.Name: `payload.name` is missing"
        ]
    );
    assert!(
        records(base(Some("omit")), guest)[0]
            .get("parents")
            .is_none()
    );
    assert!(
        records(base(Some("omit")), r#"{"id": 1, "email": ""}"#)[0]
            .get("parents")
            .is_none()
    );
    let known = records(
        base(Some("omit")),
        r#"{"id": 1, "email": "a@b.example", "name": "Ada"}"#,
    );
    assert_eq!(known[0]["parents"][0]["fields"]["Name"], "Ada");
}

#[test]
fn records_items_and_values_are_bounded() {
    let base = line(json!([{
        "object": "Line", "forEach": "payload.lines", "parentField": "Order__r", "fields": {"Text": {"from": "item.t"}},
        "children": [{"object": "Inner", "parentField": "Line__r", "fields": {"Text": {"default": "x"}}}],
    }]));
    let lines = |count: usize, text: &str| {
        let one = format!(r#"{{"t": "{text}"}}"#);
        format!(r#"{{"id": 1, "lines": [{}]}}"#, vec![one; count].join(","))
    };
    // The base, and two for each.
    assert!(
        compiled(base.clone())
            .apply(&event(&lines((MAX_RECORDS - 1) / 2, "a")))
            .is_ok()
    );
    assert_eq!(
        problems(base.clone(), &lines(MAX_RECORDS / 2, "a")),
        [format!(
            "base.children[0][999].children[0]: the event makes more than {MAX_RECORDS} records"
        )]
    );
    assert_eq!(
        problems(base.clone(), &lines(2_001, "a")),
        ["base.children[0].forEach: has more than 2000 items"]
    );
    let large = problems(base, &lines(5, &"a".repeat(1024 * 1024)));
    assert_eq!(large.len(), 1);
    assert!(
        large[0].starts_with(
            "base.children[0][3].fields.Text: with it the event's records are larger than"
        ),
        "{large:?}"
    );
}

#[test]
fn so_many_problems_are_told_and_no_more() {
    let base = line(
        json!([{"object": "Line", "forEach": "payload.lines", "parentField": "Order__r", "fields": {"Id": {"from": "item.id", "onMissing": "fail"}}}]),
    );
    let payload = format!(r#"{{"id": 1, "lines": [{}]}}"#, vec!["{}"; 500].join(","));
    let problems = compiled(base).apply(&event(&payload)).unwrap_err();
    assert_eq!(problems.len(), MAX_PROBLEMS);
    let reason = reason(3, &problems);
    assert!(
        reason.starts_with("mapping v3: base.children[0][0].fields.Id: `item.id` is missing; "),
        "{reason}"
    );
    assert!(
        reason.ends_with("; and 95 more") && reason.len() < 1_024,
        "{reason}"
    );
}

#[test]
fn what_cannot_be_decoded_is_a_problem() {
    let opaque = v1::Event {
        format: v1::PayloadFormat::Opaque.into(),
        undecodable_reason: "not valid JSON: at byte 3".to_owned(),
        ..Default::default()
    };
    let problems = compiled(order()).apply(&opaque).unwrap_err();
    assert_eq!(
        (problems[0].field.as_str(), problems[0].reason.as_str()),
        ("payload", "can't be decoded: not valid JSON: at byte 3")
    );
    let query = json!({"object": "O", "fields": {"X": {"from": "query.a"}}});
    let bad = v1::Event {
        query: "a=%zz".to_owned(),
        ..event("{}")
    };
    assert_eq!(compiled(query).apply(&bad).unwrap_err()[0].field, "query");
    // Nobody reads it, so it doesn't matter.
    assert!(
        compiled(json!({"object": "O", "fields": {"X": {"default": "a"}}}))
            .apply(&bad)
            .is_ok()
    );
}

#[test]
fn the_paths_that_are_read_are_told_from_the_event_on() {
    let base = json!({
        "object": "Order", "fields": {"A": {"from": "payload.a"}, "B": {"cel": "has(payload.b) && payload.tags.exists(t, t.n == 'x')"}},
        "parents": [{"object": "Account", "field": "Account__r", "key": "E", "fields": {"E": {"from": "headers.x-topic"}}}],
        "children": [{"object": "Line", "forEach": "payload.lines", "parentField": "Order__r", "fields": {"S": {"from": "item.sku"}, "C": {"cel": "item.q > 1 ? item.p : null"}},
            "children": [{"object": "Tax", "forEach": "item.taxes", "parentField": "Line__r", "fields": {"R": {"from": "item.rate"}, "L": {"from": "parent.id"}, "M": {"cel": "parent.sku"}}}]}],
    });
    assert_eq!(
        compiled(base).paths(),
        [
            "headers.x-topic",
            "payload.a",
            "payload.b",
            "payload.lines",
            "payload.lines[*].id",
            "payload.lines[*].p",
            "payload.lines[*].q",
            "payload.lines[*].sku",
            "payload.lines[*].taxes",
            "payload.lines[*].taxes[*].rate",
            "payload.tags",
            "payload.tags[*].n",
        ]
    );
}

#[test]
fn long_values_are_paid_for_each_time_they_are_read() {
    let row = |from: &str| json!({"from": from, "convert": ["lower", "upper", "lower", "upper", "lower", "upper", "lower", "first"], "default": "x"});
    let fields: serde_json::Map<_, _> = (0..500)
        .map(|n| (format!("F{n}"), row("payload.x")))
        .collect();
    let payload = format!(r#"{{"x": "{}"}}"#, "a".repeat(1024 * 1024));
    let problems = problems(json!({"object": "O", "fields": fields}), &payload);
    let last = problems.last().unwrap();
    assert!(last.ends_with(&crate::mapping::apply::too_much()), "{last}");
    assert!(problems.len() < MAX_PROBLEMS, "{}", problems.len());
}

#[test]
fn names_of_fields_count_as_their_values_do() {
    let fields: serde_json::Map<_, _> = (0..50)
        .map(|n| (format!("{}{n}", "F".repeat(120)), json!({"default": "x"})))
        .collect();
    let base = line(
        json!([{"object": "Line", "forEach": "payload.lines", "parentField": "Order__r", "fields": fields}]),
    );
    let payload = format!(r#"{{"id": 1, "lines": [{}]}}"#, vec!["1"; 1_000].join(","));
    let problems = problems(base, &payload);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("are larger than"), "{problems:?}");
}
