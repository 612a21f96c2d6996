//! What each method is asked.

use std::sync::atomic::{AtomicU32, Ordering};

use hookplane_control_plane::manifest;
use hookplane_proto::v1;
use prost::Message;
use v1::TokenRole;

use super::There;
use crate::roles::rig::{all_of, role};

fn document(org: &str, kind: usize) -> v1::Manifest {
    manifest::parse(&all_of(org)).unwrap().remove(kind).manifest
}

fn webhook_group(org: &str, name: &str) -> v1::WebhookGroup {
    use v1::manifest::Resource;
    let Some(Resource::WebhookGroup(mut group)) = document(org, 2).resource else {
        panic!("the third document is a group");
    };
    group.metadata.get_or_insert_default().name = name.to_owned();
    group
}

fn webhook(org: &str, name: &str) -> v1::Webhook {
    use v1::manifest::Resource;
    let Some(Resource::Webhook(mut webhook)) = document(org, 3).resource else {
        panic!("the fourth document is a webhook");
    };
    webhook.metadata.get_or_insert_default().name = name.to_owned();
    webhook
}

fn connector(org: &str, name: &str) -> v1::Connector {
    use v1::manifest::Resource;
    let Some(Resource::Connector(mut connector)) = document(org, 1).resource else {
        panic!("the second document is a connector");
    };
    connector.metadata.get_or_insert_default().name = name.to_owned();
    connector
}

