//! Bodies that hide a value from whoever looks for it by its path, and bodies that cost.

use super::*;

const PATHS: [(&str, bool); 3] = [
    ("payload.user.email", false),
    ("payload.email", false),
    ("payload[*].email", true),
];

/// The report, which has the planted value nowhere.
fn without(group: &Group, content_type: &str, body: impl Into<Bytes>) -> v1::ReportedCallback {
    let body = body.into();
    let holds = |bytes: &[u8]| {
        let planted = PLANTED.as_bytes();
        bytes.windows(planted.len()).any(|part| part == planted)
    };
    assert!(holds(&body), "it is planted");
    let report = reported(group, content_type, body);
    assert!(
        !holds(&report.encode_to_vec()),
        "{content_type}: {}",
        String::from_utf8_lossy(&report.body)
    );
    report
}

#[test]
fn a_name_is_found_however_it_is_written() {
    let paths = [
        ("payload.email", false),
        ("payload[\"a\\\"b\"]", false),
        ("payload[\"\u{1f600}\"].x", false),
        ("payload[\"\"]", false),
    ];
    let group = redacting(HEADER, &paths, "");
    for body in [
        r#"{"\u0065\u006d\u0061\u0069\u006c": "PLANTED", "n": 1}"#,
        r#"{"\u0065mai\u006C" : "PLANTED", "n": 1}"#,
        r#"{"a\"b": "PLANTED", "n": 1}"#,
        r#"{"a\u0022b": "PLANTED", "n": 1}"#,
        r#"{"\ud83d\ude00": {"x": "PLANTED"}, "n": 1}"#,
        r#"{"": "PLANTED", "n": 1}"#,
    ] {
        let report = without(&group, JSON, body.replace("PLANTED", PLANTED));
        assert_eq!(report.redacted.len(), 1, "{body}");
        assert!(body_of(&report).contains("\"n\": 1"), "{body}");
    }
}

// Risk 41: two parsers disagree on which of two members counts, so that one of them would be handed the other.
#[test]
fn a_name_that_comes_twice_leaves_nothing_of_the_body() {
    let group = redacting(HEADER, &PATHS, "payload.n == 1");
    for body in [
        r#"{"email": 1, "email": "PLANTED"}"#,
        r#"{"email": "PLANTED", "\u0065mail": 1}"#,
        r#"{"other": [{"x": 1, "\u0078": "PLANTED"}], "email": 1}"#,
        r#"{"user": {"n": 1}, "user": {"email": "PLANTED"}}"#,
    ] {
        let report = without(&group, JSON, body.replace("PLANTED", PLANTED));
        assert_eq!(
            (&report.body[..], &report.redacted[..]),
            (&b""[..], &["payload".to_owned()][..])
        );
    }
}

#[test]
fn lists_in_lists_and_the_deepest_body_are_looked_through() {
    for (path, body, left) in [
        (
            "payload.a[*][*].s",
            r#"{"a": [[{"s": "PLANTED"}, {"t": 1}], [], [{"s": "PLANTED", "t": 2}]]}"#,
            r#"{"a": [[{}, {"t": 1}], [], [{"t": 2}]]}"#,
        ),
        (
            "payload[*][1][*]",
            r#"[[1, ["PLANTED", {"x": "PLANTED"}]], [2, []], 3]"#,
            "[[1, []], [2, []], 3]",
        ),
        (
            "payload[0][0].s",
            r#"[[{"s": "PLANTED"}, {"s": 1}], {"s": 2}]"#,
            r#"[[{}, {"s": 1}], {"s": 2}]"#,
        ),
    ] {
        let group = redacting(HEADER, &[(path, false)], "");
        let report = without(&group, JSON, body.replace("PLANTED", PLANTED));
        assert_eq!(body_of(&report), left, "{path}");
    }
    let depth = payload::MAX_DEPTH;
    let deep = format!(
        "{}\"{PLANTED}\"{}",
        "{\"a\":".repeat(depth),
        "}".repeat(depth)
    );
    let path = format!("payload{}", ".a".repeat(depth));
    let report = without(&redacting(HEADER, &[(&path, false)], ""), JSON, deep);
    assert_eq!(report.redacted, [path]);
}

