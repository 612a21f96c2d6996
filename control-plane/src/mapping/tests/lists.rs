//! One of something, or several: what of a list of one can be told from a value, and what can't.

use super::*;

fn posted(format: v1::PayloadFormat, content_type: &str, body: &str) -> v1::Event {
    v1::Event {
        format: format.into(),
        content_type: content_type.to_owned(),
        body: body.to_owned().into(),
        ..Default::default()
    }
}

fn form(body: &str) -> v1::Event {
    posted(
        v1::PayloadFormat::Form,
        "application/x-www-form-urlencoded",
        body,
    )
}

fn xml(body: &str) -> v1::Event {
    posted(v1::PayloadFormat::Xml, "text/xml", body)
}

/// The texts that the children made for each of a list have.
fn each(path: &str, from: &str, event: &v1::Event) -> Result<Vec<String>, Vec<String>> {
    let base = json!({"object": "O", "fields": {"Id": {"default": "1"}},
        "children": [{"object": "Tag", "forEach": path, "parentField": "O__r", "fields": {"Name": {"from": from, "type": "string"}}}]});
    let told = |problem: &v1::FieldProblem| format!("{}: {}", problem.field, problem.reason);
    let record = compiled(base)
        .apply(event)
        .map_err(|problems| problems.iter().map(told).collect::<Vec<_>>())?;
    let name = |child: &Child| match &child.record.fields[..] {
        [(_, Value::Text(text))] => text.clone(),
        other => format!("{other:?}"),
    };
    Ok(record.children.iter().map(name).collect())
}

// A form or an XML document can't say whether it has a list of one: with one of something the same records are made as with two.
#[test]
fn a_list_of_one_in_a_form_or_xml_is_a_list_wherever_the_path_has_one() {
    for path in ["payload.tag", "payload.tag[*]"] {
        assert_eq!(
            each(path, "item", &form("id=7&tag=1")).unwrap(),
            ["1"],
            "{path}"
        );
        assert_eq!(
            each(path, "item", &form("tag=1&tag=2")).unwrap(),
            ["1", "2"],
            "{path}"
        );
        assert!(each(path, "item", &form("id=7")).unwrap().is_empty());
    }
    for orders in 1..3 {
        for lines in 1..3 {
            let order = format!(
                "<order>{}</order>",
                "<line><sku>x</sku></line>".repeat(lines)
            );
            let event = xml(&format!("<e>{}</e>", order.repeat(orders)));
            for path in [
                "payload.e.order.line",
                "payload.e.order.line[*]",
                "payload.e.order[*].line",
                "payload.e.order[*].line[*]",
                "payload[*].e[*].order[*].line[*]",
            ] {
                let made = each(path, "item.sku", &event).unwrap();
                assert_eq!(
                    made,
                    vec!["x"; orders * lines],
                    "{path}, {orders} of {lines}"
                );
                let made = each(path, "item.sku[0]['#text']", &event).unwrap();
                assert_eq!(
                    made,
                    vec!["x"; orders * lines],
                    "{path}, {orders} of {lines}"
                );
            }
        }
    }
    let none = xml("<e><order><id>7</id></order></e>");
    assert!(
        each("payload.e.order[*].line[*]", "item.sku", &none)
            .unwrap()
            .is_empty()
    );
    // What is in a URL is a form, whatever the body is.
    let mut asked = event("{}");
    for (query, tags) in [("tag=1", vec!["1"]), ("tag=1&tag=2", vec!["1", "2"])] {
        asked.query = query.to_owned();
        for path in ["query.tag", "query.tag[*]"] {
            assert_eq!(each(path, "item", &asked).unwrap(), tags, "{path}");
        }
    }
}

// What redaction made JSON of still can't say whether it has a list of one. What was kept before that was known reads as it did.
#[test]
fn what_became_json_when_something_was_redacted_makes_the_records_that_it_would_have_made() {
    for came_as in [v1::PayloadFormat::Xml, v1::PayloadFormat::Multipart] {
        for path in ["payload.tag", "payload.tag[*]"] {
            let mut left = event(r#"{"tag": "1"}"#);
            assert!(each(path, "item", &left).is_err());
            left.set_came_as(came_as);
            assert_eq!(each(path, "item", &left).unwrap(), ["1"], "{path}");
        }
    }
    let mut lines = event(r#"[{"tag": "1"}]"#);
    lines.set_came_as(v1::PayloadFormat::Ndjson);
    assert!(
        each("payload[0].tag", "item", &lines).is_err(),
        "a list of JSON says what is one"
    );
}

// JSON says what is a list: something else in its place is told, and the delivery waits, instead of being delivered without its children.
#[test]
fn what_is_no_list_in_json_is_a_problem_wherever_the_path_has_one() {
    let json = event(r#"{"tag": "1", "orders": {"lines": [1]}, "none": null}"#);
    let told = ["base.children[0].forEach: what is there is no list"];
    for path in [
        "payload.tag",
        "payload.tag[*]",
        "payload.orders[*].lines",
        "payload[*].orders",
    ] {
        assert_eq!(each(path, "item", &json).unwrap_err(), told, "{path}");
    }
    for path in [
        "payload.none",
        "payload.none[*]",
        "payload.none[*].lines",
        "payload.missing[*]",
    ] {
        assert!(each(path, "item", &json).unwrap().is_empty(), "{path}");
    }
}

#[test]
fn a_row_reads_the_first_of_a_form_or_xml_where_there_is_one() {
    let value = |from: &str, convert: &[&str], event: &v1::Event| {
        let row = json!({"from": from, "convert": convert, "type": "string"});
        let record = compiled(json!({"object": "O", "fields": {"F": row}})).apply(event);
        let fields = record.map(|record| record.fields);
        match fields.map_err(|problems| problems[0].reason.clone())?.pop() {
            Some((_, Value::Text(text))) => Ok(text),
            other => Err(format!("{other:?}")),
        }
    };
    for body in ["tag=1", "tag=1&tag=2"] {
        assert_eq!(value("payload.tag[0]", &[], &form(body)).unwrap(), "1");
        assert_eq!(value("payload.tag", &["first"], &form(body)).unwrap(), "1");
    }
    assert_eq!(
        value("payload.tag", &["join-comma"], &form("tag=1")).unwrap(),
        "1"
    );
    let two = xml("<e><a k='1'>x</a><a>y</a></e>");
    for (from, text) in [("payload.e.a[0].#text", "x"), ("payload.e.a[1].#text", "y")] {
        assert_eq!(value(from, &[], &two).unwrap(), text);
    }
    let json = event(r#"{"tag": "1"}"#);
    assert_eq!(value("payload.tag[0]", &[], &json).unwrap_err(), "None");
    let told = value("payload.tag", &["first"], &json).unwrap_err();
    assert_eq!(told, "is `1`, and first is of a list");
}
