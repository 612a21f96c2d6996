//! Manifest files: YAML documents read straight into the wire's messages, and the line a field stands on.

use hookplane_proto::v1;

/// One document of a file.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it says.
    pub manifest: v1::Manifest,
}

/// A file that can't be read: each with line and column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ManifestError {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong, with the field's name.
    pub message: String,
}

/// Reads all documents of a file.
pub fn parse(_text: &str) -> Result<Vec<Document>, ManifestError> {
    todo!()
}

impl Document {
    /// Line and column of a field such as `spec.registeredEvents[1]`, or of the nearest part of it that the document has.
    pub fn locate(&self, _field: &str) -> (usize, usize) {
        todo!()
    }
}
