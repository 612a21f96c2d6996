//! Records in place of payloads: made when a delivery is handed over, by the version of the mapping that it is for.

use hookplane_control_plane::manifest;
use hookplane_proto::v1;
use hookplane_tests::signers;
use prost::Message;
use v1::DeliveryStatus;
use v1::config_resource::Body;
use v1::manifest::Resource;
use v1::webhook_service_client::WebhookServiceClient;

use super::config::{Scripted, hello};
use super::plain::SECRET;
use super::report::{Reporting, callback};
use super::rig::{Rig, callback_url, post, webhook_path};
use super::subscribe::Subscriber;
use crate::fake_control_plane::{Failure, eventually};

/// As in the contract.
const ORDER_PAID: &str = r#"apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: acme, group: shop-prod, name: order-paid}
spec:
  label: Order paid
  active: true
  events: [orders/paid]
  filter: payload.test == false                 # optional, CEL
  mapping:                                      # optional
    active: true
    base:
      object: Order__c
      operation: upsert                         # insert | update | upsert | delete
      key: Shop_Id__c
      fields:
        Shop_Id__c: {from: payload.id, type: string}
        Total__c: {from: payload.total_price, type: decimal, onMissing: fail}     # omit | null | default | fail
        Note__c: {from: payload.note, default: none}
        Late__c: {cel: "payload.tags.exists(t, t == 'late')", type: boolean}
      parents:
        - {object: Account, field: Account__r, key: Email__c, fields: {Email__c: {from: payload.email}}}
      children:
        - object: OrderLine__c
          forEach: payload.line_items
          parentField: Order__r
          key: Line_Id__c
          fields: {Line_Id__c: {from: item.id, type: string}, Sku__c: {from: item.sku}}
  destinations:
    - subscribe: {}                             # or http: {...}, salesforce: {...}
"#;

fn webhook(text: &str) -> v1::Webhook {
    match manifest::parse(text).unwrap().remove(0).manifest.resource {
        Some(Resource::Webhook(webhook)) => webhook,
        other => panic!("no webhook: {other:?}"),
    }
}

async fn create(rig: &Rig, webhook: v1::Webhook) -> Result<v1::Webhook, Failure> {
    let metadata = webhook.metadata.clone().unwrap_or_default();
    let request = v1::CreateWebhookRequest {
        parent: format!("orgs/{}/groups/{}", metadata.org, metadata.group),
        webhook: Some(webhook),
        validate_only: false,
    };
    let mut client = WebhookServiceClient::new(rig.api());
    Ok(client.create_webhook(request).await?.into_inner())
}

/// Of one field, as a manifest writes it.
fn mapping(field: serde_json::Value) -> Option<v1::Mapping> {
    let text =
        serde_json::json!({"active": true, "base": {"object": "Order", "fields": {"N": field}}});
    Some(serde_json::from_value(text).unwrap())
}

/// With the webhook `code/all`, which maps `n`.
async fn mapping_n() -> Result<(Rig, v1::WebhookGroup), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let n = serde_json::json!({"from": "payload.n", "onMissing": "fail"});
    let updated = rig.update_webhook("code", "all", |spec| spec.mapping = mapping(n));
    assert_eq!(updated.await?.status.unwrap().mapping_version, 1);
    Ok((rig, group))
}

fn version(lease: &v1::SubscribeResponse) -> u32 {
    lease.delivery.as_ref().map_or(0, |d| d.mapping_version)
}

#[tokio::test]
async fn a_signed_callback_comes_to_a_subscriber_as_records() -> Result<(), Failure> {
    let mut rig = Rig::start().await?;
    let shop = |spec: &mut v1::WebhookGroupSpec| {
        spec.connector = "shopify".to_owned();
        spec.external_id = "acme.myshopify.com".to_owned();
    };
    let group = rig.group("shop-prod", shop).await?;
    create(&rig, webhook(ORDER_PAID)).await?;
    let _listening = rig.listen().await?;
    let body = br#"{"id": 820982911946154508, "email": "ada@example.com", "total_price": "1234567890123456.10", "test": false,
        "note": null, "tags": ["vip", "late"], "line_items": [{"id": 9007199254740993, "sku": "GATE-1"}, {"id": 2, "sku": null}]}"#;
    let headers = signers::shopify(SECRET, "orders/paid", "w-1", "acme.myshopify.com", body);
    let answer = post(&callback_url(&group), headers, body[..].into()).await?;
    assert_eq!(answer.status, 200);

    let mut subscriber = Subscriber::start(&rig, "shop-prod/order-paid", 0, 0).await?;
    let lease = subscriber.next().await?;
    let expected = concat!(
        r#"[{"object":"Order__c","operation":"upsert","key":"Shop_Id__c","#,
        r#""fields":{"Late__c":true,"Note__c":"none","Shop_Id__c":"820982911946154508","Total__c":1234567890123456.10},"#,
        r#""parents":[{"field":"Account__r","object":"Account","operation":"upsert","key":"Email__c","fields":{"Email__c":"ada@example.com"}}],"#,
        r#""children":[{"parentField":"Order__r","object":"OrderLine__c","operation":"upsert","key":"Line_Id__c","#,
        r#""fields":{"Line_Id__c":"9007199254740993","Sku__c":"GATE-1"}},"#,
        r#"{"parentField":"Order__r","object":"OrderLine__c","operation":"upsert","key":"Line_Id__c","fields":{"Line_Id__c":"2"}}]}]"#,
    );
    assert_eq!(lease.records_json, expected);
    assert_eq!(version(&lease), 1);
    assert!(lease.payload_json.contains("820982911946154508"));
    subscriber.ack(&lease).await?;

    let request = v1::TailRequest {
        parent: webhook_path("shop-prod/order-paid"),
        from_start: true,
        no_follow: true,
        ..Default::default()
    };
    let mut lines = rig.events().tail(request).await?.into_inner();
    let line = lines.message().await?.ok_or("a line")?;
    assert_eq!(line.records_json, expected);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_mapped_is_held_with_its_field_and_goes_on_after_the_fix()
