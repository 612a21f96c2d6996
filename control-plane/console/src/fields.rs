//! Where in a form a field of the API is typed, and what people call it: for the summary above a form that was refused.

/// What is wrong with one field, and the way to it.
pub(crate) struct Fault<'f> {
    /// The id of what it is typed into; empty: nowhere on the page.
    pub(crate) id: String,
    /// As its label has it.
    pub(crate) label: &'f str,
    pub(crate) message: &'f str,
}

/// How a field begins, what it is typed into, and its label. The first that fits counts.
const FIELDS: &[(&str, &str, &str)] = &[
    ("metadata.name", "name", "Name in addresses and manifests"),
    ("spec.displayName", "display_name", "Name"),
    ("spec.externalId", "external_id", "External Id"),
    (
        "spec.registeredEvents",
        "registered-events",
        "Registered Events",
    ),
    (
        "spec.acceptUnsigned",
        "accept_unsigned",
        "Take callbacks that nothing proves genuine",
    ),
    (
        "spec.learnSecret",
        "learn_secret",
        "Take the secret that the provider hands over",
    ),
    ("spec.pool", "pool", "Pool"),
    ("spec.maxBodyBytes", "max_body_bytes", "Body limit"),
    (
        "spec.rateLimitPerSecond",
        "rate_limit_per_second",
        "Kept callbacks a second, at most",
    ),
    (
        "spec.dedupWindowDays",
        "dedup_window_days",
        "Days in which a resend is recognised",
    ),
    (
        "spec.captureDays",
        "capture_days",
        "Days for events that no webhook wants",
    ),
    ("spec.redact", "redact", "Redaction"),
    (
        "spec.retention.maxDays",
        "retention_days",
        "Days for which events are kept",
    ),
    (
        "spec.retention.maxBytes",
        "retention_bytes",
        "Bytes for which events are kept",
    ),
    ("spec.label", "label", "Label"),
    ("spec.active", "active", "Active"),
    ("spec.events", "events", "Events"),
    ("spec.filter", "filter", "Filter"),
    ("spec.orderBy", "order_by", "In order by"),
    ("spec.destinations", "destinations", "Destinations"),
    ("spec.http.url", "url", "URL"),
    (
        "spec.http.signingSecret",
        "signing_secret",
        "Signing secret",
    ),
    ("spec.http.headers", "headers", "Headers"),
    ("spec.salesforce.url", "url", "URL"),
    ("spec.salesforce.clientId", "client_id", "Client id"),
    (
        "spec.salesforce.clientSecret",
        "client_secret",
        "Client secret",
    ),
    ("spec.salesforce.privateKey", "private_key", "Private key"),
    ("spec.salesforce.username", "username", "User to act as"),
    ("spec.salesforce.audience", "audience", "Audience"),
    ("spec.salesforce.apiVersion", "api_version", "API version"),
    (
        "spec.limits.concurrency",
        "concurrency",
        "Requests at a time",
    ),
    (
        "spec.limits.ratePerSecond",
        "rate_per_second",
        "Requests a second",
    ),
    (
        "spec.limits.timeoutSeconds",
        "timeout_seconds",
        "Seconds for one request",
    ),
    ("spec.limits.maxAttempts", "max_attempts", "Attempts"),
    ("spec.salesforce", "client_secret", "Client secret"),
    ("spec.role", "role", "Role"),
    ("spec.webhooks", "webhooks", "Webhooks"),
    ("spec.pools", "pools", "Pools"),
    (
        "overlap_seconds",
        "overlap",
        "How long does the old one go on?",
    ),
    // What a list is narrowed by, and how a replay is bounded.
    ("group", "group", "Group"),
    ("webhook", "webhook", "Webhook"),
    ("status", "status", "Status"),
    ("type", "type", "Event type"),
    ("text", "text", "Words in the payload"),
    ("destination", "destination", "Destination"),
    ("since", "since", "Since"),
    ("until", "until", "Until"),
    ("rate", "rate", "Deliveries a second"),
    ("max", "max", "At most"),
];

/// Whether `path` is this field or in it: `spec.registeredEvents[3]`.
fn is_in(path: &str, field: &str) -> bool {
    let rest = path.strip_prefix(field);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl<'f> Fault<'f> {
    pub(crate) fn of(field: &'f str, message: &'f str) -> Self {
        let (id, label) = place(field);
        Self { id, label, message }
    }
}

fn place(field: &str) -> (String, &str) {
    if let Some((_, id, label)) = FIELDS.iter().find(|(begins, ..)| is_in(field, begins)) {
        return ((*id).to_owned(), label);
    }
    if is_in(field, "spec.signatureSecrets") {
        let (id, label) = match field.ends_with(".name") {
            true => ("name", "What to call it"),
            false => ("secret", "Signature Secret"),
        };
        return (id.to_owned(), label);
    }
    if let Some(parameter) = field.strip_prefix("spec.parameters.") {
        return (format!("parameter.{parameter}"), parameter);
    }
    if field == "spec.mapping" {
        return ("needs-mapping".to_owned(), "Mapping");
    }
    if let Some(part) = field.strip_prefix("spec.mapping.") {
        return of_mapping(part);
    }
    // What a page of its own asks for is called as its field is.
    let plain = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_lowercase());
    (
        if plain {
            field.to_owned()
        } else {
            String::new()
        },
        field,
    )
}

