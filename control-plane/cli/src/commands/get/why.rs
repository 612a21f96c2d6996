//! Why: each webhook of an event with the clause that decided, and what was not kept.

use hookplane_proto::v1;
use serde_json::{Value, json};

use super::path;
use crate::args::{Format, Status};
use crate::commands::items;
use crate::failure::Failure;
use crate::output::table::Table;
use crate::output::{self, visible};

/// What one webhook made of an event, and what became of it there.
pub(super) struct Decided {
    webhook: String,
    matched: bool,
    reason: String,
    delivery: Option<v1::Delivery>,
}

/// The verdicts of an event with its deliveries.
pub(super) fn of(event: &v1::Event, mut deliveries: Vec<v1::Delivery>) -> Vec<Decided> {
    event
        .verdicts
        .iter()
        .map(|verdict| {
            let at = deliveries
                .iter()
                .position(|delivery| delivery.webhook_uid == verdict.webhook_uid);
            Decided {
                webhook: match verdict.webhook.as_str() {
                    "" => verdict.webhook_uid.clone(),
                    name => name.to_owned(),
                },
                matched: verdict.matched,
                reason: verdict.reason.clone(),
                delivery: at.map(|at| deliveries.swap_remove(at)),
            }
        })
        .collect()
}

impl Decided {
    /// The clause, or where its delivery stands.
    fn why(&self) -> String {
        match &self.delivery {
            Some(delivery) if !delivery.reason.is_empty() => delivery.reason.clone(),
            _ => self.reason.clone(),
        }
    }
}

/// For below the event's own table.
pub(super) fn table(event: &v1::Event, verdicts: &[Decided]) -> String {
    let mut text = String::new();
    for (what, value) in [
        ("It can't be decoded", &event.undecodable_reason),
        ("It repeats event", &event.duplicate_of),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("\n{what}: {}\n", visible(value)));
        }
    }
    if verdicts.is_empty() {
        return text + "\nNo webhook was asked: its group has none but the template.\n";
    }
    let mut table = Table::new(&["WEBHOOK", "MATCHED", "DELIVERY", "ATTEMPTS", "WHY"]);
    for verdict in verdicts {
        let delivery = verdict.delivery.as_ref();
        table.row([
            verdict.webhook.clone(),
            if verdict.matched { "yes" } else { "no" }.to_owned(),
            delivery.map(items::delivery_status).unwrap_or_default(),
            delivery
                .map(|delivery| delivery.attempts.to_string())
                .unwrap_or_default(),
            verdict.why(),
        ]);
    }
    format!("{text}\n{}", table.render())
}

/// Where each webhook's delivery stands, into the event's verdicts.
pub(super) fn add(status: &mut Value, verdicts: &[Decided]) {
    let items = status["verdicts"].as_array_mut().into_iter().flatten();
    for (item, verdict) in items.zip(verdicts) {
        if let Some(delivery) = &verdict.delivery {
            item["delivery"] = json!({
                "id": delivery.id,
                "status": items::delivery_status(delivery),
                "attempts": delivery.attempts,
                "reason": delivery.reason,
            });
        }
    }
}

/// What was genuine and not kept: a row for each webhook that didn't want it.
pub(super) fn not_kept(format: Format, examples: Vec<v1::Refusal>) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "TIME",
        "GROUP",
        "TYPE",
        "DELIVERY ID",
        "CLAUSE",
        "WEBHOOK",
        "REASON",
    ]);
    let mut printed = Vec::new();
    for example in examples {
        let mut row = |webhook: &str, reason: &str| {
            table.row([
                items::time(&example.time).unwrap_or_default(),
                path(&[&example.org, &example.group]),
                example.event_type.clone(),
                example.delivery_id.clone(),
                example.clause.clone(),
                webhook.to_owned(),
                reason.to_owned(),
            ]);
        };
        // What isn't registered is the same for all of them.
        if example.verdicts.is_empty() || example.clause == "not-registered" {
            row("", &example.reason);
        } else {
            for verdict in &example.verdicts {
                row(&verdict.webhook, &verdict.reason);
            }
        }
        printed.push(items::refusal(example));
    }
    output::list(format, &printed, table)
}

/// The wire's word for a status; none means any.
pub(super) fn status(status: Option<Status>) -> v1::DeliveryStatus {
    match status {
        None => v1::DeliveryStatus::Unspecified,
        Some(Status::Pending) => v1::DeliveryStatus::Pending,
        Some(Status::Leased) => v1::DeliveryStatus::Leased,
        Some(Status::Delivered) => v1::DeliveryStatus::Delivered,
        Some(Status::Held) => v1::DeliveryStatus::Held,
        Some(Status::Dead) => v1::DeliveryStatus::Dead,
        Some(Status::Dropped) => v1::DeliveryStatus::Dropped,
    }
}
