//! Registered events, active webhooks, filters: who wants an event, and why not.
//!
//! The listener and the control plane match with the same code: [`Group::rematch`] starts from the wire message alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookplane_proto::v1::{self, EventFlag, PayloadFormat};

use crate::filter::{CALLBACK_UNITS, Filter, FilterInput, Verdict};
use crate::group::{Credentials, TEST_HEADER};
use crate::payload::{self, Json, Payload, PayloadAt, Reading};
use crate::redact::{Passing, Redacted};
use crate::request::single;
use crate::{Callback, Extracted, Group, Timestamp, Webhook};

/// A callback with every webhook's verdict.
#[derive(Debug)]
pub struct Matched {
    callback: Callback,
    credentials: Arc<Credentials>,
    /// Made already where a filter reads it.
    cleaned: Option<Cleaned>,
    flags: Vec<EventFlag>,
    /// Empty when the body can be decoded.
    undecodable: String,
    events: Vec<v1::ReportedEvent>,
    secret: Option<Arc<str>>,
    group_uid: String,
    redacted: Redacted,
    outcome: Outcome,
}

/// What is handed on of a request's head.
#[derive(Debug, Default)]
struct Cleaned {
    headers: BTreeMap<String, String>,
    query: String,
}

impl Cleaned {
    fn of(callback: &mut Callback, credentials: &Credentials) -> Self {
        Self {
            headers: credentials.clean_headers(&callback.headers),
            query: credentials.clean_query(std::mem::take(&mut callback.query)),
        }
    }
}

/// What is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Report it; it must be durable before the provider hears 2xx.
    Keep,
    /// Genuine, and by the group's configuration not kept.
    NotKept {
        /// `not-registered` or `not-matched`.
        clause: &'static str,
        /// For an operator.
        reason: String,
    },
}

impl Outcome {
    /// Of what was matched, on the wire. It needs nothing of the group but its word on what it captures.
    pub fn of(callback: &v1::ReportedCallback, group: &v1::WebhookGroup) -> Self {
        let capture_unmatched = group.spec.as_ref().is_some_and(|s| s.capture_unmatched);
        outcome(&callback.events, capture_unmatched)
    }
}

impl Matched {
    /// What the group's configuration says.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The event that says most about why it isn't kept: the first that is registered, else the first.
    pub fn example(&self) -> Option<&v1::ReportedEvent> {
        let registered = self.events.iter().find(|event| event.registered);
        registered.or(self.events.first())
    }

    /// The name of the secret that proved it genuine, if one did.
    pub fn secret_name(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// The wire message, without copying the body. Credentials are taken out of the headers.
    pub fn into_report(
        mut self,
        request_id: [u8; 16],
        plan_revision: u64,
        received: Timestamp,
    ) -> v1::ReportedCallback {
        let cleaned = match self.cleaned.take() {
            Some(cleaned) => cleaned,
            None => Cleaned::of(&mut self.callback, &self.credentials),
        };
        let headers = &self.callback.headers;
        let text = |name: &http::HeaderName| single(headers, name).unwrap_or_default().to_owned();
        v1::ReportedCallback {
            request_id: request_id.to_vec().into(),
            group_uid: self.group_uid,
            plan_revision,
            receive_time: Some(crate::time::to_wire(received)),
            method: self.callback.method.as_str().to_owned(),
            content_type: text(&http::header::CONTENT_TYPE),
            query: cleaned.query,
            test_mark: text(&http::HeaderName::from_static(TEST_HEADER)),
            headers: cleaned.headers,
            body: self.callback.body,
            events: self.events,
            flags: self.flags.into_iter().map(|flag| flag as i32).collect(),
            budget_milliseconds: 0,
            undecodable_reason: self.undecodable,
            known_revision: 0,
            redacted: self.redacted.paths,
            body_digest: self.redacted.body_digest,
        }
    }
}

/// What filters see of the request.
struct Seen<'a> {
    headers: &'a BTreeMap<String, String>,
    query: &'a str,
}

