use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::*;
use crate::encoding::TextEncoding;
use crate::testing::*;

mod properties;

const GITHUB: &str = r#"
schemes:
  - name: sha256
    hmac: {hash: sha256, content: "{body}", signature: "header:X-Hub-Signature-256", format: {prefix: "sha256="}, encoding: hex, key: {decode: raw}}
extract:
  eventType: [{join: ["header:X-GitHub-Event", "json:/action"], separator: .}]
  deliveryId: [{from: "header:X-GitHub-Delivery"}]
  payload: "form:payload"
"#;

const STRIPE: &str = r#"
schemes:
  - name: v1
    hmac: {hash: sha256, content: "{sig:t}.{body}", signature: "header:Stripe-Signature", format: {pairs: {pairSeparator: ",", keySeparator: "=", signatureKey: v1}}, encoding: hex, key: {decode: raw}}
    timestamp: {location: "sig:t", unit: seconds, toleranceSeconds: 300, window: both}
"#;

const TWILIO: &str = r#"
methods: [POST, GET]
schemes:
  - name: body hash
    when: {present: "query:bodySHA256"}
    hmac: {hash: sha1, content: "{url}", signature: "header:X-Twilio-Signature", encoding: base64, key: {decode: raw}}
    also: [{location: "query:bodySHA256", equals: "{body|sha256|hex}"}]
    covers: [url, body]
  - name: get
    when: {method: GET}
    hmac: {hash: sha1, content: "{url}", signature: "header:X-Twilio-Signature", encoding: base64, key: {decode: raw}}
  - name: form
    when: {contentType: application/x-www-form-urlencoded}
    hmac: {hash: sha1, content: "{url}{sorted_form_params}", signature: "header:X-Twilio-Signature", encoding: base64, key: {decode: raw}}
"#;

const ZOOM: &str = r#"
schemes:
  - name: v0
    hmac: {hash: sha256, content: "v0:{timestamp}:{body}", signature: "header:x-zm-signature", format: {prefix: "v0="}, encoding: hex, key: {decode: raw}}
    timestamp: {location: "header:x-zm-request-timestamp", unit: seconds, toleranceSeconds: 300, window: both}
handshakes:
  - name: url validation
    when: {location: "json:/event", equals: endpoint.url_validation}
    challenge: {location: "json:/payload/plainToken", also: "-_", maxLength: 64}
    mac: {hash: sha256, encoding: hex}
    reply: {contentType: application/json, body: '{{"plainToken":{challenge|json},"encryptedToken":{mac|json}}}'}
"#;

const TOKEN: &str = r#"
schemes:
  - {name: token, token: {location: "header:X-Token"}}
"#;

fn mac(key: &[u8], content: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(content);
    hex::encode(mac.finalize().into_bytes())
}

fn github(body: &[u8]) -> Callback {
    let signature = format!("sha256={}", mac(SECRET.as_bytes(), body));
    callback(
        &[
            ("content-type", "application/json"),
            ("x-github-event", "issues"),
            ("x-hub-signature-256", &signature),
        ],
        body.to_vec(),
    )
}

fn stripe(time: i64, body: &str) -> Callback {
    let signature = mac(SECRET.as_bytes(), format!("{time}.{body}").as_bytes());
    let value = format!("t={time},v0=00,v1={signature}");
    callback(
        &[
            ("content-type", "application/json"),
            ("stripe-signature", &value),
        ],
        body.to_owned(),
    )
}

fn twilio(url: &str, query: &str, body: &str, params: &str) -> Callback {
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    let asked = if query.is_empty() {
        url.to_owned()
    } else {
        format!("{url}?{query}")
    };
    mac.update(format!("{asked}{params}").as_bytes());
    let signature = TextEncoding::Base64.encode(&mac.finalize().into_bytes());
    let mut callback = callback(
        &[
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", "internal.proxy:8080"),
            ("x-twilio-signature", &signature),
        ],
        body.to_owned(),
    );
    callback.query = query.to_owned();
    callback
}

fn zoom(time: i64, body: &str) -> Callback {
    let signature = format!(
        "v0={}",
        mac(SECRET.as_bytes(), format!("v0:{time}:{body}").as_bytes())
    );
    callback(
        &[
            ("content-type", "application/json"),
            ("x-zm-request-timestamp", &time.to_string()),
            ("x-zm-signature", &signature),
        ],
        body.to_owned(),
    )
}

