//! What ends with a token: every call that it opened.

use hookplane_proto::v1;
use prost::Message;
use tonic::Code;
use v1::TokenRole;
use v1::report_request::Kind as Reported;

use super::rig::{BOOTSTRAP, POOL, Rig, all_of, consumer, listener, role};
use super::wire::Call;
use crate::fake_control_plane::Failure;

/// Streams of each kind, each of a token of its own, all in use: with the token's id.
async fn opened(rig: &Rig, lifetime: u32) -> Result<Vec<(String, String, Call)>, Failure> {
    let (viewer, listens) = (role(TokenRole::Viewer), listener());
    let tail = v1::TailRequest {
        parent: "orgs/acme".to_owned(),
        from_start: true,
        ..Default::default()
    };
    let start = v1::subscribe_request::Kind::Start(v1::SubscribeStart {
        webhook: "orgs/acme/groups/code/webhooks/pushes".to_owned(),
        ..Default::default()
    });
    let start = v1::SubscribeRequest { kind: Some(start) };
    let config = v1::stream_config_request::Kind::Hello(v1::ConfigHello {
        listener: "l".to_owned(),
        pool: POOL.to_owned(),
        ..Default::default()
    });
    let config = v1::StreamConfigRequest { kind: Some(config) };
    let report = Reported::Hello(v1::ReportHello {
        pool: POOL.to_owned(),
        ..Default::default()
    });
    let report = v1::ReportRequest { kind: Some(report) };
    let mut calls = Vec::new();
    for (method, spec, first) in [
        ("EventService/Tail", viewer, tail.encode_to_vec()),
        (
            "SubscriptionService/Subscribe",
            consumer("acme"),
            start.encode_to_vec(),
        ),
        (
            "ConfigService/StreamConfig",
            listens.clone(),
            config.encode_to_vec(),
        ),
        ("ReportService/Report", listens, report.encode_to_vec()),
    ] {
        let (token, id) = rig.token("acme", spec, lifetime).await?;
        let path = format!("/hookplane.v1.{method}");
        let open = method != "EventService/Tail";
        let mut call = rig.call(Some(&token), &path, first, open).await?;
        assert!(call.next().await?.is_some(), "{method} has begun");
        calls.push((method.to_owned(), id, call));
    }
    Ok(calls)
}

/// How a stream ends. What it brings before is passed over.
pub(super) async fn end(mut call: Call) -> Option<Code> {
    loop {
        match call.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(status) => return Some(status.code()),
        }
    }
}

#[tokio::test]
async fn a_revoked_token_ends_its_streams() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    for (method, id, call) in opened(&rig, 0).await? {
        rig.revoke(&id).await?;
        assert_eq!(end(call).await, Some(Code::Unauthenticated), "{method}");
    }
    // And nobody else's: the delivery that was leased is there for the next one, at once.
    let (token, _) = rig.token("acme", consumer("acme"), 0).await?;
    let start = v1::subscribe_request::Kind::Start(v1::SubscribeStart {
        webhook: "orgs/acme/groups/code/webhooks/pushes".to_owned(),
        ..Default::default()
    });
    let start = v1::SubscribeRequest { kind: Some(start) }.encode_to_vec();
    let path = "/hookplane.v1.SubscriptionService/Subscribe";
    let mut again = rig.call(Some(&token), path, start, true).await?;
    let lease = again.next().await?.ok_or("a lease")?;
    let lease = v1::SubscribeResponse::decode(lease)?;
    assert_eq!(
        lease.delivery.unwrap_or_default().attempts,
        1,
        "it was given back"
    );
    Ok(())
}

