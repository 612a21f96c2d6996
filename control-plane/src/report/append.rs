//! One reported callback: checked, matched again where the group is newer, given its identities, kept, answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_proto::v1::{AnswerKind, EventFlag};
use hookplane_rules::Outcome;
use tokio::time::Instant;

use super::order::{Keys, Ordering};
use super::{Orders, identity, not_kept};
use crate::config::{GroupRecord, ListenerScope};
use crate::context::Context;
use crate::dispatch::target::name_of;
use crate::log::{Appended, NewCallback, NewDelivery, NewEvent};

/// Events of one callback.
const MAX_EVENTS: usize = 10_000;
/// A body: what a group may ask for at most.
const MAX_BODY_BYTES: usize = 26_214_400;
/// Headers, names and values together, and the query.
const MAX_HEAD_BYTES: usize = 256 * 1024;
/// What all events of a callback have in common, once for each of them: as much as 1,000 events with the largest head take.
const MAX_COPIED_BYTES: usize = 64 * 1024 * 1024;
/// Events times webhooks, as the rules have it.
const MAX_MATCHES: usize = 50_000;
/// A value read out of a callback.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// A log that doesn't take a callback within this has too much to do. That it takes longer than a listener's last few milliseconds says nothing.
const PATIENT: Duration = Duration::from_secs(1);
/// What a listener that names no budget is given.
const BUDGET: Duration = Duration::from_secs(4);
/// What any listener is given at most.
const BUDGET_MAX: Duration = Duration::from_secs(60);
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
const DEFAULT_DEDUP_DAYS: u32 = 7;

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
        context.log.notes().count(counted);
        let example = not_kept::example(&callback, clause, reason.clone());
        not_kept::remember(context, &record, example);
        return answered(AnswerKind::NotKept, reason);
    }
    let repeat = Repeat::of(&callback);
    let orders = |webhook: &Arc<v1::Webhook>| {
        let spec = webhook.spec.as_ref();
        spec.is_some_and(|spec| !spec.order_by.is_empty())
    };
    let new = if record.webhooks.iter().any(orders) {
        // Expressions of users: bounded, and still more than the threads that serve everybody should do.
        let (of_task, record) = (context.clone(), record.clone());
        let built =
            tokio::task::spawn_blocking(move || built(&of_task, &record, request_id, callback));
        match tokio::time::timeout_at(deadline, built).await {
            Ok(Ok(new)) => new,
            Ok(Err(error)) => {
                tracing::error!(%error, "a callback's events can't be made");
                return answered(
                    AnswerKind::RetryLater,
                    "the callback's events can't be made",
                );
            }
            Err(_) => {
                return answered(
                    AnswerKind::RetryLater,
                    "the callback's events weren't put in order in time",
                );
            }
        }
    } else {
        built(context, &record, request_id, callback)
    };
    let samples = context.drift.samples(&new);
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
            turned_back.fetch_or(budget >= PATIENT, Relaxed);
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
            turned_back.fetch_or(budget >= PATIENT, Relaxed);
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
        + callback.query.len()
        + callback.method.len()
        + callback.content_type.len();
    if head > MAX_HEAD_BYTES {
        return Err(format!(
            "method, headers and query are larger than {MAX_HEAD_BYTES} bytes"
        ));
    }
    let texts = callback.redacted.iter().map(String::len).sum::<usize>();
    if texts > MAX_TEXT_BYTES {
        return Err(format!("redacted is larger than {MAX_TEXT_BYTES} bytes"));
    }
    if callback.undecodable_reason.len() > MAX_TEXT_BYTES {
        return Err(format!(
            "undecodable_reason is larger than {MAX_TEXT_BYTES} bytes"
        ));
    }
    let copied =
        (head + texts + callback.undecodable_reason.len()).saturating_mul(callback.events.len());
    if copied > MAX_COPIED_BYTES {
        return Err(format!(
            "headers, query, redacted and undecodable_reason times events are larger than {MAX_COPIED_BYTES} bytes"
        ));
    }
    // One event has no other to be told from.
    let mut indexes = BTreeSet::new();
    let several = callback.events.len() > 1;
    let (mut items, mut matches) = (0, 0);
    for event in &callback.events {
        items += event.item.len();
        matches += event.matches.len();
        for (field, text) in [
            ("type", &event.r#type),
            ("delivery_id", &event.delivery_id),
            ("external_id", &event.external_id),
            ("payload", &event.payload),
        ] {
            if text.len() > MAX_TEXT_BYTES {
                return Err(format!("{field} is larger than {MAX_TEXT_BYTES} bytes"));
            }
        }
        if several && !indexes.insert(event.index) {
            return Err(format!("index {} comes twice", event.index));
        }
        if several && !event.in_batch {
            return Err("several events, and one is not in_batch".to_owned());
        }
        // The whole body would be kept once for each.
        if several && event.item.is_empty() {
            return Err("several events, and one has no item".to_owned());
        }
        let texts = event.unsigned_values.iter().map(String::len).sum::<usize>();
        if texts > MAX_TEXT_BYTES {
            return Err(format!(
                "unsigned_values are larger than {MAX_TEXT_BYTES} bytes"
            ));
        }
        if event
            .matches
            .iter()
            .any(|of| of.webhook_uid.len() + of.hold.len() + of.reason.len() > MAX_TEXT_BYTES)
        {
            return Err(format!("a match is larger than {MAX_TEXT_BYTES} bytes"));
        }
    }
    // Items are slices of the body, decompressed at most.
    if items > MAX_BODY_BYTES {
        return Err(format!("items are larger than {MAX_BODY_BYTES} bytes"));
    }
    if matches > MAX_MATCHES {
        return Err(format!("matches of all events are more than {MAX_MATCHES}"));
    }
    Ok(id)
}

