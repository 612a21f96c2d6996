//! Before anything is written: what webhooks whose filter, events or mapping change, or whose group registers other events, would do otherwise
//! with recorded events.

use std::io::{BufRead as _, IsTerminal as _};

use hookplane_control_plane::manifest::Document;
use hookplane_proto::v1;
use hookplane_proto::v1::ChangeAction;
use hookplane_proto::v1::manifest::Resource;

use crate::args::Apply;
use crate::commands::compare;
use crate::connect::Api;
use crate::failure::Failure;
use crate::output;

/// Recorded events, unless it is said.
const LAST: u32 = 1_000;
/// What decides which events a webhook takes, and what it makes of them.
const DECIDE: [&str; 3] = ["spec.filter", "spec.events", "spec.mapping"];
/// The same of its group.
const OF_GROUP_DECIDE: [&str; 1] = ["spec.registeredEvents"];

/// Shows it where it is asked for: by --compare, by --dry-run, or by whoever sits at the terminal. False when they then don't want to go on.
pub(super) async fn show(
    api: &Api,
    apply: &Apply,
    documents: &[Document],
    changes: &[v1::PlannedChange],
) -> Result<bool, Failure> {
    let webhooks = changed(documents, changes);
    if webhooks.is_empty() {
        return Ok(true);
    }
    let may_ask = !apply.dry_run && is_watched();
    let last = match apply.compare {
        Some(last) => last,
        None if apply.dry_run => LAST,
        None if may_ask => {
            let wanted = ask(
                "Compare with the last 1,000 recorded events first? [Y/n]",
                true,
            )?;
            if !wanted {
                return Ok(true);
            }
            LAST
        }
        None => return Ok(true),
    };
    for webhook in webhooks {
        let name = compare::path(webhook);
        let answer = compare::of(api, documents, webhook.clone(), last).await?;
        output::text(&compare::render(&name, &answer))?;
    }
    if may_ask {
        return ask("Apply? [y/N]", false);
    }
    Ok(true)
}

/// Webhooks that are there and would decide otherwise, or whose group would.
fn changed<'a>(documents: &'a [Document], changes: &[v1::PlannedChange]) -> Vec<&'a v1::Webhook> {
    let updates = |change: &v1::PlannedChange, fields: &[&str]| {
        let mut changed = change.changed_fields.iter();
        change.action() == ChangeAction::Update
            && changed.any(|field| fields.contains(&field.as_str()))
    };
    let groups: Vec<_> = changes
        .iter()
        .filter(|change| updates(change, &OF_GROUP_DECIDE))
        .map(|change| format!("{}/webhooks/", change.name))
        .collect();
    let decides = |change: &&v1::PlannedChange| {
        let of_group = || groups.iter().any(|group| change.name.starts_with(group));
        let is_there = change.action() != ChangeAction::Create;
        updates(change, &DECIDE) || (is_there && of_group())
    };
    let of = |change: &v1::PlannedChange| {
        let index = usize::try_from(change.manifest_index).ok()?;
        match &documents.get(index)?.manifest.resource {
            Some(Resource::Webhook(webhook)) => Some(webhook),
            _ => None,
        }
    };
    changes.iter().filter(decides).filter_map(of).collect()
}

/// Whether there is somebody to ask, who sees the question.
fn is_watched() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn ask(question: &str, otherwise: bool) -> Result<bool, Failure> {
    output::note_part(&format!("{question} "));
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        // The end of what is typed is no yes.
        return Ok(false);
    }
    Ok(match answer.trim().to_ascii_lowercase().as_str() {
        "" => otherwise,
        "y" | "yes" => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookplane_control_plane::manifest;

    #[test]
    fn only_what_changes_who_gets_what_is_compared() {
        let text = "apiVersion: hookplane.dev/v1\nkind: Webhook\nmetadata: {org: a, group: g, name: w}\nspec: {label: W}\n";
        let documents = manifest::parse(text).unwrap();
        let change = |action: ChangeAction, field: &str| v1::PlannedChange {
            action: action.into(),
            changed_fields: vec![field.to_owned()],
            ..Default::default()
        };
        for (action, field, count) in [
            (ChangeAction::Update, "spec.filter", 1),
            (ChangeAction::Update, "spec.mapping", 1),
            (ChangeAction::Update, "spec.label", 0),
            (ChangeAction::Create, "spec.filter", 0),
        ] {
            let found = changed(&documents, &[change(action, field)]);
            assert_eq!(found.len(), count, "{field}");
        }
        // Also where its group takes other events than before.
        let of = |name: &str, index, action: ChangeAction| v1::PlannedChange {
            name: name.to_owned(),
            manifest_index: index,
            ..change(action, "spec.registeredEvents")
        };
        let webhook = |action| of("orgs/a/groups/g/webhooks/w", 0, action);
        for (group, action, count) in [
            ("orgs/a/groups/g", ChangeAction::Unchanged, 1),
            ("orgs/a/groups/g", ChangeAction::Create, 0),
            ("orgs/a/groups/gg", ChangeAction::Unchanged, 0),
        ] {
            let changes = [of(group, -1, ChangeAction::Update), webhook(action)];
            assert_eq!(changed(&documents, &changes).len(), count, "{group}");
        }
    }
}
