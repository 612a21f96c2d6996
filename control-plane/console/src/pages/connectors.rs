//! The list of connectors, searched.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;

use crate::page::{Page, Visitor, html};
use crate::problem::Problem;
use crate::weight;

const PAGE: usize = 60;
/// What a card shows of a text.
const TEXT: usize = 400;
/// As the API gives at most.
const ALL: u32 = 1_000;

struct Row {
    id: String,
    name: String,
    description: String,
    functions: String,
    groups: u32,
    confidence: Confidence,
}

/// How sure we are of a connector's scheme.
pub(super) struct Confidence(v1::Confidence);

impl Confidence {
    pub(super) fn of(connector: &v1::ConnectorSpec) -> Self {
        Self(connector.confidence())
    }

    pub(super) fn name(&self) -> &'static str {
        match self.0 {
            v1::Confidence::Verified => "verified",
            v1::Confidence::Documented => "documented",
            v1::Confidence::Unverified => "unverified",
            v1::Confidence::Unspecified => "your own",
        }
    }

    /// In a sentence.
    pub(super) fn means(&self) -> &'static str {
        match self.0 {
            v1::Confidence::Verified => {
                "Tested against what the provider's own library signs or accepts, or it is a standard."
            }
            v1::Confidence::Documented => {
                "Read in the provider's documentation; no library of theirs stood behind the tests."
            }
            v1::Confidence::Unverified => {
                "To be checked: see a callback of the provider's own come through before you rely on it."
            }
            v1::Confidence::Unspecified => "This connector is your org's own.",
        }
    }

    pub(super) fn class(&self) -> &'static str {
        match self.0 {
            v1::Confidence::Verified => "good",
            v1::Confidence::Documented => "plain",
            v1::Confidence::Unverified => "warn",
            v1::Confidence::Unspecified => "plain",
        }
    }
}

#[derive(Template)]
#[template(path = "connectors.html")]
struct Connectors {
    page: Page,
    q: String,
    found: usize,
    shown: Vec<Row>,
    next: Option<usize>,
}

pub(super) async fn list(visitor: Visitor, Path(org): Path<String>) -> Result<Response, Problem> {
    // The built-in ones are everybody's: an org that isn't there would have them, too.
    let name = format!("orgs/{org}");
    visitor
        .api
        .orgs()
        .get_org(v1::GetOrgRequest { name })
        .await?;
    let (connectors, used) = all(&visitor, &org).await?;
    let q = visitor.query.text("q").to_owned();
    let words: Vec<String> = q.split_whitespace().map(str::to_lowercase).collect();
    let mut matching: Vec<_> = connectors
        .iter()
        .filter(|connector| has(connector, &words))
        .collect();
    // Those in use first: who comes back comes for them.
    let id = |connector: &v1::Connector| connector.metadata.clone().unwrap_or_default().name;
    matching.sort_by_key(|connector| !used.contains_key(&id(connector)));
    let page: usize = visitor.query.text("page").parse().unwrap_or(0);
    let shown = matching.iter().skip(page.saturating_mul(PAGE)).take(PAGE);
    let shown = shown.map(|connector| {
        let spec = connector.spec.clone().unwrap_or_default();
        let id = id(connector);
        let functions: Vec<_> = spec
            .functions
            .iter()
            .map(|function| function.display_name.as_str())
            .collect();
        Row {
            groups: used.get(&id).copied().unwrap_or(0),
            confidence: Confidence::of(&spec),
            functions: weight::cut(&functions.join(", "), TEXT),
            name: weight::cut(&spec.display_name, TEXT),
            description: weight::cut(&spec.description, TEXT),
            id,
        }
    });
    let found = matching.len();
    html(&Connectors {
        page: visitor.page("Connectors", &org),
        q,
        found,
        shown: shown.collect(),
        next: (page.saturating_add(1).saturating_mul(PAGE) < found).then_some(page + 1),
    })
}

/// The built-in ones and the org's own, and how many groups the org has of each.
async fn all(
    visitor: &Visitor,
    org: &str,
) -> Result<(Vec<v1::Connector>, BTreeMap<String, u32>), Problem> {
    let mut all = Vec::new();
    let mut used = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = v1::ListConnectorsRequest {
            parent: format!("orgs/{org}"),
            page_size: ALL,
            page_token,
        };
        let answer = visitor.api.connectors().list_connectors(request).await?;
        let answer = answer.into_inner();
        all.extend(answer.connectors);
        used.extend(answer.webhook_groups);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok((all, used));
        }
    }
}

/// Each word somewhere in what people read of it.
fn has(connector: &v1::Connector, words: &[String]) -> bool {
    let Some(spec) = &connector.spec else {
        return false;
    };
    let id = connector.metadata.as_ref().map_or("", |m| &m.name);
    let functions = spec.functions.iter().flat_map(|function| {
        let events = function.events.iter().map(|event| event.name.as_str());
        [function.display_name.as_str(), function.name.as_str()]
            .into_iter()
            .chain(events)
    });
    let texts: Vec<String> = [id, &spec.display_name, &spec.description]
        .into_iter()
        .chain(functions)
        .map(str::to_lowercase)
        .collect();
    words
        .iter()
        .all(|word| texts.iter().any(|text| text.contains(word)))
}
