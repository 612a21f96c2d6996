//! What etcd doesn't take.

use std::sync::Arc;

use hookplane_control_plane::store::{Store, StoreError};
use hookplane_tests::engines::etcd::Etcd;

use super::{Viewed, open, put};
use crate::fake_control_plane::Failure;

// Risk 28: a database that has reached its quota refuses writes, and says what to do; reads and what listeners are offered go on, and so do writes
// once that was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_quota_refuses_writes_and_nothing_else() -> Result<(), Failure> {
    let etcd = Etcd::start_with(1, &["--quota-backend-bytes", "8000000"]);
    let store: Arc<dyn Store> = open(etcd.hosts()).await?;
    let viewed = Viewed::start(store.clone()).await?;
    let refused = loop {
        match store.commit(put("v1/large", vec![b'x'; 500_000])).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let StoreError::Unavailable(message) = refused else {
        panic!("{refused}");
    };
    assert!(message.contains("--quota-backend-bytes"), "{message}");
    // All of them, the small ones too.
    let refused = store.commit(put("v1/orgs/a", "")).await;
    assert_eq!(refused, Err(StoreError::Unavailable(message)));
    assert!(store.get("v1/large").await?.is_some());
    assert!(store.list("v1/", None, 100, None).await?.entries.len() > 2);
    assert!(viewed.knows_the_group());
    // As the message says.
    let revision = store.list("v1/", None, 1, None).await?.revision;
    for order in [
        &["compact", &revision.to_string()][..],
        &["defrag"],
        &["alarm", "disarm"],
    ] {
        etcd.ctl(0, order).ok_or("etcd does as it is told")?;
    }
    let made = store.commit(put("v1/orgs/a", "")).await?;
    viewed.comes_to(made).await
}

// Risk 28: an etcd that is set to take less than the seam promises refuses with a word on its settings.
#[tokio::test]
async fn an_etcd_that_takes_too_little_is_told_apart() -> Result<(), Failure> {
    let etcd = Etcd::start_with(1, &["--max-request-bytes", "100000", "--max-txn-ops", "16"]);
    let store = open(etcd.hosts()).await?;
    let large = put("v1/large", vec![b'x'; 1_000_000]);
    let mut many = put("v1/0", "");
    for i in 1..100 {
        many.writes.extend(put(&format!("v1/{i}"), "").writes);
    }
    for (refused, setting) in [(large, "--max-request-bytes"), (many, "--max-txn-ops")] {
        let Err(StoreError::TooLarge(message)) = store.commit(refused).await else {
            panic!("it is too much");
        };
        assert!(message.contains(setting), "{message}");
    }
    store.commit(put("v1/small", "x")).await?;
    Ok(())
}
