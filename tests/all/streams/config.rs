//! The config stream, with listeners that a test scripts.

use std::time::Duration;

use hookplane_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use v1::config_resource::Body;
use v1::config_service_client::ConfigServiceClient;
use v1::stream_config_request::Kind;
use v1::stream_config_response::Kind as Push;

use super::plain::{SECRET, signed};
use super::replica::Replica;
use super::rig::{Rig, api, callback_url, post, revision, uid};
use crate::fake_control_plane::{Failure, eventually, soon};

/// A listener's side of the stream.
pub(super) struct Scripted {
    to: mpsc::Sender<v1::StreamConfigRequest>,
    from: Streaming<v1::StreamConfigResponse>,
    pub(super) welcome: v1::ConfigWelcome,
}

pub(super) fn hello(name: &str, pool: &str) -> v1::ConfigHello {
    v1::ConfigHello {
        listener: name.to_owned(),
        boot: format!("boot of {name}"),
        pool: pool.to_owned(),
        ..Default::default()
    }
}

impl Scripted {
    pub(super) async fn connect(url: &str, hello: v1::ConfigHello) -> Result<Self, Failure> {
        let (to, requests) = mpsc::channel(16);
        say(&to, Kind::Hello(hello)).await?;
        let mut client = ConfigServiceClient::new(api(url));
        let mut from = soon(client.stream_config(ReceiverStream::new(requests)))
            .await??
            .into_inner();
        let first = soon(from.message()).await??.and_then(|said| said.kind);
        let Some(Push::Welcome(welcome)) = first else {
            return Err(format!("not welcome: {first:?}").into());
        };
        Ok(Self { to, from, welcome })
    }

    /// The next push; heartbeats are passed over.
    pub(super) async fn next(&mut self) -> Result<Push, Failure> {
        soon(async {
            loop {
                let said = self.from.message().await?;
                match said.and_then(|said| said.kind) {
                    Some(Push::Heartbeat(_)) => {}
                    Some(push) => return Ok(push),
                    None => return Err("the stream ended".into()),
                }
            }
        })
        .await?
    }

    pub(super) async fn list(
        &mut self,
    ) -> Result<(Vec<v1::ConfigResource>, v1::ConfigListEnd), Failure> {
        let mut resources = Vec::new();
        loop {
            match self.next().await? {
                Push::ListChunk(chunk) => {
                    resources.extend(chunk.resources);
                    if let Some(end) = chunk.end {
                        assert_eq!(end.count, resources.len() as u64);
                        return Ok((resources, end));
                    }
                }
                other => return Err(format!("not a list: {other:?}").into()),
            }
        }
    }

    pub(super) async fn delta(&mut self) -> Result<v1::ConfigDelta, Failure> {
        match self.next().await? {
            Push::Delta(delta) => Ok(delta),
            other => Err(format!("not a delta: {other:?}").into()),
        }
    }

    async fn ack(&self, nonce: u64, revision: u64, digest: u64) -> Result<(), Failure> {
        let ack = v1::ConfigAck {
            nonce,
            revision,
            digest,
        };
        say(&self.to, Kind::Ack(ack)).await
    }

    pub(super) async fn ack_delta(&self, delta: &v1::ConfigDelta) -> Result<(), Failure> {
        self.ack(delta.nonce, delta.to, delta.digest).await
    }

    async fn ack_list(&self, end: &v1::ConfigListEnd) -> Result<(), Failure> {
        self.ack(end.nonce, end.revision, end.digest).await
    }

    async fn ready(&self) -> Result<(), Failure> {
        say(&self.to, Kind::Ready(v1::ConfigReady { ready: true })).await
    }

    /// Takes the first list and says ready.
    pub(super) async fn settle(
        &mut self,
    ) -> Result<(Vec<v1::ConfigResource>, v1::ConfigListEnd), Failure> {
        let (resources, end) = self.list().await?;
        self.ack_list(&end).await?;
        self.ready().await?;
        Ok((resources, end))
    }

    /// Why the stream ended.
    pub(super) async fn end(&mut self) -> Result<Option<Status>, Failure> {
        soon(async {
            loop {
                match self.from.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(status) => return Some(status),
                }
            }
        })
        .await
    }
}

async fn say(to: &mpsc::Sender<v1::StreamConfigRequest>, kind: Kind) -> Result<(), Failure> {
    Ok(soon(to.send(v1::StreamConfigRequest { kind: Some(kind) })).await??)
}

async fn live(rig: &Rig, group: &str) -> Result<v1::Live, Failure> {
    Ok(rig
        .get_group(group)
        .await?
        .status
        .and_then(|status| status.live)
        .unwrap_or_default())
}

