use std::sync::Arc;

use super::*;
use crate::request::{Around, Decoding, Missing, Request};
use crate::testing::callback;

/// What a template makes of a request with these headers, query and JSON body.
fn made_of(
    template: &str,
    headers: &[(&str, &str)],
    query: &str,
    body: &str,
) -> Result<String, Missing> {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    let mut callback = callback(&all, body.to_owned());
    callback.query = query.to_owned();
    let decoding = Decoding {
        reading: crate::payload::Reading {
            max_bytes: 1 << 20,
            ..Default::default()
        },
        parameters: [("id".to_owned(), "webhook-1".to_owned())].into(),
    };
    let request = Request::new(callback, Arc::new(decoding));
    let template = Template::parse(template, Use::Signed).unwrap();
    let bytes = request.rendered(&template, Around::default());
    bytes
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .map_err(|(missing, _)| missing)
}

fn made(template: &str, body: &str) -> String {
    made_of(template, &[], "", body).unwrap()
}

// Expected values by coreutils, Python's hashlib, zlib, base64, urllib and json.
#[test]
fn filters_make_what_other_programs_make() {
    for (template, expected) in [
        (
            "{body|sha256|hex}",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "{body|sha1|hex|upper}",
            "A9993E364706816ABA3E25717850C26C9CD0D89D",
        ),
        ("{body|md5|hex}", "900150983cd24fb0d6963f7d28e17f72"),
        ("{body|md5|base64}", "kAFQmDzST7DWlj99KOF/cg=="),
        ("{body|crc32}", "891568578"),
        (
            "{body|sha256|base64url}",
            "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0",
        ),
        ("{body|hex}", "616263"),
        ("{body|upper}", "ABC"),
        ("{body|json}", "\"abc\""),
    ] {
        assert_eq!(made(template, "abc"), expected, "{template}");
    }
    assert_eq!(made("{body|pct}", "a b/c~é"), "a%20b%2Fc~%C3%A9");
    assert_eq!(made("{body|pct|pct}", "x=1"), "x%253D1");
    assert_eq!(made("{body|json}", "a\"\n\\é"), "\"a\\\"\\n\\\\é\"");
    assert_eq!(
        made_of("{query:id|lower}", &[], "id=ORD-7", "").unwrap(),
        "ord-7"
    );
}

#[test]
fn an_optional_part_is_left_out_with_its_value() {
    let template = "[[id:{query:id|lower};]][[request:{header:x-id};]]ts:{param:id};[[?{query}]]";
    let made = |headers: &[(&str, &str)], query: &str| made_of(template, headers, query, "");
    assert_eq!(made(&[], "").unwrap(), "ts:webhook-1;");
    assert_eq!(
        made(&[("x-id", "9")], "id=A").unwrap(),
        "id:a;request:9;ts:webhook-1;?id=A"
    );
    // What is there twice isn't absent.
    assert_eq!(made(&[], "id=A&id=B").unwrap_err(), Missing::Repeated);
}

