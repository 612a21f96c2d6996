//! An org at a glance: what needs a look, what was refused of late, and all its groups.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use v1::DeliveryStatus;

use super::activity::{self, known};
use super::groups::Row;
use super::waits::{self, Wait};
use super::webhooks::State;
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

/// What is delivered is so within moments: what is pending for longer than this is told.
const LATE_SECONDS: i64 = 15 * 60;
/// The same, as the address of deliveries has it.
const LATE: &str = "15m";

/// Deliveries of one webhook that nobody gets unless somebody does something.
struct Stuck {
    group: String,
    webhook: String,
    count: usize,
    reason: String,
    /// Of those that are pending.
    wait: Option<Wait>,
    /// When the oldest of those that were counted was made.
    oldest: Option<Moment>,
}

struct Look {
    status: &'static str,
    /// As the address of deliveries has it.
    query: String,
    what: &'static str,
    advice: &'static str,
    /// There are more than were counted.
    more: bool,
    webhooks: Vec<Stuck>,
    /// Webhooks that aren't named here.
    others: usize,
}

/// A destination that nothing gets through to.
struct Trouble {
    /// Its own page, or that of the webhook whose own it is.
    path: String,
    name: String,
    state: State,
    reason: String,
    since: Option<Moment>,
    retry: Option<Moment>,
}

impl Trouble {
    fn of(trouble: v1::Trouble) -> Self {
        let status = trouble.status.unwrap_or_default();
        let mut parts = trouble.name.split('/').skip(3);
        let (first, webhook) = (parts.next().unwrap_or_default(), parts.nth(1));
        Self {
            path: format!("/{}", trouble.name),
            name: match webhook {
                None => first.to_owned(),
                Some(webhook) => format!("{first}/{webhook}, {}", trouble.destination),
            },
            state: State(status.state()),
            reason: weight::cut(&status.reason, REASON),
            since: Moment::of(status.since.as_ref()),
            retry: Moment::of(status.retry_time.as_ref()),
        }
    }
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
    troubles: Vec<Trouble>,
    more_troubles: usize,
    /// Without it nothing is known of what came.
    log_answers: bool,
    looks: Vec<Look>,
    /// None: of a search, or further down the list; or not known now.
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
    let mut log_answers = true;
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
            "Waiting",
            "Nobody took these for more than a quarter of an hour. They are not lost.",
        ),
    ] {
        let (until, query) = match status {
            DeliveryStatus::Pending => (
                Some((visitor.console.now)() - LATE_SECONDS),
                format!("status={word}&until={LATE}"),
            ),
            _ => (None, format!("status={word}")),
        };
        let Some((mut webhooks, more)) = stuck(&visitor, &org, status, until).await? else {
            log_answers = false;
            break;
        };
        let others = webhooks.len().saturating_sub(STUCK);
        webhooks.truncate(STUCK);
        if !webhooks.is_empty() {
            looks.push(Look {
                status: word,
                query,
                what,
                advice,
                more,
                others,
                webhooks,
            });
        }
    }
    let is_part = !text.is_empty() || !page.is_empty();
    let chart = match is_part || !log_answers {
        true => None,
        false => {
            let title = format!("The last day of {title}");
            activity::chart(&visitor, format!("orgs/{org}"), &title).await?
        }
    };
    let refusals = match log_answers {
        true => refusals(&visitor, &org).await?,
        false => None,
    };
    let (troubles, more_troubles) = troubles(&visitor, &org).await?;
    html(&Overview {
        page: visitor.page(title.clone(), &org),
        title,
        troubles,
        more_troubles,
        log_answers: log_answers && refusals.is_some(),
        looks,
        chart,
        refusals: refusals.unwrap_or_default(),
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
    until: Option<i64>,
) -> Result<Option<(Vec<Stuck>, bool)>, Problem> {
    let request = v1::ListDeliveriesRequest {
        parent: format!("orgs/{org}"),
        page_size: COUNTED,
        status: status.into(),
        until: until.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }),
        ..Default::default()
    };
    let Some(answer) = known(visitor.api.events().list_deliveries(request)).await? else {
        return Ok(None);
    };
    let answer = answer.into_inner();
    let more = !answer.next_page_token.is_empty();
    let mut found = by_webhook(&answer.deliveries);
    let firsts: Vec<v1::Delivery> = found.iter().map(|(_, first)| (*first).clone()).collect();
    let waits = waits::of_all(visitor, &firsts).await?;
    for ((stuck, _), wait) in found.iter_mut().zip(waits) {
        stuck.wait = wait;
    }
    let found = found.into_iter().map(|(stuck, _)| stuck).collect();
    Ok(Some((found, more)))
}

