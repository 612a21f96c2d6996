//! What the listener is configured with: groups of made-up connectors.

use hookplane_proto::v1;
use hookplane_rules::Connector;

use super::rig::{
    ACCOUNT_TOKEN, DISABLED_TOKEN, INSIDE_TOKEN, LIMITED_TOKEN, SECRET, TIMED_TOKEN, TOKEN,
    UNLOADABLE_TOKEN,
};

/// One group without secrets, under this scheme.
pub(super) fn keyless(scheme: v1::Scheme) -> Vec<v1::ConfigResource> {
    let mut connector = connector("keyless", None);
    if let Some(protocol) = connector
        .spec
        .as_mut()
        .and_then(|spec| spec.protocol.as_mut())
    {
        protocol.schemes = vec![scheme];
    }
    let mut group = group("main", TOKEN, &connector);
    if let Some(spec) = &mut group.spec {
        spec.signature_secrets.clear();
    }
    let (group_uid, webhook) = (uid_of(&group.metadata), webhook(&group));
    vec![
        of_connector(&connector),
        resource(
            &group_uid,
            &group_uid,
            v1::config_resource::Body::Group(group),
        ),
        resource(
            &uid_of(&webhook.metadata),
            &group_uid,
            v1::config_resource::Body::Webhook(webhook),
        ),
    ]
}

