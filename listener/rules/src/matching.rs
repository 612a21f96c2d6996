//! Registered events, active webhooks, filters: who wants an event, and why not.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hookplane_proto::v1::{self, EventFlag, PayloadFormat};
use http::HeaderMap;

use crate::Timestamp;
use crate::connector::Scheme;
use crate::extract::Extracted;
use crate::filter::{FilterInput, Verdict};
use crate::group::{Group, Webhook};
use crate::location::Location;
use crate::payload::{self, Json, Payload};

/// Headers that hold credentials whatever the scheme. They are never kept.
const CREDENTIALS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "hookplane-test",
    "x-api-key",
];

/// A callback with every webhook's verdict.
#[derive(Debug)]
pub struct Matched {
    group_uid: String,
    extracted: Extracted,
    headers: BTreeMap<String, String>,
    query: String,
    events: Vec<Judged>,
    keep: bool,
    delivery_id_is_unique: bool,
    json_form_field: String,
}

/// One event's verdicts.
#[derive(Debug)]
struct Judged {
    registered: bool,
    matches: Vec<v1::ReportedMatch>,
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

pub(crate) fn match_events(group: &Group, extracted: Extracted) -> Matched {
    let headers = kept_headers(
        group,
        extracted.scheme.as_deref(),
        &extracted.callback.headers,
    );
    let query = kept_query(group, &extracted.callback.query);
    let events: Vec<Judged> = extracted
        .events
        .iter()
        .map(|event| {
            let item = (!event.item.is_empty()).then(|| {
                Json::validate(event.item.clone()).map_or_else(Payload::Opaque, Payload::Json)
            });
            judge(
                group,
                &FilterInput {
                    payload: item.as_ref().unwrap_or(&extracted.payload),
                    headers: &headers,
                    query: &query,
                    event_type: &event.event_type,
                    delivery_id: &event.delivery_id,
                    external_id: &event.external_id,
                },
            )
        })
        .collect();
    let keep = events.iter().any(|event| {
        event.registered
            && (group.captures_unmatched() || event.matches.iter().any(|webhook| webhook.matched))
    });
    let extract = group.protocol().extract.as_deref();
    Matched {
        group_uid: group.uid().to_owned(),
        keep,
        delivery_id_is_unique: extract.is_some_and(|extract| extract.delivery_id_is_unique),
        json_form_field: extract
            .and_then(|extract| extract.json_form_field.clone())
            .unwrap_or_default(),
        extracted,
        headers,
        query,
        events,
    }
}

/// Every webhook's verdict on one event. The template has none: it never matches.
fn judge(group: &Group, input: &FilterInput<'_>) -> Judged {
    let registered = group.registers(input.event_type)
        // What names no type can only be taken by who takes all.
        || (input.event_type.is_empty() && group.registered().iter().any(|event| event == "*"));
    let matches = group
        .webhooks()
        .iter()
        .filter(|webhook| !webhook.is_template())
        .map(|webhook| verdict(webhook, registered, input))
        .collect();
    Judged {
        registered,
        matches,
    }
}

fn verdict(webhook: &Arc<Webhook>, registered: bool, input: &FilterInput<'_>) -> v1::ReportedMatch {
    let not = |reason: String| v1::ReportedMatch {
        webhook_uid: webhook.uid.clone(),
        matched: false,
        hold: String::new(),
        reason,
    };
    if !registered {
        return not("event not registered".to_owned());
    }
    if !webhook.active {
        return not("webhook inactive".to_owned());
    }
    if !webhook.wants(input.event_type) {
        return not("not one of its events".to_owned());
    }
    let hold = match (&webhook.filter, input.payload) {
        (None, _) => String::new(),
        (Some(_), Payload::Opaque(reason)) => {
            format!("the filter can't run: the body can't be decoded: {reason}")
        }
        (Some(filter), _) => match filter.evaluate(*input) {
            Verdict::Match => String::new(),
            Verdict::NoMatch(reason) => return not(format!("filter: {reason}")),
            Verdict::Error(reason) => format!("filter: {reason}"),
        },
    };
    v1::ReportedMatch {
        webhook_uid: webhook.uid.clone(),
        matched: true,
        hold,
        reason: String::new(),
    }
}

pub(crate) fn rematch(group: &Group, callback: &mut v1::ReportedCallback) {
    let content_type = Some(callback.content_type.as_str()).filter(|text| !text.is_empty());
    let content_encoding = callback.headers.get("content-encoding").map(String::as_str);
    // A single event's whole body, decoded at most once.
    let mut whole: Option<Payload> = None;
    for event in &mut callback.events {
        let item;
        let payload = if event.in_batch {
            item = Json::validate(event.item.clone()).map_or_else(Payload::Opaque, Payload::Json);
            &item
        } else if event.format() == PayloadFormat::Opaque {
            item = Payload::Opaque("it was not decodable when it came".to_owned());
            &item
        } else {
            whole.get_or_insert_with(|| {
                payload::decode(
                    content_type,
                    content_encoding,
                    &callback.body,
                    Some(event.json_form_field.as_str()).filter(|field| !field.is_empty()),
                    group.max_inflated_bytes(),
                )
            })
        };
        let judged = judge(
            group,
            &FilterInput {
                payload,
                headers: &callback.headers,
                query: &callback.query,
                event_type: &event.r#type,
                delivery_id: &event.delivery_id,
                external_id: &event.external_id,
            },
        );
        event.registered = judged.registered;
        event.matches = judged.matches;
    }
}

impl Matched {
    /// What the group's configuration says.
    pub fn outcome(&self) -> Outcome {
        if self.keep {
            return Outcome::Keep;
        }
        let not_kept = |clause, reason: String| Outcome::NotKept { clause, reason };
        let Some(event) = self.extracted.events.first() else {
            return not_kept("not-matched", "the callback holds no event".to_owned());
        };
        if !self.events.iter().any(|event| event.registered) {
            return not_kept(
                "not-registered",
                format!("`{}` is not registered", cut(&event.event_type, 100)),
            );
        }
        let reasons: Vec<&str> = self
            .events
            .iter()
            .flat_map(|event| &event.matches)
            .map(|webhook| webhook.reason.as_str())
            .take(3)
            .collect();
        let reason = if reasons.is_empty() {
            "the group has no webhook".to_owned()
        } else {
            reasons.join("; ")
        };
        not_kept("not-matched", reason)
    }

