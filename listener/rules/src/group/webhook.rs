//! One webhook, compiled.

use std::collections::HashMap;
use std::sync::Arc;

use hookplane_proto::v1;

use crate::connector::{Errors, event_name_problem, is_name, not_a_name, overlapping, takes};
use crate::filter::Filter;
use crate::{Connector, FieldError};

/// The webhook that is made with its group, to be cloned. It never matches.
pub const TEMPLATE: &str = "template";
const MAX_EVENTS: usize = 1_000;
/// The longest label, in bytes.
const MAX_LABEL_BYTES: usize = 256;

/// One webhook, ready to match.
#[derive(Debug)]
pub struct Webhook {
    pub(crate) uid: String,
    pub(crate) is_template: bool,
    pub(crate) active: bool,
    pub(crate) events: Vec<String>,
    pub(crate) filter: Option<Arc<Filter>>,
}

/// Filters that are equal are compiled once, and kept once, among all webhooks that are compiled together.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    filters: HashMap<String, Arc<Filter>>,
}

impl Shared {
    fn filter(&mut self, source: &str) -> Result<Arc<Filter>, String> {
        if let Some(filter) = self.filters.get(source) {
            return Ok(Arc::clone(filter));
        }
        let filter = Arc::new(Filter::compile(source)?);
        self.filters.insert(source.to_owned(), Arc::clone(&filter));
        Ok(filter)
    }
}

impl Webhook {
    /// Compiles a webhook of a group: its events against the connector's function and the group's registered events, its filter
    /// within bounds. Its mapping and its destinations are the control plane's, and not looked at.
    pub fn compile(
        webhook: &v1::Webhook,
        group: &v1::WebhookGroup,
        connector: &Connector,
    ) -> Result<Arc<Self>, Vec<FieldError>> {
        Self::compile_sharing(webhook, group, connector, &mut Shared::default())
    }

    /// The same among many.
    pub(crate) fn compile_sharing(
        webhook: &v1::Webhook,
        group: &v1::WebhookGroup,
        connector: &Connector,
        shared: &mut Shared,
    ) -> Result<Arc<Self>, Vec<FieldError>> {
        let mut errors = Errors::default();
        let metadata = webhook.metadata.clone().unwrap_or_default();
        if !is_name(&metadata.name) {
            errors.add("metadata.name", not_a_name(&metadata.name));
        }
        let is_template = metadata.name == TEMPLATE;
        let spec = webhook.spec.clone().unwrap_or_default();
        if spec.label.len() > MAX_LABEL_BYTES {
            errors.add(
                "spec.label",
                format!(
                    "is {} bytes long, at most {MAX_LABEL_BYTES} are taken",
                    spec.label.len()
                ),
            );
        }
        if spec.events.is_empty() && spec.active && !is_template {
            errors.add(
                "spec.events",
                "is empty; an active webhook wants one event or more, `*` stands for all",
            );
        }
        check_events(&spec.events, group, connector, &mut errors);
        let filter = if spec.filter.trim().is_empty() {
            None
        } else {
            errors.take("spec.filter", shared.filter(&spec.filter))
        };
        if !errors.list.is_empty() {
            return Err(errors.list);
        }
        Ok(Arc::new(Self {
            uid: metadata.uid,
            is_template,
            active: spec.active,
            events: spec.events,
            filter,
        }))
    }

    /// Whether one that compiled still does, now that its group or connector has changed: on those only its names of events depend, and its filter,
    /// which costs most, is as good as it was.
    pub fn compiles_still(
        webhook: &v1::Webhook,
        group: &v1::WebhookGroup,
        connector: &Connector,
    ) -> Result<(), Vec<FieldError>> {
        let mut errors = Errors::default();
        let events = webhook.spec.as_ref().map_or(&[][..], |spec| &spec.events);
        check_events(events, group, connector, &mut errors);
        match errors.list.is_empty() {
            true => Ok(()),
            false => Err(errors.list),
        }
    }

    /// True when it asks for this event.
    pub(crate) fn asks_for(&self, event_type: &str) -> bool {
        self.events.iter().any(|name| takes(name, event_type))
    }
}

fn check_events(
    events: &[String],
    group: &v1::WebhookGroup,
    connector: &Connector,
    errors: &mut Errors,
) {
    errors.at_most("spec.events", events.len(), MAX_EVENTS, "events");
    let nothing = v1::WebhookGroupSpec::default();
    let group = group.spec.as_ref().unwrap_or(&nothing);
    let function = connector.function(&group.function).ok();
    let registered = &group.registered_events;
    let first = || events.iter().take(MAX_EVENTS).map(String::as_str);
    // Without the function, the group itself is refused.
    let known = match function {
        Some(function) => function.knows(first()),
        None => vec![true; first().count()],
    };
    let taken = overlapping(first(), registered.iter().map(String::as_str));
    for (index, ((name, known), taken)) in first().zip(known).zip(taken).enumerate() {
        let at = format!("spec.events[{index}]");
        if let Some(problem) = event_name_problem(name) {
            errors.add(at, problem);
            continue;
        }
        if name == "*" {
            continue;
        }
        if let Some(function) = function
            && !known
        {
            errors.add(at, connector.no_such_event(function, name));
        } else if !taken {
            /// How many names a message shows.
            const SHOWN: usize = 20;
            let mut shown = registered
                .iter()
                .take(SHOWN)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            if registered.is_empty() {
                shown.push_str("nothing");
            } else if registered.len() > SHOWN {
                shown.push_str(", …");
            }
            errors.add(
                at,
                format!("`{name}` is not registered in the group, which registers {shown}; add it to the group's registeredEvents"),
            );
        }
    }
}
