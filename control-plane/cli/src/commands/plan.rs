//! A plan, as people read it, and what is wrong with a file, each with its place.

use hookplane_control_plane::manifest::Document;
use hookplane_proto::v1::{ChangeAction, PlannedChange, SecretChange};

use crate::names::typed;
use crate::output::visible;

/// The plan, a line for each resource.
pub(crate) fn render(changes: &[PlannedChange]) -> String {
    changes
        .iter()
        .flat_map(|change| std::iter::once(line(change)).chain(definition(change)))
        .map(|line| line + "\n")
        .collect()
}

/// What the connector's newer definition brings.
fn definition(change: &PlannedChange) -> impl Iterator<Item = String> {
    let lines = change.definition_changes.iter();
    lines.map(|line| visible(&format!("           connector: {line}")))
}

fn line(change: &PlannedChange) -> String {
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
    if !more.is_empty() {
        text.push_str(&format!("  ({})", more.join("; ")));
    }
    visible(&text)
}

/// What is wrong, as `file:line:column: field: message`.
pub(crate) fn errors(file: &str, documents: &[Document], changes: &[PlannedChange]) -> Vec<String> {
    let mut lines = Vec::new();
    for change in changes {
        let document = usize::try_from(change.manifest_index)
            .ok()
            .and_then(|index| documents.get(index));
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
            lines.push(format!("{place}: {field}{}", error.message));
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
            render(&changes),
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
