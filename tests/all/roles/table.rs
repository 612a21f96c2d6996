//! Every method with every role, in its own org and in another one, and with tokens that are none.

mod requests;

use std::collections::{BTreeMap, BTreeSet};

use hookplane_proto::v1;
use prost::Message;
use tonic::Code;
use v1::TokenRole;

use super::rig::{BOOTSTRAP, POOL, Rig, all_of, consumer, listener, role};
use crate::fake_control_plane::Failure;
use requests::{destination, request};

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
    // It is one without a mapping.
    Row {
        done: Code::InvalidArgument,
        ..row("WebhookService/GetMappingVersion", "AEVCaevc", "aev")
    },
    row("WebhookService/CreateWebhook", "AEae", "ae"),
    row("WebhookService/UpdateWebhook", "AEae", "ae"),
    stale("WebhookService/DeleteWebhook", "AEae", "ae"),
    row("WebhookService/CloneWebhook", "AEae", "ae"),
    row("DestinationService/ListDestinations", "AEVaev", "aev"),
    row("DestinationService/GetDestination", "AEVaev", "aev"),
    row("DestinationService/ListTroubles", "AEVaev", "aev"),
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
