//! Keys in every form, and what others signed with them.

use serde_json::Value;

use crate::testing::*;
use crate::{Callback, Group, RefusalKind};
use std::sync::Arc;

/// Made by another library: see `tests/vectors/python/public_keys.py`.
fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn protocol(algorithm: &str, format: &str) -> String {
    format!(
        "schemes: [{{name: one, publicKey: {{algorithm: {algorithm}, content: \"{{body}}\", signature: \"header:X-Sig\", encoding: base64, key: {{format: {format}}}}}}}]"
    )
}

fn signed(signature: &str, body: &str) -> Callback {
    callback(
        &[("content-type", "application/json"), ("x-sig", signature)],
        body.to_owned(),
    )
}

fn of(algorithm: &str, format: &str, key: &str) -> Result<Arc<Group>, String> {
    group_with(&protocol(algorithm, format), |spec| {
        spec.signature_secrets = vec![secret("theirs", key)];
    })
    .map_err(|errors| errors[0].to_string())
}

#[test]
fn what_another_library_signed_is_genuine_and_names_its_key() {
    let vectors = vectors();
    let body = text(&vectors, "body");
    let list = vectors["signatures"].as_array().unwrap();
    assert!(list.len() > 30);
    for vector in list {
        let (algorithm, format) = (text(vector, "algorithm"), text(vector, "format"));
        let group = of(algorithm, format, text(vector, "key")).unwrap();
        let verified = genuine(&group, signed(text(vector, "signature"), body));
        assert_eq!(
            verified.secret_name(),
            Some("theirs"),
            "{algorithm} {format}"
        );
        let changed = body.replace('1', "2");
        let refused = refusal(&group, signed(text(vector, "signature"), &changed));
        assert_eq!(refused.kind, RefusalKind::Signature);
        assert_eq!(refused.reason, "no public key matched (1 tried)");
    }
}

// Risk 36: a key of one kind, or of one hash, is none of another.
#[test]
fn a_signature_under_one_algorithm_is_none_under_another() {
    let vectors = vectors();
    let body = text(&vectors, "body");
    for vector in vectors["signatures"].as_array().unwrap() {
        for other in [
            "rsa_sha1",
            "rsa_sha256",
            "rsa_sha512",
            "rsa_pss_sha256",
            "rsa_pss_sha512",
            "ecdsa_p256_sha256",
            "ecdsa_p256_sha1",
            "ed25519",
        ] {
            if other == text(vector, "algorithm") {
                continue;
            }
            let format = match text(vector, "format") {
                "raw_hex" | "raw_base64" => continue,
                format => format,
            };
            // A set has keys of several kinds.
            if let Ok(group) = of(other, format, text(vector, "key")) {
                refusal(&group, signed(text(vector, "signature"), body));
            }
        }
    }
}

#[test]
fn a_secret_that_is_no_key_is_told_so_and_never_shown() {
    let rsa = text(&vectors()["signatures"][0], "key").to_owned();
    let private = rsa.replace("PUBLIC", "PRIVATE");
    for (algorithm, format, key, why) in [
        (
            "ed25519",
            "pem",
            rsa.as_str(),
            "holds no public key of Ed25519",
        ),
        (
            "ecdsa_p256_sha256",
            "pem",
            &rsa,
            "holds no public key of elliptic curve P-256",
        ),
        ("rsa_sha256", "pem", &private, "is a private key"),
        ("rsa_sha256", "pem", "c2VjcmV0", "is no PEM"),
        (
            "rsa_sha256",
            "pem",
            "-----BEGIN PUBLIC KEY-----\nc2VjcmV0",
            "is no PEM",
        ),
        ("rsa_sha256", "spki_base64", "!secret!", "must be base64"),
        (
            "rsa_sha256",
            "spki_base64",
            "c2VjcmV0",
            "holds no public key of RSA",
        ),
        ("ed25519", "raw_hex", "zz", "must be hex"),
        (
            "ed25519",
            "raw_hex",
            "736563726574",
            "is 6 bytes, and an Ed25519 key is 32",
        ),
        ("rsa_sha256", "jwks", "secret", "must be a JSON Web Key"),
        (
            "rsa_sha256",
            "jwks",
            "{\"keys\": []}",
            "holds no public key of RSA",
        ),
        (
            "rsa_sha256",
            "jwks",
            "{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}",
            "holds a private or shared key",
        ),
        (
            "rsa_sha256",
            "certificate_map",
            "{\"a\": \"secret\"}",
            "is no PEM",
        ),
        (
            "rsa_sha256",
            "certificate_map",
            "[]",
            "must be a JSON object",
        ),
    ] {
        let error = of(algorithm, format, key).unwrap_err();
        assert!(
            error.starts_with("spec.signatureSecrets[0].value: "),
            "{error}"
        );
        assert!(error.contains(why), "{error}, not {why}");
        assert!(
            !error.contains("c2VjcmV0") && !error.contains("secret!"),
            "{error}"
        );
    }
}

#[test]
fn rsa_keys_that_anybody_could_factor_are_refused() {
    let vectors = vectors();
    let small = vectors["signatures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vector| text(vector, "key"))
        .find(|key| (200..300).contains(&key.len()) && key.starts_with("MIGf"))
        .unwrap();
    of("rsa_sha1", "spki_base64", small).unwrap();
    of("rsa_pss_sha256", "spki_base64", small).unwrap_err();
}

#[test]
fn while_keys_rotate_each_that_is_pasted_verifies() {
    let vectors = vectors();
    let mut of_ed25519 = vectors["signatures"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|vector| text(vector, "algorithm") == "ed25519" && text(vector, "format") == "pem");
    let vector = of_ed25519.next().unwrap();
    let other = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----";
    let group = group_with(&protocol("ed25519", "pem"), |spec| {
        spec.signature_secrets = vec![secret("old", other), secret("new", text(vector, "key"))];
    })
    .unwrap();
    let verified = genuine(
        &group,
        signed(text(vector, "signature"), text(&vectors, "body")),
    );
    assert_eq!(verified.secret_name(), Some("new"));
}