async fn applied(rig: &Rig, group: &str) -> Result<v1::Live, Failure> {
    eventually(async || Ok(Some(live(rig, group).await?).filter(|live| live.applied))).await
}

#[tokio::test]
async fn a_listener_gets_everything_once_and_then_only_what_changes() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    assert!(!listener.welcome.resume);
    let (resources, end) = listener.settle().await?;
    let secrets: Vec<String> = resources
        .iter()
        .filter_map(|resource| match &resource.body {
            Some(Body::Group(group)) => group.spec.clone(),
            _ => None,
        })
        .flat_map(|spec| spec.signature_secrets)
        .map(|secret| secret.value)
        .collect();
    assert_eq!(secrets, [SECRET], "a listener gets secrets opened");
    assert!(
        resources
            .iter()
            .any(|resource| matches!(resource.body, Some(Body::Connector(_)))),
        "the pinned connector comes along"
    );
    assert_eq!(applied(&rig, "code").await?.connected, 1);

    let webhook = rig.webhook("code", "all", "").await?;
    let delta = listener.delta().await?;
    assert_eq!(delta.from, end.revision);
    assert!(delta.to >= revision(&webhook.metadata));
    let upserts: Vec<&str> = delta.upserts.iter().map(|r| r.uid.as_str()).collect();
    assert_eq!(upserts, [uid(&webhook.metadata)]);
    assert!(delta.removes.is_empty());
    assert_eq!(delta.upserts[0].group_uid, uid(&group.metadata));
    listener.ack_delta(&delta).await?;

    rig.delete_webhook("code", "all").await?;
    let delta = listener.delta().await?;
    assert_eq!(delta.removes, [uid(&webhook.metadata)]);
    assert!(delta.upserts.is_empty());
    Ok(())
}

// Risk 18: one push in flight, and what piles up is the newest of each resource.
#[tokio::test]
async fn what_changes_during_a_push_comes_as_one() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    let (_, end) = listener.list().await?;
    rig.group("code", |_| {}).await?;
    for n in 0..5 {
        rig.update_group("code", |spec| spec.display_name = n.to_string())
            .await?;
    }
    listener.ack_list(&end).await?;
    let delta = listener.delta().await?;
    let names: Vec<String> = delta
        .upserts
        .iter()
        .filter_map(|resource| match &resource.body {
            Some(Body::Group(group)) => group.spec.clone().map(|spec| spec.display_name),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["4"]);
    Ok(())
}

// Risk 24: a bad resource is refused alone, and the control plane says so.
#[tokio::test]
async fn what_a_listener_refuses_shows_until_it_takes_a_later_version() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    rig.group("other", |_| {}).await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    let (_, end) = listener.list().await?;
    let nack = v1::ConfigNack {
        nonce: end.nonce,
        revision: end.revision,
        digest: end.digest,
        errors: vec![v1::ConfigError {
            uid: uid(&group.metadata),
            revision: revision(&group.metadata),
            reason: "it does not compile here".to_owned(),
        }],
    };
    say(&listener.to, Kind::Nack(nack)).await?;
    listener.ready().await?;
    let problems = eventually(async || {
        let live = live(&rig, "code").await?;
        assert!(!live.applied);
        Ok(Some(live.problems).filter(|problems| !problems.is_empty()))
    })
    .await?;
    assert_eq!(problems, ["l1: it does not compile here"]);
    assert!(applied(&rig, "other").await?.problems.is_empty());
    assert_eq!(rig.listeners().await?[0].problems.len(), 1);

    rig.update_group("code", |spec| spec.display_name = "mended".to_owned())
        .await?;
    let delta = listener.delta().await?;
    listener.ack_delta(&delta).await?;
    assert!(applied(&rig, "code").await?.problems.is_empty());
    Ok(())
}

// Risk 17: a removal that got lost.
#[tokio::test]
async fn a_digest_that_differs_brings_one_full_list_and_no_second() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    listener.settle().await?;
    rig.webhook("code", "one", "").await?;
    let delta = listener.delta().await?;
    listener
        .ack(delta.nonce, delta.to, delta.digest.wrapping_add(1))
        .await?;
    let (resources, end) = listener.list().await?;
    assert!(resources.len() > delta.upserts.len());
    assert_eq!(end.digest, delta.digest);
    listener
        .ack(end.nonce, end.revision, end.digest.wrapping_add(1))
        .await?;
    // What comes next is a change, not the list again.
    rig.webhook("code", "two", "").await?;
    let delta = listener.delta().await?;
    assert_eq!(delta.upserts.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_to_no_push_ends_the_stream() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    let (_, end) = listener.settle().await?;
    listener
        .ack(end.nonce + 1, end.revision, end.digest)
        .await?;
    let status = listener.end().await?.ok_or("it ended well")?;
    assert_eq!(status.code(), Code::InvalidArgument);
    eventually(async || Ok(rig.listeners().await?.is_empty().then_some(()))).await
}

