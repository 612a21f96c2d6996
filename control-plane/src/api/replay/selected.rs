//! Deliveries put back, oldest first.
//!
//! A list is newest first, and what is put back first is delivered first. So the selection is walked down once, and only where each page begins
//! and ends is remembered; then page by page up again. What joins the selection later within a page is taken along; nothing is taken twice, since a
//! page is walked once and none has what another has.
//!
//! What is for subscribers that its webhook has no more would wait for ever. Of the one webhook that is named it is refused, before anything is put back;
//! of many webhooks it is skipped, as what is of a deleted one.

use std::collections::BTreeSet;

use hookplane_proto::v1;

use super::{Order, drop_if_gone, is_for_nobody, put_back, refused_for_nobody, webhook_of};
use crate::api::status::Problem;
use crate::log::{Cursor, Selection};

/// Deliveries of a page. At a low rate fewer: the last of a page was looked at a few seconds ago at most.
const PAGE: usize = 500;
const PAGE_MIN: usize = 10;
/// Pages remembered, with 16 bytes each.
const MAX_PAGES: usize = 1_000_000;

/// A piece of the line of deliveries.
struct Page {
    /// The first that is newer than it.
    before: Cursor,
    /// Its oldest.
    from: Cursor,
}

pub(super) async fn run(mut order: Order) -> Result<(), Problem> {
    let size = (order.pace.rate as usize).clamp(PAGE_MIN, PAGE);
    let pages = walk_down(&mut order, size).await?;
    if order.dry_run {
        return Ok(());
    }
    for page in pages.iter().rev() {
        for found in within(&order, page, size).await?.chunks(order.pace.step()) {
            let left = order.max.saturating_sub(order.progress.borrow().looked_at);
            let Ok(left) = usize::try_from(left).map(|left| left.min(found.len())) else {
                continue;
            };
            if left == 0 {
                return Ok(());
            }
            let found = &found[..left];
            let there = |delivery: &&v1::Delivery| can_go(&order, delivery);
            let found_there: Vec<_> = found.iter().filter(there).collect();
            let wanted: Vec<_> = found_there
                .iter()
                .map(|delivery| put_back(&order.context, delivery, order.mapping))
                .collect();
            order.pace.take(wanted.len()).await;
            let replayed = order.context.log.replay(&wanted).await?;
            let webhooks: BTreeSet<_> = found_there.iter().map(|one| &one.webhook_uid).collect();
            for uid in webhooks {
                drop_if_gone(&order.context, uid);
            }
            order.progress.send_modify(|so_far| {
                so_far.looked_at += found.len() as u64;
                so_far.replayed += u64::from(replayed);
                so_far.skipped += (found.len() as u64).saturating_sub(replayed.into());
            });
        }
    }
    Ok(())
}

/// Whether there is anybody whom it would be delivered to.
fn can_go(order: &Order, delivery: &v1::Delivery) -> bool {
    let context = &order.context;
    webhook_of(context, delivery).is_some() && !is_for_nobody(context, delivery)
}

/// Counts the selection, as it is now. In a dry run that is all there is to do.
async fn walk_down(order: &mut Order, size: usize) -> Result<Vec<Page>, Problem> {
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let read = read(order, &order.selection, before, size).await?;
        let (Some((newest, _)), Some((oldest, _))) = (read.first(), read.last()) else {
            return Ok(pages);
        };
        if order.dry_run {
            order.looks.take(read.len()).await;
        }
        if order.selection.webhook_uid.is_some() {
            let mut all = read.iter().map(|(_, delivery)| delivery);
            if let Some(one) = all.find(|delivery| is_for_nobody(&order.context, delivery)) {
                return Err(refused_for_nobody(one));
            }
        }
        let gone = read.iter().filter(|(_, delivery)| !can_go(order, delivery));
        let gone = gone.count() as u64;
        order.progress.send_modify(|so_far| {
            so_far.total = (so_far.total + read.len() as u64).min(order.max);
            if order.dry_run {
                let looked_at = so_far.looked_at + read.len() as u64;
                so_far.looked_at = looked_at.min(order.max);
                so_far.skipped = (so_far.skipped + gone).min(so_far.looked_at);
                so_far.replayed = so_far.looked_at - so_far.skipped;
            }
        });
        if pages.len() == MAX_PAGES {
            return Err(Problem::Refused(format!(
                "more than {} deliveries are selected, too many for this rate: raise it, or replay one webhook or one day at a time",
                MAX_PAGES * size
            )));
        }
        pages.push(Page {
            before: Cursor(newest.0.saturating_add(1)),
            from: *oldest,
        });
        if read.len() < size {
            return Ok(pages);
        }
        before = Some(*oldest);
    }
}

/// What is in the page now, oldest first.
async fn within(order: &Order, page: &Page, size: usize) -> Result<Vec<v1::Delivery>, Problem> {
    let mut found = Vec::new();
    let mut before = page.before;
    while before > page.from {
        let read = read(order, &order.selection, Some(before), size).await?;
        let full = read.len() == size;
        let last = read.last().map(|(at, _)| *at);
        found.extend(
            read.into_iter()
                .take_while(|(at, _)| *at >= page.from)
                .map(|(_, delivery)| delivery),
        );
        match last {
            Some(last) if full => before = last,
            _ => break,
        }
    }
    found.reverse();
    Ok(found)
}

async fn read(
    order: &Order,
    selection: &Selection,
    before: Option<Cursor>,
    size: usize,
) -> Result<Vec<(Cursor, v1::Delivery)>, Problem> {
    let log = &order.context.log;
    Ok(log.deliveries(selection, before, size).await?)
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;
    use v1::DeliveryStatus::Held;

    use super::super::Pace;
    use super::*;
    use crate::dispatch::engine::tests::rig::Rig;

    #[tokio::test]
    async fn what_nobody_would_be_given_is_not_put_back() {
        let rig = Rig::new().await;
        rig.webhook("orders", &["http"]).await;
        let of_subscribers = |one: &mut crate::log::NewDelivery| {
            one.destination = String::new();
            one.hold = Some("as the test has it".to_owned());
        };
        let id = rig.event("orders", of_subscribers).await;
        let order = |dry_run| Order {
            context: rig.context.clone(),
            selection: Selection {
                webhook_uid: Some("orders".to_owned()),
                status: Some(Held),
                ..Selection::default()
            },
            mapping: v1::ReplayMapping::Then,
            pace: Pace::new(1_000),
            looks: Pace::new(1_000),
            dry_run,
            max: u64::MAX,
            progress: watch::channel(v1::ReplayResponse::default()).0,
        };
        for dry_run in [true, false] {
            let told = match run(order(dry_run)).await {
                Err(Problem::Refused(told)) => told,
                other => panic!("{other:?}"),
            };
            assert!(told.contains("add `subscribe`"), "{told}");
        }
        let delivery = rig.delivery(&id).await;
        assert_eq!(delivery.status(), Held);
        assert!(is_for_nobody(&rig.context, &delivery));
        // Once there are some again.
        rig.webhook_as("orders", v1::WebhookSpec::default()).await;
        assert!(!is_for_nobody(&rig.context, &delivery));
        assert!(run(order(false)).await.is_ok());
    }
}
