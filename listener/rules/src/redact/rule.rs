//! What is redacted, and how: as a group says it, or as the place where its secret stands.

use super::path::{Part, Path};
use crate::connector::Batch;
use crate::location::{Location, Pattern, PatternPart, Step};
use crate::payload::PayloadAt;

/// What is done with what a rule leads to, from the least on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    Masked,
    /// An item that is named by its place: were it gone, the others would have other places, and the next who looks would take another.
    Emptied,
    Gone,
}

/// One path, and what is done there.
#[derive(Debug)]
pub(super) struct Rule {
    /// As an operator is told it.
    shown: String,
    parts: Vec<RulePart>,
    said: Said,
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

    pub(super) fn is_member(&self, name: &str) -> bool {
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

    pub(super) fn is_item(&self, index: usize) -> bool {
        match self {
            Self::Written(Part::Each) => true,
            Self::Written(Part::Index(one)) => *one == index,
            // A pointer's digits may be either.
            Self::Written(Part::Name(one)) => one.parse() == Ok(index),
            Self::Each { beginning, ending } => beginning.is_empty() && ending.is_empty(),
        }
    }
}

impl Rule {
    /// Of a group.
    pub(super) fn written(path: Path, masks: bool) -> Self {
        Self {
            shown: path.to_string(),
            parts: path
                .parts()
                .iter()
                .cloned()
                .map(RulePart::Written)
                .collect(),
            said: match path.parts().last() {
                _ if masks => Said::Masked,
                Some(Part::Index(_)) => Said::Emptied,
                _ => Said::Gone,
            },
        }
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
        Self {
            shown: std::iter::once("payload".to_owned()).chain(shown).collect(),
            parts,
            said: Said::Masked,
        }
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
        (!path.is_empty()).then(|| Self {
            shown: self.shown.clone(),
            parts: path.to_vec(),
            said: self.said,
        })
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn part(&self, depth: usize) -> Option<&RulePart> {
        self.parts.get(depth)
    }

    pub(super) fn len(&self) -> usize {
        self.parts.len()
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
