//! The config store on etcd, while members die, freeze, are cut off, forget and fill up. Each test has a cluster of its own.

mod answers;
mod doors;
mod history;
mod limits;
mod members;
mod peers;

use std::sync::Arc;

use bytes::Bytes;
use hookplane_control_plane::catalogue::Catalogue;
use hookplane_control_plane::config::View;
use hookplane_control_plane::seal::SealKey;
use hookplane_control_plane::store::etcd::{EtcdOptions, EtcdStore};
use hookplane_control_plane::store::{
    Changes, Precondition, Revision, Store, StoreError, Transaction, Write,
};
use hookplane_proto::v1;
use prost::Message;
use tokio::time::{Instant, timeout_at};
use tokio_stream::StreamExt;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::fake_control_plane::{Failure, PATIENCE, soon};
use crate::proxy::Proxy;

async fn open(hosts: Vec<String>) -> Result<Arc<EtcdStore>, StoreError> {
    EtcdStore::open(EtcdOptions {
        endpoints: hosts,
        ..EtcdOptions::default()
    })
    .await
}

/// One before each member.
async fn proxies(hosts: &[String]) -> Result<Vec<Proxy>, Failure> {
    let mut proxies = Vec::new();
    for host in hosts {
        proxies.push(Proxy::to(host.parse()?).await?);
    }
    Ok(proxies)
}

fn addresses(proxies: &[Proxy]) -> Vec<String> {
    proxies.iter().map(|p| p.address.to_string()).collect()
}

fn put(key: &str, value: impl Into<Bytes>) -> Transaction {
    Transaction {
        checks: Vec::new(),
        writes: vec![Write::Put(key.to_owned(), value.into())],
    }
}

fn guarded(key: &str, precondition: Precondition) -> Transaction {
    Transaction {
        checks: vec![(key.to_owned(), precondition)],
        ..put(key, "guarded")
    }
}

/// A write that may fail while a leader is elected, tried until it is made.
async fn write(store: &dyn Store, key: &str) -> Result<Revision, Failure> {
    soon(async {
        loop {
            match store.commit(put(key, "x")).await {
                Ok(revision) => return Ok(revision),
                Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                Err(error) => return Err(error.into()),
            }
        }
    })
    .await?
}

async fn next(changes: &mut Changes) -> Result<(Revision, Vec<String>), Failure> {
    let change = soon(changes.next()).await?.ok_or("the watch ended")??;
    let keys = change.keys.into_iter().map(|(key, _)| key).collect();
    Ok((change.revision, keys))
}

/// A control plane's view of a store, with a group that a listener would be offered.
struct Viewed {
    view: Arc<View>,
    _end: DropGuard,
    _folder: tempfile::TempDir,
}

const GROUP: (&str, &str) = ("acme", "shop");

impl Viewed {
    async fn start(store: Arc<dyn Store>) -> Result<Self, Failure> {
        let pin = Catalogue::built_in()
            .get("github")
            .ok_or("it is built in")?
            .clone();
        let group = v1::WebhookGroup {
            metadata: Some(v1::Metadata {
                org: GROUP.0.to_owned(),
                name: GROUP.1.to_owned(),
                uid: "group-1".to_owned(),
                ..Default::default()
            }),
            spec: Some(v1::WebhookGroupSpec {
                connector: "github".to_owned(),
                accept_unsigned: true,
                registered_events: vec!["*".to_owned()],
                ..Default::default()
            }),
            status: Some(v1::WebhookGroupStatus {
                connector_version: "pin-1".to_owned(),
                ..Default::default()
            }),
        };
        let mut known = put("v1/pins/pin-1", pin.encode_to_vec());
        let group = put("v1/groups/acme/shop", group.encode_to_vec());
        known.writes.extend(group.writes);
        store.commit(known).await?;
        let folder = tempfile::tempdir()?;
        let seal = SealKey::load_or_create(&folder.path().join("seal.key"))?;
        let end = CancellationToken::new();
        let view = View::start(store, Arc::new(seal), end.clone()).await?;
        let viewed = Self {
            view,
            _end: end.drop_guard(),
            _folder: folder,
        };
        assert!(viewed.knows_the_group());
        Ok(viewed)
    }

    fn knows_the_group(&self) -> bool {
        self.view.group_named(GROUP.0, GROUP.1).is_some()
    }

    /// Waits until it has come to a revision; the group is known at every revision on the way.
    async fn comes_to(&self, revision: Revision) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut revisions = self.view.revisions();
        while *revisions.borrow_and_update() < revision {
            if !self.knows_the_group() {
                return Err("a known hook was unknown".into());
            }
            let changed = timeout_at(deadline, revisions.changed()).await;
            changed.map_err(|_| format!("the view did not come to {revision}"))??;
        }
        if self.knows_the_group() {
            Ok(())
        } else {
            Err("a known hook was unknown".into())
        }
    }
}
