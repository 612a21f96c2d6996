//! What arrives.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookplane_proto::v1;
use hookplane_tests::destinations::{Received, Receiver, Reply};
use v1::DeliveryStatus;
use v1::preview_service_client::PreviewServiceClient;

use super::{Shop, http, own, secret, willing};
use crate::fake_control_plane::Failure;
use crate::streams::previews::{ORDER, mapping};

const KEY: [u8; 32] = [9; 32];

/// As a receiver checks it.
fn is_signed(received: &Received) -> bool {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&KEY).unwrap();
    for part in [
        received.header("webhook-id"),
        ".",
        received.header("webhook-timestamp"),
        ".",
    ] {
        mac.update(part.as_bytes());
    }
    mac.update(&received.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    received.header("webhook-signature") == expected
}

#[tokio::test]
async fn an_event_is_posted_as_it_came_and_signed() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    // Sends back what it was sent, credentials among it.
    let receiver = Receiver::start(|received| {
        let said = format!("taken with {}", received.header("authorization"));
        Reply::With(202, "x-said: so".to_owned(), said)
    })
    .await?;
    let target = v1::HttpTarget {
        url: format!("{}/in?a=1", receiver.url),
        signing_secret: Some(secret(&format!("whsec_{}", STANDARD.encode(KEY)))),
        headers: [("Authorization".to_owned(), secret("Bearer planted-4711"))].into(),
    };
    shop.rig
        .pushed("orders", vec![own("erp", target)], |_| {})
        .await?;
    let body = "{\"price\": 12.50,  \"note\":\"\\u00e4\"}";
    shop.event("d-1", body).await?;
    let delivered = shop
        .rig
        .all_are("shop/orders", 1, DeliveryStatus::Delivered)
        .await?;
    let received = receiver.received();
    assert_eq!(received.len(), 1);
    let got = &received[0];
    assert_eq!(got.text(), body, "byte for byte");
    assert!(is_signed(got), "{got:?}");
    for (name, value) in [
        ("content-type", "application/json"),
        ("webhook-id", &*delivered[0].idempotency_key),
        ("hookplane-event-id", &*delivered[0].event_id),
        ("hookplane-event-type", "order.paid"),
        ("hookplane-webhook", "orgs/acme/groups/shop/webhooks/orders"),
        ("hookplane-attempt", "1"),
        ("authorization", "Bearer planted-4711"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    assert_eq!(delivered[0].destination, "erp");
    let history = shop.rig.history(&delivered[0].id).await?;
    assert_eq!(history.len(), 1);
    assert_eq!(
        (history[0].status, history[0].outcome()),
        (202, v1::AttemptOutcome::Delivered)
    );
    assert_eq!(history[0].excerpt, "taken with ***");
    Ok(())
}

// Two orgs may send to one host, each with credentials of its own: what one of them provokes there must not meet the other's requests.
#[tokio::test]
async fn destinations_of_one_host_share_no_connection() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let receiver = willing().await?;
    for webhook in ["one", "two"] {
        let destination = own("", http(&receiver.url));
        shop.rig.pushed(webhook, vec![destination], |_| {}).await?;
    }
    for n in 0..4 {
        shop.event(&format!("d-{n}"), "{}").await?;
        let done = 2 * (n + 1);
        crate::fake_control_plane::until(|| receiver.count() == done).await?;
    }
    let of = |webhook: &str| -> std::collections::BTreeSet<usize> {
        let all = receiver.received().into_iter();
        all.filter(|one| one.header("hookplane-webhook").ends_with(webhook))
            .map(|one| one.connection)
            .collect()
    };
    assert!(of("one").is_disjoint(&of("two")));
    Ok(())
}

#[tokio::test]
async fn what_came_compressed_is_posted_with_its_encoding() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let receiver = willing().await?;
    shop.rig
        .pushed("orders", vec![own("", http(&receiver.url))], |_| {})
        .await?;
    let body = b"\x1f\x8b\x08\x00 as it came";
    let mut compressed = crate::streams::report::callback(&shop.group, "d-1", body);
    let encoding = ("content-encoding".to_owned(), "gzip".to_owned());
    compressed.headers.extend([encoding]);
    compressed.events[0].set_format(v1::PayloadFormat::Opaque);
    let answer = shop.reporting.report(compressed).await?;
    assert_eq!(answer.kind(), v1::AnswerKind::Kept, "{}", answer.reason);
    shop.event("d-2", "{}").await?;
    shop.rig
        .all_are("shop/orders", 2, DeliveryStatus::Delivered)
        .await?;
    for one in receiver.received() {
        let encoding = if one.body == body { "gzip" } else { "" };
        assert_eq!(one.header("content-encoding"), encoding, "{}", one.text());
    }
    Ok(())
}

