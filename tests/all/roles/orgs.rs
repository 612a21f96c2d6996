//! Two orgs see nothing of one another.

use hookplane_proto::v1;
use prost::Message;
use tonic::Code;
use v1::TokenRole;
use v1::config_service_client::ConfigServiceClient;
use v1::connector_service_client::ConnectorServiceClient;
use v1::webhook_group_service_client::WebhookGroupServiceClient;
use v1::webhook_service_client::WebhookServiceClient;

use super::rig::{BOOTSTRAP, POOL, Rig, all_of, listener, role};
use crate::fake_control_plane::Failure;

/// The orgs of everything that a token's lists show, when they ask for all.
async fn seen(rig: &Rig, token: &str) -> Result<Vec<(&'static str, Vec<String>)>, Failure> {
    let all = || "orgs/-".to_owned();
    let org = |metadata: Option<v1::Metadata>| metadata.unwrap_or_default().org;
    let mut seen = Vec::new();
    let orgs = rig
        .orgs(token)
        .list_orgs(v1::ListOrgsRequest::default())
        .await?;
    let orgs = orgs.into_inner().orgs.into_iter();
    let names = orgs.map(|org| org.metadata.unwrap_or_default().name);
    seen.push(("orgs", names.collect()));
    let mut client = ConnectorServiceClient::new(rig.wire(token));
    let (mut own, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListConnectorsRequest {
            parent: all(),
            page_token,
            ..Default::default()
        };
        let page = client.list_connectors(request).await?.into_inner();
        let orgs = page.connectors.into_iter().map(|c| org(c.metadata));
        own.extend(orgs.filter(|org| !org.is_empty()));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    seen.push(("connectors", own));
    let request = v1::ListWebhookGroupsRequest {
        parent: all(),
        ..Default::default()
    };
    let mut client = WebhookGroupServiceClient::new(rig.wire(token));
    let found = client.list_webhook_groups(request).await?.into_inner();
    let found = found.webhook_groups.into_iter();
    seen.push(("groups", found.map(|group| org(group.metadata)).collect()));
    let request = v1::ListWebhooksRequest {
        parent: "orgs/-/groups/-".to_owned(),
        ..Default::default()
    };
    let mut client = WebhookServiceClient::new(rig.wire(token));
    let found = client.list_webhooks(request).await?.into_inner().webhooks;
    let found = found.into_iter().map(|webhook| org(webhook.metadata));
    seen.push(("webhooks", found.collect()));
    for parent in [String::new(), all()] {
        let request = v1::ListEventsRequest {
            parent: parent.clone(),
            ..Default::default()
        };
        let found = rig
            .events(token)
            .list_events(request)
            .await?
            .into_inner()
            .events;
        seen.push(("events", found.into_iter().map(|event| event.org).collect()));
        let request = v1::ListDeliveriesRequest {
            parent: parent.clone(),
            ..Default::default()
        };
        let found = rig
            .events(token)
            .list_deliveries(request)
            .await?
            .into_inner();
        let found = found.deliveries.into_iter();
        seen.push(("deliveries", found.map(|delivery| delivery.org).collect()));
        let request = v1::ListRefusalsRequest {
            parent: parent.clone(),
            ..Default::default()
        };
        let found = rig.events(token).list_refusals(request).await?.into_inner();
        let found = found.refusals.into_iter();
        seen.push(("refusals", found.map(|refusal| refusal.org).collect()));
        let request = v1::TailRequest {
            parent,
            from_start: true,
            no_follow: true,
            events: true,
            changes: true,
            brief: false,
            max_per_second: 0,
        };
        let mut tail = rig.events(token).tail(request).await?.into_inner();
        let mut lines = Vec::new();
        while let Some(line) = tail.message().await? {
            lines.push(line.event.unwrap_or_default().org);
        }
        seen.push(("tail", lines));
    }
    let request = v1::ListListenersRequest {};
    let mut client = ConfigServiceClient::new(rig.wire(token));
    let found = client.list_listeners(request).await?.into_inner().listeners;
    // Named after the org that they are of.
    let names = found.into_iter().map(|listener| listener.name);
    seen.push(("listeners", names.collect()));
    Ok(seen)
}

// Promise 8.
#[tokio::test]
async fn two_orgs_see_nothing_of_one_another() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let mut streams = Vec::new();
    for org in ["acme", "other"] {
        let (token, _) = rig.token(org, listener(), 0).await?;
        let hello = v1::stream_config_request::Kind::Hello(v1::ConfigHello {
            listener: org.to_owned(),
            // The same: they can't put one another out.
            boot: "boot".to_owned(),
            pool: POOL.to_owned(),
            ..Default::default()
        });
        let hello = v1::StreamConfigRequest { kind: Some(hello) }.encode_to_vec();
        let path = "/hookplane.v1.ConfigService/StreamConfig";
        let mut call = rig.call(Some(&token), path, hello, true).await?;
        assert!(call.next().await?.is_some());
        streams.push(call);
    }
    for (own, foreign) in [("acme", "other"), ("other", "acme")] {
        for role_of in [TokenRole::Viewer, TokenRole::Editor, TokenRole::Admin] {
            let (token, _) = rig.token(own, role(role_of), 0).await?;
            for (what, orgs) in seen(&rig, &token).await? {
                assert!(!orgs.is_empty(), "{own} sees its own {what}");
                assert!(
                    orgs.iter().all(|org| org == own),
                    "{own} sees {what} of {orgs:?}"
                );
            }
            let tokens = rig
                .tokens(&token)
                .list_tokens(v1::ListTokensRequest::default())
                .await;
            match tokens {
                Ok(list) => {
                    assert_eq!(role_of, TokenRole::Admin);
                    let list = list.into_inner().tokens.into_iter();
                    let orgs: Vec<_> = list.map(|t| t.metadata.unwrap_or_default().org).collect();
                    assert!(
                        !orgs.is_empty() && orgs.iter().all(|org| org == own),
                        "{orgs:?}"
                    );
                }
                Err(status) => assert_eq!(status.code(), Code::PermissionDenied),
            }
        }
        // What is there for the installation is there.
        let (token, _) = rig.token("", role(TokenRole::Viewer), 0).await?;
        for (what, orgs) in seen(&rig, &token).await? {
            assert!(
                orgs.iter().any(|org| org == foreign),
                "all see {what}: {orgs:?}"
            );
        }
    }
    Ok(())
}

