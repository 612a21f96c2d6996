//! Which queues have nothing that could be leased, as far as is known here: with thousands of subscribers who all wake at each piece of news,
//! only those of the webhooks that it is about ask PostgreSQL.
//!
//! It is a guess that errs one way only: a queue is quiet from a lease that took all there was until there is news of its webhook. News that got lost are
//! made up for by [`Quiet::everything`], which is told every few seconds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::log::Queue;

/// Webhooks remembered. One that is forgotten is asked for once more.
const REMEMBERED: usize = 100_000;
/// Destinations remembered of one; more than a webhook has.
const DESTINATIONS: usize = 64;

/// What is known of each webhook, on a count of all that happened.
#[derive(Default)]
pub(super) struct Quiet(Mutex<Known>);

#[derive(Default)]
struct Known {
    count: u64,
    /// The last news of everything.
    everything: u64,
    /// By their uids.
    webhooks: HashMap<String, Webhook>,
}

#[derive(Default)]
struct Webhook {
    /// The last news of it.
    news: u64,
    /// Of each of its destinations, when the last lease that took all there was began.
    empty: HashMap<String, u64>,
}

impl Webhook {
    fn empty(&self, destination: &str) -> u64 {
        self.empty.get(destination).copied().unwrap_or_default()
    }
}

/// When a lease began.
#[derive(Clone, Copy)]
pub(super) struct Began(u64);

impl Known {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn webhook(&mut self, uid: &str) -> &mut Webhook {
        if self.webhooks.len() >= REMEMBERED && !self.webhooks.contains_key(uid) {
            self.webhooks.clear();
            // Of a lease that is under way it isn't known any more what came meanwhile.
            self.everything = self.next();
        }
        self.webhooks.entry(uid.to_owned()).or_default()
    }
}

impl Quiet {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None: there is nothing to be leased. Else to be said before it is asked.
    pub(super) fn begin(&self, queue: &Queue) -> Option<Began> {
        let mut known = self.known();
        let everything = known.everything;
        // From here on it is remembered, and what comes during the lease with it.
        let webhook = known.webhook(&queue.webhook_uid);
        let empty = webhook.empty(&queue.destination);
        let quiet = empty > webhook.news && empty > everything;
        (!quiet).then(|| Began(known.next()))
    }

    /// The lease that began then took all there was.
    pub(super) fn emptied(&self, queue: &Queue, Began(at): Began) {
        let mut known = self.known();
        let webhook = known.webhook(&queue.webhook_uid);
        if webhook.empty.len() >= DESTINATIONS && !webhook.empty.contains_key(&queue.destination) {
            webhook.empty.clear();
        }
        let empty = webhook.empty.entry(queue.destination.clone()).or_default();
        *empty = at.max(*empty);
    }

    /// Something can be leased of these: it is committed.
    pub(super) fn news<'a>(&self, webhooks: impl IntoIterator<Item = &'a str>) {
        let mut known = self.known();
        let at = known.next();
        for uid in webhooks {
            // One that isn't remembered isn't quiet.
            if let Some(webhook) = known.webhooks.get_mut(uid) {
                webhook.news = at;
            }
        }
    }

    /// Something may be leased of any.
    pub(super) fn everything(&self) {
        let mut known = self.known();
        known.everything = known.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(webhook: &str) -> Queue {
        Queue::of_subscribers(webhook)
    }

    #[test]
    fn a_webhook_is_quiet_from_an_empty_lease_until_there_is_news_of_it() {
        let quiet = Quiet::default();
        let began = quiet.begin(&of("w")).expect("nothing is known");
        quiet.emptied(&of("w"), began);
        assert!(quiet.begin(&of("w")).is_none());
        assert!(quiet.begin(&of("other")).is_some());
        quiet.news(["other"]);
        assert!(quiet.begin(&of("w")).is_none());
        quiet.news(["x", "w"]);
        let began = quiet.begin(&of("w")).expect("there is news");
        quiet.emptied(&of("w"), began);
        assert!(quiet.begin(&of("w")).is_none());
        quiet.everything();
        assert!(quiet.begin(&of("w")).is_some());
    }

    #[test]
    fn a_webhooks_destinations_are_quiet_each_by_itself_and_news_are_of_all() {
        let quiet = Quiet::default();
        let to = |destination: &str| Queue {
            destination: destination.to_owned(),
            ..of("w")
        };
        let began = quiet.begin(&to("crm")).expect("nothing is known");
        quiet.emptied(&to("crm"), began);
        assert!(quiet.begin(&to("crm")).is_none());
        assert!(quiet.begin(&to("")).is_some() && quiet.begin(&to("http")).is_some());
        quiet.news(["w"]);
        assert!(quiet.begin(&to("crm")).is_some());
    }

    // What comes while a lease is under way may not have been seen by it.
    #[test]
    fn news_during_a_lease_outlive_it() {
        for first in [true, false] {
            let quiet = Quiet::default();
            if first {
                let began = quiet.begin(&of("w")).expect("nothing is known");
                quiet.emptied(&of("w"), began);
                quiet.everything();
            }
            let began = quiet.begin(&of("w")).expect("asks");
            quiet.news(["w"]);
            quiet.emptied(&of("w"), began);
            assert!(quiet.begin(&of("w")).is_some(), "first: {first}");
        }
    }
}
