//! `compare`: recorded events through webhooks as they are and as a manifest would have them. `apply` shows the same before it writes.

use std::future::Future;

use hookplane_control_plane::manifest::Document;
use hookplane_proto::v1;
use serde_json::{Value, json};

use super::apply::{self, Instead};
use super::preview;
use crate::args::{Compare, ShortFormat};
use crate::connect::Api;
use crate::failure::Failure;
use crate::output::table::Table;
use crate::output::{self, visible, word};

/// Fields of one difference that a table shows; all that the API tells are in -o json.
const SHOWN_FIELDS: usize = 3;
/// Differences and fields that a table shows.
const SHOWN: usize = 20;

pub(crate) async fn run<R>(compare: &Compare, connect: impl FnOnce() -> R) -> Result<(), Failure>
where
    R: Future<Output = Result<Api, Failure>>,
{
    // Secrets have no part in it.
    let (file, documents) = apply::read(&compare.file, &Instead::Stored)?;
    let webhooks: Vec<v1::Webhook> = preview::webhooks(&documents).cloned().collect();
    if webhooks.is_empty() {
        return Err(Failure::new(format!("{file}: there is no webhook in it")));
    }
    let api = connect().await?;
    let mut items = Vec::new();
    for webhook in webhooks {
        let name = path(&webhook);
        let answer = of(&api, &documents, webhook, compare.last).await?;
        match compare.output {
            ShortFormat::Json => items.push(as_json(&name, &answer)),
            ShortFormat::Table => output::text(&render(&name, &answer))?,
        }
    }
    if compare.output == ShortFormat::Json {
        let text = serde_json::to_string_pretty(&json!({"items": items}))
            .map_err(|error| Failure::new(format!("write JSON: {error}")))?;
        output::line(&text)?;
    }
    Ok(())
}

/// One webhook as it would be saved, after what else the file has, with the stored one.
pub(super) async fn of(
    api: &Api,
    documents: &[Document],
    webhook: v1::Webhook,
    last: u32,
) -> Result<v1::CompareResponse, Failure> {
    let request = v1::CompareRequest {
        manifests: preview::before(documents, &webhook),
        webhook: Some(webhook),
        last,
    };
    Ok(api.previews().compare(request).await?.into_inner())
}

/// `acme/shop/paid`
pub(super) fn path(webhook: &v1::Webhook) -> String {
    let metadata = webhook.metadata.clone().unwrap_or_default();
    format!("{}/{}/{}", metadata.org, metadata.group, metadata.name)
}

fn kind(difference: &v1::Difference) -> String {
    word(difference.kind().as_str_name(), "DIFFERENCE_KIND_")
}

pub(super) fn render(name: &str, answer: &v1::CompareResponse) -> String {
    let mut text = format!(
        "webhook {name}: {} recorded events looked at\n",
        answer.looked_at
    );
    if !answer.cut_short.is_empty() {
        text.push_str(&format!("  no more of them: {}\n", answer.cut_short));
    }
    let counts = [
        ("newly delivered", answer.newly_delivered),
        ("no longer delivered", answer.no_longer_delivered),
        ("other records", answer.changed),
        ("newly held", answer.newly_held),
    ];
    if counts.iter().all(|(_, count)| *count == 0) {
        text.push_str("  nothing differs\n");
        return visible_lines(&text);
    }
    for (what, count) in counts {
        text.push_str(&format!("  {what:<20} {count}\n"));
    }
    if !answer.changed_fields.is_empty() {
        let mut table = Table::new(&["FIELD THAT CHANGES", "EVENTS"]);
        for field in answer.changed_fields.iter().take(SHOWN) {
            table.row([field.field.clone(), field.events.to_string()]);
        }
        text.push_str(&format!("\n{}", table.render()));
    }
    let mut table = Table::new(&["EVENT", "TYPE", "WOULD BE", "WHY"]);
    for difference in answer.differences.iter().take(SHOWN) {
        table.row([
            difference.event_id.clone(),
            difference.event_type.clone(),
            kind(difference).replace('-', " "),
            why(difference),
        ]);
    }
    text.push_str(&format!("\n{}", table.render()));
    let all = counts
        .iter()
        .map(|(_, count)| *count as usize)
        .sum::<usize>();
    let shown = answer.differences.len().min(SHOWN);
    if all > shown {
        text.push_str(&format!("and {} more\n", all - shown));
    }
    visible_lines(&text)
}

