//! Tokens themselves: what is made, kept, told, and what they are for.

use hookplane_control_plane::access::installation_admin_exists;
use hookplane_control_plane::store::{Store as _, Transaction, Write};
use hookplane_proto::v1;
use hookplane_rules::Clock as _;
use prost::Message;
use tonic::Code;
use tonic_types::StatusExt as _;
use v1::TokenRole;

use super::rig::{BOOTSTRAP, Rig, all_of, consumer, listener, role};
use crate::fake_control_plane::Failure;

async fn subscribe(rig: &Rig, token: &str, webhook: &str) -> Result<(), tonic::Status> {
    let start = v1::subscribe_request::Kind::Start(v1::SubscribeStart {
        webhook: webhook.to_owned(),
        ..Default::default()
    });
    let start = v1::SubscribeRequest { kind: Some(start) }.encode_to_vec();
    let path = "/hookplane.v1.SubscriptionService/Subscribe";
    let mut call = rig.call(Some(token), path, start, true).await?;
    call.next().await.map(|_| ())
}

#[tokio::test]
async fn a_token_is_told_once_and_its_secret_is_kept_nowhere() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let (token, id) = rig.token("acme", role(TokenRole::Viewer), 3_600).await?;
    assert!(token.starts_with(&format!("hkp_{id}_")), "scanners know it");
    let secret = token.rsplit('_').next().ok_or("a secret")?;
    assert_eq!(secret.len(), 64);
    let stored = rig.store.list("", None, 10_000, None).await?.entries;
    let key = format!("v1/tokens/acme/{id}");
    assert!(stored.iter().any(|entry| entry.key == key));
    for entry in stored {
        let holds = |text: &[u8]| entry.value.windows(text.len()).any(|w| w == text);
        assert!(
            !holds(secret.as_bytes()) && !holds(&hex::decode(secret)?),
            "{}",
            entry.key
        );
    }
    let name = format!("orgs/acme/tokens/{id}");
    let read = rig
        .tokens(BOOTSTRAP)
        .get_token(v1::GetTokenRequest { name })
        .await?;
    let read = read.into_inner();
    assert!(!format!("{read:?}").contains(secret));
    let status = read.status.unwrap_or_default();
    let now = rig.clock.now().seconds();
    assert_eq!(status.expire_time.unwrap_or_default().seconds, now + 3_600);
    assert_eq!(status.last_use_time, None);
    rig.clock.advance(std::time::Duration::from_secs(5));
    rig.orgs(&token)
        .list_orgs(v1::ListOrgsRequest::default())
        .await?;
    let list = v1::ListTokensRequest::default();
    let list = rig
        .tokens(BOOTSTRAP)
        .list_tokens(list)
        .await?
        .into_inner()
        .tokens;
    let used = list[0].status.unwrap_or_default().last_use_time;
    assert_eq!(used.unwrap_or_default().seconds, now + 5);
    Ok(())
}

#[tokio::test]
async fn a_token_outlives_a_restart_and_the_bootstrap_token_is_the_servers_alone()
-> Result<(), Failure> {
    let rig = Rig::start().await?;
    assert!(!installation_admin_exists(&*rig.store, rig.clock.now()).await?);
    rig.token("acme", role(TokenRole::Admin), 0).await?;
    rig.token("", role(TokenRole::Editor), 0).await?;
    rig.token("", role(TokenRole::Admin), 10).await?;
    rig.clock.advance(std::time::Duration::from_secs(10));
    assert!(
        !installation_admin_exists(&*rig.store, rig.clock.now()).await?,
        "of one org, no admin, expired"
    );
    let (admin, _) = rig.token("", role(TokenRole::Admin), 0).await?;
    assert!(installation_admin_exists(&*rig.store, rig.clock.now()).await?);
    let rig = rig.restart(None).await?;
    let list = || v1::ListOrgsRequest::default();
    let orgs = rig.orgs(&admin).list_orgs(list()).await?.into_inner().orgs;
    assert_eq!(orgs.len(), 2);
    for token in [BOOTSTRAP, ""] {
        let refused = rig.orgs(token).list_orgs(list()).await;
        assert_eq!(
            refused.err().ok_or("lets in")?.code(),
            Code::Unauthenticated
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_consumer_takes_its_webhooks_deliveries_and_no_others() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let own = "orgs/acme/groups/code/webhooks/pushes";
    let second = all_of("acme").split("---\n").nth(3).unwrap().to_owned();
    let second = second.replace("name: pushes", "name: second");
    rig.apply(BOOTSTRAP, &second).await?;
    let (token, _) = rig.token("acme", consumer("acme"), 0).await?;
    subscribe(&rig, &token, own).await?;
    for another in [
        "orgs/acme/groups/code/webhooks/second",
        "orgs/other/groups/code/webhooks/pushes",
        // Nothing is told of what isn't there.
        "orgs/acme/groups/code/webhooks/none",
    ] {
        let refused = subscribe(&rig, &token, another).await;
        let refused = refused.err().ok_or(another)?;
        assert_eq!(refused.code(), Code::PermissionDenied, "{another}");
    }
    Ok(())
}

#[tokio::test]
async fn a_webhooks_name_used_again_is_not_what_a_token_was_made_for() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let path = "orgs/acme/groups/code/webhooks/pushes";
    let (token, _) = rig.token("acme", consumer("acme"), 0).await?;
    subscribe(&rig, &token, path).await?;
    rig.delete_webhook("acme").await?;
    let gone = subscribe(&rig, &token, path).await;
    assert_eq!(gone.err().ok_or("it is gone")?.code(), Code::NotFound);
    rig.apply(BOOTSTRAP, &all_of("acme")).await?;
    rig.report("acme", "d-2").await?;
    let refused = subscribe(&rig, &token, path).await.err().ok_or("taken")?;
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("earlier"), "{refused}");
    let (fresh, _) = rig.token("acme", consumer("acme"), 0).await?;
    subscribe(&rig, &fresh, path).await?;
    Ok(())
}

