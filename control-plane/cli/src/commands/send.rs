//! `send`: a signed sample, posted as the provider would, and what became of it; or every variant of it, see `all`.

mod all;
mod sign;

use std::future::Future;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::DeliveryStatus;
use hookplane_rules::time::from_wire;
use hookplane_rules::{Clock as _, Timestamp};
use tokio::time::Instant;

use super::items;
use crate::args::Send;
use crate::connect::{Api, tls};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, note, visible};
use crate::post::post;
use crate::servers::clock::SystemClock;

/// How long a delivery is waited for.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(5);
/// How long a refusal is waited for: listeners tell theirs once a second.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(3);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(50);

/// Signs, posts, and looks after it.
pub(crate) async fn run<R>(send: &Send, connect: impl Fn() -> R) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    let group = Name::exact(&send.group, 2, "ORG/GROUP")?;
    let api = connect().await?;
    if send.all_variants {
        return all::run(&api, send, &group).await;
    }
    let event = send.event.as_deref().unwrap_or_default();
    let sample = match &send.secret_file {
        Some(path) => sign::sign_here(&api, &group, event, path).await?,
        None => sign::sign_there(&api, &group, event).await?,
    };
    let sent = SystemClock.now();
    let answer = post(sample, || tls::client(api.ca_file.as_deref(), None)).await?;
    let header = |name: &str| {
        let value = answer.headers().get(name)?;
        value.to_str().ok().map(visible)
    };
    let event = header("hookplane-event-id");
    output::line(&format!(
        "{}  receipt: {}  event: {}",
        answer.status(),
        header("hookplane-receipt").as_deref().unwrap_or("none"),
        event.as_deref().unwrap_or("none"),
    ))?;
    if !answer.status().is_success() {
        explain_refusal(&api, &group, sent).await;
        return Err(
            Failure::new(format!("the listener answered {}", answer.status())).hint(format!(
                "`hookplane get refusals {0}` says why, `hookplane explain {0}` what to do",
                send.group
            )),
        );
    }
    match event {
        Some(event) => show_deliveries(&api, &group, &event).await,
        None => output::line(&format!(
            "not kept: no active webhook of the group wants this event, or it is not registered; `hookplane get refusals {} --not-kept` says why in a moment",
            send.group
        )),
    }
}

/// Why the group refused what was sent then, if it is told in time. An older refusal is another callback's.
async fn explain_refusal(api: &Api, group: &Name, sent: Timestamp) {
    let deadline = Instant::now() + REFUSAL_DEADLINE;
    loop {
        let request = v1::ListRefusalsRequest {
            parent: group.group(),
            page_size: 1,
            not_kept: false,
        };
        let refusals = match api.events().list_refusals(request).await {
            Ok(answer) => answer.into_inner().refusals,
            Err(status) => {
                note(&format!("the reason can't be read: {}", status.message()));
                return;
            }
        };
        let is_its = |refusal: &&v1::Refusal| {
            let time = refusal.time.as_ref().map(from_wire);
            time.is_some_and(|time| time >= sent)
        };
        if let Some(refusal) = refusals.iter().find(is_its) {
            note(&visible(&format!(
                "refused by {}: {}",
                refusal.clause, refusal.reason
            )));
            return;
        }
        if Instant::now() >= deadline {
            return;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn show_deliveries(api: &Api, group: &Name, event: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + DELIVERY_DEADLINE;
    let deliveries = loop {
        let request = v1::ListDeliveriesRequest {
            parent: format!("{}/webhooks/-", group.group()),
            event_id: event.to_owned(),
            page_size: 100,
            ..Default::default()
        };
        let deliveries = api
            .events()
            .list_deliveries(request)
            .await?
            .into_inner()
            .deliveries;
        let open = deliveries.iter().any(|delivery| {
            matches!(
                delivery.status(),
                DeliveryStatus::Pending | DeliveryStatus::Leased
            )
        });
        if !open || Instant::now() >= deadline {
            break deliveries;
        }
        tokio::time::sleep(INTERVAL).await;
    };
    if deliveries.is_empty() {
        return output::line("no webhook matched it");
    }
    for delivery in &deliveries {
        let mut text = format!(
            "matched {}/{}/{}, for {}: {}",
            delivery.org,
            delivery.group,
            delivery.webhook,
            delivery.destination,
            items::delivery_status(delivery)
        );
        if !delivery.reason.is_empty() {
            text.push_str(&format!(" ({})", delivery.reason));
        } else if delivery.status() == DeliveryStatus::Pending {
            text.push_str(
                " (kept until it is taken: `hookplane get deliveries` says what becomes of it)",
            );
        }
        output::line(&visible(&text))?;
    }
    Ok(())
}
