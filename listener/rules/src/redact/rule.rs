//! What is redacted, and how: as a group says it, or as the place where its secret stands.
//!
//! A rule doesn't depend on how often something came. XML and forms write a list of one as they write a value, and some providers' JSON does,
//! too; text has a name of its own only beside an attribute. So a value is a list of one, a name is looked for in each item of a list, and a
//! text is its own `#text`. In JSON that may take out more than was meant; the other way round something would be written that never may be.

use super::path::{Part, Path};
use crate::connector::Batch;
use crate::location::{Location, Pattern, PatternPart, Step};
use crate::payload::{Kind, PayloadAt};

/// The text of an XML element that has more than its text.
const TEXT: &str = "#text";

/// What is done with what a rule leads to, from the least on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    Masked,
    /// An item of a list that keeps others.
    Emptied,
    Gone,
}

/// One path, and what is done there.
#[derive(Debug)]
pub(super) struct Rule {
    /// As an operator is told it.
    shown: String,
    parts: Vec<RulePart>,
    /// For each depth, and the end: where an object, and where a scalar, is at once. Worked out here, since a path may have a part for each
    /// three bytes of it and a body a value for each two.
    settled: Vec<Settled>,
    said: Said,
}

#[derive(Debug, Clone, Copy)]
struct Settled {
    object: usize,
    scalar: usize,
}

/// One part of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RulePart {
    Written(Part),
    /// Of a connector's pattern: each item, or each member whose name begins and ends so.
    Each {
        beginning: String,
        ending: String,
    },
}

impl RulePart {
    fn of(part: PatternPart<'_>) -> Self {
        match part {
            PatternPart::Name(name) => Self::Written(Part::Name(name.to_owned())),
            PatternPart::Each { beginning, ending } => Self::Each {
                beginning: beginning.to_owned(),
                ending: ending.to_owned(),
            },
        }
    }

    fn is_member(&self, name: &str) -> bool {
        match self {
            Self::Written(Part::Name(one)) => one == name,
            Self::Written(_) => false,
            Self::Each { beginning, ending } => {
                name.len() >= beginning.len() + ending.len()
                    && name.starts_with(beginning)
                    && name.ends_with(ending)
            }
        }
    }

    fn is_item(&self, index: usize) -> bool {
        match self {
            Self::Written(Part::Each) => true,
            Self::Written(Part::Index(one)) => *one == index,
            // A pointer's digits may be either.
            Self::Written(Part::Name(one)) => one.parse() == Ok(index),
            Self::Each { beginning, ending } => beginning.is_empty() && ending.is_empty(),
        }
    }

    /// Stands for a value that is no list.
    fn is_list_of_one(&self) -> bool {
        matches!(self, Self::Written(Part::Each | Part::Index(0)))
    }

    fn is_text(&self) -> bool {
        matches!(self, Self::Written(Part::Name(name)) if name == TEXT)
    }
}

impl Rule {
    fn new(shown: String, parts: Vec<RulePart>, said: Said) -> Self {
        let end = Settled {
            object: parts.len(),
            scalar: parts.len(),
        };
        let mut settled = vec![end; parts.len() + 1];
        for (depth, part) in parts.iter().enumerate().rev() {
            let after = settled[depth + 1];
            settled[depth] = Settled {
                object: match part.is_list_of_one() {
                    true => after.object,
                    false => depth,
                },
                scalar: match part.is_list_of_one() || part.is_text() {
                    true => after.scalar,
                    false => depth,
                },
            };
        }
        Self {
            shown,
            parts,
            settled,
            said,
        }
    }

    /// Of a group.
    pub(super) fn written(path: Path, masks: bool) -> Self {
        let said = match path.parts().last() {
            _ if masks => Said::Masked,
            Some(Part::Index(_)) => Said::Emptied,
            _ => Said::Gone,
        };
        let parts = path.parts().iter().cloned().map(RulePart::Written);
        Self::new(path.to_string(), parts.collect(), said)
    }

    fn masking(parts: Vec<RulePart>) -> Self {
        let shown = parts.iter().map(|part| match part {
            RulePart::Written(part) => part.to_string(),
            RulePart::Each { beginning, ending } => match beginning.is_empty() && ending.is_empty()
            {
                true => Part::Each.to_string(),
                false => format!(".{beginning}*{ending}"),
            },
        });
        let shown = std::iter::once("payload".to_owned()).chain(shown).collect();
        Self::new(shown, parts, Said::Masked)
    }

