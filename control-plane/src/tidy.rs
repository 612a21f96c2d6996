//! What has to be done after a write and can't be done with it: deliveries of deleted webhooks are dropped and versions of their mappings
//! removed, what waits for subscribers that are no more is held, and removed are definitions that no group pins any more, and tombstones that have stood for a day.
//!
//! The event log is not the config store, so a webhook's deletion and the drop of its deliveries are two steps. The first leaves a note, in
//! the same transaction; a note goes when its deliveries are dropped. A crash or a log that can't be written delays that, and
//! never forgets it.
//!
//! A replica whose view hadn't heard of the deletion by then may have kept events for the webhook since. So each drops once more when its own
//! view has, and whoever kept an event looks whether its webhooks are still there (`report::append`).

use std::collections::BTreeSet;
use std::time::Duration;

use hookplane_proto::v1;
use prost::Message;
use tokio_util::sync::CancellationToken;

use crate::config::tombstone;
use crate::context::Context;
use crate::dispatch::unsubscribed::{Unsubscribed, note_what_came_after};
use crate::keys;
use crate::log::LogError;
use crate::moved;
use crate::store::{Entry, Precondition, Revision, StoreError, Transaction, Write};

/// Between two looks for notes whose deliveries could not be dropped at once.
const NOTES_EVERY: Duration = Duration::from_secs(10);
/// Looks for notes between two looks for unused definitions, which reads every group: once an hour.
const LOOKS_PER_PIN_SWEEP: u32 = 360;
/// Likewise between two sweeps of tombstones that are past their day: ten minutes.
const LOOKS_PER_TOMBSTONE_SWEEP: u32 = 60;
const READ_AT_ONCE: usize = 200;

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("`{0}` can't be read: {1}")]
    Damaged(String, prost::DecodeError),
}

/// Goes into the transaction that deletes a webhook.
pub(crate) fn note(webhook_uid: &str, reason: &str) -> Write {
    Write::Put(keys::dropping(webhook_uid), reason.to_owned().into())
}

/// Drops what is noted. What fails stays noted and is done by [`run`].
pub(crate) async fn drop_noted(context: &Context) {
    if let Err(error) = try_drop(context).await {
        tracing::warn!(%error, "deliveries of deleted webhooks are not dropped yet; it is tried again");
    }
}

async fn try_drop(context: &Context) -> Result<(), Failed> {
    loop {
        let store = &context.store;
        let notes = store.list(keys::DROPPING, None, READ_AT_ONCE, None).await?;
        for note in &notes.entries {
            let uid = &note.key[keys::DROPPING.len()..];
            let reason = String::from_utf8_lossy(&note.value);
            context.log.drop_deliveries(uid, &reason).await?;
            remove_mappings(context, uid).await?;
            let done = Write::Delete(note.key.clone());
            let transaction = Transaction {
                checks: Vec::new(),
                writes: vec![done],
            };
            store.commit(transaction).await?;
        }
        if notes.entries.len() < READ_AT_ONCE {
            return Ok(());
        }
    }
}

/// The note stays until all are gone.
async fn remove_mappings(context: &Context, webhook_uid: &str) -> Result<(), StoreError> {
    /// Each may be a quarter of a megabyte.
    const AT_ONCE: usize = 20;
    let store = &context.store;
    loop {
        let of = keys::mappings_of(webhook_uid);
        let versions = store.list(&of, None, AT_ONCE, None).await?.entries;
        if versions.is_empty() {
            return Ok(());
        }
        let writes = versions
            .into_iter()
            .map(|version| Write::Delete(version.key));
        let transaction = Transaction {
            checks: Vec::new(),
            writes: writes.collect(),
        };
        store.commit(transaction).await?;
    }
}

