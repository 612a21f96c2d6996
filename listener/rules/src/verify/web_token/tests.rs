use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rcgen::KeyPair;
use sha2::{Digest, Sha256, Sha512};

use crate::testing::*;
use crate::{Callback, RefusalKind, Timestamp};

mod chain;

const BODY: &str = r#"{"type": "made"}"#;

fn url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn mac(text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hs256(header: &str, claims: &str) -> String {
    let text = format!("{}.{}", url(header), url(claims));
    format!("{text}.{}", url(mac(&text)))
}

fn jwt(claims: &str) -> String {
    hs256(r#"{"alg":"HS256"}"#, claims)
}

fn protocol(rules: &str) -> String {
    format!(
        "schemes: [{{name: token, jwt: {{location: \"header:X-Token\", algorithms: [HS256, HS512], {rules}}}}}]"
    )
}

fn sent(token: &str) -> Callback {
    callback(
        &[("content-type", "application/json"), ("x-token", token)],
        BODY,
    )
}

/// The fields at which it is wrong.
fn wrong(jwt: &str) -> Vec<String> {
    errors(&format!("schemes: [{{name: token, jwt: {{{jwt}}}}}]"))
        .into_iter()
        .map(|error| error.field.replace("spec.protocol.schemes[0].jwt.", ""))
        .collect()
}

#[test]
fn the_tokens_of_the_standards_are_genuine() {
    // RFC 7515, appendix A.1.
    let group = group_with(
        "schemes: [{name: token, jwt: {location: \"header:X-Token\", algorithms: [HS256], key: {decode: base64url}}}]",
        |spec| {
            spec.signature_secrets = vec![secret("", "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")];
        },
    )
    .unwrap();
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    group
        .verify(sent(token), Timestamp(1_300_819_379_999))
        .unwrap();
    let late = group
        .verify(sent(token), Timestamp(1_300_819_380_000))
        .unwrap_err();
    assert_eq!(late.kind, RefusalKind::Timestamp);

    // RFC 8037, appendix A.4, whose payload is no JSON: here it is the body.
    let group = group_with(
        "schemes: [{name: token, jwt: {location: \"header:X-Token\", algorithms: [EdDSA], publicKey: {format: jwks}, detachedPayload: \"{body}\"}}]",
        |spec| {
            spec.signature_secrets = vec![secret("", r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)];
        },
    )
    .unwrap();
    let token = "eyJhbGciOiJFZERTQSJ9..hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let post = |body: &str| callback(&[("x-token", token)], body.to_owned());
    genuine(&group, post("Example of Ed25519 signing"));
    assert_eq!(
        refusal(&group, post("example of Ed25519 signing")).kind,
        RefusalKind::Signature
    );
}

#[test]
fn what_another_library_signed_is_genuine() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../public/vectors.json")).unwrap();
    for vector in vectors["tokens"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap();
        let of = |algorithm: &str| {
            group_with(
                &format!(
                    "schemes: [{{name: token, jwt: {{location: \"header:X-Token\", algorithms: [{algorithm}], publicKey: {{format: jwks}}}}}}]"
                ),
                |spec| spec.signature_secrets = vec![secret("theirs", text("key"))],
            )
        };
        let group = of(text("algorithm")).unwrap();
        let verified = genuine(&group, sent(text("token")));
        assert_eq!(verified.secret_name(), Some("theirs"));
        // Risk 36: only those that the definition names.
        for other in ["RS256", "RS512", "ES256", "ES512", "EdDSA"] {
            if other != text("algorithm")
                && let Ok(group) = of(other)
            {
                let refused = refusal(&group, sent(text("token")));
                assert!(
                    refused.reason.contains("algorithm is not one"),
                    "{refused:?}"
                );
            }
        }
    }
}

// Risk 36: the sender chooses the algorithm.
#[test]
fn a_token_of_no_algorithm_or_another_is_refused() {
    let group = group(&protocol("leewaySeconds: 5"));
    genuine(&group, sent(&jwt("{}")));
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","crit":[]} x"#,
        r#"["HS256"]"#,
        "",
    ] {
        let refused = refusal(&group, sent(&hs256(header, "{}")));
        assert_eq!(refused.kind, RefusalKind::Signature, "{header}");
    }
    let (header, claims) = (url(r#"{"alg":"none"}"#), url("{}"));
    for token in [
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        format!("{}.{claims}.", url(r#"{"alg":"HS256"}"#)),
    ] {
        assert_eq!(refusal(&group, sent(&token)).kind, RefusalKind::Signature);
    }
}

// Risk 36: HMAC with the public key as secret.
#[test]
fn a_public_key_is_never_a_shared_secret() {
    let key = KeyPair::generate().unwrap().public_key_pem();
    let group = group_with(
        "schemes: [{name: token, jwt: {location: \"header:X-Token\", algorithms: [ES256], publicKey: {format: pem}}}]",
        |spec| spec.signature_secrets = vec![secret("", &key)],
    )
    .unwrap();
    for secret in [key.as_str(), key.trim()] {
        let text = format!("{}.{}", url(r#"{"alg":"HS256"}"#), url("{}"));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let token = format!("{text}.{}", url(mac.finalize().into_bytes()));
        refusal(&group, sent(&token));
    }
    // And a definition can't have both, nor a group paste a public key where a secret is asked for.
    assert_eq!(
        wrong("location: \"header:A\", algorithms: [HS256, RS256], publicKey: {format: pem}"),
        ["algorithms"]
    );
    assert_eq!(
        wrong("location: \"header:A\", algorithms: [HS256], publicKey: {format: pem}"),
        ["publicKey"]
    );
    assert_eq!(
        wrong(
            "location: \"header:A\", algorithms: [RS256], key: {decode: raw}, publicKey: {format: pem}"
        ),
        ["key"]
    );
    let pasted = group_with(&protocol("leewaySeconds: 5"), |spec| {
        spec.signature_secrets = vec![secret("", &key)];
    });
    assert_eq!(
        pasted.unwrap_err()[0].field,
        "spec.signatureSecrets[0].value"
    );
}

#[test]
fn what_a_definition_lacks_or_has_too_much_is_an_error_at_its_field() {
    let good = "location: \"header:A\", algorithms: [HS256]";
    assert_eq!(wrong("algorithms: [HS256]"), ["location"]);
    assert_eq!(wrong("location: url, algorithms: [HS256]"), ["location"]);
    assert_eq!(wrong("location: \"header:A\""), ["algorithms"]);
    assert_eq!(
        wrong("location: \"header:A\", algorithms: [none]"),
        ["algorithms[0]"]
    );
    assert_eq!(
        wrong("location: \"header:A\", algorithms: [RS256]"),
        ["publicKey"]
    );
    for (more, field) in [
        ("claims: [{equals: x}]", "claims[0].claim"),
        ("claims: [{claim: iss, equals: x}]", "claims[0].claim"),
        ("claims: [{claim: /iss}]", "claims[0].equals"),
        (
            "claims: [{claim: /iss, equals: \"{secret}\"}]",
            "claims[0].equals",
        ),
        ("leewaySeconds: 100000", "leewaySeconds"),
        ("detachedRaw: true", "detachedRaw"),
        (
            "detachedPayload: \"{body}\", claims: [{claim: /iss, equals: x}]",
            "claims",
        ),
        ("certificateRoot: x", "certificateRoot"),
    ] {
        assert_eq!(wrong(&format!("{good}, {more}")), [field], "{more}");
    }
}

#[test]
fn exp_nbf_and_iat_are_kept_to_with_leeway() {
    let group = group(&protocol("leewaySeconds: 5, maxAgeSeconds: 60"));
    let now = NOW.seconds();
    let claims = |exp: i64, nbf: i64, iat: i64| {
        format!(
            r#"{{"exp":{},"nbf":{},"iat":{}}}"#,
            now + exp,
            now + nbf,
            now + iat
        )
    };
    for good in [
        claims(10, 0, 0),
        claims(-4, 0, 0),
        claims(10, 5, 0),
        claims(10, 0, 5),
        claims(10, 0, -64),
        format!(r#"{{"exp":{now}.75e0,"iat":{now}}}"#),
    ] {
        genuine(&group, sent(&jwt(&good)));
    }
    for stale in [
        claims(-5, 0, 0),
        claims(-1000, 0, 0),
        claims(10, 6, 0),
        claims(10, 0, 7),
        claims(10, 0, -66),
    ] {
        let refused = refusal(&group, sent(&jwt(&stale)));
        assert_eq!(refused.kind, RefusalKind::Timestamp, "{stale}");
    }
    for wrong in [
        format!(r#"{{"exp":{}}}"#, now + 10),
        format!(r#"{{"exp":null,"iat":{now}}}"#),
        format!(r#"{{"exp":"{}","iat":{now}}}"#, now + 10),
        format!(r#"{{"exp":[{}],"iat":{now}}}"#, now + 10),
        format!(r#"{{"exp":{},"iat":{{}}}}"#, now + 10),
    ] {
        let refused = refusal(&group, sent(&jwt(&wrong)));
        assert_eq!(refused.kind, RefusalKind::Signature, "{wrong}");
    }
    let duplicate = format!(r#"{{"exp":{},"exp":{},"iat":{now}}}"#, now - 50, now + 50);
    assert_eq!(
        refusal(&group, sent(&jwt(&duplicate))).kind,
        RefusalKind::Undecodable
    );
}

#[test]
fn claims_must_be_what_the_definition_says_and_cover_what_they_hash() {
    let rules = "claims: [{claim: /iss, equals: \"https://issuer.example.com\"}, {claim: /aud, equals: \"{url}\"}, {claim: /hash, equals: \"{body|sha256|hex}\"}, {claim: /nested/id, equals: \"7\", optional: true}]";
    let group = group(&protocol(rules));
    let hash = hex::encode(Sha256::digest(BODY));
    let claims = |iss: &str, aud: &str, hash: &str, more: &str| {
        format!(r#"{{"iss":"{iss}","aud":{aud},"hash":"{hash}"{more}}}"#)
    };
    let iss = "https://issuer.example.com";
    let aud = format!("\"{URL}\"");
    for good in [
        claims(iss, &aud, &hash, ""),
        claims(iss, &format!("[\"other\", {aud}]"), &hash, ""),
        claims(
            iss,
            "\"https://hooks.example.com:443/acme/t0ken\"",
            &hash,
            "",
        ),
        claims(iss, &aud, &hash, r#","nested":{"id":7}"#),
    ] {
        let verified = genuine(&group, sent(&jwt(&good)));
        assert!(verified.coverage().body, "the hash covers the body");
    }
    for bad in [
        claims("https://issuer.example.com.evil.com", &aud, &hash, ""),
        claims(iss, "\"other\"", &hash, ""),
        claims(iss, "[]", &hash, ""),
        claims(iss, "[\"other\"]", &hash, ""),
        claims(iss, "{}", &hash, ""),
        claims(iss, &aud, "", ""),
        claims(iss, &aud, &hash.to_uppercase(), ""),
        claims(iss, &aud, &hash, r#","nested":{"id":8}"#),
        format!(r#"{{"iss":"{iss}","aud":{aud}}}"#),
        "{}".to_owned(),
    ] {
        let refused = refusal(&group, sent(&jwt(&bad)));
        assert_eq!(refused.kind, RefusalKind::Signature, "{bad}");
    }
    let mut changed = sent(&jwt(&claims(iss, &aud, &hash, "")));
    changed.body = "{}".into();
    assert_eq!(refusal(&group, changed).kind, RefusalKind::Signature);
}

#[test]
fn a_hash_in_base64url_may_be_padded_and_nothing_else_may() {
    let rules =
        "claims: [{claim: /hash, equals: \"{body|sha256|base64url}\"}, {claim: /iss, equals: x}]";
    let group = group(&protocol(rules));
    let hash = url(Sha256::digest(BODY));
    let claims = |hash: &str, iss: &str| jwt(&format!(r#"{{"hash":"{hash}","iss":"{iss}"}}"#));
    genuine(&group, sent(&claims(&hash, "x")));
    genuine(&group, sent(&claims(&format!("{hash}="), "x")));
    refusal(&group, sent(&claims(&hash, "x=")));
    refusal(&group, sent(&claims(&hash[1..], "x")));
}

#[test]
fn a_token_covers_what_it_says_and_not_the_body_beside_it() {
    let group = group(
        "schemes: [{name: token, jwt: {location: \"header:X-Token\", algorithms: [HS256], claims: [{claim: /hash, equals: \"{body|sha256|hex}\", optional: true}]}}]\nextract:\n  eventType: [{from: \"jwt:/event\"}]\n  deliveryId: [{from: \"jws:/kid\"}]\n  externalId: [{from: \"json:/account\"}]",
    );
    let token = hs256(r#"{"alg":"HS256","kid":"d-1"}"#, r#"{"event":"made"}"#);
    let mut callback = sent(&token);
    callback.body = r#"{"account": "acc-1"}"#.into();
    let verified = genuine(&group, callback);
    assert!(!verified.coverage().body);
    let extracted = group.extract(verified).unwrap();
    let event = &extracted.events()[0];
    assert_eq!(event.event_type, "made");
    assert_eq!(event.delivery_id, "d-1");
    assert_eq!(event.external_id, "acc-1");
    assert_eq!(event.unsigned_values, ["external_id"]);
}

#[test]
fn without_a_verified_token_its_claims_are_nowhere() {
    let group = group_with(
        "schemes: [{name: token, jwt: {location: \"header:X-Token\", algorithms: [HS256]}}]\nextract: {eventType: [{from: \"jwt:/event\"}, {from: \"fixed:none\"}]}",
        |spec| {
            spec.signature_secrets.clear();
            spec.accept_unsigned = true;
        },
    )
    .unwrap();
    let bare = callback(&[("content-type", "application/json")], BODY);
    let extracted = group.extract(genuine(&group, bare)).unwrap();
    assert_eq!(extracted.events()[0].event_type, "none");
    // One that nobody can check is no reason to believe it.
    refusal(&group, sent(&jwt(r#"{"event":"made"}"#)));
}

#[test]
fn a_body_that_is_a_token_is_read_as_its_claims() {
    let group = group(
        "contentTypes: [application/jwt]\nschemes: [{name: token, jwt: {location: body, algorithms: [HS256]}}]\nextract: {payload: \"jwt:\", eventType: [{from: \"json:/type\"}], deliveryId: [{from: \"jwt:/id\"}]}",
    );
    let claims = r#"{"type":"made","id":"7"}"#;
    for end in ["", "\n", " \r\n"] {
        let body = format!("{}{end}", jwt(claims));
        let verified = genuine(
            &group,
            callback(&[("content-type", "application/jwt")], body),
        );
        let extracted = group.extract(verified).unwrap();
        let event = &extracted.events()[0];
        assert_eq!(
            (event.event_type.as_str(), event.delivery_id.as_str()),
            ("made", "7")
        );
        assert!(event.unsigned_values.is_empty());
        assert_eq!(event.item, claims);
    }
    let post = |body: String| callback(&[("content-type", "application/jwt")], body);
    refusal(&group, post(claims.to_owned()));
    refusal(&group, post(format!("{}\n{}", jwt(claims), jwt(claims))));
    // Larger than a header may be.
    let large = format!(r#"{{"type":"{}"}}"#, "a".repeat(100_000));
    genuine(&group, post(jwt(&large)));
}

#[test]
fn a_token_inside_the_body_is_read_before_it_is_the_payload() {
    let group = group(
        "schemes: [{name: token, jwt: {location: \"json:/signedPayload\", algorithms: [HS256]}}]\nextract: {payload: \"jwt:\", eventType: [{from: \"json:/data/type\"}]}",
    );
    let body = format!(
        r#"{{"data":{{"type":"forged"}},"signedPayload":"{}"}}"#,
        jwt(r#"{"data":{"type":"made"}}"#)
    );
    let verified = genuine(
        &group,
        callback(&[("content-type", "application/json")], body),
    );
    let extracted = group.extract(verified).unwrap();
    let event = &extracted.events()[0];
    assert_eq!(event.event_type, "made");
    assert!(event.unsigned_values.is_empty());
    assert_eq!(
        errors("schemes: [{name: b, basic: {}}]\nextract: {payload: \"jwt:\"}")[0].field,
        "spec.protocol.extract.payload"
    );
}

#[test]
fn a_detached_payload_is_made_of_the_request_and_covers_it() {
    let raw = group(
        "schemes: [{name: token, jwt: {location: \"header:X-Token\", algorithms: [HS256], detachedPayload: \"{body}\", detachedRaw: true}, timestamp: {location: \"jws:/ts\", unit: seconds, toleranceSeconds: 300, window: both}}]",
    );
    let detached = |header: &str, payload: &str| {
        let signature = mac(&format!("{}.{payload}", url(header)));
        format!("{}..{}", url(header), url(signature))
    };
    let header = |ts: i64| format!(r#"{{"alg":"HS256","b64":false,"crit":["b64"],"ts":{ts}}}"#);
    let token = detached(&header(NOW.seconds()), BODY);
    assert!(genuine(&raw, sent(&token)).coverage().body);
    let mut changed = sent(&token);
    changed.body = BODY.replace("made", "paid").into();
    assert_eq!(refusal(&raw, changed).kind, RefusalKind::Signature);
    let stale = detached(&header(NOW.seconds() - 301), BODY);
    assert_eq!(refusal(&raw, sent(&stale)).kind, RefusalKind::Timestamp);
    // A header that says otherwise, and a payload where none may be.
    refusal(
        &raw,
        sent(&detached(r#"{"alg":"HS256","b64":true,"ts":1}"#, BODY)),
    );
    let with_payload = token.replace("..", &format!(".{}.", url(BODY)));
    refusal(&raw, sent(&with_payload));

    let encoded = group(
        "schemes: [{name: token, jwt: {location: \"header:X-Token\", algorithms: [HS256], detachedPayload: \"{timestamp}.{body|base64url}\"}, timestamp: {location: \"header:X-Time\", unit: milliseconds, toleranceSeconds: 300, window: both}}]",
    );
    let payload = url(format!("{}.{}", NOW.0, url(BODY)));
    let mut callback = sent(&detached(r#"{"alg":"HS256"}"#, &payload));
    callback
        .headers
        .insert("x-time", NOW.0.to_string().parse().unwrap());
    genuine(&encoded, callback.clone());
    callback
        .headers
        .insert("x-time", (NOW.0 + 1).to_string().parse().unwrap());
    assert_eq!(refusal(&encoded, callback).kind, RefusalKind::Signature);
    assert_eq!(
        errors("schemes: [{name: token, jwt: {location: \"header:X-Token\", algorithms: [HS256], detachedPayload: \"{body}\"}, timestamp: {location: \"header:X-Time\", unit: seconds, toleranceSeconds: 300, window: both}}]")[0].field,
        "spec.protocol.schemes[0].timestamp.location"
    );
}

#[test]
fn tokens_and_headers_beyond_their_bounds_are_refused() {
    let group = group(&protocol("prefix: \"Bearer \""));
    let bearer = |token: &str| sent(&format!("Bearer {token}"));
    genuine(&group, bearer(&jwt("{}")));
    let large = format!(r#"{{"a":"{}"}}"#, "a".repeat(16 * 1024));
    assert!(
        refusal(&group, bearer(&jwt(&large)))
            .reason
            .contains("longer than 16384 bytes")
    );
    let header = format!(r#"{{"alg":"HS256","a":"{}"}}"#, "a".repeat(4 * 1024));
    assert!(
        refusal(&group, bearer(&hs256(&header, "{}")))
            .reason
            .contains("header is too long")
    );
    for token in [
        "", ".", "..", "...", "a.b", "a.b.c.d", "é.b.c", "a b.c.d", "=.=.=",
    ] {
        assert_eq!(
            refusal(&group, bearer(token)).kind,
            RefusalKind::Signature,
            "{token}"
        );
    }
    for other in ["bearer ", "Bearer", "Basic "] {
        refusal(&group, sent(&format!("{other}{}", jwt("{}"))));
    }
    // Base64url is written one way only.
    let token = jwt("{}");
    let (head, last) = token.split_at(token.len() - 1);
    for last in [format!("{last}="), "-".to_owned(), String::new()] {
        refusal(&group, bearer(&format!("{head}{last}")));
    }
    refusal(&group, bearer(&token.replace('.', ". ")));
}

#[test]
fn a_sample_under_a_shared_secret_is_signed_and_one_under_a_private_key_is_not() {
    const UUID: &str = "01930000-0000-7000-8000-000000000000";
    for rules in [
        "location: \"header:Authorization\", prefix: \"Bearer \", algorithms: [HS512], maxAgeSeconds: 60, claims: [{claim: /iss, equals: x}, {claim: /body/hash, equals: \"{body|sha256|base64}\"}, {claim: /aud, equals: \"{url}\"}]",
        "location: \"query:jwt\", algorithms: [HS384, HS256], key: {stripPrefix: synthetic-}",
        "location: body, algorithms: [HS256], claims: [{claim: /sub, equals: me}]",
        "location: \"header:X-Token\", algorithms: [HS256], detachedPayload: \"{url}{body}\", detachedRaw: true",
        "location: \"header:X-Token\", algorithms: [HS256], detachedPayload: \"{body}\"",
    ] {
        let group = group(&format!("schemes: [{{name: token, jwt: {{{rules}}}}}]"));
        group
            .sign_sample("made", NOW, UUID)
            .unwrap_or_else(|error| panic!("{error}: {rules}"));
    }
    let key = KeyPair::generate().unwrap().public_key_pem();
    for scheme in [
        "jwt: {location: \"header:X-Token\", algorithms: [ES256], publicKey: {format: pem}}",
        "publicKey: {algorithm: ecdsa_p256_sha256, content: \"{body}\", signature: \"header:X-Sig\", encoding: base64, key: {format: pem}}",
    ] {
        let group = group_with(&format!("schemes: [{{name: one, {scheme}}}]"), |spec| {
            spec.signature_secrets = vec![secret("", &key)];
        })
        .unwrap();
        let error = group.sign_sample("made", NOW, UUID).unwrap_err();
        assert!(
            error.to_string().contains("which only the provider has"),
            "{error}"
        );
    }
}

#[test]
fn a_stronger_hash_of_the_same_family_is_taken_where_it_is_named() {
    let group = group(&protocol("leewaySeconds: 5"));
    let text = format!("{}.{}", url(r#"{"alg":"HS512"}"#), url("{}"));
    let mut mac = Hmac::<Sha512>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let token = format!("{text}.{}", url(mac.finalize().into_bytes()));
    genuine(&group, sent(&token));
}
