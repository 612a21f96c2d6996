//! Which webhooks have nothing that could be leased, as far as is known here: with thousands of subscribers who all wake at each piece of news,
//! only those it is about ask PostgreSQL.
//!
//! It is a guess that errs one way only: a webhook is quiet from a lease that took all there was until there is news of it. News that got lost are
//! made up for by [`Quiet::everything`], which is told every few seconds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Webhooks remembered. One that is forgotten is asked for once more.
const REMEMBERED: usize = 100_000;

/// What is known of each webhook, on a count of all that happened.
#[derive(Default)]
pub(super) struct Quiet(Mutex<Known>);

#[derive(Default)]
struct Known {
    count: u64,
    /// The last news of everything.
    everything: u64,
    /// The last news of each, and when the last lease that took all there was began.
    webhooks: HashMap<String, Webhook>,
}

#[derive(Default)]
struct Webhook {
    news: u64,
    empty: u64,
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
    pub(super) fn begin(&self, webhook_uid: &str) -> Option<Began> {
        let mut known = self.known();
        let everything = known.everything;
        // From here on it is remembered, and what comes during the lease with it.
        let webhook = known.webhook(webhook_uid);
        let quiet = webhook.empty > webhook.news && webhook.empty > everything;
        (!quiet).then(|| Began(known.next()))
    }

    /// The lease that began then took all there was.
    pub(super) fn emptied(&self, webhook_uid: &str, Began(at): Began) {
        let mut known = self.known();
        let webhook = known.webhook(webhook_uid);
        webhook.empty = webhook.empty.max(at);
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

    #[test]
    fn a_webhook_is_quiet_from_an_empty_lease_until_there_is_news_of_it() {
        let quiet = Quiet::default();
        let began = quiet.begin("w").expect("nothing is known");
        quiet.emptied("w", began);
        assert!(quiet.begin("w").is_none());
        assert!(quiet.begin("other").is_some());
        quiet.news(["other"]);
        assert!(quiet.begin("w").is_none());
        quiet.news(["x", "w"]);
        let began = quiet.begin("w").expect("there is news");
        quiet.emptied("w", began);
        assert!(quiet.begin("w").is_none());
        quiet.everything();
        assert!(quiet.begin("w").is_some());
    }

    // What comes while a lease is under way may not have been seen by it.
    #[test]
    fn news_during_a_lease_outlive_it() {
        for first in [true, false] {
            let quiet = Quiet::default();
            if first {
                let began = quiet.begin("w").expect("nothing is known");
                quiet.emptied("w", began);
                quiet.everything();
            }
            let began = quiet.begin("w").expect("asks");
            quiet.news(["w"]);
            quiet.emptied("w", began);
            assert!(quiet.begin("w").is_some(), "first: {first}");
        }
    }
}
