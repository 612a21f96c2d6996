use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki_types::TrustAnchor;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};

use crate::testing::*;
use crate::{
    Callback, Group, KeySet, KeySource, Keys, Needed, NoKeys, Proven, Refusal, RefusalKind,
    Timestamp, Unproven,
};

const BODY: &str = r#"{"type": "made"}"#;

/// A provider's key, with the certificate of an authority.
struct Signer {
    key: KeyPair,
    pem: String,
}

static AUTHORITY: LazyLock<CertifiedIssuer<'static, KeyPair>> = LazyLock::new(|| {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
});

fn roots() -> Arc<[TrustAnchor<'static>]> {
    let anchor = webpki::anchor_from_trusted_cert(AUTHORITY.der()).unwrap();
    Arc::from([anchor.to_owned()])
}

impl Signer {
    fn new(name: &str) -> Self {
        Self::until(name, 2030)
    }

    fn until(name: &str, year: i32) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "signer");
        params.not_after = rcgen::date_time_ymd(year, 1, 2);
        let certificate = params.signed_by(&key, &*AUTHORITY).unwrap();
        Self {
            pem: certificate.pem(),
            key,
        }
    }

    fn sign(&self, text: &str) -> String {
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key.serialize_der())
                .unwrap();
        STANDARD.encode(pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap())
    }

    /// As a set in which it has this name.
    fn map(&self, id: &str) -> String {
        serde_json::json!({id: self.pem}).to_string()
    }
}

/// What was fetched from one source.
struct Fetched(KeySource, Arc<KeySet>);

impl Keys for Fetched {
    fn get(&self, source: &KeySource) -> Option<Arc<KeySet>> {
        (*source == self.0).then(|| Arc::clone(&self.1))
    }
}

fn protocol(remote: &str, format: &str) -> String {
    format!(
        "schemes: [{{name: one, publicKey: {{algorithm: ecdsa_p256_sha256, content: \"{{body}}\", signature: \"header:X-Sig\", encoding: base64, key: {{format: {format}, remote: {{{remote}}}}}}}}}]"
    )
}

/// The sender names the URL.
const NAMED: &str = "url: \"{header:X-Cert}\", hosts: [\"*.example.com\"], pathPrefix: /certs/, certificateName: signer.example.com";
const FIXED: &str = "url: \"https://keys.example.com/all.json\", hosts: [keys.example.com], keyId: \"header:X-Key\"";
const CERT: &str = "https://keys.example.com/certs/1.pem";

fn remote(remote: &str, format: &str) -> Arc<Group> {
    group_with(&protocol(remote, format), |spec| {
        spec.signature_secrets.clear();
    })
    .unwrap()
}

fn sent(signer: &Signer, headers: &[(&str, &str)]) -> Callback {
    let signature = signer.sign(BODY);
    let mut all = vec![
        ("content-type", "application/json"),
        ("x-sig", signature.as_str()),
    ];
    all.extend(headers);
    callback(&all, BODY)
}

fn needed(result: Result<Proven, Unproven>) -> Needed {
    match result {
        Err(Unproven::NeedsKey(needed)) => *needed,
        other => panic!("it needs no key: {other:?}"),
    }
}

fn refused(result: Result<Proven, Unproven>) -> Refusal {
    match result {
        Err(Unproven::Refused(refused)) => refused.refusal,
        other => panic!("it is not refused: {other:?}"),
    }
}

