//! Groups page by page: all of an org from the store, at one revision; those of a connector, or with words in them, from the view, so that ten
//! thousand others are neither read nor decoded.

use hookplane_proto::v1;

use super::definitions::Definitions;
use super::{counted, present_of};
use crate::access::Caller;
use crate::api::desk::{Desk, decode};
use crate::api::names;
use crate::api::page::{page, page_in_memory};
use crate::api::status::Problem;
use crate::context::Context;
use crate::keys;

/// Of what is looked for.
const MAX_TEXT_BYTES: usize = 200;
const MAX_WORDS: usize = 10;

pub(super) async fn list(
    context: &Context,
    caller: &Caller,
    request: v1::ListWebhookGroupsRequest,
) -> Result<v1::ListWebhookGroupsResponse, Problem> {
    let [org] = names::parse("parent", &request.parent, "orgs/*", true)?;
    let desk = Desk::new(context, caller);
    let prefix = match caller.narrow(names::named(org))? {
        None => keys::GROUPS.to_owned(),
        Some(org) => {
            // A name mistyped is not an org without groups.
            desk.needs_org(&org).await?;
            keys::group(&org, "")
        }
    };
    let (size, token) = (request.page_size, &*request.page_token);
    let mut webhook_groups = Vec::new();
    let mut definitions = Definitions::default();
    let next_page_token = match Wanted::of(&request)? {
        None => {
            let all = page(&*context.store, &prefix, &prefix, size, token, |_| true);
            let (entries, next) = all.await?;
            for entry in &entries {
                webhook_groups.push(
                    present_of(&desk, decode(entry)?, entry.revision, &mut definitions).await?,
                );
            }
            next
        }
        Some(wanted) => {
            let found = context
                .view
                .groups_below(&prefix, |group| wanted.has(group));
            let found = found.iter().map(|(key, group)| (key.as_str(), &**group));
            // A token of one search is of no use to another.
            let list = format!("{prefix} {wanted:?}");
            let (groups, next) = page_in_memory(&list, found, size, token, false)?;
            for group in groups {
                let revision = group.metadata.as_ref().map_or(0, |m| m.revision);
                webhook_groups
                    .push(present_of(&desk, group.clone(), revision, &mut definitions).await?);
            }
            next
        }
    };
    counted(context, &mut webhook_groups).await;
    Ok(v1::ListWebhookGroupsResponse {
        webhook_groups,
        next_page_token,
    })
}

/// Which groups are meant.
#[derive(Debug)]
struct Wanted {
    connector: String,
    function: String,
    /// In lower case.
    words: Vec<String>,
}

impl Wanted {
    /// None: all.
    fn of(request: &v1::ListWebhookGroupsRequest) -> Result<Option<Self>, Problem> {
        if !request.function.is_empty() && request.connector.is_empty() {
            let message = "is one of a connector's: say which, in `connector`";
            return Err(Problem::field("function", message));
        }
        if request.text.len() > MAX_TEXT_BYTES {
            let message = format!("is longer than {MAX_TEXT_BYTES} bytes");
            return Err(Problem::field("text", message));
        }
        let words = request.text.split_whitespace().map(str::to_lowercase);
        let words: Vec<String> = words.collect();
        if words.len() > MAX_WORDS {
            let message = format!("has more than {MAX_WORDS} words");
            return Err(Problem::field("text", message));
        }
        let wanted = Self {
            connector: request.connector.clone(),
            function: request.function.clone(),
            words,
        };
        let all = wanted.connector.is_empty() && wanted.words.is_empty();
        Ok((!all).then_some(wanted))
    }

    fn has(&self, group: &v1::WebhookGroup) -> bool {
        let (Some(metadata), Some(spec)) = (&group.metadata, &group.spec) else {
            return false;
        };
        let is = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        if !is(&self.connector, &spec.connector) || !is(&self.function, &spec.function) {
            return false;
        }
        let texts = [&metadata.name, &spec.display_name, &spec.external_id];
        let texts = texts.map(|text| text.to_lowercase());
        let stands = |word: &String| texts.iter().any(|text| text.contains(word));
        self.words.iter().all(stands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(connector: &str, function: &str, text: &str) -> Option<Wanted> {
        Wanted::of(&v1::ListWebhookGroupsRequest {
            connector: connector.to_owned(),
            function: function.to_owned(),
            text: text.to_owned(),
            ..Default::default()
        })
        .unwrap()
    }

    #[test]
    fn a_group_is_found_by_its_connector_its_function_and_words_of_its_own() {
        let group = v1::WebhookGroup {
            metadata: Some(v1::Metadata {
                name: "shop-prod".into(),
                ..Default::default()
            }),
            spec: Some(v1::WebhookGroupSpec {
                connector: "shopify".into(),
                function: "admin-webhooks".into(),
                display_name: "Shop, production".into(),
                external_id: "acme.myshopify.com".into(),
                ..Default::default()
            }),
            status: None,
        };
        for (connector, function, text, found) in [
            ("shopify", "", "", true),
            ("shopify", "admin-webhooks", "", true),
            ("shopify", "other", "", false),
            ("shop", "", "", false),
            ("", "", "PRODUCTION acme", true),
            ("", "", "production eu", false),
            ("github", "", "production", false),
        ] {
            let wanted = wanted(connector, function, text).unwrap();
            assert_eq!(wanted.has(&group), found, "{wanted:?}");
        }
        assert!(wanted("", "", " ").is_none());
    }

    #[test]
    fn a_function_without_its_connector_and_a_text_without_end_are_refused() {
        let asked = |function: &str, text: String| {
            Wanted::of(&v1::ListWebhookGroupsRequest {
                function: function.to_owned(),
                text,
                ..Default::default()
            })
        };
        assert!(asked("admin-webhooks", String::new()).is_err());
        assert!(asked("", "a".repeat(MAX_TEXT_BYTES)).is_ok());
        assert!(asked("", "a".repeat(MAX_TEXT_BYTES + 1)).is_err());
        assert!(asked("", "a ".repeat(MAX_WORDS)).is_ok());
        assert!(asked("", "a ".repeat(MAX_WORDS + 1)).is_err());
    }
}
