//! Tokens that bring certificates.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};

use super::{jwt, sent, url, wrong};
use crate::Group;
use crate::testing::*;

/// The mark of a provider's own certificate.
const MARK: &str = "1.2.840.113635.100.6.11.1";
const MARK_PARTS: [u64; 8] = [1, 2, 840, 113_635, 100, 6, 11, 1];

struct Chain {
    root: CertifiedIssuer<'static, KeyPair>,
    between: CertifiedIssuer<'static, KeyPair>,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Chain {
    fn new() -> Self {
        let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let root = CertifiedIssuer::self_signed(authority("root"), key()).unwrap();
        let between = CertifiedIssuer::signed_by(authority("between"), key(), &root).unwrap();
        Self { root, between }
    }

    fn group(&self) -> std::sync::Arc<Group> {
        let root = self.root.pem().replace('\r', "").replace('\n', "\\n");
        group_with(
            &format!("schemes: [{{name: token, jwt: {{location: \"header:X-Token\", algorithms: [ES256], certificateRoot: \"{root}\", certificateExtension: {MARK}}}}}]"),
            |spec| spec.signature_secrets.clear(),
        )
        .unwrap()
    }

    /// A token, and the certificates that it brings.
    fn token(
        &self,
        is_marked: bool,
        edit: impl FnOnce(&mut CertificateParams, &mut Vec<String>),
    ) -> String {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "signer");
        if is_marked {
            params
                .custom_extensions
                .push(CustomExtension::from_oid_content(&MARK_PARTS, vec![5, 0]));
        }
        let mut chain = vec![
            STANDARD.encode(self.between.der()),
            STANDARD.encode(self.root.der()),
        ];
        edit(&mut params, &mut chain);
        let own = params.signed_by(&key, &self.between).unwrap();
        chain.insert(0, STANDARD.encode(own.der()));
        let header = serde_json::json!({"alg": "ES256", "x5c": chain}).to_string();
        let text = format!("{}.{}", url(header), url("{}"));
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der())
            .unwrap();
        assert!(!pair.public_key().as_ref().is_empty());
        let signature = pair.sign(&random, text.as_bytes()).unwrap();
        format!("{text}.{}", url(signature))
    }
}

// Risk 36: the key comes along with the token.
#[test]
fn a_certificate_in_a_token_is_believed_only_under_the_root_and_with_the_mark() {
    let chain = Chain::new();
    let group = chain.group();
    let verified = genuine(&group, sent(&chain.token(true, |_, _| {})));
    assert!(!verified.is_unsigned());
    // Another of the same root.
    let refused = refusal(&group, sent(&chain.token(false, |_, _| {})));
    assert!(
        refused.reason.contains("certificate is another's"),
        "{refused:?}"
    );
    // Another root of the same name, brought along.
    let other = Chain::new();
    refusal(&group, sent(&other.token(true, |_, _| {})));
    refusal(&other.group(), sent(&chain.token(true, |_, _| {})));
    // Nothing between; too many; no base64; expired.
    refusal(&group, sent(&chain.token(true, |_, list| list.clear())));
    refusal(
        &group,
        sent(&chain.token(true, |_, list| {
            let one = list[0].clone();
            list.extend(std::iter::repeat_n(one, 3));
        })),
    );
    refusal(
        &group,
        sent(&chain.token(true, |_, list| list[0] = "!".to_owned())),
    );
    let expired = chain.token(true, |params, _| {
        params.not_after = rcgen::date_time_ymd(2025, 12, 31);
    });
    let refused = refusal(&group, sent(&expired));
    assert!(refused.reason.contains("not vouched for"), "{refused:?}");
    // Without a chain, or with the key of another.
    refusal(&group, sent(&jwt("{}")));
    let token = chain.token(true, |_, _| {});
    let another = chain.token(true, |_, _| {});
    let signature = another.rsplit('.').next().unwrap();
    let (head, _) = token.rsplit_once('.').unwrap();
    refusal(&group, sent(&format!("{head}.{signature}")));
    // Under a root that isn't one, or without the mark, nothing compiles.
    assert_eq!(
        wrong(
            "location: \"header:A\", algorithms: [ES256], certificateRoot: x, certificateExtension: 1.2.3"
        ),
        ["certificateRoot"]
    );
    let root = chain.root.pem().replace('\r', "").replace('\n', "\\n");
    assert_eq!(
        wrong(&format!(
            "location: \"header:A\", algorithms: [ES256], certificateRoot: \"{root}\""
        )),
        ["certificateExtension"]
    );
}