    /// The name of the secret that proved it genuine, if one did.
    pub fn secret_name(&self) -> Option<&str> {
        self.extracted.secret_name.as_deref()
    }

    /// The events that were read out of it.
    pub fn events(&self) -> &[crate::ExtractedEvent] {
        &self.extracted.events
    }

    /// The wire message, without copying the body. Credentials are taken out of the headers.
    pub fn into_report(
        self,
        request_id: [u8; 16],
        plan_revision: u64,
        received: Timestamp,
    ) -> v1::ReportedCallback {
        let mut flags = Vec::new();
        if matches!(self.extracted.payload, Payload::Opaque(_)) {
            flags.push(EventFlag::Undecodable.into());
        }
        if self.extracted.unsigned {
            flags.push(EventFlag::Unsigned.into());
        }
        let in_batch = self.extracted.in_batch;
        let events = self
            .extracted
            .events
            .into_iter()
            .zip(self.events)
            .zip(0..)
            .map(|((event, judged), index)| v1::ReportedEvent {
                index,
                in_batch,
                r#type: event.event_type,
                delivery_id: event.delivery_id,
                delivery_id_is_unique: self.delivery_id_is_unique,
                external_id: event.external_id,
                unsigned_values: event.unsigned_values.into_iter().map(Into::into).collect(),
                format: event.format.into(),
                item: event.item,
                json_form_field: self.json_form_field.clone(),
                registered: judged.registered,
                matches: judged.matches,
            })
            .collect();
        v1::ReportedCallback {
            request_id: Bytes::copy_from_slice(&request_id),
            group_uid: self.group_uid,
            plan_revision,
            receive_time: Some(prost_types::Timestamp {
                seconds: received.seconds(),
                nanos: i32::try_from(received.0.rem_euclid(1_000) * 1_000_000).unwrap_or_default(),
            }),
            method: self.extracted.callback.method.to_string(),
            content_type: self
                .headers
                .get("content-type")
                .cloned()
                .unwrap_or_default(),
            query: self.query,
            headers: self.headers,
            body: self.extracted.callback.body,
            events,
            flags,
            test_mark: String::new(),
            budget_milliseconds: 0,
        }
    }
}

/// The headers that are kept: lower-case names, no credentials. Several of one name are joined as HTTP joins them.
fn kept_headers(
    group: &Group,
    scheme: Option<&Scheme>,
    headers: &HeaderMap,
) -> BTreeMap<String, String> {
    let credential = scheme.and_then(Scheme::credential);
    let mut kept: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        if CREDENTIALS.contains(&name.as_str())
            || matches!(credential, Some(Location::Header(header)) if header == name)
            || other_credential(group, name)
        {
            continue;
        }
        // Bytes that are no text are kept as a reader would see them.
        let text = String::from_utf8_lossy(value.as_bytes());
        match kept.get_mut(name.as_str()) {
            Some(before) => {
                before.push_str(", ");
                before.push_str(&text);
            }
            None => {
                kept.insert(name.as_str().to_owned(), text.into_owned());
            }
        }
    }
    kept
}

/// A header in which another of the connector's schemes carries its token.
fn other_credential(group: &Group, name: &http::HeaderName) -> bool {
    group.protocol().schemes.iter().any(
        |scheme| matches!(scheme.credential(), Some(Location::Header(header)) if header == name),
    )
}

/// The query that is kept: without the parameters in which credentials travel.
fn kept_query(group: &Group, query: &str) -> String {
    let credentials: Vec<&str> = group
        .protocol()
        .schemes
        .iter()
        .filter_map(|scheme| match scheme.credential() {
            Some(Location::Query(name)) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    if credentials.is_empty() || query.is_empty() {
        return query.to_owned();
    }
    query
        .split('&')
        .filter(|pair| {
            form_urlencoded::parse(pair.as_bytes())
                .next()
                .is_none_or(|(name, _)| !credentials.contains(&name.as_ref()))
        })
        .collect::<Vec<_>>()
        .join("&")
}

/// At most so many bytes, cut between characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