/// `base.children[0].fields.Sku__c.from` is in the row of `Sku__c`, `base.children[0].key` in the object.
fn of_mapping(part: &str) -> (String, &str) {
    let row = part.rfind(".fields.").map(|at| at + ".fields.".len());
    if let Some(start) = row {
        let length = part[start..].find('.').unwrap_or(part.len() - start);
        let name = &part[start..start + length];
        return (format!("row-{}", &part[..start + length]), name);
    }
    if part.ends_with(']') && part.rfind(".fields[").is_some() {
        return (format!("row-{part}"), "A field");
    }
    let parts = [
        "object",
        "operation",
        "key",
        "field",
        "parentField",
        "forEach",
        "fields",
    ];
    let (object, label) = match part.rsplit_once('.') {
        Some((object, last)) if parts.contains(&last) => (object, of_object(object, last)),
        _ => (part, part),
    };
    (format!("object-{object}"), label)
}

/// As the editor labels what an object has.
fn of_object<'p>(object: &str, part: &'p str) -> &'p str {
    match part {
        "object" => "Object",
        "operation" => "Operation",
        "key" => "Key",
        "parentField" => "Field that refers to the parent",
        "field" if !object.is_empty() => "Relationship",
        "forEach" => "For each",
        "fields" => "Fields",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of each template: its name and its text.
    fn templates(folder: &std::path::Path, into: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => templates(&path, into),
                false => into.push((
                    path.display().to_string(),
                    std::fs::read_to_string(&path).unwrap(),
                )),
            }
        }
    }

    /// What labels say of the field with this id.
    fn labels(template: &str, id: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut after = |begins: &str, ends: char| {
            for (at, _) in template.match_indices(begins) {
                let label = template[at + begins.len()..].split(ends).next();
                found.extend(label.map(str::to_owned));
            }
        };
        for kind in ["text", "secret", "area", "tick"] {
            after(&format!(r#"fields::{kind}("{id}", ""#), '"');
        }
        after(&format!(r#"<label for="{id}">"#), '<');
        after(&format!(r#"narrow::field("{id}", ""#), '"');
        // Of a set of fields: the legend is the first that is in it.
        for (at, tag) in template.match_indices(&format!(r#"id="{id}""#)) {
            let inside = template[at + tag.len()..]
                .split_once('>')
                .map(|two| two.1.trim_start());
            let legend = inside.and_then(|inside| inside.strip_prefix("<legend>"));
            found.extend(
                legend
                    .and_then(|legend| legend.split('<').next())
                    .map(str::to_owned),
            );
        }
        found
    }

    #[test]
    fn a_line_of_the_summary_says_what_the_fields_label_says() {
        let mut all = Vec::new();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
        templates(folder.as_ref(), &mut all);
        for (field, id, says) in FIELDS {
            // What is said of a secret's name is of another field with that id.
            let of_it = all
                .iter()
                .filter(|(path, _)| *id != "name" || !path.ends_with("secrets.html"));
            let labels: Vec<_> = of_it.flat_map(|(_, text)| labels(text, id)).collect();
            assert!(!labels.is_empty(), "{field} is typed nowhere");
            for label in labels {
                assert!(label.contains(says), "{field}: `{label}` isn't `{says}`");
            }
        }
    }

    #[test]
    fn a_field_of_the_api_is_found_where_it_is_typed() {
        for (field, id, label) in [
            (
                "spec.registeredEvents[3]",
                "registered-events",
                "Registered Events",
            ),
            (
                "spec.retention.maxDays",
                "retention_days",
                "Days for which events are kept",
            ),
            (
                "spec.signatureSecrets[1].value",
                "secret",
                "Signature Secret",
            ),
            ("spec.signatureSecrets[1].name", "name", "What to call it"),
            ("spec.parameters.verify", "parameter.verify", "verify"),
            ("spec.pools[0]", "pools", "Pools"),
            (
                "spec.mapping.base.fields.Note__c.from",
                "row-base.fields.Note__c",
                "Note__c",
            ),
            (
                "spec.mapping.base.fields[2]",
                "row-base.fields[2]",
                "A field",
            ),
            (
                "spec.mapping.base.children[0].key",
                "object-base.children[0]",
                "Key",
            ),
            (
                "spec.mapping.base.children[0].parentField",
                "object-base.children[0]",
                "Field that refers to the parent",
            ),
            ("spec.mapping.base", "object-base", "base"),
            ("since", "since", "Since"),
            ("event", "event", "event"),
            ("spec.newOne", "", "spec.newOne"),
            ("", "", ""),
        ] {
            assert_eq!(place(field), (id.to_owned(), label), "{field}");
        }
    }
}
