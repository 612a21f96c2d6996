//! A connector's webhooks, as the functions that they are to it: each has an Inbound Data Event and nothing else, and is mapped from here.

use hookplane_proto::v1;

use super::webhooks::{Place, TEMPLATE, mapping_in_words, shortened};
use crate::page::Visitor;
use crate::problem::Problem;
use crate::weight;

/// Groups whose webhooks are looked at, and webhooks of all of them: the groups' own pages have the rest.
const MAX_GROUPS: usize = 20;
const MAX_SHOWN: usize = 40;
/// What a row shows of a text.
const TEXT: usize = 200;

pub(super) struct Function {
    pub(super) path: String,
    pub(super) group: String,
    pub(super) label: String,
    pub(super) events: String,
    pub(super) active: bool,
    /// In words.
    pub(super) mapping: String,
}

/// For `inbound.html`, under the name `inbound`.
#[derive(Default)]
pub(super) struct Inbound {
    pub(super) functions: Vec<Function>,
    pub(super) more: bool,
}

pub(super) async fn of(
    visitor: &Visitor,
    org: &str,
    groups: impl Iterator<Item = &str>,
) -> Result<Inbound, Problem> {
    let mut inbound = Inbound::default();
    for (index, group) in groups.enumerate() {
        if index == MAX_GROUPS || inbound.functions.len() >= MAX_SHOWN {
            inbound.more = true;
            break;
        }
        let request = v1::ListWebhooksRequest {
            parent: format!("orgs/{org}/groups/{group}"),
            page_size: MAX_SHOWN as u32,
            page_token: String::new(),
        };
        let answer = visitor.api.webhooks().list_webhooks(request).await?;
        let answer = answer.into_inner();
        inbound.more |= !answer.next_page_token.is_empty();
        let webhooks = answer.webhooks.into_iter().map(|webhook| {
            let metadata = webhook.metadata.unwrap_or_default();
            let spec = webhook.spec.unwrap_or_default();
            let status = webhook.status.unwrap_or_default();
            let mapping = mapping_in_words(
                spec.mapping.as_ref(),
                status.mapping_version,
                status.newest_mapping_version,
            );
            let place = Place::of((org.to_owned(), group.to_owned(), metadata.name));
            Function {
                path: place.path(),
                label: match spec.label.as_str() {
                    "" => place.webhook.clone(),
                    label => weight::cut(label, TEXT),
                },
                group: place.group,
                events: weight::cut(&shortened(&spec.events), TEXT),
                active: spec.active,
                mapping,
            }
        });
        let template = format!("/webhooks/{TEMPLATE}");
        let shown = webhooks.filter(|function| !function.path.ends_with(&template));
        inbound.functions.extend(shown);
    }
    inbound.more |= inbound.functions.len() > MAX_SHOWN;
    inbound.functions.truncate(MAX_SHOWN);
    Ok(inbound)
}
