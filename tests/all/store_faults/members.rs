//! Members that die, freeze, and are cut off from the others.

use std::sync::Arc;
use std::time::Duration;

use hookplane_control_plane::store::{Store, StoreError};
use hookplane_tests::engines::etcd::Etcd;
use hookplane_tests::product::eventually;
use tokio_stream::StreamExt;

use super::peers::Peers;
use super::{Viewed, addresses, open, proxies, put, write};
use crate::fake_control_plane::{Failure, soon, until};
use crate::proxy::Proxy;

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

// Risks 16 and 9: a frozen member holds its connections and says nothing. It is passed over within the call's own time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_member_is_asked_freezes_and_all_goes_on() -> Result<(), Failure> {
    let etcd = Etcd::start(3);
    let viewed = Viewed::start(open(etcd.hosts()).await?).await?;
    let proxies = proxies(&etcd.hosts()).await?;
    let store = open(addresses(&proxies)).await?;
    for turn in 0..3 {
        let asked = asked(&proxies).await?;
        let led = etcd.leader() == Some(asked);
        etcd.freeze(asked);
        let key = format!("v1/orgs/{turn}");
        let made = if led {
            // Until another one leads.
            write(&*store, &key).await?
        } else {
            store.commit(put(&key, "")).await?
        };
        assert_eq!(
            store.get(&key).await?.ok_or("it was written")?.revision,
            made
        );
        viewed.comes_to(made).await?;
        etcd.thaw(asked);
        etcd.wait_until_healthy(asked);
    }
    Ok(())
}

/// The member that a store without watches asks: the one it is connected to.
async fn asked(proxies: &[Proxy]) -> Result<usize, Failure> {
    let connected = || (0..proxies.len()).filter(|member| proxies[*member].open() > 0);
    until(|| connected().count() == 1).await?;
    connected().next().ok_or_else(|| "none is asked".into())
}

// Risk 9: nothing is waited for without end, though no member answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_member_frozen_every_call_ends() -> Result<(), Failure> {
    let etcd = Etcd::start(3);
    let store = open(etcd.hosts()).await?;
    let at = store.commit(put("v1/a", "")).await?;
    (0..3).for_each(|member| etcd.freeze(member));
    // By then pings would not yet have told that a member is gone.
    let calls = tokio::time::timeout(Duration::from_secs(8), async {
        tokio::join!(
            store.get("v1/a"),
            store.list("v1/", None, 10, None),
            store.commit(put("v1/b", "")),
            store.watch("v1/", at),
        )
    });
    let (got, listed, made, watched) = calls.await?;
    let opened = soon(open(etcd.hosts())).await?;
    let errors = [
        got.err(),
        listed.err(),
        made.err(),
        watched.err(),
        opened.err(),
    ];
    for error in errors {
        assert!(
            matches!(error, Some(StoreError::Unavailable(_))),
            "{error:?}"
        );
    }
    (0..3).for_each(|member| etcd.thaw(member));
    write(&*store, "v1/c").await?;
    Ok(())
}

// Risks 14 and 15: whoever watches again because a watch was silent gets it from another member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_watch_begins_at_another_member() -> Result<(), Failure> {
    let etcd = Etcd::start(3);
    let proxies = proxies(&etcd.hosts()).await?;
    let store = open(addresses(&proxies)).await?;
    let open = || proxies.iter().map(Proxy::open).collect::<Vec<_>>();
    let asked = open();
    let mut watches = Vec::new();
    for _ in 0..3 {
        watches.push(store.watch("v1/", 0).await?);
    }
    let connections: Vec<_> = asked.iter().map(|connections| connections + 1).collect();
    assert_eq!(open(), connections);
    // And all of them ended with their watches.
    drop(watches);
    until(|| open() == asked).await
}

// Risk 15: a member that the others can't reach is left, by calls and by the watch. The view's canary misses a watch that is silent after 10 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isolated_member_is_left() -> Result<(), Failure> {
    let mut peers = Peers::default();
    let etcd = Etcd::start_behind(3, &[], |_, peer| peers.before(peer));
    let store: Arc<dyn Store> = open(etcd.hosts()).await?;
    let viewed = Viewed::start(store.clone()).await?;
    for member in 0..3 {
        let alone = open(vec![etcd.hosts()[member].clone()]).await?;
        let mut watch = alone.watch("v1/none/", 0).await?;
        peers.isolate(&etcd, member)?;
        let at = write(&*store, "v1/orgs/a").await?;
        viewed.comes_to(at).await?;
        let entry = store.get("v1/orgs/a").await?.ok_or("it was written")?;
        assert!(entry.revision >= at, "never the past");
        // A watch there says that it is one of nothing any more, and a read is none.
        let end = soon(watch.next()).await?;
        assert!(
            matches!(end, Some(Err(StoreError::Unavailable(_)))),
            "{end:?}"
        );
        let read = alone.get("v1/orgs/a").await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        peers.rejoin();
        eventually("it is a member again", || {
            etcd.ctl(member, &["get", "hookplane/v1/orgs/a"])
        });
    }
    Ok(())
}