#[test]
fn a_signed_callback_is_genuine_and_names_its_secret() {
    let group = group(GITHUB);
    let verified = genuine(&group, github(br#"{"action": "opened"}"#));
    assert_eq!(verified.secret().map(|name| &**name), Some("secret-1"));
    assert!(!verified.is_unsigned());
}

// Risk 34: HMAC over re-encoded bytes.
#[test]
fn raw_bytes_are_what_is_verified() {
    let group = group(GITHUB);
    for body in [
        "{\r\n  \"action\": \"opened\"\r\n}\r\n",
        "{\"action\":\"opened\"}\n",
        "{\"price\":12.50,\"large\":12345678901234567890}",
        "{\"who\":\"Z\\u00fcrich \\/\"}",
        "{\"who\":\"Zürich\"}",
        "payload=%7B%22action%22%3A%20%22opened%22%7D",
        "",
    ] {
        genuine(&group, github(body.as_bytes()));
        let mut changed = github(body.as_bytes());
        changed.body = format!("{body}\n").into();
        assert_eq!(refusal(&group, changed).kind, RefusalKind::Signature);
    }
    genuine(&group, github(b"\x1f\x8b\xff not gzip and not UTF-8"));
}

// Risk 33: unknown verifier accepts everything.
#[test]
fn a_signature_over_what_a_body_unpacks_to_is_checked_before_anything_is_decoded() {
    let hmac = GITHUB.split("extract:").next().unwrap();
    let packed = |body: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut encoder, body).unwrap();
        encoder.finish().unwrap()
    };
    let body = br#"{"action": "opened"}"#;
    let sent = |encoding: Option<&str>, bytes: Vec<u8>| {
        let signature = format!("sha256={}", mac(SECRET.as_bytes(), body));
        let mut headers = vec![("x-hub-signature-256", signature.as_str())];
        headers.extend(encoding.map(|name| ("content-encoding", name)));
        callback(&headers, bytes)
    };
    let unpacked = group(&format!("{hmac}signsUnpackedBody: true\n"));
    for encoding in [Some("gzip"), None] {
        let verified = genuine(&unpacked, sent(encoding, packed(body)));
        // What is kept is what came.
        assert_eq!(verified.into_callback().body, packed(body));
    }
    genuine(&unpacked, sent(None, body.to_vec()));
    let other = refusal(&unpacked, sent(Some("gzip"), packed(b"{}")));
    assert_eq!(other.kind, RefusalKind::Signature);
    let broken = refusal(&unpacked, sent(Some("gzip"), body.to_vec()));
    assert_eq!(broken.kind, RefusalKind::Undecodable);
    let bomb = refusal(&unpacked, sent(Some("gzip"), packed(&vec![b' '; 2 << 20])));
    assert!(bomb.reason.contains("when decompressed"), "{}", bomb.reason);
    // Elsewhere the bytes as received are what is signed, whatever they unpack to.
    let plain = group(hmac);
    let refused = refusal(&plain, sent(Some("gzip"), packed(body)));
    assert_eq!(refused.kind, RefusalKind::Signature);
}

#[test]
fn whatever_is_missing_or_malformed_is_refused_with_the_clause() {
    let group = group(GITHUB);
    let good = github(b"{}");
    let with = |value: Option<&str>| {
        let mut callback = good.clone();
        callback.headers.remove("x-hub-signature-256");
        if let Some(value) = value {
            callback
                .headers
                .insert("x-hub-signature-256", value.parse().unwrap());
        }
        refusal(&group, callback)
    };
    let signature = mac(SECRET.as_bytes(), b"{}");
    let other = format!("sha256={}", mac(b"other", b"{}"));
    for (value, reason) in [
        (None, "header x-hub-signature-256 is missing"),
        (
            Some(""),
            "header x-hub-signature-256 does not begin with `sha256=`",
        ),
        (
            Some(signature.as_str()),
            "header x-hub-signature-256 does not begin with `sha256=`",
        ),
        (
            Some("sha256="),
            "header x-hub-signature-256 holds no signature that is hex of 32 bytes",
        ),
        (
            Some("sha256=00ff"),
            "header x-hub-signature-256 holds no signature that is hex of 32 bytes",
        ),
        (Some(other.as_str()), "no secret matched (1 tried)"),
    ] {
        let refused = with(value);
        assert_eq!(refused.kind, RefusalKind::Signature);
        assert_eq!(refused.reason, reason);
    }
}

#[test]
fn a_repeated_signature_header_is_refused_even_if_one_is_right() {
    let group = group(GITHUB);
    let mut callback = github(b"{}");
    callback
        .headers
        .append("x-hub-signature-256", "sha256=00".parse().unwrap());
    assert_eq!(
        refusal(&group, callback).reason,
        "header x-hub-signature-256 is there more than once"
    );
}

