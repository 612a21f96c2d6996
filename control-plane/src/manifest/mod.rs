//! Manifest files: YAML (or JSON) documents read straight into the wire's messages, with the line every field stands on.
//!
//! ```text
//!   text ─ tree ─▶ Node (places) ─ references ─▶ Node ─ decode ─▶ v1::Manifest
//! ```
//!
//! Guarantees:
//! - What is not known is an error: no field, key or kind is skipped in silence. Every error has a line and a column.
//! - Input is bounded: [`MAX_BYTES`], [`MAX_DOCUMENTS`], [`tree::MAX_DEPTH`], and [`tree::MAX_NODES`] for what aliases make of it.
//! - No value is guessed: a field that is text takes `no`, `1.10` and `012` as they are written.
//! - `status` and the output-only metadata are taken and ignored, so that what `get -o yaml` prints can be applied.
//!
//! What it does not do: check what fields mean. That is admission's, on the server.

mod decode;
mod references;
pub mod tree;

use hookplane_proto::v1;
use hookplane_proto::v1::manifest::Resource;

pub use references::Reference;
use tree::{Node, Place, Value};

/// What the documents' `apiVersion` says.
pub const API_VERSION: &str = "hookplane.dev/v1";

/// A file's size, in bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Documents in a file: what one plan takes.
pub const MAX_DOCUMENTS: usize = 1000;

const KINDS: &str = "`Org`, `Connector`, `WebhookGroup`, `Webhook`, `Destination`";

/// One document of a file.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it says.
    pub manifest: v1::Manifest,
    root: Node,
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

impl ManifestError {
    fn at(place: Place, message: impl Into<String>) -> Self {
        Self {
            line: place.line,
            column: place.column,
            message: message.into(),
        }
    }
}

/// Reads all documents of a file. `{env: …}` and `{file: …}` are refused: see [`parse_with`].
pub fn parse(text: &str) -> Result<Vec<Document>, ManifestError> {
    parse_with(text, &mut |_| {
        Err("only the command line resolves `env` and `file`; give a `value`".to_owned())
    })
}

/// Reads all documents of a file, with values that stand elsewhere brought in by `resolve`.
pub fn parse_with(
    text: &str,
    resolve: &mut dyn FnMut(&Reference) -> Result<String, String>,
) -> Result<Vec<Document>, ManifestError> {
    read(text, &mut |reference| resolve(reference).map(Some))
}

/// The same where nothing is saved: what `resolve` can't bring in is left out, which means what is stored, if anything is.
pub fn parse_to_try(
    text: &str,
    resolve: &mut dyn FnMut(&Reference) -> Result<String, String>,
) -> Result<Vec<Document>, ManifestError> {
    read(text, &mut |reference| {
        let found = resolve(reference).ok();
        Ok(found.filter(|text| !text.is_empty()))
    })
}

fn read(text: &str, resolve: references::Resolve<'_>) -> Result<Vec<Document>, ManifestError> {
    let mut documents = Vec::new();
    for root in tree::read(text)? {
        for root in unlisted(root)? {
            if documents.len() == MAX_DOCUMENTS {
                return Err(ManifestError::at(
                    root.place,
                    format!("more than {MAX_DOCUMENTS} documents in one file: apply it in parts"),
                ));
            }
            documents.push(document(root, resolve)?);
        }
    }
    Ok(documents)
}

/// The items of a list as `get -o json` prints it; any other document is itself.
fn unlisted(root: Node) -> Result<Vec<Node>, ManifestError> {
    if root.get("items").is_none() || root.get("spec").is_some() {
        return Ok(vec![root]);
    }
    let Value::Map(entries) = root.value else {
        return Ok(Vec::new());
    };
    let mut items = Vec::new();
    for entry in entries {
        match (entry.key.as_str(), entry.node.value) {
            ("items", Value::List(list)) => items = list,
            ("apiVersion" | "kind" | "metadata", _) => {}
            ("items", _) => {
                return Err(ManifestError::at(entry.place, "items: expected a list"));
            }
            (key, _) => {
                return Err(ManifestError::at(
                    entry.place,
                    format!("{key}: unknown field; a list has `items` alone"),
                ));
            }
        }
    }
    Ok(items)
}