// The preview is made by what sends, and shows no credential.
#[tokio::test]
async fn what_a_preview_shows_is_what_is_then_sent_byte_for_byte() -> Result<(), Failure> {
    for mapped in [true, false] {
        let mut shop = Shop::open().await?;
        let receiver = willing().await?;
        let url = format!("{}/in?a=1", receiver.url);
        let mut erp = own(
            "erp",
            v1::HttpTarget {
                url: url.clone(),
                signing_secret: Some(secret(&format!("whsec_{}", STANDARD.encode(KEY)))),
                headers: [("X-Key".to_owned(), secret("planted-4711"))].into(),
            },
        );
        erp.paused = true;
        let set = |spec: &mut v1::WebhookSpec| {
            spec.mapping = mapped.then(mapping);
        };
        let saved = shop.rig.pushed("orders", vec![erp], set).await?;
        let body = std::str::from_utf8(ORDER)?;
        shop.event("d-1", body).await?;
        let waiting = shop.rig.all_are("shop/orders", 1, DeliveryStatus::Pending);
        let event_id = waiting.await?[0].event_id.clone();
        let request = v1::PreviewRequest {
            webhook: Some(v1::Webhook {
                metadata: saved.metadata.clone(),
                ..Default::default()
            }),
            event_id,
            ..Default::default()
        };
        let mut previews = PreviewServiceClient::new(shop.rig.api());
        let mut shown = previews.preview(request).await?.into_inner().requests;
        assert_eq!(shown.len(), 1);
        let shown = shown.remove(0);
        assert!(receiver.received().is_empty());
        let resume = |spec: &mut v1::WebhookSpec| spec.destinations[0].paused = false;
        shop.rig.update_webhook("shop", "orders", resume).await?;
        let delivered = shop
            .rig
            .all_are("shop/orders", 1, DeliveryStatus::Delivered);
        delivered.await?;
        let sent = &receiver.received()[0];
        assert_eq!((shown.method.as_str(), &shown.url), ("POST", &url));
        assert_eq!(shown.body, sent.text());
        // The clock of the test stands, and so the time is the same, too.
        for (name, value) in &shown.headers {
            match name.as_str() {
                "webhook-signature" => assert_eq!(value, "v1,***"),
                "x-key" => assert_eq!(value, "***"),
                name => assert_eq!(value, sent.header(name), "{name}"),
            }
        }
        assert!(is_signed(sent), "{sent:?}");
        assert_eq!(sent.header("x-key"), "planted-4711");
        let of_connection = ["host", "content-length"];
        let not_shown = sent.headers.keys().filter(|name| {
            !shown.headers.contains_key(*name) && !of_connection.contains(&name.as_str())
        });
        assert_eq!(not_shown.count(), 0, "{sent:?}");
        let all = format!("{shown:?}");
        assert!(!all.contains("planted") && !all.contains(&STANDARD.encode(KEY)));
    }
    Ok(())
}

#[tokio::test]
async fn a_mapped_event_is_posted_as_records() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let receiver = willing().await?;
    let from = |path: &str| v1::FieldMapping {
        from: path.to_owned(),
        ..Default::default()
    };
    let mapping = v1::Mapping {
        active: true,
        base: Some(v1::RecordMapping {
            object: "Order__c".to_owned(),
            key: "Id__c".to_owned(),
            fields: [
                ("Id__c".to_owned(), from("payload.id")),
                (
                    "Total__c".to_owned(),
                    v1::FieldMapping {
                        on_missing: v1::OnMissing::Fail.into(),
                        ..from("payload.total")
                    },
                ),
            ]
            .into(),
            ..Default::default()
        }),
    };
    let made = shop
        .rig
        .pushed("orders", vec![own("", http(&receiver.url))], |spec| {
            spec.mapping = Some(mapping);
        });
    made.await?;
    shop.event("d-1", r#"{"id": "o-1", "total": 12.50}"#)
        .await?;
    let delivered = shop
        .rig
        .all_are("shop/orders", 1, DeliveryStatus::Delivered)
        .await?;
    assert_eq!(
        (&*delivered[0].destination, delivered[0].mapping_version),
        ("http", 1)
    );
    let text = receiver.received()[0].text();
    let json: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!(json["type"], "order.paid");
    assert_eq!(json["data"]["records"][0]["object"], "Order__c");
    assert!(text.contains("12.50"), "the digits stay: {text}");
    // What can't be mapped isn't sent; it is held, with field and reason, and that is an attempt to look at.
    shop.event("d-2", r#"{"id": "o-2"}"#).await?;
    let held = crate::fake_control_plane::eventually(async || {
        let all = shop.rig.deliveries("shop/orders").await?;
        Ok(all
            .into_iter()
            .find(|one| one.status() == DeliveryStatus::Held))
    })
    .await?;
    assert!(held.reason.contains("Total__c"), "{}", held.reason);
    let history = shop.rig.history(&held.id).await?;
    assert_eq!(history[0].outcome(), v1::AttemptOutcome::Held);
    assert_eq!(receiver.count(), 1);
    Ok(())
}
