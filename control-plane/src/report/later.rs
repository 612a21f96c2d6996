//! Deliveries of an event that is kept, for a webhook that it wasn't kept for: as if it had been.

use hookplane_proto::v1;

use super::identity;
use crate::context::Context;
use crate::log::NewDelivery;

/// One for each of the webhook's destinations, with the keys that they would have had.
pub(crate) fn deliveries(
    context: &Context,
    webhook: &v1::Webhook,
    event: &v1::Event,
    hold: Option<String>,
) -> Vec<NewDelivery> {
    let metadata = webhook.metadata.clone().unwrap_or_default();
    let key = identity::Key::new(&context.mac_key);
    vec![NewDelivery {
        idempotency_key: identity::later_idempotency_key(&key, event, &metadata.uid),
        webhook_uid: metadata.uid,
        webhook: metadata.name,
        hold,
        ..Default::default()
    }]
}