pub(crate) fn match_events(group: &Group, extracted: Extracted) -> Matched {
    let Extracted {
        verified,
        mut events,
        in_batch,
        mut flags,
        mut payload,
    } = extracted;
    let secret = verified.secret().cloned();
    let mut callback = verified.into_callback();
    let redacted = group.redaction.as_ref().map(|redaction| {
        let passing = Passing {
            callback: &mut callback,
            payload: &mut payload,
            events: &mut events,
        };
        redaction.apply(&group.decoding.reading, passing)
    });
    if redacted.is_some()
        && matches!(payload, Payload::Opaque(_))
        && !flags.contains(&EventFlag::Undecodable)
    {
        flags.push(EventFlag::Undecodable);
    }
    // Most filters look at the payload alone, and most of what isn't kept ends here.
    let mut filters = group
        .webhooks
        .iter()
        .filter_map(|one| one.filter.as_deref());
    let cleaned = filters
        .any(Filter::reads_head)
        .then(|| Cleaned::of(&mut callback, &group.credentials));
    let nothing = Cleaned::default();
    let head = cleaned.as_ref().unwrap_or(&nothing);
    let seen = Seen {
        headers: &head.headers,
        query: &head.query,
    };
    let mut units = CALLBACK_UNITS;
    let extraction = &group.function.protocol.extraction;
    let events: Vec<v1::ReportedEvent> = (0..)
        .zip(events)
        .map(|(index, event)| {
            let mut reported = v1::ReportedEvent {
                index,
                in_batch,
                r#type: event.event_type,
                delivery_id_is_unique: extraction.delivery_id_is_unique
                    && !event.delivery_id.is_empty(),
                delivery_id: event.delivery_id,
                external_id: event.external_id,
                unsigned_values: event
                    .unsigned_values
                    .iter()
                    .map(|&name| name.to_owned())
                    .collect(),
                format: event.format as i32,
                item: event.item,
                registered: false,
                matches: Vec::new(),
                payload: event.payload,
                item_digest: event.item_digest,
                came_as: event.came_as as i32,
            };
            match event.json {
                Some(item) => judge(
                    group,
                    &mut reported,
                    &Payload::Json(item),
                    &seen,
                    &mut units,
                ),
                None => judge(group, &mut reported, &payload, &seen, &mut units),
            }
            reported
        })
        .collect();
    Matched {
        outcome: outcome(&events, group.capture_unmatched),
        callback,
        credentials: Arc::clone(&group.credentials),
        cleaned,
        flags,
        undecodable: match payload {
            Payload::Opaque(why) => why,
            _ => String::new(),
        },
        events,
        secret,
        group_uid: group.uid.clone(),
        redacted: redacted.unwrap_or_default(),
    }
}

pub(crate) fn rematch(group: &Group, callback: &mut v1::ReportedCallback) {
    redact_again(group, callback);
    judge_again(group, callback);
}

pub(crate) fn redact(group: &Group, callback: &mut v1::ReportedCallback) {
    // What filters said of it while it was there may quote it.
    if redact_again(group, callback) {
        judge_again(group, callback);
    }
}

fn judge_again(group: &Group, callback: &mut v1::ReportedCallback) {
    let seen = Seen {
        headers: &callback.headers,
        query: &callback.query,
    };
    let mut whole = None;
    let mut units = CALLBACK_UNITS;
    for event in &mut callback.events {
        if event.item.is_empty() {
            let payload = whole.get_or_insert_with(|| {
                decode_again(
                    group,
                    event,
                    &callback.content_type,
                    seen.headers,
                    &callback.body,
                )
            });
            judge(group, event, payload, &seen, &mut units);
        } else {
            let payload =
                Json::validate(event.item.clone()).map_or_else(Payload::Opaque, Payload::Json);
            judge(group, event, &payload, &seen, &mut units);
        }
    }
}

/// The listener may not have known of the group's newest redactions. True when there was something left to take out.
fn redact_again(group: &Group, callback: &mut v1::ReportedCallback) -> bool {
    let (Some(redaction), Some(event)) = (&group.redaction, callback.events.first()) else {
        return false;
    };
    let reading = as_it_was(group, event);
    let payload = match event.item.is_empty() {
        true => decode_again(
            group,
            event,
            &callback.content_type,
            &callback.headers,
            &callback.body,
        ),
        false => Payload::Form(BTreeMap::new()),
    };
    redaction.apply_to(&reading, payload, callback)
}

fn as_it_was(group: &Group, event: &v1::ReportedEvent) -> Reading {
    Reading {
        format: Some(event.format()),
        payload: PayloadAt::parse(&event.payload).ok(),
        max_bytes: group.decoding.reading.max_bytes,
        signs_unpacked: true,
    }
}