#[test]
fn what_may_be_absent_is_empty_and_never_a_structure() {
    let made = |body: &str| made_of("{json:/a?}:{json:/b?|upper}", &[], "", body);
    assert_eq!(made(r#"{"a": "x", "b": "y"}"#).unwrap(), "x:Y");
    assert_eq!(made(r#"{"a": null}"#).unwrap(), ":");
    // It would be signed as if it weren't there.
    assert!(made(r#"{"a": {"b": 1}}"#).is_err());
    assert!(made(r#"{"a": [1]}"#).is_err());
    assert!(made_of("{json:/a->lower?}", &[], "", r#"{"a": [1]}"#).is_err());
    assert!(made("not json").is_err());
}

#[test]
fn steps_are_applied_from_left_to_right() {
    let read = |template: &str, body: &str| made(template, body);
    // {"user":{"id":7}} in base64, by coreutils.
    let body = r#"{"data": "eyJ1c2VyIjp7ImlkIjo3fX0=", "name": "A%20B", "raw": {"x" : [1, 2.50]}}"#;
    assert_eq!(read("{json:/data->base64->json:/user/id}", body), "7");
    assert_eq!(read("{json:/name->url->lower}", body), "a b");
    assert_eq!(read("{raw:/raw}", body), r#"{"x" : [1, 2.50]}"#);
    assert_eq!(read("{body->json:/name}", body), "A%20B");
    assert_eq!(
        read("{json:/x->xml:/a/b}", r#"{"x": "<a><b>7</b></a>"}"#),
        "7"
    );
    for (template, body, missing) in [
        ("{json:/d->base64}", r#"{"d": "%"}"#, Missing::Unreadable),
        ("{json:/d->base64}", r#"{"d": "/w=="}"#, Missing::Unreadable),
        ("{json:/d->url}", r#"{"d": "%zz"}"#, Missing::Unreadable),
        ("{json:/d->json:/x}", r#"{"d": "{}"}"#, Missing::Absent),
        ("{param:other}", "{}", Missing::Absent),
    ] {
        assert_eq!(made_of(template, &[], "", body).unwrap_err(), missing);
    }
    // Risk 41: JSON in a text is read by the same rule as a body.
    assert!(
        made_of(
            "{json:/d->json:/a}",
            &[],
            "",
            r#"{"d": "{\"a\": 1, \"a\": 2}"}"#
        )
        .is_err()
    );
}

#[test]
fn base64_is_read_in_either_alphabet_with_and_without_padding() {
    for text in ["Pz8+Pw==", "Pz8-Pw", "Pz8+Pw", "Pz8-\\nPw==\\n"] {
        let body = format!("{{\"d\": \"{text}\"}}");
        assert_eq!(made("{json:/d->base64}", &body), "??>?", "{text}");
    }
}

#[test]
fn each_use_takes_its_own_placeholders() {
    for (text, purpose, fits) in [
        ("{secret}{param:id}", Use::Key, true),
        ("{secret|sha256|hex}", Use::Key, true),
        ("{secret}{body}", Use::Key, false),
        ("{header:x}", Use::Key, false),
        ("{challenge}", Use::Signed, false),
        ("{mac}", Use::Challenge, false),
        ("{challenge}{secret}", Use::Challenge, true),
        ("{challenge}:{mac}", Use::Reply, true),
        ("{secret}", Use::Reply, false),
        ("[[{secret}]]", Use::Text, false),
        ("{secret|sha256|hex}", Use::Text, false),
        ("{item:/a}", Use::Signed, false),
        ("{parent:/a}", Use::Signed, false),
        ("{key:}", Use::Signed, false),
        ("{fixed:a}", Use::Signed, false),
    ] {
        assert_eq!(
            Template::parse(text, purpose).is_ok(),
            fits,
            "{text} {purpose:?}"
        );
    }
}

#[test]
fn a_template_that_is_wrong_is_refused() {
    for text in [
        "[[a]]",
        "[[{body}",
        "{body}]]",
        "[[a[[{body}]]]]",
        "{body|}",
        "{body|nope}",
        "{body|hex|hex|hex|hex|hex}",
        "{sha256_hex(body)}",
        "{json:/a/*}",
        "{json:/a->xml:b}",
        "{json:/a->nope}",
        "{json:/a->lower->lower->lower->lower->lower->lower->lower}",
    ] {
        assert!(Template::parse(text, Use::Signed).is_err(), "{text}");
    }
}

// Filters make a value longer, and several of them much longer.
#[test]
fn what_grows_beyond_the_bound_is_refused() {
    let body = "\u{1}".repeat(1 << 20);
    assert!(made_of("{body|json|json|hex}", &[], "", &body).is_err());
    assert_eq!(made("{body|sha256|hex}", &body).len(), 64);
}
