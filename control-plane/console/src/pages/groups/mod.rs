//! Webhook groups: rows of lists, and where a group's own pages find it. Each page and form is in a file of its own.

pub(super) mod asks;
pub(super) mod edit;
pub(super) mod remove;
pub(super) mod secrets;
pub(super) mod show;
pub(super) mod switch;
mod typed;
pub(super) mod url;

use hookplane_proto::v1;
use prost_types::FieldMask;
use tonic::{Code, Status};

use crate::page::Visitor;
use crate::problem::Problem;
use crate::weight;

/// Events named in a row.
const SHOWN_EVENTS: usize = 3;
/// What a row shows of a text.
const TEXT: usize = 240;

/// Which one an address means.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) org: String,
    pub(super) group: String,
}

/// What is written of a group.
struct Change<'a> {
    /// Of the version that was looked at: refused where somebody wrote since.
    etag: &'a str,
    fields: &'a [&'a str],
    /// Only looks whether it could be.
    validate_only: bool,
}

impl<'a> Change<'a> {
    fn of(etag: &'a str, fields: &'a [&'a str]) -> Self {
        Self {
            etag,
            fields,
            validate_only: false,
        }
    }
}

impl Place {
    pub(super) fn of((org, group): (String, String)) -> Self {
        Self { org, group }
    }

    /// Its page.
    pub(super) fn path(&self) -> String {
        format!("/orgs/{}/groups/{}", self.org, self.group)
    }

    /// As the API names it.
    pub(super) fn name(&self) -> String {
        format!("orgs/{}/groups/{}", self.org, self.group)
    }

    pub(super) async fn get(&self, visitor: &Visitor) -> Result<v1::WebhookGroup, Problem> {
        let request = v1::GetWebhookGroupRequest { name: self.name() };
        let answer = visitor.api.groups().get_webhook_group(request).await?;
        Ok(answer.into_inner())
    }

    /// Writes fields of the spec, as the change has it.
    async fn update(
        &self,
        visitor: &Visitor,
        spec: v1::WebhookGroupSpec,
        change: Change<'_>,
    ) -> Result<(), Status> {
        let group = v1::WebhookGroup {
            metadata: Some(v1::Metadata {
                org: self.org.clone(),
                name: self.group.clone(),
                etag: change.etag.to_owned(),
                ..Default::default()
            }),
            spec: Some(spec),
            status: None,
        };
        let request = v1::UpdateWebhookGroupRequest {
            webhook_group: Some(group),
            update_mask: Some(FieldMask {
                paths: change.fields.iter().map(|f| (*f).to_owned()).collect(),
            }),
            validate_only: change.validate_only,
        };
        visitor.api.groups().update_webhook_group(request).await?;
        Ok(())
    }
}

/// A form is shown to those who may send it.
fn for_editors(visitor: &Visitor) -> Result<(), Problem> {
    if visitor.who.edits() {
        return Ok(());
    }
    let message = "This changes a webhook group, which takes an editor or an admin.";
    Err(Status::permission_denied(message).into())
}

/// A connector as it is now: the org's own, else the built-in one.
pub(super) async fn definition(
    visitor: &Visitor,
    org: &str,
    connector: &str,
) -> Result<v1::Connector, Problem> {
    let mut connectors = visitor.api.connectors();
    let name = format!("orgs/{org}/connectors/{connector}");
    let own = connectors.get_connector(v1::GetConnectorRequest { name });
    let answer = match own.await {
        Err(status) if status.code() == Code::NotFound => {
            let name = format!("connectors/{connector}");
            let built_in = connectors.get_connector(v1::GetConnectorRequest { name });
            built_in.await?
        }
        own => own?,
    };
    Ok(answer.into_inner())
}

/// Whether listeners run what is stored, in a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) class: &'static str,
    pub(super) text: &'static str,
    pub(super) applied: bool,
    pub(super) connected: u32,
    pub(super) problems: Vec<String>,
}

