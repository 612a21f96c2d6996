//! Two replicas and more over one store: whichever is asked, the answer is the same.

use bytes::Bytes;
use hookplane_control_plane::{keys, server};
use hookplane_proto::v1;
use hookplane_proto::v1::subscribe_request::Kind as Said;
use tonic::Code;
use v1::config_service_client::ConfigServiceClient;
use v1::event_service_client::EventServiceClient;
use v1::subscription_service_client::SubscriptionServiceClient;
use v1::token_service_client::TokenServiceClient;
use v1::webhook_group_service_client::WebhookGroupServiceClient;
use v1::webhook_service_client::WebhookServiceClient;

use super::replicas::{Replica, Replicas};
use super::rig::{Api, Rig, api, api_with, callback_url, post};
use crate::fake_control_plane::{Failure, eventually, soon};

/// At all three: the rig's own server, which no listener knows, and the two that one does.
fn everywhere(all: &Replicas) -> Vec<Api> {
    let of_replicas = all.replicas.iter().map(|r| api(&r.proxy.url()));
    std::iter::once(all.rig.api()).chain(of_replicas).collect()
}

async fn live_at(api: &Api, webhook: &str) -> Result<v1::Live, Failure> {
    let name = format!("orgs/acme/groups/code/webhooks/{webhook}");
    let got = WebhookServiceClient::new(api.clone())
        .get_webhook(v1::GetWebhookRequest { name })
        .await?
        .into_inner();
    Ok(got.status.unwrap_or_default().live.unwrap_or_default())
}

async fn until_live_at(api: &Api, webhook: &str) -> Result<v1::Live, Failure> {
    eventually(async || Ok(Some(live_at(api, webhook).await?).filter(|live| live.applied))).await
}

async fn listeners_at(api: &Api) -> Result<Vec<v1::Listener>, Failure> {
    Ok(ConfigServiceClient::new(api.clone())
        .list_listeners(v1::ListListenersRequest {})
        .await?
        .into_inner()
        .listeners)
}

/// The replica that has the listener's config stream beside its reports.
fn holder(all: &Replicas) -> usize {
    usize::from(all.replicas[1].proxy.open() > all.replicas[0].proxy.open())
}

// Promise 5: `status.live` is of all listeners, over all replicas.
#[tokio::test]
async fn what_is_written_at_one_replica_is_live_by_a_listener_of_another() -> Result<(), Failure> {
    let all = Replicas::start(30).await?;
    all.rig.webhook("code", "late", "").await?;
    for api in everywhere(&all) {
        let live = until_live_at(&api, "late").await?;
        assert_eq!((live.connected, &live.problems[..]), (1, &[][..]));
        let seen = eventually(async || {
            let seen = listeners_at(&api).await?;
            Ok((seen.len() == 1 && seen[0].ready).then_some(seen))
        })
        .await?;
        assert_eq!(seen[0].name, "real");
    }
    // The listener's replicas hear nothing of what comes now, so nor does the listener.
    for replica in &all.replicas {
        replica.lag();
    }
    all.rig.webhook("code", "unheard", "").await?;
    for api in everywhere(&all) {
        let live = live_at(&api, "unheard").await?;
        assert!(!live.applied, "{live:?}");
    }
    Ok(())
}

// A dead replica's listeners are where they went; its own part goes within a quarter of a minute and a beat.
#[tokio::test]
async fn a_killed_replica_holds_up_what_is_live_for_seconds_and_leaves_nothing()
-> Result<(), Failure> {
    let mut all = Replicas::start(30).await?;
    until_live_at(&all.rig.api(), "all").await?;
    drop(all.replicas.remove(holder(&all)));
    all.rig.webhook("code", "late", "").await?;
    for api in everywhere(&all) {
        let live = until_live_at(&api, "late").await?;
        assert_eq!(live.connected, 1);
        let seen = listeners_at(&api).await?;
        assert_eq!(seen.len(), 1, "{seen:?}");
    }
    eventually(async || {
        let said = all.rig.store.list(keys::FLEET, None, 100, None).await?;
        let beats = said.entries.iter().filter(|e| e.key.ends_with("/beat"));
        Ok((beats.count() == 2).then_some(()))
    })
    .await
}

