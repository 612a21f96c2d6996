//! YAML as a tree that remembers places: the least that is needed to say where something stands.
//!
//! Refused: anchors, aliases, merge keys and tags (a manifest needs none, and they let a small file grow large), a key twice in one
//! mapping, keys that aren't text, more than [`MAX_DEPTH`] levels, a file over [`super::MAX_BYTES`].

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::{MAX_BYTES, ManifestError};

/// Mappings and lists inside each other.
pub const MAX_DEPTH: usize = 48;

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
        let mut node = self;
        let mut place = self.place;
        for step in steps(path) {
            let next = match (&node.value, step) {
                (Value::Map(entries), Step::Key(key)) => entries
                    .iter()
                    .find(|entry| entry.key == key)
                    .map(|entry| (entry.place, &entry.node)),
                (Value::List(list), Step::Index(index)) => {
                    list.get(index).map(|item| (item.place, item))
                }
                _ => None,
            };
            let Some((at, below)) = next else { break };
            place = at;
            node = below;
        }
        place
    }
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split('.').flat_map(|part| {
        let (key, indexes) = part.split_once('[').unwrap_or((part, ""));
        let key = (!key.is_empty()).then_some(Step::Key(key));
        let indexes = indexes
            .split(['[', ']'])
            .filter_map(|index| index.parse().ok().map(Step::Index));
        key.into_iter().chain(indexes)
    })
}

/// Reads every document of a text. Empty documents are left out.
pub fn read(text: &str) -> Result<Vec<Node>, ManifestError> {
    if text.len() > MAX_BYTES {
        return Err(ManifestError::at(
            Place { line: 1, column: 1 },
            format!(
                "the file has {} bytes; at most {MAX_BYTES} are read: apply it in parts",
                text.len()
            ),
        ));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| {
            let mark = error.marker();
            ManifestError::at(
                Place {
                    line: mark.line(),
                    column: mark.col() + 1,
                },
                format!("not valid YAML: {}", error.info()),
            )
        })?;
        builder.take(event, place(&span))?;
    }
    Ok(builder.documents)
}

fn place(span: &Span) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
}

enum Open {
    List(Place, Vec<Node>),
    Map(Place, Vec<Entry>, Option<(Place, String)>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), ManifestError> {
        let refused = |what: &str| {
            Err(ManifestError::at(
                place,
                format!("{what} are not taken in manifests: write the value out"),
            ))
        };
        match event {
            Event::Alias(_) | Event::UnresolvedAlias(_) | Event::Anchor(..) => {
                refused("anchors and aliases")
            }
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(_, anchor, _)
            | Event::MappingStart(_, anchor, _)
                if anchor != 0 =>
            {
                refused("anchors and aliases")
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => refused("tags (`!…`)"),
            Event::Scalar(text, style, ..) => self.put(Node {
                place,
                value: Value::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                },
            }),
            Event::SequenceStart(..) => self.enter(Open::List(place, Vec::new()), place),
            Event::MappingStart(..) => self.enter(Open::Map(place, Vec::new(), None), place),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(place, list)) => self.put(Node {
                    place,
                    value: Value::List(list),
                }),
                Some(Open::Map(place, entries, _)) => self.put(Node {
                    place,
                    value: Value::Map(entries),
                }),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn enter(&mut self, open: Open, place: Place) -> Result<(), ManifestError> {
        if self.open.len() == MAX_DEPTH {
            return Err(ManifestError::at(
                place,
                format!("more than {MAX_DEPTH} levels inside each other"),
            ));
        }
        self.open.push(open);
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), ManifestError> {
        match self.open.last_mut() {
            None if node.is_null() => {}
            None => self.documents.push(node),
            Some(Open::List(_, list)) => list.push(node),
            Some(Open::Map(_, entries, key @ None)) => {
                let Value::Scalar { text, plain } = node.value else {
                    return Err(ManifestError::at(
                        node.place,
                        "a key must be text, not a list or a mapping",
                    ));
                };
                if plain && text == "<<" {
                    return Err(ManifestError::at(
                        node.place,
                        "`<<` is not taken in manifests: write the fields out",
                    ));
                }
                if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                    return Err(ManifestError::at(
                        node.place,
                        format!(
                            "{text}: stands here twice; the first is on line {}",
                            first.place.line
                        ),
                    ));
                }
                if entries.len() == MAX_KEYS {
                    return Err(ManifestError::at(
                        node.place,
                        format!("more than {MAX_KEYS} keys in one mapping"),
                    ));
                }
                *key = Some((node.place, text));
            }
            Some(Open::Map(_, entries, key)) => {
                if let Some((place, key)) = key.take() {
                    entries.push(Entry { place, key, node });
                }
            }
        }
        Ok(())
    }
}
