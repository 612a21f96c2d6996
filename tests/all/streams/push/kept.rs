//! Destinations as they are kept: secrets sealed, never shown, and never used for another place than they were given for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookplane_proto::v1;
use tonic::Code;
use v1::webhook_service_client::WebhookServiceClient;

use super::{Shop, http, named, own, secret, willing};
use crate::fake_control_plane::{Failure, until};

fn with_secrets(url: &str) -> v1::HttpTarget {
    v1::HttpTarget {
        signing_secret: Some(secret(&format!("whsec_{}", STANDARD.encode([3; 32])))),
        headers: [("X-Key".to_owned(), secret("planted-header"))].into(),
        ..http(url)
    }
}

fn of(target: v1::HttpTarget) -> v1::DestinationSpec {
    v1::DestinationSpec {
        http: Some(target),
        ..Default::default()
    }
}

/// Keeps what is stored.
fn without_values(url: &str) -> v1::HttpTarget {
    v1::HttpTarget {
        headers: [("X-Key".to_owned(), v1::Secret::default())].into(),
        ..http(url)
    }
}

#[tokio::test]
async fn secrets_are_sealed_never_shown_and_asked_for_again_when_they_would_go_elsewhere()
-> Result<(), Failure> {
    let shop = Shop::open().await?;
    let here = willing().await?;
    let made = shop
        .rig
        .destination("crm", of(with_secrets(&here.url)))
        .await?;
    let text = format!("{made:?} {:?}", shop.rig.destination_now("crm").await?);
    assert!(
        !text.contains("planted") && !text.contains("whsec_"),
        "{text}"
    );
    let stored = shop
        .rig
        .store
        .get("v1/destinations/acme/crm")
        .await?
        .ok_or("it is kept")?;
    let stored = String::from_utf8_lossy(&stored.value).into_owned();
    assert!(!stored.contains("planted") && !stored.contains("whsec_"));
    // The same again, without the secrets: they stay.
    let set =
        |target: v1::HttpTarget| move |spec: &mut v1::DestinationSpec| spec.http = Some(target);
    let same = shop
        .rig
        .update_destination("crm", "http", set(without_values(&here.url)))
        .await?;
    assert_eq!(
        same.metadata.map(|m| m.revision),
        made.metadata.map(|m| m.revision)
    );
    // Somewhere else: they don't go along.
    let elsewhere = format!("{}/other", here.url);
    let refused = shop
        .rig
        .update_destination("crm", "http", set(without_values(&elsewhere)))
        .await;
    let refused = refused.expect_err("the secrets would go elsewhere");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("again"), "{refused}");
    shop.rig
        .update_destination("crm", "http", set(with_secrets(&elsewhere)))
        .await?;
    // What nobody may be sent to is refused when it is saved.
    for url in [
        "https://169.254.169.254/",
        "http://10.0.0.1/",
        "http://8.8.8.8/",
    ] {
        let refused = shop.rig.destination("bad", of(http(url))).await;
        assert_eq!(
            refused.expect_err(url).code(),
            Code::InvalidArgument,
            "{url}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_clone_has_secrets_of_its_own_that_work() -> Result<(), Failure> {
    let mut shop = Shop::open().await?;
    let receiver = willing().await?;
    let target = with_secrets(&receiver.url);
    let made = shop
        .rig
        .pushed("one", vec![own("", target)], |_| {})
        .await?;
    assert!(!format!("{made:?}").contains("planted"));
    let request = v1::CloneWebhookRequest {
        name: "orgs/acme/groups/shop/webhooks/one".to_owned(),
        new_name: "two".to_owned(),
        active: true,
        ..Default::default()
    };
    WebhookServiceClient::new(shop.rig.api())
        .clone_webhook(request)
        .await?;
    shop.event("d-1", "{}").await?;
    until(|| receiver.count() == 2).await?;
    for one in receiver.received() {
        assert_eq!(one.header("x-key"), "planted-header");
        assert!(one.header("webhook-signature").starts_with("v1,"));
    }
    Ok(())
}

#[tokio::test]
async fn a_destination_stays_while_a_webhook_names_it() -> Result<(), Failure> {
    let shop = Shop::open().await?;
    let refused = shop.rig.pushed("early", vec![named("crm")], |_| {}).await;
    assert_eq!(
        refused.expect_err("there is none").code(),
        Code::InvalidArgument
    );
    shop.rig
        .destination("crm", of(http("http://127.0.0.1:9/")))
        .await?;
    shop.rig
        .pushed("orders", vec![named("crm")], |_| {})
        .await?;
    let delete = || v1::DeleteDestinationRequest {
        name: "orgs/acme/destinations/crm".to_owned(),
        ..Default::default()
    };
    let refused = shop.rig.destinations().delete_destination(delete()).await;
    let refused = refused.expect_err("a webhook names it");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("acme/shop/orders"), "{refused}");
    shop.rig.delete_webhook("shop", "orders").await?;
    shop.rig.destinations().delete_destination(delete()).await?;
    assert!(shop.rig.destination_now("crm").await.is_err());
    Ok(())
}