#[tokio::test]
async fn an_expired_token_ends_its_streams() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let calls = opened(&rig, 3_600).await?;
    rig.clock.advance(std::time::Duration::from_secs(3_600));
    for (method, _, call) in calls {
        assert_eq!(end(call).await, Some(Code::Unauthenticated), "{method}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_sent_after_the_end_of_a_token_is_not_kept() -> Result<(), Failure> {
    use tokio_stream::wrappers::ReceiverStream;
    let rig = Rig::start().await?;
    let (token, id) = rig.token("acme", listener(), 0).await?;
    let (to, requests) = tokio::sync::mpsc::channel(4);
    let wire = rig.wire(&token);
    let mut client = v1::report_service_client::ReportServiceClient::new(wire);
    let say = |kind| v1::ReportRequest { kind: Some(kind) };
    let hello = v1::ReportHello {
        pool: POOL.to_owned(),
        ..Default::default()
    };
    to.send(say(Reported::Hello(hello))).await?;
    let answers = client.report(ReceiverStream::new(requests)).await?;
    let mut answers = answers.into_inner();
    assert!(answers.message().await?.is_some());
    rig.revoke(&id).await?;
    // A listener that doesn't care, and goes on.
    let group = rig.group("acme").await?.metadata.unwrap_or_default();
    let callback = v1::ReportedCallback {
        request_id: b"\x01\x92\x00\x00\x00\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\xff"[..].into(),
        group_uid: group.uid,
        body: b"{}"[..].into(),
        events: vec![v1::ReportedEvent {
            r#type: "push".to_owned(),
            registered: true,
            ..Default::default()
        }],
        budget_milliseconds: 10_000,
        ..Default::default()
    };
    let batch = v1::ReportBatch {
        batch_id: 1,
        callbacks: vec![callback],
    };
    // The stream may be gone before this is taken.
    let _ = to.send(say(Reported::Batch(batch))).await;
    // News of the plan may come before that; an answer never does.
    let end = loop {
        match answers.message().await {
            Ok(Some(said)) => match said.kind {
                Some(v1::report_response::Kind::Plan(_)) => {}
                other => return Err(format!("it goes on: {other:?}").into()),
            },
            Ok(None) => return Err("it ended well".into()),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::Unauthenticated);
    let request = v1::ListEventsRequest {
        parent: "orgs/acme".to_owned(),
        ..Default::default()
    };
    let events = rig
        .events(BOOTSTRAP)
        .list_events(request)
        .await?
        .into_inner();
    assert_eq!(events.events.len(), 1, "the one that was there before");
    Ok(())
}

#[tokio::test]
async fn an_orgs_tokens_go_with_it_and_are_not_its_namesakes() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let (token, id) = rig.token("other", role(TokenRole::Viewer), 0).await?;
    let tail = v1::TailRequest {
        parent: "orgs/other".to_owned(),
        from_start: true,
        ..Default::default()
    };
    let path = "/hookplane.v1.EventService/Tail";
    let mut call = rig
        .call(Some(&token), path, tail.encode_to_vec(), false)
        .await?;
    assert!(call.next().await?.is_some());
    rig.delete_org("other").await?;
    assert_eq!(end(call).await, Some(Code::Unauthenticated));
    rig.apply(BOOTSTRAP, &all_of("other")).await?;
    let list = v1::ListOrgsRequest::default();
    let refused = rig
        .orgs(&token)
        .list_orgs(list)
        .await
        .err()
        .ok_or("lets in")?;
    assert_eq!(refused.code(), Code::Unauthenticated);
    let name = format!("orgs/other/tokens/{id}");
    let request = v1::GetTokenRequest { name };
    let gone = rig.tokens(BOOTSTRAP).get_token(request).await;
    assert_eq!(gone.err().ok_or("it is there")?.code(), Code::NotFound);
    Ok(())
}

#[tokio::test]
async fn an_admin_is_told_of_its_own_end() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let (token, id) = rig.token("acme", role(TokenRole::Admin), 0).await?;
    let request = v1::RevokeTokenRequest {
        name: format!("orgs/acme/tokens/{id}"),
    };
    rig.tokens(&token).revoke_token(request.clone()).await?;
    let again = rig.tokens(&token).revoke_token(request).await;
    assert_eq!(again.err().ok_or("lets in")?.code(), Code::Unauthenticated);
    Ok(())
}
