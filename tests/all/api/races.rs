//! Writes that decide about the same thing at the same time, and what is left to do by a server that died.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookplane_control_plane::keys;
use hookplane_control_plane::log::DeliveryLog;
use hookplane_control_plane::log::embedded::{EmbeddedLog, Options};
use hookplane_control_plane::store::{
    Changes, EmbeddedStore, Entry, Listing, Revision, Store, StoreError, Transaction, Write,
};
use hookplane_proto::v1;
use hookplane_proto::v1::event_service_client::EventServiceClient;
use hookplane_tests::clock::TestClock;
use hookplane_tests::log_suite::keep;
use tokio::sync::Notify;
use tokio::time::timeout;
use tonic::Code;

use super::rig::{ERP, ERP_GROUP, GROUP, Rig, WEBHOOK, webhook_of};

const PATIENCE: Duration = Duration::from_secs(20);

/// Holds back the first transaction that writes a given key, until the test lets it go.
struct Held {
    inner: Arc<EmbeddedStore>,
    key: Mutex<Option<String>>,
    arrived: Notify,
    go: Notify,
}

impl Held {
    fn hold(&self, key: &str) {
        *self.key.lock().unwrap() = Some(key.to_owned());
    }

    fn is_held(&self, transaction: &Transaction) -> bool {
        let mut held = self.key.lock().unwrap();
        let hit = transaction.writes.iter().any(|write| match write {
            Write::Put(key, _) | Write::Delete(key) => held.as_deref() == Some(key),
        });
        if hit {
            *held = None;
        }
        hit
    }

    async fn arrived(&self) {
        timeout(PATIENCE, self.arrived.notified()).await.unwrap();
    }
}

#[async_trait::async_trait]
impl Store for Held {
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
        self.inner.list(prefix, after, limit, at).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        if self.is_held(&transaction) {
            self.arrived.notify_one();
            self.go.notified().await;
        }
        self.inner.commit(transaction).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        self.inner.watch(prefix, after).await
    }
}

async fn held() -> (Rig, Arc<Held>) {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("config")).unwrap();
    let held = Arc::new(Held {
        inner: store.clone(),
        key: Mutex::new(None),
        arrived: Notify::new(),
        go: Notify::new(),
    });
    (Rig::start_over(folder, store, held.clone()).await, held)
}