// Promise 8.
#[tokio::test]
async fn an_org_s_token_shows_no_listener_of_the_operator_s_at_any_replica() -> Result<(), Failure>
{
    let all = Replicas::start(30).await?;
    until_live_at(&all.rig.api(), "all").await?;
    let spec = v1::TokenSpec {
        role: v1::TokenRole::Viewer.into(),
        ..Default::default()
    };
    let (token, _) = mint(&all.rig, spec).await?;
    let urls = all.replicas.iter().map(|r| r.proxy.url());
    for url in urls.chain([all.rig.url.clone()]) {
        eventually(async || {
            let all = listeners_at(&api(&url)).await?;
            Ok((all.len() == 1).then_some(()))
        })
        .await?;
        let seen =
            eventually(async || Ok(listeners_at(&api_with(&url, &token)).await.ok())).await?;
        assert!(seen.is_empty(), "{seen:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_listener_refused_is_shown_and_counted_by_every_replica() -> Result<(), Failure> {
    let all = Replicas::start(30).await?;
    // Not signed: the start of the replicas has posted some as well.
    let answer = post(&all.url, Vec::new(), Bytes::from_static(b"{}")).await?;
    assert!([401, 415].contains(&answer.status));
    for api in everywhere(&all) {
        eventually(async || {
            let refusals = EventServiceClient::new(api.clone())
                .list_refusals(v1::ListRefusalsRequest {
                    parent: "orgs/acme/groups/code".to_owned(),
                    ..Default::default()
                })
                .await?
                .into_inner()
                .refusals;
            let group = WebhookGroupServiceClient::new(api.clone())
                .get_webhook_group(v1::GetWebhookGroupRequest {
                    name: "orgs/acme/groups/code".to_owned(),
                })
                .await?
                .into_inner();
            let counts = group.status.unwrap_or_default().counts.unwrap_or_default();
            Ok((!refusals.is_empty() && counts.refused > 0).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// A token of `acme`: its bearer, and its name.
async fn mint(rig: &Rig, spec: v1::TokenSpec) -> Result<(String, String), Failure> {
    let made = TokenServiceClient::new(rig.api())
        .create_token(v1::CreateTokenRequest {
            parent: "orgs/acme".to_owned(),
            spec: Some(spec),
            lifetime_seconds: 0,
        })
        .await?
        .into_inner();
    let metadata = made.token.unwrap_or_default().metadata.unwrap_or_default();
    Ok((made.bearer, format!("orgs/acme/tokens/{}", metadata.name)))
}

/// Subscribes to `code/all`, and says what its stream ended with.
async fn subscribed(
    api: Api,
) -> Result<tokio::task::JoinHandle<Result<Option<v1::SubscribeResponse>, tonic::Status>>, Failure>
{
    let start = v1::SubscribeStart {
        webhook: "orgs/acme/groups/code/webhooks/all".to_owned(),
        ..Default::default()
    };
    let (said, requests) = tokio::sync::mpsc::channel(1);
    said.send(v1::SubscribeRequest {
        kind: Some(Said::Start(start)),
    })
    .await?;
    let mut stream = SubscriptionServiceClient::new(api)
        .subscribe(tokio_stream::wrappers::ReceiverStream::new(requests))
        .await?
        .into_inner();
    Ok(tokio::spawn(async move {
        let _open = said;
        stream.message().await
    }))
}

#[tokio::test]
async fn a_webhook_deleted_at_one_replica_ends_its_subscriptions_at_the_other()
-> Result<(), Failure> {
    let all = Replicas::start(30).await?;
    let stream = subscribed(api(&all.replicas[1].proxy.url())).await?;
    all.rig.delete_webhook("code", "all").await?;
    let ended = soon(stream).await??.unwrap_err();
    assert_eq!(ended.code(), Code::NotFound, "{ended}");
    Ok(())
}

#[tokio::test]
async fn a_token_revoked_at_one_replica_ends_its_streams_at_the_other() -> Result<(), Failure> {
    let all = Replicas::start(30).await?;
    let spec = v1::TokenSpec {
        role: v1::TokenRole::Consumer.into(),
        webhooks: vec!["orgs/acme/groups/code/webhooks/all".to_owned()],
        ..Default::default()
    };
    let (token, name) = mint(&all.rig, spec).await?;
    let other = all.replicas[1].proxy.url();
    let stream = eventually(async || Ok(subscribed(api_with(&other, &token)).await.ok())).await?;
    TokenServiceClient::new(all.rig.api())
        .revoke_token(v1::RevokeTokenRequest { name })
        .await?;
    let ended = soon(stream).await??.unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    Ok(())
}

// A replica that hasn't heard of a deletion keeps deliveries for what is gone.
#[tokio::test]
async fn what_a_lagging_replica_kept_for_a_deleted_webhook_is_dropped_once_it_hears()
-> Result<(), Failure> {
    let all = Replicas::start(30).await?;
    all.post_all(0..1).assert_all_ok().await?;
    // The appends wait, matched and not yet kept, while the webhook goes.
    for replica in &all.replicas {
        replica.log.freeze();
    }
    let posts = all.post_all(1..9);
    all.holder().await?;
    all.rig.delete_webhook("code", "all").await?;
    for replica in &all.replicas {
        replica.log.thaw();
    }
    posts.assert_all_ok().await?;
    eventually(async || {
        let deliveries = all.rig.deliveries("code/-").await?;
        let dropped = |d: &v1::Delivery| d.status() == v1::DeliveryStatus::Dropped;
        Ok((!deliveries.is_empty() && deliveries.iter().all(dropped)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn of_two_replicas_with_different_public_urls_none_moves_what_the_other_made()
-> Result<(), Failure> {
    let mut rig = Rig::start().await?;
    let before = callback_url(&rig.group("code", |_| {}).await?);
    rig.public_url = "https://hooks.example.com".to_owned();
    let second = Replica::start(&rig, server::STREAM_AGE).await?;
    let there = api(&second.proxy.url());
    eventually(async || Ok(listeners_at(&there).await.ok())).await?;
    assert_eq!(callback_url(&rig.get_group("code").await?), before);
    // With the other one gone, it follows.
    rig.stop.cancel();
    let moved = eventually(async || {
        let got = WebhookGroupServiceClient::new(there.clone())
            .get_webhook_group(v1::GetWebhookGroupRequest {
                name: "orgs/acme/groups/code".to_owned(),
            })
            .await?;
        let url = callback_url(&got.into_inner());
        Ok((url != before).then_some(url))
    })
    .await?;
    assert!(
        moved.starts_with("https://hooks.example.com/acme/"),
        "{moved}"
    );
    Ok(())
}

super::backends::on_cluster!(
    what_is_written_at_one_replica_is_live_by_a_listener_of_another,
    a_killed_replica_holds_up_what_is_live_for_seconds_and_leaves_nothing,
    an_org_s_token_shows_no_listener_of_the_operator_s_at_any_replica,
    what_a_listener_refused_is_shown_and_counted_by_every_replica,
    a_webhook_deleted_at_one_replica_ends_its_subscriptions_at_the_other,
    a_token_revoked_at_one_replica_ends_its_streams_at_the_other,
    what_a_lagging_replica_kept_for_a_deleted_webhook_is_dropped_once_it_hears,
    of_two_replicas_with_different_public_urls_none_moves_what_the_other_made,
);
