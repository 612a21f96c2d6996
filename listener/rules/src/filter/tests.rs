use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::payload::{Json, Payload};

fn json(text: &str) -> Payload {
    Payload::Json(Json::validate(Bytes::copy_from_slice(text.as_bytes())).unwrap())
}

fn run_on(source: &str, payload: &Payload) -> Verdict {
    let headers = BTreeMap::from([("x-kind".to_owned(), "big".to_owned())]);
    Filter::compile(source)
        .unwrap_or_else(|e| panic!("{source}: {e}"))
        .evaluate(input(payload, &headers), &mut CALLBACK_UNITS.clone())
}

fn input<'a>(payload: &'a Payload, headers: &'a BTreeMap<String, String>) -> FilterInput<'a> {
    FilterInput {
        payload,
        headers,
        query: "a=1&b=x+y&b=z",
        event_type: "order.paid",
        delivery_id: "d-1",
        external_id: "acme",
    }
}

const ORDER: &str = r#"{"test": false, "total": 12.50, "count": 3, "note": null, "name": "caf\u00e9 \ud83d\ude00",
    "tags": ["late", "vip"], "items": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 5}],
    "customer": {"email": "a@b.example", "address": null}, "big": 9007199254740993, "huge": 18446744073709551615}"#;

fn run(source: &str) -> Verdict {
    run_on(source, &json(ORDER))
}

#[track_caller]
fn holds(source: &str) {
    assert_eq!(run(source), Verdict::Match, "{source}");
}

#[track_caller]
fn is_no_match(source: &str, reason: &str) {
    assert_eq!(run(source), Verdict::NoMatch(reason.to_owned()), "{source}");
}

#[track_caller]
fn is_error(source: &str, part: &str) {
    match run(source) {
        Verdict::Error(reason) => assert!(reason.contains(part), "{source}: {reason}"),
        other => panic!("{source}: {other:?}"),
    }
}

#[track_caller]
fn is_refused(source: &str, part: &str) {
    match Filter::compile(source) {
        Err(reason) => assert!(reason.contains(part), "{source}: {reason}"),
        Ok(_) => panic!("{source} compiled"),
    }
}

#[test]
fn true_filters_match() {
    for source in [
        "payload.test == false",
        "!payload.test",
        "payload.total == 12.5 && payload.total > 12 && payload.count < 3.5 && payload.count == 3.0",
        "payload.name == 'café 😀' && payload.name.startsWith('caf') && size(payload.name) == 6",
        "payload.note == null && null == payload.note",
        "'vip' in payload.tags && !('x' in payload.tags) && payload.tags[0] == 'late'",
        "payload.tags == ['late', 'vip'] && ['late', 'vip'] == payload.tags && payload.tags != ['vip']",
        "payload.items[0] == {'sku': 'A', 'qty': 1} && {'sku': 'A', 'qty': 1} == payload.items[0]",
        "payload.items[0] == payload.items[0] && payload.items[0] != payload.items[1]",
        "payload.items.exists(i, i.sku == 'B' && i.qty > 4)",
        "payload.items.all(i, i.qty > 0) && payload.items.exists_one(i, i.qty == 5)",
        "payload.items.filter(i, i.qty > 2).size() == 1 && 'B' in payload.items.map(i, i.sku)",
        "payload.items.map(i, i.sku) == ['A', 'B']",
        "['late', 'early'].exists(t, t in payload.tags)",
        "size(payload.items) == 2 && payload.size() == 10",
        "has(payload.total) && !has(payload.nothing)",
        "'total' in payload && payload['total'] == 12.5 && payload.exists(k, k == 'test')",
        "headers['x-kind'] == 'big' && !('authorization' in headers)",
        "query.a == '1' && query.b == ['x y', 'z']",
        "event.type == 'order.paid' && event.deliveryId == 'd-1' && event.externalId == 'acme'",
        "payload.name.matches('^caf. \\\\S$') && matches(payload.customer.email, r'^[a-z]@\\w+\\.example$')",
        "payload.big == 9007199254740993 && payload.big != 9007199254740992",
        "payload.huge > 9223372036854775807",
        "type(payload.count) == int && type(payload.total) == double && type(payload.tags) == list",
        "payload.missing == 1 || payload.count == 3",
        "payload.count == 3 ? payload.test == false : false",
        "string(payload.count) == '3' && int('4') == payload.count + 1",
        "payload.customer.email.contains('@') // and a comment with a ' in it",
        "payload.tags + ['x'] == ['late', 'vip', 'x']",
    ] {
        holds(source);
    }
}

