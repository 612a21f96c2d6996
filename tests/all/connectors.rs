//! The built-in connectors' files: what a user needs of each is there.

use hookplane_tests::catalogue::{connectors, name};

#[test]
fn every_connector_tells_its_user_what_to_do_and_has_a_sample() {
    let mut wrong = Vec::new();
    for connector in connectors() {
        let id = name(&connector).to_owned();
        let spec = connector.spec.unwrap_or_default();
        let protocol = spec.protocol.clone().unwrap_or_default();
        let mut say = |what: &str| wrong.push(format!("{id}: {what}"));
        for (what, text) in [
            ("displayName", &spec.display_name),
            ("description", &spec.description),
            ("protocol.retries", &protocol.retries),
        ] {
            if text.is_empty() {
                say(&format!("{what} is missing"));
            }
        }
        if spec.sources.is_empty() {
            say("it has no source");
        }
        if spec.confidence == 0 {
            say("its confidence is missing");
        }
        if !spec.tests.is_empty() {
            say("its vectors belong into tests/vectors");
        }
        for function in &spec.functions {
            let at = &function.name;
            if function.setup.is_empty()
                || function.display_name.is_empty()
                || function.description.is_empty()
            {
                say(&format!(
                    "function {at} lacks displayName, description or setup"
                ));
            }
            if function
                .events
                .iter()
                .any(|event| event.description.is_empty())
            {
                say(&format!("an event of function {at} lacks its description"));
            }
            let has_sample = function.events.iter().any(|event| event.sample.is_some());
            if !has_sample && function.unsupported.is_empty() {
                say(&format!("function {at} has no sample"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
