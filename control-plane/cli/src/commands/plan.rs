//! A plan, as people read it, and what is wrong with a file, each with its place.

use hookplane_control_plane::manifest::Document;
use hookplane_proto::v1::manifest::Resource;
use hookplane_proto::v1::{ChangeAction, PlannedChange, SecretChange};

use crate::names::{in_words, typed};
use crate::output::visible;

/// The plan, a line for each resource, and what to know of it below.
pub(crate) fn render(documents: &[Document], changes: &[PlannedChange]) -> String {
    changes
        .iter()
        .flat_map(|change| {
            let tests = tests_of(document_of(documents, change));
            let hints = change.hints.iter();
            std::iter::once(line(change, tests))
                .chain(definition(change))
                .chain(hints.map(|hint| visible(&format!("           {hint}"))))
        })
        .map(|line| line + "\n")
        .collect()
}

/// How many tests a connector brings. A plan without errors is one in which they passed.
fn tests_of(document: Option<&Document>) -> usize {
    match document.and_then(|document| document.manifest.resource.as_ref()) {
        Some(Resource::Connector(connector)) => {
            connector.spec.as_ref().map_or(0, |s| s.tests.len())
        }
        _ => 0,
    }
}

fn document_of<'a>(documents: &'a [Document], change: &PlannedChange) -> Option<&'a Document> {
    let index = usize::try_from(change.manifest_index).ok()?;
    documents.get(index)
}

/// What the connector's newer definition brings.
fn definition(change: &PlannedChange) -> impl Iterator<Item = String> {
    let lines = change.definition_changes.iter();
    lines.map(|line| visible(&format!("           connector: {line}")))
}

fn line(change: &PlannedChange, tests: usize) -> String {
    let action = match change.action() {
        ChangeAction::Create => "create",
        ChangeAction::Update => "update",
        ChangeAction::Unchanged => "unchanged",
        ChangeAction::Unspecified => "?",
    };
    let mut text = format!("{action:9}  {}", typed(&change.name));
    let mut more = Vec::new();
    if change.manifest_index < 0 {
        more.push("not in the file, needed by it".to_owned());
    }
    if !change.changed_fields.is_empty() {
        more.push(change.changed_fields.join(", "));
    }
    match change.secret() {
        SecretChange::Unchanged => more.push("secret: unchanged".to_owned()),
        SecretChange::Changed => more.push("secret: changed".to_owned()),
        SecretChange::Unspecified => {}
    }
    match tests {
        0 => {}
        1 => more.push("1 test passed".to_owned()),
        _ => more.push(format!("{tests} tests passed")),
    }
    if !more.is_empty() {
        text.push_str(&format!("  ({})", more.join("; ")));
    }
    visible(&text)
}

/// What is wrong, as `file:line:column: field: message`.
pub(crate) fn errors(file: &str, documents: &[Document], changes: &[PlannedChange]) -> Vec<String> {
    let mut lines = Vec::new();
    for change in changes {
        let document = document_of(documents, change);
        for error in &change.errors {
            let place = match document {
                Some(document) => {
                    let (line, column) = document.locate(&error.field);
                    format!("{file}:{line}:{column}")
                }
                None => format!("{file}: {}", typed(&change.name)),
            };
            let field = if error.field.is_empty() {
                String::new()
            } else {
                format!("{}: ", error.field)
            };
            lines.push(format!("{place}: {field}{}", in_words(&error.message)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookplane_control_plane::manifest;
    use hookplane_proto::v1::ManifestError;

    #[test]
    fn a_plan_says_what_happens_to_each() {
        let changes = [
            PlannedChange {
                name: "orgs/acme".into(),
                action: ChangeAction::Create.into(),
                manifest_index: -1,
                ..Default::default()
            },
            PlannedChange {
                name: "orgs/acme/groups/shop".into(),
                action: ChangeAction::Update.into(),
                changed_fields: vec!["spec.externalId".into(), "spec.registeredEvents".into()],
                secret: SecretChange::Changed.into(),
                ..Default::default()
            },
            PlannedChange {
                name: "orgs/acme/groups/shop/webhooks/paid".into(),
                action: ChangeAction::Unchanged.into(),
                manifest_index: 1,
                ..Default::default()
            },
        ];
        assert_eq!(
            render(&[], &changes),
            "create     org acme  (not in the file, needed by it)\n\
             update     group acme/shop  (spec.externalId, spec.registeredEvents; secret: changed)\n\
             unchanged  webhook acme/shop/paid\n"
        );
    }

    #[test]
    fn an_error_points_at_its_line() {
        let text = "apiVersion: hookplane.dev/v1\nkind: WebhookGroup\nmetadata: {org: acme, name: shop}\nspec:\n  connector: shopify\n  registeredEvents: [a, b]\n";
        let documents = manifest::parse(text).unwrap();
        let changes = [PlannedChange {
            name: "orgs/acme/groups/shop".into(),
            errors: vec![
                ManifestError {
                    field: "spec.registeredEvents[1]".into(),
                    message: "unknown".into(),
                },
                ManifestError {
                    field: "spec.signatureSecrets".into(),
                    message: "missing".into(),
                },
            ],
            ..Default::default()
        }];
        assert_eq!(
            errors("shop.yaml", &documents, &changes),
            [
                "shop.yaml:6:25: spec.registeredEvents[1]: unknown",
                "shop.yaml:4:1: spec.signatureSecrets: missing",
            ]
        );
    }
}
