use std::io::Write;

use bytes::Bytes;
use hookplane_proto::v1::{self, PayloadFormat};
use proptest::prelude::*;

use super::*;

mod formats;

use formats::{MULTIPART, multipart};

fn validate(text: impl AsRef<[u8]>) -> Result<Json, String> {
    Json::validate(Bytes::copy_from_slice(text.as_ref()))
}

fn pointer(tokens: &[&str]) -> Vec<String> {
    tokens.iter().map(|token| (*token).to_owned()).collect()
}

#[test]
fn json_of_the_standard_is_valid() {
    for text in [
        "null",
        " true ",
        "0",
        "-0",
        "12.50",
        "-1.5e+10",
        "1E-7",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "\t[1 , 2]\r\n",
        r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#,
        r#""\" \\ \/ \b \f \n \r \t \u00e9 \ud83d\ude00""#,
        "\"\u{feff}\u{7f}é😀\"",
    ] {
        assert!(validate(text).is_ok(), "{text}: {:?}", validate(text));
    }
}

// Risk 41: what parsers read in different ways is undecodable.
#[test]
fn what_parsers_could_differ_on_is_refused() {
    for (text, part) in [
        ("", "a value expected"),
        (" ", "a value expected"),
        ("{} x", "after the document at byte 3"),
        ("{}{}", "after the document"),
        ("\u{feff}{}", "byte order mark"),
        (r#"{"a":1,"a":2}"#, "the key at byte 7 is there twice"),
        (r#"{"a":1,"\u0061":2}"#, "twice"),
        (r#"{"a/b":1,"a\/b":2}"#, "twice"),
        (r#"[{"b":{"a":1,"a":1}}]"#, "twice"),
        (r#""\ud83d""#, "surrogate"),
        (r#""\ud83dx""#, "surrogate"),
        (r#""\ud83d\u0041""#, "surrogate"),
        (r#""\ude00""#, "surrogate"),
        (r#""\u12g4""#, "four hex digits"),
        (r#""\u+123""#, "four hex digits"),
        (r#""\u12"#, "four hex digits"),
        (r#""\x41""#, "escape"),
        ("\"a\nb\"", "control character"),
        ("\"a", "expected"),
        ("01", "leading zero"),
        ("-", "a digit"),
        ("1.", "a digit"),
        (".5", "a value"),
        ("+1", "a value"),
        ("1e", "a digit"),
        ("1e999", "range of a double"),
        ("0x10", "after the document"),
        ("NaN", "a value"),
        ("Infinity", "a value"),
        ("tru", "a value"),
        ("truex", "after the document"),
        ("[1,]", "a value"),
        ("[1 2]", "`,` or `]`"),
        ("{\"a\":1,}", "`\"`"),
        ("{a:1}", "`\"`"),
        ("{\"a\" 1}", "`:`"),
        ("{'a':1}", "`\"`"),
        ("[1}", "`,` or `]`"),
        ("// c\n1", "a value"),
    ] {
        let reason = validate(text).expect_err(text);
        assert!(reason.contains(part), "{text}: {reason}");
    }
    assert!(
        validate(b"\"\xff\"")
            .unwrap_err()
            .contains("not UTF-8 at byte 1")
    );
    assert!(
        validate("9".repeat(400))
            .unwrap_err()
            .contains("range of a double")
    );
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(validate(nested(MAX_DEPTH)).is_ok());
    assert!(
        validate(nested(MAX_DEPTH + 1))
            .unwrap_err()
            .contains("64 levels")
    );
    assert!(validate("[".repeat(1_000_000)).is_err());
    assert!(validate("{\"a\":".repeat(1_000_000)).is_err());
}

#[test]
fn an_object_of_very_many_keys_is_no_quadratic_cost() {
    // Alike at both ends, so that the cheap hash tells none of them apart. Compared in pairs this would take minutes.
    let keys: Vec<String> = (0..200_000)
        .map(|n| format!("\"aaaaaaaa{n:06}bbbbbbbb\":0"))
        .collect();
    let text = format!("{{{}}}", keys.join(","));
    let start = std::time::Instant::now();
    assert!(validate(&text).is_ok());
    assert!(start.elapsed() < std::time::Duration::from_secs(10));
    let twice = format!("{{{},{}}}", keys.join(","), keys[7]);
    assert!(validate(twice).unwrap_err().contains("twice"));
    for count in 120..136 {
        let some = keys[..count].join(",");
        assert!(validate(format!("{{{some}}}")).is_ok(), "{count}");
        assert!(
            validate(format!("{{{some},{}}}", keys[0])).is_err(),
            "{count}"
        );
        assert!(
            validate(format!("{{{some},{}}}", keys[count - 1])).is_err(),
            "{count}"
        );
    }
}

// Risk 34: 12.50 stays 12.50.
#[test]
fn scalars_are_read_as_written() {
    let json = validate(
        r#" {"n": 12.50, "big": 123456789012345678901234567890, "e": 1E+2, "s": "a\"\u00e9\ud83d\ude00\/", "t": true, "z": null,
            "o": {"x/y": 1, "": 2, "\u0061b": "k"}, "l": [10, [20, "x"], {}], "01": "zero"} "#,
    )
    .unwrap();
    let scalar = |tokens: &[&str]| json.scalar_at(&pointer(tokens));
    assert_eq!(scalar(&["n"]).as_deref(), Some("12.50"));
    assert_eq!(
        scalar(&["big"]).as_deref(),
        Some("123456789012345678901234567890")
    );
    assert_eq!(scalar(&["e"]).as_deref(), Some("1E+2"));
    assert_eq!(scalar(&["s"]).as_deref(), Some("a\"é😀/"));
    assert_eq!(scalar(&["t"]).as_deref(), Some("true"));
    assert_eq!(scalar(&["o", "x/y"]).as_deref(), Some("1"));
    assert_eq!(scalar(&["o", ""]).as_deref(), Some("2"));
    assert_eq!(scalar(&["o", "ab"]).as_deref(), Some("k"));
    assert_eq!(scalar(&["l", "0"]).as_deref(), Some("10"));
    assert_eq!(scalar(&["l", "1", "1"]).as_deref(), Some("x"));
    assert_eq!(scalar(&["01"]).as_deref(), Some("zero"));
    for missing in [
        &["z"][..],
        &["o"],
        &["l"],
        &["nope"],
        &["l", "9"],
        &["l", "01"],
        &["l", "-1"],
        &["l", ""],
        &["n", "x"],
        &["l", "99999999999999999999"],
    ] {
        assert_eq!(scalar(missing), None, "{missing:?}");
    }
    assert_eq!(json.at(&pointer(&["l", "1"])), Some(r#"[20, "x"]"#));
    assert_eq!(json.at(&pointer(&["z"])), Some("null"));
}

#[test]
fn an_escaped_key_is_not_its_own_text() {
    let json = validate(r#"{"\\": 1, "\\\\": 2}"#).unwrap();
    assert_eq!(json.scalar_at(&pointer(&["\\"])).as_deref(), Some("1"));
    assert_eq!(json.scalar_at(&pointer(&["\\\\"])).as_deref(), Some("2"));
}

#[test]
fn an_object_of_more_members_than_are_noted_reads_the_same() {
    for count in [1, 63, 64, 65, 200] {
        let members: Vec<String> = (0..count)
            .map(|n| format!(r#""k{n}": {{"deep": [{n}]}}"#))
            .collect();
        let json = validate(format!("{{ {} }}", members.join(" , "))).unwrap();
        for n in 0..count {
            let at = pointer(&[&format!("k{n}"), "deep", "0"]);
            assert_eq!(json.scalar_at(&at), Some(n.to_string()), "{n} of {count}");
        }
        assert_eq!(json.at(&pointer(&["k"])), None);
        assert_eq!(json.at(&[]), Some(json.text()));
    }
    // Members of an object inside are none of the outermost one.
    let json = validate(r#"[{"a": 1}]"#).unwrap();
    assert_eq!(json.at(&pointer(&["a"])), None);
    assert_eq!(json.at(&pointer(&["0", "a"])), Some("1"));
}

#[test]
fn items_share_the_body() {
    let body = Bytes::from_static(br#"{"events": [ {"a":1} , 2,"x" ], "none": [], "one": {}}"#);
    let json = Json::validate(body.clone()).unwrap();
    let items = json.items_at(&pointer(&["events"])).unwrap();
    let texts: Vec<&str> = items.iter().map(Json::text).collect();
    assert_eq!(texts, [r#"{"a":1}"#, "2", r#""x""#]);
    let range = body.as_ptr_range();
    assert!(
        items
            .iter()
            .all(|item| range.contains(&item.bytes().as_ptr()))
    );
    assert_eq!(
        json.items_at(&pointer(&["none"])).map(|items| items.len()),
        Some(0)
    );
    assert!(json.items_at(&pointer(&["one"])).is_none());
    assert!(json.items_at(&pointer(&["nope"])).is_none());
}

#[test]
fn forms_are_split_as_the_standard_says() {
    let fields = decode_form(b"a=1&b=x+y%2Bz&a=2&c&=e&&d=%C3%A9=").unwrap();
    let field = |name: &str| fields.get(name).map(Vec::as_slice);
    assert_eq!(field("a"), Some(&["1".to_owned(), "2".to_owned()][..]));
    assert_eq!(field("b"), Some(&["x y+z".to_owned()][..]));
    assert_eq!(field("c"), Some(&[String::new()][..]));
    assert_eq!(field(""), Some(&["e".to_owned()][..]));
    assert_eq!(field("d"), Some(&["é=".to_owned()][..]));
    assert_eq!(decode_form(b""), Some(Default::default()));
    for bad in [
        &b"a=%zz"[..],
        b"a=%f",
        b"a=%",
        b"%=1",
        b"a=%ff",
        b"a=\xff",
        b"a=%+1",
    ] {
        assert_eq!(decode_form(bad), None, "{bad:?}");
    }
    assert!(decode_form("a&".repeat(MAX_FORM_FIELDS).as_bytes()).is_some());
    assert!(decode_form("a&".repeat(MAX_FORM_FIELDS + 1).as_bytes()).is_none());
}

fn of(content_type: Option<&str>, encoding: Option<&str>, body: &[u8]) -> Payload {
    decoded(&reading(), content_type, encoding, body).payload
}

fn reading() -> Reading {
    Reading {
        payload: PayloadAt::parse("form:payload").ok(),
        max_bytes: 1000,
        ..Reading::default()
    }
}

fn decoded(
    reading: &Reading,
    content_type: Option<&str>,
    encoding: Option<&str>,
    body: &[u8],
) -> Decoded {
    decode(
        reading,
        content_type,
        encoding,
        &Bytes::copy_from_slice(body),
    )
}

#[track_caller]
fn is_opaque(payload: Payload, part: &str) {
    match payload {
        Payload::Opaque(reason) => assert!(reason.contains(part), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_body_is_decoded_by_its_content_type() {
    for content_type in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/vnd.x.v1+json;charset=\"utf-8\"",
        "text/json",
        "application/cloudevents+json",
    ] {
        assert!(
            matches!(of(Some(content_type), None, b"{}"), Payload::Json(_)),
            "{content_type}"
        );
    }
    assert!(matches!(of(None, None, b"[1]"), Payload::Json(_)));
    let form = "application/x-www-form-urlencoded";
    assert!(matches!(of(Some(form), None, b"a=1"), Payload::Form(_)));
    assert!(
        matches!(of(Some(form), None, b"a=1&payload=%7B%7D"), Payload::FormJson(_, json) if json.text() == "{}")
    );
    is_opaque(
        of(Some(form), None, b"payload=%7B"),
        "form field `payload`: not valid JSON",
    );
    is_opaque(of(Some(form), None, b"payload=1&payload=2"), "2 times");
    is_opaque(of(Some(form), None, b"a=%zz"), "not a valid form");
    is_opaque(of(None, None, b"a=1"), "no content type");
    is_opaque(of(Some("application/json"), None, b"{"), "not valid JSON");
    is_opaque(
        of(Some("application/json; charset=latin1"), None, b"{}"),
        "charset `latin1`",
    );
    is_opaque(of(Some("text/plain"), None, b"{}"), "`text/plain`");
    is_opaque(of(Some("+json"), None, b"{}"), "`+json`");
    is_opaque(of(Some("application/json"), None, b""), "the body is empty");
    is_opaque(of(None, None, b""), "the body is empty");
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_compressed_body_is_inflated_within_its_bound() {
    let json = Some("application/json");
    let body = br#"{"a": 12.50}"#;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(body).unwrap();
    let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    bare.write_all(body).unwrap();
    for (encoding, compressed) in [
        ("gzip", gzip(body)),
        ("GZIP", gzip(body)),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", bare.finish().unwrap()),
        ("identity", body.to_vec()),
        ("", body.to_vec()),
    ] {
        match of(json, Some(encoding), &compressed) {
            Payload::Json(json) => assert_eq!(json.text().as_bytes(), body),
            other => panic!("{encoding}: {other:?}"),
        }
    }
    let zeros = gzip(&[b' '; 10_000_000]);
    is_opaque(of(json, Some("gzip"), &zeros), "more than 1000 bytes");
    is_opaque(of(json, Some("gzip"), b"{}"), "not valid gzip");
    is_opaque(of(json, Some("gzip"), &gzip(body)[..20]), "not valid gzip");
    is_opaque(of(json, Some("gzip"), &gzip(b"")), "the body is empty");
    is_opaque(of(json, Some("br"), body), "`br`");
    is_opaque(of(json, Some("gzip, gzip"), body), "`gzip, gzip`");
}

#[test]
fn the_beginning_of_a_kept_payload_ends_with_a_whole_character() {
    let event = |format: PayloadFormat, content_type: &str, body: &str| v1::Event {
        format: format.into(),
        content_type: content_type.to_owned(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        ..Default::default()
    };
    let form = "application/x-www-form-urlencoded";
    for kept in [
        event(
            PayloadFormat::Json,
            "application/json",
            r#"{"a":"\u0001ää"}"#,
        ),
        event(PayloadFormat::Form, form, "a=%01%C3%A4%C3%A4&b=1&b=2"),
    ] {
        let whole = to_json(&kept).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&whole).is_ok());
        for max in 0..=whole.len() {
            let (shown, cut) = to_json_within(&kept, max).unwrap();
            assert!(shown.len() <= max && shown.len() + 2 > max, "{shown}");
            assert!(whole.starts_with(&shown));
            assert_eq!(cut, max < whole.len());
        }
        assert_eq!(to_json_within(&kept, usize::MAX), Some((whole, false)));
    }
    assert_eq!(form_json(&Fields::new()), "{}");
}

#[test]
fn a_kept_event_reads_as_it_did() {
    let event = |format: PayloadFormat, content_type: &str, body: &[u8]| v1::Event {
        format: format.into(),
        content_type: content_type.to_owned(),
        body: Bytes::copy_from_slice(body),
        ..Default::default()
    };
    let json = event(PayloadFormat::Json, "application/json", b" {\"a\": 12.50}");
    assert_eq!(to_json(&json).as_deref(), Some(" {\"a\": 12.50}"));
    let form = "application/x-www-form-urlencoded";
    let fields = event(PayloadFormat::Form, form, b"b=x+%22&a=1&a=2");
    assert_eq!(
        to_json(&fields).as_deref(),
        Some(r#"{"a":["1","2"],"b":"x \""}"#)
    );
    let mut inside = event(PayloadFormat::Form, form, b"payload=%7B%22a%22%3A1.0%7D");
    inside.payload = "form:payload".to_owned();
    assert_eq!(to_json(&inside).as_deref(), Some(r#"{"a":1.0}"#));
    // One of a batch that came in a form field, or compressed: the item itself is JSON.
    let item = event(PayloadFormat::Json, form, b"{\"a\":2}");
    assert_eq!(to_json(&item).as_deref(), Some(r#"{"a":2}"#));
    let mut item = event(PayloadFormat::Json, "application/json", b"{\"a\":3}");
    item.headers
        .insert("content-encoding".to_owned(), "gzip".to_owned());
    assert_eq!(to_json(&item).as_deref(), Some(r#"{"a":3}"#));
    item.body = gzip(b"{\"a\":4}").into();
    assert_eq!(to_json(&item).as_deref(), Some(r#"{"a":4}"#));
    let kept = event(PayloadFormat::Xml, "application/xml", b"<a><b>1</b></a>");
    assert_eq!(to_json(&kept).as_deref(), Some(r#"{"a":{"b":"1"}}"#));
    let kept = event(PayloadFormat::Ndjson, "text/plain", b"{\"a\":1}\n2\n");
    assert_eq!(to_json(&kept).as_deref(), Some(r#"[{"a":1},2]"#));
    let kept = event(
        PayloadFormat::Multipart,
        MULTIPART,
        &multipart(&[("a", None, b"1")]),
    );
    assert_eq!(to_json(&kept).as_deref(), Some(r#"{"a":"1"}"#));
    // Gzip that nobody named was seen when it came.
    let kept = event(PayloadFormat::Xml, "text/xml", &gzip(b"<a>1</a>"));
    assert_eq!(to_json(&kept).as_deref(), Some(r#"{"a":"1"}"#));
    assert_eq!(
        to_json(&event(PayloadFormat::Opaque, "application/json", b"{}")),
        None
    );
    assert_eq!(
        to_json(&event(PayloadFormat::Json, "application/json", b"{")),
        None
    );
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,6}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-c\"\\\\/é]{0,2}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every pointer of a value, and what is there.
fn walk<'a>(
    value: &'a serde_json::Value,
    at: &mut Vec<String>,
    out: &mut Vec<(Vec<String>, &'a serde_json::Value)>,
) {
    out.push((at.clone(), value));
    let children: Vec<(String, &serde_json::Value)> = match value {
        serde_json::Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(n, v)| (n.to_string(), v))
            .collect(),
        serde_json::Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), v)).collect(),
        _ => Vec::new(),
    };
    for (token, child) in children {
        at.push(token);
        walk(child, at, out);
        at.pop();
    }
}

/// Every character that isn't plain becomes an escape, and some that are.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut in_string = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            '"' => in_string = !in_string,
            'a' | 'é' if in_string => {
                out.push_str(&format!("\\u{:04X}", c as u32));
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

proptest! {
    // Risk 41: the lazy read against a full parse.
    #[test]
    fn the_lazy_read_agrees_with_a_full_parse(value in any_json(), pretty: bool, escape: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let text = if escape { escaped(&text) } else { text };
        let full: serde_json::Value = serde_json::from_str(&text).unwrap();
        let json = validate(&text).unwrap();
        let mut all = Vec::new();
        walk(&full, &mut Vec::new(), &mut all);
        for (pointer, expected) in all {
            let raw = json.at(&pointer).expect("it is there");
            let read: serde_json::Value = serde_json::from_str(raw).unwrap();
            prop_assert_eq!(&read, expected);
            let scalar = json.scalar_at(&pointer);
            match expected {
                serde_json::Value::String(s) => prop_assert_eq!(scalar.as_deref(), Some(s.as_str())),
                serde_json::Value::Number(_) | serde_json::Value::Bool(_) => prop_assert_eq!(scalar.as_deref(), Some(raw)),
                _ => prop_assert_eq!(scalar, None),
            }
            let items = json.items_at(&pointer);
            prop_assert_eq!(items.map(|items| items.len()), expected.as_array().map(Vec::len));
        }
    }

    // Risk 41: what we take, a full parser takes; what it takes and we don't is one of the stated rules.
    #[test]
    fn the_validating_pass_agrees_with_a_full_parse(
        text in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\"", "\"\\u0061\"", "\\", "\\u", "d83d", "\\ud83d", "\\ude00", "0", "1", "-", ".", "e",
            "+", "true", "false", "null", " ", "\n", "\u{feff}", "é", "\u{0}", "/", "tru",
        ]), 0..14).prop_map(|parts| parts.concat()),
    ) {
        let ours = validate(&text);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (&ours, &theirs) {
            (Ok(_), Err(e)) => prop_assert!(false, "we take {text:?}, serde_json says {e}"),
            (Err(reason), Ok(_)) => prop_assert!(reason.contains("twice"), "{text:?}: {reason}"),
            _ => {}
        }
    }

    // Risk 41: a key that is there twice is found wherever it is and however alike the keys are.
    #[test]
    fn a_key_that_is_there_twice_is_found(
        keys in prop::collection::btree_set("[ab]{0,12}|a{8}[a-c]{0,3}b{8}", 1..200),
        first: prop::sample::Index,
        second: prop::sample::Index,
    ) {
        let mut members: Vec<String> = keys.iter().map(|key| format!("\"{key}\":[]")).collect();
        let once = format!("{{{}}}", members.join(","));
        prop_assert!(validate(&once).is_ok(), "{once}");
        let again = members[first.index(members.len())].clone();
        members.insert(second.index(members.len() + 1), again);
        let reason = validate(format!("{{{}}}", members.join(","))).unwrap_err();
        prop_assert!(reason.contains("twice"), "{reason}");
    }

    #[test]
    fn the_end_of_a_plain_run_is_where_a_look_at_each_byte_finds_it(
        bytes in prop::collection::vec(
            prop_oneof![8 => any::<u8>(), 1 => prop::sample::select(vec![b'"', b'\\', 0, 0x1f, 0x20, 0x7f, 0x80, 0xa2, 0xff])],
            0..64,
        ),
        from in 0..70_usize,
    ) {
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let expected = (from..bytes.len()).find(|at| is_special(&bytes[*at]));
        prop_assert_eq!(scan::end_of_plain(&bytes, from).min(bytes.len()), expected.unwrap_or(bytes.len()));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), content_type in ".{0,30}", encoding in "(gzip|deflate|br)?") {
        let _ = of(Some(&content_type), Some(&encoding), &bytes);
        let _ = of(None, Some(&encoding), &bytes);
        let _ = of(Some("application/x-www-form-urlencoded"), None, &bytes);
    }

    #[test]
    fn reading_what_was_never_validated_does_not_panic(text in "[\\[\\]{}\",:\\\\u0-9aé ]{0,30}") {
        let _ = scan::at(&text, &pointer(&["a", "0"]));
        let _ = scan::unescape(&text);
        members(&text).count();
        elements(&text).count();
    }

    #[test]
    fn a_form_agrees_with_another_implementation(body in "[a-c=&+%0-9A-F]{0,30}") {
        if let Some(fields) = decode_form(body.as_bytes()) {
            let mut expected: std::collections::BTreeMap<String, Vec<String>> = Default::default();
            for (name, value) in form_urlencoded::parse(body.as_bytes()) {
                expected.entry(name.into_owned()).or_default().push(value.into_owned());
            }
            prop_assert_eq!(fields, expected);
        }
    }
}
