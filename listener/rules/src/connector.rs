//! A connector's definition, compiled.

use std::sync::Arc;

use hookplane_proto::v1;

use crate::FieldError;

/// A connector whose every location, template and condition has been parsed.
#[derive(Debug)]
pub struct Connector {}

impl Connector {
    /// Compiles a definition. Errors name fields as the manifest has them, from `spec` on.
    pub fn compile(_definition: &v1::Connector) -> Result<Arc<Self>, Vec<FieldError>> {
        todo!()
    }

    /// The digest that names this very definition: SHA-256 over its canonical bytes, in hex. Groups pin it.
    pub fn version_of(_spec: &v1::ConnectorSpec) -> String {
        todo!()
    }
}
