//! Why: each webhook of an event with the clause that decided, and what was not kept.

use hookplane_proto::v1;
use serde_json::{Value, json};

use super::{history, path};
use crate::args::{Format, Status};
use crate::commands::items;
use crate::failure::Failure;
use crate::output::table::Table;
use crate::output::{self, visible};

/// Of a delivery that wasn't made when its event came.
const LATER: &str = "matched later, by a replay";

/// What one webhook made of an event, and what became of it there.
pub(super) struct Decided {
    webhook: String,
    matched: bool,
    reason: String,
    /// One for each of its destinations.
    deliveries: Vec<v1::Delivery>,
}

/// The verdicts of an event with its deliveries.
pub(super) fn of(event: &v1::Event, deliveries: Vec<v1::Delivery>) -> Vec<Decided> {
    let decided = |verdict: &v1::WebhookVerdict| Decided {
        webhook: match verdict.webhook.as_str() {
            "" => verdict.webhook_uid.clone(),
            name => name.to_owned(),
        },
        matched: verdict.matched,
        reason: verdict.reason.clone(),
        deliveries: of_webhook(&deliveries, &verdict.webhook_uid),
    };
    let mut all: Vec<Decided> = event.verdicts.iter().map(decided).collect();
    // Webhooks that were fed with it later.
    for delivery in &deliveries {
        let of = &delivery.webhook_uid;
        let known = event.verdicts.iter().any(|one| one.webhook_uid == *of)
            || all.iter().any(|one| one.has(of));
        if !known {
            all.push(Decided {
                webhook: delivery.webhook.clone(),
                matched: true,
                reason: LATER.to_owned(),
                deliveries: of_webhook(&deliveries, of),
            });
        }
    }
    all
}

fn of_webhook(deliveries: &[v1::Delivery], uid: &str) -> Vec<v1::Delivery> {
    let of = deliveries.iter().filter(|one| one.webhook_uid == uid);
    let mut of: Vec<_> = of.cloned().collect();
    // In the order they were made.
    of.reverse();
    of
}

impl Decided {
    fn has(&self, webhook_uid: &str) -> bool {
        self.deliveries
            .iter()
            .any(|delivery| delivery.webhook_uid == webhook_uid)
    }

    /// The clause, or where a delivery stands.
    fn why<'a>(&'a self, delivery: Option<&'a v1::Delivery>) -> &'a str {
        match delivery {
            Some(delivery) if !delivery.reason.is_empty() => &delivery.reason,
            Some(_) if !self.matched => LATER,
            _ => &self.reason,
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
    let mut table = Table::new(&[
        "WEBHOOK",
        "MATCHED",
        "DESTINATION",
        "DELIVERY",
        "ATTEMPTS",
        "WHY",
    ]);
    for verdict in verdicts {
        let mut row = |delivery: Option<&v1::Delivery>| {
            table.row([
                verdict.webhook.clone(),
                if verdict.matched { "yes" } else { "no" }.to_owned(),
                delivery
                    .map(|one| one.destination.clone())
                    .unwrap_or_default(),
                delivery.map(items::delivery_status).unwrap_or_default(),
                delivery
                    .map(|one| one.attempts.to_string())
                    .unwrap_or_default(),
                verdict.why(delivery).to_owned(),
            ]);
        };
        if verdict.deliveries.is_empty() {
            row(None);
        }
        for delivery in &verdict.deliveries {
            row(Some(delivery));
        }
    }
    let mut text = format!("{text}\n{}", table.render());
    let of_all = verdicts.iter().flat_map(|verdict| &verdict.deliveries);
    for delivery in of_all.filter(|delivery| !delivery.history.is_empty()) {
        let id = visible(&delivery.id);
        text.push_str(&format!(
            "\nAttempts of {id}, to {}:{}",
            visible(&delivery.destination),
            history::attempts(&delivery.history)
        ));
    }
    text
}

/// Where each webhook's deliveries stand, into the event's verdicts.
pub(super) fn add(status: &mut Value, verdicts: &[Decided]) {
    let Some(items) = status["verdicts"].as_array_mut() else {
        return;
    };
    for (at, verdict) in verdicts.iter().enumerate() {
        if at == items.len() {
            items.push(json!({
                "webhook": verdict.webhook,
                "matched": verdict.matched,
                "reason": verdict.reason,
            }));
        }
        let deliveries: Vec<Value> = verdict
            .deliveries
            .iter()
            .map(|delivery| {
                json!({
                    "id": delivery.id,
                    "destination": delivery.destination,
                    "status": items::delivery_status(delivery),
                    "attempts": delivery.attempts,
                    "reason": delivery.reason,
                    "history": items::history(delivery),
                })
            })
            .collect();
        if let Some(first) = deliveries.first() {
            items[at]["delivery"] = first.clone();
            items[at]["deliveries"] = deliveries.into();
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
pub(crate) fn status(status: Option<Status>) -> v1::DeliveryStatus {
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
