use super::*;
use crate::Proven;
use crate::testing::*;

const UUID: &str = "01930000-0000-7000-8000-000000000000";

fn posted_back(sample: &SignedSample) -> Callback {
    let headers: Vec<(&str, &str)> = sample
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut callback = callback(&headers, sample.body.clone());
    callback.method = sample.method.parse().unwrap();
    callback.query = sample
        .url
        .split_once('?')
        .map_or("", |(_, query)| query)
        .to_owned();
    callback
}

#[test]
fn a_sample_of_every_kind_of_scheme_is_genuine() {
    let hmac = |rest: &str, time: &str| {
        format!(
            "schemes:\n  - name: one\n    hmac: {{hash: sha256, signature: \"header:X-Sig\", key: {{decode: raw}}, {rest}}}\n{time}"
        )
    };
    let time = |location: &str, unit: &str| {
        format!(
            "    timestamp: {{location: \"{location}\", unit: {unit}, toleranceSeconds: 300, window: both}}\n"
        )
    };
    let pairs = "{pairs: {pairSeparator: \",\", keySeparator: \"=\", signatureKey: v1}}";
    let versioned = "{versioned: {itemSeparator: \" \", versionSeparator: \",\", version: v1}}";
    for protocol in [
        hmac("content: \"{body}\", encoding: hex, format: {prefix: \"sha256=\"}", ""),
        hmac("content: \"{body}\", encoding: base64url", ""),
        hmac(&format!("content: \"{{sig:t}}.{{body}}\", encoding: hex, format: {pairs}"), &time("sig:t", "seconds")),
        hmac(
            &format!("content: \"{{header:webhook-id}}.{{timestamp}}.{{body}}\", encoding: base64, format: {versioned}"),
            &time("header:webhook-timestamp", "seconds"),
        ),
        hmac("content: \"{method}{url}{body}{timestamp}\", encoding: base64", &time("header:X-Time", "milliseconds")),
        hmac("content: \"{timestamp}{path_and_query}{body}\", encoding: hex", &time("query:time", "rfc3339")),
        hmac("content: \"{sig:0}.{body}\", encoding: hex, format: {list: {itemSeparator: \",\", itemPrefix: \"v1=\", skip: 1}}", &time("sig:0", "seconds")),
        hmac("content: \"{sig:t}.{body|sha256|hex}\", encoding: base64_of_hex, format: {base64Json: {signatureField: s}}", &time("sig:t", "milliseconds")),
        hmac("content: \"{header:X-Id}[[{query:none}]]{body|sha512|base64}\", encoding: hex, orSignature: [\"header:X-Other\"], orContent: [\"{body}\"]", ""),
        hmac("content: \"{canonical:sorted-json}\", encoding: hex", ""),
        hmac("content: \"{canonical:box-escaped}{timestamp}\", encoding: hex", &time("header:X-Time", "epoch")),
        hmac("content: \"{header:X-Id}{body}{canonical:php-json:/id}\", encoding: hex", "")
            .replace("decode: raw", "digest: md5"),
        hmac("content: \"{body}\", encoding: base64", "").replace("header:X-Sig", "header:X-Sig->url"),
        hmac("content: \"{json:/id}{json:/type}{raw:/account}\", encoding: hex", "").replace("header:X-Sig", "json:/sig"),
        "schemes: [{name: k, digest: {hash: keccak256, content: \"{body}{secret}\", signature: \"header:X-Sig\", encoding: hex, key: {digest: md5}}}]".to_owned(),
        "schemes: [{name: t, token: {location: \"json:/token\"}}]".to_owned(),
        hmac("content: \"{url}\", encoding: base64", "    also: [{location: \"query:bodySHA256\", equals: \"{body|sha256|hex}\"}]\n    when: {present: \"query:bodySHA256\"}\n"),
        "schemes: [{name: d, digest: {hash: sha256, content: \"{secret}{body}\", signature: \"header:X-Sig\", encoding: hex, key: {decode: raw}}}]".to_owned(),
        "schemes: [{name: t, token: {location: \"header:X-Token\", prefix: \"Bearer \"}}]".to_owned(),
        "schemes: [{name: t, token: {location: \"query:key\"}}]".to_owned(),
        "schemes: [{name: b, basic: {}}]".to_owned(),
    ] {
        let group = group(&protocol);
        let sample = group.sign_sample("made", NOW, UUID).unwrap_or_else(|e| panic!("{e}: {protocol}"));
        assert!(sample.url.starts_with(URL));
        assert!(String::from_utf8_lossy(&sample.body).contains(UUID));
        let callback = posted_back(&sample);
        assert!(matches!(group.verify(callback.clone(), NOW), Ok(Proven::Genuine(_))), "{protocol}");
        if !protocol.contains("token") && !protocol.contains("basic") {
            let mut forged = callback;
            forged.body = "{}".into();
            assert!(group.verify(forged, NOW).is_err(), "{protocol}");
        }
    }
}

#[test]
fn an_event_without_a_sample_names_those_that_have_one() {
    let group = group("schemes: [{name: b, basic: {}}]");
    let error = group.sign_sample("nope", NOW, UUID).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no sample for event `nope`; there are samples for made"
    );
}

fn written(location: &str, content_type: &str, body: &str) -> Result<String, String> {
    let mut callback = callback(&[("content-type", content_type)], body.to_owned());
    write(&mut callback, &Location::parse(location).unwrap(), "a\"b")?;
    Ok(String::from_utf8(callback.body.to_vec()).unwrap())
}

#[test]
fn a_value_in_a_body_is_written_into_its_text() {
    let json = |at: &str, body: &str| written(at, "application/json", body);
    assert_eq!(
        json("json:/s", r#"{"n": 12.50, "s": {"x": 1} }"#).unwrap(),
        r#"{"n": 12.50, "s": "a\"b" }"#
    );
    assert_eq!(
        json("json:/a/s", r#"{"a": { "n": 1e2 }}"#).unwrap(),
        r#"{"a": {"s":"a\"b", "n": 1e2 }}"#
    );
    assert_eq!(json("json:/s", "{ }").unwrap(), r#"{"s":"a\"b" }"#);
    assert_eq!(json("json:/s->base64", "{}").unwrap(), r#"{"s":"YSJi"}"#);
    assert!(json("json:/a/s", "{}").is_err());
    assert!(json("json:/s", "[]").is_err());
    assert!(json("json:/s", "nonsense").is_err());
    let form = |body: &str| written("form:s", "application/x-www-form-urlencoded", body).unwrap();
    assert_eq!(form("n=1&s=2&s=3&m"), "n=1&m&s=a%22b");
    assert_eq!(form(""), "s=a%22b");
}

#[test]
fn a_token_in_each_element_is_written_into_each() {
    let mut sample = callback(&[], r#"{"v": [{"s": "x", "n": 1.0}, {"s":""}]}"#);
    let pattern = crate::location::Pattern::parse("/v/*/s").unwrap();
    everywhere(&mut sample, &pattern, "key").unwrap();
    assert_eq!(
        sample.body,
        r#"{"v": [{"s": "key", "n": 1.0}, {"s":"key"}]}"#
    );
    let mut lacking = callback(&[], r#"{"v": [{"s": "x"}, {}]}"#);
    assert!(everywhere(&mut lacking, &pattern, "key").is_err());
}