/// The whole configuration of the rig.
pub(super) fn resources() -> Vec<v1::ConfigResource> {
    let plain = connector("plain", None);
    let timed = connector("timed", Some(300));
    let mut inside = connector("inside", None);
    if let Some(protocol) = inside.spec.as_mut().and_then(|spec| spec.protocol.as_mut()) {
        protocol.handshakes.clear();
        protocol.schemes = vec![v1::Scheme {
            name: "token".to_owned(),
            token: Some(v1::SharedToken {
                location: "json:/token".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }];
    }
    let mut main = group("main", TOKEN, &plain);
    if let Some(spec) = &mut main.spec {
        spec.max_body_bytes = Some(2 * 1024 * 1024);
    }
    let mut account = group("account", ACCOUNT_TOKEN, &plain);
    if let Some(spec) = &mut account.spec {
        spec.external_id = "acme/shop".to_owned();
    }
    let mut disabled = group("disabled", DISABLED_TOKEN, &plain);
    if let Some(spec) = &mut disabled.spec {
        spec.disabled = true;
    }
    let mut unloadable = group("unloadable", UNLOADABLE_TOKEN, &plain);
    if let Some(spec) = &mut unloadable.spec {
        // Signed by its connector, and no secret to tell: never taken as genuine (risk 33).
        spec.signature_secrets.clear();
    }
    let mut limited = group("limited", LIMITED_TOKEN, &plain);
    if let Some(spec) = &mut limited.spec {
        spec.rate_limit_per_second = 1;
    }
    let timed_group = group("timed", TIMED_TOKEN, &timed);
    let inside_group = group("inside", INSIDE_TOKEN, &inside);
    let mut all = [&plain, &timed, &inside].map(of_connector).to_vec();
    for group in [
        main,
        account,
        disabled,
        unloadable,
        limited,
        timed_group,
        inside_group,
    ] {
        let webhook = webhook(&group);
        let group_uid = uid_of(&group.metadata);
        all.push(resource(
            &group_uid,
            &group_uid,
            v1::config_resource::Body::Group(group),
        ));
        all.push(resource(
            &uid_of(&webhook.metadata),
            &group_uid,
            v1::config_resource::Body::Webhook(webhook),
        ));
    }
    all
}

fn uid_of(metadata: &Option<v1::Metadata>) -> String {
    metadata.as_ref().map(|m| m.uid.clone()).unwrap_or_default()
}

fn resource(uid: &str, group_uid: &str, body: v1::config_resource::Body) -> v1::ConfigResource {
    v1::ConfigResource {
        uid: uid.to_owned(),
        revision: 5,
        group_uid: group_uid.to_owned(),
        body: Some(body),
    }
}

fn of_connector(connector: &v1::Connector) -> v1::ConfigResource {
    let version = version_of(connector);
    resource(
        &version,
        "",
        v1::config_resource::Body::Connector(connector.clone()),
    )
}

fn version_of(connector: &v1::Connector) -> String {
    Connector::version_of(&connector.spec.clone().unwrap_or_default())
}

fn metadata(name: &str) -> v1::Metadata {
    v1::Metadata {
        org: "acme".to_owned(),
        name: name.to_owned(),
        uid: format!("{name}-uid"),
        revision: 5,
        ..Default::default()
    }
}

fn group(name: &str, token: &str, connector: &v1::Connector) -> v1::WebhookGroup {
    let connector_name = connector.metadata.as_ref().map(|m| m.name.clone());
    v1::WebhookGroup {
        metadata: Some(metadata(name)),
        spec: Some(v1::WebhookGroupSpec {
            connector: connector_name.unwrap_or_default(),
            function: "hooks".to_owned(),
            pool: "default".to_owned(),
            signature_secrets: vec![v1::SignatureSecret {
                name: "secret-1".to_owned(),
                value: SECRET.to_owned(),
                ..Default::default()
            }],
            registered_events: vec!["push".to_owned(), "ping".to_owned()],
            ..Default::default()
        }),
        status: Some(v1::WebhookGroupStatus {
            callback_url: format!("http://hooks.example/c/{token}"),
            connector_version: version_of(connector),
            ..Default::default()
        }),
    }
}

/// Takes pushes only, so that a ping is registered and unmatched.
fn webhook(group: &v1::WebhookGroup) -> v1::Webhook {
    let group_name = group.metadata.as_ref().map(|m| m.name.clone());
    let name = group_name.unwrap_or_default();
    let mut metadata = metadata(&format!("{name}-pushes"));
    metadata.group = name;
    v1::Webhook {
        metadata: Some(metadata),
        spec: Some(v1::WebhookSpec {
            label: "Pushes".to_owned(),
            active: true,
            events: vec!["push".to_owned()],
            ..Default::default()
        }),
        status: None,
    }
}

fn value(from: &str) -> Vec<v1::Value> {
    vec![v1::Value {
        from: from.to_owned(),
        ..Default::default()
    }]
}

fn connector(name: &str, tolerance_seconds: Option<u32>) -> v1::Connector {
    let hmac = v1::KeyedHash {
        hash: v1::HashFunction::Sha256.into(),
        content: match tolerance_seconds {
            Some(_) => "{timestamp}.{body}".to_owned(),
            None => "{body}".to_owned(),
        },
        signature: "header:X-Signature".to_owned(),
        format: Some(v1::SignatureFormat {
            prefix: "sha256=".to_owned(),
            ..Default::default()
        }),
        encoding: v1::Encoding::Hex.into(),
        key: Some(v1::Key {
            decode: v1::Encoding::Raw.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let scheme = v1::Scheme {
        name: "sha256".to_owned(),
        hmac: Some(hmac),
        timestamp: tolerance_seconds.map(|tolerance_seconds| v1::SignedTime {
            location: "header:X-Timestamp".to_owned(),
            unit: v1::TimeUnit::Seconds.into(),
            tolerance_seconds,
            window: v1::TimeWindow::Both.into(),
        }),
        ..Default::default()
    };
    let handshake = v1::Handshake {
        name: "url-verification".to_owned(),
        when: Some(v1::Condition {
            location: "json:/type".to_owned(),
            equals: "url_verification".to_owned(),
            ..Default::default()
        }),
        reply: Some(v1::HandshakeReply {
            content_type: "text/plain".to_owned(),
            body: "{challenge}".to_owned(),
            ..Default::default()
        }),
        challenge: Some(v1::ChallengeShape {
            location: "json:/challenge".to_owned(),
            also: String::new(),
            max_length: 64,
            hex: false,
        }),
        ..Default::default()
    };
    v1::Connector {
        metadata: Some(v1::Metadata {
            name: name.to_owned(),
            ..Default::default()
        }),
        spec: Some(v1::ConnectorSpec {
            display_name: name.to_owned(),
            functions: vec![v1::ConnectorFunction {
                name: "hooks".to_owned(),
                events: ["push", "ping", "star"]
                    .map(|name| v1::ConnectorEvent {
                        name: name.to_owned(),
                        description: name.to_owned(),
                        sample: None,
                    })
                    .into(),
                ..Default::default()
            }],
            protocol: Some(v1::Protocol {
                content_types: vec!["application/json".to_owned()],
                schemes: vec![scheme],
                handshakes: vec![handshake],
                extract: Some(v1::Extraction {
                    event_type: value("header:X-Event"),
                    delivery_id: value("header:X-Delivery"),
                    external_id: value("json:/repository"),
                    ..Default::default()
                }),
                answer: Some(v1::Answer {
                    status: 202,
                    body: "thanks".to_owned(),
                    content_type: "text/plain".to_owned(),
                    patience_seconds: 2,
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }),
    }
}