#[test]
fn a_key_that_is_not_here_is_asked_for_and_then_verifies() {
    let signer = Signer::new("signer.example.com");
    let group = remote(NAMED, "pem");
    let post = || sent(&signer, &[("x-cert", CERT)]);
    let asked = needed(group.verify_with(post(), &NoKeys, NOW));
    assert_eq!(asked.source.to_string(), CERT);
    assert_eq!(asked.source.host(), "keys.example.com");
    assert_eq!(asked.source.path_and_query(), "/certs/1.pem");
    assert_eq!(asked.callback.body, BODY);
    let set = asked
        .source
        .read(signer.pem.as_bytes(), &roots(), NOW)
        .unwrap();
    let keys = Fetched(asked.source, Arc::new(set));
    let proven = group.verify_with(asked.callback, &keys, NOW).unwrap();
    let Proven::Genuine(verified) = proven else {
        panic!("it was taken for a handshake")
    };
    assert!(!verified.is_unsigned());
    assert_eq!(verified.secret_name(), None);
    // Without anybody who fetches, it is a refusal.
    assert_eq!(
        group.verify(post(), NOW).unwrap_err().kind,
        RefusalKind::Signature
    );
}

// Risk 36: the sender names the key's URL.
#[test]
fn a_url_elsewhere_is_refused_and_never_asked_for() {
    let signer = Signer::new("signer.example.com");
    let group = remote(NAMED, "pem");
    for url in [
        "https://keys.example.com.evil.com/certs/1.pem",
        "https://evil.com/.example.com/certs/1.pem",
        "https://keys.example.com/other/1.pem",
        "https://keys.example.com/certs/../1.pem",
        "http://keys.example.com/certs/1.pem",
        "https://keys.example.com:8443/certs/1.pem",
        "https://keys.example.com/certs/1.pem?a=b",
        "",
    ] {
        let refusal = refused(group.verify_with(sent(&signer, &[("x-cert", url)]), &NoKeys, NOW));
        assert_eq!(refusal.kind, RefusalKind::Signature, "{url}");
    }
    // Nor is a group that also takes the unsigned one that takes everything.
    let open = group_with(&protocol(NAMED, "pem"), |spec| {
        spec.signature_secrets.clear();
        spec.accept_unsigned = true;
    })
    .unwrap();
    refused(open.verify_with(callback(&[], BODY), &NoKeys, NOW));
}

#[test]
fn a_certificate_of_another_name_another_root_or_another_time_is_none() {
    let group = remote(NAMED, "pem");
    let good = Signer::new("signer.example.com");
    let source = needed(group.verify_with(sent(&good, &[("x-cert", CERT)]), &NoKeys, NOW)).source;
    source.read(good.pem.as_bytes(), &roots(), NOW).unwrap();
    let below = Signer::new("eu.signer.example.com");
    source.read(below.pem.as_bytes(), &roots(), NOW).unwrap();
    for name in [
        "evilsigner.example.com",
        "example.com",
        "signer.example.com.evil.com",
    ] {
        let other = Signer::new(name);
        let error = source
            .read(other.pem.as_bytes(), &roots(), NOW)
            .unwrap_err();
        assert!(error.contains("no name under"), "{error}");
    }
    let error = source
        .read(good.pem.as_bytes(), &Arc::from([]), NOW)
        .unwrap_err();
    assert!(error.contains("not vouched for"), "{error}");
    let late = Timestamp(4_000_000_000_000);
    source
        .read(good.pem.as_bytes(), &roots(), late)
        .unwrap_err();
    let bare = good.key.public_key_pem();
    let error = source.read(bare.as_bytes(), &roots(), NOW).unwrap_err();
    assert!(error.contains("holds no certificate"), "{error}");
    for text in ["", "<html>", "\u{feff}"] {
        source.read(text.as_bytes(), &roots(), NOW).unwrap_err();
    }
}

#[test]
fn a_certificate_that_expires_while_it_is_kept_is_asked_for_again() {
    let signer = Signer::until("signer.example.com", 2026);
    let group = remote(NAMED, "pem");
    let post = || sent(&signer, &[("x-cert", CERT)]);
    let source = needed(group.verify_with(post(), &NoKeys, NOW)).source;
    let set = source.read(signer.pem.as_bytes(), &roots(), NOW).unwrap();
    let keys = Fetched(source, Arc::new(set));
    group.verify_with(post(), &keys, NOW).unwrap();
    // 2 January 2026 is over.
    let late = Timestamp(1_767_400_000_000);
    needed(group.verify_with(post(), &keys, late));
}

