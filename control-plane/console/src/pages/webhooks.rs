//! Webhooks: a row of a group's page, and what a button in it does. The pages of rows, looking at one, and its forms are in files of their own.

pub(super) mod edit;
mod events;
pub(super) mod remove;
pub(super) mod rows;
mod targets;
pub(super) mod trail;
pub(super) mod view;

use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Response;
use hookplane_proto::v1;
use prost_types::FieldMask;

use crate::page::{Visitor, to};
use crate::problem::{Faults, Problem};
use crate::weight;

/// The blank one that each group has.
pub(super) const TEMPLATE: &str = "template";
/// What a row shows of a text.
const TEXT: usize = 200;
/// Destinations named in a row.
const SHOWN_DESTINATIONS: usize = 4;
/// Events named in a row.
const SHOWN_EVENTS: usize = 4;
/// Of a filter, in a row.
const SHOWN_CHARS: usize = 80;

/// Which one an address means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) org: String,
    pub(super) group: String,
    pub(super) webhook: String,
}

impl Place {
    pub(super) fn of((org, group, webhook): (String, String, String)) -> Self {
        Self {
            org,
            group,
            webhook,
        }
    }

    /// Its page.
    pub(super) fn path(&self) -> String {
        format!("{}/webhooks/{}", self.group_path(), self.webhook)
    }

    pub(super) fn group_path(&self) -> String {
        format!("/orgs/{}/groups/{}", self.org, self.group)
    }

    /// As the API names it.
    pub(super) fn name(&self) -> String {
        format!("{}/webhooks/{}", self.parent(), self.webhook)
    }

    pub(super) fn parent(&self) -> String {
        format!("orgs/{}/groups/{}", self.org, self.group)
    }

    pub(super) fn is_template(&self) -> bool {
        self.webhook == TEMPLATE
    }

    /// For a write that is refused when somebody wrote in between; without an etag it never is.
    pub(super) fn metadata(&self, etag: &str) -> v1::Metadata {
        v1::Metadata {
            org: self.org.clone(),
            group: self.group.clone(),
            name: self.webhook.clone(),
            etag: etag.to_owned(),
            ..Default::default()
        }
    }

    pub(super) async fn get(&self, visitor: &Visitor) -> Result<v1::Webhook, Problem> {
        let request = v1::GetWebhookRequest { name: self.name() };
        Ok(visitor
            .api
            .webhooks()
            .get_webhook(request)
            .await?
            .into_inner())
    }

    pub(super) async fn get_group(&self, visitor: &Visitor) -> Result<v1::WebhookGroup, Problem> {
        let request = v1::GetWebhookGroupRequest {
            name: self.parent(),
        };
        let answer = visitor.api.groups().get_webhook_group(request).await?;
        Ok(answer.into_inner())
    }
}

/// What a webhook's destination is called in deliveries, and in its status.
pub(super) fn name_of(destination: &v1::WebhookDestination) -> &str {
    if !destination.name.is_empty() {
        &destination.name
    } else if !destination.r#ref.is_empty() {
        &destination.r#ref
    } else if destination.http.is_some() {
        "http"
    } else if destination.salesforce.is_some() {
        "salesforce"
    } else {
        "subscribe"
    }
}

/// How a destination is doing, in a word.
pub(super) struct State(pub(super) v1::DestinationState);

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self.0 {
            v1::DestinationState::Active => "active",
            v1::DestinationState::Paused => "paused",
            v1::DestinationState::Failing => "failing",
            v1::DestinationState::Waiting => "waiting",
            v1::DestinationState::Unspecified => "not used yet",
        }
    }

    pub(super) fn class(&self) -> &'static str {
        match self.0 {
            v1::DestinationState::Active => "good",
            v1::DestinationState::Failing => "bad",
            v1::DestinationState::Paused | v1::DestinationState::Waiting => "warn",
            v1::DestinationState::Unspecified => "plain",
        }
    }
}

/// Whether the listeners run it.
pub(super) struct Liveness {
    pub(super) class: &'static str,
    pub(super) text: String,
    pub(super) problems: Vec<String>,
}

impl Liveness {
    /// Of one that isn't active it is told only where listeners don't know that yet: live it is to nobody.
    pub(super) fn of(live: Option<&v1::Live>, active: bool) -> Self {
        let live = live.cloned().unwrap_or_default();
        let (class, text) = match (live.applied, live.connected) {
            (true, _) if !active => ("plain", String::new()),
            (true, 1) => ("good", "live".to_owned()),
            (true, listeners) => ("good", format!("live on {listeners} listeners")),
            (false, 0) => ("warn", "no listener is ready".to_owned()),
            (false, _) => ("warn", "not on every listener yet".to_owned()),
        };
        let (class, text) = match (live.problems.is_empty(), text.is_empty()) {
            (true, _) => (class, text),
            (false, true) => ("bad", "refused by a listener".to_owned()),
            (false, false) => ("bad", text),
        };
        Self {
            class,
            text,
            problems: live.problems,
        }
    }
}

