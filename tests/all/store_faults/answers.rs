//! Commits whose answers are lost, and what they are known by.

use std::sync::Arc;

use hookplane_control_plane::store::{Precondition, Store, StoreError, Transaction, Write};
use hookplane_tests::engines::etcd::Etcd;

use super::{addresses, guarded, next, open, proxies, put};
use crate::fake_control_plane::Failure;
use crate::proxy::Proxy;

/// Commits `transaction` while the answer of the member that is asked first is lost. Between that commit and another one nothing more is made.
async fn is_made_once(etcd: &Etcd, transaction: Transaction) -> Result<(), Failure> {
    let direct = open(etcd.hosts()).await?;
    let proxies = proxies(&etcd.hosts()).await?;
    let store = open(addresses(&proxies)).await?;
    // So that there is a connection and a mark, and both are used.
    let before = store.commit(put("v1/before", "x")).await?;
    let mut changes = direct.watch("v1/", before).await?;
    proxies.iter().for_each(Proxy::swallow_answers);
    let at = store.commit(transaction.clone()).await?;
    let Write::Put(key, _) = &transaction.writes[0] else {
        return Err("these tests put".into());
    };
    assert_eq!(next(&mut changes).await?, (at, vec![key.clone()]));
    let entry = direct.get(key).await?.ok_or("it was written")?;
    assert_eq!(entry.revision, at);
    let fence = store.commit(put("v1/fence", "x")).await?;
    assert_eq!(
        next(&mut changes).await?,
        (fence, vec!["v1/fence".to_owned()]),
        "nothing was made twice"
    );
    Ok(())
}

// Risk 16: a write that was made and whose answer was lost is neither made again nor a conflict with itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_made_once() -> Result<(), Failure> {
    let etcd = Etcd::start(3);
    is_made_once(&etcd, put("v1/unguarded", "x")).await?;
    is_made_once(&etcd, guarded("v1/guarded", Precondition::Absent)).await
}

// A conflict is still one when answers are lost: with somebody else's write, not with the own one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_with_somebody_else_is_still_told() -> Result<(), Failure> {
    let etcd = Etcd::start(3);
    let proxies = proxies(&etcd.hosts()).await?;
    let store = open(addresses(&proxies)).await?;
    let other: Arc<dyn Store> = open(etcd.hosts()).await?;
    store.commit(put("v1/before", "x")).await?;
    other.commit(put("v1/taken", "other")).await?;
    for proxy in &proxies {
        proxy.swallow_answers();
    }
    let refused = store
        .commit(guarded("v1/taken", Precondition::Absent))
        .await;
    let key = "v1/taken".to_owned();
    assert_eq!(refused, Err(StoreError::Conflict { key }));
    let entry = other.get("v1/taken").await?.ok_or("it was written")?;
    assert_eq!(&entry.value[..], b"other");
    Ok(())
}

// What the commits of a process are known by may be gone, as when the store was put back to a copy that never had it. Others take its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_that_are_gone_are_replaced() -> Result<(), Failure> {
    let etcd = Etcd::start(1);
    let store = open(etcd.hosts()).await?;
    let order = |order: &[&str]| etcd.ctl(0, order).ok_or("etcd does as it is told");
    for turn in 0..2 {
        store.commit(put("v1/before", "x")).await?;
        if turn == 0 {
            order(&["del", "--prefix", "hookplane/~marks/"])?;
        } else {
            let leases = order(&["lease", "list"])?;
            for lease in leases.lines().skip(1) {
                order(&["lease", "revoke", lease])?;
            }
        }
        let key = format!("v1/{turn}");
        let at = store.commit(guarded(&key, Precondition::Absent)).await?;
        let entry = store.get(&key).await?.ok_or("it was written")?;
        assert_eq!(entry.revision, at);
    }
    // A new process begins with none, and leaves none of its own behind for long.
    let marks = order(&["get", "--prefix", "hookplane/~marks/", "-w", "json"])?;
    let marks: serde_json::Value = serde_json::from_str(&marks)?;
    let marks = marks["kvs"].as_array().ok_or("there are some")?;
    assert!(marks.iter().all(|mark| mark["lease"].is_i64()));
    Ok(())
}
