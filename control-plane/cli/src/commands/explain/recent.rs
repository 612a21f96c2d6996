//! What listeners refused or left out lately, by cause.

use std::collections::BTreeMap;

use hookplane_proto::v1;

use crate::commands::items;
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output::{self, visible};

/// As many as are remembered of one group.
const MOST: u32 = 1_000;
/// Kinds of what was not kept that are shown.
const MOST_LINES: usize = 50;

pub(super) async fn explain(api: &Api, group: &Name) -> Result<(), Failure> {
    let list = |not_kept| async move {
        let request = v1::ListRefusalsRequest {
            parent: group.group(),
            page_size: MOST,
            not_kept,
        };
        let answer = api.events().list_refusals(request).await?;
        Ok::<_, Failure>(answer.into_inner().refusals)
    };
    let (refused, not_kept) = (list(false).await?, list(true).await?);
    let request = v1::GetWebhookGroupRequest {
        name: group.group(),
    };
    let counts = api
        .groups()
        .get_webhook_group(request)
        .await?
        .into_inner()
        .status
        .and_then(|status| status.counts)
        .unwrap_or_default();
    output::text(&render(&refused, &not_kept, &counts))
}

/// Newest first, both.
fn render(refused: &[v1::Refusal], not_kept: &[v1::Refusal], counts: &v1::GroupCounts) -> String {
    let mut text = format!(
        "refused: {}, of which {} are remembered\n",
        counts.refused.max(refused.len() as u64),
        refused.len()
    );
    for (clause, all) in by(refused, |refusal| refusal.clause.clone()) {
        let Some(last) = all.first() else { continue };
        text.push_str(&format!(
            "\n{clause}  {} times, last {} from {}\n  {}\n",
            all.len(),
            items::time(&last.time).unwrap_or_default(),
            visible(&last.remote_address),
            visible(&last.reason),
        ));
        let looked_at = all.iter().filter(|one| !one.cause.is_empty());
        let looked_at: Vec<v1::Refusal> = looked_at.map(|one| (*one).clone()).collect();
        for (cause, found) in by(&looked_at, |refusal| refusal.cause.clone()) {
            let Some(last) = found.first() else { continue };
            text.push_str(&format!(
                "  likely cause: {} ({} of {} looked at)\n    {}\n",
                visible(&cause),
                found.len(),
                looked_at.len(),
                visible(&last.advice),
            ));
        }
    }
    let left_out = counts.not_registered + counts.not_matched + counts.duplicates;
    text.push_str(&format!(
        "\ngenuine and not kept: {} not registered, {} wanted by no webhook, {} repeats\n",
        counts.not_registered, counts.not_matched, counts.duplicates
    ));
    if left_out == 0 && not_kept.is_empty() {
        return text;
    }
    let kinds = by(not_kept, |example| {
        format!("{}  {}", example.clause, visible(&example.event_type))
    });
    for (kind, all) in kinds.into_iter().take(MOST_LINES) {
        let Some(last) = all.first() else { continue };
        text.push_str(&format!(
            "\n{kind}  {} examples, last {}\n  {}\n",
            all.len(),
            items::time(&last.time).unwrap_or_default(),
            visible(&last.reason),
        ));
        if last.clause == "not-registered" {
            continue;
        }
        for verdict in &last.verdicts {
            text.push_str(&format!(
                "  {}: {}\n",
                visible(&verdict.webhook),
                visible(&verdict.reason)
            ));
        }
    }
    text
}

/// The frequent first; those of one kind stay in their order.
fn by(
    all: &[v1::Refusal],
    key: impl Fn(&v1::Refusal) -> String,
) -> Vec<(String, Vec<&v1::Refusal>)> {
    let mut kinds: BTreeMap<String, Vec<&v1::Refusal>> = BTreeMap::new();
    for one in all {
        kinds.entry(key(one)).or_default().push(one);
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, of)| std::cmp::Reverse(of.len()));
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(clause: &str, cause: &str) -> v1::Refusal {
        v1::Refusal {
            clause: clause.to_owned(),
            reason: format!("reason of {clause}"),
            cause: cause.to_owned(),
            advice: format!("advice for {cause}"),
            ..Default::default()
        }
    }

    #[test]
    fn causes_are_counted_among_those_that_were_looked_at() {
        let refused = [
            refusal("method", ""),
            refusal("signature", "url"),
            refusal("signature", "secret-prefix"),
            refusal("signature", "secret-prefix"),
            refusal("signature", ""),
        ];
        let counts = v1::GroupCounts {
            refused: 70,
            ..Default::default()
        };
        let text = render(&refused, &[], &counts);
        for part in [
            "refused: 70, of which 5 are remembered",
            "\nsignature  4 times",
            "likely cause: secret-prefix (2 of 3 looked at)\n    advice for secret-prefix",
            "likely cause: url (1 of 3 looked at)",
            "\nmethod  1 times",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.find("signature  4") < text.find("method  1"));
    }

    #[test]
    fn what_was_not_kept_says_each_webhooks_clause() {
        let mut example = refusal("not-matched", "");
        example.event_type = "push\u{1b}".to_owned();
        example.verdicts = vec![v1::WebhookVerdict {
            webhook: "to-main".to_owned(),
            reason: "its filter is false".to_owned(),
            ..Default::default()
        }];
        let text = render(&[], &[example], &v1::GroupCounts::default());
        assert!(text.contains("not-matched  push\u{fffd}  1 examples"));
        assert!(text.contains("  to-main: its filter is false"));
    }
}
