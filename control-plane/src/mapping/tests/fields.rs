//! What one row makes of one value.

use super::*;

/// The field's JSON text; `-` where the record goes without it, `! …` for a problem.
fn field(row: Json, payload: &str) -> String {
    let base = json!({"object": "Order", "fields": {"X": row, "Always": {"default": "1"}}});
    match compiled(base).apply(&event(payload)) {
        Ok(record) => {
            let found = record.fields.iter().find(|(name, _)| name == "X");
            found.map_or("-".to_owned(), |(_, value)| {
                serde_json::to_string(value).unwrap()
            })
        }
        Err(problems) => {
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].field, "base.fields.X");
            format!("! {}", problems[0].reason)
        }
    }
}

/// Of a row over `payload.x`.
fn of(row: Json, x: &str) -> String {
    let mut row = row;
    row["from"] = "payload.x".into();
    field(row, &format!(r#"{{"x": {x}}}"#))
}

#[track_caller]
fn all(row: Json, cases: &[(&str, &str)]) {
    for (x, expected) in cases {
        let got = of(row.clone(), x);
        match expected.strip_prefix("! ") {
            Some(part) => assert!(
                got.starts_with("! ") && got.contains(part),
                "{row} of {x}: {got}"
            ),
            None => assert_eq!(&got, expected, "{row} of {x}"),
        }
    }
}

#[test]
fn without_a_type_a_value_stays_what_it_is() {
    all(
        json!({}),
        &[
            (r#""text""#, r#""text""#),
            (r#""""#, r#""""#),
            ("12.50", "12.50"),
            ("9007199254740993", "9007199254740993"),
            (
                "123456789012345678901234567890.10",
                "123456789012345678901234567890.10",
            ),
            ("true", "true"),
            ("null", "-"),
            ("[1]", "! is a list"),
            ("{}", "! is an object"),
        ],
    );
}

#[test]
fn types_take_what_stands_for_a_value_of_theirs() {
    all(
        json!({"type": "string"}),
        &[
            ("12.50", r#""12.50""#),
            ("1.25e3", r#""1250""#),
            ("9007199254740993", r#""9007199254740993""#),
            ("true", r#""true""#),
            (r#""""#, r#""""#),
            ("[]", "! is a list, no text"),
        ],
    );
    all(
        json!({"type": "integer"}),
        &[
            ("12", "12"),
            (r#"" 12 ""#, "12"),
            ("12.00", "12"),
            ("1.2e1", "12"),
            ("9007199254740993", "9007199254740993"),
            (r#""""#, "-"),
            ("12.5", "! `12.5` is no whole number"),
            (r#""12a""#, "! `12a` is no whole number"),
            ("true", "! `true` is no whole number"),
        ],
    );
    all(
        json!({"type": "decimal"}),
        &[
            ("12.50", "12.50"),
            (r#""12.50""#, "12.50"),
            ("1.250E1", "12.50"),
            ("0.1", "0.1"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("12345678901234567890", "12345678901234567890"),
            (r#""1e400""#, "! is no number"),
            ("1e-7", "0.0000001"),
            ("1e23", "100000000000000000000000"),
            (
                "12345678901234567890.12345678901234567890",
                "12345678901234567890.12345678901234567890",
            ),
            (r#""1,250.00""#, "! `1,250.00` is no number"),
            (r#""NaN""#, "! `NaN` is no number"),
            (r#""1e999999999""#, "! is no number"),
        ],
    );
    all(
        json!({"type": "boolean"}),
        &[
            ("true", "true"),
            (r#""False""#, "false"),
            (r#""yes""#, "true"),
            ("0", "false"),
            (r#""on""#, "! `on` is neither true nor false"),
            ("2", "! `2` is neither true nor false"),
        ],
    );
    all(
        json!({"type": "date"}),
        &[
            (r#""2026-11-27""#, r#""2026-11-27""#),
            (r#""2026-11-27T23:00:00-05:00""#, r#""2026-11-27""#),
            (r#""27.11.2026""#, "! `27.11.2026` is no date"),
            ("1764237600", "! is a number; the converters unix-seconds"),
        ],
    );
    all(
        json!({"type": "datetime"}),
        &[
            (
                r#""2026-11-27T10:00:00.250+01:00""#,
                r#""2026-11-27T09:00:00.250Z""#,
            ),
            (r#""2026-11-27T10:00:00""#, "! has no offset"),
            ("[]", "! is a list, no time"),
        ],
    );
    all(
        json!({"type": "reference"}),
        &[
            (r#"" 0015g00 ""#, r#""0015g00""#),
            (r#""  ""#, "-"),
            ("7", r#""7""#),
        ],
    );
    all(
        json!({"type": "json"}),
        &[
            (r#"{"a": [1.50, null]}"#, r#"{"a": [1.50, null]}"#),
            (r#""text""#, r#""text""#),
            ("1.50", "1.50"),
            ("null", "-"),
        ],
    );
}

#[test]
fn a_picklist_takes_its_values_alone() {
    let one = json!({"type": "picklist", "picklist": ["Won", "Lost"]});
    all(
        one,
        &[
            (r#""Won""#, r#""Won""#),
            (r#""won""#, "! `won` is no value"),
            (r#""""#, "-"),
        ],
    );
    all(json!({"type": "picklist"}), &[(r#""any""#, r#""any""#)]);
    let several = json!({"picklist": ["a", "b"], "convert": ["join-semicolon"]});
    all(
        several,
        &[
            (r#"["a", "b"]"#, r#""a;b""#),
            (r#"["a", "c"]"#, "! `a;c` is no value"),
        ],
    );
}

#[test]
fn values_are_told_by_what_they_are() {
    let row = json!({"values": {"paid": "Closed Won", "1": "One", "true": "Yes"}});
    all(
        row,
        &[
            (r#""paid""#, r#""Closed Won""#),
            ("1", r#""One""#),
            ("true", r#""Yes""#),
            (r#""open""#, "! `open` is none of the values"),
            ("[]", "! is a list"),
            ("null", "-"),
        ],
    );
    let row = json!({"values": {"paid": "1", "*": "0"}, "type": "integer"});
    all(row, &[(r#""paid""#, "1"), (r#""open""#, "0")]);
}

#[test]
fn converters_do_what_they_are_called() {
    let one = |name: &str| json!({"convert": [name]});
    all(
        one("trim"),
        &[
            (r#"" a ""#, r#""a""#),
            ("[]", "! is a list, and trim is of text"),
        ],
    );
    all(one("lower"), &[(r#""ÄB""#, r#""äb""#)]);
    all(one("upper"), &[(r#""äb""#, r#""ÄB""#)]);
    all(
        one("unix-seconds"),
        &[
            ("1700000000", r#""2023-11-14T22:13:20Z""#),
            (r#""1700000000.5""#, r#""2023-11-14T22:13:20.500Z""#),
            ("-1.5", r#""1969-12-31T23:59:58.500Z""#),
            ("1e30", "! is no time since 1970"),
            (r#""soon""#, "! `soon` is no time since 1970"),
        ],
    );
    all(
        one("unix-milliseconds"),
        &[("1700000000123", r#""2023-11-14T22:13:20.123Z""#)],
    );
    all(
        one("cents"),
        &[
            ("1250", "12.50"),
            (r#""5""#, "0.05"),
            ("9007199254740993", "90071992547409.93"),
            (r#""x""#, "! is no number of hundredths"),
        ],
    );
    all(
        one("first"),
        &[
            ("[1.50, 2]", "1.50"),
            ("[]", "-"),
            ("[null]", "-"),
            ("7", "! `7`, and first is of a list"),
        ],
    );
    all(one("last"), &[(r#"["a", "b"]"#, r#""b""#)]);
    all(
        one("join-comma"),
        &[
            (r#"["a", null, 1.50]"#, r#""a, 1.50""#),
            ("[[]]", "! has a list in it"),
        ],
    );
    all(
        one("phone"),
        &[
            (r#""+49 (30) 123-4""#, r#""+49301234""#),
            ("4930", r#""4930""#),
        ],
    );
    all(
        one("before-separator"),
        &[
            (r#""ada@b.example""#, r#""ada""#),
            (r#""plain""#, r#""plain""#),
        ],
    );
    all(
        one("after-separator"),
        &[(r#""gid://shop/1""#, r#""//shop/1""#), (r#""plain""#, "-")],
    );
    all(
        json!({"convert": ["first", "trim", "unix-seconds"], "type": "date"}),
        &[(r#"[" 1700000000 "]"#, r#""2023-11-14""#)],
    );
}

#[test]
fn what_is_missing_is_left_out_emptied_defaulted_or_a_problem() {
    let none = r#"{"y": 1}"#;
    let row = |on_missing: &str| json!({"from": "payload.x.y", "onMissing": on_missing});
    assert_eq!(field(json!({"from": "payload.x.y"}), none), "-");
    assert_eq!(field(row("omit"), none), "-");
    assert_eq!(field(row("null"), none), "null");
    assert_eq!(field(row("fail"), none), "! `payload.x.y` is missing");
    for onto in [
        none,
        r#"{"x": null}"#,
        r#"{"x": {"y": null}}"#,
        r#"{"x": [1]}"#,
    ] {
        let row = json!({"from": "payload.x.y", "default": "1.50", "type": "decimal", "onMissing": "default"});
        assert_eq!(field(row, onto), "1.50", "{onto}");
    }
    assert_eq!(
        field(json!({"from": "payload.x", "default": ""}), none),
        r#""""#
    );
    // A text without anything in it is no number.
    assert_eq!(
        field(
            json!({"from": "payload.x", "default": "0", "type": "integer"}),
            r#"{"x": ""}"#
        ),
        "0"
    );
    assert_eq!(field(json!({"default": "always"}), none), r#""always""#);
}

#[test]
fn paths_lead_through_names_indexes_and_quoted_names() {
    let payload = r#"{"a": {"b": [{"c": 1}, {"c": 2}]}, "x.y": {"z-1": 3}, "0": 4, "é": 5}"#;
    for (from, expected) in [
        ("payload.a.b[1].c", "2"),
        ("payload.a['b'][0].c", "1"),
        ("payload['x.y'].z-1", "3"),
        (r#"payload["0"]"#, "4"),
        ("payload.é", "5"),
        ("payload.a.b[2].c", "-"),
        ("payload.a.b.c", "-"),
        ("payload[0]", "-"),
        ("payload.a[0]", "-"),
        ("headers.x-topic", r#""orders""#),
        ("query.shop", r#""a""#),
        ("query.tag[1]", r#""y""#),
        ("event.type", r#""orders/paid""#),
        ("event.deliveryId", r#""d-1""#),
    ] {
        assert_eq!(field(json!({"from": from}), payload), expected, "{from}");
    }
}

#[test]
fn an_expression_gives_a_value_and_keeps_digits_where_it_is_a_path() {
    let payload = r#"{"total": 12.50, "big": 123456789012345678901.10, "n": 3, "name": "a", "tenth": 0.1, "fifth": 0.2, "list": [{"p": 1.50, "q": "x"}], "none": null}"#;
    for (cel, expected) in [
        ("payload.total", "12.50"),
        (
            "has(payload.net) ? payload.net : payload.big",
            "123456789012345678901.10",
        ),
        ("payload.list[0].p", "1.50"),
        ("payload.list[0]['p']", "1.50"),
        ("payload.n + 1", "4"),
        ("payload.name + '-' + string(payload.n)", r#""a-3""#),
        ("size(payload.list)", "1"),
        ("payload.missing", "-"),
        ("payload.none", "-"),
        ("payload.none.x", "-"),
        ("payload.list.map(l, l.q)[0]", r#""x""#),
        ("event.type == 'orders/paid'", "true"),
        ("headers['x-topic']", r#""orders""#),
        ("payload.total * 2.0", "! isn't exact"),
        ("payload.tenth + payload.fifth", "! isn't exact"),
        ("payload.tenth", "0.1"),
        ("payload.name / 2", "! (in `payload.name / 2`)"),
        ("payload.n ? 1 : 2", "! no boolean"),
    ] {
        let got = field(json!({"cel": cel}), payload);
        match expected.strip_prefix("! ") {
            Some(part) => assert!(got.starts_with("! ") && got.contains(part), "{cel}: {got}"),
            None => assert_eq!(got, expected, "{cel}"),
        }
    }
    let as_json = |cel: &str| field(json!({"cel": cel, "type": "json"}), payload);
    assert_eq!(
        as_json("payload.list.filter(l, l.q == 'x')"),
        r#"[{"p": 1.50, "q": "x"}]"#
    );
    assert_eq!(
        as_json("{'b': payload.name, 'a': [payload.n, null]}"),
        r#"{"a":[3,null],"b":"a"}"#
    );
}

#[test]
fn an_expression_that_does_too_much_ends_the_mapping() {
    let list = vec!["1"; 9_000].join(",");
    let payload = format!(r#"{{"list": [{list}]}}"#);
    let cel = "payload.list.all(a, payload.list.all(b, a == b))";
    let base = json!({"object": "O", "fields": {"A": {"cel": cel}, "B": {"cel": cel}}});
    let problems = problems(base, &payload);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("base.fields.A: the mapping does more work"),
        "{problems:?}"
    );
}
