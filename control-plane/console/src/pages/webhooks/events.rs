//! Which events a webhook takes: those that its group lets in, with the connector's descriptions; free names where there may be others.

use std::collections::BTreeSet;

use hookplane_proto::v1;

use crate::form::Form;
use crate::weight;

const ALL: &str = "*";
/// Of the boxes, in a page, and of one without its texts.
const LISTED: usize = 80 * 1024;
const LINE: usize = 160;

pub(super) struct Choice {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) ticked: bool,
}

/// The part of a form.
pub(super) struct Choices {
    /// All that the group takes.
    pub(super) all: bool,
    pub(super) listed: Vec<Choice>,
    /// There are so many more than fit: those are typed.
    pub(super) unlisted: usize,
    /// Names that are none of those, a line each.
    pub(super) others: String,
    /// The provider or its users make up names.
    pub(super) open: bool,
}

impl Choices {
    pub(super) fn of(
        group: &v1::WebhookGroupSpec,
        function: Option<&v1::ConnectorFunction>,
        chosen: &[String],
    ) -> Self {
        let known = function.map_or(&[][..], |function| &function.events);
        let registered = &group.registered_events;
        let chosen: BTreeSet<&str> = chosen.iter().map(String::as_str).collect();
        let mut listed: Vec<Choice> = known
            .iter()
            .filter(|event| registered.iter().any(|name| covers(name, &event.name)))
            .map(|event| Choice {
                name: event.name.clone(),
                description: event.description.clone(),
                ticked: chosen.contains(event.name.as_str()),
            })
            .collect();
        for name in registered.iter().filter(|name| *name != ALL) {
            if !listed.iter().any(|choice| choice.name == *name) {
                listed.push(Choice {
                    name: name.clone(),
                    description: String::new(),
                    ticked: chosen.contains(name.as_str()),
                });
            }
        }
        let (listed, unlisted) = weight::first(listed, LISTED, |choice| {
            LINE + 2 * weight::of(&choice.name) + weight::of(&choice.description)
        });
        let is_listed = |name: &str| listed.iter().any(|choice| choice.name == name);
        let others: Vec<&str> = chosen
            .iter()
            .copied()
            .filter(|name| *name != ALL && !is_listed(name))
            .collect();
        Self {
            all: chosen.contains(ALL),
            others: others.join("\n"),
            // Without a list of its own there is nothing else to choose from.
            open: function.is_none_or(|function| function.open_events) || listed.is_empty(),
            listed,
            unlisted,
        }
    }

    /// What was ticked and typed.
    pub(super) fn read(form: &Form) -> Vec<String> {
        let typed = form.raw("other_events");
        let typed = typed.split([',', '\n', '\r', ' ', '\t']).map(str::trim);
        let mut seen = BTreeSet::new();
        form.all("event")
            .chain(typed)
            .filter(|name| !name.is_empty() && seen.insert(name.to_owned()))
            .map(str::to_owned)
            .collect()
    }
}

/// A name takes all below it at a dot.
fn covers(registered: &str, event: &str) -> bool {
    let below = event.strip_prefix(registered);
    registered == ALL || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(open_events: bool) -> v1::ConnectorFunction {
        let event = |name: &str| v1::ConnectorEvent {
            name: name.to_owned(),
            description: format!("about {name}"),
            sample: None,
        };
        v1::ConnectorFunction {
            events: vec![event("push"), event("pr.opened"), event("prs")],
            open_events,
            ..Default::default()
        }
    }

    fn group(registered: &[&str]) -> v1::WebhookGroupSpec {
        v1::WebhookGroupSpec {
            registered_events: registered.iter().map(|&name| name.to_owned()).collect(),
            ..Default::default()
        }
    }

    fn names(choices: &Choices) -> Vec<(&str, bool)> {
        let listed = choices.listed.iter();
        listed.map(|c| (c.name.as_str(), c.ticked)).collect()
    }

    #[test]
    fn a_webhook_chooses_among_what_its_group_lets_in() {
        let chosen = ["pr.opened".to_owned(), "made.up".to_owned()];
        let choices = Choices::of(&group(&["pr"]), Some(&function(false)), &chosen);
        assert_eq!(names(&choices), [("pr.opened", true), ("pr", false)]);
        assert_eq!(choices.others, "made.up");
        assert!(!choices.all && !choices.open);
        let choices = Choices::of(&group(&["*"]), Some(&function(true)), &["*".to_owned()]);
        assert_eq!(names(&choices).len(), 3);
        assert!(choices.all && choices.open);
    }

    #[test]
    fn ticked_and_typed_names_are_read_once() {
        let form = Form::read(b"event=push&event=*&other_events=a.b%0D%0Apush,+c").unwrap();
        assert_eq!(Choices::read(&form), ["push", "*", "a.b", "c"]);
    }

    #[test]
    fn what_has_no_room_in_the_list_is_typed_and_stays_chosen() {
        let name = |n: usize| format!("{}.{n}", "e".repeat(190));
        let event = |n: usize| v1::ConnectorEvent {
            name: name(n),
            ..Default::default()
        };
        let function = v1::ConnectorFunction {
            events: (0..1_000).map(event).collect(),
            ..Default::default()
        };
        let chosen = [name(0), name(999)];
        let choices = Choices::of(&group(&["*"]), Some(&function), &chosen);
        assert!(choices.unlisted > 0);
        assert_eq!(choices.listed.len() + choices.unlisted, 1_000);
        assert!(choices.listed[0].ticked);
        assert_eq!(choices.others, name(999));
    }
}
