//! What happened: events, deliveries, refusals.

use hookplane_proto::v1;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::time;
use crate::output::{Item, json, word};

/// What an event is, apart from what became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventSpec {
    #[serde(rename = "type")]
    event_type: String,
    delivery_id: String,
    external_id: String,
    connector: String,
    function: String,
    method: String,
    content_type: String,
    query: String,
    format: String,
    headers: std::collections::BTreeMap<String, String>,
    body_bytes: usize,
    /// Exactly as it came; null when it can't be decoded.
    payload: Option<Box<RawValue>>,
}

/// A kept event. `payload` is its JSON text, where it has one.
pub(crate) fn event(event: v1::Event, payload: Option<&str>) -> Item<Value, EventSpec> {
    let status = json!({
        "flags": flags(&event),
        "duplicateOf": event.duplicate_of,
        "duplicates": event.duplicates,
        "unsignedValues": event.unsigned_values,
        "undecodable": event.undecodable_reason,
        "redacted": event.redacted,
        "verdicts": event.verdicts.iter().map(|verdict| json!({
            "webhook": verdict.webhook,
            "matched": verdict.matched,
            "reason": verdict.reason,
        })).collect::<Vec<_>>(),
    });
    Item {
        api_version: None,
        kind: "Event",
        metadata: json!({
            "org": event.org,
            "group": event.group,
            "name": event.id,
            "createTime": time(&event.receive_time),
        }),
        spec: EventSpec {
            format: word(event.format().as_str_name(), "PAYLOAD_FORMAT_"),
            event_type: event.r#type,
            delivery_id: event.delivery_id,
            external_id: event.external_id,
            connector: event.connector,
            function: event.function,
            method: event.method,
            content_type: event.content_type,
            query: event.query,
            headers: event.headers,
            body_bytes: event.body.len(),
            payload: payload.and_then(json::raw),
        },
        status,
    }
}

/// An event's flags, in words.
pub(crate) fn flags(event: &v1::Event) -> Vec<String> {
    event
        .flags()
        .map(|flag| word(flag.as_str_name(), "EVENT_FLAG_"))
        .collect()
}

/// A delivery's status, in a word.
pub(crate) fn delivery_status(delivery: &v1::Delivery) -> String {
    word(delivery.status().as_str_name(), "DELIVERY_STATUS_")
}

/// A delivery.
pub(crate) fn delivery(delivery: v1::Delivery) -> Item<Value, Value> {
    Item {
        api_version: None,
        kind: "Delivery",
        metadata: json!({
            "org": delivery.org,
            "group": delivery.group,
            "webhook": delivery.webhook,
            "name": delivery.id,
            "createTime": time(&delivery.create_time),
            "updateTime": time(&delivery.update_time),
        }),
        spec: json!({
            "event": delivery.event_id,
            "type": delivery.event_type,
            "idempotencyKey": delivery.idempotency_key,
            "destination": delivery.destination,
            "mappingVersion": delivery.mapping_version,
            "orderKey": delivery.order_key,
        }),
        status: json!({
            "status": delivery_status(&delivery),
            "attempts": delivery.attempts,
            "reason": delivery.reason,
            "nextAttemptTime": time(&delivery.next_attempt_time),
            "history": history(&delivery),
        }),
    }
}

/// Each attempt that is told, the oldest first.
pub(crate) fn history(delivery: &v1::Delivery) -> Vec<Value> {
    let attempts = delivery.history.iter();
    let attempts = attempts.map(|attempt| {
        json!({
            "number": attempt.number,
            "startTime": time(&attempt.start_time),
            "latencyMilliseconds": attempt.latency_milliseconds,
            "outcome": word(attempt.outcome().as_str_name(), "ATTEMPT_OUTCOME_"),
            "status": attempt.status,
            "reason": attempt.reason,
            "excerpt": attempt.excerpt,
            "mappingVersion": attempt.mapping_version,
        })
    });
    attempts.collect()
}

/// What was turned away, or not kept.
pub(crate) fn refusal(refusal: v1::Refusal) -> Item<Value, Value> {
    let mut spec = json!({
        "method": refusal.method,
        "headerNames": refusal.header_names,
        "bodyBytes": refusal.body_bytes,
        "remoteAddress": refusal.remote_address,
        "listener": refusal.listener,
    });
    let mut status = json!({
        "status": refusal.status,
        "clause": refusal.clause,
        "reason": refusal.reason,
    });
    if !refusal.cause.is_empty() {
        status["cause"] = refusal.cause.into();
        status["advice"] = refusal.advice.into();
    }
    // Only what was proven genuine has these.
    if refusal.status < 300 {
        spec["type"] = refusal.event_type.into();
        spec["deliveryId"] = refusal.delivery_id.into();
        status["verdicts"] = refusal
            .verdicts
            .iter()
            .map(|verdict| json!({"webhook": verdict.webhook, "reason": verdict.reason}))
            .collect();
    }
    Item {
        api_version: None,
        kind: "Refusal",
        metadata: json!({
            "org": refusal.org,
            "group": refusal.group,
            "createTime": time(&refusal.time),
        }),
        spec,
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_shows_its_payload_exactly() {
        let kept = v1::Event {
            id: "e-1".into(),
            org: "acme".into(),
            r#type: "push".into(),
            flags: vec![
                v1::EventFlag::Test.into(),
                v1::EventFlag::SuspectedReplay.into(),
            ],
            ..Default::default()
        };
        let text = serde_json::to_string(&event(kept, Some("{ \"a\": 12.50 }"))).unwrap();
        assert!(text.contains(r#""payload":{"a":12.50}"#), "{text}");
        assert!(
            text.contains(r#""type":"push""#) && text.contains(r#""name":"e-1""#),
            "{text}"
        );
        assert!(text.contains(r#"["test","suspected-replay"]"#), "{text}");
    }

    #[test]
    fn a_delivery_says_its_status_in_a_word() {
        let item = delivery(v1::Delivery {
            status: v1::DeliveryStatus::Delivered.into(),
            attempts: 1,
            ..Default::default()
        });
        assert_eq!(item.status["status"], "delivered");
    }
}