pub(crate) fn match_kept(group: &Group, event: &v1::Event) -> Vec<v1::ReportedMatch> {
    let mut reported = v1::ReportedEvent {
        r#type: event.r#type.clone(),
        delivery_id: event.delivery_id.clone(),
        external_id: event.external_id.clone(),
        ..Default::default()
    };
    let seen = Seen {
        headers: &event.headers,
        query: &event.query,
    };
    let payload = payload::payload_of(event).unwrap_or_else(|| {
        Payload::Opaque(match event.undecodable_reason.as_str() {
            "" => "it can't be decoded".to_owned(),
            why => why.to_owned(),
        })
    });
    judge(
        group,
        &mut reported,
        &payload,
        &seen,
        &mut CALLBACK_UNITS.clone(),
    );
    reported.matches
}

/// The payload as it was when the event was extracted. Its format is the event's own: a newer connector doesn't reinterpret it.
fn decode_again(
    group: &Group,
    event: &v1::ReportedEvent,
    content_type: &str,
    headers: &BTreeMap<String, String>,
    body: &bytes::Bytes,
) -> Payload {
    if event.format() == PayloadFormat::Opaque {
        return Payload::Opaque("it was undecodable when it came".to_owned());
    }
    if event.format() == PayloadFormat::Form && body.is_empty() {
        return Payload::Form(BTreeMap::new());
    }
    let as_it_was = as_it_was(group, event);
    let content_type = Some(content_type).filter(|text| !text.is_empty());
    let content_encoding = headers.get("content-encoding").map(String::as_str);
    payload::decode(&as_it_was, content_type, content_encoding, body).payload
}

/// What the filters do is taken from `units`, the callback's.
fn judge(
    group: &Group,
    event: &mut v1::ReportedEvent,
    payload: &Payload,
    seen: &Seen<'_>,
    units: &mut u64,
) {
    event.registered = group.registers(&event.r#type);
    event.matches = group
        .webhooks
        .iter()
        .filter(|webhook| !webhook.is_template)
        .map(|webhook| {
            let mut verdict = v1::ReportedMatch {
                webhook_uid: webhook.uid.clone(),
                ..v1::ReportedMatch::default()
            };
            match verdict_of(webhook, event, payload, seen, units) {
                Verdict::Match => verdict.matched = true,
                Verdict::NoMatch(reason) => verdict.reason = reason,
                // Nothing is lost to a filter that errs: its delivery waits for an operator.
                Verdict::Error(reason) => {
                    verdict.matched = true;
                    verdict.hold = reason;
                }
            }
            verdict
        })
        .collect();
}

fn verdict_of(
    webhook: &Webhook,
    event: &v1::ReportedEvent,
    payload: &Payload,
    seen: &Seen<'_>,
    units: &mut u64,
) -> Verdict {
    let shown = match event.r#type.as_str() {
        "" => "an event without a type".to_owned(),
        name => format!("`{name}`"),
    };
    if !event.registered {
        return Verdict::NoMatch(format!("event not registered: {shown}"));
    }
    if !webhook.active {
        return Verdict::NoMatch("webhook inactive".to_owned());
    }
    if !webhook.asks_for(&event.r#type) {
        return Verdict::NoMatch(format!("not one of its events: {shown}"));
    }
    let Some(filter) = &webhook.filter else {
        return Verdict::Match;
    };
    let input = FilterInput {
        payload,
        headers: seen.headers,
        query: seen.query,
        event_type: &event.r#type,
        delivery_id: &event.delivery_id,
        external_id: &event.external_id,
    };
    filter.evaluate(input, units)
}

/// A callback is kept whole or not at all: one event that is wanted keeps them all.
pub(crate) fn is_kept(events: &[v1::ReportedEvent], capture_unmatched: bool) -> bool {
    events.iter().any(|event| {
        event.registered && (capture_unmatched || event.matches.iter().any(|one| one.matched))
    })
}

pub(crate) fn outcome(events: &[v1::ReportedEvent], capture_unmatched: bool) -> Outcome {
    if is_kept(events, capture_unmatched) {
        return Outcome::Keep;
    }
    match events.iter().find(|event| event.registered) {
        None => Outcome::NotKept {
            clause: "not-registered",
            reason: match events.first().map(|event| event.r#type.as_str()) {
                None | Some("") => "the event has no type, and only `*` takes such".to_owned(),
                Some(name) => format!("event not registered: `{name}`"),
            },
        },
        Some(event) => Outcome::NotKept {
            clause: "not-matched",
            reason: match event.matches.as_slice() {
                [] => "the group has no webhook but its template".to_owned(),
                [one] => one.reason.clone(),
                [one, rest @ ..] => format!(
                    "{}; and {} more webhooks didn't match",
                    one.reason,
                    rest.len()
                ),
            },
        },
    }
}

#[cfg(test)]
mod tests;
