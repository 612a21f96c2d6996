//! Events that were kept before their webhook was there, matched with it as if it had been, oldest first.
//!
//! Read along the tail up to where it was at the start: what comes later was matched when it came.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use hookplane_proto::v1;
use tokio::sync::watch;

use super::{Order, drop_if_gone};
use crate::api::status::Problem;
use crate::api::trial::{Trial, Verdict};
use crate::aside::{self, Here};
use crate::config::GroupRecord;
use crate::context::Context;
use crate::log::{Cursor, LogError, NewDelivery, Reach, Selection, TailItem, words};
use crate::report::later;

/// Events that came alone whose line was read.
const REMEMBERED: usize = 100_000;
/// Lines read at once, bodies and all.
const STEP: usize = 16;

pub(super) async fn run(
    mut order: Order,
    (mut newest, reach): (watch::Receiver<Cursor>, Reach),
) -> Result<(), Problem> {
    let mut fed = Fed::of(&order.context, &order.selection).await?;
    let of_group = Selection {
        webhook_uid: None,
        destination: None,
        text: None,
        ..order.selection.clone()
    };
    let mut after = Cursor::default();
    // Its deliveries follow it on the line.
    let mut seen = Seen::default();
    loop {
        newest.borrow_and_update();
        let log = &order.context.log;
        let (items, next) = log.tail(&of_group, after, false, STEP).await?;
        let moved = next > after;
        after = after.max(next);
        let ends = items.iter().any(|item| item.cursor > reach.last) || after >= reach.last;
        let events = new_events(items, reach.last, &mut seen);
        order.looks.take(events.len()).await;
        fed.renew(&order.context).await?;
        let (context, fed) = (order.context.clone(), fed.clone());
        let selection = order.selection.clone();
        let org = fed.record.org().to_owned();
        let judged = aside::TRIALS.run(&org, move |here| {
            let searched = words::searched(selection.text.as_deref().unwrap_or_default());
            let found = events
                .into_iter()
                .filter(|event| words::are_in(event, &searched));
            let judged = found.map(|event| {
                let deliveries = wanted(here, &context, &fed, &event);
                let deliveries = deliveries.map(|all| to_destination(all, &selection));
                (event.id, deliveries)
            });
            judged.collect::<Vec<_>>()
        });
        for (event_id, wanted) in judged.await? {
            let left = order.max.saturating_sub(order.progress.borrow().replayed);
            if left == 0 {
                return Ok(());
            }
            let made = match wanted {
                Some(mut deliveries) => {
                    deliveries.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    make(&mut order, &event_id, deliveries).await?
                }
                None => 0,
            };
            order.progress.send_modify(|so_far| {
                so_far.looked_at += 1;
                so_far.replayed += made;
                so_far.skipped += u64::from(made == 0);
            });
        }
        if ends {
            return Ok(());
        }
        if !moved && newest.changed().await.is_err() {
            return Err(Problem::Refused("the event log is closed".to_owned()));
        }
    }
}

/// The webhook that is fed, as it is by now.
#[derive(Clone)]
struct Fed {
    record: GroupRecord,
    webhook: Arc<v1::Webhook>,
    trial: Arc<Trial>,
}

impl Fed {
    async fn of(context: &Context, selection: &Selection) -> Result<Self, Problem> {
        let group = selection.group_uid.as_deref().unwrap_or_default();
        let uid = selection.webhook_uid.as_deref().unwrap_or_default();
        let gone = || Problem::Refused("the webhook is gone".to_owned());
        let record = context.view.group(group).ok_or_else(gone)?;
        let is_it =
            |webhook: &&Arc<v1::Webhook>| webhook.metadata.as_ref().is_some_and(|m| m.uid == uid);
        let webhook = record.webhooks.iter().find(is_it).ok_or_else(gone)?.clone();
        let of_task = (context.clone(), record.clone(), Arc::clone(&webhook));
        let trial = aside::TRIALS.run(record.org(), move |here| {
            let (context, record, webhook) = of_task;
            Trial::of(here, &context, &record, &webhook)
        });
        let trial = trial.await??;
        Ok(Self {
            record,
            webhook,
            trial: Arc::new(trial),
        })
    }

    /// After a change of its group: what is made now is made by what holds now.
    async fn renew(&mut self, context: &Context) -> Result<(), Problem> {
        let metadata = self.record.group.metadata.as_ref();
        let group_uid = metadata.map(|metadata| metadata.uid.clone());
        let now = group_uid.as_deref().and_then(|uid| context.view.group(uid));
        if now.is_some_and(|now| now.revision == self.record.revision) {
            return Ok(());
        }
        let of_webhook = Selection {
            group_uid,
            webhook_uid: self.webhook.metadata.as_ref().map(|m| m.uid.clone()),
            ..Selection::default()
        };
        *self = Self::of(context, &of_webhook).await?;
        Ok(())
    }
}

