//! A connector that does the least, and its provider's signature.

use hookplane_proto::v1;

use super::rig::metadata;

pub(super) const SECRET: &str = "It's a Secret to Everybody";

/// Signs the body; type and delivery id are in headers.
pub(super) fn connector() -> v1::Connector {
    let hmac = v1::KeyedHash {
        hash: v1::HashFunction::Sha256.into(),
        content: "{body}".to_owned(),
        signature: "header:X-Signature".to_owned(),
        encoding: v1::Encoding::Hex.into(),
        key: Some(v1::Key {
            decode: v1::Encoding::Raw.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let sample = v1::Sample {
        body: r#"{"sample":true}"#.to_owned(),
        content_type: "application/json".to_owned(),
        headers: [("X-Event".to_owned(), "order.paid".to_owned())].into(),
        ..Default::default()
    };
    v1::Connector {
        metadata: metadata("plain-hmac", ""),
        spec: Some(v1::ConnectorSpec {
            display_name: "Plain".to_owned(),
            functions: vec![v1::ConnectorFunction {
                name: "events".to_owned(),
                open_events: true,
                events: vec![v1::ConnectorEvent {
                    name: "order.paid".to_owned(),
                    description: "An order was paid".to_owned(),
                    sample: Some(sample),
                }],
                ..Default::default()
            }],
            protocol: Some(v1::Protocol {
                max_body_bytes: Some(26_214_400),
                schemes: vec![v1::Scheme {
                    name: "sha256".to_owned(),
                    hmac: Some(hmac),
                    ..Default::default()
                }],
                extract: Some(v1::Extraction {
                    event_type: value("header:X-Event"),
                    delivery_id: value("header:X-Delivery"),
                    ..Default::default()
                }),
                answer: Some(v1::Answer {
                    patience_seconds: 1,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }),
    }
}

fn value(from: &str) -> Vec<v1::Value> {
    vec![v1::Value {
        from: from.to_owned(),
        ..Default::default()
    }]
}

/// As `plain` signs it.
pub(super) fn signed(delivery: &str, body: &[u8]) -> Vec<(String, String)> {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    mac.update(body);
    [
        ("Content-Type", "application/json"),
        ("X-Event", "order.paid"),
        ("X-Delivery", delivery),
        ("X-Signature", &hex::encode(mac.finalize().into_bytes())),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