// Risk 38: upper-case hex.
#[test]
fn hex_in_upper_case_is_the_same_signature() {
    let signature = format!("sha256={}", mac(SECRET.as_bytes(), b"{}").to_uppercase());
    genuine(
        &group(GITHUB),
        callback(&[("x-hub-signature-256", &signature)], "{}"),
    );
}

#[test]
fn every_secret_is_tried_and_the_matching_one_is_named() {
    let group = group_with(GITHUB, |spec| {
        spec.signature_secrets = vec![secret("old", "another"), secret("new", SECRET)];
    })
    .unwrap();
    assert_eq!(
        genuine(&group, github(b"{}")).secret().map(|name| &**name),
        Some("new")
    );
}

#[test]
fn of_several_signatures_one_that_verifies_is_enough() {
    let group = group(STRIPE);
    let time = NOW.seconds();
    let signature = mac(SECRET.as_bytes(), format!("{time}.{{}}").as_bytes());
    let other = mac(b"other", b"");
    let value = format!("t={time},v1={other},v1={signature}");
    genuine(&group, callback(&[("stripe-signature", &value)], "{}"));
    let v0_only = format!("t={time},v0={signature}");
    let refused = refusal(&group, callback(&[("stripe-signature", &v0_only)], "{}"));
    assert!(
        refused.reason.contains("no signature under `v1`"),
        "{}",
        refused.reason
    );
    let two_times = format!("t={time},t=1,v1={signature}");
    let refused = refusal(&group, callback(&[("stripe-signature", &two_times)], "{}"));
    assert!(
        refused.reason.contains("more than once"),
        "{}",
        refused.reason
    );
}

#[test]
fn the_window_counts_only_after_the_signature_matched() {
    let group = group(STRIPE);
    let now = NOW.seconds();
    for time in [now, now - 300, now + 300] {
        genuine(&group, stripe(time, "{}"));
    }
    let old = refusal(&group, stripe(now - 412, "{}"));
    assert_eq!(old.kind, RefusalKind::Timestamp);
    assert_eq!(old.reason, "timestamp is 412 s old, 300 s are allowed");
    let ahead = refusal(&group, stripe(now + 301, "{}"));
    assert_eq!(ahead.kind, RefusalKind::Timestamp);
    let mut forged = stripe(now - 412, "{}");
    forged.body = "[]".into();
    assert_eq!(refusal(&group, forged).kind, RefusalKind::Signature);
}

// Risk 38: milliseconds read as seconds.
#[test]
fn a_time_in_another_unit_is_outside_the_window() {
    let group = group(STRIPE);
    let refused = refusal(&group, stripe(NOW.0, "{}"));
    assert_eq!(refused.kind, RefusalKind::Timestamp);
    let refused = refusal(&group, stripe(i64::MAX, "{}"));
    assert_eq!(refused.kind, RefusalKind::Signature, "{}", refused.reason);
}

#[test]
fn the_windows_differ() {
    for (window, ahead_is_taken) in [("age", true), ("past", false)] {
        let group = group(&STRIPE.replace("window: both", &format!("window: {window}")));
        let proven = group.verify(stripe(NOW.seconds() + 2, "{}"), NOW);
        assert_eq!(proven.is_ok(), ahead_is_taken, "{window}");
        assert!(
            group
                .verify(stripe(NOW.seconds() - 301, "{}"), NOW)
                .is_err(),
            "{window}"
        );
        assert!(
            group.verify(stripe(NOW.seconds(), "{}"), NOW).is_ok(),
            "{window}"
        );
    }
}

// Risk 37: `whsec_` means different things.
#[test]
fn what_a_secret_becomes_is_the_connectors_to_say() {
    let pasted = "whsec_c3ludGhldGljLWtleQ==";
    for (key, bytes) in [
        ("{decode: raw}", pasted.as_bytes()),
        (
            "{decode: raw, stripPrefix: whsec_}",
            b"c3ludGhldGljLWtleQ==".as_slice(),
        ),
        (
            "{decode: base64, stripPrefix: whsec_}",
            b"synthetic-key".as_slice(),
        ),
    ] {
        let protocol = GITHUB.replace("{decode: raw}", key);
        let group = group_with(&protocol, |spec| {
            spec.signature_secrets[0].value = pasted.to_owned()
        })
        .unwrap();
        let signature = format!("sha256={}", mac(bytes, b"{}"));
        genuine(
            &group,
            callback(&[("x-hub-signature-256", &signature)], "{}"),
        );
    }
}

