//! Why a delivery that is pending isn't tried now: what its webhook says of the destination, and whether an earlier one goes first.

use hookplane_proto::v1;
use v1::DestinationState;

use super::webhooks::name_of;
use crate::moment::Moment;
use crate::page::Visitor;
use crate::problem::Problem;
use crate::weight;

/// What is shown of a destination's own reason.
const REASON: usize = 300;
/// Webhooks that a list asks for: each is a call.
const ASKED: usize = 10;
/// Earlier deliveries that are looked through for one of the same order key.
const EARLIER: u32 = 100;

/// What keeps a delivery waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) why: String,
    pub(super) since: Option<Moment>,
    pub(super) retry: Option<Moment>,
}

impl Wait {
    /// None: its destination takes deliveries, as far as this replica knows.
    pub(super) fn of(webhook: &v1::Webhook, delivery: &v1::Delivery) -> Option<Self> {
        let name = &delivery.destination;
        let statuses = webhook
            .status
            .iter()
            .flat_map(|status| &status.destinations);
        let mut named = statuses.filter(|one| one.name == *name);
        let Some(status) = named.next().and_then(|one| one.status.as_ref()) else {
            let untaken = delivery.attempts == 0 && for_subscribers(webhook, name);
            return untaken.then(|| Self {
                why: "No subscriber has taken it yet".to_owned(),
                since: None,
                retry: None,
            });
        };
        let state = match status.state() {
            DestinationState::Paused => "is paused",
            DestinationState::Failing => "is failing",
            DestinationState::Waiting => "takes nothing now",
            DestinationState::Active | DestinationState::Unspecified => return None,
        };
        // It goes on within a sentence.
        let reason = weight::cut(status.reason.trim_end_matches('.'), REASON);
        Some(Self {
            why: match reason.is_empty() {
                true => format!("Its destination {name} {state}"),
                false => format!("Its destination {name} {state}: {reason}"),
            },
            since: Moment::of(status.since.as_ref()),
            retry: Moment::of(status.retry_time.as_ref()),
        })
    }
}

/// Those who pull: they have no status.
fn for_subscribers(webhook: &v1::Webhook, name: &str) -> bool {
    let destinations = webhook.spec.iter().flat_map(|spec| &spec.destinations);
    let mut destinations = destinations.peekable();
    if destinations.peek().is_none() {
        return true;
    }
    destinations.any(|one| one.subscribe.is_some() && name_of(one) == name)
}

/// The webhook that a delivery is of.
pub(super) enum Of {
    There(Box<v1::Webhook>),
    /// It was deleted; another may have its name.
    Gone,
    /// Whoever asks may not see it.
    Unseen,
}

pub(super) async fn webhook(visitor: &Visitor, delivery: &v1::Delivery) -> Result<Of, Problem> {
    let request = v1::GetWebhookRequest {
        name: name(delivery),
    };
    match visitor.api.webhooks().get_webhook(request).await {
        Ok(webhook) => {
            let webhook = webhook.into_inner();
            let uid = webhook.metadata.as_ref().map(|of| of.uid.as_str());
            Ok(match uid == Some(&delivery.webhook_uid) {
                true => Of::There(Box::new(webhook)),
                false => Of::Gone,
            })
        }
        Err(status) => match status.code() {
            tonic::Code::NotFound => Ok(Of::Gone),
            tonic::Code::PermissionDenied => Ok(Of::Unseen),
            _ => Err(status.into()),
        },
    }
}

/// As the API names it.
fn name(delivery: &v1::Delivery) -> String {
    format!(
        "orgs/{}/groups/{}/webhooks/{}",
        delivery.org, delivery.group, delivery.webhook
    )
}

/// Of each delivery of a list, why it waits. Only the first webhooks are asked for: what waits is of few.
pub(super) async fn of_all(
    visitor: &Visitor,
    deliveries: &[v1::Delivery],
) -> Result<Vec<Option<Wait>>, Problem> {
    let mut asked: Vec<(String, Of)> = Vec::new();
    let mut waits = Vec::new();
    for delivery in deliveries {
        if delivery.status() != v1::DeliveryStatus::Pending {
            waits.push(None);
            continue;
        }
        let uid = &delivery.webhook_uid;
        if asked.len() < ASKED && !asked.iter().any(|(asked, _)| asked == uid) {
            asked.push((uid.clone(), webhook(visitor, delivery).await?));
        }
        let found = asked.iter().find(|(asked, _)| asked == uid);
        waits.push(match found {
            Some((_, Of::There(webhook))) => Wait::of(webhook, delivery),
            _ => None,
        });
    }
    Ok(waits)
}

