//! Deliveries that wait for the subscribers of a webhook which has none any more: held, with what to mend, for an operator.
//!
//! ```text
//!   the webhook is saved without `subscribe` ─ same transaction ─▶ note ─ look ─▶ what waits is leased and held ─▶ nothing waits: note removed
//! ```
//!
//! Nobody is asked for such deliveries as for strays of what is pushed (`engine::strays`): a log tells only which of those wait. So the save
//! leaves a note, which a crash doesn't lose, and which stays while something is pending or leased, and a while longer for those who are
//! about to make or put back a delivery by what they knew before. A replica whose view hadn't heard of the save by then writes the note again when it
//! has. Later nothing is put back for subscribers that aren't there (`api::replay`).
//!
//! Whether there are subscribers again is read from the store after each lease and before anything is held: what was made for them by then is
//! given back.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hookplane_proto::v1;
use prost::Message;
use tokio::time::Instant;

use crate::context::Context;
use crate::keys;
use crate::log::{LogError, Queue, Selection, Settle, Settlement};
use crate::store::{Entry, Precondition, Revision, StoreError, Transaction, Write};

const REASON: &str =
    "the webhook has no destination `subscribe` any more: add it again, and replay";
/// For replicas whose view lags.
const PATIENCE: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(30);
const AT_ONCE: usize = 64;
const NOTES_AT_ONCE: usize = 200;

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("`{0}` can't be read: {1}")]
    Damaged(String, prost::DecodeError),
}

/// Whether its events are for subscribers, among others.
pub(crate) fn has_subscribers(spec: &v1::WebhookSpec) -> bool {
    let all = &spec.destinations;
    all.is_empty() || all.iter().any(|one| one.subscribe.is_some())
}

/// Goes into the transaction that saves a webhook without subscribers which had them before; `key` is the webhook's.
pub(crate) fn note(webhook_uid: &str, key: &str) -> Write {
    Write::Put(keys::unsubscribed(webhook_uid), key.to_owned().into())
}

/// Notes once more what this replica's view has seen lose its subscribers since: it may have kept events for them by what it knew before. What fails
/// is tried again with the next change, or canary.
pub(crate) async fn note_what_came_after(context: &Context) {
    let seen = context.view.unsubscribed().clone();
    for (uid, key) in seen {
        let transaction = Transaction {
            checks: Vec::new(),
            writes: vec![note(&uid, &key)],
        };
        match context.store.commit(transaction).await {
            Ok(_) => drop(context.view.unsubscribed().remove(&uid)),
            Err(error) => {
                tracing::warn!(%error, "deliveries for subscribers that a webhook no longer has are not held yet; it is tried again");
                return;
            }
        }
    }
}

/// What this replica remembers from look to look.
#[derive(Default)]
pub(crate) struct Unsubscribed {
    /// Since when each note is known here, as it was written last.
    seen: HashMap<String, (Instant, Revision)>,
}

impl Unsubscribed {
    /// Holds what waits. What fails is done by the next look.
    pub(crate) async fn look(&mut self, context: &Context) {
        if let Err(error) = self.try_look(context).await {
            tracing::warn!(%error, "deliveries for subscribers that a webhook no longer has are not held yet; it is tried again");
        }
    }

    async fn try_look(&mut self, context: &Context) -> Result<(), Failed> {
        let mut after: Option<String> = None;
        let mut there = HashSet::new();
        let mut first_failure = Ok(());
        loop {
            let listing =
                context
                    .store
                    .list(keys::UNSUBSCRIBED, after.as_deref(), NOTES_AT_ONCE, None);
            let notes = listing.await?.entries;
            for note in &notes {
                there.insert(note.key.clone());
                // What is wrong with one keeps none of the others waiting.
                let looked = self.look_at_one(context, note).await;
                first_failure = first_failure.and(looked);
            }
            match notes.last() {
                Some(last) if notes.len() == NOTES_AT_ONCE => after = Some(last.key.clone()),
                _ => break,
            }
        }
        self.seen.retain(|key, _| there.contains(key));
        first_failure
    }

    async fn look_at_one(&mut self, context: &Context, note: &Entry) -> Result<(), Failed> {
        let seen = self.seen.get(&note.key);
        let since = match seen {
            Some((since, revision)) if *revision == note.revision => *since,
            // Written again: its time begins anew.
            _ => Instant::now(),
        };
        self.seen.insert(note.key.clone(), (since, note.revision));
        let is_done = look_at(context, note).await?;
        if is_done && since.elapsed() >= PATIENCE || !is_noted(context, note).await? {
            remove(context, note).await?;
            self.seen.remove(&note.key);
        }
        Ok(())
    }
}

