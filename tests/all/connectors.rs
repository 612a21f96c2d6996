//! The built-in connectors' files, and groups of them.

use std::path::PathBuf;
use std::sync::Arc;

use hookplane_proto::v1;
use hookplane_rules::{Callback, Connector, FieldError, Group};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const NAMES: [&str; 10] = [
    "generic-hmac",
    "github",
    "gitlab",
    "hubspot",
    "shopify",
    "slack",
    "standard-webhooks",
    "stripe",
    "twilio",
    "zoom",
];

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    metadata: v1::Metadata,
    spec: v1::ConnectorSpec,
}

pub(crate) fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

pub(crate) fn read(name: &str) -> v1::Connector {
    let file = path(&format!("../control-plane/connectors/{name}.yaml"));
    let text = std::fs::read_to_string(&file).unwrap();
    let document: Document =
        saphyr_serde::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(
        (document.api_version.as_str(), document.kind.as_str()),
        ("hookplane.dev/v1", "Connector")
    );
    v1::Connector {
        metadata: Some(document.metadata),
        spec: Some(document.spec),
    }
}

pub(crate) fn group(
    connector: &str,
    function: &str,
    secrets: &[String],
    callback_url: &str,
) -> Result<Arc<Group>, Vec<FieldError>> {
    let compiled = Connector::compile(&read(connector))?;
    let group = v1::WebhookGroup {
        metadata: Some(v1::Metadata {
            org: "acme".into(),
            name: "vectors".into(),
            uid: "uid-1".into(),
            ..Default::default()
        }),
        spec: Some(v1::WebhookGroupSpec {
            connector: connector.into(),
            function: function.into(),
            signature_secrets: secrets
                .iter()
                .map(|value| v1::SignatureSecret {
                    value: value.clone(),
                    ..Default::default()
                })
                .collect(),
            registered_events: vec!["*".into()],
            ..Default::default()
        }),
        status: Some(v1::WebhookGroupStatus {
            callback_url: callback_url.into(),
            ..Default::default()
        }),
    };
    Group::compile(&group, compiled, Vec::new())
}

pub(crate) fn callback(
    method: &str,
    query: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Callback {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    Callback {
        method: method.parse().unwrap(),
        query: query.into(),
        headers: map,
        body: body.into(),
    }
}

#[test]
fn every_file_reads_into_the_wire_and_has_two_samples() {
    for name in NAMES {
        let connector = read(name);
        assert_eq!(connector.metadata.unwrap().name, name);
        let functions = connector.spec.unwrap().functions;
        let samples = functions
            .iter()
            .flat_map(|f| &f.events)
            .filter(|e| e.sample.is_some())
            .count();
        assert!(samples >= 2, "{name} has {samples} samples");
        assert!(
            functions.iter().all(|f| !f.setup.is_empty()),
            "{name}: a function without set-up"
        );
    }
}
