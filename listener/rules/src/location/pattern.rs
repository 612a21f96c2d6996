//! Pointers with wildcards: a batch's items, and tokens that stand in every element of a list.

use super::pointer;
use crate::payload::{Json, Kind, elements, kind, members, unescape};

/// A pointer to several values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The tokens before the first wildcard.
    prefix: Vec<String>,
    /// From the first wildcard on.
    rest: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Name(String),
    /// Each element of a list or member of an object whose name begins and ends so.
    Each {
        beginning: String,
        ending: String,
    },
}

/// One part of a pattern, for others to read.
pub(crate) enum PatternPart<'a> {
    Name(&'a str),
    Each { beginning: &'a str, ending: &'a str },
}

/// What a wildcard stepped into last on the way to a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entered<'a> {
    /// The raw text of the element or the member's value.
    pub(crate) raw: &'a str,
    /// The member's name, quoted as written; None in a list.
    pub(crate) key: Option<&'a str>,
}

impl Entered<'_> {
    pub(crate) fn name(&self) -> Option<String> {
        self.key.map(|key| unescape(key).into_owned())
    }
}

/// True for `*`, `*_ending` and `beginning*`.
pub(super) fn is_wild(token: &str) -> bool {
    token.starts_with('*') || token.ends_with('*')
}

impl Pattern {
    /// Reads what follows `json:`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut prefix = Vec::new();
        let mut rest = Vec::new();
        for token in pointer(text)? {
            if is_wild(&token) {
                let (beginning, ending) = token.split_once('*').unwrap_or_default();
                if ending.contains('*') {
                    return Err(format!(
                        "in `{text}`, `{token}` has more than one `*`; there are `*`, `*_ending` and `beginning*`"
                    ));
                }
                rest.push(Part::Each {
                    beginning: beginning.to_owned(),
                    ending: ending.to_owned(),
                });
            } else if rest.is_empty() {
                prefix.push(token);
            } else {
                rest.push(Part::Name(token));
            }
        }
        Ok(Self { prefix, rest })
    }

    /// All of it, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = PatternPart<'_>> {
        let rest = self.rest.iter().map(|part| match part {
            Part::Name(name) => PatternPart::Name(name),
            Part::Each { beginning, ending } => PatternPart::Each { beginning, ending },
        });
        let prefix = self.prefix.iter();
        prefix.map(|name| PatternPart::Name(name)).chain(rest)
    }

    pub(crate) fn has_wildcard(&self) -> bool {
        !self.rest.is_empty()
    }

    /// The tokens of one without a wildcard, and those before the first of another.
    pub(crate) fn prefix(&self) -> &[String] {
        &self.prefix
    }

    /// Hands over all that its wildcards stand for, in the order of the text: what was entered last, and the value that the rest of the
    /// pattern leads to from there, if there is one. `false` ends it.
    pub(crate) fn visit<'a>(
        &self,
        json: &'a Json,
        found: &mut dyn FnMut(Option<Entered<'a>>, Option<&'a str>) -> bool,
    ) {
        if let Some(raw) = json.at(&self.prefix) {
            walk(raw, &self.rest, None, found);
        }
    }
}

/// As deep as the pattern has parts, which its text bounds.
fn walk<'a>(
    raw: &'a str,
    parts: &[Part],
    entered: Option<Entered<'a>>,
    found: &mut dyn FnMut(Option<Entered<'a>>, Option<&'a str>) -> bool,
) -> bool {
    match parts.split_first() {
        None => found(entered, Some(raw)),
        Some((Part::Name(name), rest)) => match crate::payload::member(raw, name) {
            Some(value) if kind(raw) == Kind::Object => walk(value, rest, entered, found),
            _ => found(entered, None),
        },
        Some((Part::Each { beginning, ending }, rest)) => match kind(raw) {
            Kind::Array if beginning.is_empty() && ending.is_empty() => {
                elements(raw).all(|raw| walk(raw, rest, Some(Entered { raw, key: None }), found))
            }
            Kind::Object => members(raw).all(|(key, raw)| {
                let name = unescape(key);
                let long_enough = name.len() >= beginning.len() + ending.len();
                if !(long_enough && name.starts_with(beginning) && name.ends_with(ending)) {
                    return true;
                }
                walk(
                    raw,
                    rest,
                    Some(Entered {
                        raw,
                        key: Some(key),
                    }),
                    found,
                )
            }),
            _ => found(entered, None),
        },
    }
}
