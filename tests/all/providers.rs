//! Each provider's callback, good and forged, over a real socket into the built binary.

use std::time::{SystemTime, UNIX_EPOCH};

use hookplane_tests::http::{Answer, post};
use hookplane_tests::product::{Dev, eventually};
use hookplane_tests::signers;

type Headers = Vec<(String, String)>;

#[expect(
    clippy::disallowed_methods,
    reason = "the binary under test runs on the real time"
)]
fn now_milliseconds() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap()
}

pub(crate) fn now_seconds() -> i64 {
    now_milliseconds() / 1000
}

/// A group with one webhook that takes everything.
fn group(connector: &str, function: &str, secret: &str, more: &str) -> String {
    format!(
        r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {{org: acme, name: {connector}}}
spec:
  connector: {connector}
  function: {function}
  signatureSecrets: [{{value: "{secret}"}}]
  registeredEvents: ["*"]
  {more}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {{org: acme, group: {connector}, name: all}}
spec: {{label: All, active: true, events: ["*"]}}
"#
    )
}

/// Flips the lowest bit of the last letter or digit of a header.
fn forge(headers: &Headers, name: &str) -> Headers {
    let mut forged = headers.clone();
    let (_, value) = forged
        .iter_mut()
        .find(|(header, _)| header == name)
        .unwrap_or_else(|| panic!("{name} is there"));
    let position = value.rfind(|c: char| c.is_ascii_alphanumeric()).unwrap();
    let byte = value.as_bytes()[position];
    let other = if byte == b'0' { '1' } else { '0' };
    value.replace_range(position..=position, &other.to_string());
    forged
}

fn without(headers: &Headers, name: &str) -> Headers {
    let rest: Headers = headers
        .iter()
        .filter(|(header, _)| header != name)
        .cloned()
        .collect();
    assert_eq!(rest.len() + 1, headers.len());
    rest
}

/// Posts it good; then with its signature missing, its signature forged, its body changed: each refused.
fn good_and_forged(
    url: &str,
    headers: &Headers,
    body: &[u8],
    signature: &str,
    body_is_signed: bool,
) -> Answer {
    let good = post(url, headers, body).unwrap();
    assert!(good.status < 300, "good: {good:?}");
    assert_eq!(good.receipt(), "synced", "{good:?}");
    assert!(good.header("hookplane-event-id").is_some());
    for (what, headers) in [
        ("missing", without(headers, signature)),
        ("forged", forge(headers, signature)),
    ] {
        let answer = post(url, &headers, body).unwrap();
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        assert_eq!(answer.header("hookplane-event-id"), None);
    }
    if body_is_signed {
        let mut longer = body.to_vec();
        longer.push(b'\n');
        assert_eq!(
            post(url, headers, &longer).unwrap().status,
            401,
            "body with one more byte"
        );
        let mut changed = body.to_vec();
        let position = changed.len() / 2;
        changed[position] ^= 1;
        assert_eq!(
            post(url, headers, &changed).unwrap().status,
            401,
            "body with one bit changed"
        );
    }
    good
}

fn dev() -> (tempfile::TempDir, Dev) {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    (folder, dev)
}

#[test]
fn stripe() {
    let (_folder, dev) = dev();
    let secret = "whsec_synthetic_for_tests";
    dev.apply(&group("stripe", "account", secret, ""));
    let url = dev.callback_url("acme/stripe");
    let body = br#"{"id":"evt_1","object":"event","type":"invoice.paid","data":{"object":{"amount":12.50}}}"#;
    let headers = signers::stripe(secret, now_seconds(), body);
    good_and_forged(&url, &headers, body, "Stripe-Signature", true);
    let stale = signers::stripe(secret, now_seconds() - 412, body);
    assert_eq!(post(&url, &stale, body).unwrap().status, 401);
    // Risk 37: Stripe's secret is used whole; what Standard Webhooks would make of it doesn't verify.
    let decoded = signers::stripe("synthetic_for_tests", now_seconds(), body);
    assert_eq!(post(&url, &decoded, body).unwrap().status, 401);
    let line = &dev.tail("acme/stripe/all", &[])[0];
    assert_eq!(line["event"]["type"], "invoice.paid");
    assert_eq!(line["event"]["deliveryId"], "evt_1");
    eventually("the reason can be read", || {
        dev.items(&["refusals", "acme/stripe"])
            .iter()
            .map(ToString::to_string)
            .find(|refusal| refusal.contains("412 s old") || refusal.contains("413 s old"))
    });
}

