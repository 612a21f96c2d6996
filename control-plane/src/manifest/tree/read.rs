//! From the parser's events to the tree, with every bound on the way.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::{Entry, MAX_COPIED_BYTES, MAX_DEPTH, MAX_KEYS, MAX_NODES, Node, Place, Value};
use crate::manifest::{MAX_BYTES, ManifestError};

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

/// The number the parser gives an anchor; 0 is none.
type Anchor = usize;

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<(Anchor, Open)>,
    anchors: HashMap<Anchor, Named>,
    nodes: usize,
    copied_bytes: usize,
}

enum Open {
    List(Place, Vec<Node>),
    Map(Place, Vec<Entry>, Option<(Place, String)>),
}

/// What an anchor names, once it is whole.
struct Named {
    node: Node,
    size: Size,
}

/// What a copy of a node costs.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    levels: usize,
}

impl Size {
    /// Bounded by the depth that was read, so the recursion is.
    fn of(node: &Node) -> Self {
        let (below, bytes) = match &node.value {
            Value::Scalar { text, .. } => {
                return Self {
                    nodes: 1,
                    bytes: text.len(),
                    levels: 0,
                };
            }
            Value::List(list) => (list.iter().map(Self::of).collect::<Vec<_>>(), 0),
            Value::Map(entries) => (
                entries.iter().map(|entry| Self::of(&entry.node)).collect(),
                entries.iter().map(|entry| entry.key.len()).sum(),
            ),
        };
        let whole = Self {
            nodes: 1,
            bytes,
            levels: 0,
        };
        let mut whole = below.iter().fold(whole, |sum, size| Self {
            nodes: sum.nodes + size.nodes,
            bytes: sum.bytes + size.bytes,
            levels: sum.levels.max(size.levels),
        });
        whole.levels += 1;
        whole
    }
}

/// A copy stands where the alias does: an error in it is then found at the line that asked for it.
fn stand_at(node: &mut Node, place: Place) {
    node.place = place;
    match &mut node.value {
        Value::Scalar { .. } => {}
        Value::List(list) => list.iter_mut().for_each(|item| stand_at(item, place)),
        Value::Map(entries) => {
            for entry in entries {
                entry.place = place;
                stand_at(&mut entry.node, place);
            }
        }
    }
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
            Event::Alias(anchor) => self.copy(anchor, place),
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => refused("tags (`!…`)"),
            Event::Scalar(text, style, anchor, _) => {
                let node = Node {
                    place,
                    value: Value::Scalar {
                        text: text.into_owned(),
                        plain: style == ScalarStyle::Plain,
                    },
                };
                self.whole(anchor, node)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.enter(anchor, Open::List(place, Vec::new()), place)
            }
            Event::MappingStart(_, anchor, _) => {
                self.enter(anchor, Open::Map(place, Vec::new(), None), place)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((anchor, Open::List(place, list))) => self.whole(
                    anchor,
                    Node {
                        place,
                        value: Value::List(list),
                    },
                ),
                Some((anchor, Open::Map(place, entries, _))) => self.whole(
                    anchor,
                    Node {
                        place,
                        value: Value::Map(entries),
                    },
                ),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// A node that has been read to its end, kept for the aliases of its anchor.
    fn whole(&mut self, anchor: Anchor, node: Node) -> Result<(), ManifestError> {
        self.count(1, 0, node.place)?;
        if anchor != 0 {
            let size = Size::of(&node);
            self.count(size.nodes, size.bytes, node.place)?;
            let kept = node.clone();
            self.anchors.insert(anchor, Named { node: kept, size });
        }
        self.put(node)
    }

    fn copy(&mut self, anchor: Anchor, place: Place) -> Result<(), ManifestError> {
        // The parser refuses a name it hasn't read; what is missing here is read but not whole.
        // Taken out for the while, so that it can be counted before it is copied.
        let Some(named) = self.anchors.remove(&anchor) else {
            return Err(ManifestError::at(
                place,
                "this alias stands inside what it names: write the value out",
            ));
        };
        let size = named.size;
        if self.open.len() + size.levels > MAX_DEPTH {
            return Err(too_deep(place));
        }
        self.count(size.nodes, size.bytes, place)?;
        let mut node = named.node.clone();
        self.anchors.insert(anchor, named);
        stand_at(&mut node, place);
        self.put(node)
    }

    fn count(&mut self, nodes: usize, bytes: usize, place: Place) -> Result<(), ManifestError> {
        self.nodes += nodes;
        self.copied_bytes += bytes;
        if self.nodes > MAX_NODES {
            return Err(ManifestError::at(
                place,
                format!(
                    "the file holds more than {MAX_NODES} values, counting what aliases copy: apply it in parts, with fewer aliases"
                ),
            ));
        }
        if self.copied_bytes > MAX_COPIED_BYTES {
            return Err(ManifestError::at(
                place,
                format!(
                    "anchors and aliases copy more than {MAX_COPIED_BYTES} bytes of text: apply the file in parts, with fewer aliases"
                ),
            ));
        }
        Ok(())
    }

    fn enter(&mut self, anchor: Anchor, open: Open, place: Place) -> Result<(), ManifestError> {
        if self.open.len() == MAX_DEPTH {
            return Err(too_deep(place));
        }
        self.open.push((anchor, open));
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), ManifestError> {
        match self.open.last_mut().map(|(_, open)| open) {
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

fn too_deep(place: Place) -> ManifestError {
    ManifestError::at(
        place,
        format!("more than {MAX_DEPTH} levels inside each other"),
    )
}
