//! Streams that end, and listeners that come back.

use std::time::Duration;

use hookplane_control_plane::keys;
use hookplane_proto::v1;
use hookplane_rules::{Route, Timestamp};
use v1::stream_config_response::Kind as Push;

use super::config::{Scripted, hello};
use super::model::Model;
use super::plain::signed;
use super::rig::{Rig, callback_url, post, revision, uid};
use crate::fake_control_plane::{Failure, eventually, soon};
use crate::proxy::Proxy;

fn resuming(welcome: &v1::ConfigWelcome, revision: u64, digest: u64) -> v1::ConfigHello {
    v1::ConfigHello {
        epoch: welcome.epoch.clone(),
        revision,
        digest,
        ..hello("l1", "")
    }
}

#[tokio::test]
async fn a_listener_that_comes_back_gets_what_it_missed() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    let (_, end) = listener.settle().await?;
    let welcome = listener.welcome.clone();
    drop(listener);
    let webhook = rig.webhook("code", "all", "").await?;
    let again = resuming(&welcome, end.revision, end.digest);
    let mut listener = Scripted::connect(&rig.url, again).await?;
    assert!(listener.welcome.resume);
    let delta = listener.delta().await?;
    assert_eq!(delta.from, end.revision);
    assert_eq!(delta.upserts.len(), 1);
    assert_eq!(delta.upserts[0].uid, uid(&webhook.metadata));
    // Another store's revisions don't compare.
    let mut of_another = resuming(&welcome, end.revision, end.digest);
    of_another.epoch = "another".to_owned();
    let listener = Scripted::connect(&rig.url, of_another).await?;
    assert!(!listener.welcome.resume);
    Ok(())
}

#[tokio::test]
async fn after_a_restart_of_the_control_plane_deletes_come_as_changes() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let kept = rig.group("kept", |_| {}).await?;
    let one = rig.webhook("kept", "one", "").await?;
    let gone = rig.group("gone", |_| {}).await?;
    rig.webhook("gone", "all", "").await?;
    let mut listener = Model::new("l1", "");
    let mut stream = listener.connect(&rig.url).await?;
    listener.until(&mut stream, |l| l.lists == 1).await?;
    assert!(leads(&listener, &gone));
    drop(stream);

    rig.delete_group("gone").await?;
    rig.delete_webhook("kept", "one").await?;
    let rig = rig.restart().await?;
    let mut stream = listener.connect(&rig.url).await?;
    assert!(stream.welcome.resume);
    listener.until(&mut stream, |l| l.deltas == 1).await?;
    assert!(!leads(&listener, &gone), "the deleted group is 404");
    assert!(leads(&listener, &kept));
    assert!(!listener.has(&uid(&one.metadata), 0));
    assert_eq!(listener.lists, 1, "no list was sent");
    Ok(())
}

