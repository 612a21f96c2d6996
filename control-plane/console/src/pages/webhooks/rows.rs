//! A group's webhooks, page by page, or those that are searched for.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;

use super::{Row, TEMPLATE};
use crate::page::{Page, Visitor, html};
use crate::problem::Problem;
use crate::weight;

/// On a page: of some 1,500 bytes each.
const PAGE: u32 = 50;
/// A search of a group's webhooks looks through so many pages of the API's, of 1,000 each at most.
const SEARCHED: usize = 5;
const SEARCHED_PAGE: u32 = 1_000;
/// Of what is searched for.
const MAX_FIND: usize = 200;

/// For `webhook_rows.html`, which a group's page includes under the name `webhooks`.
pub(in crate::pages) struct Rows {
    pub(in crate::pages) org: String,
    pub(in crate::pages) group: String,
    pub(in crate::pages) rows: Vec<Row>,
    /// A page of rows is not all.
    pub(in crate::pages) next: Option<String>,
    /// Not the first page.
    pub(in crate::pages) later: bool,
    /// What is searched for, in names, labels and events.
    pub(in crate::pages) find: String,
    /// Found besides those that are shown.
    pub(in crate::pages) more: usize,
    /// There are more webhooks than were looked through.
    pub(in crate::pages) unsearched: bool,
}

impl Rows {
    /// Where all of them are seen there is nothing to search.
    pub(in crate::pages) fn is_searched(&self) -> bool {
        self.later || self.next.is_some() || !self.find.is_empty()
    }
}

/// A group's webhooks, the template apart; or those that the address searches for.
pub(in crate::pages) async fn rows(
    visitor: &Visitor,
    org: &str,
    group: &str,
) -> Result<Rows, Problem> {
    let find = weight::cut(visitor.query.text("find"), MAX_FIND);
    if !find.is_empty() {
        return found(visitor, org, group, find).await;
    }
    let request = v1::ListWebhooksRequest {
        parent: format!("orgs/{org}/groups/{group}"),
        page_size: PAGE,
        page_token: visitor.query.text("webhooks").to_owned(),
    };
    let answer = visitor.api.webhooks().list_webhooks(request).await?;
    let answer = answer.into_inner();
    let rows = answer.webhooks.into_iter().map(Row::of);
    Ok(Rows {
        org: org.to_owned(),
        group: group.to_owned(),
        rows: rows.filter(|row| row.name != TEMPLATE).collect(),
        next: Some(answer.next_page_token).filter(|next| !next.is_empty()),
        later: !visitor.query.text("webhooks").is_empty(),
        find,
        more: 0,
        unsearched: false,
    })
}

/// The API searches no webhooks, so they are looked through here, up to a number.
async fn found(visitor: &Visitor, org: &str, group: &str, find: String) -> Result<Rows, Problem> {
    let mut rows = Vec::new();
    let mut more = 0;
    let mut page_token = String::new();
    for _ in 0..SEARCHED {
        let request = v1::ListWebhooksRequest {
            parent: format!("orgs/{org}/groups/{group}"),
            page_size: SEARCHED_PAGE,
            page_token,
        };
        let answer = visitor.api.webhooks().list_webhooks(request).await?;
        let answer = answer.into_inner();
        for webhook in answer.webhooks {
            match has(&webhook, &find) {
                true if rows.len() < PAGE as usize => rows.push(Row::of(webhook)),
                true => more += 1,
                false => {}
            }
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(Rows {
        org: org.to_owned(),
        group: group.to_owned(),
        rows,
        next: None,
        later: false,
        find,
        more,
        unsearched: !page_token.is_empty(),
    })
}

/// All the words are in its name, its label or its events. The template is none of those that are looked for.
fn has(webhook: &v1::Webhook, find: &str) -> bool {
    let name = webhook.metadata.as_ref().map_or("", |of| of.name.as_str());
    let spec = webhook.spec.as_ref();
    let mut text = name.to_lowercase();
    if let Some(spec) = spec {
        for part in spec.events.iter().chain([&spec.label]) {
            text.push(' ');
            text.push_str(&part.to_lowercase());
        }
    }
    let mut words = find.split_whitespace().map(str::to_lowercase);
    name != TEMPLATE && words.all(|word| text.contains(&word))
}

/// The rows as a page of their own, for links that lead to the webhooks alone.
#[derive(Template)]
#[template(path = "webhooks.html")]
struct List {
    page: Page,
    webhooks: Rows,
}

pub(in crate::pages) async fn list(
    visitor: Visitor,
    Path((org, group)): Path<(String, String)>,
) -> Result<Response, Problem> {
    html(&List {
        webhooks: rows(&visitor, &org, &group).await?,
        page: visitor.page("Webhooks", &org),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(name: &str, label: &str, event: &str) -> v1::Webhook {
        v1::Webhook {
            metadata: Some(v1::Metadata {
                name: name.to_owned(),
                ..Default::default()
            }),
            spec: Some(v1::WebhookSpec {
                label: label.to_owned(),
                events: vec![event.to_owned()],
                ..Default::default()
            }),
            status: None,
        }
    }

    #[test]
    fn a_webhook_is_found_by_words_of_its_name_label_and_events() {
        let paid = webhook("order-paid", "Paid orders (EU)", "orders/paid");
        for find in ["order-p", "eu PAID", "orders/paid"] {
            assert!(has(&paid, find), "{find}");
        }
        assert!(!has(&paid, "paid us"));
        assert!(!has(&webhook(TEMPLATE, "", ""), "temp"));
    }

    #[tokio::test]
    async fn a_search_goes_through_the_pages_of_the_api_up_to_a_number() {
        let rig = crate::rig::Rig::new();
        let page = v1::ListWebhooksResponse {
            webhooks: (0..30)
                .map(|n| webhook(&format!("w-{n}"), "Late", "a"))
                .collect(),
            next_page_token: "on".to_owned(),
        };
        rig.says("ListWebhooks", &page);
        let cookie = rig.signed_in("of-an-admin").await;
        let at = "/orgs/acme/groups/code/webhooks";
        let page = rig.get(&format!("{at}?find=late"), &cookie).await.text;
        assert_eq!(page.matches("<tr>").count(), 1 + PAGE as usize, "{page}");
        assert!(page.contains("100 more have it"), "{page}");
        assert!(page.contains("aren't looked through"), "{page}");
        let page = rig.get(&format!("{at}?find=none"), &cookie).await.text;
        assert!(page.contains("No webhook has"), "{page}");
    }
}
