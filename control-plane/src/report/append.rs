//! One reported callback: checked, matched again where the group is newer, given its identities, kept, answered.

mod build;
mod checked;
mod ordered;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::AnswerKind;
use hookplane_rules::Outcome;
use tokio::time::Instant;

use super::{news, not_kept};
use crate::aside;
use crate::config::{GroupRecord, ListenerScope};
use crate::context::Context;
use crate::log::{Activity, Appended};
pub(crate) use build::as_kept;
use build::built;
pub(super) use build::for_destinations;
use checked::checked;
use ordered::ordered;

/// A log that doesn't take a callback within this has too much to do. That it takes longer than a listener's last few milliseconds says nothing.
const PATIENT: Duration = Duration::from_secs(1);
/// What a listener that names no budget is given.
const BUDGET: Duration = Duration::from_secs(4);
/// What any listener is given at most.
const BUDGET_MAX: Duration = Duration::from_secs(60);

/// Keeps one callback that a listener of `scope` reported, and says what became of it. `turned_back` is set when the log had time for it and
/// didn't take it: never by what a listener says.
pub(super) async fn answer(
    context: &Context,
    scope: &ListenerScope,
    turned_back: &AtomicBool,
    mut callback: v1::ReportedCallback,
) -> v1::CallbackAnswer {
    let budget = match callback.budget_milliseconds {
        0 => BUDGET,
        milliseconds => Duration::from_millis(milliseconds.into()).min(BUDGET_MAX),
    };
    let deadline = Instant::now() + budget;
    let request_id = match checked(&callback) {
        Ok(id) => id,
        Err(reason) => return refused(reason),
    };
    // Risk 45: the listener knows of a change that this replica hasn't seen; what it has is too old to decide with.
    let known = callback.plan_revision.max(callback.known_revision);
    if context.view.revision() < known && !context.view.reached(known, deadline).await {
        return answered(
            AnswerKind::RetryLater,
            "this replica's view is behind what the listener knows",
        );
    }
    let Some(record) = context.view.group(&callback.group_uid) else {
        return refused("the group is gone");
    };
    // Promise 8. The same words as for a group that isn't there.
    if !scope.covers(&record.group) {
        return refused("the group is gone");
    }
    if record.group.spec.as_ref().is_some_and(|s| s.disabled) {
        return refused("the group is disabled");
    }
    // Risk 45: a stale plan answers 2xx and drops what a new webhook wanted.
    let is_stale = record.revision > callback.plan_revision;
    // A listener that couldn't load the group's newest version goes on with an older one. What isn't to be written isn't, all the same.
    match context.view.compiled(&record) {
        Ok(group) if is_stale => group.rematch(&mut callback),
        Ok(group) if group.redacts() => group.redact(&mut callback),
        Ok(_) => {}
        // Another replica may run a version that it is made for.
        Err(reason) => {
            let group = &callback.group_uid;
            tracing::error!(
                group,
                reason,
                "a stored group doesn't compile; its callbacks wait"
            );
            return answered(
                AnswerKind::RetryLater,
                "this replica can't match with the group as it is stored",
            );
        }
    }
    if let Outcome::NotKept { clause, reason } = Outcome::of(&callback, &record.group) {
        let counted = v1::GroupCounters {
            group_uid: callback.group_uid.clone(),
            not_registered: u64::from(clause == "not-registered"),
            not_matched: u64::from(clause != "not-registered"),
            ..Default::default()
        };
        news::counted(context, &record, counted);
        let example = not_kept::example(&callback, clause, reason.clone());
        not_kept::remember(context, &record, example);
        return answered(AnswerKind::NotKept, reason);
    }
    let repeat = Repeat::of(&callback);
    let new = built(context, &record, request_id, callback);
    let orders = context.view.orders();
    let new = ordered(&aside::ARRIVALS, orders, &record.webhooks, budget, new).await;
    let samples = context.drift.samples(&new);
    let first = new
        .events
        .first()
        .map(|e| e.event.id.clone())
        .unwrap_or_default();
    // What was waited for until here, a listener's word may have been the reason of.
    let had_time = deadline.saturating_duration_since(Instant::now()) >= PATIENT;
    let appended = match tokio::time::timeout_at(deadline, context.log.append(new, deadline)).await
    {
        Ok(appended) => appended,
        // Risk 9: every await on a dependency has the request's deadline.
        Err(_) => {
            turned_back.fetch_or(had_time, Relaxed);
            return answered(
                AnswerKind::RetryLater,
                "the event log didn't answer in time",
            );
        }
    };
    let (kind, event_id) = match appended {
        Ok(Appended::Kept { event_ids }) => {
            drop_what_is_gone(context, &record);
            context.drift.learn_from(samples);
            let accepted = Activity {
                accepted: event_ids.len() as u64,
                ..Activity::default()
            };
            news::happened(context, &record, accepted);
            let first = event_ids.into_iter().next().unwrap_or(first);
            (AnswerKind::Kept, first)
        }
        Ok(Appended::Duplicate { of }) => {
            not_kept::remember(context, &record, repeat.example(&of));
            (AnswerKind::Duplicate, of)
        }
        Ok(Appended::Replay { of }) => {
            return answered(
                AnswerKind::ReplayRefused,
                format!("suspected replay of {of}, and the group refuses those"),
            );
        }
        Err(error) => {
            turned_back.fetch_or(had_time, Relaxed);
            return answered(AnswerKind::RetryLater, error.to_string());
        }
    };
    v1::CallbackAnswer {
        kind: kind.into(),
        event_id,
        reason: String::new(),
        receipt: context.log.receipt().into(),
    }
}

