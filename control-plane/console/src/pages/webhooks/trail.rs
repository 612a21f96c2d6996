//! The way to a webhook's pages, each step by what people call it: connector, group, webhook.

use hookplane_proto::v1;

use super::Place;
use crate::page::Visitor;
use crate::pages::groups::{definition, title};

pub(in crate::pages) struct Trail {
    /// As addresses have it; empty: it isn't known now.
    pub(in crate::pages) connector: String,
    pub(in crate::pages) connector_name: String,
    pub(in crate::pages) group: String,
    pub(in crate::pages) webhook: String,
}

impl Trail {
    pub(in crate::pages) async fn of(
        visitor: &Visitor,
        place: &Place,
        spec: &v1::WebhookSpec,
    ) -> Self {
        // A page comes without it, too: what is typed must not be lost for it.
        let group = place.get_group(visitor).await.unwrap_or_default();
        let (of, group) = (
            group.metadata.unwrap_or_default(),
            group.spec.unwrap_or_default(),
        );
        // One of the org's own that was deleted since has no name any more.
        let connector = definition(visitor, &place.org, &group.connector).await;
        let named = connector.ok().and_then(|connector| connector.spec);
        let connector_name = match named.map(|spec| spec.display_name) {
            Some(name) if !name.is_empty() => name,
            _ => group.connector.clone(),
        };
        Self {
            connector_name,
            group: match title(&of, &group) {
                title if title.is_empty() => place.group.clone(),
                title => title,
            },
            webhook: match (place.is_template(), spec.label.as_str()) {
                (true, _) | (_, "") => place.webhook.clone(),
                (false, label) => label.to_owned(),
            },
            connector: group.connector,
        }
    }
}
