//! What the tests of several stages build on: connectors from YAML, groups, callbacks.

use std::sync::Arc;

use hookplane_proto::v1;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::{
    Callback, Connector, FieldError, Group, Proven, Refusal, Timestamp, Verified, Webhook,
};

pub(crate) const NOW: Timestamp = Timestamp(1_767_225_600_500);
pub(crate) const SECRET: &str = "synthetic-key-for-tests-only";
pub(crate) const URL: &str = "https://hooks.example.com/acme/t0ken";

/// `spec` of a connector with one function `main` of open events, and this protocol.
pub(crate) fn definition(protocol: &str) -> v1::Connector {
    let indented: String = protocol.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!(
        "functions: [{{name: main, openEvents: true, events: [{{name: made, sample: {{body: '{{\"type\": \"made\", \"id\": \"{{uuid}}\", \"account\": \"acc-1\"}}', contentType: application/json}}}}]}}]\nprotocol:\n{indented}"
    );
    v1::Connector {
        metadata: Some(v1::Metadata {
            name: "forge".to_owned(),
            ..Default::default()
        }),
        spec: Some(saphyr_serde::from_str(&text).unwrap()),
    }
}

pub(crate) fn connector(protocol: &str) -> Arc<Connector> {
    Connector::compile(&definition(protocol)).unwrap()
}

pub(crate) fn errors(protocol: &str) -> Vec<FieldError> {
    Connector::compile(&definition(protocol)).unwrap_err()
}

/// Registers everything, with one secret.
pub(crate) fn group_spec() -> v1::WebhookGroup {
    v1::WebhookGroup {
        metadata: Some(v1::Metadata {
            org: "acme".to_owned(),
            name: "shop-prod".to_owned(),
            uid: "group-uid".to_owned(),
            ..Default::default()
        }),
        spec: Some(v1::WebhookGroupSpec {
            connector: "forge".to_owned(),
            signature_secrets: vec![secret("", SECRET)],
            registered_events: vec!["*".to_owned()],
            ..Default::default()
        }),
        status: Some(v1::WebhookGroupStatus {
            callback_url: URL.to_owned(),
            ..Default::default()
        }),
    }
}

pub(crate) fn secret(name: &str, value: &str) -> v1::SignatureSecret {
    v1::SignatureSecret {
        name: name.to_owned(),
        value: value.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn group_with(
    protocol: &str,
    edit: impl FnOnce(&mut v1::WebhookGroupSpec),
) -> Result<Arc<Group>, Vec<FieldError>> {
    let mut group = group_spec();
    edit(group.spec.as_mut().unwrap());
    Group::compile(&group, connector(protocol), Vec::new())
}

pub(crate) fn group(protocol: &str) -> Arc<Group> {
    group_with(protocol, |_| {}).unwrap()
}

pub(crate) fn webhook(name: &str, events: &[&str], filter: &str) -> v1::Webhook {
    v1::Webhook {
        metadata: Some(v1::Metadata {
            org: "acme".to_owned(),
            group: "shop-prod".to_owned(),
            name: name.to_owned(),
            uid: format!("{name}-uid"),
            ..Default::default()
        }),
        spec: Some(v1::WebhookSpec {
            active: true,
            events: events.iter().map(|&event| event.to_owned()).collect(),
            filter: filter.to_owned(),
            ..Default::default()
        }),
        status: None,
    }
}

/// A group with these webhooks, its spec edited.
pub(crate) fn group_of(
    protocol: &str,
    webhooks: &[v1::Webhook],
    edit: impl FnOnce(&mut v1::WebhookGroupSpec),
) -> Arc<Group> {
    let connector = connector(protocol);
    let mut group = group_spec();
    edit(group.spec.as_mut().unwrap());
    let webhooks = webhooks
        .iter()
        .map(|one| Webhook::compile(one, &group, &connector).unwrap())
        .collect();
    Group::compile(&group, connector, webhooks).unwrap()
}

pub(crate) fn callback(headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Callback {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    Callback {
        method: Method::POST,
        query: String::new(),
        headers: map,
        body: body.into(),
    }
}

pub(crate) fn genuine(group: &Group, callback: Callback) -> Verified {
    match group.verify(callback, NOW).unwrap() {
        Proven::Genuine(verified) => verified,
        Proven::Handshake(shaken) => panic!("it was taken for a handshake: {shaken:?}"),
    }
}

pub(crate) fn refusal(group: &Group, callback: Callback) -> Refusal {
    match group.verify(callback, NOW) {
        Err(refusal) => refusal,
        Ok(proven) => panic!("it was taken: {proven:?}"),
    }
}