fn document(mut root: Node, resolve: references::Resolve<'_>) -> Result<Document, ManifestError> {
    if !matches!(root.value, Value::Map(_)) {
        return Err(ManifestError::at(
            root.place,
            format!(
                "expected a document with `apiVersion: {API_VERSION}`, `kind`, `metadata` and `spec`, found {}",
                root.found()
            ),
        ));
    }
    let version = text_of(&root, "apiVersion", &format!("`{API_VERSION}`"))?;
    if version.0 != API_VERSION {
        return Err(ManifestError::at(
            version.1,
            format!(
                "apiVersion: `{}` is not known; use `{API_VERSION}`",
                version.0
            ),
        ));
    }
    let (kind, kind_place) = text_of(&root, "kind", KINDS)?;
    known_keys(&root)?;
    references::resolve(&kind, &mut root, resolve)?;
    let metadata = metadata(&root)?;
    let resource = match kind.as_str() {
        "Org" => Resource::Org(v1::Org {
            metadata,
            spec: Some(match root.get("spec") {
                Some(spec) => decode::decode(spec, "spec")?,
                None => v1::OrgSpec::default(),
            }),
        }),
        "Connector" => Resource::Connector(v1::Connector {
            metadata,
            spec: Some(spec(&root)?),
        }),
        "WebhookGroup" => Resource::WebhookGroup(v1::WebhookGroup {
            metadata,
            spec: Some(spec(&root)?),
            status: None,
        }),
        "Webhook" => Resource::Webhook(v1::Webhook {
            metadata,
            spec: Some(spec(&root)?),
            status: None,
        }),
        "Destination" => Resource::Destination(v1::Destination {
            metadata,
            spec: Some(spec(&root)?),
            status: None,
        }),
        _ => {
            return Err(ManifestError::at(
                kind_place,
                format!("kind: `{kind}` is not known; the kinds are {KINDS}"),
            ));
        }
    };
    Ok(Document {
        manifest: v1::Manifest {
            resource: Some(resource),
        },
        root,
    })
}

fn known_keys(root: &Node) -> Result<(), ManifestError> {
    let Value::Map(entries) = &root.value else {
        return Ok(());
    };
    for entry in entries {
        if !matches!(
            entry.key.as_str(),
            "apiVersion" | "kind" | "metadata" | "spec" | "status"
        ) {
            return Err(ManifestError::at(
                entry.place,
                format!(
                    "{}: unknown field; known are `apiVersion`, `kind`, `metadata`, `spec`",
                    entry.key
                ),
            ));
        }
    }
    Ok(())
}

fn metadata(root: &Node) -> Result<Option<v1::Metadata>, ManifestError> {
    let Some(node) = root.get("metadata") else {
        return Err(ManifestError::at(
            root.place,
            "metadata: missing; it holds at least `name`",
        ));
    };
    let read: v1::Metadata = decode::decode(node, "metadata")?;
    Ok(Some(v1::Metadata {
        org: read.org,
        group: read.group,
        name: read.name,
        ..v1::Metadata::default()
    }))
}

fn spec<T: serde::de::DeserializeOwned>(root: &Node) -> Result<T, ManifestError> {
    match root.get("spec") {
        Some(node) => decode::decode(node, "spec"),
        None => Err(ManifestError::at(root.place, "spec: missing")),
    }
}

fn text_of(root: &Node, key: &str, expected: &str) -> Result<(String, Place), ManifestError> {
    match root.get(key) {
        Some(Node {
            value: Value::Scalar { text, .. },
            place,
        }) => Ok((text.clone(), *place)),
        Some(node) => Err(ManifestError::at(
            node.place,
            format!("{key}: expected {expected}, found {}", node.found()),
        )),
        None => Err(ManifestError::at(
            root.place,
            format!("{key}: missing; expected {expected}"),
        )),
    }
}

impl Document {
    /// Line and column of a field such as `spec.registeredEvents[1]`, or of the nearest part of it that the document has.
    pub fn locate(&self, field: &str) -> (usize, usize) {
        let place = self.root.locate(field);
        (place.line, place.column)
    }

    /// The org, group and name that the document's metadata gives.
    pub fn metadata(&self) -> v1::Metadata {
        match &self.manifest.resource {
            Some(Resource::Org(org)) => org.metadata.clone(),
            Some(Resource::Connector(connector)) => connector.metadata.clone(),
            Some(Resource::WebhookGroup(group)) => group.metadata.clone(),
            Some(Resource::Webhook(webhook)) => webhook.metadata.clone(),
            Some(Resource::Destination(destination)) => destination.metadata.clone(),
            None => None,
        }
        .unwrap_or_default()
    }
}

#[cfg(test)]
mod places;
#[cfg(test)]
mod tests;