/// What tells an event of a callback from the others in it.
struct Place {
    body_digest: [u8; 32],
    /// Another event has the same delivery id.
    shared: bool,
    /// Events before it with the same delivery id and body.
    alike: u32,
}

/// One for each event. The digest of the whole body is made once, whatever it is for.
fn places(callback: &v1::ReportedCallback, whole: [u8; 32]) -> Vec<Place> {
    let digest_of = |event: &v1::ReportedEvent| match event.item.is_empty() {
        true => whole,
        false => identity::as_it_came(&event.item_digest, &event.item),
    };
    if let [event] = &callback.events[..] {
        return vec![Place {
            body_digest: digest_of(event),
            shared: false,
            alike: 0,
        }];
    }
    let mut ids: BTreeMap<&str, u32> = BTreeMap::new();
    for event in &callback.events {
        *ids.entry(&event.delivery_id).or_default() += 1;
    }
    let mut alike: BTreeMap<(&str, [u8; 32]), u32> = BTreeMap::new();
    let mut places = Vec::with_capacity(callback.events.len());
    for event in &callback.events {
        let body_digest = digest_of(event);
        let seen = alike.entry((&event.delivery_id, body_digest)).or_default();
        places.push(Place {
            body_digest,
            shared: ids.get(event.delivery_id.as_str()).is_some_and(|n| *n > 1),
            alike: *seen,
        });
        *seen += 1;
    }
    places
}

/// The value for one more event; the last takes it.
fn for_event<T: Clone + Default>(value: &mut T, last: bool) -> T {
    if last {
        std::mem::take(value)
    } else {
        value.clone()
    }
}