#[test]
fn an_unknown_key_id_is_asked_for_and_a_known_one_is_the_only_one_tried() {
    let (one, two) = (Signer::new("a.example.com"), Signer::new("b.example.com"));
    let group = remote(FIXED, "certificate_map");
    let source = needed(group.verify_with(sent(&one, &[("x-key", "1")]), &NoKeys, NOW)).source;
    let both = serde_json::json!({"1": one.pem, "2": two.pem}).to_string();
    let set = source.read(both.as_bytes(), &roots(), NOW).unwrap();
    let keys = Fetched(source, Arc::new(set));
    let post =
        |signer: &Signer, id: &str| group.verify_with(sent(signer, &[("x-key", id)]), &keys, NOW);
    post(&one, "1").unwrap();
    post(&two, "2").unwrap();
    // Named keys don't change, so that what isn't signed with them is a forgery.
    refused(post(&one, "2"));
    let later = Timestamp(NOW.0 + 3_600_000);
    refused(group.verify_with(sent(&one, &[("x-key", "2")]), &keys, later));
    let lacking = needed(post(&one, "3"));
    assert_eq!(lacking.refusal().kind, RefusalKind::Signature);
    refused(group.verify_with(sent(&one, &[]), &keys, NOW));
}

#[test]
fn a_key_without_a_name_may_have_been_replaced_when_it_is_a_minute_old() {
    let (old, new) = (Signer::new("a.example.com"), Signer::new("a.example.com"));
    let group = remote(
        "url: \"https://keys.example.com/key.pem\", hosts: [keys.example.com]",
        "pem",
    );
    let source = needed(group.verify_with(sent(&old, &[]), &NoKeys, NOW)).source;
    let set = source.read(old.pem.as_bytes(), &roots(), NOW).unwrap();
    let keys = Fetched(source.clone(), Arc::new(set));
    group.verify_with(sent(&old, &[]), &keys, NOW).unwrap();
    refused(group.verify_with(sent(&new, &[]), &keys, Timestamp(NOW.0 + 59_999)));
    needed(group.verify_with(sent(&new, &[]), &keys, Timestamp(NOW.0 + 60_000)));
    let set = source.read(new.pem.as_bytes(), &roots(), NOW).unwrap();
    group
        .verify_with(sent(&new, &[]), &Fetched(source, Arc::new(set)), NOW)
        .unwrap();
}