#[test]
fn a_false_filter_names_its_first_false_term() {
    is_no_match("payload.test == true", "false at: payload.test == true");
    is_no_match(
        "payload.count == 3 && payload.test && payload.count == 4",
        "false at: payload.test",
    );
    is_no_match(
        "payload.test || false",
        "false at: payload.test, and at: false",
    );
    // The `&&` is in a string, not between terms.
    is_no_match(
        "payload.name == 'a && b'",
        "false at: payload.name == 'a && b'",
    );
}

#[test]
fn a_missing_path_is_no_match_and_named() {
    is_no_match(
        "payload.foo == 1",
        "payload.foo is missing; has() tells (in `payload.foo == 1`)",
    );
    is_no_match(
        "payload.customer.phone.area == '1'",
        "payload.customer.phone is missing; has() tells (in `payload.customer.phone.area == '1'`)",
    );
    is_no_match(
        "payload.tags[7] == 'x'",
        "payload.tags[7] is missing; has() tells (in `payload.tags[7] == 'x'`)",
    );
    is_no_match(
        "headers['x-none'] == 'x'",
        "headers['x-none'] is missing; has() tells (in `headers['x-none'] == 'x'`)",
    );
    is_no_match(
        "payload.customer.address.city == 'x'",
        "a path leads below a null in `payload.customer.address.city == 'x'`",
    );
    // A false term decides before a missing path does.
    is_no_match("payload.foo == 1 && payload.test", "false at: payload.test");
}

#[test]
fn what_cannot_be_told_is_an_error() {
    is_error("payload.count", "of type int");
    is_error("payload.name > 3", "_>_");
    is_error("payload.name.foo == 1", "_._");
    is_error("payload.count / 0 == 1", "zero");
    is_error("payload.count.exists(x, x)", "iterable");
    is_error("payload.items[payload] == 1", "_[_]");
}

#[test]
fn an_undecodable_body_cannot_be_told() {
    let verdict = run_on(
        "event.type == 'order.paid'",
        &Payload::Opaque("it is an image".to_owned()),
    );
    assert_eq!(
        verdict,
        Verdict::Error("the body can't be decoded: it is an image".to_owned())
    );
}

