//! What is under way comes to its end, and what becomes of it is settled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError};
use tokio::time::{Instant, timeout_at};

use super::super::attempt::{Flown, broken_off};
use super::super::{Engine, ended};
use super::{Held, LAST, Run, Settled};
use crate::log::{Activity, LogError, Queue, Settle, Settlement};

/// For what is under way when the server ends.
const GRACE: Duration = Duration::from_secs(2);
/// Tries to settle what was sent, and the time between them. What isn't settled is sent again.
const SETTLE_TRIES: u32 = 4;
const SETTLE_AGAIN: Duration = Duration::from_millis(250);

impl Run {
    pub(super) fn landed(&mut self, first: Result<(Id, Flown), JoinError>) {
        let mut by_queue: HashMap<Queue, (Vec<Settle>, bool)> = HashMap::new();
        let mut next = Some(first);
        // All that have ended meanwhile are settled at once.
        while let Some(flown) = next.take() {
            let (id, settles) = match flown {
                Ok((id, flown)) => {
                    // Large ones are remembered for a while.
                    self.largest_record = flown.largest_record.max(self.largest_record / 2);
                    (id, Some(flown.settles))
                }
                Err(error) => (error.id(), None),
            };
            if let Some(held) = self.held.remove(&id) {
                let settles = settles.unwrap_or_else(|| {
                    self.endpoint.breaker(|breaker| breaker.no_probe());
                    let each = |token| broken_off(token, "the attempt broke off");
                    held.tokens.into_iter().map(each).collect()
                });
                let of_queue = by_queue.entry(held.queue).or_default();
                of_queue.1 |= held.ordered || settles.iter().any(is_given_back);
                of_queue.0.extend(settles);
            }
            next = self.flights.try_join_next_with_id();
        }
        for (queue, (settles, again)) in by_queue {
            self.settle(queue, settles, again);
        }
    }

    pub(super) fn settle(&mut self, queue: Queue, settles: Vec<Settle>, again: bool) {
        if settles.is_empty() {
            return;
        }
        let engine = Arc::clone(&self.engine);
        self.settling.spawn(async move {
            settle(&engine, &queue, settles).await;
            Some(Settled { queue, again })
        });
    }

    /// The next of a key may be leased now, and what was given back.
    pub(super) fn settled(&mut self, ended: Result<Option<Settled>, JoinError>) {
        // What it was to settle stays leased until its leases run out by themselves; then it is offered, and sent, again.
        let settled = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "settling what was delivered broke off: please report this as a bug");
            None
        });
        if let Some(Settled { queue, again }) = settled
            && (self.engine.wake(&queue) || again)
        {
            self.inbox.put(queue);
        }
    }

    /// What is under way has a moment; what isn't done then is given back.
    pub(super) async fn end(mut self) {
        let until = Instant::now() + GRACE;
        while let Ok(Some(flown)) = timeout_at(until, self.flights.join_next_with_id()).await {
            self.landed(flown);
        }
        self.flights.shutdown().await;
        let held: Vec<Held> = self.held.drain().map(|(_, held)| held).collect();
        for Held { queue, tokens, .. } in held {
            let back = tokens
                .into_iter()
                .map(|token| (token, Settlement::Return).into());
            self.settle(queue, back.collect(), false);
        }
        if !ended(&mut self.settling, until + LAST, drop).await {
            tracing::warn!(
                "what was delivered couldn't be settled in time: some of it is delivered again"
            );
        }
    }
}

fn is_given_back(settle: &Settle) -> bool {
    matches!(settle.settlement, Settlement::Return)
}

async fn settle(engine: &Engine, queue: &Queue, settles: Vec<Settle>) {
    let log = &engine.context.log;
    for tries in 1..=SETTLE_TRIES {
        match log.settle(settles.clone()).await {
            Ok(done) => return happened(engine, queue, &settles, &done),
            Err(error) if tries == SETTLE_TRIES || matches!(error, LogError::Failed(_)) => {
                engine.trouble(&error);
                return;
            }
            Err(_) => tokio::time::sleep(SETTLE_AGAIN * tries).await,
        }
    }
}

/// For the charts of the group and its org. Of a webhook that is gone nothing is counted: what was of its group may be forgotten already.
fn happened(engine: &Engine, queue: &Queue, settles: &[Settle], done: &[bool]) {
    let mut activity = Activity::default();
    for (settle, done) in settles.iter().zip(done) {
        if *done {
            activity.add(Activity::of(&settle.settlement));
        }
    }
    if activity == Activity::default() {
        return;
    }
    let context = &engine.context;
    let webhook = context.view.webhook(&queue.webhook_uid);
    let group = webhook.as_ref().and_then(|webhook| {
        let webhook = webhook.metadata.as_ref()?;
        context.view.group_named(&webhook.org, &webhook.group)
    });
    if let Some(group) = group.as_ref().and_then(|of| of.group.metadata.as_ref()) {
        let notes = context.log.notes();
        notes.happened(&group.org, &group.uid, context.clock.now(), activity);
    }
}
