//! Redaction in JSON text: one walk finds the places, one copy leaves them out. Everything else stays byte for byte.

use std::ops::Range;

use super::rule::{Redacting, Rule};
use crate::payload::{Kind, elements, kind, members, scalars, unescape};

/// In place of what is masked.
const MASK: &str = "\"***\"";

/// What becomes of a piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    at: Range<usize>,
    masks: bool,
}

/// What is to be changed in a text, in its order and without overlaps.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<Edit>);

impl Edits {
    /// Of these rules; `hit` hears which of them found something.
    pub(super) fn find(text: &str, rules: &[Rule], hit: &mut dyn FnMut(usize)) -> Self {
        let mut walk = Walk {
            text,
            rules,
            edits: Vec::new(),
            hit,
        };
        let all: Vec<Place> = (0..rules.len())
            .map(|rule| Place { rule, depth: 0 })
            .collect();
        walk.value(text, &all);
        Self(walk.edits)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those within a piece of the text, as if it stood alone.
    pub(super) fn within(&self, piece: Range<usize>) -> Self {
        let from = self.0.partition_point(|edit| edit.at.start < piece.start);
        let inside = self.0[from..]
            .iter()
            .take_while(|edit| edit.at.end <= piece.end);
        Self(
            inside
                .map(|edit| Edit {
                    at: edit.at.start - piece.start..edit.at.end - piece.start,
                    masks: edit.masks,
                })
                .collect(),
        )
    }

    /// The text with them done.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for edit in &self.0 {
            out.push_str(text.get(done..edit.at.start).unwrap_or_default());
            if edit.masks {
                out.push_str(MASK);
            }
            done = edit.at.end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }
}

/// How far along its rule a value is.
#[derive(Clone, Copy)]
struct Place {
    rule: usize,
    depth: usize,
}

struct Walk<'a> {
    text: &'a str,
    rules: &'a [Rule],
    edits: Vec<Edit>,
    hit: &'a mut dyn FnMut(usize),
}

impl<'a> Walk<'a> {
    /// As deep as the text, which the validating pass has bounded, and as the rules.
    fn value(&mut self, raw: &'a str, places: &[Place]) {
        match kind(raw) {
            Kind::Object => {
                let all = members(raw).map(|(key, value)| Child {
                    whole: self.range(key).start..self.range(value).end,
                    key: Some(key),
                    value,
                });
                let all: Vec<_> = all.collect();
                self.children(&all, places);
            }
            Kind::Array => {
                let all = elements(raw).map(|value| Child {
                    whole: self.range(value),
                    key: None,
                    value,
                });
                let all: Vec<_> = all.collect();
                self.children(&all, places);
            }
            _ => {}
        }
    }

    fn children(&mut self, all: &[Child<'a>], places: &[Place]) {
        // What stays needs its comma, and what goes takes one along: the one before it where something stays before it, else the one after.
        let mut stays_before = false;
        for (index, child) in all.iter().enumerate() {
            let next = self.next(child, index, places);
            match self.said(&next) {
                Some(Redacting::Drop) => {
                    let before = index.checked_sub(1).and_then(|before| all.get(before));
                    let at = match (stays_before, before, all.get(index + 1)) {
                        (true, Some(before), _) => before.whole.end..child.whole.end,
                        (_, _, Some(after)) => child.whole.start..after.whole.start,
                        _ => child.whole.clone(),
                    };
                    self.edits.push(Edit { at, masks: false });
                    continue;
                }
                Some(Redacting::Mask) => self.mask(child.value),
                None if next.is_empty() => {}
                None => self.value(child.value, &next),
            }
            stays_before = true;
        }
    }

    /// Where the rules are with this child.
    fn next(&self, child: &Child<'_>, index: usize, places: &[Place]) -> Vec<Place> {
        let name = child.key.map(unescape);
        let leads = |place: &&Place| {
            let part = self.rules[place.rule].part(place.depth);
            part.is_some_and(|part| match &name {
                Some(name) => part.is_member(name),
                None => part.is_item(index),
            })
        };
        let one_on = |place: &Place| Place {
            rule: place.rule,
            depth: place.depth + 1,
        };
        places.iter().filter(leads).map(one_on).collect()
    }

    /// What is done with a value that rules end at. To drop it is more than to mask it.
    fn said(&mut self, places: &[Place]) -> Option<Redacting> {
        let mut said = None;
        for place in places {
            let rule = &self.rules[place.rule];
            if place.depth < rule.len() {
                continue;
            }
            (self.hit)(place.rule);
            if said != Some(Redacting::Drop) {
                said = Some(rule.redacting());
            }
        }
        said
    }

    fn mask(&mut self, raw: &str) {
        let start = self.range(raw).start;
        let edits = &mut self.edits;
        scalars(raw, &mut |at| {
            edits.push(Edit {
                at: start + at.start..start + at.end,
                masks: true,
            });
        });
    }

    /// Where a piece of the text is in it.
    fn range(&self, piece: &str) -> Range<usize> {
        let start = piece.as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + piece.len()
    }
}

struct Child<'a> {
    /// With its key.
    whole: Range<usize>,
    key: Option<&'a str>,
    value: &'a str,
}
