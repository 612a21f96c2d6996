//! From the wire's messages to what is printed: metadata, spec, status.

mod happened;

use hookplane_control_plane::manifest::API_VERSION;
use hookplane_proto::v1;
use serde_json::{Value, json};

use crate::output::{Item, word};
pub(crate) use happened::{delivery, delivery_status, event, flags, history, refusal};

/// An org as a manifest.
pub(crate) fn org(org: v1::Org) -> Item<v1::Metadata, v1::OrgSpec> {
    Item {
        api_version: Some(API_VERSION),
        kind: "Org",
        metadata: org.metadata.unwrap_or_default(),
        spec: org.spec.unwrap_or_default(),
        status: json!({}),
    }
}

/// A connector as a manifest.
pub(crate) fn connector(connector: v1::Connector) -> Item<v1::Metadata, v1::ConnectorSpec> {
    let metadata = connector.metadata.unwrap_or_default();
    Item {
        api_version: Some(API_VERSION),
        kind: "Connector",
        status: json!({"builtIn": metadata.org.is_empty()}),
        metadata,
        spec: connector.spec.unwrap_or_default(),
    }
}

/// A group as a manifest.
pub(crate) fn group(group: v1::WebhookGroup) -> Item<v1::Metadata, v1::WebhookGroupSpec> {
    let status = group.status.unwrap_or_default();
    let connector_confidence = confidence(status.connector_confidence());
    Item {
        api_version: Some(API_VERSION),
        kind: "WebhookGroup",
        metadata: group.metadata.unwrap_or_default(),
        spec: group.spec.unwrap_or_default(),
        status: json!({
            "callbackUrl": status.callback_url,
            "retiringUrls": status.retiring_urls.iter().map(|retiring| json!({
                "url": retiring.url,
                "expireTime": time(&retiring.expire_time),
            })).collect::<Vec<_>>(),
            "live": live(status.live),
            "connectorVersion": status.connector_version,
            "connectorUpdateAvailable": status.connector_update_available,
            "connectorConfidence": connector_confidence,
            "connectorSources": status.connector_sources,
            "connectorLimitations": status.connector_limitations,
            "counts": counts(status.counts),
            "durability": durability(status.durability.unwrap_or_default()),
            "handshakeCode": status.handshake_code.map(|shown| json!({
                "code": shown.code,
                "time": time(&shown.time),
            })),
        }),
    }
}

/// A webhook as a manifest.
pub(crate) fn webhook(webhook: v1::Webhook) -> Item<v1::Metadata, v1::WebhookSpec> {
    let status = webhook.status.unwrap_or_default();
    let warnings = status.warnings.iter().map(|warning| {
        json!({
            "eventType": warning.event_type,
            "path": warning.path,
            "message": warning.message,
            "since": time(&warning.since),
        })
    });
    let warnings: Vec<Value> = warnings.collect();
    let destinations = status.destinations.into_iter().map(|one| {
        let mut shown = destination_status(one.status.unwrap_or_default());
        shown["name"] = one.name.into();
        shown
    });
    Item {
        api_version: Some(API_VERSION),
        kind: "Webhook",
        metadata: webhook.metadata.unwrap_or_default(),
        spec: webhook.spec.unwrap_or_default(),
        status: json!({
            "live": live(status.live),
            "mappingVersion": status.mapping_version,
            "warnings": warnings,
            "destinations": destinations.collect::<Vec<_>>(),
        }),
    }
}

/// How each of a webhook's destinations is doing, a line each: one that gets nothing through says why, and when it is tried again.
pub(crate) fn destinations(webhook: &v1::Webhook) -> Vec<String> {
    let all = webhook
        .status
        .iter()
        .flat_map(|status| &status.destinations);
    all.map(|one| {
        let status = one.status.clone().unwrap_or_default();
        let (delivered, failed) = (status.delivered, status.failed);
        let state = state(&status);
        format!(
            "{}: {state}; {delivered} delivered, {failed} failed",
            one.name
        )
    })
    .collect()
}