/// Each with the newest of its deliveries.
fn by_webhook(deliveries: &[v1::Delivery]) -> Vec<(Stuck, &v1::Delivery)> {
    let mut found: Vec<(Stuck, &v1::Delivery)> = Vec::new();
    for delivery in deliveries {
        let made = Moment::of(delivery.create_time.as_ref());
        let mut same = found
            .iter_mut()
            .map(|(stuck, _)| stuck)
            .filter(|stuck| stuck.group == delivery.group && stuck.webhook == delivery.webhook);
        if let Some(stuck) = same.next() {
            stuck.count += 1;
            stuck.oldest = made;
            continue;
        }
        let stuck = Stuck {
            group: delivery.group.clone(),
            webhook: delivery.webhook.clone(),
            count: 1,
            reason: weight::cut(&delivery.reason, REASON),
            wait: None,
            oldest: made,
        };
        found.push((stuck, delivery));
    }
    found
}

async fn refusals(visitor: &Visitor, org: &str) -> Result<Option<Vec<Refused>>, Problem> {
    let request = v1::ListRefusalsRequest {
        parent: format!("orgs/{org}"),
        page_size: REFUSALS,
        not_kept: false,
    };
    let answer = known(visitor.api.events().list_refusals(request)).await?;
    let refused = |refusal: v1::Refusal| Refused {
        time: Moment::of(refusal.time.as_ref()),
        group: refusal.group,
        clause: refusal.clause,
        reason: weight::cut(&refusal.reason, REASON),
        advice: weight::cut(&refusal.advice, REASON),
    };
    Ok(answer.map(|answer| {
        answer
            .into_inner()
            .refusals
            .into_iter()
            .map(refused)
            .collect()
    }))
}

/// Destinations that nothing gets through to, and how many more there are.
async fn troubles(visitor: &Visitor, org: &str) -> Result<(Vec<Trouble>, usize), Problem> {
    let request = v1::ListTroublesRequest {
        parent: format!("orgs/{org}"),
    };
    let answer = visitor.api.destinations().list_troubles(request).await?;
    let answer = answer.into_inner();
    let all = answer.troubles.into_iter();
    let shown: Vec<Trouble> = all.take(STUCK).map(Trouble::of).collect();
    let more = (answer.total as usize).saturating_sub(shown.len());
    Ok((shown, more))
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
        let deliveries = [
            delivery("shop", "paid", "new"),
            delivery("code", "paid", "other"),
            delivery("shop", "paid", "old"),
        ];
        let told: Vec<_> = by_webhook(&deliveries);
        let told: Vec<_> = told
            .iter()
            .map(|(s, _)| {
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
    fn a_trouble_leads_to_the_page_where_it_can_be_mended() {
        let of = |name: &str, destination: &str| {
            let trouble = Trouble::of(v1::Trouble {
                name: name.to_owned(),
                destination: destination.to_owned(),
                status: None,
            });
            (trouble.path, trouble.name)
        };
        let (path, name) = of("orgs/acme/destinations/crm", "");
        assert_eq!((&*path, &*name), ("/orgs/acme/destinations/crm", "crm"));
        let (path, name) = of("orgs/acme/groups/shop/webhooks/paid", "http");
        assert_eq!(path, "/orgs/acme/groups/shop/webhooks/paid");
        assert_eq!(name, "shop/paid, http");
    }
}