/// Drops what this replica kept for webhooks that its view has seen deleted since. What fails is tried again with the next change, or canary.
async fn drop_what_came_after(context: &Context) {
    let seen = context.view.dropping().clone();
    for (uid, reason) in seen {
        match context.log.drop_deliveries(&uid, &reason).await {
            Ok(_) => drop(context.view.dropping().remove(&uid)),
            Err(error) => {
                tracing::warn!(%error, "deliveries of deleted webhooks are not dropped yet; it is tried again");
                return;
            }
        }
    }
}

/// Until `shutdown`: at once, and then again and again.
pub(crate) async fn run(context: Context, shutdown: CancellationToken) {
    let mut every = tokio::time::interval(NOTES_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut revisions = context.view.revisions();
    let mut urls_settled = false;
    let mut looks = 0;
    let mut unsubscribed = Unsubscribed::default();
    let come_after = async || {
        drop_what_came_after(&context).await;
        note_what_came_after(&context).await;
    };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = every.tick() => {}
            // The view lives as long as this.
            _ = revisions.changed() => {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = come_after() => continue,
                }
            }
        }
        let work = async {
            drop_noted(&context).await;
            come_after().await;
            unsubscribed.look(&context).await;
            let public_url = &context.public_url;
            if !urls_settled && context.fleet.other_url(public_url).is_none() {
                let (store, view, fleet) = (&*context.store, &context.view, &context.fleet);
                let settled = moved::unless_others_differ(store, view, fleet, public_url).await;
                match settled {
                    Ok(settled) => urls_settled = settled,
                    Err(error) => {
                        tracing::warn!(%error, "callback URLs don't follow the public URL yet; it is tried again");
                    }
                }
            }
            if looks % LOOKS_PER_PIN_SWEEP == 0
                && let Err(error) = sweep_pins(&context).await
            {
                tracing::warn!(%error, "unused connector definitions are not removed yet; it is tried again");
            }
            if looks % LOOKS_PER_TOMBSTONE_SWEEP == 0
                && let Err(error) = tombstone::sweep(&*context.store, context.clock.now()).await
            {
                tracing::warn!(%error, "old tombstones are not removed yet; it is tried again");
            }
        };
        // Each step is one transaction, so it may end between any two.
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = work => {}
        }
        looks += 1;
    }
}

/// Removes the definitions that no group pins. All is read at one revision; a group that is saved since then with one of them has touched
/// its guard, and it stays.
async fn sweep_pins(context: &Context) -> Result<(), Failed> {
    let mut at = None;
    let guards = all(context, keys::PIN_GUARDS, &mut at).await?;
    let pins = all(context, keys::PINS, &mut at).await?;
    let mut used = BTreeSet::new();
    for entry in all(context, keys::GROUPS, &mut at).await? {
        let group = v1::WebhookGroup::decode(entry.value)
            .map_err(|error| Failed::Damaged(entry.key, error))?;
        used.insert(group.status.unwrap_or_default().connector_version);
    }
    for pin in pins {
        let digest = &pin.key[keys::PINS.len()..];
        if used.contains(digest) {
            continue;
        }
        let guard = keys::pin_guard(digest);
        let check = guards
            .iter()
            .find(|entry| entry.key == guard)
            .map_or(Precondition::Absent, |e| Precondition::At(e.revision));
        let transaction = Transaction {
            checks: vec![(guard.clone(), check)],
            writes: vec![Write::Delete(pin.key.clone()), Write::Delete(guard)],
        };
        match context.store.commit(transaction).await {
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn all(
    context: &Context,
    prefix: &str,
    at: &mut Option<Revision>,
) -> Result<Vec<Entry>, StoreError> {
    let mut found: Vec<Entry> = Vec::new();
    loop {
        let after = found.last().map(|entry| entry.key.clone());
        let page = context
            .store
            .list(prefix, after.as_deref(), READ_AT_ONCE, *at)
            .await?;
        *at = Some(page.revision);
        let last = page.entries.len() < READ_AT_ONCE;
        found.extend(page.entries);
        if last {
            return Ok(found);
        }
    }
}
