//! What is configured before the load, and what is counted after it: over the API, as any client would.

use std::net::SocketAddr;

use hookplane_control_plane::manifest;
use hookplane_proto::v1;
use hookplane_proto::v1::event_service_client::EventServiceClient;
use hookplane_proto::v1::manifest_service_client::ManifestServiceClient;
use hookplane_proto::v1::webhook_group_service_client::WebhookGroupServiceClient;
use tonic::transport::Channel;

use super::Failure;
use super::servers::TOKEN;

/// `kept` keeps what is registered; what `filtered` is sent is false for its only filter, which reads the payload.
const MANIFEST: &str = r#"
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: bench, name: kept}
spec: {connector: github, signatureSecrets: [{value: bench}], registeredEvents: [pull_request]}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: bench, group: kept, name: all}
spec: {label: All, active: true, events: [pull_request], destinations: [{subscribe: {}}]}
---
apiVersion: hookplane.dev/v1
kind: WebhookGroup
metadata: {org: bench, name: filtered}
spec: {connector: github, signatureSecrets: [{value: bench}], registeredEvents: [pull_request]}
---
apiVersion: hookplane.dev/v1
kind: Webhook
metadata: {org: bench, group: filtered, name: release}
spec: {label: To release, active: true, events: [pull_request], filter: payload.pull_request.base.ref == "release"}
"#;
const PAGE: u32 = 1000;

pub(super) struct Api {
    channel: Channel,
}

impl Api {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let channel = Channel::from_shared(format!("http://{address}"))?
            .connect()
            .await?;
        Ok(Self { channel })
    }

    pub(super) async fn configure(&self) -> Result<(), Failure> {
        let mut client = ManifestServiceClient::new(self.channel.clone());
        for document in manifest::parse(MANIFEST).map_err(|error| error.message)? {
            let manifest = Some(document.manifest);
            let request = request(v1::ApplyManifestRequest { manifest })?;
            client.apply_manifest(request).await?;
        }
        Ok(())
    }

    /// The path of a group's callback URL.
    pub(super) async fn path(&self, group: &str) -> Result<String, Failure> {
        let name = format!("orgs/bench/groups/{group}");
        let mut client = WebhookGroupServiceClient::new(self.channel.clone());
        let request = request(v1::GetWebhookGroupRequest { name })?;
        let group = client.get_webhook_group(request).await?.into_inner();
        let url = group.status.unwrap_or_default().callback_url;
        let uri: http::Uri = url.parse()?;
        Ok(uri.path().to_owned())
    }

    /// Events that are kept of a group.
    pub(super) async fn kept(&self, group: &str) -> Result<u64, Failure> {
        let mut client = EventServiceClient::new(self.channel.clone());
        let mut list = v1::ListEventsRequest {
            parent: format!("orgs/bench/groups/{group}"),
            page_size: PAGE,
            ..Default::default()
        };
        let mut kept = 0;
        loop {
            let page = client
                .list_events(request(list.clone())?)
                .await?
                .into_inner();
            kept += page.events.len() as u64;
            if page.next_page_token.is_empty() {
                return Ok(kept);
            }
            list.page_token = page.next_page_token;
        }
    }
}

/// As the administrator.
pub(super) fn request<T>(message: T) -> Result<tonic::Request<T>, Failure> {
    let mut request = tonic::Request::new(message);
    let token = format!("Bearer {TOKEN}").parse()?;
    request.metadata_mut().insert("authorization", token);
    Ok(request)
}
