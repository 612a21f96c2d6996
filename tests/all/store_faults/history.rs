//! A history that is cut under those who read it, and gaps in a watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookplane_control_plane::store::{Store, StoreError};
use hookplane_tests::engines::etcd::Etcd;
use tokio_stream::StreamExt;
use tokio_util::task::AbortOnDropHandle;

use super::{Viewed, addresses, open, proxies, put};
use crate::fake_control_plane::{Failure, soon};
use crate::proxy::Proxy;

/// All ends at once, and can be had again.
fn break_off(proxies: &[Proxy], etcd: &Etcd) -> Result<(), Failure> {
    for (proxy, host) in proxies.iter().zip(etcd.hosts()) {
        proxy.cut();
        proxy.lead_to(&host)?;
    }
    Ok(())
}

// Risk 12: the history is cut before the place where a watch that was interrupted wants to go on, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compacted_in_a_loop_a_known_hook_is_never_unknown() -> Result<(), Failure> {
    let etcd = Etcd::start(3);
    let direct = open(etcd.hosts()).await?;
    let proxies = proxies(&etcd.hosts()).await?;
    let store: Arc<dyn Store> = open(addresses(&proxies)).await?;
    let viewed = Arc::new(Viewed::start(store).await?);
    let unknown = Arc::new(AtomicBool::new(false));
    let (looking, seen) = (viewed.clone(), unknown.clone());
    let _looks = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            if !looking.knows_the_group() {
                seen.store(true, Ordering::Relaxed);
            }
            // It looks time and again, and leaves the processor to the tests beside it meanwhile.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }));
    for turn in 0..8 {
        for proxy in &proxies {
            proxy.cut();
        }
        let mut last = 0;
        for write in 0..5 {
            let key = format!("v1/orgs/org-{turn}-{write}");
            last = direct.commit(put(&key, "")).await?;
        }
        let compacted = etcd.ctl(0, &["compact", &last.to_string()]);
        compacted.ok_or("etcd compacts")?;
        break_off(&proxies, &etcd)?;
        viewed.comes_to(last).await?;
    }
    assert!(!unknown.load(Ordering::Relaxed));
    Ok(())
}

// Risk 19: a path that swallows everything is noticed, and the watch ends, without anybody asking for anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_on_a_path_that_swallows_everything_ends() -> Result<(), Failure> {
    let etcd = Etcd::start(1);
    let proxies = proxies(&etcd.hosts()).await?;
    let store = open(addresses(&proxies)).await?;
    let at = store.commit(put("v1/a", "")).await?;
    let mut changes = store.watch("v1/", at).await?;
    proxies[0].freeze_open();
    let end = soon(changes.next()).await?;
    assert!(
        matches!(end, Some(Err(StoreError::Unavailable(_)))),
        "{end:?}"
    );
    Ok(())
}

// Risk 13: what is written while no watch goes through is brought by the next one, from where the last one was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_the_watch_stalls_is_brought() -> Result<(), Failure> {
    let etcd = Etcd::start(3);
    let direct = open(etcd.hosts()).await?;
    let proxies = proxies(&etcd.hosts()).await?;
    let store: Arc<dyn Store> = open(addresses(&proxies)).await?;
    let viewed = Viewed::start(store).await?;
    // There is a watch, and it brings something.
    let at = direct.commit(put("v1/orgs/a", "")).await?;
    viewed.comes_to(at).await?;
    for proxy in &proxies {
        proxy.freeze_open();
    }
    let group = direct.get("v1/groups/acme/shop").await?.ok_or("there")?;
    let again = direct.commit(put(&group.key, group.value)).await?;
    viewed.comes_to(again).await?;
    let record = viewed.view.group_named("acme", "shop").ok_or("known")?;
    assert_eq!(record.revision, again);
    Ok(())
}
