//! An org at a glance: what needs a look, what was refused of late, and all its groups.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use v1::DeliveryStatus;

use super::activity;
use super::groups::Row;
use crate::chart::Chart;
use crate::moment::Moment;
use crate::page::{Page, Visitor, html};
use crate::problem::Problem;
use crate::weight;

/// Groups on one page.
const ROWS: u32 = 50;
/// Deliveries are counted so far.
const COUNTED: u32 = 100;
/// Webhooks that they are told of.
const STUCK: usize = 15;
/// Refusals shown.
const REFUSALS: u32 = 5;
/// Of a reason.
const REASON: usize = 400;

/// Deliveries of one webhook that nobody gets unless somebody does something.
struct Stuck {
    group: String,
    webhook: String,
    count: usize,
    reason: String,
}

struct Look {
    /// As the address of deliveries has it.
    status: &'static str,
    what: &'static str,
    advice: &'static str,
    /// There are more than were counted.
    more: bool,
    webhooks: Vec<Stuck>,
    /// Webhooks that aren't named here.
    others: usize,
}

struct Refused {
    time: Option<Moment>,
    group: String,
    clause: String,
    reason: String,
    advice: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    page: Page,
    /// What people call the org.
    title: String,
    looks: Vec<Look>,
    /// None: of a search, or further down the list.
    chart: Option<Chart>,
    refusals: Vec<Refused>,
    text: String,
    /// Not the first page, or one of a search.
    is_part: bool,
    groups: Vec<Row>,
    next: String,
}

pub(super) async fn show(visitor: Visitor, Path(org): Path<String>) -> Result<Response, Problem> {
    let (text, page) = (visitor.query.text("q"), visitor.query.text("page"));
    let request = v1::ListWebhookGroupsRequest {
        parent: format!("orgs/{org}"),
        page_size: ROWS,
        page_token: page.to_owned(),
        text: text.to_owned(),
        ..Default::default()
    };
    let groups = visitor.api.groups().list_webhook_groups(request).await?;
    let groups = groups.into_inner();
    let request = v1::GetOrgRequest {
        name: format!("orgs/{org}"),
    };
    let spec = visitor.api.orgs().get_org(request).await?.into_inner().spec;
    let title = match spec.unwrap_or_default().display_name {
        name if name.is_empty() => org.clone(),
        name => name,
    };
    let mut looks = Vec::new();
    for (status, word, what, advice) in [
        (
            DeliveryStatus::Dead,
            "dead",
            "Dead",
            "Their attempts ended. Mend the destination, then replay them.",
        ),
        (
            DeliveryStatus::Held,
            "held",
            "Held",
            "A filter or mapping found no way. Mend it, then replay them.",
        ),
        (
            DeliveryStatus::Pending,
            "pending",
            "Failing",
            "They are tried again by themselves. Here is what their destinations answer.",
        ),
    ] {
        let (mut webhooks, more) = stuck(&visitor, &org, status).await?;
        let others = webhooks.len().saturating_sub(STUCK);
        webhooks.truncate(STUCK);
        if !webhooks.is_empty() {
            looks.push(Look {
                status: word,
                what,
                advice,
                more,
                others,
                webhooks,
            });
        }
    }
    let is_part = !text.is_empty() || !page.is_empty();
    let chart = match is_part {
        true => None,
        false => Some(
            activity::chart(
                &visitor,
                format!("orgs/{org}"),
                &format!("The last day of {title}"),
            )
            .await?,
        ),
    };
    html(&Overview {
        page: visitor.page(title.clone(), &org),
        title,
        looks,
        chart,
        refusals: refusals(&visitor, &org).await?,
        text: text.to_owned(),
        is_part,
        groups: groups.webhook_groups.into_iter().map(Row::of).collect(),
        next: groups.next_page_token,
    })
}

/// By webhook, those with the newest first; and whether there are more than were counted.
async fn stuck(
    visitor: &Visitor,
    org: &str,
    status: DeliveryStatus,
) -> Result<(Vec<Stuck>, bool), Problem> {
    let request = v1::ListDeliveriesRequest {
        parent: format!("orgs/{org}"),
        page_size: COUNTED,
        status: status.into(),
        ..Default::default()
    };
    let answer = visitor.api.events().list_deliveries(request).await?;
    let answer = answer.into_inner();
    Ok((
        by_webhook(answer.deliveries),
        !answer.next_page_token.is_empty(),
    ))
}

fn by_webhook(deliveries: Vec<v1::Delivery>) -> Vec<Stuck> {
    let mut found: Vec<Stuck> = Vec::new();
    // What is pending and was never tried is only new.
    let is_stuck = |one: &v1::Delivery| one.status() != DeliveryStatus::Pending || one.attempts > 0;
    for delivery in deliveries.into_iter().filter(is_stuck) {
        let same =
            |stuck: &&mut Stuck| stuck.group == delivery.group && stuck.webhook == delivery.webhook;
        match found.iter_mut().find(same) {
            Some(stuck) => stuck.count += 1,
            None => found.push(Stuck {
                group: delivery.group,
                webhook: delivery.webhook,
                count: 1,
                reason: weight::cut(&delivery.reason, REASON),
            }),
        }
    }
    found
}

async fn refusals(visitor: &Visitor, org: &str) -> Result<Vec<Refused>, Problem> {
    let request = v1::ListRefusalsRequest {
        parent: format!("orgs/{org}"),
        page_size: REFUSALS,
        not_kept: false,
    };
    let answer = visitor.api.events().list_refusals(request).await?;
    let refusals = answer.into_inner().refusals.into_iter();
    Ok(refusals
        .map(|refusal| Refused {
            time: Moment::of(refusal.time.as_ref()),
            group: refusal.group,
            clause: refusal.clause,
            reason: weight::cut(&refusal.reason, REASON),
            advice: weight::cut(&refusal.advice, REASON),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stuck_is_told_by_webhook_with_the_newest_reason() {
        let delivery = |group: &str, webhook: &str, reason: &str| v1::Delivery {
            group: group.to_owned(),
            webhook: webhook.to_owned(),
            reason: reason.to_owned(),
            ..Default::default()
        };
        let found = by_webhook(vec![
            delivery("shop", "paid", "new"),
            delivery("code", "paid", "other"),
            delivery("shop", "paid", "old"),
        ]);
        let told: Vec<_> = found
            .iter()
            .map(|s| {
                (
                    s.group.as_str(),
                    s.webhook.as_str(),
                    s.count,
                    s.reason.as_str(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [("shop", "paid", 2, "new"), ("code", "paid", 1, "other")]
        );
    }

    #[test]
    fn what_is_pending_is_stuck_once_it_was_tried() {
        let pending = |webhook: &str, attempts| v1::Delivery {
            webhook: webhook.to_owned(),
            status: DeliveryStatus::Pending.into(),
            attempts,
            ..Default::default()
        };
        let found = by_webhook(vec![pending("new", 0), pending("failing", 1)]);
        let found: Vec<_> = found.iter().map(|one| one.webhook.as_str()).collect();
        assert_eq!(found, ["failing"]);
    }
}