impl Live {
    pub(super) fn of(group: &v1::WebhookGroup) -> Self {
        let live = group.status.as_ref().and_then(|status| status.live.clone());
        let live = live.unwrap_or_default();
        let disabled = group.spec.as_ref().is_some_and(|spec| spec.disabled);
        let (class, text) = if !live.problems.is_empty() {
            ("bad", "refused by a listener")
        } else if live.connected == 0 {
            ("warn", "no listener")
        } else if !live.applied {
            ("warn", "on its way")
        } else if disabled {
            ("plain", "disabled")
        } else {
            ("good", "live")
        };
        Self {
            class,
            text,
            applied: live.applied,
            connected: live.connected,
            problems: live.problems,
        }
    }
}

/// A group in a list.
pub(super) struct Row {
    pub(super) org: String,
    pub(super) name: String,
    pub(super) title: String,
    pub(super) connector: String,
    pub(super) function: String,
    pub(super) external_id: String,
    pub(super) events: String,
    pub(super) disabled: bool,
    pub(super) update: bool,
    pub(super) live: Live,
    /// None: not known now.
    pub(super) counts: Option<v1::GroupCounts>,
    /// There is a secret to rotate.
    pub(super) has_secret: bool,
}

impl Row {
    pub(super) fn of(group: v1::WebhookGroup) -> Self {
        let live = Live::of(&group);
        let metadata = group.metadata.unwrap_or_default();
        let spec = group.spec.unwrap_or_default();
        let status = group.status.unwrap_or_default();
        Self {
            has_secret: !spec.signature_secrets.is_empty(),
            title: weight::cut(&title(&metadata, &spec), TEXT),
            org: metadata.org,
            name: metadata.name,
            connector: spec.connector,
            function: spec.function,
            external_id: weight::cut(&spec.external_id, TEXT),
            events: weight::cut(&events(&spec.registered_events), TEXT),
            disabled: spec.disabled,
            update: status.connector_update_available,
            live,
            counts: status.counts,
        }
    }
}

/// What people call it.
pub(super) fn title(metadata: &v1::Metadata, spec: &v1::WebhookGroupSpec) -> String {
    match spec.display_name.as_str() {
        "" => metadata.name.clone(),
        name => name.to_owned(),
    }
}

/// Registered events, the first few by name.
fn events(registered: &[String]) -> String {
    if registered.iter().any(|event| event == "*") {
        return "all".to_owned();
    }
    if registered.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<&str> = registered
        .iter()
        .take(SHOWN_EVENTS)
        .map(String::as_str)
        .collect();
    match registered.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_row_are_all_none_or_the_first_few() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            events(&names)
        };
        assert_eq!(of(&[]), "none");
        assert_eq!(of(&["a", "*"]), "all");
        assert_eq!(of(&["a", "b"]), "a, b");
        assert_eq!(of(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }

    #[test]
    fn a_group_is_live_only_where_every_ready_listener_has_it_and_says_so() {
        let text = |live: Option<v1::Live>, disabled| {
            let group = v1::WebhookGroup {
                spec: Some(v1::WebhookGroupSpec {
                    disabled,
                    ..Default::default()
                }),
                status: Some(v1::WebhookGroupStatus {
                    live,
                    ..Default::default()
                }),
                metadata: None,
            };
            Live::of(&group).text
        };
        let live = |applied, connected, problems: &[&str]| {
            Some(v1::Live {
                applied,
                connected,
                problems: problems.iter().map(|p| (*p).to_owned()).collect(),
            })
        };
        assert_eq!(text(None, false), "no listener");
        assert_eq!(text(live(false, 0, &[]), false), "no listener");
        assert_eq!(text(live(false, 2, &[]), false), "on its way");
        assert_eq!(text(live(true, 2, &[]), false), "live");
        assert_eq!(text(live(true, 2, &[]), true), "disabled");
        assert_eq!(
            text(live(false, 2, &["no"]), false),
            "refused by a listener"
        );
    }
}