/// Whether the webhook is there and has no subscribers, as its note says.
async fn is_noted(context: &Context, note: &Entry) -> Result<bool, Failed> {
    let key = String::from_utf8_lossy(&note.value);
    let Some(entry) = context.store.get(&key).await? else {
        return Ok(false);
    };
    let webhook = v1::Webhook::decode(entry.value)
        .map_err(|error| Failed::Damaged(key.into_owned(), error))?;
    // A name used again is another webhook.
    let is_it = webhook.metadata.is_some_and(|of| of.uid == uid(note));
    Ok(is_it && !has_subscribers(&webhook.spec.unwrap_or_default()))
}

fn uid(note: &Entry) -> &str {
    note.key
        .strip_prefix(keys::UNSUBSCRIBED)
        .unwrap_or_default()
}

/// Holds what may be leased. Says whether nothing waits any more.
async fn look_at(context: &Context, note: &Entry) -> Result<bool, Failed> {
    let log = &context.log;
    let queue = Queue::of_subscribers(uid(note));
    while is_noted(context, note).await? {
        let leases = log.lease(&queue, AT_ONCE, LEASE).await?;
        if leases.is_empty() {
            break;
        }
        let settlement = match is_noted(context, note).await {
            Ok(true) => Settlement::Hold {
                reason: REASON.to_owned(),
            },
            // Whatever can't be read is tried again with the next look.
            Ok(false) | Err(_) => Settlement::Return,
        };
        let each = |token| -> Settle { (token, settlement.clone()).into() };
        let settles = leases.into_iter().map(|lease| each(lease.token)).collect();
        log.settle(settles).await?;
    }
    for status in [v1::DeliveryStatus::Pending, v1::DeliveryStatus::Leased] {
        let waiting = Selection {
            webhook_uid: Some(uid(note).to_owned()),
            destination: Some(String::new()),
            status: Some(status),
            ..Selection::default()
        };
        if !log.deliveries(&waiting, None, 1).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Unless it was written again.
async fn remove(context: &Context, note: &Entry) -> Result<(), Failed> {
    let transaction = Transaction {
        checks: vec![(note.key.clone(), Precondition::At(note.revision))],
        writes: vec![Write::Delete(note.key.clone())],
    };
    match context.store.commit(transaction).await {
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use v1::DeliveryStatus::{Held, Pending};

    use super::*;
    use crate::dispatch::engine::tests::rig::Rig;

    fn for_subscribers(one: &mut crate::log::NewDelivery) {
        one.destination = String::new();
    }

    /// As a save leaves it.
    async fn noted(rig: &Rig, webhook: &str) {
        let key = keys::webhook("acme", "shop", webhook);
        rig.put(keys::unsubscribed(webhook), key.into_bytes()).await;
    }

    #[tokio::test]
    async fn a_note_whose_webhook_cannot_be_read_keeps_none_behind_it_waiting() {
        let rig = Rig::new().await;
        rig.webhook("b", &["http"]).await;
        let damaged = keys::webhook("acme", "shop", "a");
        rig.put(damaged, b"\xff".to_vec()).await;
        let of_a = rig.event("a", for_subscribers).await;
        let of_b = rig.event("b", for_subscribers).await;
        noted(&rig, "a").await;
        noted(&rig, "b").await;
        let mut unsubscribed = Unsubscribed::default();
        unsubscribed.look(&rig.context).await;
        let held = rig.delivery(&of_b).await;
        assert_eq!(held.status(), Held);
        assert_eq!(held.reason, REASON);
        assert_eq!(rig.delivery(&of_a).await.status(), Pending);
        // The time of each goes on.
        let before = unsubscribed.seen.clone();
        assert_eq!(before.len(), 2);
        unsubscribed.look(&rig.context).await;
        assert_eq!(unsubscribed.seen, before);
        // But for one that is written again.
        noted(&rig, "b").await;
        unsubscribed.look(&rig.context).await;
        let (a, b) = (keys::unsubscribed("a"), keys::unsubscribed("b"));
        assert_eq!(unsubscribed.seen[&a], before[&a]);
        assert!(unsubscribed.seen[&b].0 > before[&b].0);
    }

    #[tokio::test]
    async fn what_a_view_that_lagged_made_is_held_once_it_has_heard() {
        let rig = Rig::new().await;
        let subscribes = v1::WebhookSpec::default();
        rig.webhook_as("orders", subscribes).await;
        rig.webhook("pushed", &["http"]).await;
        assert!(rig.context.view.unsubscribed().is_empty());
        rig.webhook("orders", &["http"]).await;
        rig.webhook("pushed", &["http", "erp"]).await;
        // The save's own note has gone meanwhile.
        let late = rig.event("orders", for_subscribers).await;
        let key = keys::webhook("acme", "shop", "orders");
        let expected = [("orders".to_owned(), key)].into();
        assert_eq!(*rig.context.view.unsubscribed(), expected);
        note_what_came_after(&rig.context).await;
        assert!(rig.context.view.unsubscribed().is_empty());
        let mut unsubscribed = Unsubscribed::default();
        unsubscribed.look(&rig.context).await;
        assert_eq!(rig.delivery(&late).await.status(), Held);
    }
}
