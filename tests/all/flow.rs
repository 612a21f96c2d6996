//! The view of the store, with the real rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hookplane_control_plane::config::View;
use hookplane_control_plane::keys;
use hookplane_control_plane::seal::SealKey;
use hookplane_control_plane::store::{
    Change, Changes, Entry, Listing, Revision, Store, StoreError, Transaction,
};
use hookplane_proto::v1;
use hookplane_rules::Connector;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

const WAIT: Duration = Duration::from_secs(10);

type Content = BTreeMap<String, (Revision, Bytes)>;
type Watcher = mpsc::UnboundedSender<Result<Change, StoreError>>;

/// A store whose every revision is made by the test.
#[derive(Default)]
struct Scripted {
    content: Mutex<(Revision, Content)>,
    watcher: Mutex<Option<Watcher>>,
}

impl Scripted {
    fn write(&self, writes: Vec<(String, Option<Bytes>)>) -> Revision {
        let mut content = self.content.lock().unwrap();
        content.0 += 1;
        let revision = content.0;
        for (key, value) in &writes {
            match value {
                Some(value) => content.1.insert(key.clone(), (revision, value.clone())),
                None => content.1.remove(key),
            };
        }
        if let Some(watcher) = &*self.watcher.lock().unwrap() {
            let _ = watcher.send(Ok(Change {
                revision,
                keys: writes,
            }));
        }
        revision
    }
}

