//! Every method with every role, in its own org and in another one, and with tokens that are none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

use hookplane_control_plane::manifest;
use hookplane_proto::v1;
use prost::Message;
use tonic::Code;
use v1::TokenRole;

use super::rig::{BOOTSTRAP, POOL, Rig, all_of, consumer, listener, role};
use crate::fake_control_plane::Failure;

/// What a row expects. A letter is a role: Admin, Editor, Viewer, Consumer, Listener; a small one is of the whole installation, a large one of
/// the org `acme`.
struct Row {
    method: &'static str,
    /// Who may, in `acme`, or in the pool that listeners name.
    own: &'static str,
    /// Who may, in `other`, or in another pool.
    foreign: &'static str,
    /// What those are told who may.
    done: Code,
    /// What those are told who may not there, though their role could.
    kept_out: Code,
}

const fn row(method: &'static str, own: &'static str, foreign: &'static str) -> Row {
    Row {
        method,
        own,
        foreign,
        done: Code::Ok,
        kept_out: Code::PermissionDenied,
    }
}

/// They name an etag that isn't the newest, so that nothing is really written.
const fn stale(method: &'static str, own: &'static str, foreign: &'static str) -> Row {
    Row {
        done: Code::Aborted,
        ..row(method, own, foreign)
    }
}

/// What is found by its id.
const fn by_id(method: &'static str, own: &'static str, foreign: &'static str) -> Row {
    Row {
        kept_out: Code::NotFound,
        ..row(method, own, foreign)
    }
}

const ROWS: &[Row] = &[
    // These two name no org: what they list is looked at elsewhere.
    row("OrgService/ListOrgs", "AEVaev", "AEVaev"),
    row("ConfigService/ListListeners", "AEVaev", "AEVaev"),
    row("OrgService/GetOrg", "AEVaev", "aev"),
    row("OrgService/CreateOrg", "a", "a"),
    stale("OrgService/DeleteOrg", "Aa", "a"),
    row("ConnectorService/ListConnectors", "AEVaev", "aev"),
    row("ConnectorService/GetConnector", "AEVaev", "aev"),
    row("ConnectorService/CreateConnector", "AEae", "ae"),
    row("ConnectorService/UpdateConnector", "AEae", "ae"),
    stale("ConnectorService/DeleteConnector", "AEae", "ae"),
    row("WebhookGroupService/ListWebhookGroups", "AEVaev", "aev"),
    row("WebhookGroupService/GetWebhookGroup", "AEVaev", "aev"),
    row("WebhookGroupService/CreateWebhookGroup", "AEae", "ae"),
    row("WebhookGroupService/UpdateWebhookGroup", "AEae", "ae"),
    stale("WebhookGroupService/DeleteWebhookGroup", "AEae", "ae"),
    stale("WebhookGroupService/RotateCallbackUrl", "AEae", "ae"),
    row("WebhookService/ListWebhooks", "AEVaev", "aev"),
    row("WebhookService/GetWebhook", "AEVCaevc", "aev"),
    row("WebhookService/CreateWebhook", "AEae", "ae"),
    row("WebhookService/UpdateWebhook", "AEae", "ae"),
    stale("WebhookService/DeleteWebhook", "AEae", "ae"),
    row("WebhookService/CloneWebhook", "AEae", "ae"),
    row("DestinationService/ListDestinations", "AEVaev", "aev"),
    row("DestinationService/GetDestination", "AEVaev", "aev"),
    row("DestinationService/CreateDestination", "AEae", "ae"),
    row("DestinationService/UpdateDestination", "AEae", "ae"),
    stale("DestinationService/DeleteDestination", "AEae", "ae"),
    // It is one that has no description.
    Row {
        done: Code::FailedPrecondition,
        ..row("DestinationService/DescribeDestination", "AEae", "ae")
    },
    row("ManifestService/PlanManifests", "AEae", "ae"),
    row("ManifestService/ApplyManifest", "AEae", "ae"),
    row("EventService/ListEvents", "AEVaev", "aev"),
    by_id("EventService/GetEvent", "AEVaev", "aev"),
    row("EventService/ListDeliveries", "AEVaev", "aev"),
    by_id("EventService/GetDelivery", "AEVaev", "aev"),
    row("EventService/Tail", "AEVaev", "aev"),
    by_id("EventService/ReplayDeliveries", "AEae", "ae"),
    row("EventService/Replay", "AEae", "ae"),
    row("PreviewService/Preview", "AEae", "ae"),
    row("PreviewService/Compare", "AEae", "ae"),
    row("EventService/ListRefusals", "AEVaev", "aev"),
    row("EventService/GetActivity", "AEVaev", "aev"),
    row("EventService/SignSample", "AEae", "ae"),
    row("SubscriptionService/Subscribe", "Cac", "a"),
    row("ConfigService/StreamConfig", "Lal", "a"),
    row("ReportService/Report", "Lal", "a"),
    // There is no such group in the pool.
    Row {
        done: Code::NotFound,
        ..row("HandshakeService/LearnSecret", "Lal", "a")
    },
    row("TokenService/CreateToken", "Aa", "a"),
    row("TokenService/ListTokens", "Aa", "a"),
    row("TokenService/GetToken", "Aa", "a"),
    row("TokenService/RevokeToken", "Aa", "a"),
    // It names no org.
    row("TokenService/WhoAmI", "AEVCLaevcl", "AEVCLaevcl"),
];

