//! Deliveries whose destination is no longer there: held, with what to mend, for an operator.
//!
//! Not at once: another replica may have made them for a destination that this one's view doesn't have yet. And never while it isn't known that
//! the view has what was written before they were seen: a replica that is cut off from the config store holds nothing. Nor any longer than it is
//! gone: it may be added again while some are held.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Engine;
use crate::dispatch::target::resolve;
use crate::log::{Queue, Settle, Settlement};

/// Where it isn't known how the view is, it is looked again after this.
const UNKNOWN: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(30);
const AT_ONCE: usize = 64;

/// Since when each was seen so.
#[derive(Default)]
pub(super) struct Strays {
    seen: HashMap<Queue, Instant>,
    before: HashMap<Queue, Instant>,
}

impl Strays {
    /// A look begins.
    pub(super) fn begin(&mut self) {
        // A look that broke off saw only some of them.
        let broken_off = std::mem::take(&mut self.seen);
        self.before.extend(broken_off);
    }

    /// A look saw all there is.
    pub(super) fn end(&mut self) {
        self.before.clear();
    }

    /// Says when to come back.
    pub(super) fn note(
        &mut self,
        queue: Queue,
        engine: Arc<Engine>,
        tasks: &mut JoinSet<()>,
    ) -> Option<Duration> {
        let since = self.before.remove(&queue).unwrap_or_else(Instant::now);
        let left = engine.timing.patience.saturating_sub(since.elapsed());
        let is_current = engine.context.view.current().is_some_and(|at| at > since);
        if left.is_zero() && is_current {
            tasks.spawn(hold(engine, queue));
            return None;
        }
        self.seen.insert(queue, since);
        Some(if left.is_zero() { UNKNOWN } else { left })
    }
}

/// Why it is a stray. None: it isn't, or its webhook is gone, and what does that drops them.
pub(super) fn is_stray(engine: &Engine, queue: &Queue) -> Option<String> {
    let view = &engine.context.view;
    let webhook = view.webhook(&queue.webhook_uid)?;
    resolve(view, &webhook, &queue.destination).err()
}

async fn hold(engine: Arc<Engine>, queue: Queue) {
    let log = &engine.context.log;
    while !engine.shutdown.is_cancelled() && is_stray(&engine, &queue).is_some() {
        let held = async {
            let leases = log.lease(&queue, AT_ONCE, LEASE).await?;
            // Asked again: what was leased may be for one that was just added.
            let settlement = match is_stray(&engine, &queue) {
                Some(reason) => Settlement::Hold { reason },
                None => Settlement::Return,
            };
            let settles: Vec<Settle> = leases
                .into_iter()
                .map(|lease| (lease.token, settlement.clone()).into())
                .collect();
            let count = settles.len();
            if count > 0 {
                log.settle(settles).await?;
            }
            Ok(count)
        };
        match held.await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return engine.trouble(&error),
        }
    }
}
