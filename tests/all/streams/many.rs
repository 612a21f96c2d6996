//! Many listeners at once, and bad ones among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookplane_control_plane::keys;
use hookplane_control_plane::store::{Entry, MAX_WRITES, Transaction, Write};
use hookplane_proto::v1;
use prost::Message;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use v1::config_service_client::ConfigServiceClient;

use super::config::hello;
use super::model::{Heard, Model, Stream};
use super::replica::Replica;
use super::rig::{Rig, api, revision, uid};
use crate::fake_control_plane::{Failure, PATIENCE, eventually, soon};
use crate::proxy::Proxy;

/// Streams on one connection: fewer than a server allows.
const PER_CONNECTION: usize = 100;

/// So many listeners, each with its first list.
async fn connected(url: &str, count: usize) -> Result<Vec<(Model, Stream)>, Failure> {
    let mut tasks = JoinSet::new();
    for from in (0..count).step_by(PER_CONNECTION) {
        let client = ConfigServiceClient::new(api(url));
        for n in from..count.min(from + PER_CONNECTION) {
            let client = client.clone();
            tasks.spawn(async move {
                let mut listener = Model::new(&format!("l{n}"), "");
                let mut stream = listener.connect_with(client).await??;
                listener.until(&mut stream, |l| l.lists == 1).await?;
                Ok::<_, Failure>((listener, stream))
            });
        }
    }
    tasks.join_all().await.into_iter().collect()
}

/// All of them hear until they have this.
async fn all_hear(
    listeners: Vec<(Model, Stream)>,
    uid: &str,
    revision: u64,
) -> Result<Vec<(Model, Stream)>, Failure> {
    let mut tasks = JoinSet::new();
    for (mut listener, mut stream) in listeners {
        let uid = uid.to_owned();
        tasks.spawn(async move {
            listener
                .until(&mut stream, |l| l.has(&uid, revision))
                .await?;
            Ok::<_, Failure>((listener, stream))
        });
    }
    tasks.join_all().await.into_iter().collect()
}

// Promise 7, and risk 23: lists are encoded once as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_change_is_encoded_once_for_a_thousand_streams() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let replica = Replica::start(&rig, rig.another_store().await?, |api| api).await?;
    let before = replica.view.encodings();
    let listeners = connected(&replica.url, 1_000).await?;
    assert_eq!(replica.view.encodings(), before, "a list encodes nothing");

    let webhook = rig
        .update_webhook("code", "all", |spec| spec.label = "new".to_owned())
        .await?;
    let (uid, revision) = (uid(&webhook.metadata), revision(&webhook.metadata));
    let listeners = all_hear(listeners, &uid, revision).await?;
    assert_eq!(listeners.len(), 1_000);
    assert_eq!(replica.view.encodings(), before + 1);
    for (listener, _) in &listeners {
        let changed = &listener.resources[&uid];
        assert!(
            matches!(&changed.body, Some(v1::config_resource::Body::Webhook(w))
            if w.spec.as_ref().is_some_and(|spec| spec.label == "new"))
        );
        assert_eq!((listener.lists, listener.deltas), (1, 1));
    }
    // All of them said so.
    eventually(async || {
        let all = replica.fleet.listeners(None, 0, |_| 0);
        let applied = all.iter().filter(|l| l.revision >= revision).count();
        Ok((applied == 1_000).then_some(()))
    })
    .await
}

// Risk 18: frozen listeners keep nobody waiting, and are let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_hear_everything_while_a_tenth_is_frozen() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let replica = Replica::start(&rig, rig.another_store().await?, |api| {
        api.answer_within(Duration::from_secs(8))
    })
    .await?;
    let mut listeners = connected(&replica.url, 50).await?;
    let frozen = listeners.split_off(45);
    for n in 0..5 {
        let name = format!("w{n}");
        let webhook = rig.webhook("code", &name, "").await?;
        let (uid, revision) = (uid(&webhook.metadata), revision(&webhook.metadata));
        listeners = all_hear(listeners, &uid, revision).await?;
    }
    for (_, mut stream) in frozen {
        let status = stream.end().await?.ok_or("it ended well")?;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
    eventually(async || Ok((replica.fleet.listeners(None, 0, |_| 0).len() == 45).then_some(())))
        .await
}