/// What the log is given. Events that nobody wants stay out of it, unless the group captures them.
fn build(
    key: &identity::Key,
    orders: &Orders,
    group: &v1::WebhookGroup,
    webhooks: &[Arc<v1::Webhook>],
    request_id: [u8; 16],
    mut callback: v1::ReportedCallback,
) -> NewCallback {
    let default = v1::WebhookGroupSpec::default();
    let spec = group.spec.as_ref().unwrap_or(&default);
    let nameless = v1::Metadata::default();
    let metadata = group.metadata.as_ref().unwrap_or(&nameless);
    let names = Names::of(webhooks);
    let mut ordering = Ordering::new(orders);
    let whole = identity::as_it_came(&callback.body_digest, &callback.body);
    // The listener's word for what it saw; what only the control plane can know is decided here.
    let mut flags = std::mem::take(&mut callback.flags);
    flags.retain(|f| {
        [EventFlag::Undecodable, EventFlag::Unsigned]
            .contains(&EventFlag::try_from(*f).unwrap_or_default())
    });
    let signed = !flags.contains(&i32::from(EventFlag::Unsigned));
    if identity::is_test(key, &metadata.uid, &whole, &callback.test_mark) {
        flags.push(EventFlag::Test.into());
    }

    let places = places(&callback, whole);
    let events = std::mem::take(&mut callback.events);
    let count = events.len();
    let mut wanted = Vec::with_capacity(1);
    let mut unwanted = Vec::new();
    for (n, (reported, place)) in events.into_iter().zip(places).enumerate() {
        let request = identity::Request {
            key,
            group_uid: &metadata.uid,
            body: whole,
            query: &callback.query,
            signed,
        };
        let mut dedup = identity::dedup(
            &request,
            &reported,
            place.body_digest,
            place.shared,
            place.alike,
        );
        // Of what was taken out nothing is written from which it could be guessed. It is the same whatever is taken out today, so that a
        // resend is known over a change of that.
        dedup.body_digest = identity::hidden(key, &dedup.body_digest);
        let id = identity::event_id(request_id, &reported);
        let (verdicts, mut deliveries) = verdicts(key, &names, reported.matches, &dedup, &id);
        let is_wanted = !deliveries.is_empty() || (reported.registered && spec.capture_unmatched);
        let last = n + 1 == count;
        let mut flags = for_event(&mut flags, last);
        if deliveries.is_empty() {
            flags.push(EventFlag::Unmatched.into());
        }
        let body = for_event(&mut callback.body, last);
        let mut event = v1::Event {
            id,
            org: metadata.org.clone(),
            group: metadata.name.clone(),
            group_uid: metadata.uid.clone(),
            r#type: reported.r#type,
            receive_time: callback.receive_time,
            delivery_id: reported.delivery_id,
            external_id: reported.external_id,
            format: reported.format,
            content_type: for_event(&mut callback.content_type, last),
            body: match reported.item.is_empty() {
                true => body,
                false => reported.item,
            },
            headers: for_event(&mut callback.headers, last),
            query: for_event(&mut callback.query, last),
            flags,
            duplicate_of: String::new(),
            duplicates: 0,
            connector: spec.connector.clone(),
            function: spec.function.clone(),
            unsigned_values: reported.unsigned_values,
            method: for_event(&mut callback.method, last),
            verdicts,
            payload: reported.payload,
            undecodable_reason: callback.undecodable_reason.clone(),
            redacted: callback.redacted.clone(),
            identity: dedup
                .delivery_key
                .map(|key| key.to_vec().into())
                .unwrap_or_default(),
        };
        names.order(&mut ordering.keys(), &mut event, &mut deliveries);
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
        org: metadata.org.clone(),
        group_uid: metadata.uid.clone(),
        // The rules said keep: when it can't be told which, all of it.
        events: if wanted.is_empty() { unwanted } else { wanted },
        refuse_suspected_replays: spec.refuse_suspected_replays,
        dedup_window: Duration::from_secs(u64::from(days) * SECONDS_PER_DAY),
    }
}

fn built(
    context: &Context,
    record: &GroupRecord,
    request_id: [u8; 16],
    callback: v1::ReportedCallback,
) -> NewCallback {
    build(
        &identity::Key::new(&context.mac_key),
        context.view.orders(),
        &record.group,
        &record.webhooks,
        request_id,
        callback,
    )
}

/// The events of a callback as they would be kept.
pub(crate) fn as_kept(
    context: &Context,
    record: &GroupRecord,
    request_id: [u8; 16],
    callback: v1::ReportedCallback,
) -> Vec<v1::Event> {
    let new = built(context, record, request_id, callback);
    new.events.into_iter().map(|new| new.event).collect()
}

