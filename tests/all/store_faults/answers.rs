//! Commits whose answers are lost, and ones that arrive when nobody waits for them any more.

use std::sync::Arc;

use hookplane_control_plane::store::{Precondition, Store, StoreError, Transaction};
use hookplane_tests::engines::etcd::Etcd;

use super::{addresses, guarded, next, open, proxies, put};
use crate::fake_control_plane::{Failure, until};

/// Commits `transaction` while the member that is asked first does what `fault` does to its connection, and says what the watch then brought
/// between that commit and another one, which must be nothing.
async fn once(
    etcd: &Etcd,
    transaction: Transaction,
    fault: impl Fn(&crate::proxy::Proxy),
) -> Result<(), Failure> {
    let direct = open(etcd.hosts()).await?;
    let proxies = proxies(&etcd.hosts()).await?;
    let store = open(addresses(&proxies)).await?;
    // So that there is a connection and a mark, and both are used.
    let before = store.commit(put("v1/before", "x")).await?;
    let mut changes = direct.watch("v1/", before).await?;
    proxies.iter().for_each(fault);
    let at = store.commit(transaction.clone()).await?;
    for proxy in &proxies {
        proxy.thaw();
    }
    // What was late has arrived by then: a connection that nobody wants ends.
    until(|| proxies.iter().map(|proxy| proxy.open()).sum::<usize>() <= 1).await?;
    let (key, _) = &guarded_or_not(&transaction);
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

fn guarded_or_not(transaction: &Transaction) -> (String, bool) {
    let hookplane_control_plane::store::Write::Put(key, _) = &transaction.writes[0] else {
        panic!("these tests put");
    };
    (key.clone(), !transaction.checks.is_empty())
}

// Risk 16: a write that was made and whose answer was lost is neither made again nor a conflict with itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_made_once() -> Result<(), Failure> {
    let etcd = Etcd::start(3);
    let lost = |proxy: &crate::proxy::Proxy| proxy.swallow_answers();
    once(&etcd, put("v1/unguarded", "x"), lost).await?;
    once(&etcd, guarded("v1/guarded", Precondition::Absent), lost).await
}

// Risk 16: what a member took and didn't look at while it was frozen comes too late once it was made elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_arrives_late_is_not_made_again() -> Result<(), Failure> {
    let etcd = Etcd::start(3);
    let held = |proxy: &crate::proxy::Proxy| proxy.freeze_open();
    once(&etcd, put("v1/unguarded", "x"), held).await?;
    once(&etcd, guarded("v1/guarded", Precondition::Absent), held).await
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
