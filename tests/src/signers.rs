//! Providers' signatures, written from their documentation. Nothing here knows how hookplane verifies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// Names and values, in order.
pub type Headers = Vec<(String, String)>;

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // An HMAC takes a key of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// An HMAC-SHA256 over a body, in hex.
pub fn hmac_sha256_hex(secret: &str, body: &[u8]) -> String {
    hex::encode(hmac_sha256(secret.as_bytes(), &[body]))
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// GitHub: hex HMAC-SHA256 of the body behind `sha256=`.
pub fn github(secret: &str, event: &str, delivery: &str, body: &[u8]) -> Headers {
    let signature = hex::encode(hmac_sha256(secret.as_bytes(), &[body]));
    headers(&[
        ("Content-Type", "application/json"),
        ("X-GitHub-Event", event),
        ("X-GitHub-Delivery", delivery),
        ("X-Hub-Signature-256", &format!("sha256={signature}")),
    ])
}

/// Stripe: `t=…,v1=…` over the time, a dot, and the body; the secret is used whole.
pub fn stripe(secret: &str, seconds: i64, body: &[u8]) -> Headers {
    let time = seconds.to_string();
    let signature = hex::encode(hmac_sha256(
        secret.as_bytes(),
        &[time.as_bytes(), b".", body],
    ));
    headers(&[
        ("Content-Type", "application/json; charset=utf-8"),
        ("Stripe-Signature", &format!("t={time},v1={signature}")),
    ])
}

/// Slack: hex HMAC-SHA256 of `v0:time:body` behind `v0=`.
pub fn slack(secret: &str, seconds: i64, content_type: &str, body: &[u8]) -> Headers {
    let time = seconds.to_string();
    let signature = hex::encode(hmac_sha256(
        secret.as_bytes(),
        &[b"v0:", time.as_bytes(), b":", body],
    ));
    headers(&[
        ("Content-Type", content_type),
        ("X-Slack-Request-Timestamp", &time),
        ("X-Slack-Signature", &format!("v0={signature}")),
    ])
}

/// Zoom: as Slack, under headers of its own.
pub fn zoom(secret: &str, seconds: i64, body: &[u8]) -> Headers {
    let time = seconds.to_string();
    let signature = hex::encode(hmac_sha256(
        secret.as_bytes(),
        &[b"v0:", time.as_bytes(), b":", body],
    ));
    headers(&[
        ("Content-Type", "application/json"),
        ("x-zm-request-timestamp", &time),
        ("x-zm-signature", &format!("v0={signature}")),
    ])
}

/// Zoom's answer to a URL validation: hex HMAC-SHA256 of the plain token.
pub fn zoom_encrypted_token(secret: &str, plain: &str) -> String {
    hex::encode(hmac_sha256(secret.as_bytes(), &[plain.as_bytes()]))
}

/// Shopify: base64 HMAC-SHA256 of the body.
pub fn shopify(secret: &str, topic: &str, delivery: &str, shop: &str, body: &[u8]) -> Headers {
    let signature = STANDARD.encode(hmac_sha256(secret.as_bytes(), &[body]));
    headers(&[
        ("Content-Type", "application/json"),
        ("X-Shopify-Topic", topic),
        ("X-Shopify-Webhook-Id", delivery),
        ("X-Shopify-Shop-Domain", shop),
        ("X-Shopify-Hmac-SHA256", &signature),
    ])
}

/// Standard Webhooks: `v1,base64` over id, time and body, under the key that is base64 behind `whsec_`.
pub fn standard_webhooks(secret: &str, id: &str, seconds: i64, body: &[u8]) -> Headers {
    let key = STANDARD
        .decode(secret.trim_start_matches("whsec_"))
        .expect("the test's secret is base64");
    let time = seconds.to_string();
    let signature = STANDARD.encode(hmac_sha256(
        &key,
        &[id.as_bytes(), b".", time.as_bytes(), b".", body],
    ));
    headers(&[
        ("Content-Type", "application/json"),
        ("webhook-id", id),
        ("webhook-timestamp", &time),
        ("webhook-signature", &format!("v1,{signature}")),
    ])
}

/// HubSpot v3: base64 HMAC-SHA256 over method, URL, body and milliseconds.
pub fn hubspot(secret: &str, url: &str, milliseconds: i64, body: &[u8]) -> Headers {
    let time = milliseconds.to_string();
    let signature = STANDARD.encode(hmac_sha256(
        secret.as_bytes(),
        &[b"POST", url.as_bytes(), body, time.as_bytes()],
    ));
    headers(&[
        ("Content-Type", "application/json"),
        ("X-HubSpot-Request-Timestamp", &time),
        ("X-HubSpot-Signature-v3", &signature),
    ])
}

/// Twilio: base64 HMAC-SHA1 over the URL and the form's fields in order of their names, names and values run together.
pub fn twilio(token: &str, url: &str, fields: &[(&str, &str)]) -> (Headers, Vec<u8>) {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("any length");
    mac.update(url.as_bytes());
    for (name, value) in &sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let body = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", percent(value)))
        .collect::<Vec<_>>()
        .join("&");
    (
        headers(&[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("X-Twilio-Signature", &signature),
        ]),
        body.into_bytes(),
    )
}

/// GitLab: the token as it is.
pub fn gitlab(token: &str, event: &str, uuid: &str) -> Headers {
    headers(&[
        ("Content-Type", "application/json"),
        ("X-Gitlab-Event", event),
        ("X-Gitlab-Event-UUID", uuid),
        ("Idempotency-Key", uuid),
        ("X-Gitlab-Token", token),
    ])
}

/// Percent-encodes everything but letters and digits.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