#[tokio::test]
async fn an_org_is_not_deleted_under_what_is_made_in_it_meanwhile() {
    let (rig, held) = held().await;
    for (document, name) in [(GROUP, "acme"), (ERP, "bolt")] {
        let org = format!("apiVersion: hookplane.dev/v1\nkind: Org\nmetadata: {{name: {name}}}\n");
        rig.apply(&org).await.unwrap();
        held.hold(&keys::org(name));
        let mut orgs = rig.orgs();
        let request = v1::DeleteOrgRequest {
            name: format!("orgs/{name}"),
            etag: String::new(),
        };
        let deletion = tokio::spawn(async move { orgs.delete_org(request).await });
        held.arrived().await;
        let document = document.replace("org: acme", &format!("org: {name}"));
        rig.apply(&document).await.unwrap();
        held.go.notify_one();
        let refused = deletion.await.unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::Aborted, "{refused}");
        assert!(rig.plan(&org).await.unwrap()[0].action() == v1::ChangeAction::Unchanged);
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_webhook_saved_while_its_group_is_deleted_goes_with_it() {
    let (rig, held) = held().await;
    rig.apply(GROUP).await.unwrap();
    held.hold(&keys::group("acme", "code"));
    let mut groups = rig.groups();
    let request = v1::DeleteWebhookGroupRequest {
        name: "orgs/acme/groups/code".to_owned(),
        etag: String::new(),
        discard_pending: true,
        ..Default::default()
    };
    let deletion = tokio::spawn(async move { groups.delete_webhook_group(request).await });
    held.arrived().await;
    rig.apply(WEBHOOK).await.unwrap();
    held.go.notify_one();
    deletion.await.unwrap().unwrap();
    let left: Vec<String> = rig.stored().await.into_iter().map(|(key, _)| key).collect();
    assert!(!left.iter().any(|key| key.contains("/code")), "{left:?}");
    assert!(
        !left.iter().any(|key| key.starts_with(keys::DROPPING)),
        "{left:?}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_group_is_not_changed_under_a_webhook_that_is_saved_meanwhile() {
    let (rig, held) = held().await;
    rig.apply(GROUP).await.unwrap();
    let mut group = rig.group("orgs/acme/groups/code").await.unwrap();
    group.spec.as_mut().unwrap().registered_events = vec!["pull_request".to_owned()];
    held.hold(&keys::group("acme", "code"));
    let mut groups = rig.groups();
    let request = v1::UpdateWebhookGroupRequest {
        webhook_group: Some(group),
        ..Default::default()
    };
    let change = tokio::spawn(async move { groups.update_webhook_group(request).await });
    held.arrived().await;
    let request = v1::CreateWebhookRequest {
        parent: "orgs/acme/groups/code".to_owned(),
        webhook: Some(webhook_of(WEBHOOK)),
        validate_only: false,
    };
    rig.webhooks().create_webhook(request).await.unwrap();
    held.go.notify_one();
    let refused = change.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused}");
    let group = rig.group("orgs/acme/groups/code").await.unwrap();
    assert_eq!(
        group.spec.unwrap().registered_events,
        ["push", "pull_request"]
    );
    rig.stop().await;
}

/// Waits until the server has come to the state that is looked for.
async fn until(store: &EmbeddedStore, holds: impl Fn(&[String]) -> bool) {
    let mut changes = store.watch(keys::ROOT, 0).await.unwrap();
    timeout(PATIENCE, async {
        loop {
            let listing = store.list(keys::ROOT, None, 10_000, None).await.unwrap();
            let keys: Vec<String> = listing.entries.into_iter().map(|e| e.key).collect();
            if holds(&keys) {
                return;
            }
            tokio_stream::StreamExt::next(&mut changes).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_server_that_starts_drops_what_one_before_it_had_noted() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&folder.path().join("config")).unwrap();
    let clock = Arc::new(TestClock::default());
    let log = EmbeddedLog::open(&folder.path().join("log"), clock, Options::default()).unwrap();
    keep(&*log, "e1").await;
    log.close().await;
    drop(log);
    let writes = vec![Write::Put(
        keys::dropping("w"),
        "its webhook was deleted".into(),
    )];
    let transaction = Transaction {
        checks: Vec::new(),
        writes,
    };
    store.commit(transaction).await.unwrap();
    let rig = Rig::start_over(folder, store.clone(), store.clone()).await;
    until(&store, |keys| {
        !keys.iter().any(|k| k.starts_with(keys::DROPPING))
    })
    .await;
    let all = v1::ListDeliveriesRequest::default();
    let list = EventServiceClient::new(rig.wire())
        .list_deliveries(all)
        .await;
    let list = list.unwrap().into_inner().deliveries;
    let told: Vec<_> = list
        .iter()
        .map(|d| (d.status(), d.reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [(v1::DeliveryStatus::Dropped, "its webhook was deleted")]
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_definition_that_no_group_pins_is_removed_at_the_next_start() {
    let rig = Rig::start().await;
    rig.apply(&format!("{ERP}---\n{ERP_GROUP}---\n{GROUP}"))
        .await
        .unwrap();
    let pinned = rig.group("orgs/acme/groups/code").await.unwrap();
    let kept = keys::pin(&pinned.status.unwrap().connector_version);
    let pins = |keys: &[String]| keys.iter().filter(|k| k.starts_with(keys::PINS)).count();
    until(&rig.store, |keys| pins(keys) == 2).await;
    let request = v1::DeleteWebhookGroupRequest {
        name: "orgs/acme/groups/orders".to_owned(),
        etag: String::new(),
        discard_pending: true,
        ..Default::default()
    };
    rig.groups().delete_webhook_group(request).await.unwrap();
    let (folder, store) = rig.stop_and_keep().await;
    let rig = Rig::start_over(folder, store.clone(), store).await;
    until(&rig.store, |keys| pins(keys) == 1 && keys.contains(&kept)).await;
    // And comes back with the next group that needs it.
    rig.apply(ERP_GROUP).await.unwrap();
    until(&rig.store, |keys| pins(keys) == 2).await;
    rig.stop().await;
}