// Risks 21 and 29: a stream of a certain age ends after it said so, and nothing is missed by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_come_of_age_drain_and_go_on_elsewhere() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let ages = Duration::from_millis(100)..Duration::from_millis(600);
    let one = Replica::of_age(&rig, rig.another_store().await?, ages, |api| api).await?;
    let two = Replica::start(&rig, rig.another_store().await?, |api| api).await?;
    let drained = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let (said, edits) = tokio::sync::watch::channel(None::<(String, u64)>);
    for n in 0..100 {
        let (first, second) = (one.url.clone(), two.url.clone());
        let (drained, mut edits) = (drained.clone(), edits.clone());
        tasks.spawn(async move {
            let mut listener = Model::new(&format!("l{n}"), "");
            let mut stream = listener.connect(&first).await?;
            loop {
                match listener.hear(&mut stream).await? {
                    Some(Heard::Drain) => break,
                    Some(_) => {}
                    None => return Err("it ended without a word".into()),
                }
            }
            drained.fetch_add(1, Ordering::Relaxed);
            drop(stream);
            assert_eq!(listener.lists, 1, "it had its plan");
            let mut stream = listener.connect(&second).await?;
            assert!(stream.welcome.resume);
            let last = soon(edits.wait_for(Option::is_some)).await??.clone();
            let (uid, revision) = last.unwrap_or_default();
            listener
                .until(&mut stream, |l| l.has(&uid, revision))
                .await?;
            assert_eq!(listener.lists, 1, "it goes on with what it had");
            Ok::<_, Failure>(())
        });
    }
    let mut last = None;
    let mut n = 0;
    // Edits go on until all have moved.
    let deadline = Instant::now() + PATIENCE;
    while drained.load(Ordering::Relaxed) < 100 {
        assert!(Instant::now() < deadline, "some don't come of age");
        let webhook = rig.webhook("code", &format!("w{n}"), "").await?;
        last = Some((uid(&webhook.metadata), revision(&webhook.metadata)));
        n += 1;
        while let Some(early) = tasks.try_join_next() {
            early??;
        }
    }
    said.send_replace(last);
    for done in tasks.join_all().await {
        done?;
    }
    Ok(())
}

// Risk 23: full lists are admitted a few at a time; who can resume needs none.
#[tokio::test]
async fn who_needs_a_full_list_is_told_to_come_back_while_others_get_theirs() -> Result<(), Failure>
{
    let rig = Rig::start().await?;
    let webhook = {
        rig.group("code", |_| {}).await?;
        rig.webhook("code", "all", "").await?
    };
    let mut known = Model::new("known", "");
    let mut stream = known.connect(&rig.url).await?;
    known.until(&mut stream, |l| l.lists == 1).await?;
    let full = Replica::start(&rig, rig.another_store().await?, |api| {
        api.lists_at_once(0, Duration::from_millis(1))
    })
    .await?;
    let client = ConfigServiceClient::new(api(&full.url));
    let Err(status) = Model::new("new", "").connect_with(client.clone()).await? else {
        return Err("it got a list".into());
    };
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    rig.delete_webhook("code", "all").await?;
    let mut stream = known.connect_with(client).await??;
    assert!(stream.welcome.resume);
    let gone = uid(&webhook.metadata);
    known.until(&mut stream, |l| !l.has(&gone, 0)).await?;

    // With one place at a time, a herd has its lists one after the other.
    let narrow = Replica::start(&rig, rig.another_store().await?, |api| {
        api.lists_at_once(1, Duration::from_secs(20))
    })
    .await?;
    assert_eq!(connected(&narrow.url, 200).await?.len(), 200);
    Ok(())
}

/// Longer than pings take to notice at either end, and shorter than a stream on which nothing comes or a push that isn't answered.
const NOTICED: Duration = Duration::from_secs(12);

// Risk 19: a path that swallows everything is noticed at both ends.
#[tokio::test]
async fn a_black_hole_is_noticed_at_both_ends() -> Result<(), Failure> {
    let mut rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let path = Proxy::start(&rig.url).await?;
    let _listener = rig.listen_by(&path.url()).await?;
    let hole = Proxy::start(&rig.url).await?;
    let mut silent = Model::new("silent", "");
    let mut stream = silent.connect(&hole.url()).await?;
    silent.until(&mut stream, |l| l.lists == 1).await?;
    stream.ready().await?;
    eventually(async || Ok((rig.listeners().await?.len() == 2).then_some(()))).await?;
    let has = |l: &v1::Listener, webhook: &v1::Webhook| {
        l.name == "real" && l.ready && l.revision >= revision(&webhook.metadata)
    };
    // Something came on its stream a moment ago.
    let before = rig.webhook("code", "before", "").await?;
    eventually(async || {
        let all = rig.listeners().await?;
        Ok(all.iter().any(|l| has(l, &before)).then_some(()))
    })
    .await?;
    path.freeze_open();
    hole.freeze_open();
    let webhook = rig.webhook("code", "all", "").await?;
    // The one that runs comes back on another connection and has it; the one that does nothing is no longer there.
    let noticed = eventually(async || {
        let all = rig.listeners().await?;
        Ok((all.len() == 1 && has(&all[0], &webhook)).then_some(()))
    });
    tokio::time::timeout(NOTICED, noticed).await?
}

