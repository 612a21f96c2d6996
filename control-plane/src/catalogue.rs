//! The built-in connectors: the data files in `control-plane/connectors`, embedded in the binary.

use hookplane_proto::v1;

/// All built-in connectors, by name.
pub struct Catalogue {}

impl Catalogue {
    /// Reads the embedded files. An error names file, line and field; the tests read them all, so a release has none.
    pub fn built_in() -> Result<Self, String> {
        todo!()
    }

    /// One by its id.
    pub fn get(&self, _name: &str) -> Option<&v1::Connector> {
        todo!()
    }

    /// All, in order of their ids.
    pub fn all(&self) -> impl Iterator<Item = &v1::Connector> {
        std::iter::empty()
    }
}
