//! What comes of a definition's own tests.

use hookplane_proto::v1;

use super::check;
use crate::testing::{NOW, definition};
use crate::{Connector, FieldError};

const HMAC: &str = r#"
schemes:
  - name: v1
    hmac: {hash: sha256, content: "{sig:t}.{body}", signature: "header:X-Forge-Signature", encoding: hex, format: {pairs: {pairSeparator: ",", keySeparator: "=", signatureKey: v1}}}
    timestamp: {location: "sig:t", unit: seconds, toleranceSeconds: 300, window: both}
extract:
  eventType: [{from: "json:/type"}]
  deliveryId: [{from: "json:/id"}]
"#;
/// `printf '1767225600.{"type":"made","id":"e-1"}' | openssl dgst -sha256 -hmac synthetic-key-for-tests-only`
const SIGNED: &str =
    "t=1767225600,v1=5bb89be33a0d17dc544656b1604d66552d384dd587a2b7ce2cc85c2f1e9c1501";

fn made() -> v1::ConnectorTest {
    v1::ConnectorTest {
        name: "an order".into(),
        secrets: vec!["synthetic-key-for-tests-only".into()],
        headers: [("X-Forge-Signature".to_owned(), SIGNED.to_owned())].into(),
        body: r#"{"type":"made","id":"e-1"}"#.into(),
        now: "2026-01-01T00:00:00Z".into(),
        expect: "genuine".into(),
        expect_type: "made".into(),
        expect_delivery_id: "e-1".into(),
        expect_events: 1,
        ..Default::default()
    }
}

fn errors_of(protocol: &str, tests: Vec<v1::ConnectorTest>) -> Vec<FieldError> {
    let mut definition = definition(protocol);
    let spec = definition.spec.as_mut().unwrap();
    spec.tests = tests;
    let connector = Connector::compile(&definition).unwrap();
    check(definition.spec.as_ref().unwrap(), &connector, NOW)
}

/// The one thing that is wrong with one test.
fn error_of(protocol: &str, change: impl Fn(&mut v1::ConnectorTest)) -> (String, String) {
    let mut test = made();
    change(&mut test);
    let errors = errors_of(protocol, vec![test]);
    let [error] = errors.as_slice() else {
        panic!("one error: {errors:?}")
    };
    (error.field.clone(), error.message.clone())
}

#[test]
fn a_test_passes_when_all_is_as_expected() {
    assert_eq!(errors_of(HMAC, vec![made()]), []);
    // Without a time of its own it arrives now.
    let mut now = made();
    now.now.clear();
    assert_eq!(errors_of(HMAC, vec![now]), []);
}

#[test]
fn a_failing_test_says_what_came_instead() {
    let (field, message) = error_of(HMAC, |test| test.secrets = vec!["another".into()]);
    assert_eq!(field, "spec.tests[0].expect");
    assert_eq!(
        message,
        "test `an order`: expected genuine, got signature: no secret matched (1 tried)"
    );
    let (field, message) = error_of(HMAC, |test| test.expect_type = "paid".into());
    assert_eq!(field, "spec.tests[0].expectType");
    assert_eq!(message, "test `an order`: expected type `paid`, got `made`");
    let (_, message) = error_of(HMAC, |test| test.expect_external_id = "acc".into());
    assert_eq!(
        message,
        "test `an order`: expected external id `acc`, got none"
    );
    let (field, message) = error_of(HMAC, |test| test.expect_events = 2);
    assert_eq!(field, "spec.tests[0].expectEvents");
    assert_eq!(message, "test `an order`: expected 2 events, got 1 event");
    let (_, message) = error_of(HMAC, |test| {
        *test = v1::ConnectorTest {
            expect: "signature".into(),
            ..test.clone()
        };
        test.expect_type.clear();
        test.expect_delivery_id.clear();
        test.expect_events = 0;
    });
    assert_eq!(message, "test `an order`: expected signature, got genuine");
    let (_, message) = error_of(HMAC, |test| test.now = "2026-01-01T00:10:00Z".into());
    assert_eq!(
        message,
        "test `an order`: expected genuine, got timestamp: timestamp is 600 s old, 300 s are allowed"
    );
}

#[test]
fn a_test_that_cannot_be_run_is_refused_at_its_field() {
    type Change = fn(&mut v1::ConnectorTest);
    let wrong: [(&str, Change); 13] = [
        (".name", |t| t.name.clear()),
        (".function", |t| t.function = "other".into()),
        (".expect", |t| t.expect.clear()),
        (".expect", |t| t.expect = "fine".into()),
        (".expectType", |t| {
            t.expect = "signature".into();
        }),
        (".method", |t| t.method = "P ST".into()),
        (".query", |t| t.query = "a b".into()),
        (".now", |t| t.now = "yesterday".into()),
        (".bodyBase64", |t| t.body_base64 = "e30=".into()),
        (".body", |t| t.body = "x".repeat(65_537)),
        (".secrets", |t| t.secrets.clear()),
        (".secrets[0]", |t| t.secrets = vec![String::new()]),
        (".parameters.other", |t| {
            t.parameters.insert("other".into(), "x".into());
        }),
    ];
    for (field, change) in wrong {
        assert_eq!(error_of(HMAC, change).0, format!("spec.tests[0]{field}"));
    }
    let (field, _) = error_of(HMAC, |t| {
        t.headers.insert("a b".into(), "c".into());
    });
    assert_eq!(field, "spec.tests[0].headers.a b");
    let errors = errors_of(HMAC, vec![made(), made()]);
    assert_eq!(errors[0].field, "spec.tests[1].name");
    let errors = errors_of(HMAC, vec![made(); 101]);
    assert_eq!(errors[0].field, "spec.tests");
}

#[test]
fn a_signed_url_has_to_be_named() {
    let url = HMAC.replace("{sig:t}.{body}", "{sig:t}.{url}.{body}");
    assert_eq!(error_of(&url, |_| {}).0, "spec.tests[0].url");
    let (field, message) = error_of(&url, |test| test.url = "https://h.example.com/x".into());
    assert_eq!(field, "spec.tests[0].expect");
    assert!(message.contains("signs the URL"), "{message}");
    assert_eq!(
        error_of(&url, |test| test.url = "https://h.example.com/x?y".into()).0,
        "spec.tests[0].url"
    );
}

// A hundred bodies that each unpack to megabytes would keep whoever checks them busy for long.
#[test]
fn a_tests_body_may_not_unpack_to_much() {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b' '; 8 * 1024 * 1024]).unwrap();
    let packed = packed.finish().unwrap();
    let signed_unpacked = format!("{HMAC}\nsignsUnpackedBody: true\nmaxBodyBytes: 16777216\n");
    let (_, message) = error_of(&signed_unpacked, |test| {
        use base64::Engine as _;
        test.body.clear();
        test.body_base64 = crate::encoding::BASE64.encode(&packed);
        test.headers
            .insert("Content-Encoding".into(), "gzip".into());
    });
    assert!(message.contains("undecodable"), "{message}");
}