#[test]
fn a_form_is_strings_and_lists() {
    let form = crate::payload::decode_form(b"text=hi+there&tag=a&tag=b").unwrap();
    let payload = Payload::Form(form.clone());
    assert_eq!(
        run_on(
            "payload.text == 'hi there' && payload.tag == ['a', 'b']",
            &payload
        ),
        Verdict::Match
    );
    let inner = Json::validate(Bytes::from_static(br#"{"type":"x"}"#)).unwrap();
    assert_eq!(
        run_on("payload.type == 'x'", &Payload::FormJson(form, inner)),
        Verdict::Match
    );
}

#[test]
fn unknown_names_are_refused_with_what_there_is() {
    is_refused(
        "body.x == 1",
        "`body` is unknown; there are payload, headers, query, event",
    );
    is_refused(
        "payload.x.lower() == 'a'",
        "function `lower` is unknown; there are bool, contains",
    );
    is_refused("foo(payload.x)", "function `foo` is unknown");
    is_refused(
        "event.kind == 'x'",
        "event.kind is unknown; an event has type, deliveryId, externalId",
    );
    is_refused(
        "payload.items.exists(payload, payload == 1)",
        "can't be named `payload`",
    );
    is_refused("optional.of(payload.x).hasValue()", "unknown");
    is_refused("payload.a == b'x'", "bytes");
    is_refused("google.protobuf.Duration{seconds: 1} == 1", "no place");
}

#[test]
fn bad_sources_are_refused_with_the_place() {
    is_refused("payload.x ==", "line 1");
    is_refused("", "empty");
    is_refused("payload.x == 1 &&", "a term is missing");
    is_refused("payload.x == 'a", "not closed");
    is_refused("payload.x == 'a\nb'", "not closed");
    is_refused("(payload.x == 1", "not closed");
    is_refused("payload.x == 1)", "never opened");
    is_refused(
        &format!("payload.x == '{}'", "a".repeat(1024)),
        "1024 are allowed",
    );
}

#[test]
fn costly_sources_are_refused() {
    is_refused(
        "payload.a.exists(x, payload.b.exists(y, payload.c.exists(z, x == z)))",
        "2 loops",
    );
    is_refused(
        "payload.a.filter(x, true).exists(y, y)",
        "a loop goes over a path",
    );
    is_refused(
        "(payload.a + payload.b).exists(y, y)",
        "a loop goes over a path",
    );
    is_refused(
        "payload.a + payload.a + payload.a + payload.a + payload.a + payload.a == 1",
        "additions",
    );
    is_refused("payload.a.matches(payload.b)", "written out");
    is_refused("payload.a.matches('(a')", "can't be used");
    is_refused(r"payload.a.matches('((\\w{50}){50}){50}')", "can't be used");
    is_refused(
        &format!("payload.x in [{}1]", "1,".repeat(500)),
        "500 nodes",
    );
}

/// Sources of the greatest length there is, made to recurse.
fn hostile_sources() -> Vec<String> {
    let fill = |before: &str, unit: &str, after: &str| {
        let room = 1024 - before.len() - after.len();
        format!("{before}{}{after}", unit.repeat(room / unit.len()))
    };
    let nest = |open: &str, middle: &str, close: &str| {
        let count = (1024 - middle.len()) / (open.len() + close.len());
        format!("{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    vec![
        fill("1", "+1", ""),
        fill("1", "-1", ""),
        fill("payload", "[0]", ""),
        fill("payload", ".a", ""),
        fill("payload", ".a()", ""),
        fill("payload", ".?a", ""),
        fill("", "!", "true"),
        fill("", "-", "1"),
        fill("", "- ", "1"),
        fill("", "!-", "1"),
        fill("true", "&&true", ""),
        fill("true", "||true", ""),
        fill("true", "==true", ""),
        fill("1", " in 1", ""),
        fill("true", "?true:true", ""),
        fill("", "true?", "true"),
        fill("", "(", ""),
        fill("", "[", ""),
        fill("", "{1:", ""),
        fill("", "f(", ""),
        fill("", "a[", ""),
        nest("(", "1", ")"),
        nest("[", "1", "]"),
        nest("{1:", "1", "}"),
        nest("size(", "1", ")"),
        nest("a[", "1", "]"),
        nest("true?(", "1", "):1"),
        nest("a.all(x,", "1", ")"),
        nest("has(a.b)&&(", "true", ")"),
        fill(r#"_r"\"" + "#, "(", r#""""#),
        fill("'\\q' + ", "(", "'"),
        fill("\"a\n", "(", "\""),
    ]
}

#[test]
fn hostile_sources_neither_compile_nor_end_the_process() {
    for source in hostile_sources() {
        assert!(source.len() <= 1024);
        // Small on purpose: the real callers have 2 MiB.
        let outcome = std::thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn({
                let source = source.clone();
                move || Filter::compile(&source).map(drop)
            })
            .unwrap()
            .join();
        let compiled = outcome.unwrap_or_else(|_| panic!("{source} panicked"));
        // Chains of `&&` and `||` are balanced, and merely have too many terms or not.
        if !source.starts_with("true&&") && !source.starts_with("true||") {
            assert!(compiled.is_err(), "{source} compiled");
        }
    }
}

#[test]
fn the_parser_survives_what_the_look_ahead_would_refuse() {
    for source in hostile_sources() {
        // Straight to the parser's thread, as if the look-ahead had been fooled.
        let _ = compile::compile(&[source.as_str()], &VARIABLES);
    }
}

#[test]
fn the_deepest_filter_runs_on_a_small_stack() {
    let source = format!("{}payload.test{}", "(!".repeat(14), ")".repeat(14))
        + " == false && payload"
        + &".a".repeat(60)
        + " == 1";
    let verdict = std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(move || run(&source))
        .unwrap()
        .join()
        .unwrap();
    assert!(matches!(verdict, Verdict::NoMatch(_)), "{verdict:?}");
}

#[test]
fn loops_over_long_lists_are_stopped() {
    let long = format!("{{\"a\":[{}1]}}", "1,".repeat(9_000));
    let payload = json(&long);
    let start = Instant::now();
    for source in [
        "payload.a.all(x, payload.a.all(y, x == y))",
        "payload.a.all(x, payload.a.all(y, y == 1))",
        "payload.a.all(x, size(payload.a) == 9001)",
        "payload.a.map(x, payload.a) == []",
    ] {
        match run_on(source, &payload) {
            Verdict::Error(reason) => assert!(reason.contains("more work"), "{source}: {reason}"),
            other => panic!("{source}: {other:?}"),
        }
    }
    // Far above what it takes, far below what it would take unbounded.
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(run_on("payload.a.all(x, x == 1)", &payload), Verdict::Match);
    assert_eq!(
        run_on("1 in payload.a && size(payload.a) == 9001", &payload),
        Verdict::Match
    );
}

#[test]
fn loops_that_hold_long_strings_are_stopped() {
    let text = "a".repeat(500_000);
    let payload = json(&format!(
        "{{\"s\":[\"{text}\"],\"a\":[{}1]}}",
        "1,".repeat(9_000)
    ));
    let verdict = run_on(
        "payload.s.all(s, payload.a.all(y, s == s && s.matches('a$')))",
        &payload,
    );
    assert!(matches!(verdict, Verdict::Error(_)), "{verdict:?}");
}

#[test]
fn errors_do_not_print_the_payload_at_length() {
    let payload = json(&format!("{{\"s\":\"{}\"}}", "x".repeat(100_000)));
    match run_on("payload.s - 1 == 2", &payload) {
        Verdict::Error(reason) => assert!(reason.len() < 400, "{}", reason.len()),
        other => panic!("{other:?}"),
    }
}

/// Values of any shape, as JSON text.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn the_parts_of_a_false_term_that_decided_are_named() {
    for (source, reason) in [
        (
            "(payload.name == 'a && b' && payload.test) || payload.test",
            "payload.name == 'a && b', and at: payload.test",
        ),
        ("(payload.test && payload.name == 'x')", "payload.test"),
        (
            "!payload.test && ((payload.name != '' && 1 > 2) || (2 > 3))",
            "1 > 2, and at: 2 > 3",
        ),
        (
            "(1 > 2 || 2 > 3) || 3 > 4",
            "1 > 2, and at: 2 > 3, and at: 3 > 4",
        ),
        // Of these the text isn't taken apart.
        (
            "!(payload.name != '' || payload.test)",
            "!(payload.name != '' || payload.test)",
        ),
        ("payload.test ? true : 1 > 2", "payload.test ? true : 1 > 2"),
        ("(1 > 2) == (2 > 1)", "(1 > 2) == (2 > 1)"),
    ] {
        is_no_match(source, &format!("false at: {reason}"));
    }
}

#[test]
fn what_an_evaluation_does_is_taken_from_what_is_left_and_without_it_none_is_begun() {
    let (payload, headers) = (json(ORDER), BTreeMap::new());
    let filter = |source| Filter::compile(source).unwrap();
    let usual = filter("payload.customer.email == 'a@b.example' && headers['x'] != 'y'");
    let mut left = CALLBACK_UNITS;
    usual.evaluate(input(&payload, &headers), &mut left);
    let cost = CALLBACK_UNITS - left;
    // The most events and webhooks that one callback brings together.
    assert!(cost > 0 && cost * 50_000 < CALLBACK_UNITS, "{cost}");

    let dear = filter("[1, 2, 3].all(x, [1, 2, 3].all(y, x + y > 0))");
    let mut left = CALLBACK_UNITS;
    assert_eq!(
        dear.evaluate(input(&payload, &headers), &mut left),
        Verdict::Match
    );
    let mut left = CALLBACK_UNITS - left - 1;
    for _ in 0..2 {
        let verdict = dear.evaluate(input(&payload, &headers), &mut left);
        assert!(
            matches!(&verdict, Verdict::Error(why) if why.contains("this callback")),
            "{verdict:?}"
        );
        assert_eq!(left, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_source_panics(source in "[ -~]{0,60}") {
        let _ = Filter::compile(&source);
    }

    #[test]
    fn no_source_of_likely_words_panics(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "payload", ".a", ".b", "[0]", " && ", " || ", "!", "(", ")", " == ", "1", "'x'", " in ", "[", "]", ",",
                ".exists(x, x", ".map(x, x)", " ? ", " : ", "null", "size(", "has(payload.a)", "r'\\'", "\"", "{", "}", " + ",
            ]),
            0..20,
        ),
        payload in any_json(),
    ) {
        if let Ok(filter) = Filter::compile(&words.concat()) {
            let payload = json(&payload.to_string());
            let headers = BTreeMap::new();
            filter.evaluate(input(&payload, &headers), &mut CALLBACK_UNITS.clone());
        }
    }

    #[test]
    fn no_payload_panics_and_every_value_equals_itself(payload in any_json()) {
        let payload = json(&payload.to_string());
        for source in [
            "payload == payload",
            "payload.a == payload.a",
            "payload[0] == payload[0]",
            "payload.a.b.c > 1",
            "payload.exists(x, x == payload)",
            "payload.a.all(x, x > 0)",
            "size(payload) > 1 && payload + payload == payload",
            "'a' in payload",
            "payload.a.matches('a+')",
            "int(payload.a) == 1 && string(payload.b) == 'x'",
        ] {
            let verdict = run_on(source, &payload);
            if source == "payload == payload" {
                prop_assert_eq!(verdict, Verdict::Match);
            }
        }
    }
}
