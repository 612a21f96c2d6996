//! Deliveries that are pushed: over HTTP to a scripted receiver.

mod ended;
mod failures;
mod hour;
mod kept;
mod order;
mod posted;
mod process;
mod rate;
mod removed;
mod replayed;
mod together;
mod trusted;

use hookplane_proto::v1;
use hookplane_tests::destinations::{Receiver, Reply};
use v1::DeliveryStatus;
use v1::destination_service_client::DestinationServiceClient;
use v1::webhook_service_client::WebhookServiceClient;

use super::report::{Reporting, callback};
use super::rig::{Api, Rig, metadata};
use crate::fake_control_plane::{Failure, eventually};

fn secret(value: &str) -> v1::Secret {
    v1::Secret {
        value: value.to_owned(),
        ..Default::default()
    }
}

fn http(url: &str) -> v1::HttpTarget {
    v1::HttpTarget {
        url: url.to_owned(),
        ..Default::default()
    }
}

/// A webhook's own.
fn own(name: &str, target: v1::HttpTarget) -> v1::WebhookDestination {
    v1::WebhookDestination {
        http: Some(target),
        name: name.to_owned(),
        ..Default::default()
    }
}

/// One of the org's.
fn named(name: &str) -> v1::WebhookDestination {
    v1::WebhookDestination {
        r#ref: name.to_owned(),
        ..Default::default()
    }
}

impl Rig {
    fn destinations(&self) -> DestinationServiceClient<Api> {
        DestinationServiceClient::new(self.api())
    }

    /// A destination of the org's.
    async fn destination(
        &self,
        name: &str,
        spec: v1::DestinationSpec,
    ) -> Result<v1::Destination, tonic::Status> {
        let destination = v1::Destination {
            metadata: metadata(name, ""),
            spec: Some(spec),
            status: None,
        };
        let request = v1::CreateDestinationRequest {
            parent: "orgs/acme".to_owned(),
            destination: Some(destination),
            validate_only: false,
        };
        let made = self.destinations().create_destination(request).await?;
        Ok(made.into_inner())
    }

    async fn destination_now(&self, name: &str) -> Result<v1::Destination, Failure> {
        let name = format!("orgs/acme/destinations/{name}");
        let request = v1::GetDestinationRequest { name };
        Ok(self
            .destinations()
            .get_destination(request)
            .await?
            .into_inner())
    }

    /// Changes some of its fields.
    async fn update_destination(
        &self,
        name: &str,
        mask: &str,
        set: impl FnOnce(&mut v1::DestinationSpec),
    ) -> Result<v1::Destination, tonic::Status> {
        let mut spec = v1::DestinationSpec::default();
        set(&mut spec);
        let destination = v1::Destination {
            metadata: metadata(name, ""),
            spec: Some(spec),
            status: None,
        };
        let request = v1::UpdateDestinationRequest {
            destination: Some(destination),
            update_mask: Some(prost_types::FieldMask {
                paths: vec![mask.to_owned()],
            }),
            validate_only: false,
        };
        let saved = self.destinations().update_destination(request).await?;
        Ok(saved.into_inner())
    }

    /// An active webhook of `shop` that takes everything, and is delivered to these.
    async fn pushed(
        &self,
        name: &str,
        destinations: Vec<v1::WebhookDestination>,
        set: impl FnOnce(&mut v1::WebhookSpec),
    ) -> Result<v1::Webhook, tonic::Status> {
        let mut spec = v1::WebhookSpec {
            label: name.to_owned(),
            active: true,
            events: vec!["*".to_owned()],
            destinations,
            ..Default::default()
        };
        set(&mut spec);
        let webhook = v1::Webhook {
            metadata: metadata(name, "shop"),
            spec: Some(spec),
            status: None,
        };
        let request = v1::CreateWebhookRequest {
            parent: "orgs/acme/groups/shop".to_owned(),
            webhook: Some(webhook),
            validate_only: false,
        };
        let made = WebhookServiceClient::new(self.api())
            .create_webhook(request)
            .await?;
        Ok(made.into_inner())
    }

    async fn history(&self, delivery: &str) -> Result<Vec<v1::Attempt>, Failure> {
        let name = format!("deliveries/{delivery}");
        let request = v1::GetDeliveryRequest { name };
        Ok(self
            .events()
            .get_delivery(request)
            .await?
            .into_inner()
            .history)
    }

    /// Waits until so many deliveries of a webhook are of this status, oldest first.
    async fn all_are(
        &self,
        of: &str,
        count: usize,
        status: DeliveryStatus,
    ) -> Result<Vec<v1::Delivery>, Failure> {
        eventually(async || {
            let mut all = self.deliveries(of).await?;
            all.reverse();
            let there = all.len() == count && all.iter().all(|one| one.status() == status);
            Ok(there.then_some(all))
        })
        .await
    }
}

/// A rig with the group `shop`, and something to report its events with.
struct Shop {
    rig: Rig,
    group: v1::WebhookGroup,
    reporting: Reporting,
}

impl Shop {
    async fn open() -> Result<Self, Failure> {
        Self::over(Rig::start().await?).await
    }

    async fn over(rig: Rig) -> Result<Self, Failure> {
        let group = rig.group("shop", |_| {}).await?;
        let reporting = Reporting::connect(&rig, "default").await?;
        Ok(Self {
            rig,
            group,
            reporting,
        })
    }

    /// Has an event kept.
    async fn event(&mut self, id: &str, body: &str) -> Result<(), Failure> {
        let answer = self
            .reporting
            .report(callback(&self.group, id, body.as_bytes()))
            .await?;
        assert_eq!(answer.kind(), v1::AnswerKind::Kept, "{}", answer.reason);
        Ok(())
    }
}

/// Takes everything.
async fn willing() -> Result<Receiver, Failure> {
    Ok(Receiver::start(|_| Reply::Status(200)).await?)
}