#[test]
fn a_body_that_is_not_what_it_says_is_not_kept() {
    let group = redacting(HEADER, &PATHS, "");
    let json = format!(r#"{{"user": {{"email": "{PLANTED}"}}, "email": "{PLANTED}"}}"#);
    let list = format!(r#" [{{"email": "{PLANTED}"}}]"#);
    let xml = format!("<user><email>{PLANTED}</email></user>");
    let form = format!("email={PLANTED}&n=1");
    let broken = format!("{{\"email\": \"{PLANTED}\"");
    let wide: Vec<u8> = json.bytes().flat_map(|byte| [byte, 0]).collect();
    let marked = format!("\u{feff}{json}");
    for (content_type, bodies) in [
        (JSON, [&form, &xml, &broken, &marked]),
        (FORM, [&json, &list, &xml, &broken]),
        ("text/xml", [&json, &list, &form, &broken]),
        ("application/x-ndjson", [&form, &xml, &broken, &marked]),
        ("text/plain", [&json, &list, &form, &xml]),
        (
            "application/json; charset=utf-16",
            [&json, &list, &form, &xml],
        ),
        (
            "multipart/form-data; boundary=b",
            [&json, &list, &form, &xml],
        ),
        ("multipart/form-data", [&json, &list, &form, &xml]),
    ] {
        for body in bodies {
            let report = without(&group, content_type, body.clone());
            assert_eq!(report.body, "", "{content_type}");
            let undecodable = i32::from(EventFlag::Undecodable);
            assert!(report.flags.contains(&undecodable), "{content_type}");
            assert_eq!(report.events[0].format(), PayloadFormat::Opaque);
            assert!(report.events[0].matches[0].matched, "it is still an event");
            // Nor is it when it is looked at again.
            let mut again = report.clone();
            group.redact(&mut again);
            assert_eq!(again, report);
        }
    }
    assert_eq!(reported(&group, JSON, wide).body, "");
}

#[test]
fn headers_say_nothing_of_what_was_taken_out() {
    let group = redacting(HEADER, &PATHS, "");
    let stale = [
        ("x-token", SECRET),
        ("content-type", JSON),
        ("content-length", "48"),
        ("content-md5", "abc"),
        ("digest", "sha-256=abc"),
        ("repr-digest", "sha-256=:abc:"),
        ("content-digest", "sha-256=:abc:"),
    ];
    let read = |body: &str| {
        let verified = genuine(&group, callback(&stale, body.to_owned()));
        let matched = group.match_events(group.extract(verified).unwrap());
        matched.into_report([7; 16], 42, NOW).headers
    };
    let names = |headers: &std::collections::BTreeMap<String, String>| {
        headers.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(names(&read(r#"{"email": "x"}"#)), ["content-type"]);
    assert_eq!(
        read("{\"n\": 1}").len(),
        stale.len() - 1,
        "all but the token"
    );
}

// What a body is cannot make redaction need many times its room.
#[test]
fn a_long_list_is_redacted_as_one() {
    const ITEMS: usize = 400_000;
    let numbers = format!("{{\"a\": [{}1], \"n\": 1}}", "1, ".repeat(ITEMS));
    let gone = reported(
        &redacting(HEADER, &[("payload.a[*]", false)], ""),
        JSON,
        numbers.clone(),
    );
    assert_eq!(body_of(&gone), "{\"a\": [], \"n\": 1}");
    let masked = reported(
        &redacting(HEADER, &[("payload.a[*]", true)], ""),
        JSON,
        numbers.clone(),
    );
    let expected = numbers.replacen('1', "\"***\"", ITEMS + 1);
    assert!(body_of(&masked) == expected, "each is masked");
    let none = reported(
        &redacting(HEADER, &[("payload.a[*].s", true)], ""),
        JSON,
        numbers.clone(),
    );
    assert!(body_of(&none) == numbers, "none is touched");
}