/// One of the same order key whose event came before, and that isn't settled: its id. Only as far as one page of those that wait.
pub(super) async fn behind(
    visitor: &Visitor,
    delivery: &v1::Delivery,
    arrived: Option<prost_types::Timestamp>,
) -> Result<Option<String>, Problem> {
    if delivery.order_key.is_empty() || delivery.status() != v1::DeliveryStatus::Pending {
        return Ok(None);
    }
    for status in [v1::DeliveryStatus::Pending, v1::DeliveryStatus::Leased] {
        let request = v1::ListDeliveriesRequest {
            parent: name(delivery),
            page_size: EARLIER,
            status: status.into(),
            until: arrived,
            destination: delivery.destination.clone(),
            ..Default::default()
        };
        let answer = visitor.api.events().list_deliveries(request).await?;
        let earlier = answer.into_inner().deliveries.into_iter();
        let mut same = earlier
            .filter(|one| one.order_key == delivery.order_key && one.id != delivery.id)
            .filter(|one| one.webhook_uid == delivery.webhook_uid);
        if let Some(one) = same.next() {
            return Ok(Some(one.id));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: DestinationState, reason: &str) -> v1::DestinationStatus {
        v1::DestinationStatus {
            state: state.into(),
            reason: reason.to_owned(),
            retry_time: Some(prost_types::Timestamp::default()),
            ..Default::default()
        }
    }

    fn webhook(
        destinations: Vec<(v1::WebhookDestination, Option<v1::DestinationStatus>)>,
    ) -> v1::Webhook {
        let (specs, statuses): (Vec<_>, Vec<_>) = destinations.into_iter().unzip();
        let statuses = specs.iter().zip(statuses).filter_map(|(spec, status)| {
            status.map(|status| v1::WebhookDestinationStatus {
                name: name_of(spec).to_owned(),
                status: Some(status),
            })
        });
        v1::Webhook {
            status: Some(v1::WebhookStatus {
                destinations: statuses.collect(),
                ..Default::default()
            }),
            spec: Some(v1::WebhookSpec {
                destinations: specs,
                ..Default::default()
            }),
            metadata: None,
        }
    }

    fn delivery(destination: &str, attempts: u32) -> v1::Delivery {
        v1::Delivery {
            destination: destination.to_owned(),
            attempts,
            ..Default::default()
        }
    }

    #[test]
    fn a_delivery_waits_for_what_its_own_destination_is_in() {
        let named = |name: &str| v1::WebhookDestination {
            r#ref: name.to_owned(),
            ..Default::default()
        };
        let webhook = webhook(vec![
            (named("crm"), Some(status(DestinationState::Paused, ""))),
            (
                named("erp"),
                Some(status(DestinationState::Failing, "refused")),
            ),
            (named("well"), Some(status(DestinationState::Active, ""))),
        ]);
        let why = |name: &str| Wait::of(&webhook, &delivery(name, 0)).map(|wait| wait.why);
        assert_eq!(why("crm").unwrap(), "Its destination crm is paused");
        assert_eq!(
            why("erp").unwrap(),
            "Its destination erp is failing: refused"
        );
        assert_eq!(why("well"), None);
        let erp = Wait::of(&webhook, &delivery("erp", 3)).unwrap();
        assert!(erp.retry.is_some());
    }

    #[test]
    fn what_subscribers_have_not_taken_says_so_and_what_they_had_does_not() {
        let subscribers = v1::WebhookDestination {
            subscribe: Some(v1::SubscribeDestination {}),
            ..Default::default()
        };
        for webhook in [webhook(vec![(subscribers, None)]), webhook(Vec::new())] {
            let why = |attempts| Wait::of(&webhook, &delivery("subscribe", attempts));
            assert_eq!(why(0).unwrap().why, "No subscriber has taken it yet");
            assert_eq!(why(1), None);
        }
    }

    #[tokio::test]
    async fn a_page_says_what_a_delivery_waits_for_and_no_time_that_is_past() {
        let rig = crate::rig::Rig::new();
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let waits = |id: &str| v1::Delivery {
            id: id.to_owned(),
            org: "acme".to_owned(),
            webhook_uid: "uid".to_owned(),
            status: v1::DeliveryStatus::Pending.into(),
            order_key: "customer-7".to_owned(),
            next_attempt_time: at(rig.now() - 1),
            ..delivery("crm", 0)
        };
        let paused = v1::WebhookDestination {
            r#ref: "crm".to_owned(),
            ..Default::default()
        };
        let of = webhook(vec![(paused, Some(status(DestinationState::Paused, "")))]);
        let of = v1::Webhook {
            metadata: Some(v1::Metadata {
                uid: "uid".to_owned(),
                ..Default::default()
            }),
            ..of
        };
        rig.says("GetWebhook", &of);
        rig.says("GetEvent", &v1::Event::default());
        rig.says("GetDelivery", &waits("this"));
        let earlier = v1::ListDeliveriesResponse {
            deliveries: vec![waits("this"), waits("earlier")],
            ..Default::default()
        };
        rig.says("ListDeliveries", &earlier);
        let cookie = rig.signed_in("of-an-admin").await;
        let page = rig.get("/orgs/acme/deliveries/this", &cookie).await.text;
        assert!(page.contains("Its destination crm is paused"), "{page}");
        assert!(page.contains("/orgs/acme/deliveries/earlier"), "{page}");
        assert!(!page.contains("Next attempt"), "{page}");
        let later = v1::Delivery {
            next_attempt_time: at(rig.now() + 60),
            ..waits("this")
        };
        rig.says("GetDelivery", &later);
        let page = rig.get("/orgs/acme/deliveries/this", &cookie).await.text;
        assert!(page.contains("Next attempt"), "{page}");
        // Deleted: nothing to look at.
        rig.refuses("GetWebhook", tonic::Code::NotFound);
        let page = rig.get("/orgs/acme/deliveries/this", &cookie).await.text;
        assert!(page.contains("Its webhook was deleted"), "{page}");
        assert!(!page.contains("/webhooks/"), "{page}");
    }
}