/// One webhook, as a group's page has it.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) active: bool,
    pub(super) etag: String,
    pub(super) events: String,
    pub(super) filter: String,
    pub(super) destinations: Vec<String>,
    /// Its mapping in a few words.
    pub(super) mapping: String,
    pub(super) live: Liveness,
    pub(super) warnings: usize,
    /// Destinations that need a look.
    pub(super) troubles: Vec<(String, State)>,
}

impl Row {
    fn of(webhook: v1::Webhook) -> Self {
        let metadata = webhook.metadata.unwrap_or_default();
        let spec = webhook.spec.unwrap_or_default();
        let status = webhook.status.unwrap_or_default();
        let troubles = status.destinations.iter().filter_map(|destination| {
            let state = destination.status.clone().unwrap_or_default().state();
            let well = matches!(
                state,
                v1::DestinationState::Active | v1::DestinationState::Unspecified
            );
            (!well).then(|| (destination.name.clone(), State(state)))
        });
        Self {
            mapping: mapping_in_words(
                spec.mapping.as_ref(),
                status.mapping_version,
                status.newest_mapping_version,
            ),
            troubles: troubles.take(SHOWN_DESTINATIONS).collect(),
            live: Liveness::of(status.live.as_ref(), spec.active),
            warnings: status.warnings.len(),
            destinations: few(names(&spec.destinations)),
            events: weight::cut(&shortened(&spec.events), TEXT),
            filter: weight::cut(&spec.filter, SHOWN_CHARS),
            active: spec.active,
            label: weight::cut(&spec.label, TEXT),
            name: metadata.name,
            etag: metadata.etag,
        }
    }
}

fn names(destinations: &[v1::WebhookDestination]) -> Vec<String> {
    if destinations.is_empty() {
        return vec!["subscribers".to_owned()];
    }
    let names = destinations.iter().map(|destination| {
        if destination.subscribe.is_some() {
            "subscribers".to_owned()
        } else {
            name_of(destination).to_owned()
        }
    });
    names.collect()
}

/// The first few, and how many more.
fn few(mut names: Vec<String>) -> Vec<String> {
    let more = names.len().saturating_sub(SHOWN_DESTINATIONS);
    if more > 0 {
        names.truncate(SHOWN_DESTINATIONS);
        names.push(format!("{more} more"));
    }
    names
}

/// The first few names.
pub(super) fn shortened(events: &[String]) -> String {
    let shown = events.iter().take(SHOWN_EVENTS).map(|event| {
        if event == "*" {
            "all events"
        } else {
            event.as_str()
        }
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if events.len() > SHOWN_EVENTS {
        text.push_str(&format!(" and {} more", events.len() - SHOWN_EVENTS));
    }
    text
}

/// `v3`, `v3, not active`, `none`.
pub(super) fn mapping_in_words(mapping: Option<&v1::Mapping>, active: u32, newest: u32) -> String {
    match (mapping, active) {
        (None, _) => "none".to_owned(),
        (Some(_), 0) => format!("v{newest}, not active"),
        (Some(_), active) => format!("v{active}"),
    }
}

/// On or off.
pub(super) async fn activate(
    visitor: Visitor,
    Path(place): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    let place = Place::of(place);
    let form = visitor.posted(&body)?;
    let active = form.ticked("active");
    let webhook = v1::Webhook {
        metadata: Some(place.metadata(form.text("etag"))),
        spec: Some(v1::WebhookSpec {
            active,
            ..Default::default()
        }),
        status: None,
    };
    match update(&visitor, webhook, &["active"]).await {
        Ok(_) => {
            let done = if active { "activated" } else { "deactivated" };
            // Whoever did it in a row goes on with the rows.
            Ok(match form.ticked("rows") {
                true => to(&format!(
                    "{}?done=webhook-{done}#webhooks",
                    place.group_path()
                )),
                false => to(&format!("{}?done=webhook-{done}", place.path())),
            })
        }
        // What is missing is filled in there.
        Err(status) => edit::shown(&visitor, &place, Faults::of(status)?).await,
    }
}

/// Writes what the mask names.
pub(super) async fn update(
    visitor: &Visitor,
    webhook: v1::Webhook,
    mask: &[&str],
) -> Result<v1::Webhook, tonic::Status> {
    let request = v1::UpdateWebhookRequest {
        webhook: Some(webhook),
        update_mask: Some(FieldMask {
            paths: mask.iter().map(|&path| path.to_owned()).collect(),
        }),
        validate_only: false,
    };
    let answer = visitor.api.webhooks().update_webhook(request).await?;
    Ok(answer.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_active_webhook_is_live() {
        let live = v1::Live {
            applied: true,
            connected: 1,
            ..Default::default()
        };
        assert_eq!(Liveness::of(Some(&live), true).text, "live");
        assert_eq!(Liveness::of(Some(&live), false).text, "");
        let late = v1::Live {
            applied: false,
            ..live
        };
        assert!(!Liveness::of(Some(&late), false).text.is_empty());
    }
}