#[test]
fn a_secret_that_does_not_decode_is_an_error_at_that_secret() {
    let protocol = GITHUB.replace("{decode: raw}", "{decode: hex}");
    let errors = group_with(&protocol, |spec| {
        spec.signature_secrets = vec![secret("", "00ff"), secret("", "not hex")];
    })
    .unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].field, "spec.signatureSecrets[1].value");
    assert!(
        !errors[0].message.contains("not hex"),
        "{}",
        errors[0].message
    );
}

// Risk 39: URL-bound signatures behind proxies.
#[test]
fn the_public_url_is_what_is_signed_with_or_without_its_port() {
    let group = group(TWILIO);
    let body = "From=%2B41&Body=hi";
    let sorted = "BodyhiFrom+41";
    for url in [URL, "https://hooks.example.com:443/acme/t0ken"] {
        genuine(&group, twilio(url, "", body, sorted));
        genuine(&group, twilio(url, "a=1&b=%20", body, sorted));
    }
    for url in [
        "http://hooks.example.com/acme/t0ken",
        "https://internal.proxy:8080/acme/t0ken",
    ] {
        let refused = refusal(&group, twilio(url, "", body, sorted));
        assert!(
            refused.reason.contains("callback URL"),
            "{}",
            refused.reason
        );
        assert!(!refused.reason.contains("t0ken"));
    }
    let mut moved = twilio(URL, "a=1", body, sorted);
    moved.query = "a=2".to_owned();
    assert_eq!(refusal(&group, moved).kind, RefusalKind::Signature);
}

#[test]
fn a_retiring_url_is_signed_too() {
    let mut spec = group_spec();
    spec.status.as_mut().unwrap().retiring_urls = vec![hookplane_proto::v1::RetiringUrl {
        url: "https://hooks.example.com/acme/old".to_owned(),
        expire_time: None,
    }];
    let group = Group::compile(&spec, connector(TWILIO), Vec::new()).unwrap();
    genuine(
        &group,
        twilio("https://hooks.example.com/acme/old", "", "a=1", "a1"),
    );
}

#[test]
fn a_body_outside_the_signature_is_refused() {
    let group = group(TWILIO);
    let body = r#"{"a": 1}"#;
    let hash = hex::encode(Sha256::digest(body));
    genuine(&group, twilio(URL, &format!("bodySHA256={hash}"), body, ""));
    let mut forged = twilio(URL, &format!("bodySHA256={hash}"), body, "");
    forged.body = r#"{"a": 2}"#.into();
    assert_eq!(
        refusal(&group, forged).reason,
        "the signature matched, but query parameter bodySHA256 is not what it must be"
    );
    // A form's signature over no fields says nothing of a JSON body.
    let mut json = twilio(URL, "", body, "");
    json.headers
        .insert("content-type", "application/json".parse().unwrap());
    assert_eq!(refusal(&group, json).kind, RefusalKind::Signature);
    let mut get = twilio(URL, "", "a=1", "");
    get.method = http::Method::GET;
    assert_eq!(refusal(&group, get).kind, RefusalKind::Signature);
}

#[test]
fn a_form_that_cannot_be_decoded_is_undecodable_where_its_fields_are_signed() {
    let refused = refusal(&group(TWILIO), twilio(URL, "", "a=%zz", "a"));
    assert_eq!(refused.kind, RefusalKind::Undecodable);
}

#[test]
fn tokens_and_passwords_are_compared_whole() {
    let tokens = group(TOKEN);
    genuine(&tokens, callback(&[("x-token", SECRET)], "{}"));
    for wrong in ["", "synthetic", "synthetic-key-for-tests-only2"] {
        assert_eq!(
            refusal(&tokens, callback(&[("x-token", wrong)], "{}")).reason,
            "no secret matched (1 tried)"
        );
    }
    let basic = group("schemes:\n  - {name: basic, basic: {}}");
    let header = |text: &str| format!("Basic {}", TextEncoding::Base64.encode(text.as_bytes()));
    let send = |value: &str| callback(&[("authorization", value)], "{}");
    genuine(&basic, send(&header(&format!("anyone:{SECRET}"))));
    for wrong in [
        header("anyone:"),
        header(SECRET),
        "Bearer x".to_owned(),
        "Basic ???".to_owned(),
    ] {
        assert_eq!(refusal(&basic, send(&wrong)).kind, RefusalKind::Signature);
    }
}

