//! One reported callback: checked, matched again where the group is newer, given its identities, kept, answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::{AnswerKind, EventFlag};
use hookplane_rules::Outcome;
use tokio::time::Instant;

use super::{identity, not_kept};
use crate::config::ListenerScope;
use crate::context::Context;
use crate::log::{Appended, NewCallback, NewDelivery, NewEvent};

/// Events of one callback.
const MAX_EVENTS: usize = 10_000;
/// A body: what a group may ask for at most.
const MAX_BODY_BYTES: usize = 26_214_400;
/// Headers, names and values together, and the query.
const MAX_HEAD_BYTES: usize = 256 * 1024;
/// A value read out of a callback.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// What a listener that names no budget is given.
const BUDGET: Duration = Duration::from_secs(4);
/// What any listener is given at most.
const BUDGET_MAX: Duration = Duration::from_secs(60);
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
const DEFAULT_DEDUP_DAYS: u32 = 7;

/// Keeps one callback that a listener of `scope` reported, and says what became of it.
pub(super) async fn answer(
    context: &Context,
    scope: &ListenerScope,
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
    // Risk 45: matched by a plan that this replica hasn't seen; what it knows is too old to decide with.
    if !context.view.reached(callback.plan_revision, deadline).await {
        return answered(
            AnswerKind::RetryLater,
            "this replica's view is behind the listener's plan",
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
    if record.revision > callback.plan_revision {
        record.compiled.rematch(&mut callback);
    }
    if let Outcome::NotKept { clause, reason } = record.compiled.outcome(&callback) {
        let counted = v1::GroupCounters {
            group_uid: callback.group_uid.clone(),
            not_registered: u64::from(clause == "not-registered"),
            not_matched: u64::from(clause != "not-registered"),
            ..Default::default()
        };
        let exists = |uid: &str| context.view.group(uid).is_some();
        context.fleet.counts().add(counted, exists);
        let example = not_kept::example(&callback, clause, reason.clone());
        not_kept::remember(context, &record, example);
        return answered(AnswerKind::NotKept, reason);
    }
    let repeat = Repeat::of(&callback);
    let new = build(
        &context.mac_key,
        &record.group,
        &record.webhooks,
        request_id,
        callback,
    );
    let first = new
        .events
        .first()
        .map(|e| e.event.id.clone())
        .unwrap_or_default();
    let appended = match tokio::time::timeout_at(deadline, context.log.append(new, deadline)).await
    {
        Ok(appended) => appended,
        // Risk 9: every await on a dependency has the request's deadline.
        Err(_) => {
            return answered(
                AnswerKind::RetryLater,
                "the event log didn't answer in time",
            );
        }
    };
    let (kind, event_id) = match appended {
        Ok(Appended::Kept { event_ids }) => (
            AnswerKind::Kept,
            event_ids.into_iter().next().unwrap_or(first),
        ),
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
        Err(error) => return answered(AnswerKind::RetryLater, error.to_string()),
    };
    v1::CallbackAnswer {
        kind: kind.into(),
        event_id,
        reason: String::new(),
        receipt: context.log.receipt().into(),
    }
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

/// The request's id, if everything is within bounds.
fn checked(callback: &v1::ReportedCallback) -> Result<[u8; 16], String> {
    let id = <[u8; 16]>::try_from(callback.request_id.as_ref())
        .map_err(|_| "request_id must have 16 bytes".to_owned())?;
    if callback.events.is_empty() || callback.events.len() > MAX_EVENTS {
        return Err(format!("events must be 1 to {MAX_EVENTS}"));
    }
    if callback.body.len() > MAX_BODY_BYTES {
        return Err(format!("body is larger than {MAX_BODY_BYTES} bytes"));
    }
    let head: usize = callback
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>()
        + callback.query.len();
    if head > MAX_HEAD_BYTES {
        return Err(format!(
            "headers and query are larger than {MAX_HEAD_BYTES} bytes"
        ));
    }
    if callback.undecodable_reason.len() > MAX_TEXT_BYTES {
        return Err(format!(
            "undecodable_reason is larger than {MAX_TEXT_BYTES} bytes"
        ));
    }
    let mut indexes = BTreeSet::new();
    let mut items = 0;
    for event in &callback.events {
        items += event.item.len();
        for (field, text) in [
            ("type", &event.r#type),
            ("delivery_id", &event.delivery_id),
            ("external_id", &event.external_id),
            ("json_form_field", &event.json_form_field),
        ] {
            if text.len() > MAX_TEXT_BYTES {
                return Err(format!("{field} is larger than {MAX_TEXT_BYTES} bytes"));
            }
        }
        if !indexes.insert(event.index) {
            return Err(format!("index {} comes twice", event.index));
        }
        if !event.in_batch && callback.events.len() > 1 {
            return Err("several events, and one is not in_batch".to_owned());
        }
    }
    // Items are slices of the body, decompressed at most.
    if items > MAX_BODY_BYTES {
        return Err(format!("items are larger than {MAX_BODY_BYTES} bytes"));
    }
    Ok(id)
}

/// What the log is given. Events that nobody wants stay out of it, unless the group captures them.
fn build(
    mac_key: &[u8; 32],
    group: &v1::WebhookGroup,
    webhooks: &[Arc<v1::Webhook>],
    request_id: [u8; 16],
    callback: v1::ReportedCallback,
) -> NewCallback {
    let default = v1::WebhookGroupSpec::default();
    let spec = group.spec.as_ref().unwrap_or(&default);
    let metadata = group.metadata.clone().unwrap_or_default();
    let names: BTreeMap<&str, &str> = webhooks
        .iter()
        .filter_map(|w| w.metadata.as_ref())
        .map(|m| (m.uid.as_str(), m.name.as_str()))
        .collect();
    let signed = !callback.flags.contains(&i32::from(EventFlag::Unsigned));
    let request = identity::Request {
        mac_key,
        group_uid: &metadata.uid,
        body: identity::digest(&callback.body),
        query: &callback.query,
        signed,
    };
    // The listener's word for what it saw; what only the control plane can know is decided here.
    let mut flags: Vec<i32> = callback.flags.clone();
    flags.retain(|f| {
        [EventFlag::Undecodable, EventFlag::Unsigned]
            .contains(&EventFlag::try_from(*f).unwrap_or_default())
    });
    if identity::is_test(mac_key, &metadata.uid, &callback.body, &callback.test_mark) {
        flags.push(EventFlag::Test.into());
    }

    let mut ids: BTreeMap<&str, u32> = BTreeMap::new();
    for event in &callback.events {
        *ids.entry(&event.delivery_id).or_default() += 1;
    }
    let mut alike: BTreeMap<(&str, [u8; 32]), u32> = BTreeMap::new();
    let mut wanted = Vec::new();
    let mut unwanted = Vec::new();
    for reported in &callback.events {
        let body = if reported.item.is_empty() {
            &callback.body
        } else {
            &reported.item
        };
        let body_digest = identity::digest(body);
        let seen = alike
            .entry((&reported.delivery_id, body_digest))
            .or_default();
        let shared = ids
            .get(reported.delivery_id.as_str())
            .is_some_and(|n| *n > 1);
        let dedup = identity::dedup(&request, reported, body_digest, shared, *seen);
        *seen += 1;
        let id = identity::event_id(request_id, reported);
        let (verdicts, deliveries) = verdicts(mac_key, &names, reported, &dedup, &id);
        let is_wanted = !deliveries.is_empty() || (reported.registered && spec.capture_unmatched);
        let mut flags = flags.clone();
        if deliveries.is_empty() {
            flags.push(EventFlag::Unmatched.into());
        }
        let event = v1::Event {
            id,
            org: metadata.org.clone(),
            group: metadata.name.clone(),
            group_uid: metadata.uid.clone(),
            r#type: reported.r#type.clone(),
            receive_time: callback.receive_time,
            delivery_id: reported.delivery_id.clone(),
            external_id: reported.external_id.clone(),
            format: reported.format,
            content_type: callback.content_type.clone(),
            body: body.clone(),
            headers: callback.headers.clone(),
            query: callback.query.clone(),
            flags,
            duplicate_of: String::new(),
            duplicates: 0,
            connector: spec.connector.clone(),
            function: spec.function.clone(),
            unsigned_values: reported.unsigned_values.clone(),
            method: callback.method.clone(),
            verdicts,
            json_form_field: reported.json_form_field.clone(),
            undecodable_reason: callback.undecodable_reason.clone(),
        };
        let new = NewEvent {
            event,
            dedup,
            deliveries,
        };
        if is_wanted {
            wanted.push(new);
        } else {
            unwanted.push(new);
        }
    }
    let days = match spec.dedup_window_days {
        0 => DEFAULT_DEDUP_DAYS,
        days => days,
    };
    NewCallback {
        org: metadata.org,
        group_uid: metadata.uid,
        // The rules said keep: when it can't be told which, all of it.
        events: if wanted.is_empty() { unwanted } else { wanted },
        refuse_suspected_replays: spec.refuse_suspected_replays,
        dedup_window: Duration::from_secs(u64::from(days) * SECONDS_PER_DAY),
    }
}

fn verdicts(
    mac_key: &[u8; 32],
    names: &BTreeMap<&str, &str>,
    reported: &v1::ReportedEvent,
    dedup: &crate::log::Dedup,
    event_id: &str,
) -> (Vec<v1::WebhookVerdict>, Vec<NewDelivery>) {
    let mut seen = BTreeSet::new();
    let mut verdicts = Vec::new();
    let mut deliveries = Vec::new();
    for of in &reported.matches {
        if !seen.insert(&of.webhook_uid) {
            continue;
        }
        let name = names.get(of.webhook_uid.as_str());
        let reason = match name {
            None => "the webhook was deleted".to_owned(),
            Some(_) if of.matched => of.hold.clone(),
            Some(_) => of.reason.clone(),
        };
        let name = name.map(|n| (*n).to_owned());
        if let Some(webhook) = name.clone().filter(|_| of.matched) {
            deliveries.push(NewDelivery {
                webhook_uid: of.webhook_uid.clone(),
                webhook,
                hold: Some(of.hold.clone()).filter(|hold| !hold.is_empty()),
                idempotency_key: identity::idempotency_key(
                    mac_key,
                    dedup,
                    event_id,
                    &of.webhook_uid,
                ),
            });
        }
        verdicts.push(v1::WebhookVerdict {
            matched: of.matched && name.is_some(),
            webhook: name.unwrap_or_default(),
            webhook_uid: of.webhook_uid.clone(),
            reason,
        });
    }
    (verdicts, deliveries)
}

#[cfg(test)]
mod tests;