#[tokio::test]
async fn a_group_deleted_while_nobody_listened_is_404_at_the_real_listener() -> Result<(), Failure>
{
    let mut rig = Rig::start().await?;
    rig.patience(60).await?;
    let kept = rig.group("kept", |_| {}).await?;
    let gone = rig.group("gone", |_| {}).await?;
    let path = Proxy::start(&rig.url).await?;
    let _listener = rig.listen_by(&path.url()).await?;
    let body = &b"{}"[..];
    for group in [&kept, &gone] {
        let answer = post(&callback_url(group), signed("d-1", body), body.into()).await?;
        assert_eq!(answer.status, 200);
    }
    path.cut();
    rig.delete_group("gone").await?;
    let rig = rig.restart().await?;
    path.lead_to(&rig.url)?;
    eventually(async || {
        let all = rig.listeners().await?;
        let current = |l: &v1::Listener| l.ready && l.revision == l.store_revision;
        Ok((all.len() == 1 && current(&all[0])).then_some(()))
    })
    .await?;
    let answer = post(&callback_url(&gone), signed("d-2", body), body.into()).await?;
    assert_eq!(answer.status, 404);
    let answer = post(&callback_url(&kept), signed("d-2", body), body.into()).await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_group_that_moves_away_and_back_is_whole_again_whoever_was_there() -> Result<(), Failure>
{
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    let webhook = rig.webhook("code", "all", "").await?;
    // One is away all the time, one sees the group leave, one is of the other pool and sees it there.
    let mut away = Model::new("away", "");
    let mut there = Model::new("there", "");
    let mut other = Model::new("other", "b");
    for listener in [&mut away, &mut there] {
        let mut stream = listener.connect(&rig.url).await?;
        listener.until(&mut stream, |l| l.lists == 1).await?;
    }
    let moved = rig
        .update_group("code", |spec| spec.pool = "b".to_owned())
        .await?;
    let gone = |l: &Model| l.resources.is_empty();
    let back = |l: &Model| l.has(&uid(&webhook.metadata), 0) && leads(l, &group);
    let mut stream = there.connect(&rig.url).await?;
    there.until(&mut stream, gone).await?;
    let mut stream = other.connect(&rig.url).await?;
    other
        .until(&mut stream, |l| {
            l.has(&uid(&moved.metadata), revision(&moved.metadata))
        })
        .await?;
    drop(stream);
    rig.update_group("code", |spec| spec.pool = "default".to_owned())
        .await?;

    let rig = rig.restart().await?;
    for (listener, done) in [
        (&mut away, &back as &dyn Fn(&Model) -> bool),
        (&mut there, &back),
        (&mut other, &gone),
    ] {
        let mut stream = listener.connect(&rig.url).await?;
        assert!(stream.welcome.resume);
        listener
            .until(&mut stream, |l| l.deltas > 0 && done(l))
            .await?;
        assert_eq!(listener.lists, 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_definition_that_nobody_pins_any_more_goes_from_listeners_too() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let group = rig.group("code", |_| {}).await?;
    let pin = |group: &v1::WebhookGroup| {
        let status = group.status.clone().unwrap_or_default();
        status.connector_version
    };
    let mut listener = Model::new("l1", "");
    let mut stream = listener.connect(&rig.url).await?;
    listener
        .until(&mut stream, |l| l.has(&pin(&group), 0))
        .await?;
    drop(stream);
    rig.patience(7).await?;
    let updated = rig
        .update_group("code", |spec| spec.display_name = "new".to_owned())
        .await?;
    assert_ne!(pin(&updated), pin(&group));
    let rig = rig.restart().await?;
    let mut stream = listener.connect(&rig.url).await?;
    assert!(stream.welcome.resume);
    listener.until(&mut stream, |l| l.deltas == 1).await?;
    assert!(listener.has(&pin(&updated), 0) && !listener.has(&pin(&group), 0));
    assert!(leads(&listener, &group));
    assert_eq!(listener.lists, 1);
    Ok(())
}

#[tokio::test]
async fn after_a_day_a_delete_is_forgotten_and_a_full_list_tells_it() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    rig.webhook("code", "all", "").await?;
    let mut listener = Model::new("l1", "");
    let mut stream = listener.connect(&rig.url).await?;
    listener.until(&mut stream, |l| l.lists == 1).await?;
    drop(stream);
    rig.delete_webhook("code", "all").await?;
    rig.clock.advance(Duration::from_secs(25 * 3600));
    // It sweeps when it starts; who starts after that finds the horizon.
    let rig = rig.restart().await?;
    eventually(async || {
        let left = rig.store.list(keys::TOMBSTONES, None, 1, None).await?;
        Ok(left.entries.is_empty().then_some(()))
    })
    .await?;
    let rig = rig.restart().await?;
    let mut stream = listener.connect(&rig.url).await?;
    assert!(!stream.welcome.resume);
    listener.until(&mut stream, |l| l.lists == 2).await?;
    assert_eq!(listener.resources.len(), 3, "connector, group, template");

    // A listener that starts anew has nothing to resume from.
    listener.restart();
    let mut stream = listener.connect(&rig.url).await?;
    assert!(!stream.welcome.resume);
    listener.until(&mut stream, |l| l.lists == 1).await
}

/// Whether its callback URL is known to the plan.
fn leads(listener: &Model, group: &v1::WebhookGroup) -> bool {
    let url = callback_url(group);
    !matches!(listener.plan.route(&url, Timestamp(0)), Route::Unknown)
}

// Risk 22: streams are told to go elsewhere, and the server ends.
#[tokio::test]
async fn at_shutdown_a_listener_is_told_to_drain() -> Result<(), Failure> {
    let mut rig = Rig::start().await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    listener.settle().await?;
    rig.stop.cancel();
    assert!(matches!(listener.next().await?, Push::Drain(_)));
    assert!(listener.end().await?.is_none(), "it ends well");
    drop(listener);
    soon(&mut rig.server).await???;
    Ok(())
}

super::backends::on_cluster!(
    a_listener_that_comes_back_gets_what_it_missed,
    after_a_restart_of_the_control_plane_deletes_come_as_changes,
    a_group_deleted_while_nobody_listened_is_404_at_the_real_listener,
    a_group_that_moves_away_and_back_is_whole_again_whoever_was_there,
    a_definition_that_nobody_pins_any_more_goes_from_listeners_too,
    after_a_day_a_delete_is_forgotten_and_a_full_list_tells_it,
    at_shutdown_a_listener_is_told_to_drain,
);
