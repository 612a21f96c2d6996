//! Why a delivery hasn't been delivered yet.

use hookplane_control_plane::dispatch::SUBSCRIBE;
use hookplane_proto::v1;
use tonic::Code;

use crate::commands::items;
use crate::connect::Api;
use crate::failure::Failure;

/// What one that is pending waits for, as far as it can be told; empty for all others.
pub(super) async fn reasons(api: &Api, delivery: &v1::Delivery) -> Result<Vec<String>, Failure> {
    if delivery.status() != v1::DeliveryStatus::Pending {
        return Ok(Vec::new());
    }
    let mut reasons = Vec::new();
    if delivery.destination == SUBSCRIBE {
        reasons.push("until a subscriber takes it".to_owned());
    } else if let Some(state) = state(api, delivery).await? {
        reasons.push(state);
    }
    if !delivery.order_key.is_empty() {
        reasons.push(format!(
            "behind earlier ones of `{}` that are not settled, if there are any",
            delivery.order_key
        ));
    }
    // Of one that was never tried it is when it came.
    if delivery.attempts > 0
        && let Some(next) = items::time(&delivery.next_attempt_time)
    {
        reasons.push(format!("until its next attempt, not before {next}"));
    }
    Ok(reasons)
}

/// Its destination, where that gets nothing through.
async fn state(api: &Api, delivery: &v1::Delivery) -> Result<Option<String>, Failure> {
    let (org, group, webhook) = (&delivery.org, &delivery.group, &delivery.webhook);
    let name = format!("orgs/{org}/groups/{group}/webhooks/{webhook}");
    let request = v1::GetWebhookRequest { name };
    let gone = || Ok(Some("for nothing: its webhook was deleted".to_owned()));
    let webhook = match api.webhooks().get_webhook(request).await {
        Ok(webhook) => webhook.into_inner(),
        Err(status) if status.code() == Code::NotFound => return gone(),
        Err(status) => return Err(status.into()),
    };
    // Another may have its name.
    if webhook.metadata.as_ref().map(|of| &of.uid) != Some(&delivery.webhook_uid) {
        return gone();
    }
    let all = webhook.status.unwrap_or_default().destinations;
    let its = all.into_iter().find(|one| one.name == delivery.destination);
    let status = its.and_then(|one| one.status).unwrap_or_default();
    Ok(match status.state() {
        v1::DestinationState::Unspecified | v1::DestinationState::Active => None,
        v1::DestinationState::Paused => Some(
            "for its destination, which is paused: `hookplane resume` lets it go on".to_owned(),
        ),
        v1::DestinationState::Failing | v1::DestinationState::Waiting => Some(format!(
            "for its destination, which is {}",
            items::state(&status)
        )),
    })
}