#[tokio::test]
async fn an_admin_gives_no_more_than_it_has() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let (admin, _) = rig.token("acme", role(TokenRole::Admin), 0).await?;
    rig.token_by(&admin, "acme", role(TokenRole::Admin), 0)
        .await?;
    rig.token_by(&admin, "acme", listener(), 0).await?;
    for org in ["", "other"] {
        let refused = rig.token_by(&admin, org, role(TokenRole::Viewer), 0).await;
        assert_eq!(refused.err().ok_or(org)?.code(), Code::PermissionDenied);
    }
    // A webhook of another org in a token of one's own.
    let refused = rig.token_by(&admin, "acme", consumer("other"), 0).await;
    let refused = refused.err().ok_or("given")?;
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    // And another's token is none to be found.
    let (_, foreign) = rig.token("other", role(TokenRole::Viewer), 0).await?;
    let (_, everywhere) = rig.token("", role(TokenRole::Viewer), 0).await?;
    for (name, code) in [
        (format!("orgs/-/tokens/{foreign}"), Code::NotFound),
        (format!("orgs/-/tokens/{everywhere}"), Code::NotFound),
        (format!("orgs/acme/tokens/{foreign}"), Code::NotFound),
        (
            format!("orgs/other/tokens/{foreign}"),
            Code::PermissionDenied,
        ),
        (format!("tokens/{everywhere}"), Code::PermissionDenied),
    ] {
        let request = v1::RevokeTokenRequest { name: name.clone() };
        let refused = rig.tokens(&admin).revoke_token(request).await;
        assert_eq!(refused.err().ok_or("revoked")?.code(), code, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_makes_no_sense_is_refused_with_the_field() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let path = "orgs/acme/groups/code/webhooks/pushes".to_owned();
    let with = |of, webhooks: &[&str], pools: &[&str]| v1::TokenSpec {
        webhooks: webhooks.iter().map(|w| (*w).to_owned()).collect(),
        pools: pools.iter().map(|p| (*p).to_owned()).collect(),
        ..role(of)
    };
    let many: Vec<String> = (0..101).map(|n| format!("p-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (spec, lifetime, field) in [
        (role(TokenRole::Unspecified), 0, "spec.role"),
        (
            v1::TokenSpec {
                role: 99,
                ..role(TokenRole::Viewer)
            },
            0,
            "spec.role",
        ),
        (role(TokenRole::Consumer), 0, "spec.webhooks"),
        (role(TokenRole::Listener), 0, "spec.pools"),
        (with(TokenRole::Viewer, &[&path], &[]), 0, "spec.webhooks"),
        (with(TokenRole::Admin, &[], &["edge"]), 0, "spec.pools"),
        (
            with(TokenRole::Consumer, &[&path, &path], &[]),
            0,
            "spec.webhooks",
        ),
        (
            with(TokenRole::Consumer, &["acme/code/pushes"], &[]),
            0,
            "spec.webhooks[0]",
        ),
        (
            with(
                TokenRole::Consumer,
                &["orgs/acme/groups/code/webhooks/template"],
                &[],
            ),
            0,
            "spec.webhooks[0]",
        ),
        (with(TokenRole::Listener, &[], &["-"]), 0, "spec.pools[0]"),
        (with(TokenRole::Listener, &[], &many), 0, "spec.pools"),
        (role(TokenRole::Viewer), u32::MAX, "lifetime_seconds"),
    ] {
        let refused = rig.token("acme", spec, lifetime).await.err().ok_or(field)?;
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        let details = refused.get_error_details();
        let violations = &details.bad_request().ok_or("details")?.field_violations;
        assert_eq!(violations[0].field, field);
    }
    let missing = with(
        TokenRole::Consumer,
        &["orgs/acme/groups/code/webhooks/none"],
        &[],
    );
    let refused = rig.token("acme", missing, 0).await.err().ok_or("made")?;
    assert_eq!(refused.code(), Code::NotFound);
    let refused = rig.token("nowhere", role(TokenRole::Viewer), 0).await;
    assert_eq!(refused.err().ok_or("made")?.code(), Code::NotFound);
    Ok(())
}

#[tokio::test]
async fn an_org_has_a_thousand_tokens_at_most_and_all_go_with_it() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    for n in 0..10 {
        let rows = (0..100).map(|m| Write::Put(format!("v1/tokens/other/{n}-{m}"), "row".into()));
        let transaction = Transaction {
            checks: Vec::new(),
            writes: rows.collect(),
        };
        rig.store.commit(transaction).await?;
    }
    let refused = rig.token("other", role(TokenRole::Viewer), 0).await;
    let refused = refused.err().ok_or("one too many")?;
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    rig.token("acme", role(TokenRole::Viewer), 0).await?;
    rig.delete_org("other").await?;
    let left = rig
        .store
        .list("v1/tokens/", None, 10_000, None)
        .await?
        .entries;
    assert_eq!(left.len(), 1, "of acme");
    Ok(())
}
