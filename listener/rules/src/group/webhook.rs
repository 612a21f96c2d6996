//! One webhook of a group, compiled.

use std::sync::Arc;

use hookplane_proto::v1;

use crate::connector::{Connector, Errors, takes};
use crate::filter::Filter;
use crate::{FieldError, Group};

/// The blank webhook that is made with a group, to be cloned. It never matches.
pub const TEMPLATE: &str = "template";

const MAX_EVENTS: usize = 2_000;
const MAX_LABEL_CHARS: usize = 200;
const MAX_DESTINATIONS: usize = 16;

/// One webhook, ready to match.
#[derive(Debug)]
pub struct Webhook {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) active: bool,
    pub(crate) events: Vec<String>,
    pub(crate) filter: Option<Filter>,
}

impl Webhook {
    /// Compiles a webhook of a group: its events against the connector's function and the group's registered events, its filter
    /// within bounds.
    pub fn compile(
        webhook: &v1::Webhook,
        group: &v1::WebhookGroup,
        connector: &Connector,
    ) -> Result<Arc<Self>, Vec<FieldError>> {
        let mut errors = Errors::new();
        let default = v1::WebhookSpec::default();
        let spec = webhook.spec.as_ref().unwrap_or(&default);
        let metadata = webhook.metadata.clone().unwrap_or_default();
        let default = v1::WebhookGroupSpec::default();
        let group = group.spec.as_ref().unwrap_or(&default);
        let template = metadata.name == TEMPLATE;
        if spec.label.chars().count() > MAX_LABEL_CHARS {
            errors.add(
                "spec.label",
                format!("is longer than {MAX_LABEL_CHARS} characters"),
            );
        }
        if template && spec.active {
            errors.add(
                "spec.active",
                "the template never matches: clone it and activate the clone",
            );
        }
        if spec.events.is_empty() && spec.active && !template {
            errors.add(
                "spec.events",
                "an active webhook needs at least one event; `*` takes all",
            );
        }
        if spec.events.len() > MAX_EVENTS {
            errors.add("spec.events", format!("more than {MAX_EVENTS}"));
        }
        if spec.destinations.len() > MAX_DESTINATIONS {
            errors.add("spec.destinations", format!("more than {MAX_DESTINATIONS}"));
        }
        for (index, destination) in spec.destinations.iter().enumerate() {
            if destination.subscribe.is_none() {
                errors.add(
                    format!("spec.destinations[{index}]"),
                    "says nothing: write `subscribe: {}`",
                );
            }
        }
        let function = connector.function(&group.function);
        for (index, event) in spec.events.iter().take(MAX_EVENTS).enumerate() {
            let at = format!("spec.events[{index}]");
            // A function that isn't there is the group's mistake, and said there.
            if event.is_empty() || function.is_some_and(|function| !function.knows(event)) {
                errors.add(
                    at,
                    format!(
                        "`{event}` is no event of function `{}`; `hookplane get functions` lists them",
                        function.map_or(group.function.as_str(), |function| &function.name)
                    ),
                );
            } else if !group
                .registered_events
                .iter()
                .any(|registered| takes(registered, event) || takes(event, registered))
            {
                errors.add(
                    at,
                    format!(
                        "`{event}` is not registered by the group; registered are: {}",
                        list(&group.registered_events)
                    ),
                );
            }
        }
        let filter = if spec.filter.is_empty() {
            None
        } else {
            errors.take("spec.filter", Filter::compile(&spec.filter))
        };
        errors.finish(Some(Arc::new(Self {
            uid: metadata.uid,
            name: metadata.name,
            active: spec.active && !template,
            events: spec.events.clone(),
            filter,
        })))
    }

    /// Whether one of its events takes this one.
    pub(crate) fn wants(&self, event: &str) -> bool {
        self.events.iter().any(|pattern| takes(pattern, event))
    }

    pub(crate) fn is_template(&self) -> bool {
        self.name == TEMPLATE
    }
}

/// For a message, shortened.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match names.len() {
        0 => "none".to_owned(),
        more if more > SHOWN => format!("{shown} and {} more", more - SHOWN),
        _ => shown,
    }
}

impl Group {
    /// Whether a registered event takes this one.
    pub(crate) fn registers(&self, event: &str) -> bool {
        self.registered()
            .iter()
            .any(|registered| takes(registered, event))
    }
}
