//! The task that learns: it takes in what waits, keeps it now and then, and counts the warnings that are new.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::takes;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Drift, locked, warning};
use crate::config::View;
use crate::context::Context;
use crate::due;

/// Between two times that what was learned is kept, and once more as much at random.
const KEEP_EVERY: Duration = Duration::from_secs(20);
/// The last time, at shutdown.
const LAST: Duration = Duration::from_secs(1);
/// Warnings that were counted. Past it all are counted anew.
const MAX_TOLD: usize = 10_000;

/// Learns until `shutdown`, and then keeps what it has learned.
pub(crate) async fn run(context: Context, shutdown: CancellationToken) {
    let drift = Arc::clone(&context.drift);
    // One runs at a time. Whatever ends it, the next goes on with what waits.
    let Some(receiver) = locked(&drift.waiting).take() else {
        return;
    };
    let mut waiting = Waiting {
        drift: &drift,
        receiver: Some(receiver),
    };
    let is_there = |uid: &str| context.view.group(uid).is_some();
    let mut told = Told::default();
    let mut failed = false;
    let mut next = Instant::now() + KEEP_EVERY + due::within(KEEP_EVERY);
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(event) = waiting.next() => Some(event),
            () = due::at(Some(next)) => None,
        };
        let handled = async {
            let Some(event) = event else {
                next = Instant::now() + KEEP_EVERY + due::within(KEEP_EVERY);
                return drift.keep(is_there).await;
            };
            let learned = drift.learn(&event, context.clock.now()).await;
            if let Ok(true) = learned {
                let counted = |count| context.metrics.drifted(count);
                told.look(&drift, &context.view, &event, counted).await;
            }
            learned.map(drop)
        };
        // A log that doesn't answer keeps nobody from ending.
        let done = tokio::select! {
            () = shutdown.cancelled() => break,
            done = handled => done,
        };
        // Said once: until the log is there again each event would say the same.
        match done {
            Ok(()) => failed = false,
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    tracing::warn!(%error, "the shapes of events are not kept; it is tried again");
                }
            }
        }
    }
    match tokio::time::timeout(LAST, drift.keep(is_there)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::info!(%error, "the last that was learned of events' shapes is not kept")
        }
        Err(_) => tracing::info!(
            "the last that was learned of events' shapes is not kept: the log took too long"
        ),
    }
}

/// Samples, for as long as somebody learns from them.
struct Waiting<'a> {
    drift: &'a Drift,
    receiver: Option<mpsc::Receiver<v1::Event>>,
}

impl Waiting<'_> {
    async fn next(&mut self) -> Option<v1::Event> {
        self.receiver.as_mut()?.recv().await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *locked(&self.drift.waiting) = self.receiver.take();
    }
}

/// Warnings that were counted.
#[derive(Default)]
struct Told(HashSet<(String, String, String)>);

impl Told {
    /// Counts those of one event's type that are new.
    async fn look(&mut self, drift: &Drift, view: &View, event: &v1::Event, count: impl Fn(u64)) {
        let Some(record) = view.group(&event.group_uid) else {
            return;
        };
        let whole = {
            let groups = locked(&drift.groups);
            let group = groups.get(&event.group_uid);
            let known = group.and_then(|group| group.types.get(&event.r#type));
            known.map(|known| known.whole.clone())
        };
        let Some(whole) = whole else {
            return;
        };
        let mut new = 0;
        for webhook in record.webhooks.iter() {
            let Some((spec, metadata)) = webhook.spec.as_ref().zip(webhook.metadata.as_ref())
            else {
                continue;
            };
            if !spec.active || !spec.events.iter().any(|asked| takes(asked, &event.r#type)) {
                continue;
            }
            let reads = drift.reads(webhook).await;
            for warning in warning::of_webhook(&event.r#type, &whole, &reads) {
                if self.0.len() >= MAX_TOLD {
                    self.0.clear();
                }
                let path = warning.path.clone();
                if self
                    .0
                    .insert((metadata.uid.clone(), event.r#type.clone(), path))
                {
                    new += 1;
                    let (org, group, webhook) = (&metadata.org, &metadata.group, &metadata.name);
                    let v1::WebhookWarning {
                        event_type,
                        path,
                        message,
                        ..
                    } = warning;
                    tracing::info!(
                        org,
                        group,
                        webhook,
                        event_type,
                        path,
                        message,
                        "a path that a webhook reads is not what it was"
                    );
                }
            }
        }
        count(new);
    }
}