-> Result<(), Failure> {
    let (rig, group) = mapping_n().await?;
    let mut reporting = Reporting::connect(&rig, "").await?;
    let bodies = [("d-1", &br#"{"m":1.50}"#[..]), ("d-2", br#"{"n":2}"#)];
    let callbacks = bodies.map(|(delivery, body)| callback(&group, delivery, body));
    reporting.batch(callbacks.into()).await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 0, 0).await?;
    // The first is passed over, and holds up nobody.
    let lease = subscriber.next().await?;
    assert_eq!(
        lease.records_json,
        r#"[{"object":"Order","operation":"insert","fields":{"N":2}}]"#
    );
    subscriber.ack(&lease).await?;
    let held = eventually(async || {
        let all = rig.deliveries("code/all").await?;
        Ok(all.into_iter().find(|d| d.status() == DeliveryStatus::Held))
    })
    .await?;
    assert_eq!(
        held.reason,
        "mapping v1: base.fields.N: `payload.n` is missing"
    );
    let name = format!("deliveries/{}", held.id);
    let mut events = rig.events();
    let held = events.get_delivery(v1::GetDeliveryRequest { name }).await?;
    let history = held.into_inner().history;
    assert_eq!(history.len(), 1, "{history:?}");
    assert_eq!(history[0].outcome(), v1::AttemptOutcome::Held);
    assert_eq!(history[0].mapping_version, 1);

    let fixed = serde_json::json!({"cel": "has(payload.n) ? payload.n : payload.m"});
    rig.update_webhook("code", "all", |spec| spec.mapping = mapping(fixed))
        .await?;
    let delivery_ids = rig.deliveries("code/all").await?;
    let delivery_ids = delivery_ids
        .into_iter()
        .filter(|d| d.status() == DeliveryStatus::Held);
    let request = v1::ReplayDeliveriesRequest {
        delivery_ids: delivery_ids.map(|d| d.id).collect(),
        mapping: v1::ReplayMapping::Now.into(),
    };
    rig.events().replay_deliveries(request).await?;
    let lease = subscriber.next().await?;
    assert_eq!(
        lease.records_json,
        r#"[{"object":"Order","operation":"insert","fields":{"N":1.50}}]"#
    );
    assert_eq!(version(&lease), 2);
    Ok(())
}

#[tokio::test]
async fn a_delivery_is_mapped_by_the_version_it_was_made_for() -> Result<(), Failure> {
    let (rig, group) = mapping_n().await?;
    let mut reporting = Reporting::connect(&rig, "").await?;
    reporting
        .batch(vec![callback(&group, "d-1", br#"{"n":1}"#)])
        .await?;
    let text = serde_json::json!({"from": "payload.n", "type": "string"});
    rig.update_webhook("code", "all", |spec| spec.mapping = mapping(text))
        .await?;
    reporting
        .batch(vec![callback(&group, "d-2", br#"{"n":2}"#)])
        .await?;
    rig.update_webhook("code", "all", |spec| {
        spec.mapping.get_or_insert_default().active = false
    })
    .await?;
    reporting
        .batch(vec![callback(&group, "d-3", br#"{"n":3}"#)])
        .await?;
    let mut subscriber = Subscriber::start(&rig, "code/all", 0, 0).await?;
    let expected = [
        (
            1,
            r#"[{"object":"Order","operation":"insert","fields":{"N":1}}]"#,
        ),
        (
            2,
            r#"[{"object":"Order","operation":"insert","fields":{"N":"2"}}]"#,
        ),
        (0, ""),
    ];
    for (number, records) in expected {
        let lease = subscriber.next().await?;
        assert_eq!((version(&lease), &*lease.records_json), (number, records));
    }
    Ok(())
}

#[tokio::test]
async fn a_listener_is_offered_neither_mapping_nor_destination() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "payload.n == 1").await?;
    let set = |spec: &mut v1::WebhookSpec| {
        spec.mapping = mapping(serde_json::json!({"from": "payload.told_to_nobody"}));
        spec.order_by = "payload.told_to_nobody".to_owned();
    };
    rig.update_webhook("code", "all", set).await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    let (resources, _) = listener.settle().await?;
    let same = serde_json::json!({"from": "payload.told_to_nobody", "type": "string"});
    rig.update_webhook("code", "all", |spec| spec.mapping = mapping(same))
        .await?;
    let delta = listener.delta().await?;
    let mut seen = 0;
    for resource in resources.iter().chain(&delta.upserts) {
        let bytes = resource.encode_to_vec();
        let word = b"told_to_nobody";
        assert!(
            !bytes.windows(word.len()).any(|part| part == word),
            "{resource:?}"
        );
        if let Some(Body::Webhook(webhook)) = &resource.body {
            let spec = webhook.spec.clone().unwrap_or_default();
            assert!(spec.mapping.is_none() && spec.destinations.is_empty());
            assert!(webhook.status.is_none());
            seen += usize::from(spec.active && spec.filter == "payload.n == 1");
        }
    }
    assert_eq!(seen, 2, "a changed mapping is a new revision all the same");
    Ok(())
}

super::backends::on_cluster!(
    a_signed_callback_comes_to_a_subscriber_as_records,
    what_cannot_be_mapped_is_held_with_its_field_and_goes_on_after_the_fix,
    a_delivery_is_mapped_by_the_version_it_was_made_for,
);