/// The clause, or what changes.
fn why(difference: &v1::Difference) -> String {
    if difference.fields.is_empty() {
        return difference.reason.clone();
    }
    let or_none = |json: &str| match json {
        "" => "(none)".to_owned(),
        json => json.to_owned(),
    };
    let shown = difference.fields.iter().take(SHOWN_FIELDS);
    let mut shown: Vec<String> = shown
        .map(|one| {
            format!(
                "{}: {} -> {}",
                one.field,
                or_none(&one.old),
                or_none(&one.new)
            )
        })
        .collect();
    if difference.fields.len() > SHOWN_FIELDS {
        shown.push("…".to_owned());
    }
    shown.join("; ")
}

fn visible_lines(text: &str) -> String {
    text.lines().map(|line| visible(line) + "\n").collect()
}

fn as_json(name: &str, answer: &v1::CompareResponse) -> Value {
    let differences = answer.differences.iter().map(|one| {
        let fields = one.fields.iter();
        let fields =
            fields.map(|field| json!({"field": field.field, "old": field.old, "new": field.new}));
        json!({
            "event": one.event_id,
            "type": one.event_type,
            "kind": kind(one),
            "reason": one.reason,
            "fields": fields.collect::<Vec<_>>(),
        })
    });
    let changed = answer.changed_fields.iter();
    let changed = changed.map(|one| json!({"field": one.field, "events": one.events}));
    json!({
        "webhook": name,
        "lookedAt": answer.looked_at,
        "cutShort": answer.cut_short,
        "newlyDelivered": answer.newly_delivered,
        "noLongerDelivered": answer.no_longer_delivered,
        "changed": answer.changed,
        "newlyHeld": answer.newly_held,
        "changedFields": changed.collect::<Vec<_>>(),
        "differences": differences.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> v1::CompareResponse {
        v1::CompareResponse {
            looked_at: 1000,
            no_longer_delivered: 1,
            changed: 30,
            differences: vec![v1::Difference {
                event_id: "e-1".into(),
                event_type: "orders/paid".into(),
                kind: v1::DifferenceKind::Changed.into(),
                fields: vec![v1::FieldDifference {
                    field: "base.fields.Total__c".into(),
                    old: String::new(),
                    new: "12.50".into(),
                }],
                ..Default::default()
            }],
            changed_fields: vec![v1::ChangedField {
                field: "base.fields.Total__c".into(),
                events: 30,
            }],
            ..Default::default()
        }
    }

    #[test]
    fn a_difference_is_counted_and_shown_with_both_values() {
        let text = render("acme/shop/paid", &answer());
        assert!(text.starts_with("webhook acme/shop/paid: 1000 recorded events looked at\n"));
        assert!(text.contains("other records        30"), "{text}");
        assert!(
            text.contains("base.fields.Total__c: (none) -> 12.50"),
            "{text}"
        );
        assert!(text.contains("and 30 more"), "{text}");
        let none = v1::CompareResponse {
            looked_at: 3,
            ..Default::default()
        };
        assert!(render("a/b/c", &none).contains("nothing differs"));
    }

    #[test]
    fn json_has_all_of_it() {
        let value = as_json("a/b/c", &answer());
        assert_eq!(value["differences"][0]["kind"], "changed");
        assert_eq!(value["changedFields"][0]["events"], 30);
    }
}
