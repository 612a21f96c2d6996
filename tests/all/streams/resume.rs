//! Streams that end, and listeners that come back.

use hookplane_proto::v1;
use v1::stream_config_response::Kind as Push;

use super::config::{Scripted, hello};
use super::rig::{Rig, uid};
use crate::fake_control_plane::{Failure, soon};

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

// Risk 25: what a new replica can't tell from its history it sends whole, never older.
#[tokio::test]
async fn after_a_restart_of_the_control_plane_only_who_is_behind_gets_a_list() -> Result<(), Failure>
{
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    let (_, early) = listener.settle().await?;
    rig.webhook("code", "all", "").await?;
    let delta = listener.delta().await?;
    listener.ack_delta(&delta).await?;
    let welcome = listener.welcome.clone();
    drop(listener);

    let rig = rig.restart().await?;
    let current = resuming(&welcome, delta.to, delta.digest);
    let mut listener = Scripted::connect(&rig.url, current).await?;
    assert!(listener.welcome.resume);
    let nothing = listener.delta().await?;
    assert!(nothing.upserts.is_empty() && nothing.removes.is_empty());
    assert_eq!(nothing.digest, delta.digest);

    let behind = resuming(&welcome, early.revision, early.digest);
    let mut listener = Scripted::connect(&rig.url, behind).await?;
    assert!(!listener.welcome.resume);
    assert_eq!(listener.list().await?.1.digest, delta.digest);
    Ok(())
}

// Risk 26: the store was restored from an older copy.
#[tokio::test]
async fn a_listener_ahead_of_the_store_begins_a_new_epoch() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    let mut listener = Scripted::connect(&rig.url, hello("l1", "")).await?;
    let (_, end) = listener.settle().await?;
    let ahead = resuming(&listener.welcome, end.revision + 1_000, 1);
    let mut from_the_future = Scripted::connect(&rig.url, ahead).await?;
    assert!(!from_the_future.welcome.resume);
    assert_ne!(from_the_future.welcome.epoch, listener.welcome.epoch);
    assert_eq!(from_the_future.list().await?.1.digest, end.digest);
    Ok(())
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
