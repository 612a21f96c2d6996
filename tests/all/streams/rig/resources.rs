//! Groups, webhooks, and what became of events, by the API.

use hookplane_control_plane::store::{Transaction, Write};
use hookplane_proto::v1;
use v1::webhook_group_service_client::WebhookGroupServiceClient;
use v1::webhook_service_client::WebhookServiceClient;

use super::{Rig, metadata, webhook_path};
use crate::fake_control_plane::Failure;
use crate::streams::plain::SECRET;

impl Rig {
    /// A group of the connector `plain` that registers everything.
    pub(in crate::streams) async fn group(
        &self,
        name: &str,
        set: impl FnOnce(&mut v1::WebhookGroupSpec),
    ) -> Result<v1::WebhookGroup, Failure> {
        let mut spec = v1::WebhookGroupSpec {
            connector: "plain-hmac".to_owned(),
            signature_secrets: vec![v1::SignatureSecret {
                value: SECRET.to_owned(),
                ..Default::default()
            }],
            registered_events: vec!["*".to_owned()],
            ..Default::default()
        };
        set(&mut spec);
        let group = v1::WebhookGroup {
            metadata: metadata(name, ""),
            spec: Some(spec),
            status: None,
        };
        let created = WebhookGroupServiceClient::new(self.api())
            .create_webhook_group(v1::CreateWebhookGroupRequest {
                parent: "orgs/acme".to_owned(),
                webhook_group: Some(group),
                validate_only: false,
            })
            .await?;
        Ok(created.into_inner())
    }

    pub(in crate::streams) async fn get_group(
        &self,
        name: &str,
    ) -> Result<v1::WebhookGroup, Failure> {
        Ok(WebhookGroupServiceClient::new(self.api())
            .get_webhook_group(v1::GetWebhookGroupRequest {
                name: format!("orgs/acme/groups/{name}"),
            })
            .await?
            .into_inner())
    }

    /// Changes a group's spec.
    pub(in crate::streams) async fn update_group(
        &self,
        name: &str,
        set: impl FnOnce(&mut v1::WebhookGroupSpec),
    ) -> Result<v1::WebhookGroup, Failure> {
        let mut group = self.get_group(name).await?;
        set(group.spec.get_or_insert_default());
        Ok(WebhookGroupServiceClient::new(self.api())
            .update_webhook_group(v1::UpdateWebhookGroupRequest {
                webhook_group: Some(group),
                ..Default::default()
            })
            .await?
            .into_inner())
    }

    /// An active webhook that takes everything its filter takes.
    pub(in crate::streams) async fn webhook(
        &self,
        group: &str,
        name: &str,
        filter: &str,
    ) -> Result<v1::Webhook, Failure> {
        let webhook = v1::Webhook {
            metadata: metadata(name, group),
            spec: Some(v1::WebhookSpec {
                label: name.to_owned(),
                active: true,
                events: vec!["*".to_owned()],
                filter: filter.to_owned(),
                destinations: vec![v1::WebhookDestination {
                    subscribe: Some(v1::SubscribeDestination {}),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            status: None,
        };
        Ok(WebhookServiceClient::new(self.api())
            .create_webhook(v1::CreateWebhookRequest {
                parent: format!("orgs/acme/groups/{group}"),
                webhook: Some(webhook),
                validate_only: false,
            })
            .await?
            .into_inner())
    }

    /// Changes a webhook's spec.
    pub(in crate::streams) async fn update_webhook(
        &self,
        group: &str,
        name: &str,
        set: impl FnOnce(&mut v1::WebhookSpec),
    ) -> Result<v1::Webhook, Failure> {
        let mut client = WebhookServiceClient::new(self.api());
        let name = format!("orgs/acme/groups/{group}/webhooks/{name}");
        let got = client.get_webhook(v1::GetWebhookRequest { name });
        let mut webhook = got.await?.into_inner();
        set(webhook.spec.get_or_insert_default());
        let request = v1::UpdateWebhookRequest {
            webhook: Some(webhook),
            ..Default::default()
        };
        Ok(client.update_webhook(request).await?.into_inner())
    }

    /// Writes a key past everybody.
    pub(in crate::streams) async fn put(&self, key: &str, value: &str) -> Result<(), Failure> {
        let write = Write::Put(key.to_owned(), value.to_owned().into());
        self.store
            .commit(Transaction {
                checks: Vec::new(),
                writes: vec![write],
            })
            .await?;
        Ok(())
    }

    pub(in crate::streams) async fn delete_group(&self, name: &str) -> Result<(), Failure> {
        WebhookGroupServiceClient::new(self.api())
            .delete_webhook_group(v1::DeleteWebhookGroupRequest {
                name: format!("orgs/acme/groups/{name}"),
                etag: String::new(),
                discard_pending: true,
                ..Default::default()
            })
            .await?;
        Ok(())
    }

    pub(in crate::streams) async fn delete_webhook(
        &self,
        group: &str,
        name: &str,
    ) -> Result<(), Failure> {
        WebhookServiceClient::new(self.api())
            .delete_webhook(v1::DeleteWebhookRequest {
                name: format!("orgs/acme/groups/{group}/webhooks/{name}"),
                etag: String::new(),
                discard_pending: true,
            })
            .await?;
        Ok(())
    }

    /// Every delivery of a webhook (`code/all`), or of all.
    pub(in crate::streams) async fn deliveries(
        &self,
        of: &str,
    ) -> Result<Vec<v1::Delivery>, Failure> {
        Ok(self
            .events()
            .list_deliveries(v1::ListDeliveriesRequest {
                parent: webhook_path(of),
                ..Default::default()
            })
            .await?
            .into_inner()
            .deliveries)
    }

    /// Every event of a group, newest first.
    pub(in crate::streams) async fn events_of(
        &self,
        group: &str,
    ) -> Result<Vec<v1::Event>, Failure> {
        Ok(self
            .events()
            .list_events(v1::ListEventsRequest {
                parent: format!("orgs/acme/groups/{group}"),
                ..Default::default()
            })
            .await?
            .into_inner()
            .events)
    }
}