/// What the requests name.
struct There {
    org: &'static str,
    pool: &'static str,
    event: String,
    delivery: String,
    /// A token of the org.
    token: String,
}

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

fn destination(org: &str, name: &str) -> v1::Destination {
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
fn request(method: &str, there: &There) -> Vec<u8> {
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
                payload_json: true
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

/// Every method there is, and whether its client streams.
fn methods() -> BTreeMap<String, bool> {
    let protos = prost_types::FileDescriptorSet::decode(hookplane_proto::DESCRIPTORS).unwrap();
    let mut methods = BTreeMap::new();
    for service in protos.file.iter().flat_map(|file| &file.service) {
        for method in &service.method {
            let name = format!("{}/{}", service.name(), method.name());
            methods.insert(name, method.client_streaming());
        }
    }
    methods
}

/// What the caller is told first.
async fn told(rig: &Rig, token: Option<&str>, method: &str, streams: bool, there: &There) -> Code {
    let path = format!("/hookplane.v1.{method}");
    let call = rig
        .call(token, &path, request(method, there), streams)
        .await;
    let first = match call {
        Ok(mut call) => call.next().await,
        Err(status) => Err(status),
    };
    match first {
        Err(status) => status.code(),
        // A plan says of each document what applying it would be told.
        Ok(Some(answer)) if method == "ManifestService/PlanManifests" => {
            let plan = v1::PlanManifestsResponse::decode(answer).unwrap();
            match plan.changes[0].errors.first() {
                None => Code::Ok,
                Some(error) if error.message.contains("reaches nothing of") => {
                    Code::PermissionDenied
                }
                Some(error) => panic!("{error:?}"),
            }
        }
        Ok(Some(_)) => Code::Ok,
        Ok(None) => panic!("{method} answered nothing"),
    }
}

/// A token for each letter, and for listeners a certificate as well.
async fn tokens(rig: &Rig) -> Result<Vec<(char, String)>, Failure> {
    let mut tokens = Vec::new();
    for (letter, spec) in [
        ('A', role(TokenRole::Admin)),
        ('E', role(TokenRole::Editor)),
        ('V', role(TokenRole::Viewer)),
        ('C', consumer("acme")),
        ('L', listener()),
    ] {
        tokens.push((letter, rig.token("acme", spec.clone(), 0).await?.0));
        let everywhere = rig.token("", spec, 0).await?.0;
        tokens.push((letter.to_ascii_lowercase(), everywhere));
    }
    tokens.push(('L', rig.listener_certificate(Some("acme")).await?));
    tokens.push(('l', rig.listener_certificate(None).await?));
    Ok(tokens)
}

async fn there(rig: &Rig, org: &'static str, pool: &'static str) -> Result<There, Failure> {
    let (event, delivery) = rig.ids(org).await?;
    let made = v1::CreateDestinationRequest {
        parent: format!("orgs/{org}"),
        destination: Some(destination(org, "crm")),
        validate_only: false,
    };
    let path = "/hookplane.v1.DestinationService/CreateDestination";
    let call = rig.call(Some(BOOTSTRAP), path, made.encode_to_vec(), false);
    call.await?.next().await?;
    Ok(There {
        org,
        pool,
        event,
        delivery,
        token: String::new(),
    })
}

#[tokio::test]
async fn every_method_with_every_role_in_its_own_org_and_in_another() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let methods = methods();
    let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.method).collect();
    let known: BTreeSet<&str> = methods.keys().map(String::as_str).collect();
    assert_eq!(rows, known, "each method has a row, and each row a method");
    let tokens = tokens(&rig).await?;
    let mut own = there(&rig, "acme", POOL).await?;
    let mut foreign = there(&rig, "other", "another").await?;
    let mut wrong = Vec::new();
    for row in ROWS {
        let streams = methods[row.method];
        for (letter, token) in &tokens {
            let role_may = row.own.contains(*letter) || row.foreign.contains(*letter);
            for (there, may, kept_out) in [
                (&mut own, row.own.contains(*letter), Code::PermissionDenied),
                (&mut foreign, row.foreign.contains(*letter), row.kept_out),
            ] {
                // One that the call may end.
                let mortal = rig.token(there.org, role(TokenRole::Viewer), 0).await?;
                there.token = mortal.1;
                let expected = match (may, role_may) {
                    (true, _) => row.done,
                    (false, true) => kept_out,
                    // The role is not enough anywhere, so the door says so.
                    (false, false) => Code::PermissionDenied,
                };
                let code = told(&rig, Some(token), row.method, streams, there).await;
                if code != expected {
                    let (method, org) = (row.method, there.org);
                    wrong.push(format!(
                        "{method} as {letter} in {org}: {code:?}, not {expected:?}"
                    ));
                }
                // Not to come to the most that an org may have.
                if row.method != "TokenService/RevokeToken" || code != Code::Ok {
                    rig.revoke(&there.token).await?;
                }
            }
        }
        // The server's own may do everything.
        own.token = rig.token("acme", role(TokenRole::Viewer), 0).await?.1;
        let code = told(&rig, Some(BOOTSTRAP), row.method, streams, &own).await;
        assert_eq!(code, row.done, "{}", row.method);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn no_method_is_done_without_a_token_that_is_valid() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let admin = role(TokenRole::Admin);
    let (expired, _) = rig.token("acme", admin.clone(), 10).await?;
    rig.clock.advance(std::time::Duration::from_secs(10));
    let (revoked, id) = rig.token("", admin.clone(), 0).await?;
    rig.revoke(&id).await?;
    let (another, _) = rig.token("", admin.clone(), 0).await?;
    // A valid id with another's secret.
    let forged = format!("{}{}", &another[..30], &revoked[30..]);
    rig.apply(BOOTSTRAP, &all_of("gone")).await?;
    let (orphan, _) = rig.token("gone", admin, 0).await?;
    rig.delete_org("gone").await?;
    let bad = [
        ("none", None),
        ("garbage", Some("garbage")),
        ("one that looks like one", Some(&*forged)),
        ("expired", Some(&*expired)),
        ("revoked", Some(&*revoked)),
        ("of an org that is gone", Some(&*orphan)),
    ];
    let own = there(&rig, "acme", POOL).await?;
    for (method, streams) in methods() {
        for (which, token) in bad {
            let code = told(&rig, token, &method, streams, &own).await;
            assert_eq!(
                code,
                Code::Unauthenticated,
                "{method} with a token: {which}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn reflection_takes_any_valid_token_and_health_takes_none() -> Result<(), Failure> {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    let rig = Rig::start().await?;
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    for (letter, token) in tokens(&rig).await? {
        let mut call = rig
            .call(Some(&token), path, list.encode_to_vec(), true)
            .await?;
        assert!(call.next().await?.is_some(), "{letter}");
    }
    let refused = rig.call(None, path, list.encode_to_vec(), true).await;
    let refused = refused.err().ok_or("refused")?;
    assert_eq!(refused.code(), Code::Unauthenticated);
    let health = "/grpc.health.v1.Health/Check";
    let mut call = rig.call(None, health, Vec::new(), false).await?;
    assert!(call.next().await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_refused_to_everybody() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    for path in ["/hookplane.v1.OrgService/DropOrgs", "/x.y/Z", "/"] {
        let refused = rig.call(Some(BOOTSTRAP), path, Vec::new(), false).await;
        let code = refused.err().ok_or("refused")?.code();
        assert_eq!(code, Code::Unimplemented, "{path}");
    }
    Ok(())
}
