//! A request is verified exactly when a second implementation, written from the providers' documentation, says so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hookplane_proto::v1;
use hookplane_rules::{Proven, Timestamp};
use hookplane_tests::catalogue::{callback, group, secrets};
use proptest::prelude::*;
use sha2::Sha256;

const NOW: i64 = 1_767_225_600;
const WINDOW: i64 = 300;

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// The headers that prove `body`, by each provider's documentation.
fn sign(connector: &str, secret: &str, time: i64, body: &[u8]) -> Vec<(String, String)> {
    let t = time.to_string();
    let key = secret.as_bytes();
    let pairs: Vec<(&str, String)> = match connector {
        "github" => vec![(
            "x-hub-signature-256",
            format!("sha256={}", hex::encode(mac(key, &[body]))),
        )],
        "shopify" => vec![("x-shopify-hmac-sha256", STANDARD.encode(mac(key, &[body])))],
        "stripe" => vec![(
            "stripe-signature",
            format!(
                "t={t},v1={}",
                hex::encode(mac(key, &[t.as_bytes(), b".", body]))
            ),
        )],
        "slack" => vec![
            (
                "x-slack-signature",
                format!(
                    "v0={}",
                    hex::encode(mac(key, &[b"v0:", t.as_bytes(), b":", body]))
                ),
            ),
            ("x-slack-request-timestamp", t.clone()),
        ],
        _ => {
            let key = STANDARD
                .decode(secret.trim_start_matches("whsec_"))
                .unwrap();
            let signature = STANDARD.encode(mac(&key, &[b"msg_1.", t.as_bytes(), b".", body]));
            vec![
                ("webhook-id", "msg_1".into()),
                ("webhook-timestamp", t.clone()),
                ("webhook-signature", format!("v1,{signature}")),
            ]
        }
    };
    let mut all: Vec<(String, String)> =
        pairs.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
    all.push(("content-type".into(), "application/json".into()));
    all
}

fn in_window(connector: &str, time: i64) -> bool {
    match connector {
        "github" | "shopify" => true,
        "standard-webhooks" => (NOW - time).abs() <= WINDOW,
        _ => NOW - time <= WINDOW,
    }
}

proptest! {
    #[test]
    fn verified_exactly_when_the_second_implementation_says_so(
        which in 0usize..5,
        key in "[a-zA-Z0-9]{16,40}",
        other in "[a-zA-Z0-9]{16,40}",
        body in proptest::collection::vec(any::<u8>(), 1..200),
        age in -900i64..900,
        wrong_key in any::<bool>(),
        flip in proptest::option::of((any::<proptest::sample::Index>(), 1u8..)),
    ) {
        let connector = ["github", "stripe", "slack", "shopify", "standard-webhooks"][which];
        let form = |k: &str| if which == 4 { format!("whsec_{}", STANDARD.encode(k)) } else { k.to_owned() };
        let (secret, signer) = (form(&key), form(if wrong_key { &other } else { &key }));
        let time = NOW - age;
        let headers = sign(connector, &signer, time, &body);
        let mut sent = body.clone();
        if let Some((index, bits)) = flip {
            let at = index.index(sent.len());
            sent[at] ^= bits;
        }
        let expected = headers == sign(connector, &secret, time, &sent) && in_window(connector, time);
        let spec = v1::WebhookGroupSpec {
            connector: connector.into(),
            signature_secrets: secrets(&[secret]),
            ..Default::default()
        };
        let group = group(spec, "https://hooks.example.com/c/t").unwrap();
        let proven = group.verify(callback("POST", "", &headers, sent), Timestamp(NOW * 1000));
        prop_assert_eq!(matches!(proven, Ok(Proven::Genuine(_))), expected);
    }
}
