//! A connector's definition, compiled.
//!
//! ```text
//!  spec.protocol ─┐ (a function's own fields win)
//!                 ├─▶ protocol ─▶ schemes · conditions · handshakes · extraction · batch · answer
//!  functions[i] ──┘
//! ```
//!
//! What compiles can be run on any request without an error of the definition's own: every location, template and condition is
//! parsed, every enum is stated, every bound is kept. Whoever writes a definition is told all that is wrong with it at once.

mod batch;
mod condition;
mod coverage;
mod errors;
mod extraction;
mod handshake;
mod key;
mod oracle;
mod overlap;
mod protocol;
mod public_key;
mod reply;
mod scheme;
mod signature;
#[cfg(test)]
mod tests;
mod web_token;

use std::collections::BTreeSet;
use std::sync::Arc;

use hookplane_proto::v1;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::FieldError;

pub(crate) use batch::{Batch, MOST_ITEMS};
pub(crate) use condition::Condition;
pub(crate) use coverage::Coverage;
pub(crate) use errors::Errors;
pub(crate) use extraction::{Extraction, Source, Value};
pub(crate) use handshake::{Challenge, Handshake};
pub(crate) use key::KeySpec;
pub(crate) use oracle::Mimicked;
pub(crate) use overlap::overlapping;
pub(crate) use protocol::{Protocol, check_limit};
pub(crate) use public_key::{KeyPlace, PublicKeySignature};
pub(crate) use scheme::{HashKind, KeyedHash, Proof, Scheme, SignedTime, Token, TokenPlace};
pub(crate) use signature::{Carrier, Format, PairKey};
pub(crate) use web_token::{ClaimRule, Detached, ObjectIdentifier, TokenKeys, TokenKind, WebToken};

/// Functions of one connector.
const MAX_FUNCTIONS: usize = 64;
/// Events of one function.
const MAX_EVENTS: usize = 1_000;
/// Parameters of one connector.
const MAX_PARAMETERS: usize = 16;
/// The longest name of an event, in bytes.
pub(crate) const MAX_EVENT_NAME_BYTES: usize = 200;
/// The longest text for people, and the longest sample, in bytes.
const MAX_PROSE_BYTES: usize = 65_536;
/// The whole definition, in bytes: with its group it must fit one message of the config stream.
const MAX_DEFINITION_BYTES: usize = 512 * 1024;

/// A connector whose every location, template and condition has been parsed.
#[derive(Debug)]
pub struct Connector {
    /// Empty: built in.
    org: String,
    pub(crate) name: String,
    /// In the definition's order.
    functions: Vec<Listed>,
    pub(crate) parameters: Vec<v1::ConnectorParameter>,
}

/// A function by its name: one to make groups of, or why none can be made.
#[derive(Debug)]
struct Listed {
    name: String,
    function: Result<Arc<Function>, String>,
}

/// One API of the provider's.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) events: Vec<v1::ConnectorEvent>,
    pub(crate) open_events: bool,
    pub(crate) protocol: Protocol,
    /// What could be a challenge that a handshake signs, of this function or another.
    pub(crate) mimicked: Vec<Mimicked>,
}