/// A group's webhooks, by uid.
struct Names<'a>(Vec<(&'a v1::Metadata, &'a v1::Webhook)>);

impl<'a> Names<'a> {
    fn of(webhooks: &'a [Arc<v1::Webhook>]) -> Self {
        let named = webhooks
            .iter()
            .filter_map(|w| Some((w.metadata.as_ref()?, &**w)));
        let mut names: Vec<_> = named.collect();
        names.sort_unstable_by_key(|(metadata, _)| &metadata.uid);
        Self(names)
    }

    fn get(&self, uid: &str) -> Option<(&'a v1::Metadata, &'a v1::Webhook)> {
        let at = self
            .0
            .binary_search_by_key(&uid, |(metadata, _)| &metadata.uid)
            .ok()?;
        Some(self.0[at])
    }

    /// Gives the deliveries of an event the keys that their webhooks order them by.
    fn order(
        &self,
        keys: &mut Keys<'_, '_>,
        event: &mut v1::Event,
        deliveries: &mut [NewDelivery],
    ) {
        for of_one in deliveries.chunk_by_mut(|a, b| a.webhook_uid == b.webhook_uid) {
            let webhook = of_one.first().and_then(|one| self.get(&one.webhook_uid));
            let spec = webhook.and_then(|(_, webhook)| webhook.spec.as_ref());
            if let Some(source) = spec.map(|spec| &spec.order_by).filter(|by| !by.is_empty()) {
                keys.of_webhook(source, event, of_one);
            }
        }
    }
}

fn verdicts(
    key: &identity::Key,
    names: &Names<'_>,
    matches: Vec<v1::ReportedMatch>,
    dedup: &crate::log::Dedup,
    event_id: &str,
) -> (Vec<v1::WebhookVerdict>, Vec<NewDelivery>) {
    let mut seen = BTreeSet::new();
    let several = matches.len() > 1;
    let mut verdicts = Vec::with_capacity(matches.len());
    let mut deliveries = Vec::new();
    for of in matches {
        if several && !seen.insert(of.webhook_uid.clone()) {
            continue;
        }
        let named = names.get(&of.webhook_uid);
        let name = named.map(|(metadata, _)| &metadata.name);
        if let Some((metadata, webhook)) = named.filter(|_| of.matched) {
            let one = NewDelivery {
                webhook_uid: of.webhook_uid.clone(),
                webhook: metadata.name.clone(),
                mapping_version: webhook.status.as_ref().map_or(0, |s| s.mapping_version),
                hold: Some(of.hold.clone()).filter(|hold| !hold.is_empty()),
                idempotency_key: identity::idempotency_key(key, dedup, event_id, &of.webhook_uid),
                ..Default::default()
            };
            for_destinations(webhook, one, &mut deliveries);
        }
        verdicts.push(v1::WebhookVerdict {
            matched: of.matched && name.is_some(),
            webhook: name.cloned().unwrap_or_default(),
            webhook_uid: of.webhook_uid,
            reason: match name {
                None => "the webhook was deleted".to_owned(),
                Some(_) if of.matched => of.hold,
                Some(_) => of.reason,
            },
        });
    }
    (verdicts, deliveries)
}

/// One for each destination; without any, for subscribers. Their key is the same: it is the event's, for this webhook.
pub(super) fn for_destinations(
    webhook: &v1::Webhook,
    one: NewDelivery,
    deliveries: &mut Vec<NewDelivery>,
) {
    let destinations = webhook.spec.as_ref().map_or(&[][..], |s| &s.destinations);
    let Some((last, others)) = destinations.split_last() else {
        deliveries.push(one);
        return;
    };
    let destined = |mut delivery: NewDelivery, to: &v1::WebhookDestination| {
        // What subscribers lease from has no name.
        if to.subscribe.is_none() {
            delivery.destination = name_of(to).to_owned();
        }
        delivery
    };
    for other in others {
        deliveries.push(destined(one.clone(), other));
    }
    deliveries.push(destined(one, last));
}

#[cfg(test)]
mod tests;
