//! Replicas that lag, and stores that went back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hookplane_control_plane::keys;
use hookplane_control_plane::store::{
    Changes, Entry, Listing, Revision, Store, StoreError, Transaction,
};
use tokio_stream::StreamExt;
use tonic::Code;
use v1::config_service_client::ConfigServiceClient;

use hookplane_proto::v1;

use super::model::{Heard, Model};
use super::replica::Replica;
use super::rig::{Rig, api, revision, uid};
use crate::fake_control_plane::{Failure, soon};

/// A store that one replica hears nothing from while it is frozen, although its reads are answered.
pub(super) struct Frozen {
    pub(super) inner: Arc<dyn Store>,
    pub(super) frozen: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Store for Frozen {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        if prefix == keys::ROOT && self.frozen.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("frozen".to_owned()));
        }
        self.inner.list(prefix, after, limit, at).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.inner.commit(transaction).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        let frozen = self.frozen.clone();
        let changes = self.inner.watch(prefix, after).await?;
        // What comes while it is frozen never comes.
        Ok(Box::pin(
            changes.filter(move |_| !frozen.load(Ordering::Relaxed)),
        ))
    }
}

// Risk 25: a lagging replica never rolls a listener back.
#[tokio::test]
async fn a_replica_that_lags_waits_and_then_refuses() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let frozen = Arc::new(AtomicBool::new(false));
    let store = Arc::new(Frozen {
        inner: rig.another_store().await?,
        frozen: frozen.clone(),
    });
    let lagging = Replica::start(&rig, store, |api| api).await?;
    let epoch = lagging.view.epoch();
    frozen.store(true, Ordering::Relaxed);
    let webhook = rig.webhook("code", "all", "").await?;
    let mut listener = Model::new("l1", "");
    let mut stream = listener.connect(&rig.url).await?;
    let (uid, revision) = (uid(&webhook.metadata), revision(&webhook.metadata));
    listener
        .until(&mut stream, |l| l.has(&uid, revision))
        .await?;
    drop(stream);

    let client = ConfigServiceClient::new(api(&lagging.url));
    let Err(status) = listener.connect_with(client.clone()).await? else {
        return Err("it was served older state".into());
    };
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(lagging.view.epoch(), epoch, "a lag is no rollback");
    // Nor does it know an epoch that began since.
    let mut other = Model::new("l2", "");
    other.epoch = "one that it has not heard of".to_owned();
    other.plan = listener.plan.clone();
    rig.put(keys::EPOCH, &other.epoch).await?;
    let Err(status) = other.connect_with(client.clone()).await? else {
        return Err("it was served an older epoch".into());
    };
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    Ok(())
}

// Any listener's token, even one org's, opens a stream: what it claims there must not cost the others their place.
#[tokio::test]
async fn a_claim_to_be_ahead_of_the_store_renews_nothing_without_proof() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let mut genuine = Model::new("l1", "");
    let mut stream = genuine.connect(&rig.url).await?;
    genuine.until(&mut stream, |l| l.lists == 1).await?;
    let client = ConfigServiceClient::new(api(&rig.url));
    let mut liar = genuine.clone();
    // The proof of what it has proves no more than that.
    for proof in [genuine.proof.clone(), Bytes::new()] {
        liar.plan = liar.plan.change(&[], Vec::new(), u64::MAX - 1).plan;
        liar.proof = proof;
        let Err(status) = liar.connect_with(client.clone()).await? else {
            return Err("it was believed".into());
        };
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let stream = genuine.connect(&rig.url).await?;
    assert!(stream.welcome.resume, "another epoch has begun");
    assert_eq!(stream.welcome.epoch, genuine.epoch);
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

// Risk 26: a data directory put back to an older copy.
#[tokio::test]
async fn after_a_restore_from_a_backup_listeners_have_what_the_store_has() -> Result<(), Failure> {
    let rig = Rig::start().await?;
    rig.group("code", |_| {}).await?;
    let before = rig.webhook("code", "before", "").await?;
    let rig = rig
        .restart_after(|folder| copy(&folder.join("store"), &folder.join("backup")))
        .await?;
    let (mut ahead, mut behind) = (Model::new("ahead", ""), Model::new("behind", ""));
    let mut stream = behind.connect(&rig.url).await?;
    behind.until(&mut stream, |l| l.lists == 1).await?;
    drop(stream);
    let mut lost = rig.webhook("code", "lost", "").await?;
    for n in 0..20 {
        lost = rig
            .update_webhook("code", "lost", |spec| spec.label = n.to_string())
            .await?;
    }
    let mut stream = ahead.connect(&rig.url).await?;
    ahead
        .until(&mut stream, |l| l.has(&uid(&lost.metadata), 1))
        .await?;
    drop(stream);

    let rig = rig
        .restart_after(|folder| {
            std::fs::remove_dir_all(folder.join("store"))?;
            copy(&folder.join("backup"), &folder.join("store"))
        })
        .await?;
    let mut stream_behind = behind.connect(&rig.url).await?;
    assert!(stream_behind.welcome.resume, "nothing shows yet");
    let old = behind.epoch.clone();
    let mut stream = ahead.connect(&rig.url).await?;
    assert!(!stream.welcome.resume);
    assert_ne!(stream.welcome.epoch, old);
    ahead.until(&mut stream, |l| l.lists == 2).await?;
    assert!(
        !ahead.has(&uid(&lost.metadata), 0),
        "it is gone with the rest"
    );
    assert!(ahead.has(&uid(&before.metadata), 0));
    // The other one's stream is of the old epoch: it is told, and comes into the new one.
    soon(async {
        while behind.hear(&mut stream_behind).await? != Some(Heard::Drain) {}
        Ok::<_, Failure>(())
    })
    .await??;
    let mut stream_behind = behind.connect(&rig.url).await?;
    assert!(!stream_behind.welcome.resume);
    behind.until(&mut stream_behind, |l| l.lists == 2).await?;
    assert_eq!(behind.epoch, ahead.epoch);
    let after = rig.webhook("code", "after", "").await?;
    for (listener, stream) in [(&mut ahead, &mut stream), (&mut behind, &mut stream_behind)] {
        listener
            .until(stream, |l| {
                l.has(&uid(&after.metadata), revision(&after.metadata))
            })
            .await?;
    }
    assert_eq!(ahead.resources, behind.resources);

    // It is the store's, so a restart keeps it.
    drop((stream, stream_behind));
    let rig = rig.restart().await?;
    let stream = ahead.connect(&rig.url).await?;
    assert!(stream.welcome.resume);
    Ok(())
}

super::backends::on_cluster!(
    a_replica_that_lags_waits_and_then_refuses,
    a_claim_to_be_ahead_of_the_store_renews_nothing_without_proof,
);
