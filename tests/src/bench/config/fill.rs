//! Many groups, written to the store as the API would have left them: each is a copy of one that the API made, under a name, uids and a callback
//! token of its own, its secret sealed anew. Through the API a hundred thousand would take longer than all that is measured.

use std::path::Path;

use hookplane_control_plane::keys;
use hookplane_control_plane::seal::{SealKey, secret_field};
use hookplane_control_plane::store::{Entry, MAX_WRITES, Store, Transaction, Write};
use hookplane_proto::v1;
use prost::Message;

use super::{GROUP, ORG};
use crate::bench::Failure;

const PAGE: usize = 100;

/// Copies are numbered; these are made.
pub(super) async fn fill(
    store: &dyn Store,
    seal_key: &Path,
    numbers: std::ops::Range<usize>,
) -> Result<(), Failure> {
    let seal = SealKey::load_or_create(seal_key)?;
    let original = Original::read(store).await?;
    let mut writes = Vec::new();
    for number in numbers {
        original.copy(number, &seal, &mut writes)?;
        if writes.len() > MAX_WRITES {
            commit(store, writes.drain(..MAX_WRITES).collect()).await?;
        }
    }
    while !writes.is_empty() {
        let some = writes.len().min(MAX_WRITES);
        commit(store, writes.drain(..some).collect()).await?;
    }
    Ok(())
}

async fn commit(store: &dyn Store, writes: Vec<Write>) -> Result<(), Failure> {
    let checks = Vec::new();
    store.commit(Transaction { checks, writes }).await?;
    Ok(())
}

/// The group that is copied.
struct Original {
    group: v1::WebhookGroup,
    /// The template among them.
    webhooks: Vec<v1::Webhook>,
    guard: Option<Entry>,
}

impl Original {
    async fn read(store: &dyn Store) -> Result<Self, Failure> {
        let group = store.get(&keys::group(ORG, GROUP)).await?;
        let group = group.ok_or("there is no group to copy")?;
        let prefix = keys::webhook(ORG, GROUP, "");
        let webhooks = store.list(&prefix, None, PAGE, None).await?.entries;
        Ok(Self {
            group: v1::WebhookGroup::decode(group.value)?,
            webhooks: webhooks
                .into_iter()
                .map(|entry| v1::Webhook::decode(entry.value))
                .collect::<Result<_, _>>()?,
            guard: store.get(&keys::group_guard(ORG, GROUP)).await?,
        })
    }

    fn copy(&self, number: usize, seal: &SealKey, writes: &mut Vec<Write>) -> Result<(), Failure> {
        let name = format!("g{number:06}");
        let mut group = self.group.clone();
        let metadata = group.metadata.get_or_insert_default();
        let uid = renumbered(&metadata.uid, number);
        (metadata.name, metadata.uid) = (name.clone(), uid.clone());
        for secret in &mut group.spec.get_or_insert_default().signature_secrets {
            let value = format!("the secret of {name}");
            secret.sealed = seal.seal(&uid, secret_field(&secret.name), value.as_bytes())?;
        }
        let url = &mut group.status.get_or_insert_default().callback_url;
        *url = renumbered(url, number);
        writes.push(put(keys::group(ORG, &name), &group));
        for webhook in &self.webhooks {
            let mut webhook = webhook.clone();
            let metadata = webhook.metadata.get_or_insert_default();
            metadata.group.clone_from(&name);
            metadata.uid = renumbered(&metadata.uid, number);
            let key = keys::webhook(ORG, &name, &metadata.name);
            writes.push(put(key, &webhook));
        }
        if let Some(guard) = &self.guard {
            writes.push(Write::Put(
                keys::group_guard(ORG, &name),
                guard.value.clone(),
            ));
        }
        Ok(())
    }
}

/// The same length, the number in place of its end.
fn renumbered(id: &str, number: usize) -> String {
    let kept = id.len().saturating_sub(8);
    format!("{}{number:08x}", &id[..kept])
}

fn put<M: Message>(key: String, value: &M) -> Write {
    Write::Put(key, value.encode_to_vec().into())
}