pub(super) fn destination(org: &str, name: &str) -> v1::Destination {
    v1::Destination {
        metadata: Some(v1::Metadata {
            org: org.to_owned(),
            name: name.to_owned(),
            ..Default::default()
        }),
        spec: Some(v1::DestinationSpec {
            http: Some(v1::HttpTarget {
                url: "http://127.0.0.1:9/".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        status: None,
    }
}

/// A request that does no harm and can be made again.
#[expect(
    clippy::needless_update,
    reason = "some requests have no other fields, and one macro makes them all"
)]
pub(super) fn request(method: &str, there: &There) -> Vec<u8> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let org = there.org;
    let parent = format!("orgs/{org}");
    let group = format!("{parent}/groups/code");
    let hook = format!("{group}/webhooks/pushes");
    let etag = "stale".to_owned();
    macro_rules! message {
        ($message:ident {$($field:ident $(: $value:expr)?),*}) => {
            v1::$message { $($field $(: $value)?,)* ..Default::default() }.encode_to_vec()
        };
    }
    match method {
        "OrgService/ListOrgs" => message!(ListOrgsRequest {}),
        "OrgService/GetOrg" => message!(GetOrgRequest { name: parent }),
        "OrgService/CreateOrg" => {
            let metadata = Some(v1::Metadata {
                name: "fresh".to_owned(),
                ..Default::default()
            });
            let org = Some(v1::Org {
                metadata,
                spec: None,
            });
            message!(CreateOrgRequest {
                org,
                validate_only: true
            })
        }
        "OrgService/DeleteOrg" => message!(DeleteOrgRequest { name: parent, etag }),
        "ConnectorService/ListConnectors" => message!(ListConnectorsRequest { parent }),
        "ConnectorService/GetConnector" => {
            message!(GetConnectorRequest {
                name: format!("{parent}/connectors/erp")
            })
        }
        "ConnectorService/CreateConnector" => {
            let connector = Some(connector(org, "fresh"));
            message!(CreateConnectorRequest {
                parent,
                connector,
                validate_only: true
            })
        }
        "ConnectorService/UpdateConnector" => {
            let connector = Some(connector(org, "erp"));
            message!(UpdateConnectorRequest {
                connector,
                validate_only: true
            })
        }
        "ConnectorService/DeleteConnector" => {
            let name = format!("{parent}/connectors/erp");
            message!(DeleteConnectorRequest { name, etag })
        }
        "WebhookGroupService/ListWebhookGroups" => message!(ListWebhookGroupsRequest { parent }),
        "WebhookGroupService/GetWebhookGroup" => message!(GetWebhookGroupRequest { name: group }),
        "WebhookGroupService/CreateWebhookGroup" => {
            let webhook_group = Some(webhook_group(org, "fresh"));
            message!(CreateWebhookGroupRequest {
                parent,
                webhook_group,
                validate_only: true
            })
        }
        "WebhookGroupService/UpdateWebhookGroup" => {
            let webhook_group = Some(webhook_group(org, "code"));
            message!(UpdateWebhookGroupRequest {
                webhook_group,
                validate_only: true
            })
        }
        "WebhookGroupService/DeleteWebhookGroup" => {
            message!(DeleteWebhookGroupRequest { name: group, etag })
        }
        "WebhookGroupService/RotateCallbackUrl" => {
            message!(RotateCallbackUrlRequest { name: group, etag })
        }
        "WebhookService/ListWebhooks" => message!(ListWebhooksRequest { parent: group }),
        "WebhookService/GetWebhook" => message!(GetWebhookRequest { name: hook }),
        "WebhookService/GetMappingVersion" => {
            message!(GetMappingVersionRequest {
                name: hook,
                version: 1
            })
        }
        "WebhookService/CreateWebhook" => {
            let webhook = Some(webhook(org, "fresh"));
            message!(CreateWebhookRequest {
                parent: group,
                webhook,
                validate_only: true
            })
        }
        "WebhookService/UpdateWebhook" => {
            let webhook = Some(webhook(org, "pushes"));
            message!(UpdateWebhookRequest {
                webhook,
                validate_only: true
            })
        }
        "WebhookService/DeleteWebhook" => message!(DeleteWebhookRequest { name: hook, etag }),
        "WebhookService/CloneWebhook" => {
            let new_name = format!("clone-{}", NEXT.fetch_add(1, Ordering::Relaxed));
            message!(CloneWebhookRequest {
                name: hook,
                new_name
            })
        }
        "DestinationService/ListDestinations" => message!(ListDestinationsRequest { parent }),
        "DestinationService/GetDestination" => {
            let name = format!("{parent}/destinations/crm");
            message!(GetDestinationRequest { name })
        }
        "DestinationService/ListTroubles" => message!(ListTroublesRequest { parent }),
        "DestinationService/CreateDestination" => {
            let destination = Some(destination(org, "fresh"));
            message!(CreateDestinationRequest {
                parent,
                destination,
                validate_only: true
            })
        }
        "DestinationService/UpdateDestination" => {
            let destination = Some(destination(org, "crm"));
            message!(UpdateDestinationRequest {
                destination,
                validate_only: true
            })
        }
        "DestinationService/DeleteDestination" => {
            let name = format!("{parent}/destinations/crm");
            message!(DeleteDestinationRequest { name, etag })
        }
        "DestinationService/DescribeDestination" => {
            let name = format!("{parent}/destinations/crm");
            message!(DescribeDestinationRequest { name })
        }
        "ManifestService/PlanManifests" => {
            message!(PlanManifestsRequest {
                manifests: vec![document(org, 3)]
            })
        }
        "ManifestService/ApplyManifest" => {
            message!(ApplyManifestRequest {
                manifest: Some(document(org, 3))
            })
        }
        "EventService/ListEvents" => message!(ListEventsRequest { parent }),
        "EventService/GetEvent" => {
            message!(GetEventRequest {
                name: format!("events/{}", there.event),
                payload_json: true,
                payload_json_max_bytes: 100,
                body_max_bytes: 100
            })
        }
        "EventService/GetActivity" => message!(GetActivityRequest { parent }),
        "EventService/ListDeliveries" => message!(ListDeliveriesRequest { parent }),
        "EventService/GetDelivery" => {
            message!(GetDeliveryRequest {
                name: format!("deliveries/{}", there.delivery)
            })
        }
        "EventService/Tail" => {
            message!(TailRequest {
                parent,
                from_start: true,
                no_follow: true
            })
        }
        "EventService/ReplayDeliveries" => {
            message!(ReplayDeliveriesRequest {
                delivery_ids: vec![there.delivery.clone()]
            })
        }
        "EventService/Replay" => {
            message!(ReplayRequest {
                parent,
                dry_run: true
            })
        }
        "PreviewService/Preview" => {
            message!(PreviewRequest {
                webhook: Some(webhook(org, "pushes")),
                sample: "push".to_owned()
            })
        }
        "PreviewService/Compare" => {
            message!(CompareRequest {
                webhook: Some(webhook(org, "pushes"))
            })
        }
        "EventService/ListRefusals" => message!(ListRefusalsRequest { parent }),
        "EventService/SignSample" => {
            message!(SignSampleRequest {
                name: group,
                event: "push".to_owned()
            })
        }
        "SubscriptionService/Subscribe" => {
            use v1::subscribe_request::Kind;
            let start = v1::SubscribeStart {
                webhook: hook,
                max_in_flight: 1,
                ..Default::default()
            };
            message!(SubscribeRequest {
                kind: Some(Kind::Start(start))
            })
        }
        "ConfigService/StreamConfig" => {
            use v1::stream_config_request::Kind;
            let hello = v1::ConfigHello {
                pool: there.pool.to_owned(),
                ..Default::default()
            };
            message!(StreamConfigRequest {
                kind: Some(Kind::Hello(hello))
            })
        }
        "ConfigService/ListListeners" => message!(ListListenersRequest {}),
        "ReportService/Report" => {
            use v1::report_request::Kind;
            let hello = v1::ReportHello {
                pool: there.pool.to_owned(),
                ..Default::default()
            };
            message!(ReportRequest {
                kind: Some(Kind::Hello(hello))
            })
        }
        "HandshakeService/LearnSecret" => {
            message!(LearnSecretRequest {
                pool: there.pool.to_owned(),
                group_uid: "none".to_owned(),
                secret: "a made-up one".replace(' ', "-")
            })
        }
        "TokenService/CreateToken" => {
            let spec = Some(role(TokenRole::Viewer));
            message!(CreateTokenRequest { parent, spec })
        }
        "TokenService/ListTokens" => message!(ListTokensRequest { parent }),
        "TokenService/GetToken" => {
            message!(GetTokenRequest {
                name: format!("{parent}/tokens/{}", there.token)
            })
        }
        "TokenService/RevokeToken" => {
            message!(RevokeTokenRequest {
                name: format!("{parent}/tokens/{}", there.token)
            })
        }
        "TokenService/WhoAmI" => message!(WhoAmIRequest {}),
        other => panic!("a new method: say what {other} is asked"),
    }
}