#[async_trait::async_trait]
impl Store for Scripted {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        // What every control plane finds or makes.
        Ok([keys::EPOCH, keys::HORIZON].contains(&key).then(|| Entry {
            key: key.to_owned(),
            value: Bytes::from_static(b"0"),
            revision: 1,
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        _at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        let content = self.content.lock().unwrap();
        Ok(Listing {
            entries: content
                .1
                .iter()
                .filter(|(key, _)| {
                    key.starts_with(prefix) && after.is_none_or(|a| key.as_str() > a)
                })
                .take(limit)
                .map(|(key, (revision, value))| Entry {
                    key: key.clone(),
                    value: value.clone(),
                    revision: *revision,
                })
                .collect(),
            revision: content.0,
        })
    }

    async fn commit(&self, _transaction: Transaction) -> Result<Revision, StoreError> {
        Err(StoreError::Unavailable("scripted".to_owned()))
    }

    async fn watch(&self, _prefix: &str, after: Revision) -> Result<Changes, StoreError> {
        // Nothing is written between the list and the watch but what is sent here again.
        let content = self.content.lock().unwrap();
        let (send, changes) = mpsc::unbounded_channel();
        let mut missed: BTreeMap<Revision, Vec<(String, Option<Bytes>)>> = BTreeMap::new();
        for (key, (revision, value)) in &content.1 {
            if *revision > after {
                missed
                    .entry(*revision)
                    .or_default()
                    .push((key.clone(), Some(value.clone())));
            }
        }
        for (revision, keys) in missed {
            let _ = send.send(Ok(Change { revision, keys }));
        }
        *self.watcher.lock().unwrap() = Some(send);
        Ok(Box::pin(UnboundedReceiverStream::new(changes)))
    }
}

fn metadata(name: &str, uid: &str, group: &str) -> Option<v1::Metadata> {
    Some(v1::Metadata {
        org: "acme".to_owned(),
        group: group.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        ..Default::default()
    })
}

fn connector() -> v1::Connector {
    v1::Connector {
        metadata: metadata("plain-hmac", "connector", ""),
        spec: Some(v1::ConnectorSpec {
            display_name: "Plain".to_owned(),
            functions: vec![v1::ConnectorFunction {
                name: "events".to_owned(),
                open_events: true,
                ..Default::default()
            }],
            protocol: Some(v1::Protocol {
                schemes: vec![v1::Scheme {
                    name: "none".to_owned(),
                    unsigned: Some(v1::Unsigned {}),
                    ..Default::default()
                }],
                extract: Some(v1::Extraction {
                    event_type: vec![v1::Value {
                        from: "json:/type".to_owned(),
                        ..Default::default()
                    }],
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }),
    }
}

fn group(uid: &str, pin: &str) -> Bytes {
    v1::WebhookGroup {
        metadata: metadata("shop", uid, ""),
        spec: Some(v1::WebhookGroupSpec {
            connector: "plain-hmac".to_owned(),
            function: "events".to_owned(),
            accept_unsigned: true,
            registered_events: vec!["*".to_owned()],
            ..Default::default()
        }),
        status: Some(v1::WebhookGroupStatus {
            callback_url: "http://localhost/hooks/0123456789abcdef0123456789abcdef".to_owned(),
            connector_version: pin.to_owned(),
            ..Default::default()
        }),
    }
    .encode_to_vec()
    .into()
}

fn webhook(uid: &str, filter: &str) -> Bytes {
    v1::Webhook {
        metadata: metadata("paid", uid, "shop"),
        spec: Some(v1::WebhookSpec {
            label: "Paid".to_owned(),
            active: true,
            events: vec!["order".to_owned()],
            filter: filter.to_owned(),
            ..Default::default()
        }),
        status: None,
    }
    .encode_to_vec()
    .into()
}

/// The webhooks that want an event `order` of a group.
fn wanted_by(view: &View, group: &str) -> Vec<String> {
    let mut callback = v1::ReportedCallback {
        events: vec![v1::ReportedEvent {
            r#type: "order".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let record = view.group(group).unwrap();
    view.compiled(&record).unwrap().rematch(&mut callback);
    let matches = callback.events.remove(0).matches.into_iter();
    matches
        .filter(|one| one.matched)
        .map(|one| one.webhook_uid)
        .collect()
}

async fn caught_up(view: &View, revision: Revision) {
    assert!(view.reached(revision, Instant::now() + WAIT).await);
}

#[tokio::test]
async fn the_view_follows_what_is_stored_and_keeps_the_last_version_that_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let seal = Arc::new(SealKey::load_or_create(&folder.path().join("seal.key")).unwrap());
    let connector = connector();
    let pin = Connector::version_of(connector.spec.as_ref().unwrap());
    let store = Arc::new(Scripted::default());
    store.write(vec![
        (keys::pin(&pin), Some(connector.encode_to_vec().into())),
        (keys::group("acme", "shop"), Some(group("g1", &pin))),
    ]);
    let shutdown = CancellationToken::new();
    let view = View::start(store.clone(), seal.clone(), shutdown.clone())
        .await
        .unwrap();
    let record = view.group_named("acme", "shop").unwrap();
    assert_eq!(view.compiled(&record).unwrap().uid(), "g1");
    assert_eq!(record.group.metadata.as_ref().unwrap().revision, 1);
    assert!(record.webhooks.is_empty());

    let at = store.write(vec![(
        keys::webhook("acme", "shop", "paid"),
        Some(webhook("w1", "")),
    )]);
    caught_up(&view, at).await;
    let record = view.group("g1").unwrap();
    assert_eq!(record.revision, at);
    assert_eq!(record.webhooks.len(), 1);

    // Risk 24: what doesn't compile is refused alone, and its last version stays.
    let at = store.write(vec![(
        keys::webhook("acme", "shop", "paid"),
        Some(webhook("w1", "payload.(")),
    )]);
    caught_up(&view, at).await;
    assert_eq!(wanted_by(&view, "g1"), ["w1"]);

    // Who starts now has no earlier version of it, and nothing is compiled that nobody asks for.
    let later = View::start(store.clone(), seal, shutdown.clone())
        .await
        .unwrap();
    assert!(wanted_by(&later, "g1").is_empty());

    // A removal counts as a change of the group, so that what was matched before it is matched again.
    let at = store.write(vec![(keys::webhook("acme", "shop", "paid"), None)]);
    caught_up(&view, at).await;
    let record = view.group("g1").unwrap();
    assert_eq!(record.revision, at);
    assert!(record.webhooks.is_empty());

    // A name used again is another group.
    let at = store.write(vec![(keys::group("acme", "shop"), Some(group("g2", &pin)))]);
    caught_up(&view, at).await;
    assert!(view.group("g1").is_none());
    assert!(view.group("g2").is_some());

    let at = store.write(vec![(keys::group("acme", "shop"), None)]);
    caught_up(&view, at).await;
    assert!(view.group_named("acme", "shop").is_none());

    shutdown.cancel();
    for view in [view, later] {
        view.tasks().close();
        tokio::time::timeout(WAIT, view.tasks().wait())
            .await
            .expect("the view ends with the server");
    }
}
