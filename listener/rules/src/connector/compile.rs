//! A definition's functions, events and parameters.

use std::collections::BTreeSet;

use hookplane_proto::v1;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::{Connector, Function, protocol};
use crate::error::FieldError;

const MAX_FUNCTIONS: usize = 64;
const MAX_EVENTS: usize = 2_000;
const MAX_PARAMETERS: usize = 32;
const MAX_NAME_CHARS: usize = 63;
const MAX_EVENT_NAME_CHARS: usize = 200;
/// A definition's encoded size: it is stored, pinned and streamed whole.
const MAX_SPEC_BYTES: usize = 512 * 1024;

/// Collects what is wrong, each with its place.
pub(crate) struct Errors {
    list: Vec<FieldError>,
}

impl Errors {
    pub(crate) fn new() -> Self {
        Self { list: Vec::new() }
    }

    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.list.push(FieldError::new(field, message));
    }

    /// The value, or the error noted at the field.
    pub(crate) fn take<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }

    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        match value {
            Some(value) if self.list.is_empty() => Ok(value),
            _ => Err(self.list),
        }
    }
}

pub(super) fn version_of(spec: &v1::ConnectorSpec) -> String {
    // Maps are ordered, and prost writes fields in the order of their numbers: the same definition gives the same bytes.
    hex::encode(Sha256::digest(spec.encode_to_vec()))
}

pub(super) fn connector(definition: &v1::Connector) -> Result<Connector, Vec<FieldError>> {
    let mut errors = Errors::new();
    let name = definition
        .metadata
        .as_ref()
        .map(|metadata| metadata.name.clone())
        .unwrap_or_default();
    let default = v1::ConnectorSpec::default();
    let spec = definition.spec.as_ref().unwrap_or(&default);
    if spec.encoded_len() > MAX_SPEC_BYTES {
        errors.add(
            "spec",
            format!("the definition is larger than {MAX_SPEC_BYTES} bytes"),
        );
        return errors.finish(None);
    }
    parameters(&spec.parameters, &mut errors);
    let shared = protocol::compile(
        spec.protocol.as_ref(),
        "spec.protocol",
        &spec.parameters,
        &mut errors,
    );
    if spec.functions.is_empty() {
        errors.add("spec.functions", "needs at least one function");
    }
    if spec.functions.len() > MAX_FUNCTIONS {
        errors.add("spec.functions", format!("more than {MAX_FUNCTIONS}"));
    }
    let mut names = BTreeSet::new();
    let mut functions = Vec::new();
    for (index, function) in spec.functions.iter().take(MAX_FUNCTIONS).enumerate() {
        let at = format!("spec.functions[{index}]");
        name_of(&function.name, &format!("{at}.name"), &mut errors);
        if !names.insert(function.name.as_str()) {
            errors.add(
                format!("{at}.name"),
                format!("`{}` is there twice", function.name),
            );
        }
        events(function, &at, &mut errors);
        let own = protocol::compile(
            function.protocol.as_ref(),
            &format!("{at}.protocol"),
            &spec.parameters,
            &mut errors,
        );
        let protocol = protocol::over(&shared, own);
        // One that is there and wrong has been said.
        let written = [&spec.protocol, &function.protocol]
            .into_iter()
            .flatten()
            .any(|protocol| !protocol.schemes.is_empty());
        if protocol.schemes.is_empty() && !written {
            errors.add(
                at.clone(),
                "has no scheme: say under `protocol.schemes` how a callback is proven genuine, or `unsigned: {}`",
            );
        }
        protocol::together(&protocol, &at, &mut errors);
        functions.push(Function {
            name: function.name.clone(),
            events: function.events.clone(),
            open_events: function.open_events,
            protocol,
        });
    }
    errors.finish(Some(Connector {
        name,
        functions,
        parameters: spec.parameters.clone(),
    }))
}

fn parameters(parameters: &[v1::ConnectorParameter], errors: &mut Errors) {
    if parameters.len() > MAX_PARAMETERS {
        errors.add("spec.parameters", format!("more than {MAX_PARAMETERS}"));
    }
    let mut names = BTreeSet::new();
    for (index, parameter) in parameters.iter().enumerate() {
        let at = format!("spec.parameters[{index}].name");
        let well_formed = !parameter.name.is_empty()
            && parameter.name.len() <= MAX_NAME_CHARS
            && parameter
                .name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !well_formed {
            errors.add(
                at.clone(),
                format!(
                    "`{}` is no name: letters, digits, - and _, at most {MAX_NAME_CHARS}",
                    parameter.name
                ),
            );
        }
        if !names.insert(parameter.name.as_str()) {
            errors.add(at, format!("`{}` is there twice", parameter.name));
        }
    }
}

fn events(function: &v1::ConnectorFunction, at: &str, errors: &mut Errors) {
    if function.events.is_empty() && !function.open_events {
        errors.add(
            format!("{at}.events"),
            "needs events, or `openEvents: true` where the provider's users make up their names",
        );
    }
    if function.events.len() > MAX_EVENTS {
        errors.add(format!("{at}.events"), format!("more than {MAX_EVENTS}"));
    }
    let mut names = BTreeSet::new();
    for (index, event) in function.events.iter().take(MAX_EVENTS).enumerate() {
        let at = format!("{at}.events[{index}].name");
        let name = event.name.as_str();
        if name.is_empty() || name == "*" || name.len() > MAX_EVENT_NAME_CHARS {
            errors.add(
                at,
                format!(
                    "`{name}` is no event name: one to {MAX_EVENT_NAME_CHARS} characters, not `*`"
                ),
            );
        } else if !names.insert(name) {
            errors.add(at, format!("`{name}` is there twice"));
        }
    }
}

/// A name as it stands in URLs and keys.
pub(crate) fn name_of(name: &str, at: &str, errors: &mut Errors) {
    let well_formed = !name.is_empty()
        && name.len() <= MAX_NAME_CHARS
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !well_formed {
        errors.add(
            at,
            format!("`{name}` is no name: lower-case letters, digits and dashes inside, at most {MAX_NAME_CHARS}"),
        );
    }
}