#[test]
fn the_unsigned_is_taken_only_where_the_group_says_so_and_has_no_secret() {
    let open = group_with(GITHUB, |spec| {
        spec.accept_unsigned = true;
        spec.signature_secrets.clear();
    })
    .unwrap();
    assert!(genuine(&open, callback(&[], "{}")).is_unsigned());
    assert!(
        refusal(&open, github(b"{}"))
            .reason
            .contains("no secret to check it with")
    );
    let closed = group_with(GITHUB, |spec| spec.accept_unsigned = true).unwrap();
    assert_eq!(
        refusal(&closed, callback(&[], "{}")).kind,
        RefusalKind::Signature
    );
    assert!(!genuine(&closed, github(b"{}")).is_unsigned());
}

// Risk 36: algorithm chosen by the sender.
#[test]
fn a_sender_cannot_choose_a_scheme_that_the_first_one_rules_out() {
    let group = group(&format!(
        "{}\n  - name: weak\n    hmac: {{hash: sha1, content: \"{{body}}\", signature: \"header:X-Hub-Signature\", encoding: hex, key: {{decode: raw}}}}",
        "schemes:\n  - name: sha256\n    when: {present: \"header:X-Hub-Signature-256\"}\n    hmac: {hash: sha256, content: \"{body}\", signature: \"header:X-Hub-Signature-256\", encoding: hex, key: {decode: raw}}"
    ));
    let mut weak = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    weak.update(b"{}");
    let weak = hex::encode(weak.finalize().into_bytes());
    let both = callback(
        &[("x-hub-signature", &weak), ("x-hub-signature-256", "00")],
        "{}",
    );
    assert_eq!(refusal(&group, both).kind, RefusalKind::Signature);
}

// Risk 35: handshakes used as signing oracles.
#[test]
fn a_handshake_is_verified_first_and_signs_only_its_shape() {
    let group = group(ZOOM);
    let ask = |token: &str| {
        let body = format!(
            r#"{{"event": "endpoint.url_validation", "payload": {{"plainToken": "{token}"}}}}"#
        );
        group.verify(zoom(NOW.seconds(), &body), NOW)
    };
    match ask("qgg8vlvZRS6UYooatFL8Aw").unwrap() {
        Proven::Handshake(Shaken { reply, .. }) => {
            let expected = mac(SECRET.as_bytes(), b"qgg8vlvZRS6UYooatFL8Aw");
            let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(json["plainToken"], "qgg8vlvZRS6UYooatFL8Aw");
            assert_eq!(json["encryptedToken"], expected);
        }
        Proven::Genuine(_) => panic!("it was taken for an event"),
    }
    let long = "a".repeat(65);
    for bad in ["v0:1767225600:{}", "a:b", "", "a b", "é", long.as_str()] {
        assert_eq!(ask(bad).unwrap_err().kind, RefusalKind::Handshake, "{bad}");
    }
    let unsigned = r#"{"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}}"#;
    let refused = refusal(
        &group,
        callback(&[("content-type", "application/json")], unsigned),
    );
    assert_eq!(refused.kind, RefusalKind::Signature);
}

// Risk 40: unsigned pings that must pass.
#[test]
fn an_unverified_echo_answers_and_never_becomes_an_event() {
    let group = group(&format!(
        "{GITHUB}handshakes:\n  - name: ping\n    when: {{present: \"query:challenge\"}}\n    unverified: true\n    challenge: {{location: \"query:challenge\", maxLength: 16}}\n    reply: {{contentType: text/plain, body: \"{{challenge}}\"}}"
    ));
    let mut ping = callback(&[], "");
    ping.query = "challenge=abc123".to_owned();
    match group.verify(ping.clone(), NOW).unwrap() {
        Proven::Handshake(Shaken { reply, .. }) => {
            assert_eq!(reply.body, "abc123");
            assert_eq!(reply.headers[0].0, "x-content-type-options");
        }
        Proven::Genuine(_) => panic!("it was taken for an event"),
    }
    ping.query = "challenge=%3Cscript%3E".to_owned();
    assert_eq!(refusal(&group, ping).kind, RefusalKind::Handshake);
}

#[test]
fn nothing_of_a_secret_shows_in_a_debug_print() {
    for protocol in [
        GITHUB,
        TOKEN,
        ZOOM,
        "schemes:\n  - {name: basic, basic: {}}",
    ] {
        let group = group(protocol);
        let shown = format!("{group:?}");
        assert!(!shown.contains(SECRET));
        // Nor its bytes, as a list of numbers.
        let bytes: Vec<String> = SECRET
            .bytes()
            .take(6)
            .map(|byte| byte.to_string())
            .collect();
        assert!(!shown.contains(&bytes.join(", ")));
    }
}
