//! Functions: the parts of connectors, with their events and how they are set up.

use std::rc::Rc;

use hookplane_proto::v1;

use super::about::Text;
use super::{path, show};
use crate::args::Format;
use crate::commands::items::{self, confidence};
use crate::failure::Failure;
use crate::names::Name;
use crate::output::table::Table;

/// Functions, and for a single one its events and set-up.
pub(super) fn show_functions(
    format: Format,
    connectors: Vec<v1::Connector>,
    name: &Name,
) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut of_connector = Vec::new();
    for connector in connectors {
        let metadata = connector.metadata.unwrap_or_default();
        let mut spec = connector.spec.unwrap_or_default();
        let functions = std::mem::take(&mut spec.functions);
        let spec = Rc::new(spec);
        let named = [name.part(0), name.part(1)].contains(&metadata.name.as_str());
        for function in functions {
            if named {
                of_connector.push(path(&[&metadata.org, &metadata.name, &function.name]));
            }
            if wanted(name, &metadata, &function.name) {
                found.push((metadata.clone(), Rc::clone(&spec), function));
            }
        }
    }
    if found.is_empty() && name.len() > 0 {
        return Err(if of_connector.is_empty() {
            Failure::new("no such connector").hint("`hookplane get connectors` lists them all")
        } else {
            Failure::new("no such function").hint(format!("there are {}", of_connector.join(", ")))
        });
    }
    let mut table = Table::new(&[
        "NAME",
        "DISPLAY NAME",
        "CONFIDENCE",
        "EVENTS",
        "DESCRIPTION",
    ]);
    if let [(_, spec, function)] = found.as_slice() {
        table.after(&about(spec, function));
    } else if let Some((metadata, _, function)) = found.first().filter(|_| name.len() > 0) {
        let mut text = Text::default();
        text.more(&path(&[&metadata.org, &metadata.name, &function.name]));
        table.after(&text.into_string());
    }
    show(
        format,
        found,
        |(metadata, spec, function)| {
            (
                items::function(&metadata, &spec, function),
                (metadata, spec),
            )
        },
        table,
        |(item, (metadata, spec))| {
            vec![
                path(&[&metadata.org, &metadata.name, &item.spec.name]),
                item.spec.display_name.clone(),
                confidence(spec.confidence()).to_owned(),
                format!(
                    "{}{}",
                    item.spec.events.len(),
                    if item.spec.open_events {
                        " and others"
                    } else {
                        ""
                    }
                ),
                match item.spec.unsupported.as_str() {
                    "" => item.spec.description.clone(),
                    why => format!("not supported: {why}"),
                },
            ]
        },
    )
}

fn wanted(name: &Name, connector: &v1::Metadata, function: &str) -> bool {
    match name.len() {
        0 => true,
        1 => connector.name == name.part(0),
        2 => {
            (connector.org.is_empty() && connector.name == name.part(0) && function == name.part(1))
                || (connector.org == name.part(0) && connector.name == name.part(1))
        }
        _ => {
            connector.org == name.part(0)
                && connector.name == name.part(1)
                && function == name.part(2)
        }
    }
}

/// The events and the set-up of one function. `*` marks events with a sample.
fn about(spec: &v1::ConnectorSpec, function: &v1::ConnectorFunction) -> String {
    let mut text = Text::default();
    text.say("Not supported", &function.unsupported);
    let width = function
        .events
        .iter()
        .map(|event| event.name.chars().count())
        .max()
        .unwrap_or(0);
    let events = function.events.iter().map(|event| {
        let mark = if event.sample.is_some() { "*" } else { " " };
        format!("{mark} {:width$}  {}", event.name, event.description)
    });
    text.list(
        "Events (those with * have a sample for `hookplane send`)",
        events,
    );
    if function.open_events {
        text.say("", "The provider or its users make up further events.");
    }
    text.say("Set-up", &function.setup);
    text.asks(spec);
    text.standing(spec);
    text.limitations(spec);
    let own = function.protocol.as_ref();
    let shared = spec.protocol.as_ref();
    let retries = own
        .into_iter()
        .chain(shared)
        .map(|protocol| &protocol.retries);
    let retries = retries.into_iter().find(|retries| !retries.is_empty());
    text.say("Retries", retries.map_or("", String::as_str));
    text.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_wanted_by_its_path() -> Result<(), Failure> {
        let built_in = v1::Metadata {
            name: "github".into(),
            ..Default::default()
        };
        let own = v1::Metadata {
            org: "acme".into(),
            name: "erp".into(),
            ..Default::default()
        };
        for (name, connector, yes) in [
            ("github", &built_in, true),
            ("github/webhooks", &built_in, true),
            ("github/apps", &built_in, false),
            ("acme/erp", &own, true),
            ("acme/erp/webhooks", &own, true),
            ("github", &own, false),
        ] {
            let name = Name::parse(Some(name), 3, "")?;
            assert_eq!(wanted(&name, connector, "webhooks"), yes, "{name:?}");
        }
        Ok(())
    }
}
