//! Members that die, freeze, and are cut off from the others.

use std::sync::Arc;

use hookplane_control_plane::store::Store;
use hookplane_tests::engines::etcd::Etcd;
use hookplane_tests::product::eventually;

use super::peers::Peers;
use super::{Viewed, open, put, write};
use crate::fake_control_plane::Failure;

// Risk 16: with any one member dead, reads, writes and the watch go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_member_is_killed_in_turn_and_all_goes_on() -> Result<(), Failure> {
    let mut etcd = Etcd::start(3);
    let store: Arc<dyn Store> = open(etcd.hosts()).await?;
    let viewed = Viewed::start(store.clone()).await?;
    for member in 0..3 {
        etcd.kill(member);
        let at = write(&*store, "v1/orgs/a").await?;
        // With a leader there are no more failures, whoever is asked.
        for turn in 0..20 {
            let key = format!("v1/orgs/{member}-{turn}");
            let made = store.commit(put(&key, "")).await?;
            let entry = store.get(&key).await?.ok_or("it was written")?;
            assert_eq!(entry.revision, made);
        }
        viewed.comes_to(at).await?;
        etcd.restart(member);
        etcd.wait_until_healthy(member);
    }
    Ok(())
}

// Risk 16, and 9: a frozen member holds its connections and says nothing. It is passed over within the call's time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_member_is_frozen_in_turn_and_all_goes_on() -> Result<(), Failure> {
    let etcd = Etcd::start(3);
    let store: Arc<dyn Store> = open(etcd.hosts()).await?;
    let viewed = Viewed::start(store.clone()).await?;
    for member in 0..3 {
        etcd.freeze(member);
        let at = write(&*store, "v1/orgs/a").await?;
        for turn in 0..20 {
            let key = format!("v1/orgs/{member}-{turn}");
            store.commit(put(&key, "")).await?;
            store.get(&key).await?.ok_or("it was written")?;
        }
        viewed.comes_to(at).await?;
        etcd.thaw(member);
        etcd.wait_until_healthy(member);
    }
    Ok(())
}

// Risk 15: a member that the others can't reach is left, by calls and by the watch. The view's canary misses a watch that is silent after 10 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isolated_member_is_left() -> Result<(), Failure> {
    let mut peers = Peers::default();
    let etcd = Etcd::start_behind(3, &[], |_, peer| peers.before(peer));
    let store: Arc<dyn Store> = open(etcd.hosts()).await?;
    let viewed = Viewed::start(store.clone()).await?;
    for member in 0..3 {
        peers.isolate(&etcd, member)?;
        let at = write(&*store, "v1/orgs/a").await?;
        viewed.comes_to(at).await?;
        let entry = store.get("v1/orgs/a").await?.ok_or("it was written")?;
        assert!(entry.revision >= at, "never the past");
        // It is isolated indeed: alone it can't read.
        let alone = open(vec![etcd.hosts()[member].clone()]).await;
        assert!(alone.is_err(), "an isolated member answers nothing");
        peers.rejoin();
        eventually("it is a member again", || {
            etcd.ctl(member, &["get", "hookplane/v1/orgs/a"])
        });
    }
    Ok(())
}
