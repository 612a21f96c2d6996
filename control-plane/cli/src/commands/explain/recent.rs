//! What listeners refused or left out lately, by cause.

use std::collections::BTreeMap;
use std::fmt::Display;

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
        "refused: {}, of which {} {} remembered\n",
        counts.refused.max(refused.len() as u64),
        refused.len(),
        if refused.len() == 1 { "is" } else { "are" },
    );
    for (clause, all) in by(refused, |refusal| refusal.clause.clone()) {
        let Some(last) = all.first() else { continue };
        text.push_str(&format!(
            "\n{clause}  {}, last {} from {}\n",
            counted(all.len(), "time"),
            items::time(&last.time).unwrap_or_default(),
            visible(&last.remote_address),
        ));
        let some_looked_at = all.iter().any(|one| !one.cause.is_empty());
        // A cause stands below the reason of a request that has it.
        let told = |refusal: &v1::Refusal| (refusal.cause.clone(), refusal.advice.clone());
        for ((cause, _), found) in by(all, told) {
            let Some(last) = found.first() else { continue };
            text.push_str(&format!("  {}\n", visible(&last.reason)));
            if !cause.is_empty() {
                text.push_str(&format!(
                    "    likely cause: {} ({})\n      {}\n",
                    visible(&cause),
                    counted(found.len(), "time"),
                    visible(&last.advice),
                ));
            } else if some_looked_at {
                text.push_str(&format!("    {} not looked at\n", found.len()));
            }
        }
    }
    let left_out = counts.not_registered + counts.not_matched + counts.duplicates;
    text.push_str(&format!(
        "\ngenuine and not kept: {} not registered, {} wanted by no webhook, {}\n",
        counts.not_registered,
        counts.not_matched,
        counted(counts.duplicates, "repeat"),
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
            "\n{kind}  {}, last {}\n  {}\n",
            counted(all.len(), "example"),
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

fn counted<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let ending = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{ending}")
}

/// The frequent first; those of one kind stay in their order.
fn by<'a, K: Ord>(
    all: impl IntoIterator<Item = &'a v1::Refusal>,
    key: impl Fn(&v1::Refusal) -> K,
) -> Vec<(K, Vec<&'a v1::Refusal>)> {
    let mut kinds: BTreeMap<K, Vec<&v1::Refusal>> = BTreeMap::new();
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
    fn a_cause_stands_below_the_reason_of_a_request_that_has_it() {
        let of = |cause: &str, reason: &str| v1::Refusal {
            reason: reason.to_owned(),
            ..refusal("signature", cause)
        };
        let refused = [
            refusal("method", ""),
            of("", "not yet"),
            of("url", "another URL"),
            of("secret-prefix", "the newest with it"),
            of("secret-prefix", "an older one"),
        ];
        let counts = v1::GroupCounts {
            refused: 70,
            duplicates: 1,
            ..Default::default()
        };
        let text = render(&refused, &[], &counts);
        for part in [
            "refused: 70, of which 5 are remembered",
            "\nsignature  4 times",
            "  the newest with it\n    likely cause: secret-prefix (2 times)\n      advice for secret-prefix\n",
            "  another URL\n    likely cause: url (1 time)\n",
            "  not yet\n    1 not looked at\n",
            "\nmethod  1 time,",
            "1 repeat\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.find("signature  4") < text.find("method  1"));
        assert!(text.ends_with("  reason of method\n\ngenuine and not kept: 0 not registered, 0 wanted by no webhook, 1 repeat\n"), "{text}");
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
        assert!(text.contains("not-matched  push\u{fffd}  1 example,"));
        assert!(text.contains("  to-main: its filter is false"));
    }
}
