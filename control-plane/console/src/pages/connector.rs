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
/// Of more functions the groups are on a page of each: they are looked for function by function.
const LISTED: usize = 8;
/// Groups whose webhooks are told of where no groups are.
const ANY: u32 = 20;
/// Of a function's description, and of the connector's: there may be many.
const ABOUT: usize = 600;

struct Function {
    name: String,
    title: String,
    description: String,
    unsupported: String,
    events: usize,
    open_events: bool,
    /// Its groups are looked for here.
    listed: bool,
    groups: Vec<Row>,
    next: String,
}

impl Function {
    fn counts_are_unknown(&self) -> bool {
        self.groups.iter().any(|group| group.counts.is_none())
    }
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
    /// One function's page.
    is_part: bool,
    /// No group of any of its functions yet.
    is_unused: bool,
    inbound: Inbound,
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
    // With one that is named, the page is that one's.
    let mut all = spec.functions;
    let alone = all.iter().any(|function| function.name == of);
    all.retain(|function| !alone || function.name == of);
    let listed = all.len() <= LISTED;
    let each = ROWS / u32::try_from(all.len()).unwrap_or(ROWS).max(1);
    let groups = async |function: &str, page_size, page_token: &str| {
        let request = v1::ListWebhookGroupsRequest {
            parent: format!("orgs/{org}"),
            page_size,
            page_token: page_token.to_owned(),
            connector: id.clone(),
            function: function.to_owned(),
            text: String::new(),
        };
        let mut api = visitor.api.groups();
        let answer = api.list_webhook_groups(request).await?;
        Ok::<_, tonic::Status>(answer.into_inner())
    };
    for function in all {
        let answer = match listed {
            true => groups(&function.name, each.max(1), if alone { page } else { "" }).await?,
            false => v1::ListWebhookGroupsResponse::default(),
        };
        functions.push(Function {
            name: function.name,
            title: function.display_name,
            description: weight::cut(&function.description, ABOUT),
            unsupported: function.unsupported,
            events: function.events.len(),
            open_events: function.open_events,
            listed,
            groups: answer.webhook_groups.into_iter().map(Row::of).collect(),
            next: answer.next_page_token,
        });
    }
    let asked_for = !visitor.query.text("all").is_empty() || alone;
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
    let mut names: Vec<String> = Vec::new();
    if listed {
        let groups = functions.iter().flat_map(|function| &function.groups);
        names.extend(groups.map(|group| group.name.clone()));
    } else {
        let any = groups("", ANY, "").await?.webhook_groups.into_iter();
        names.extend(any.map(|group| group.metadata.unwrap_or_default().name));
    }
    let inbound = inbound::of(&visitor, &org, names.iter().map(String::as_str)).await?;
    html(&Connector {
        inbound,
        is_unused: names.is_empty(),
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
