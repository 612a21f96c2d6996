//! Attacks on the proof: what is missing, repeated, empty, weakened, extended or sent again as something else is refused.

use std::sync::Arc;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookplane_proto::v1;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sha2::{Digest as _, Sha256};

use crate::{
    Callback, Connector, FieldError, Group, Proven, Refusal, RefusalKind, Shaken, Timestamp,
};

mod handshakes;

use handshakes::HANDSHAKE;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const SECRET: &str = "s3cret";

/// The function's `protocol`, in YAML.
fn compile(protocol: &str) -> Result<Arc<Connector>, Vec<FieldError>> {
    let text = format!(
        "functions:\n  - {{name: one, openEvents: true}}\nprotocol:\n{}",
        protocol
            .lines()
            .map(|line| format!("  {line}\n"))
            .collect::<String>()
    );
    Connector::compile(&v1::Connector {
        metadata: Some(v1::Metadata {
            name: "forge".to_owned(),
            ..Default::default()
        }),
        spec: Some(
            saphyr_serde::from_str(&text).expect("a test's definition is YAML of its shape"),
        ),
    })
}

fn group_with(
    protocol: &str,
    edit: impl FnOnce(&mut v1::WebhookGroupSpec),
) -> Result<Arc<Group>, Vec<FieldError>> {
    let mut spec = v1::WebhookGroupSpec {
        registered_events: vec!["*".to_owned()],
        signature_secrets: vec![v1::SignatureSecret {
            value: SECRET.to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    edit(&mut spec);
    Group::compile(
        &v1::WebhookGroup {
            metadata: Some(v1::Metadata {
                name: "forge".to_owned(),
                org: "acme".to_owned(),
                ..Default::default()
            }),
            spec: Some(spec),
            status: Some(v1::WebhookGroupStatus {
                callback_url: "https://example.com/a/token".to_owned(),
                ..Default::default()
            }),
        },
        compile(protocol)?,
        Vec::new(),
    )
}

fn group(protocol: &str) -> Arc<Group> {
    group_with(protocol, |_| {}).expect("a test's group compiles")
}

fn post(headers: &[(&str, &str)], body: &str) -> Callback {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).expect("a test's header name"),
            HeaderValue::from_str(value).expect("a test's header value"),
        );
    }
    Callback {
        method: Method::POST,
        query: String::new(),
        headers: map,
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn mac(key: &str, content: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("an HMAC takes any key");
    mac.update(content.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[track_caller]
fn genuine(group: &Group, callback: Callback) {
    let proven = group.verify(callback, NOW);
    assert!(matches!(proven, Ok(Proven::Genuine(_))), "{proven:?}");
}

#[track_caller]
fn refused(group: &Group, callback: Callback, kind: RefusalKind) -> Refusal {
    let refusal = group.verify(callback, NOW).expect_err("it must be refused");
    assert_eq!(refusal.kind, kind, "{}", refusal.reason);
    refusal
}

const HMAC: &str = r#"
schemes:
  - name: h
    hmac: {hash: sha256, content: "{timestamp}.{body}", signature: "header:x-sig", encoding: hex}
    timestamp: {location: "header:x-time", unit: seconds, toleranceSeconds: 300, window: both}
"#;
const TIME: &str = "1700000000";

// Risk 33: every part of an HMAC scheme missing, empty or of another form.
#[test]
fn an_hmac_with_a_part_missing_is_refused() {
    let group = group(HMAC);
    let sig = mac(SECRET, &format!("{TIME}.{{}}"));
    genuine(&group, post(&[("x-sig", &sig), ("x-time", TIME)], "{}"));
    for headers in [
        vec![],
        vec![("x-time", TIME)],
        vec![("x-sig", &*sig)],
        vec![("x-sig", ""), ("x-time", TIME)],
        vec![("x-sig", " "), ("x-time", TIME)],
        vec![("x-sig", &sig[..62]), ("x-time", TIME)],
        vec![("x-sig", &*sig), ("x-time", "")],
        vec![("x-sig", &*sig), ("x-time", "1700000001")],
        // Risk 36: sent twice, the good one first or last.
        vec![("x-sig", &*sig), ("x-sig", "00"), ("x-time", TIME)],
        vec![("x-sig", &*sig), ("x-sig", &*sig), ("x-time", TIME)],
        vec![("x-sig", &*sig), ("x-time", TIME), ("x-time", TIME)],
    ] {
        refused(&group, post(&headers, "{}"), RefusalKind::Signature);
    }
    refused(
        &group,
        post(&[("x-sig", &sig), ("x-time", TIME)], ""),
        RefusalKind::Signature,
    );
    // What an unkeyed or emptily keyed hash would be.
    for forged in [
        mac("", &format!("{TIME}.{{}}")),
        hex::encode(Sha256::digest(format!("{TIME}.{{}}"))),
    ] {
        refused(
            &group,
            post(&[("x-sig", &forged), ("x-time", TIME)], "{}"),
            RefusalKind::Signature,
        );
    }
}

// Risk 38: seconds are not milliseconds, and no number overflows.
#[test]
fn a_signed_time_that_is_none_is_refused() {
    let group = group(HMAC);
    for time in [
        "1700000000000",
        "9223372036854775807",
        "99999999999999999999",
        "-1",
        "+1",
        "1e9",
        "0x65",
        "1699999699",
        "1700000301",
    ] {
        let sig = mac(SECRET, &format!("{time}.{{}}"));
        let refusal = group
            .verify(post(&[("x-sig", &sig), ("x-time", time)], "{}"), NOW)
            .expect_err("it must be refused");
        let kinds = [RefusalKind::Timestamp, RefusalKind::Signature];
        assert!(kinds.contains(&refusal.kind), "{time}: {refusal:?}");
    }
    for time in ["1699999700", "1700000300"] {
        let sig = mac(SECRET, &format!("{time}.{{}}"));
        genuine(&group, post(&[("x-sig", &sig), ("x-time", time)], "{}"));
    }
}

// Risk 33: a group without the secret, or with one that is no key, doesn't compile, so nothing can be taken.
#[test]
fn a_group_without_a_usable_secret_does_not_compile() {
    let fields = |edit: &dyn Fn(&mut v1::WebhookGroupSpec), protocol: &str| -> Vec<String> {
        let errors = group_with(protocol, edit).expect_err("it must not compile");
        errors.into_iter().map(|error| error.field).collect()
    };
    let none = |spec: &mut v1::WebhookGroupSpec| spec.signature_secrets.clear();
    let empty = |spec: &mut v1::WebhookGroupSpec| spec.signature_secrets[0].value.clear();
    assert_eq!(fields(&none, HMAC), ["spec.signatureSecrets"]);
    assert!(fields(&empty, HMAC).contains(&"spec.signatureSecrets[0].value".to_owned()));
    let base64 = HMAC.replace(
        "encoding: hex}",
        "encoding: hex, key: {decode: base64, stripPrefix: whsec_}}",
    );
    for bad in ["whsec_", "whsec_%%%", "not base64!"] {
        let edit =
            |spec: &mut v1::WebhookGroupSpec| spec.signature_secrets[0].value = bad.to_owned();
        let fields = fields(&edit, &base64);
        assert_eq!(fields, ["spec.signatureSecrets[0].value"], "{bad}");
    }
    // And the error never has the secret in it.
    let edit = |spec: &mut v1::WebhookGroupSpec| {
        spec.signature_secrets[0].value = "pläin-secret".to_owned()
    };
    let errors = group_with(&base64, edit).expect_err("it is no base64");
    assert!(!format!("{errors:?}").contains("secret\""), "{errors:?}");
    assert!(!format!("{errors:?}").contains("pläin"), "{errors:?}");
}

// Risk 37: the same secret text is another key where the connector says so.
#[test]
fn a_key_is_decoded_as_its_connector_says_and_in_no_other_way() {
    let secret = "whsec_c2VjcmV0";
    let with = |key: &str| {
        let protocol = HMAC.replace("encoding: hex}", &format!("encoding: hex, key: {key}}}"));
        group_with(&protocol, |spec| {
            spec.signature_secrets[0].value = secret.to_owned()
        })
        .expect("it compiles")
    };
    let keys = [
        ("{decode: raw}", secret),
        ("{decode: raw, stripPrefix: whsec_}", "c2VjcmV0"),
        ("{decode: base64, stripPrefix: whsec_}", "secret"),
    ];
    for (key, right) in keys {
        for (_, tried) in keys {
            let sig = mac(tried, &format!("{TIME}.{{}}"));
            let callback = post(&[("x-sig", &sig), ("x-time", TIME)], "{}");
            if tried == right {
                genuine(&with(key), callback);
            } else {
                refused(&with(key), callback, RefusalKind::Signature);
            }
        }
    }
}

// Risk 33: accepting the unsigned is for who can't verify; with a secret, everything is verified.
#[test]
fn accept_unsigned_never_weakens_a_group_with_a_secret() {
    let group = group_with(HMAC, |spec| spec.accept_unsigned = true).expect("it compiles");
    refused(&group, post(&[], "{}"), RefusalKind::Signature);
}

const TOKEN: &str = r#"
schemes:
  - name: t
    token: {location: "header:x-token", prefix: "Bearer "}
"#;

// Risk 33.
#[test]
fn a_token_with_a_part_missing_is_refused() {
    let group = group(TOKEN);
    genuine(&group, post(&[("x-token", "Bearer s3cret")], "{}"));
    for headers in [
        vec![],
        vec![("x-token", "")],
        vec![("x-token", "Bearer ")],
        vec![("x-token", "Bearer")],
        vec![("x-token", "s3cret")],
        vec![("x-token", "Bearer S3CRET")],
        vec![("x-token", "Bearer s3cret2")],
        vec![("x-token", "Bearer s3cre")],
        vec![("x-token", "Bearer s3cret"), ("x-token", "Bearer s3cret")],
    ] {
        refused(&group, post(&headers, "{}"), RefusalKind::Signature);
    }
}

// Risk 33.
#[test]
fn basic_with_a_part_missing_is_refused() {
    let group = group("schemes:\n  - {name: b, basic: {}}\n");
    genuine(
        &group,
        post(&[("authorization", "Basic dTpzM2NyZXQ=")], "{}"),
    );
    for value in [
        "",
        "Basic",
        "Basic ",
        "Basic dTo=",
        "Basic czNjcmV0",
        "Bearer dTpzM2NyZXQ=",
        "Basic %%%",
    ] {
        refused(
            &group,
            post(&[("authorization", value)], "{}"),
            RefusalKind::Signature,
        );
    }
    refused(&group, post(&[], "{}"), RefusalKind::Signature);
}

const DIGEST: &str = r#"
methods: [POST, GET]
schemes:
  - name: d
    digest: {hash: sha256, content: "{secret}{body}", signature: "header:x-sig", encoding: hex}
"#;

// A plain hash can be extended by who doesn't know the secret. What an extension brings can't be read, so it proves nothing.
#[test]
fn a_plain_hash_proves_nothing_of_a_body_that_cannot_be_read() {
    let group = group(DIGEST);
    let signed = |body: &[u8]| hex::encode(Sha256::digest([SECRET.as_bytes(), body].concat()));
    let json = ("content-type", "application/json");
    genuine(&group, post(&[("x-sig", &signed(b"{}")), json], "{}"));
    // `{}`, the padding that the hash itself added behind it, and what the attacker appends.
    let mut extended = b"{}\x80".to_vec();
    extended.resize(64 - SECRET.len() - 8, 0);
    extended.extend_from_slice(&(8 * (SECRET.len() as u64 + 2)).to_be_bytes());
    extended.extend_from_slice(b",\"evil\":true}");
    let sig = signed(&extended);
    for headers in [vec![json], vec![("content-type", "text/plain")], vec![]] {
        let mut callback = post(&[vec![("x-sig", &*sig)], headers].concat(), "");
        callback.body = Bytes::from(extended.clone());
        refused(&group, callback, RefusalKind::Undecodable);
    }
}

// What is signed for a GET is its URL, so a body would be anybody's.
#[test]
fn a_get_with_a_body_is_refused() {
    let url_alone = r#"
methods: [GET, POST]
schemes:
  - name: u
    hmac: {hash: sha256, content: "{url}", signature: "header:x-sig", encoding: hex}
"#;
    let group = group(url_alone);
    let sig = mac(SECRET, "https://example.com/a/token?a=1");
    let get = |body: &str| Callback {
        method: Method::GET,
        query: "a=1".to_owned(),
        ..post(
            &[
                ("x-sig", &sig),
                ("content-type", "application/x-www-form-urlencoded"),
            ],
            body,
        )
    };
    genuine(&group, get(""));
    refused(&group, get("AccountSid=AC1"), RefusalKind::Signature);
}

// Risk 41: signed JSON holds texts that outsiders wrote. Called a form, they would be fields.
#[test]
fn signed_json_that_is_called_a_form_has_no_fields() {
    let form = r#"
schemes:
  - name: h
    hmac: {hash: sha256, content: "{body}", signature: "header:x-sig", encoding: hex}
extract: {eventType: [{from: "json:/type"}], payload: "form:payload"}
"#;
    let group = group(form);
    let body = r#"{"type":"issue","title":"x&payload={\"type\":\"admin\"}&y"}"#;
    let body = body.replace("\\\"", "%22");
    let sig = mac(SECRET, &body);
    for content_type in ["application/json", "application/x-www-form-urlencoded"] {
        let callback = post(&[("x-sig", &sig), ("content-type", content_type)], &body);
        let Ok(Proven::Genuine(verified)) = group.verify(callback, NOW) else {
            panic!("it is signed");
        };
        let extracted = group.extract(verified).expect("there is no external id");
        assert_ne!(extracted.events[0].event_type, "admin", "{content_type}");
    }
}

fn wrong(protocol: &str, field: &str) {
    let errors = compile(protocol).expect_err("it must not compile");
    assert!(
        errors.iter().any(|error| error.field.starts_with(field)),
        "{errors:?}"
    );
}

// Risks 33, 35 and 36: definitions that would be holes are refused, with their place.
#[test]
fn a_definition_that_would_be_a_hole_does_not_compile() {
    let at = "spec.protocol.schemes[0]";
    wrong("methods: [POST]\n", "spec.functions[0]");
    wrong("schemes: [{name: s}]\n", at);
    wrong("schemes: [{name: s, unsigned: {}, basic: {}}]\n", at);
    let keyed = |kind: &str, content: &str| {
        format!(
            "schemes:\n  - name: s\n    {kind}: {{hash: sha256, content: '{content}', signature: 'header:x', encoding: hex}}\n"
        )
    };
    wrong(&keyed("digest", "{body}"), &format!("{at}.digest.content"));
    wrong(
        &keyed("hmac", "{secret}{body}"),
        &format!("{at}.hmac.content"),
    );
    wrong(&keyed("hmac", ""), &format!("{at}.hmac.content"));
    wrong(&keyed("hmac", "{timestamp}{body}"), at);
    wrong(&keyed("hmac", "{nope}"), &format!("{at}.hmac.content"));
    wrong(
        &keyed("hmac", "{body}").replace("hex", "raw"),
        &format!("{at}.hmac.encoding"),
    );
    // A time that nothing signs is no protection against what is sent again.
    let loose = format!(
        "{}    timestamp: {{location: 'header:x-time', unit: seconds, toleranceSeconds: 300, window: both}}\n",
        keyed("hmac", "{body}")
    );
    wrong(&loose, &format!("{at}.timestamp.location"));
    wrong(
        &format!("{}    covers: ['header:x-id']\n", keyed("hmac", "{body}")),
        &format!("{at}.covers[0]"),
    );
    // The reply would be the signature of a body.
    wrong(
        &HANDSHAKE
            .replace("v0:{body}", "{body}")
            .replace("also: \"-_\"", "also: \"=&\""),
        "spec.protocol.handshakes[0]",
    );
    wrong(
        &HANDSHAKE.replace("also: \"-_\"", "also: \":\""),
        "spec.protocol.handshakes[0]",
    );
}

// Risk 35: one secret may be set for two functions, so a reply must be no signature of any of them.
#[test]
fn the_presence_of_a_better_signature_rules_the_weaker_out() {
    let two = r#"
schemes:
  - name: new
    when: {present: "header:x-new"}
    hmac: {hash: sha256, content: "{body}", signature: "header:x-new", encoding: hex}
  - name: old
    when: {absent: "header:x-new"}
    token: {location: "header:x-old"}
"#;
    let group = group(two);
    genuine(&group, post(&[("x-old", SECRET)], "{}"));
    for new in [
        vec![("x-new", "")],
        vec![("x-new", "zz")],
        vec![("x-new", "00"), ("x-new", "00")],
    ] {
        let headers = [new, vec![("x-old", SECRET)]].concat();
        refused(&group, post(&headers, "{}"), RefusalKind::Signature);
    }
}

#[test]
fn no_debug_output_shows_a_credential() {
    let callback = post(&[("authorization", "Basic dTpzM2NyZXQ=")], "s3cret");
    let mut callback = callback;
    callback.query = "token=s3cret".to_owned();
    for text in [
        format!("{callback:?}"),
        format!(
            "{:?}",
            group(TOKEN).verify(post(&[("x-token", "Bearer s3cret")], "{}"), NOW)
        ),
    ] {
        assert!(!text.contains("s3cret") && !text.contains("dTpz"), "{text}");
    }
}

// Risk 36: many signatures cost a bounded amount of work.
#[test]
fn a_flood_of_signatures_or_entries_is_refused() {
    let pairs = HMAC.replace(
        "encoding: hex}",
        "encoding: hex, format: {pairs: {pairSeparator: \",\", keySeparator: \"=\", signatureKey: v1}}}",
    );
    let group = group(&pairs);
    let sig = mac(SECRET, &format!("{TIME}.{{}}"));
    genuine(
        &group,
        post(
            &[("x-sig", &format!("v1=00,v1={sig}")), ("x-time", TIME)],
            "{}",
        ),
    );
    let many = format!("{}v1={sig}", "v1=00,".repeat(40));
    refused(
        &group,
        post(&[("x-sig", &many), ("x-time", TIME)], "{}"),
        RefusalKind::Signature,
    );
    let late = format!("{}v1={sig}", "a1,".repeat(64));
    refused(
        &group,
        post(&[("x-sig", &late), ("x-time", TIME)], "{}"),
        RefusalKind::Signature,
    );
}

proptest::proptest! {
    #[test]
    fn no_time_text_panics(text in ".{0,40}", digits in "[0-9TZ:.+-]{0,40}") {
        for unit in ["seconds", "milliseconds", "rfc3339"] {
            for text in [&text, &digits] {
                let protocol = HMAC.replace("unit: seconds", &format!("unit: {unit}")).replace("header:x-time", "json:/t");
                let body = serde_json::json!({ "t": text }).to_string();
                let sig = mac(SECRET, &format!("{text}.{body}"));
                let _ = group(&protocol).verify(post(&[("x-sig", &sig)], &body), NOW);
            }
        }
    }
}
