//! Order keys of a callback's deliveries, while there is time for them: an event without order is better than one that its provider has to send again.

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;

use super::build::{has_order, leave_without_order, put_in_order};
use crate::aside::Aside;
use crate::log::NewCallback;
use crate::report::Orders;

/// Of a callback's time, what may be waited for a turn: the rest is the log's.
const FOR_A_TURN: u32 = 5;
/// And until its keys have to be there, a turn's wait counted.
const FOR_ALL: u32 = 2;

/// With their keys, or with why there are none. Who has no order waits for nothing.
pub(super) async fn ordered(
    aside: &'static Aside,
    orders: &Arc<Orders>,
    webhooks: &Arc<Vec<Arc<v1::Webhook>>>,
    budget: Duration,
    mut new: NewCallback,
) -> NewCallback {
    if !has_order(webhooks, &new) {
        return new;
    }
    let (orders, of_task, mut copy) = (Arc::clone(orders), Arc::clone(webhooks), new.clone());
    let org = new.org.clone();
    let keys = aside.run_within(&org, budget / FOR_A_TURN, move |here| {
        put_in_order(here, &orders, &of_task, &mut copy);
        copy
    });
    let why = match tokio::time::timeout(budget / FOR_ALL, keys).await {
        Ok(Some(Ok(ordered))) => return ordered,
        Ok(Some(Err(error))) => {
            tracing::error!(%error, org, "a callback's events can't be put in order: please report this as a bug");
            "broke off"
        }
        Ok(None) | Err(_) => "wasn't worked out in time",
    };
    leave_without_order(webhooks, &mut new, why);
    new
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::log::{Dedup, NewDelivery, NewEvent};

    /// One that has an order, and one that has none.
    fn webhooks() -> Arc<Vec<Arc<v1::Webhook>>> {
        let of = |uid: &str, order_by: &str| {
            Arc::new(v1::Webhook {
                metadata: Some(v1::Metadata {
                    uid: uid.to_owned(),
                    ..Default::default()
                }),
                spec: Some(v1::WebhookSpec {
                    order_by: order_by.to_owned(),
                    ..Default::default()
                }),
                ..Default::default()
            })
        };
        Arc::new(vec![of("in-order", "payload.id"), of("as-it-comes", "")])
    }

    fn new(webhook_uid: &str) -> NewCallback {
        let event = v1::Event {
            format: v1::PayloadFormat::Json.into(),
            body: r#"{"id": "o-1"}"#.into(),
            verdicts: vec![v1::WebhookVerdict {
                webhook_uid: webhook_uid.to_owned(),
                matched: true,
                ..Default::default()
            }],
            ..Default::default()
        };
        NewCallback {
            org: "acme".to_owned(),
            group_uid: "shop".to_owned(),
            events: vec![NewEvent {
                event,
                dedup: Dedup {
                    delivery_key: None,
                    id_key: None,
                    content_key: None,
                    body_digest: [0; 32],
                },
                deliveries: vec![NewDelivery {
                    webhook_uid: webhook_uid.to_owned(),
                    ..Default::default()
                }],
            }],
            refuse_suspected_replays: false,
            dedup_window: Duration::from_secs(60),
        }
    }

    async fn key_and_reason(
        aside: &'static Aside,
        uid: &str,
        budget: Duration,
    ) -> (String, String) {
        let (orders, webhooks) = (Arc::default(), webhooks());
        let kept = ordered(aside, &orders, &webhooks, budget, new(uid)).await;
        let [one] = &kept.events[..] else {
            panic!("{kept:?}")
        };
        let (key, reason) = (&one.deliveries[0].order_key, &one.event.verdicts[0].reason);
        (key.clone(), reason.clone())
    }

    // Promise 8: what others have under way costs a callback its order at most, never the callback.
    #[tokio::test]
    async fn a_callback_whose_turn_does_not_come_is_kept_without_order() {
        static OWN: Aside = Aside::new();
        let held = OWN.all_turns("greedy").await;
        let short = Duration::from_millis(1);
        let kept = key_and_reason(&OWN, "in-order", short);
        let kept = tokio::time::timeout(Duration::from_secs(60), kept).await;
        let (key, reason) = kept.expect("it waits for so long at most");
        assert_eq!(key, "");
        assert_eq!(
            reason,
            "delivered without order: `payload.id` wasn't worked out in time"
        );
        drop(held);
        let ample = Duration::from_secs(600);
        let told = key_and_reason(&OWN, "in-order", ample).await;
        assert_eq!(told, ("o-1".to_owned(), String::new()));
    }

    #[tokio::test]
    async fn what_has_no_order_waits_for_no_turn_though_its_group_has_one_that_has() {
        static OWN: Aside = Aside::new();
        let _held = OWN.all_turns("greedy").await;
        let ample = Duration::from_secs(600);
        let told = key_and_reason(&OWN, "as-it-comes", ample).now_or_never();
        let told = told.expect("it waits for nobody");
        assert_eq!(told, (String::new(), String::new()));
    }
}