// Risk 44: the time comes before the first plan, by which callbacks would be judged.
#[tokio::test]
async fn a_listener_hears_the_time_before_its_first_list() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    let first = soon(listener.from.message()).await??;
    let Some(Push::Heartbeat(beat)) = first.and_then(|said| said.kind) else {
        return Err("the first word after welcome is not the time".into());
    };
    assert!(beat.time.is_some());
    listener.settle().await?;
    Ok(())
}

// Risk 18: a listener that answers nothing is let go, and the others notice nothing.
#[tokio::test]
async fn a_listener_that_does_not_answer_is_disconnected() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let within = Duration::from_secs(3);
    let store = rig.another_store().await?;
    let replica = Replica::start(&rig, store, |api| api.answer_within(within)).await?;
    let (url, fleet) = (replica.url.clone(), replica.fleet.clone());
    let mut good = Scripted::connect(&url, hello("good", "")).await?;
    good.settle().await?;
    let mut stalled = Scripted::connect(&url, hello("stalled", "")).await?;
    let status = stalled.end().await?.ok_or("it ended well")?;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    // The other one is still there.
    eventually(async || {
        let names: Vec<String> = fleet
            .listeners(None, 0, |_| 0)
            .into_iter()
            .map(|l| l.name)
            .collect();
        Ok((names == ["good"]).then_some(()))
    })
    .await?;
    Ok(())
}

// Promise 8: a listener has what its pool has, and nothing else.
#[tokio::test]
async fn a_pool_has_its_own_groups_and_secrets_only() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let mut of_b = Scripted::connect(&rig.url, hello("b1", "b")).await?;
    let (resources, _) = of_b.settle().await?;
    assert!(resources.is_empty(), "{resources:?}");
    // A change in `default` is none of its business; the next push is of its own group.
    rig.webhook("code", "all", "").await?;
    let own = rig.group("own", |spec| spec.pool = "b".to_owned()).await?;
    let delta = of_b.delta().await?;
    let text = format!("{:?}", delta.upserts);
    assert!(
        text.contains(&uid(&own.metadata)) && !text.contains("\"code\""),
        "{text}"
    );
    of_b.ack_delta(&delta).await?;
    assert_eq!(applied(&rig, "own").await?.connected, 1);
    assert_eq!(live(&rig, "code").await?.connected, 0);

    // A group that moves away is taken away.
    rig.update_group("own", |spec| spec.pool = "default".to_owned())
        .await?;
    let delta = of_b.delta().await?;
    assert!(delta.removes.contains(&uid(&own.metadata)));
    assert!(delta.upserts.is_empty());
    Ok(())
}

// Risk 27: what is configured while the listener runs is served without a restart.
#[tokio::test]
async fn a_disabled_group_is_404_until_it_is_enabled() -> Result<(), Failure> {
    let mut rig = Rig::start().await?;
    rig.patience(60).await?;
    let group = rig.group("code", |spec| spec.disabled = true).await?;
    rig.webhook("code", "all", "").await?;
    let _listener = rig.listen().await?;
    applied(&rig, "code").await?;
    let url = callback_url(&group);
    let body = &b"{}"[..];
    let answer = post(&url, signed("d-1", body), body.into()).await?;
    assert_eq!(answer.status, 404);
    rig.update_group("code", |spec| spec.disabled = false)
        .await?;
    applied(&rig, "code").await?;
    let answer = post(&url, signed("d-1", body), body.into()).await?;
    assert_eq!(
        (answer.status, answer.receipt()),
        (200, rig.backends.receipt())
    );
    rig.update_group("code", |spec| spec.disabled = true)
        .await?;
    applied(&rig, "code").await?;
    let answer = post(&url, signed("d-2", body), body.into()).await?;
    assert_eq!(answer.status, 404);
    Ok(())
}

super::backends::on_cluster!(
    a_listener_gets_everything_once_and_then_only_what_changes,
    what_changes_during_a_push_comes_as_one,
    what_a_listener_refuses_shows_until_it_takes_a_later_version,
    a_digest_that_differs_brings_one_full_list_and_no_second,
    an_answer_to_no_push_ends_the_stream,
    a_listener_hears_the_time_before_its_first_list,
    a_listener_that_does_not_answer_is_disconnected,
    a_pool_has_its_own_groups_and_secrets_only,
    a_disabled_group_is_404_until_it_is_enabled,
);