/// `failing since 2026-11-28T10:00:00Z, tried again at 2026-11-28T10:05:00Z: it answered 500`
pub(crate) fn state(status: &v1::DestinationStatus) -> String {
    let mut text = word(status.state().as_str_name(), "DESTINATION_STATE_");
    if status.state() == v1::DestinationState::Active {
        return text;
    }
    if let Some(since) = time(&status.since) {
        text.push_str(&format!(" since {since}"));
    }
    if let Some(retry) = time(&status.retry_time) {
        text.push_str(&format!(", tried again at {retry}"));
    }
    if !status.reason.is_empty() {
        text.push_str(&format!(": {}", status.reason));
    }
    text
}

/// What a webhook's mapping or filter may not expect, a line each.
pub(crate) fn warnings(webhook: &v1::Webhook) -> Vec<String> {
    let all = webhook.status.iter().flat_map(|status| &status.warnings);
    all.map(|warning| {
        let (of, path, says) = (&warning.event_type, &warning.path, &warning.message);
        let since = time(&warning.since).unwrap_or_default();
        format!("{of}: {path} {says}; since {since}")
    })
    .collect()
}

/// A destination as a manifest.
pub(crate) fn destination(destination: v1::Destination) -> Item<v1::Metadata, v1::DestinationSpec> {
    Item {
        api_version: Some(API_VERSION),
        kind: "Destination",
        metadata: destination.metadata.unwrap_or_default(),
        spec: destination.spec.unwrap_or_default(),
        status: destination_status(destination.status.unwrap_or_default()),
    }
}

/// A destination that nothing gets through to: ORG/NAME, or ORG/GROUP/WEBHOOK/NAME of one that is a webhook's own.
pub(crate) fn trouble(trouble: v1::Trouble) -> Item<Value, Value> {
    let parts = trouble.name.split('/').skip(1).step_by(2);
    let mut name: Vec<&str> = parts.collect();
    if !trouble.destination.is_empty() {
        name.push(&trouble.destination);
    }
    Item {
        api_version: None,
        kind: "Trouble",
        metadata: json!({"name": name.join("/")}),
        spec: json!({}),
        status: destination_status(trouble.status.unwrap_or_default()),
    }
}

/// How a destination is doing, as the replica that answered sees it.
fn destination_status(status: v1::DestinationStatus) -> Value {
    json!({
        "state": word(status.state().as_str_name(), "DESTINATION_STATE_"),
        "reason": status.reason,
        "since": time(&status.since),
        "retryTime": time(&status.retry_time),
        "delivered": status.delivered,
        "failed": status.failed,
    })
}

/// A token, without what lets in.
pub(crate) fn token(token: v1::Token) -> Item<Value, Value> {
    let metadata = token.metadata.unwrap_or_default();
    let spec = token.spec.unwrap_or_default();
    let status = token.status.unwrap_or_default();
    Item {
        api_version: None,
        kind: "Token",
        metadata: json!({
            "org": metadata.org,
            "name": metadata.name,
            "uid": metadata.uid,
            "createTime": time(&metadata.create_time),
        }),
        spec: json!({
            "role": role(&spec),
            "webhooks": spec.webhooks,
            "pools": spec.pools,
        }),
        status: json!({
            "expireTime": time(&status.expire_time),
            "lastUseTime": time(&status.last_use_time),
        }),
    }
}

/// A role as people type it.
pub(crate) fn role(spec: &v1::TokenSpec) -> String {
    word(spec.role().as_str_name(), "TOKEN_ROLE_")
}

/// Null: not known now. A zero would say that a secret isn't used any more.
fn counts(counts: Option<v1::GroupCounts>) -> Value {
    let Some(counts) = counts else {
        return Value::Null;
    };
    json!({
        "refused": counts.refused,
        "notRegistered": counts.not_registered,
        "notMatched": counts.not_matched,
        "duplicates": counts.duplicates,
        "secretUses": counts.secret_uses,
    })
}

