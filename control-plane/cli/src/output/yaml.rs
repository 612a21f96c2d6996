//! YAML: one document per item. Those of the four manifest kinds can be applied again.

use serde::Serialize;

use super::Item;
use crate::failure::Failure;

/// The items as documents of one file.
pub(crate) fn documents<M: Serialize, S: Serialize>(
    items: &[Item<M, S>],
) -> Result<String, Failure> {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push_str("---\n");
        }
        let document = if item.api_version.is_some() {
            saphyr_serde::to_string(item)
        } else {
            // Payloads are raw JSON, which only a JSON writer can write.
            let value: serde_json::Value = serde_json::to_string(item)
                .and_then(|text| serde_json::from_str(&text))
                .map_err(|error| Failure::new(format!("write YAML: {error}")))?;
            saphyr_serde::to_string(&value)
        };
        text.push_str(&document.map_err(|error| Failure::new(format!("write YAML: {error}")))?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::items;
    use hookplane_control_plane::manifest;
    use hookplane_proto::v1;
    use hookplane_proto::v1::manifest::Resource;

    fn metadata() -> Option<v1::Metadata> {
        Some(v1::Metadata {
            org: "acme".into(),
            name: "no".into(),
            uid: "u-1".into(),
            etag: "7".into(),
            revision: 7,
            create_time: Some(prost_time(1_700_000_000)),
            ..Default::default()
        })
    }

    fn prost_time(seconds: i64) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds, nanos: 0 }
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        let spec = v1::WebhookGroupSpec {
            connector: "github".into(),
            display_name: "1.10: \"quoted\" # and more\nsecond line\n".into(),
            external_id: "yes".into(),
            signature_secrets: vec![v1::SignatureSecret {
                name: "012".into(),
                ..Default::default()
            }],
            parameters: [
                ("verifyToken".to_owned(), "~".to_owned()),
                ("empty".to_owned(), String::new()),
            ]
            .into(),
            registered_events: vec![
                "*".into(),
                "null".into(),
                "- a".into(),
                " padded ".into(),
                "a\tb".into(),
            ],
            max_body_bytes: Some(1024),
            ..Default::default()
        };
        let group = v1::WebhookGroup {
            metadata: metadata(),
            spec: Some(spec.clone()),
            status: Some(v1::WebhookGroupStatus {
                callback_url: "http://h/t".into(),
                ..Default::default()
            }),
        };
        let text = documents(&[items::group(group.clone()), items::group(group)]).unwrap();
        let read = manifest::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(read.len(), 2);
        let Some(Resource::WebhookGroup(again)) = &read[0].manifest.resource else {
            panic!("a group: {text}");
        };
        assert_eq!(again.spec.as_ref(), Some(&spec), "{text}");
        let name = again.metadata.clone().unwrap_or_default();
        assert_eq!(
            (name.org.as_str(), name.name.as_str(), name.uid.as_str()),
            ("acme", "no", "")
        );
    }

    #[test]
    fn an_empty_destination_reads_back_as_one() {
        let webhook = v1::Webhook {
            metadata: metadata(),
            spec: Some(v1::WebhookSpec {
                active: true,
                filter: "payload.a == \"x\" && payload.b != 'y'".into(),
                destinations: vec![v1::WebhookDestination {
                    subscribe: Some(v1::SubscribeDestination {}),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            status: None,
        };
        let text = documents(&[items::webhook(webhook.clone())]).unwrap();
        let read = manifest::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let Some(Resource::Webhook(again)) = &read[0].manifest.resource else {
            panic!("a webhook: {text}");
        };
        assert_eq!(again.spec, webhook.spec, "{text}");
    }

    #[test]
    fn a_mapping_reads_back_the_same() {
        let field =
            |from: &str, default: Option<&str>, on_missing: v1::OnMissing| v1::FieldMapping {
                from: from.into(),
                default: default.map(str::to_owned),
                on_missing: on_missing.into(),
                values: [
                    ("1".to_owned(), "no".to_owned()),
                    ("*".to_owned(), "~".to_owned()),
                ]
                .into(),
                picklist: vec!["null".into(), "012".into()],
                ..Default::default()
            };
        let fields = [
            (
                "A".to_owned(),
                field("payload.a[0]['b.c']", None, v1::OnMissing::Null),
            ),
            (
                "B".to_owned(),
                field("payload.b", Some(""), v1::OnMissing::Unspecified),
            ),
            (
                "C".to_owned(),
                field("payload.c", Some("none"), v1::OnMissing::Default),
            ),
            (
                "D".to_owned(),
                field("payload.d", Some("null"), v1::OnMissing::Unspecified),
            ),
            (
                "E".to_owned(),
                field("payload.e", Some("1.10"), v1::OnMissing::Unspecified),
            ),
        ];
        let child = v1::ChildMapping {
            object: "Line".into(),
            for_each: "payload.lines[*].taxes".into(),
            parent_field: "Order__r".into(),
            ..Default::default()
        };
        let mapping = v1::Mapping {
            active: true,
            base: Some(v1::RecordMapping {
                object: "Order".into(),
                operation: v1::RecordOperation::Update.into(),
                key: "A".into(),
                fields: fields.into(),
                children: vec![child],
                ..Default::default()
            }),
        };
        let webhook = v1::Webhook {
            metadata: metadata(),
            spec: Some(v1::WebhookSpec {
                mapping: Some(mapping),
                ..Default::default()
            }),
            status: Some(v1::WebhookStatus {
                mapping_version: 3,
                newest_mapping_version: 3,
                ..Default::default()
            }),
        };
        let text = documents(&[items::webhook(webhook.clone())]).unwrap();
        assert!(text.contains("mappingVersion: 3"), "{text}");
        let read = manifest::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let Some(Resource::Webhook(again)) = &read[0].manifest.resource else {
            panic!("a webhook: {text}");
        };
        assert_eq!(again.spec, webhook.spec, "{text}");
    }
}
