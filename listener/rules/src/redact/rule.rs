//! What is redacted, and how: as a group says it, or as the place where its secret stands.

use super::path::{Part, Path};
use crate::location::{Location, Pattern, PatternPart, Step};
use crate::payload::PayloadAt;

/// What is done with what a rule leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redacting {
    Drop,
    Mask,
}

/// One path, and what is done there.
#[derive(Debug)]
pub(super) struct Rule {
    /// As an operator is told it.
    shown: String,
    parts: Vec<RulePart>,
    redacting: Redacting,
}

/// One part of it.
#[derive(Debug)]
pub(super) enum RulePart {
    Written(Part),
    /// Of a connector's pattern: each item, or each member whose name begins and ends so.
    Each {
        beginning: String,
        ending: String,
    },
}

impl RulePart {
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
            redacting: match masks {
                true => Redacting::Mask,
                false => Redacting::Drop,
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
            redacting: Redacting::Mask,
        }
    }

    pub(super) fn of_pointer(at: &[String]) -> Self {
        let name = |token: &String| RulePart::Written(Part::Name(token.clone()));
        Self::masking(at.iter().map(name).collect())
    }

    pub(super) fn of_pattern(pattern: &Pattern) -> Self {
        let parts = pattern.parts().map(|part| match part {
            PatternPart::Name(name) => RulePart::Written(Part::Name(name.to_owned())),
            PatternPart::Each { beginning, ending } => RulePart::Each {
                beginning: beginning.to_owned(),
                ending: ending.to_owned(),
            },
        });
        Self::masking(parts.collect())
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

    pub(super) fn redacting(&self) -> Redacting {
        self.redacting
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

    pub(super) fn add_everywhere(&mut self, pattern: &Pattern) {
        self.rules.push(Rule::of_pattern(pattern));
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