/// Events that came alone and were looked at, as far as remembered.
#[derive(Default)]
struct Seen {
    /// The last one, whatever it came with: its deliveries follow it on the line.
    last: String,
    alone: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// False when it was there. One that is forgotten may be looked at again: what it has is not made twice.
    fn add(&mut self, id: &str) -> bool {
        if !self.alone.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.alone.remove(&oldest);
        }
        true
    }
}

/// Each event once, up to the end: by the line of its first delivery, or, where it came alone, by its own line or that of the first that was added
/// later, whichever is first. A log needn't show the former once there is the latter.
fn new_events(items: Vec<TailItem>, end: Cursor, seen: &mut Seen) -> Vec<v1::Event> {
    let mut events = Vec::new();
    for item in items {
        let event = &item.event;
        let came_alone = event.flags().any(|one| one == v1::EventFlag::Unmatched);
        let is_first = match &item.delivery {
            None => true,
            Some(delivery) => delivery.id == format!("{}-1", event.id),
        };
        if !is_first || item.cursor > end || event.id == seen.last {
            continue;
        }
        if came_alone && !seen.add(&event.id) {
            continue;
        }
        seen.last.clone_from(&event.id);
        events.push(item.event);
    }
    events
}

/// None where the webhook doesn't want it.
fn wanted(
    here: &Here,
    context: &Context,
    fed: &Fed,
    event: &v1::Event,
) -> Option<Vec<NewDelivery>> {
    let hold = match fed.trial.verdict(here, event) {
        Verdict::Unmatched(_) => return None,
        Verdict::Held(reason) => Some(reason),
        Verdict::Matched => None,
    };
    let (key, orders) = (&context.mac_key, context.view.orders());
    Some(later::deliveries(
        here,
        key,
        orders,
        &fed.webhook,
        event,
        hold,
    ))
}

fn to_destination(mut deliveries: Vec<NewDelivery>, selection: &Selection) -> Vec<NewDelivery> {
    if let Some(destination) = &selection.destination {
        deliveries.retain(|delivery| delivery.destination == *destination);
    }
    deliveries
}

/// Says how many it made, or in a dry run would make.
async fn make(
    order: &mut Order,
    event_id: &str,
    mut deliveries: Vec<NewDelivery>,
) -> Result<u64, Problem> {
    if deliveries.is_empty() {
        return Ok(0);
    }
    let log = order.context.log.clone();
    if order.dry_run {
        let of_event = Selection {
            event_id: Some(event_id.to_owned()),
            webhook_uid: order.selection.webhook_uid.clone(),
            ..Selection::default()
        };
        // More than a webhook can have destinations.
        let there = log.deliveries(&of_event, None, 100).await?;
        deliveries.retain(|new| {
            there
                .iter()
                .all(|(_, old)| old.destination != new.destination)
        });
        return Ok(deliveries.len() as u64);
    }
    order.pace.take(deliveries.len()).await;
    let made = match log.add_deliveries(event_id, deliveries).await {
        Ok(made) => made,
        // Retention took it meanwhile.
        Err(LogError::NotFound(_)) => 0,
        Err(error) => return Err(error.into()),
    };
    if let Some(uid) = &order.selection.webhook_uid {
        drop_if_gone(&order.context, uid);
    }
    Ok(made.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_looked_at_by_its_first_line_and_nothing_beyond_the_end() {
        let item = |at, id: &str, delivery: Option<u32>, flags: &[v1::EventFlag]| TailItem {
            cursor: Cursor(at),
            event: v1::Event {
                id: id.to_owned(),
                flags: flags.iter().map(|flag| (*flag).into()).collect(),
                ..Default::default()
            },
            delivery: delivery.map(|n| v1::Delivery {
                id: format!("{id}-{n}"),
                ..Default::default()
            }),
            change: false,
        };
        let unmatched = [v1::EventFlag::Unmatched];
        let mut seen = Seen::default();
        let items = vec![
            item(1, "a", None, &unmatched),
            item(2, "b", Some(1), &[]),
            item(3, "b", Some(2), &[]),
            // Fed later.
            item(4, "a", Some(1), &unmatched),
            item(5, "b", Some(3), &[]),
            // Fed before, by a log that doesn't show the event's own line any more.
            item(6, "d", Some(1), &unmatched),
            item(9, "c", None, &unmatched),
        ];
        let events = new_events(items, Cursor(6), &mut seen);
        let ids: Vec<_> = events.into_iter().map(|event| event.id).collect();
        assert_eq!(ids, ["a", "b", "d"]);
    }
}