impl Connector {
    /// Compiles a definition. Errors name fields as the manifest has them, from `spec` on.
    pub fn compile(definition: &v1::Connector) -> Result<Arc<Self>, Vec<FieldError>> {
        let mut errors = Errors::default();
        let v1::Metadata { org, name, .. } = definition.metadata.clone().unwrap_or_default();
        if !is_name(&name) {
            errors.add("metadata.name", not_a_name(&name));
        }
        let Some(spec) = &definition.spec else {
            errors.add("spec", "is missing");
            return Err(errors.list);
        };
        let size = spec.encoded_len();
        if size > MAX_DEFINITION_BYTES {
            errors.add(
                "spec",
                format!("is {size} bytes in all, at most {MAX_DEFINITION_BYTES} are taken; shorten its samples"),
            );
            return Err(errors.list);
        }
        check_parameters(&spec.parameters, &mut errors);
        errors.parameters = spec
            .parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.secret))
            .collect();
        if spec.functions.is_empty() {
            errors.add(
                "spec.functions",
                "is empty; a connector has at least one function",
            );
        }
        errors.at_most(
            "spec.functions",
            spec.functions.len(),
            MAX_FUNCTIONS,
            "functions",
        );
        let mut seen = BTreeSet::new();
        let mut functions = Vec::new();
        for (index, function) in spec.functions.iter().take(MAX_FUNCTIONS).enumerate() {
            let at = format!("spec.functions[{index}]");
            if !is_name(&function.name) {
                errors.add(format!("{at}.name"), not_a_name(&function.name));
            }
            if !seen.insert(&function.name) {
                errors.add(
                    format!("{at}.name"),
                    format!("`{}` is there twice", function.name),
                );
            }
            errors.prose(format!("{at}.setup"), &function.setup);
            check_events(function, &at, &mut errors);
            let name = function.name.clone();
            if !function.unsupported.is_empty() {
                errors.prose(format!("{at}.unsupported"), &function.unsupported);
                functions.push(Listed {
                    name,
                    function: Err(function.unsupported.clone()),
                });
                continue;
            }
            let protocol = Protocol::compile(spec, function, &at, &mut errors);
            functions.extend(protocol.map(|protocol| Listed {
                name,
                function: Ok(Arc::new(Function {
                    name: function.name.clone(),
                    events: function.events.clone(),
                    open_events: function.open_events,
                    protocol,
                    mimicked: Vec::new(),
                })),
            }));
        }
        guard_against_oracles(&mut functions, &mut errors);
        if !errors.list.is_empty() {
            return Err(errors.list);
        }
        Ok(Arc::new(Self {
            org,
            name,
            functions,
            parameters: spec.parameters.clone(),
        }))
    }

    /// The digest that names this very definition: SHA-256 over its canonical bytes, in hex. Groups pin it.
    pub fn version_of(spec: &v1::ConnectorSpec) -> String {
        // Maps are ordered and prost writes fields by number, so equal definitions have equal bytes.
        hex::encode(Sha256::digest(spec.encode_to_vec()))
    }

    /// What is said of an event that a function doesn't know.
    pub(crate) fn no_such_event(&self, function: &Function, event: &str) -> String {
        let slash = if self.org.is_empty() { "" } else { "/" };
        format!(
            "`{event}` is no event of function `{1}` of connector `{0}`; `hookplane get functions {2}{slash}{0}/{1}` lists them",
            self.name, function.name, self.org
        )
    }

    /// All that groups can be made of.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions
            .iter()
            .filter_map(|listed| listed.function.as_ref().ok())
    }

    /// The function of this name; the first one when no name is given. Else why no group can be made of it.
    pub(crate) fn function(&self, name: &str) -> Result<&Arc<Function>, String> {
        let found = match name {
            "" => self.functions.first(),
            _ => self.functions.iter().find(|listed| listed.name == name),
        };
        match found {
            Some(Listed {
                function: Ok(function),
                ..
            }) => Ok(function),
            Some(Listed {
                name,
                function: Err(reason),
            }) => Err(format!(
                "function `{name}` of connector `{}` is not supported: {reason}",
                self.name
            )),
            None => Err(format!(
                "connector `{}` has no function `{name}`; it has {}",
                self.name,
                self.function_names()
            )),
        }
    }

    /// For an operator: which functions there are.
    fn function_names(&self) -> String {
        let names: Vec<&str> = self.functions.iter().map(|f| f.name.as_str()).collect();
        names.join(", ")
    }
}

impl Function {
    /// For each of `asked`, in their order: whether the provider could post an event that it takes.
    pub(crate) fn knows<'n>(&'n self, asked: impl Iterator<Item = &'n str>) -> Vec<bool> {
        match self.open_events {
            true => asked.map(|_| true).collect(),
            false => overlapping(asked, self.events.iter().map(|event| event.name.as_str())),
        }
    }
}

/// True when the name `asked` takes the event `actual`: it is the same, or above it at a dot, or `*`.
pub fn takes(asked: &str, actual: &str) -> bool {
    asked == "*"
        || actual
            .strip_prefix(asked)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What is wrong with an event's name, if anything.
pub(crate) fn event_name_problem(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("is empty; an event has a name, `*` stands for all".to_owned())
    } else if name.len() > MAX_EVENT_NAME_BYTES {
        Some(format!(
            "is {} bytes long, at most {MAX_EVENT_NAME_BYTES} are taken",
            name.len()
        ))
    } else if name.chars().any(char::is_control) {
        Some("holds a control character".to_owned())
    } else {
        None
    }
}