fn durability(durability: v1::Durability) -> Value {
    json!({
        "receipt": word(durability.receipt().as_str_name(), "RECEIPT_"),
        "reasons": durability.reasons,
    })
}

fn live(live: Option<v1::Live>) -> Value {
    let live = live.unwrap_or_default();
    json!({"applied": live.applied, "connected": live.connected, "problems": live.problems})
}

/// How sure we are of a connector, in a word.
pub(crate) fn confidence(confidence: v1::Confidence) -> &'static str {
    match confidence {
        v1::Confidence::Verified => "verified",
        v1::Confidence::Documented => "documented",
        v1::Confidence::Unverified => "unverified",
        v1::Confidence::Unspecified => "not stated",
    }
}

/// A function of a connector, with what holds for all of that connector's.
pub(crate) fn function(
    connector: &v1::Metadata,
    spec: &v1::ConnectorSpec,
    function: v1::ConnectorFunction,
) -> Item<Value, v1::ConnectorFunction> {
    Item {
        api_version: None,
        kind: "ConnectorFunction",
        metadata: json!({"org": connector.org, "connector": connector.name, "name": function.name}),
        spec: function,
        status: json!({
            "confidence": confidence(spec.confidence()),
            "sources": spec.sources,
            "limitations": spec.limitations,
            "secretHelp": spec.secret_help,
        }),
    }
}

/// A connected listener.
pub(crate) fn listener(listener: v1::Listener) -> Item<Value, Value> {
    Item {
        api_version: None,
        kind: "Listener",
        metadata: json!({
            "name": listener.name,
            "uid": listener.boot,
            "createTime": time(&listener.connect_time),
        }),
        spec: json!({"pool": listener.pool, "softwareVersion": listener.software_version}),
        status: json!({
            "ready": listener.ready,
            "revision": listener.revision,
            "storeRevision": listener.store_revision,
            "lastMinute": listener.last_minute.map(|sum| json!({
                "accepted": sum.accepted,
                "refused": sum.refused,
            })),
            "problems": listener.problems.iter().map(|problem| json!({
                "uid": problem.uid,
                "revision": problem.revision,
                "reason": problem.reason,
            })).collect::<Vec<_>>(),
        }),
    }
}

/// A time as text; null without one.
pub(crate) fn time(time: &Option<prost_types::Timestamp>) -> Option<String> {
    time.as_ref().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_has_the_name_that_pauses_and_resumes_it() {
        let name = |name: &str, destination: &str| {
            let trouble = v1::Trouble {
                name: name.to_owned(),
                destination: destination.to_owned(),
                status: None,
            };
            super::trouble(trouble).metadata["name"].clone()
        };
        assert_eq!(name("orgs/acme/destinations/crm", ""), "acme/crm");
        let webhook = "orgs/acme/groups/shop/webhooks/paid";
        assert_eq!(name(webhook, "http"), "acme/shop/paid/http");
    }

    #[test]
    fn counts_that_are_not_known_are_not_zero() {
        let known = v1::WebhookGroupStatus {
            counts: Some(v1::GroupCounts::default()),
            ..Default::default()
        };
        let of = |status| {
            let shown = group(v1::WebhookGroup {
                status: Some(status),
                ..Default::default()
            });
            shown.status["counts"]["refused"].clone()
        };
        assert_eq!(of(known), 0);
        assert_eq!(of(v1::WebhookGroupStatus::default()), Value::Null);
    }

    #[test]
    fn live_is_whole_even_when_nothing_is() {
        let item = group(v1::WebhookGroup::default());
        assert_eq!(
            item.status["live"],
            json!({"applied": false, "connected": 0, "problems": []})
        );
    }
}
