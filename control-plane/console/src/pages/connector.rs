//! A connector: what it is, how sure we are of it, and the org's groups of each of its functions. The first time there is nothing to look at, and the
//! page leads to the form.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;

use super::connectors::Confidence;
use super::groups::{Row, definition};
use super::inbound::{self, Inbound};
use crate::page::{Page, Visitor, html, to};
use crate::problem::Problem;
use crate::weight;

/// Groups on one page, of some 1,600 bytes each: of all functions together, and of each at least one.
const ROWS: u32 = 50;
/// Of a function's description, and of the connector's: there may be many.
const ABOUT: usize = 600;

struct Function {
    name: String,
    title: String,
    description: String,
    unsupported: String,
    events: usize,
    open_events: bool,
    groups: Vec<Row>,
    next: String,
}

#[derive(Template)]
#[template(path = "connector.html")]
struct Connector {
    page: Page,
    id: String,
    name: String,
    description: String,
    is_own: bool,
    confidence: Confidence,
    sources: Vec<String>,
    limitations: Vec<String>,
    functions: Vec<Function>,
    /// One function's, further on.
    is_part: bool,
    inbound: Inbound,
}

impl Connector {
    /// No group of any of its functions yet.
    fn is_unused(&self) -> bool {
        self.functions
            .iter()
            .all(|function| function.groups.is_empty())
    }
}

pub(super) async fn show(
    visitor: Visitor,
    Path((org, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let connector = definition(&visitor, &org, &id).await?;
    let metadata = connector.metadata.unwrap_or_default();
    let spec = connector.spec.unwrap_or_default();
    let confidence = Confidence::of(&spec);
    let (of, page) = (visitor.query.text("function"), visitor.query.text("page"));
    let mut functions = Vec::new();
    // With one of many that is paged through, the page is that one's.
    let (mut all, alone) = (spec.functions, !page.is_empty());
    all.retain(|function| !alone || function.name == of);
    let each = ROWS / u32::try_from(all.len()).unwrap_or(ROWS).max(1);
    for function in all {
        let request = v1::ListWebhookGroupsRequest {
            parent: format!("orgs/{org}"),
            page_size: each.max(1),
            page_token: match function.name == of {
                true => page.to_owned(),
                false => String::new(),
            },
            connector: id.clone(),
            function: function.name.clone(),
            text: String::new(),
        };
        let answer = visitor.api.groups().list_webhook_groups(request).await?;
        let answer = answer.into_inner();
        functions.push(Function {
            name: function.name,
            title: function.display_name,
            description: weight::cut(&function.description, ABOUT),
            unsupported: function.unsupported,
            events: function.events.len(),
            open_events: function.open_events,
            groups: answer.webhook_groups.into_iter().map(Row::of).collect(),
            next: answer.next_page_token,
        });
    }
    let asked_for = !visitor.query.text("all").is_empty() || !page.is_empty();
    if visitor.who.edits()
        && !asked_for
        && let Some(function) = only(&functions)
    {
        let form = format!(
            "/orgs/{org}/groups/new?connector={id}&function={}",
            function.name
        );
        return Ok(to(&form));
    }
    let groups = functions.iter().flat_map(|function| &function.groups);
    let groups = groups.map(|group| group.name.as_str());
    let inbound = inbound::of(&visitor, &org, groups).await?;
    html(&Connector {
        inbound,
        page: visitor.page(spec.display_name.clone(), &org),
        id,
        name: spec.display_name,
        description: spec.description,
        is_own: !metadata.org.is_empty(),
        confidence,
        sources: spec.sources,
        limitations: spec.limitations,
        functions,
        is_part: alone,
    })
}

/// The function that a first group can only be of: there is no group yet, and no choice.
fn only(functions: &[Function]) -> Option<&Function> {
    let any = functions.iter().any(|function| !function.groups.is_empty());
    let mut supported = functions.iter().filter(|f| f.unsupported.is_empty());
    let first = supported.next()?;
    (!any && supported.next().is_none()).then_some(first)
}