/// Of what is quoted as no name, in bytes.
const MAX_NAME_SHOWN_BYTES: usize = 100;

/// Lower-case letters, digits and dashes, at most 63, beginning and ending with a letter or digit.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(|b| plain(*b))
        && bytes.last().is_some_and(|b| plain(*b))
        && bytes.iter().all(|b| plain(*b) || *b == b'-')
}

pub(crate) fn not_a_name(name: &str) -> String {
    let name = crate::text::clip(name, MAX_NAME_SHOWN_BYTES);
    format!(
        "`{name}` is no name; one is made of lower-case letters, digits and dashes, at most 63, and begins and ends with a letter or digit"
    )
}

/// One secret may be set for groups of several functions, so a handshake must sign for none of them.
fn guard_against_oracles(functions: &mut [Listed], errors: &mut Errors) {
    let mut all: Vec<(usize, Mimicked)> = Vec::new();
    for (index, listed) in functions.iter().enumerate() {
        let supported = listed.function.iter();
        let handshakes = supported.flat_map(|function| &function.protocol.handshakes);
        all.extend(handshakes.filter_map(|one| Some((index, one.mimicked()?))));
    }
    for (index, listed) in functions.iter_mut().enumerate() {
        let Some(function) = listed.function.as_mut().ok().and_then(Arc::get_mut) else {
            continue;
        };
        let schemes = &function.protocol.schemes;
        for (of, mimicked) in &all {
            if *of != index {
                let at = format!("spec.functions[{of}]");
                oracle::refuse_oracle(mimicked, schemes, &at, errors);
            }
        }
        function.mimicked = all
            .iter()
            .map(|(_, mimicked)| mimicked)
            .filter(|mimicked| schemes.iter().any(|scheme| mimicked.concerns(scheme)))
            .cloned()
            .collect();
    }
}

fn check_events(function: &v1::ConnectorFunction, at: &str, errors: &mut Errors) {
    if function.events.is_empty() && !function.open_events {
        errors.add(
            format!("{at}.events"),
            "is empty; list the function's events, or say `openEvents: true` where the provider's users make them up",
        );
    }
    errors.at_most(
        &format!("{at}.events"),
        function.events.len(),
        MAX_EVENTS,
        "events",
    );
    let mut seen = BTreeSet::new();
    for (index, event) in function.events.iter().take(MAX_EVENTS).enumerate() {
        let at = format!("{at}.events[{index}]");
        if let Some(problem) = event_name_problem(&event.name) {
            errors.add(format!("{at}.name"), problem);
        } else if event.name == "*" {
            errors.add(
                format!("{at}.name"),
                "`*` stands for all events and can't be one of them",
            );
        }
        if !seen.insert(&event.name) {
            errors.add(
                format!("{at}.name"),
                format!("`{}` is there twice", event.name),
            );
        }
        if let Some(sample) = &event.sample {
            errors.prose(format!("{at}.sample.body"), &sample.body);
            for name in sample.headers.keys() {
                if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                    errors.add(
                        format!("{at}.sample.headers"),
                        format!("`{name}` can't be a header's name"),
                    );
                }
            }
        }
    }
}

fn check_parameters(parameters: &[v1::ConnectorParameter], errors: &mut Errors) {
    errors.at_most(
        "spec.parameters",
        parameters.len(),
        MAX_PARAMETERS,
        "parameters",
    );
    let mut seen = BTreeSet::new();
    for (index, parameter) in parameters.iter().enumerate() {
        let at = format!("spec.parameters[{index}]");
        let plain = !parameter.name.is_empty()
            && parameter.name.len() <= 63
            && parameter
                .name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !plain {
            errors.add(
                format!("{at}.name"),
                "is made of letters, digits, dashes and underscores, at most 63",
            );
        }
        if !seen.insert(&parameter.name) {
            errors.add(
                format!("{at}.name"),
                format!("`{}` is there twice", parameter.name),
            );
        }
        if parameter.secret && !parameter.default_value.is_empty() {
            errors.add(
                format!("{at}.defaultValue"),
                "a secret that is written in a definition is none; leave it out",
            );
        }
    }
}