/// A webhook that was deleted while its event was being kept: the drop of its deliveries may have been before this one was there. The answer
/// doesn't wait for another.
fn drop_what_is_gone(context: &Context, matched: &GroupRecord) {
    fn uid(webhook: &v1::Webhook) -> Option<&String> {
        Some(&webhook.metadata.as_ref()?.uid)
    }
    let group_uid = matched.group.metadata.as_ref().map_or("", |m| &m.uid);
    let now = context.view.group(group_uid);
    let there: BTreeSet<&String> = match &now {
        Some(now) if now.revision == matched.revision => return,
        Some(now) => now.webhooks.iter().filter_map(|w| uid(w)).collect(),
        None => BTreeSet::new(),
    };
    let of_match = matched.webhooks.iter().filter_map(|w| uid(w));
    let gone = of_match.filter(|uid| !there.contains(uid));
    let gone = gone.map(|uid| (uid.clone(), "its webhook was deleted".to_owned()));
    context.view.dropping().extend(gone);
}

/// What an operator is shown of a callback that turns out to be a repeat: by then its events are the log's.
struct Repeat {
    time: Option<prost_types::Timestamp>,
    event_type: String,
    delivery_id: String,
    body_bytes: u64,
}

impl Repeat {
    fn of(callback: &v1::ReportedCallback) -> Self {
        let event = callback.events.first();
        Self {
            time: callback.receive_time,
            event_type: event.map(|e| e.r#type.clone()).unwrap_or_default(),
            delivery_id: event.map(|e| e.delivery_id.clone()).unwrap_or_default(),
            body_bytes: callback.body.len() as u64,
        }
    }

    fn example(self, of: &str) -> v1::Refusal {
        v1::Refusal {
            time: self.time,
            status: 200,
            clause: "duplicate".to_owned(),
            reason: format!("a repeat of event {of}, which is kept"),
            event_type: self.event_type,
            delivery_id: self.delivery_id,
            body_bytes: self.body_bytes,
            ..Default::default()
        }
    }
}

/// An answer without an event.
pub(super) fn answered(kind: AnswerKind, reason: impl Into<String>) -> v1::CallbackAnswer {
    v1::CallbackAnswer {
        kind: kind.into(),
        reason: reason.into(),
        ..Default::default()
    }
}

fn refused(reason: impl Into<String>) -> v1::CallbackAnswer {
    answered(AnswerKind::Refused, reason)
}

#[cfg(test)]
mod tests;
