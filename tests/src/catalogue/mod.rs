//! The built-in connectors against their vectors: requests as providers post them, good and tampered, signed by what knows nothing of our rules.
//!
//! ```text
//!  control-plane/connectors/NAME.yaml ─▶ group ─┐
//!                                               ├─▶ admit ─▶ verify ─▶ extract ─▶ as expected?
//!  tests/vectors/NAME.json ─▶ case ─▶ callback ─┘
//! ```

mod case;
mod page;
mod run;
pub mod samples;
mod table;

use std::path::PathBuf;

use hookplane_control_plane::catalogue::Catalogue;
use hookplane_proto::v1;

pub use case::{Case, cases};
pub use page::{page, write_page};
pub use run::{Found, callback, check, group, secrets, spec_of};
pub use table::Table;

/// A file or folder of the tests.
pub fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// All built-in connectors, in order of their names.
pub fn connectors() -> Vec<v1::Connector> {
    let catalogue = Catalogue::built_in();
    catalogue.all().cloned().collect()
}

/// One of them.
pub fn connector(name: &str) -> v1::Connector {
    let catalogue = Catalogue::built_in();
    let found = catalogue.get(name).cloned();
    found.unwrap_or_else(|| panic!("there is no connector {name}"))
}

/// A connector's name.
pub fn name(connector: &v1::Connector) -> &str {
    let metadata = connector.metadata.as_ref();
    metadata.map_or("", |metadata| metadata.name.as_str())
}
