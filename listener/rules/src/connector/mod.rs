//! A connector's definition, compiled: every location, template and condition parsed, every bound checked.
//!
//! | file | holds |
//! | --- | --- |
//! | `mod.rs` | the compiled shapes |
//! | `compile.rs` | a definition's functions and parameters |
//! | `protocol.rs` | how one function speaks: methods, extraction, batch, answer |
//! | `scheme.rs` | how a callback is proven genuine |
//! | `handshake.rs` | what only proves that the URL is ours |

mod compile;
mod handshake;
mod protocol;
mod scheme;

use std::sync::Arc;
use std::time::Duration;

use hookplane_proto::v1;
use http::Method;

use crate::callback::Reply;
use crate::error::FieldError;
use crate::location::{Condition, Location};

pub(crate) use compile::Errors;
pub(crate) use handshake::{Answering, Handshake};
pub(crate) use protocol::MAX_BODY_BYTES;
pub(crate) use scheme::{
    Encoding, Format, Hash, Key, KeyedHash, Proof, Scheme, SignedTime, Unit, Window,
};

/// A connector whose every location, template and condition has been parsed.
#[derive(Debug)]
pub struct Connector {
    pub(crate) name: String,
    pub(crate) functions: Vec<Function>,
    pub(crate) parameters: Vec<v1::ConnectorParameter>,
}

/// One API of the provider that posts callbacks.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) events: Vec<v1::ConnectorEvent>,
    pub(crate) open_events: bool,
    pub(crate) protocol: Protocol,
}

/// How a function speaks. Parts are shared with the connector's other functions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Protocol {
    pub(crate) methods: Vec<Method>,
    pub(crate) content_types: Vec<String>,
    pub(crate) max_body_bytes: Option<u64>,
    pub(crate) schemes: Vec<Arc<Scheme>>,
    pub(crate) handshakes: Vec<Arc<Handshake>>,
    pub(crate) extract: Option<Arc<Extraction>>,
    pub(crate) batch: Option<Batch>,
    pub(crate) answer: Option<Answer>,
}

/// What is read out of a genuine callback.
#[derive(Debug, Default)]
pub(crate) struct Extraction {
    pub(crate) event_type: Vec<Value>,
    pub(crate) delivery_id: Vec<Value>,
    pub(crate) delivery_id_is_unique: bool,
    pub(crate) external_id: Vec<Value>,
    pub(crate) json_form_field: Option<String>,
}

/// One value: a location, or several joined.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) parts: Vec<Location>,
    pub(crate) separator: String,
    pub(crate) when: Option<Condition>,
}

impl Value {
    /// Whether each item of a batch may have another.
    pub(crate) fn is_of_item(&self) -> bool {
        let of_item = |location: &Location| matches!(location, Location::Item(_));
        self.parts.iter().any(of_item)
            || self.when.as_ref().is_some_and(|when| {
                let equals = when.equals.as_ref().map(|(location, _)| location);
                [when.present.as_ref(), when.absent.as_ref(), equals]
                    .into_iter()
                    .flatten()
                    .any(of_item)
            })
    }
}

/// A callback that holds several events.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) items: Vec<String>,
    pub(crate) max_items: usize,
}

/// What the provider wants to hear.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) patience: Option<Duration>,
}

impl Connector {
    /// Compiles a definition. Errors name fields as the manifest has them, from `spec` on.
    pub fn compile(definition: &v1::Connector) -> Result<Arc<Self>, Vec<FieldError>> {
        compile::connector(definition).map(Arc::new)
    }

    /// The digest that names this very definition: SHA-256 over its canonical bytes, in hex. Groups pin it.
    pub fn version_of(spec: &v1::ConnectorSpec) -> String {
        compile::version_of(spec)
    }

    /// The function of that name; the first where none is named.
    pub(crate) fn function(&self, name: &str) -> Option<&Function> {
        if name.is_empty() {
            self.functions.first()
        } else {
            self.functions.iter().find(|function| function.name == name)
        }
    }

    /// The functions' names, for messages.
    pub(crate) fn function_names(&self) -> String {
        let names: Vec<&str> = self
            .functions
            .iter()
            .map(|function| function.name.as_str())
            .collect();
        names.join(", ")
    }
}

impl Function {
    /// Whether it posts an event of this name, or events below it.
    pub(crate) fn knows(&self, event: &str) -> bool {
        event == "*"
            || self.open_events
            || self
                .events
                .iter()
                .any(|known| takes(event, &known.name) || takes(&known.name, event))
    }
}

/// Whether an event name as people write it takes this event: itself, all below it at a dot, or everything.
pub(crate) fn takes(pattern: &str, event: &str) -> bool {
    pattern == "*"
        || event
            .strip_prefix(pattern)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
