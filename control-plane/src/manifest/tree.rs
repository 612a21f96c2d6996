//! YAML as a tree that remembers places: the least that is needed to say where something stands.
//!
//! An alias is read as a copy of what its anchor named, standing where the alias stands. A few aliases of aliases can name more than
//! memory holds, so copies count: [`MAX_NODES`] and [`MAX_COPIED_BYTES`] bound the tree however small the file is.
//!
//! Refused: merge keys and tags (a manifest needs none), a key twice in one mapping, keys that aren't text, an alias inside what it
//! names, more than [`MAX_DEPTH`] levels, a file over [`super::MAX_BYTES`].

mod read;

pub use read::read;

use super::MAX_BYTES;

/// Mappings and lists inside each other.
pub const MAX_DEPTH: usize = 48;

/// Values in one file, with each copy an alias makes and each that an anchor keeps for its aliases.
pub const MAX_NODES: usize = 200_000;

/// Bytes of text in those copies.
pub const MAX_COPIED_BYTES: usize = 4 * MAX_BYTES;

/// Keys in one mapping: looking for one that stands there twice compares with all before it.
pub const MAX_KEYS: usize = 4096;

/// Where something stands, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of the file.
    pub line: usize,
    /// In characters.
    pub column: usize,
}

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone)]
pub enum Value {
    /// Text as written, with escapes undone.
    Scalar {
        /// The text.
        text: String,
        /// Not quoted and no block: may be meant as a number, a boolean or nothing.
        plain: bool,
    },
    /// In order.
    List(Vec<Node>),
    /// In order; no key twice.
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key's place.
    pub place: Place,
    /// The key.
    pub key: String,
    /// Its value.
    pub node: Node,
}

// A manifest holds secrets: what is shown of it is its shape.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scalar { .. } => f.write_str("Scalar"),
            Self::List(list) => f.debug_list().entries(list).finish(),
            Self::Map(entries) => f.debug_list().entries(entries).finish(),
        }
    }
}

impl Node {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.node),
            _ => None,
        }
    }

    /// The value under a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries
                .iter_mut()
                .find(|entry| entry.key == key)
                .map(|entry| &mut entry.node),
            _ => None,
        }
    }

    /// What it is, for errors. Never the text, which may be a secret.
    pub fn found(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { plain: false, .. } => "quoted text",
            Value::Scalar { .. } => "a plain value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The place of a path such as `spec.registeredEvents[1]` below this node, or of its nearest part. A field's place is its key's.
    pub fn locate(&self, path: &str) -> Place {
        let (mut node, mut place, mut rest) = (self, self.place, path);
        while let Some((at, below, left)) = node.step(rest) {
            (place, node, rest) = (at, below, left);
        }
        place
    }

    /// The child that a path leads to, its place, and what is left of the path.
    pub(super) fn step<'a>(&self, path: &'a str) -> Option<(Place, &Node, &'a str)> {
        match &self.value {
            // A key may hold dots and brackets itself, as an event's name does: the longest that fits is meant.
            Value::Map(entries) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                let fit = entries.iter().filter_map(|entry| {
                    let left = path.strip_prefix(entry.key.as_str())?;
                    let ends = left.is_empty() || left.starts_with(['.', '[']);
                    (ends && !entry.key.is_empty()).then_some((entry, left))
                });
                let (entry, left) = fit.max_by_key(|(entry, _)| entry.key.len())?;
                Some((entry.place, &entry.node, left))
            }
            Value::List(list) => {
                let (index, left) = path.strip_prefix('[')?.split_once(']')?;
                let item = list.get(index.parse::<usize>().ok()?)?;
                Some((item.place, item, left))
            }
            Value::Scalar { .. } => None,
        }
    }
}
