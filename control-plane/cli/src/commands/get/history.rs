//! Deliveries, and of a single one each attempt.

use hookplane_proto::v1;

use super::{path, show};
use crate::args::Format;
use crate::commands::items;
use crate::failure::Failure;
use crate::output::table::Table;
use crate::output::{visible, word};

/// Of an answer's beginning, in characters, in a table.
const SHOWN_EXCERPT: usize = 200;

/// Shows them, and this below their table.
pub(super) fn deliveries(
    format: Format,
    found: Vec<v1::Delivery>,
    below: &str,
) -> Result<(), Failure> {
    // An id begins with its event's.
    let mut table = Table::new(&[
        "ID",
        "WEBHOOK",
        "DESTINATION",
        "TYPE",
        "STATUS",
        "ATTEMPTS",
        "REASON",
    ]);
    table.after(below);
    show(
        format,
        found,
        |delivery| (items::delivery(delivery.clone()), delivery),
        table,
        |(_, delivery)| {
            vec![
                delivery.id.clone(),
                path(&[&delivery.org, &delivery.group, &delivery.webhook]),
                delivery.destination.clone(),
                delivery.event_type.clone(),
                items::delivery_status(delivery),
                delivery.attempts.to_string(),
                delivery.reason.clone(),
            ]
        },
    )
}

/// Below the table of a single one. `waits` is what it waits for.
pub(super) fn about(delivery: &v1::Delivery, waits: &[String]) -> String {
    let mut text = String::from("\n");
    let mut say = |what: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{what}: {}\n", visible(value)));
        }
    };
    say("event", &delivery.event_id);
    say("idempotency key", &delivery.idempotency_key);
    if delivery.mapping_version > 0 {
        say("mapping version", &delivery.mapping_version.to_string());
    }
    say("goes after earlier ones of", &delivery.order_key);
    for reason in waits {
        say("waits", reason);
    }
    text + &attempts(&delivery.history)
}

/// Each attempt that is remembered, the oldest first.
pub(super) fn attempts(history: &[v1::Attempt]) -> String {
    if history.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        "ATTEMPT", "STARTED", "OUTCOME", "STATUS", "LATENCY", "MAPPING", "REASON",
    ]);
    let or_none = |number: u32| match number {
        0 => String::new(),
        number => number.to_string(),
    };
    for attempt in history {
        let latency = match attempt.latency_milliseconds {
            0 => String::new(),
            milliseconds => format!("{milliseconds} ms"),
        };
        let excerpt: String = attempt.excerpt.chars().take(SHOWN_EXCERPT).collect();
        let reason = match (attempt.reason.as_str(), excerpt.as_str()) {
            (reason, "") => reason.to_owned(),
            ("", excerpt) => format!("it said: {excerpt}"),
            (reason, excerpt) => format!("{reason}; it said: {excerpt}"),
        };
        table.row([
            attempt.number.to_string(),
            items::time(&attempt.start_time).unwrap_or_default(),
            outcome(attempt),
            or_none(attempt.status),
            latency,
            or_none(attempt.mapping_version),
            reason,
        ]);
    }
    format!("\n{}", table.render())
}

/// In a word or two.
pub(super) fn outcome(attempt: &v1::Attempt) -> String {
    word(attempt.outcome().as_str_name(), "ATTEMPT_OUTCOME_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_is_told_with_what_was_answered() {
        let history = [
            v1::Attempt {
                number: 1,
                outcome: v1::AttemptOutcome::Retry.into(),
                status: 503,
                latency_milliseconds: 12,
                reason: "it answered 503".into(),
                excerpt: "try\u{1b}[2J later".into(),
                ..Default::default()
            },
            v1::Attempt {
                number: 2,
                outcome: v1::AttemptOutcome::GaveUp.into(),
                reason: "no answer".into(),
                ..Default::default()
            },
        ];
        let text = attempts(&history);
        assert!(text.contains("503      12 ms"), "{text}");
        assert!(text.contains("it answered 503; it said: try"), "{text}");
        assert!(text.contains("gave-up"), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(attempts(&[]), "");
    }
}