/// A copy of a group's stored keys under other names and uids, without secrets, so that nothing has to be sealed anew.
fn copies(entries: &[Entry], groups: usize, webhooks: usize) -> Result<Vec<Write>, Failure> {
    let of = |prefix: &str| entries.iter().find(|entry| entry.key.starts_with(prefix));
    let group = of(keys::GROUPS).ok_or("no group")?;
    let webhook = of(keys::WEBHOOKS).ok_or("no webhook")?;
    let mut writes = Vec::new();
    for g in 0..groups {
        let mut group = v1::WebhookGroup::decode(group.value.clone())?;
        let name = format!("g{g}");
        let metadata = group.metadata.get_or_insert_default();
        (metadata.name, metadata.uid) = (name.clone(), format!("uid-{g}"));
        group.spec.get_or_insert_default().signature_secrets.clear();
        let url = format!("http://localhost/hooks/{g:032}");
        group.status.get_or_insert_default().callback_url = url;
        writes.push(put(keys::group("acme", &name), &group));
        for w in 0..webhooks {
            let mut webhook = v1::Webhook::decode(webhook.value.clone())?;
            let metadata = webhook.metadata.get_or_insert_default();
            metadata.group.clone_from(&name);
            (metadata.name, metadata.uid) = (format!("w{w}"), format!("uid-{g}-{w}"));
            let key = keys::webhook("acme", &name, &metadata.name);
            writes.push(put(key, &webhook));
        }
    }
    Ok(writes)
}

fn put<M: Message>(key: String, value: &M) -> Write {
    Write::Put(key, value.encode_to_vec().into())
}

// Risk 31: the 4 MiB default message limit, and 50,000 webhooks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_webhooks_come_in_parts_of_a_mebibyte() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let folder = tempfile::tempdir()?;
    let large = rig.backends.store(folder.path()).await?;
    let stored = rig.store.list(keys::ROOT, None, 1_000, None).await?.entries;
    let pin = stored
        .iter()
        .find(|entry| entry.key.starts_with(keys::PINS))
        .ok_or("no pin")?;
    let mut writes = copies(&stored, 50, 1_000)?;
    writes.push(Write::Put(pin.key.clone(), pin.value.clone()));
    for some in writes.chunks(MAX_WRITES) {
        let (checks, writes) = (Vec::new(), some.to_vec());
        large.commit(Transaction { checks, writes }).await?;
    }
    let replica = Replica::start(&rig, large, |api| api).await?;
    let client = ConfigServiceClient::new(api(&replica.url));
    let (to, requests) = tokio::sync::mpsc::channel(1);
    let hello = v1::stream_config_request::Kind::Hello(hello("l1", ""));
    to.send(v1::StreamConfigRequest { kind: Some(hello) })
        .await?;
    // As any gRPC peer is that was not told to take more than 4 MiB.
    let mut client = client;
    let mut stream = client
        .stream_config(ReceiverStream::new(requests))
        .await?
        .into_inner();
    let (mut count, mut largest) = (0, 0);
    let end = loop {
        let said = soon(stream.message()).await??.ok_or("it ended")?;
        largest = largest.max(said.encoded_len());
        if let Some(v1::stream_config_response::Kind::ListChunk(chunk)) = said.kind {
            count += chunk.resources.len();
            if let Some(end) = chunk.end {
                break end;
            }
        }
    };
    assert_eq!((count, end.count), (50_051, 50_051));
    assert!(largest <= 1024 * 1024, "{largest}");
    Ok(())
}

// Risk 14: the canary proves the watch alive, and is nobody else's business.
#[tokio::test]
async fn a_canary_wakes_no_listener() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let replica = Replica::start(&rig, rig.another_store().await?, |api| api).await?;
    let mut listener = Model::new("l1", "");
    let mut stream = listener.connect(&replica.url).await?;
    listener.until(&mut stream, |l| l.lists == 1).await?;
    for _ in 0..5 {
        rig.put(keys::CANARY, "1").await?;
    }
    let webhook = rig.webhook("code", "all", "").await?;
    let uid = uid(&webhook.metadata);
    listener.until(&mut stream, |l| l.has(&uid, 0)).await?;
    assert_eq!((listener.lists, listener.deltas), (1, 1));
    // And it shows as having all there is, whatever the revision is by now.
    rig.put(keys::CANARY, "1").await?;
    eventually(async || {
        let view = &replica.view;
        let all = replica
            .fleet
            .listeners(None, view.revision() + 7, |_| listener.plan.digest());
        Ok((all[0].revision == view.revision() + 7).then_some(()))
    })
    .await
}

super::backends::on_cluster!(
    the_others_hear_everything_while_a_tenth_is_frozen,
    streams_that_come_of_age_drain_and_go_on_elsewhere,
    who_needs_a_full_list_is_told_to_come_back_while_others_get_theirs,
    fifty_thousand_webhooks_come_in_parts_of_a_mebibyte,
    a_canary_wakes_no_listener,
);