// Risk 36: jku, x5u and kid of a token name another key.
#[test]
fn what_a_token_says_of_its_own_key_is_not_followed() {
    let signer = Signer::new("a.example.com");
    let group = group_with(
        "schemes: [{name: token, jwt: {location: \"header:X-Token\", algorithms: [ES256], publicKey: {format: certificate_map, remote: {url: \"https://keys.example.com/all\", hosts: [keys.example.com]}}}}]",
        |spec| spec.signature_secrets.clear(),
    )
    .unwrap();
    let token = |header: &str| {
        let url = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let text = format!("{}.{}", url(header), url("{}"));
        let pair = EcdsaKeyPair::from_pkcs8(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &signer.key.serialize_der(),
        )
        .unwrap();
        let signature = pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature);
        callback(&[("x-token", &format!("{text}.{signature}"))], BODY)
    };
    let jwk = signer.key.public_key_pem();
    let own = serde_json::json!({"alg": "ES256", "kid": "1", "jku": "https://evil.com/keys", "x5u": "https://evil.com/cert", "jwk": jwk, "x5c": [jwk]});
    let asked = needed(group.verify_with(token(&own.to_string()), &NoKeys, NOW));
    assert_eq!(asked.source.to_string(), "https://keys.example.com/all");
    let other = Signer::new("b.example.com");
    let set = asked
        .source
        .read(other.map("1").as_bytes(), &roots(), NOW)
        .unwrap();
    let keys = Fetched(asked.source.clone(), Arc::new(set));
    refused(group.verify_with(token(&own.to_string()), &keys, NOW));
    needed(group.verify_with(token(r#"{"alg":"ES256","kid":"2"}"#), &keys, NOW));
    let set = asked
        .source
        .read(signer.map("1").as_bytes(), &roots(), NOW)
        .unwrap();
    let keys = Fetched(asked.source, Arc::new(set));
    group
        .verify_with(token(r#"{"alg":"ES256","kid":"1"}"#), &keys, NOW)
        .unwrap();
    group
        .verify_with(token(r#"{"alg":"ES256"}"#), &keys, NOW)
        .unwrap();
}

#[test]
fn what_a_definition_of_remote_keys_lacks_is_an_error_at_its_field() {
    let wrong = |remote: &str, format: &str| -> Vec<String> {
        errors(&protocol(remote, format))
            .into_iter()
            .map(|error| {
                error
                    .field
                    .replace("spec.protocol.schemes[0].publicKey.key.", "")
            })
            .collect()
    };
    for (remote, field) in [
        ("hosts: [a.example.com]", "remote.url"),
        ("url: \"{header:X}\"", "remote.hosts"),
        ("url: \"https://a.example.com/{header:X}\"", "remote.hosts"),
        ("url: \"{header:X}\", hosts: [\"*.com\"]", "remote.hosts[0]"),
        (
            "url: \"{header:X}\", hosts: [\"https://a.example.com\"]",
            "remote.hosts[0]",
        ),
        (
            "url: \"http://a.example.com/k\", hosts: [a.example.com]",
            "remote.url",
        ),
        (
            "url: \"https://b.example.com/k\", hosts: [a.example.com]",
            "remote.url",
        ),
        ("url: \"https://127.0.0.1/k\"", "remote.url"),
        (
            "url: \"https://a.example.com/k\", keyId: nonsense",
            "remote.keyId",
        ),
        (
            "url: \"https://a.example.com/k\", maxAgeSeconds: 86401",
            "remote.maxAgeSeconds",
        ),
    ] {
        assert_eq!(wrong(remote, "pem"), [field], "{remote}");
    }
    let good = "url: \"https://a.example.com/k\", hosts: [a.example.com]";
    assert_eq!(
        wrong(&format!("{good}, certificateName: a.example.com"), "jwks"),
        ["remote.certificateName"]
    );
    assert_eq!(
        wrong(&format!("{good}, certificateName: com"), "pem"),
        ["remote.certificateName"]
    );
    assert_eq!(wrong(good, "raw_hex"), ["format"]);
    let without = protocol(good, "pem").replace("format: pem, ", "");
    assert!(errors(&without)[0].field.ends_with("key.format"));
}

#[test]
fn more_keys_and_signatures_than_are_looked_at_are_refused() {
    let protocol = "schemes: [{name: one, publicKey: {algorithm: ecdsa_p256_sha256, content: \"{body}\", signature: \"header:X-Sig\", format: {list: {itemSeparator: \",\"}}, encoding: base64, key: {format: pem}}}]";
    let signers: Vec<Signer> = (0..4).map(|_| Signer::new("a.example.com")).collect();
    let group = group_with(protocol, |spec| {
        spec.signature_secrets = signers
            .iter()
            .enumerate()
            .map(|(n, signer)| secret(&format!("key-{n}"), &signer.key.public_key_pem()))
            .collect();
    })
    .unwrap();
    let good = signers[3].sign(BODY);
    let post = |value: &str| callback(&[("x-sig", value)], BODY);
    let verified = genuine(&group, post(&format!("AAAA,{good}")));
    assert_eq!(verified.secret_name(), Some("key-3"));
    let many = vec!["AAAA"; 31].join(",");
    let refused = refusal(&group, post(&format!("{many},{good}")));
    assert!(
        refused.reason.contains("nothing matched in 64 tries"),
        "{refused:?}"
    );
}