// Promise 8: a listener of one org gets that org's groups and secrets, in a pool that it shares with another.
#[tokio::test]
async fn a_listener_of_one_org_is_sent_nothing_of_another() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let (token, _) = rig.token("acme", listener(), 0).await?;
    let hello = v1::stream_config_request::Kind::Hello(v1::ConfigHello {
        pool: POOL.to_owned(),
        ..Default::default()
    });
    let hello = v1::StreamConfigRequest { kind: Some(hello) }.encode_to_vec();
    let path = "/hookplane.v1.ConfigService/StreamConfig";
    let mut call = rig.call(Some(&token), path, hello, true).await?;
    let mut text = String::new();
    loop {
        let said = call.next().await?.ok_or("the stream ended")?;
        let said = v1::StreamConfigResponse::decode(said)?;
        text.push_str(&format!("{said:?}"));
        match said.kind {
            Some(v1::stream_config_response::Kind::ListChunk(chunk)) if chunk.end.is_some() => {
                break;
            }
            _ => {}
        }
    }
    assert!(text.contains("s3cret-of-acme"), "{text}");
    assert!(!text.contains("s3cret-of-other") && !text.contains("\"other\""));
    Ok(())
}

// Promise 8: a name used again is another org, also to who has that name now.
#[tokio::test]
async fn an_org_does_not_see_what_one_of_its_name_left() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let (event, delivery) = rig.ids("other").await?;
    rig.delete_org("other").await?;
    rig.clock.advance(std::time::Duration::from_secs(60));
    rig.apply(BOOTSTRAP, &all_of("other")).await?;
    let (token, _) = rig.token("other", role(TokenRole::Editor), 0).await?;
    for (what, orgs) in seen(&rig, &token).await? {
        if ["events", "deliveries", "tail", "refusals"].contains(&what) {
            assert!(orgs.is_empty(), "{what} of the one before");
        }
    }
    let name = format!("events/{event}");
    let found = rig
        .events(&token)
        .get_event(v1::GetEventRequest {
            name,
            ..Default::default()
        })
        .await;
    assert_eq!(found.err().ok_or("seen")?.code(), Code::NotFound);
    let name = format!("deliveries/{delivery}");
    let found = rig
        .events(&token)
        .get_delivery(v1::GetDeliveryRequest { name })
        .await;
    assert_eq!(found.err().ok_or("seen")?.code(), Code::NotFound);
    let request = v1::ReplayDeliveriesRequest {
        delivery_ids: vec![delivery],
        ..Default::default()
    };
    let found = rig.events(&token).replay_deliveries(request).await;
    assert_eq!(found.err().ok_or("replayed")?.code(), Code::NotFound);
    rig.report("other", "d-2").await?;
    let request = v1::ListEventsRequest::default();
    let events = rig
        .events(&token)
        .list_events(request)
        .await?
        .into_inner()
        .events;
    assert_eq!(events.len(), 1, "its own is seen");
    Ok(())
}

#[tokio::test]
async fn a_plan_tells_what_applying_would_be_told() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let (editor, _) = rig.token("acme", role(TokenRole::Editor), 0).await?;
    let (everywhere, _) = rig.token("", role(TokenRole::Editor), 0).await?;
    let group = |org: &str| {
        let text = all_of(org);
        let group = text.split("---\n").nth(2).unwrap().to_owned();
        group.replace("name: code", "name: more")
    };
    let renamed = "apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {name: acme}\nspec: {displayName: Another}\n";
    let unchanged = all_of("acme").split("---\n").next().unwrap().to_owned();
    for (token, text, refused) in [
        (&editor, group("acme"), ""),
        (&editor, unchanged, ""),
        (&editor, group("other"), "reaches nothing of org `other`"),
        (
            &editor,
            group("nowhere"),
            "reaches nothing of org `nowhere`",
        ),
        (&editor, renamed.to_owned(), "it takes an admin"),
        (&everywhere, group("other"), ""),
        (
            &everywhere,
            group("nowhere"),
            "an admin of the whole installation",
        ),
    ] {
        let manifests = hookplane_control_plane::manifest::parse(&text).unwrap();
        let manifests = manifests.into_iter().map(|d| d.manifest).collect();
        let request = v1::PlanManifestsRequest { manifests };
        let plan = rig
            .manifests(token)
            .plan_manifests(request)
            .await?
            .into_inner();
        let told: Vec<&str> = plan
            .changes
            .iter()
            .flat_map(|change| &change.errors)
            .map(|error| error.message.as_str())
            .collect();
        let applied = rig.apply(token, &text).await;
        if refused.is_empty() {
            assert!(told.is_empty(), "{told:?}");
            applied?;
            continue;
        }
        assert!(told.len() == 1 && told[0].contains(refused), "{told:?}");
        let status = applied.err().ok_or(refused)?;
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().contains(refused), "{status}");
    }
    let orgs = rig
        .orgs(BOOTSTRAP)
        .list_orgs(v1::ListOrgsRequest::default())
        .await?;
    assert_eq!(orgs.into_inner().orgs.len(), 2, "`nowhere` was not made");
    Ok(())
}