    pub(super) fn of_pointer(at: &[String]) -> Self {
        let name = |token: &String| RulePart::Written(Part::Name(token.clone()));
        Self::masking(at.iter().map(name).collect())
    }

    pub(super) fn of_pattern(pattern: &Pattern) -> Self {
        Self::masking(pattern.parts().map(RulePart::of).collect())
    }

    /// The same from an item on, which is an element where the rule goes on with each.
    fn within(&self, items: &Pattern) -> Option<Self> {
        let items: Vec<RulePart> = items.parts().map(RulePart::of).collect();
        let path = match self.parts.strip_prefix(&items[..])? {
            [RulePart::Each { .. }, path @ ..] => path,
            path => path,
        };
        (!path.is_empty()).then(|| Self::new(self.shown.clone(), path.to_vec(), self.said))
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Where it is with a value that it leads to at this depth. A list's items and null, which has none, are looked at one by one.
    pub(super) fn settle(&self, depth: usize, kind: Kind) -> usize {
        match kind {
            Kind::Array | Kind::Null => depth,
            Kind::Object => self.settled[depth].object,
            Kind::Bool | Kind::Number | Kind::String => self.settled[depth].scalar,
        }
    }

    /// From an object to its member of this name.
    pub(super) fn member(&self, depth: usize, name: &str) -> Option<usize> {
        self.parts.get(depth)?.is_member(name).then_some(depth + 1)
    }

    /// From a list to its item at this place.
    pub(super) fn item(&self, depth: usize, index: usize) -> Option<usize> {
        let part = self.parts.get(depth)?;
        match part {
            _ if part.is_item(index) => Some(depth + 1),
            RulePart::Written(Part::Name(_)) => Some(depth),
            _ => None,
        }
    }

    /// What is done with an item of a list that it leads to from this depth. Only where all items go may one: the next who looks would find others
    /// in the places of those that stay.
    pub(super) fn said_of_item(&self, depth: usize) -> Said {
        match &self.parts[depth..] {
            [RulePart::Written(Part::Each)] => self.said,
            _ => self.said.min(Said::Emptied),
        }
    }

    pub(super) fn ends(&self, depth: usize) -> bool {
        depth == self.parts.len()
    }

    pub(super) fn said(&self) -> Said {
        self.said
    }
}

/// Where a shared secret stands in a body.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// In the whole payload.
    pub(super) rules: Vec<Rule>,
    /// In each item of a batch.
    pub(super) of_items: Vec<Rule>,
    /// Fields of a form.
    pub(super) fields: Vec<String>,
}

impl Tokens {
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.of_items.is_empty() && self.fields.is_empty()
    }

    /// Where its place is within the items of a batch it is looked for in each of them too: of a report there may be nothing else.
    pub(super) fn add_everywhere(&mut self, pattern: &Pattern, batch: Option<&Batch>) {
        let rule = Rule::of_pattern(pattern);
        let places = batch.into_iter().flat_map(Batch::places);
        self.of_items
            .extend(places.filter_map(|items| rule.within(items)));
        self.rules.push(rule);
    }

    /// Nothing for one that is in no body. `payload`: where the payload is, if it isn't the body.
    pub(super) fn add(&mut self, location: &Location, payload: Option<&PayloadAt>) {
        match location.base() {
            Location::Json(at) | Location::Raw(at) => self.rules.push(Rule::of_pointer(at)),
            Location::Item(at) => self.of_items.push(Rule::of_pointer(at)),
            Location::Form(name) => {
                let is_payload =
                    matches!(payload, Some(PayloadAt::Form { name: of, .. }) if of == name);
                match inner(location).filter(|_| is_payload) {
                    Some(at) => self.rules.push(Rule::of_pointer(at)),
                    None => self.fields.push(name.clone()),
                }
            }
            _ => {}
        }
    }
}

/// The pointer of a location's first step that reads JSON or XML.
fn inner(location: &Location) -> Option<&[String]> {
    let Location::Stepped(stepped) = location else {
        return None;
    };
    stepped.steps.iter().find_map(|step| match step {
        Step::Json(at) | Step::Xml(at) => Some(at.as_slice()),
        _ => None,
    })
}