#[test]
fn slack_events_commands_and_handshake() {
    let (_folder, dev) = dev();
    dev.apply(&group("slack", "events-api", "s1ack", ""));
    let url = dev.callback_url("acme/slack");
    let json = "application/json";
    let body = br#"{"type":"event_callback","event_id":"Ev1","team_id":"T1","event":{"type":"app_mention"}}"#;
    let headers = signers::slack("s1ack", now_seconds(), json, body);
    good_and_forged(&url, &headers, body, "X-Slack-Signature", true);
    let challenge = br#"{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
    let headers = signers::slack("s1ack", now_seconds(), json, challenge);
    let answer = post(&url, &headers, challenge).unwrap();
    assert_eq!(answer.status, 200);
    assert!(
        String::from_utf8_lossy(&answer.body)
            .contains("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")
    );
    assert_eq!(
        post(&url, &without(&headers, "X-Slack-Signature"), challenge)
            .unwrap()
            .status,
        401
    );
    assert_eq!(
        dev.tail("acme/slack", &["--events"]).len(),
        1,
        "a handshake is no event"
    );
}

#[test]
fn zoom_and_its_challenge_is_no_signing_oracle() {
    let (_folder, dev) = dev();
    dev.apply(&group("zoom", "account-app", "z00m", ""));
    let url = dev.callback_url("acme/zoom");
    let body = br#"{"event":"meeting.started","payload":{"account_id":"A1","object":{"id":"1"}}}"#;
    let headers = signers::zoom("z00m", now_seconds(), body);
    good_and_forged(&url, &headers, body, "x-zm-signature", true);
    let challenge = |plain: &str| {
        format!(r#"{{"event":"endpoint.url_validation","payload":{{"plainToken":"{plain}"}}}}"#)
            .into_bytes()
    };
    let body = challenge("qgg8vlvZRS6UYooatFL8Aw");
    let answer = post(&url, &signers::zoom("z00m", now_seconds(), &body), &body).unwrap();
    assert_eq!(answer.status, 200);
    let reply: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(reply["plainToken"], "qgg8vlvZRS6UYooatFL8Aw");
    assert_eq!(
        reply["encryptedToken"],
        signers::zoom_encrypted_token("z00m", "qgg8vlvZRS6UYooatFL8Aw")
    );
    // Risk 35: a challenge that is itself signed content must not be signed, genuine or not.
    let oracle = challenge("v0:1700000000:{}");
    let answer = post(
        &url,
        &signers::zoom("z00m", now_seconds(), &oracle),
        &oracle,
    )
    .unwrap();
    assert!(answer.status >= 400, "{answer:?}");
    assert!(!String::from_utf8_lossy(&answer.body).contains("encryptedToken"));
    let unsigned: Headers = vec![("Content-Type".into(), "application/json".into())];
    assert_eq!(
        post(&url, &unsigned, &challenge("abc")).unwrap().status,
        401
    );
}

#[test]
fn shopify_and_the_account_it_is_for() {
    let (_folder, dev) = dev();
    dev.apply(&group(
        "shopify",
        "admin-webhooks",
        "sh0p",
        "externalId: acme.myshopify.com",
    ));
    let url = dev.callback_url("acme/shopify");
    let body = b"{\"id\":1,\"total_price\":12.50,\"note\":\"caf\\u00e9\"}\r\n";
    let headers = signers::shopify("sh0p", "orders/paid", "w-1", "acme.myshopify.com", body);
    good_and_forged(&url, &headers, body, "X-Shopify-Hmac-SHA256", true);
    let other = signers::shopify("sh0p", "orders/paid", "w-2", "other.myshopify.com", body);
    assert_eq!(post(&url, &other, body).unwrap().status, 403);
}

#[test]
fn standard_webhooks() {
    let (_folder, dev) = dev();
    let secret = "whsec_c3ludGhldGljIHNlY3JldCBmb3IgdGVzdHM=";
    dev.apply(&group(
        "standard-webhooks",
        "any-standard-webhooks-sender",
        secret,
        "",
    ));
    let url = dev.callback_url("acme/standard-webhooks");
    let body = br#"{"type":"user.created","data":{}}"#;
    let headers = signers::standard_webhooks(secret, "msg_1", now_seconds(), body);
    good_and_forged(&url, &headers, body, "webhook-signature", true);
    let future = signers::standard_webhooks(secret, "msg_2", now_seconds() + 600, body);
    assert_eq!(post(&url, &future, body).unwrap().status, 401);
}

#[test]
fn hubspot_batches_are_kept_whole() {
    let (_folder, dev) = dev();
    dev.apply(&group("hubspot", "crm-webhooks", "hub", ""));
    let url = dev.callback_url("acme/hubspot");
    let body = br#"[{"eventId":1,"subscriptionType":"contact.creation","portalId":7},{"eventId":2,"subscriptionType":"deal.creation","portalId":7}]"#;
    let headers = signers::hubspot("hub", &url, now_milliseconds(), body);
    good_and_forged(&url, &headers, body, "X-HubSpot-Signature-v3", true);
    let lines = dev.tail("acme/hubspot/all", &[]);
    let types: Vec<_> = lines
        .iter()
        .map(|line| line["event"]["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["contact.creation", "deal.creation"]);
    assert_eq!(lines[1]["payload"]["eventId"], 2);
}

#[test]
fn twilio_signs_the_public_url() {
    let (_folder, dev) = dev();
    dev.apply(&group("twilio", "messaging", "tw1l", ""));
    let url = dev.callback_url("acme/twilio");
    let fields = [
        ("MessageSid", "SM1"),
        ("MessageStatus", "delivered"),
        ("AccountSid", "AC1"),
        ("Body", "a b+c & d"),
    ];
    let (headers, body) = signers::twilio("tw1l", &url, &fields);
    good_and_forged(&url, &headers, &body, "X-Twilio-Signature", true);
    // Risk 39: it is the group's URL that counts, not the Host header, and the query belongs to it.
    let (other, body) = signers::twilio("tw1l", "http://elsewhere.example/x", &fields);
    assert_eq!(post(&url, &other, &body).unwrap().status, 401);
    let with_query = format!("{url}?a=1&b=2");
    let (headers, body) = signers::twilio("tw1l", &with_query, &fields);
    assert!(post(&with_query, &headers, &body).unwrap().status < 300);
    assert_eq!(
        post(&format!("{url}?b=2&a=1"), &headers, &body)
            .unwrap()
            .status,
        401
    );
    let line = &dev.tail("acme/twilio/all", &[])[0];
    assert_eq!(line["payload"]["Body"], "a b+c & d");
}

#[test]
fn gitlab() {
    let (_folder, dev) = dev();
    dev.apply(&group("gitlab", "project", "g1tlab", ""));
    let url = dev.callback_url("acme/gitlab");
    let body = br#"{"object_kind":"merge_request","object_attributes":{"action":"open"},"project":{"id":5}}"#;
    let headers = signers::gitlab("g1tlab", "Merge Request Hook", "u-1");
    good_and_forged(&url, &headers, body, "X-Gitlab-Token", false);
    assert_eq!(
        dev.tail("acme/gitlab/all", &[])[0]["event"]["type"],
        "merge_request.open"
    );
}
