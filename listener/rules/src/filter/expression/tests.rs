use super::*;
use crate::filter::Filter;

const NAMES: [&str; 2] = ["payload", "item"];
const UNITS: u64 = 4_000_000;

const ORDER: &str = r#"{"total": 12.50, "n": 3, "huge": 18446744073709551616, "name": "a\u0000\"b", "tags": ["x", "y"],
    "lines": [{"p": 1.50, "q": 2}, {"p": 1e-7, "q": 0}], "none": null, "map": {"b": 1.10, "a": 2}}"#;

fn run_on(source: &str, payload: &str, units: &mut u64) -> Result<Option<String>, String> {
    let expression =
        Expression::compile(source, &NAMES).unwrap_or_else(|reason| panic!("{source}: {reason}"));
    expression.evaluate(&[("payload", payload), ("item", r#"{"id": 7.0}"#)], units)
}

fn run(source: &str) -> Result<Option<String>, String> {
    run_on(source, ORDER, &mut UNITS.clone())
}

#[test]
fn values_are_json_and_numbers_of_the_event_keep_their_digits() {
    for (source, expected) in [
        ("payload.total", "12.50"),
        ("payload['total']", "12.50"),
        ("payload.huge", "18446744073709551616"),
        ("payload.n > 2 ? payload.total : 0", "12.50"),
        (
            "payload.n > 3 ? payload.total : (has(payload.x) ? 1 : payload.lines[1].p)",
            "1e-7",
        ),
        ("item.id", "7.0"),
        ("payload.map", r#"{"b": 1.10, "a": 2}"#),
        (
            "payload.lines.filter(l, l.q > 1)",
            r#"[{"p": 1.50, "q": 2}]"#,
        ),
        (
            "[payload.map, payload.tags]",
            r#"[{"b": 1.10, "a": 2},["x", "y"]]"#,
        ),
        ("payload.name", r#""a\u0000\"b""#),
        ("payload.name + '!'", r#""a\u0000\"b!""#),
        ("payload.n * 2", "6"),
        ("-payload.n", "-3"),
        ("null", "null"),
        ("payload.none", "null"),
        ("payload.tags.exists(t, t == 'x')", "true"),
        ("{'b': 1, 'a': payload.tags}", r#"{"a":["x", "y"],"b":1}"#),
        ("'x' in payload.tags && payload.n == 3", "true"),
    ] {
        assert_eq!(
            run(source).as_ref().map(Option::as_deref),
            Ok(Some(expected)),
            "{source}"
        );
    }
}

#[test]
fn a_path_that_leads_nowhere_is_no_value() {
    for source in [
        "payload.x",
        "payload.x.y",
        "payload.none.y",
        "payload.tags[7]",
        "payload.x + 1",
        "payload.lines[0].r",
        "payload.n == 3 ? payload.x : 1",
    ] {
        assert_eq!(run(source), Ok(None), "{source}");
    }
}

#[test]
fn what_is_computed_with_a_point_or_cannot_be_told_is_an_error() {
    for (source, part) in [
        ("payload.total * 2.0", "isn't exact"),
        ("payload.lines.map(l, l.p)", "isn't exact"),
        ("double(payload.n)", "isn't exact"),
        ("payload.name - 1", "(in `payload.name - 1`)"),
        ("payload.n.x", "(in `payload.n.x`)"),
        ("payload.n ? 1 : 2", "no boolean"),
        ("{1: 2}", "keys are strings"),
        ("type(payload.n)", "no value of a field"),
        ("payload.n / 0", "zero"),
    ] {
        let reason = run(source).unwrap_err();
        assert!(reason.contains(part), "{source}: {reason}");
    }
}

#[test]
fn names_and_bounds_are_those_of_filters() {
    for (source, part) in [
        ("", "is empty"),
        (" ", "is empty"),
        ("headers.a", "`headers` is unknown; there are payload, item"),
        ("parent.a", "`parent` is unknown"),
        (
            "payload.map(item, item)",
            "a loop's variable can't be named `item`",
        ),
        ("payload.a.format('x')", "function `format` is unknown"),
    ] {
        let reason = Expression::compile(source, &NAMES).unwrap_err();
        assert!(reason.contains(part), "{source}: {reason}");
    }
    let long = format!("payload.{}", "a".repeat(1_100));
    assert!(
        Expression::compile(&long, &NAMES)
            .unwrap_err()
            .contains("1024 are allowed")
    );
    let deep = format!("{}1{}", "(".repeat(100), ")".repeat(100));
    assert!(Expression::compile(&deep, &NAMES).is_err());
    // Nobody can ask for a value as it is written.
    assert!(
        run("payload.map['hookplane.as_written']")
            .unwrap()
            .is_none()
    );
}

#[test]
fn work_is_taken_from_what_may_be_done_and_ends_with_it() {
    let list = format!(r#"{{"l": [{}]}}"#, vec!["1"; 5_000].join(","));
    let mut units = UNITS;
    assert_eq!(
        run_on("payload.l.all(a, a == 1)", &list, &mut units),
        Ok(Some("true".to_owned()))
    );
    assert!(units < UNITS && units > 0);
    let error = run_on(
        "payload.l.all(a, payload.l.all(b, a == b))",
        &list,
        &mut units,
    )
    .unwrap_err();
    assert!(error.contains("more work"), "{error}");
    assert_eq!(units, 0);
    assert!(run_on("payload.l", &list, &mut units).is_err());
    let mut few = 150;
    assert!(run_on("payload.l", &list, &mut few).is_err());
}

#[test]
fn an_answer_that_grew_too_large_is_an_error() {
    let payload = format!(r#"{{"a": "{}"}}"#, "x".repeat(1024 * 1024 + 1));
    let said = |source: &str| run_on(source, &payload, &mut u64::MAX.clone());
    assert!(said("payload.a + payload.a").is_ok());
    for source in [
        "payload.a + payload.a + payload.a + payload.a",
        "[payload.a, payload.a, payload.a, payload.a]",
        "{'a': [payload, payload, payload, payload]}",
    ] {
        let error = said(source).unwrap_err();
        assert!(error.contains("is too large"), "{source}: {error}");
    }
}

#[test]
fn the_paths_that_are_read_are_told() {
    let paths = |source: &str| Expression::compile(source, &NAMES).unwrap().paths();
    assert_eq!(
        paths("has(payload.a.b) ? payload['c'].d : payload['x.y'][0].z"),
        ["payload.a.b", "payload.c.d", "payload['x.y'][0].z"]
    );
    assert_eq!(
        paths("payload.l.exists(a, a.m.exists(b, b.x == a.y && item.id == b.z))"),
        [
            "item.id",
            "payload.l",
            "payload.l[*].m",
            "payload.l[*].m[*].x",
            "payload.l[*].m[*].z",
            "payload.l[*].y"
        ]
    );
    assert_eq!(
        paths("payload.l[payload.i].x"),
        ["payload.i", "payload.l[*].x"]
    );
    assert_eq!(
        paths("type(payload.n) == int && payload.s.matches('^a')"),
        ["payload.n", "payload.s"]
    );
    assert_eq!(
        Filter::compile("payload.a == 1 && query.b == 'x'")
            .unwrap()
            .paths(),
        ["payload.a", "query.b"]
    );
}
