//! Deliveries of an event that is kept, for a webhook that it wasn't kept for: as if it had been.

use hookplane_proto::v1;

use super::append::for_destinations;
use super::{Orders, identity};
use crate::aside::Here;
use crate::log::NewDelivery;

/// One for each of the webhook's destinations, with the keys that they would have had.
pub(crate) fn deliveries(
    here: &Here,
    mac_key: &[u8; 32],
    orders: &Orders,
    webhook: &v1::Webhook,
    event: &v1::Event,
    hold: Option<String>,
) -> Vec<NewDelivery> {
    let metadata = webhook.metadata.clone().unwrap_or_default();
    let key = identity::Key::new(mac_key);
    let order_by = webhook.spec.as_ref().map_or("", |spec| &spec.order_by);
    let order_key = match order_by {
        "" => String::new(),
        // Without a key it waits for none, as at arrival.
        source => orders
            .get(here, source)
            .and_then(|order| order.key(here, event))
            .unwrap_or_default(),
    };
    let one = NewDelivery {
        idempotency_key: identity::later_idempotency_key(&key, event, &metadata.uid),
        webhook_uid: metadata.uid,
        webhook: metadata.name,
        mapping_version: webhook.status.as_ref().map_or(0, |s| s.mapping_version),
        order_key,
        hold,
        ..Default::default()
    };
    let mut deliveries = Vec::new();
    for_destinations(webhook, one, &mut deliveries);
    deliveries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_for_each_destination_with_order_key_and_version() {
        let webhook = v1::Webhook {
            metadata: Some(v1::Metadata {
                uid: "w".to_owned(),
                name: "paid".to_owned(),
                ..Default::default()
            }),
            spec: Some(v1::WebhookSpec {
                order_by: "payload.id".to_owned(),
                destinations: vec![
                    v1::WebhookDestination {
                        subscribe: Some(v1::SubscribeDestination {}),
                        ..Default::default()
                    },
                    v1::WebhookDestination {
                        r#ref: "crm".to_owned(),
                        ..Default::default()
                    },
                ],
                ..Default::default()
            }),
            status: Some(v1::WebhookStatus {
                mapping_version: 3,
                ..Default::default()
            }),
        };
        let event = v1::Event {
            id: "e".to_owned(),
            format: v1::PayloadFormat::Json.into(),
            body: (&br#"{"id": "o-1"}"#[..]).into(),
            ..Default::default()
        };
        let (here, orders) = (Here::of_test(), Orders::default());
        let made = deliveries(&here, &[7; 32], &orders, &webhook, &event, None);
        let told: Vec<_> = made
            .iter()
            .map(|one| {
                (
                    one.destination.as_str(),
                    one.order_key.as_str(),
                    one.mapping_version,
                )
            })
            .collect();
        assert_eq!(told, [("", "o-1", 3), ("crm", "o-1", 3)]);
        assert_eq!(made[0].idempotency_key, made[1].idempotency_key);
        let keyless = v1::Event {
            body: (&b"{}"[..]).into(),
            ..event
        };
        let made = deliveries(
            &here,
            &[7; 32],
            &orders,
            &webhook,
            &keyless,
            Some("held".to_owned()),
        );
        assert_eq!(made[1].order_key, "");
        assert_eq!(made[1].hold.as_deref(), Some("held"));
    }
}
