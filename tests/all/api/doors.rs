//! Who gets in, and what is found there.

use hookplane_proto::v1;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use v1::connector_service_client::ConnectorServiceClient;
use v1::event_service_client::EventServiceClient;
use v1::manifest_service_client::ManifestServiceClient;
use v1::org_service_client::OrgServiceClient;
use v1::webhook_group_service_client::WebhookGroupServiceClient;
use v1::webhook_service_client::WebhookServiceClient;

use super::rig::{Rig, Wire};

fn services() -> ServerReflectionRequest {
    ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    }
}

/// What each service says to a caller with this token.
async fn asked(wire: Wire) -> Vec<Code> {
    let mut codes = Vec::new();
    macro_rules! ask {
        ($client:ident.$method:ident($request:expr)) => {
            let answer = $client::new(wire.clone()).$method($request).await;
            codes.push(answer.map_or_else(|status| status.code(), |_| Code::Ok));
        };
    }
    ask!(OrgServiceClient.list_orgs(v1::ListOrgsRequest::default()));
    ask!(ConnectorServiceClient.list_connectors(v1::ListConnectorsRequest::default()));
    let all = || "orgs/-".to_owned();
    ask!(
        WebhookGroupServiceClient.list_webhook_groups(v1::ListWebhookGroupsRequest {
            parent: all(),
            ..Default::default()
        })
    );
    ask!(WebhookServiceClient.list_webhooks(v1::ListWebhooksRequest {
        parent: "orgs/-/groups/-".to_owned(),
        ..Default::default()
    }));
    ask!(ManifestServiceClient.plan_manifests(v1::PlanManifestsRequest::default()));
    ask!(EventServiceClient.list_events(v1::ListEventsRequest::default()));
    ask!(ServerReflectionClient.server_reflection_info(tokio_stream::once(services())));
    codes
}

#[tokio::test]
async fn every_service_but_health_needs_the_token() {
    let rig = Rig::start().await;
    for wrong in [None, Some("a-token-for-test"), Some("")] {
        let codes = asked(rig.wire_with(wrong)).await;
        assert_eq!(codes, [Code::Unauthenticated; 7], "{wrong:?}");
    }
    assert_eq!(asked(rig.wire()).await, [Code::Ok; 7]);
    let health = HealthClient::new(rig.wire_with(None))
        .check(HealthCheckRequest::default())
        .await
        .unwrap();
    assert_eq!(health.into_inner().status(), ServingStatus::Serving);
    rig.stop().await;
}

#[tokio::test]
async fn reflection_lists_every_service() {
    let rig = Rig::start().await;
    let mut answers = ServerReflectionClient::new(rig.wire())
        .server_reflection_info(tokio_stream::once(services()))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list");
    };
    let names: Vec<String> = list.service.into_iter().map(|s| s.name).collect();
    for service in [
        "Org",
        "Connector",
        "WebhookGroup",
        "Webhook",
        "Manifest",
        "Event",
        "Config",
        "Report",
        "Subscription",
    ] {
        let name = format!("hookplane.v1.{service}Service");
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    drop(answers);
    rig.stop().await;
}
