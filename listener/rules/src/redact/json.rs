//! Redaction in JSON text: one walk finds the places, one copy leaves them out. Everything else stays byte for byte.

use std::ops::Range;

use super::rule::{Rule, Said};
use crate::payload::{Kind, elements, kind, members, scalars, unescape};

/// In place of what is masked.
const MASK: &str = "\"***\"";

/// What becomes of a piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    at: Range<usize>,
    said: Said,
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
        let whole = text.trim();
        let of_whole = kind(whole);
        let at_it = |(rule, of): (usize, &Rule)| Place {
            rule,
            depth: of.settle(0, of_whole),
            // The whole is in nothing that it could be taken out of.
            said: of.said().min(Said::Emptied),
        };
        let all: Vec<Place> = rules.iter().enumerate().map(at_it).collect();
        match walk.said(&all) {
            None => walk.value(whole, &all),
            Some(said) => walk.edits.push(Edit {
                at: range(text, whole),
                said,
            }),
        }
        Self(walk.edits)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they do to a value within the text, as if it stood alone.
    pub(super) fn within(&self, piece: Range<usize>) -> Self {
        let from = self.0.partition_point(|edit| edit.at.end <= piece.start);
        let touching = self.0[from..]
            .iter()
            .take_while(|edit| edit.at.start < piece.end);
        Self(
            touching
                .map(|edit| Edit {
                    at: edit.at.start.max(piece.start) - piece.start
                        ..edit.at.end.min(piece.end) - piece.start,
                    said: edit.said,
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
            let piece = text.get(edit.at.clone()).unwrap_or_default();
            match edit.said {
                Said::Gone => {}
                Said::Emptied => out.push_str("null"),
                Said::Masked => mask(piece, &mut out),
            }
            done = edit.at.end;
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }
}

/// Writes a value, or several with commas between them, with its texts, numbers and booleans masked.
fn mask(piece: &str, out: &mut String) {
    let mut done = 0;
    scalars(piece, &mut |at| {
        out.push_str(piece.get(done..at.start).unwrap_or_default());
        out.push_str(MASK);
        done = at.end;
    });
    out.push_str(piece.get(done..).unwrap_or_default());
}

/// How far along its rule a value is.
#[derive(Clone, Copy)]
struct Place {
    rule: usize,
    depth: usize,
    /// What is done if it has led to its end.
    said: Said,
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
        let text = self.text;
        match kind(raw) {
            Kind::Object => {
                let all = members(raw).map(|(key, value)| Child {
                    whole: range(text, key).start..range(text, value).end,
                    key: Some(key),
                    value,
                });
                self.children(all, places);
            }
            Kind::Array => {
                let all = elements(raw).map(|value| Child {
                    whole: range(text, value),
                    key: None,
                    value,
                });
                self.children(all, places);
            }
            _ => {}
        }
    }

    /// One after the other: a list of millions takes no room here.
    fn children(&mut self, all: impl Iterator<Item = Child<'a>>, places: &[Place]) {
        // What stays needs its comma, and what goes takes one along: the one before it where something stays before it, else the one after.
        let mut stays_before = false;
        let mut end_before = None;
        let mut all = all.enumerate().peekable();
        while let Some((index, child)) = all.next() {
            let next = self.next(&child, index, places);
            let said = self.said(&next);
            match said {
                Some(Said::Gone) => {
                    let at = match (stays_before, end_before, all.peek()) {
                        (true, Some(before), _) => before..child.whole.end,
                        (_, _, Some((_, after))) => child.whole.start..after.whole.start,
                        _ => child.whole.clone(),
                    };
                    match self.edits.last_mut() {
                        Some(last) if last.said == Said::Gone && last.at.end == at.start => {
                            last.at.end = at.end;
                        }
                        _ => self.edits.push(Edit {
                            at,
                            said: Said::Gone,
                        }),
                    }
                }
                Some(said) => {
                    let at = range(self.text, child.value);
                    // Items that are masked one after the other are one edit. Between members there are keys.
                    let joins = said == Said::Masked && child.key.is_none();
                    match self.edits.last_mut() {
                        Some(last)
                            if joins && last.said == said && Some(last.at.end) == end_before =>
                        {
                            last.at.end = at.end;
                        }
                        _ => self.edits.push(Edit { at, said }),
                    }
                }
                None if next.is_empty() => {}
                None => self.value(child.value, &next),
            }
            stays_before |= said != Some(Said::Gone);
            end_before = Some(child.whole.end);
        }
    }

    /// Where the rules are with this child.
    fn next(&self, child: &Child<'_>, index: usize, places: &[Place]) -> Vec<Place> {
        let name = child.key.map(unescape);
        let of_child = kind(child.value);
        let one_on = |place: &Place| {
            let rule = &self.rules[place.rule];
            let (depth, said) = match &name {
                Some(name) => (rule.member(place.depth, name)?, rule.said()),
                None => (
                    rule.item(place.depth, index)?,
                    rule.said_of_item(place.depth),
                ),
            };
            Some(Place {
                rule: place.rule,
                depth: rule.settle(depth, of_child),
                said,
            })
        };
        places.iter().filter_map(one_on).collect()
    }

    /// What is done with a value that rules end at: the most that any of them says.
    fn said(&mut self, places: &[Place]) -> Option<Said> {
        let mut said = None;
        for place in places {
            let rule = &self.rules[place.rule];
            if rule.ends(place.depth) {
                (self.hit)(place.rule);
                said = said.max(Some(place.said));
            }
        }
        said
    }
}

/// Where a piece of the text is in it.
fn range(text: &str, piece: &str) -> Range<usize> {
    let start = piece.as_ptr() as usize - text.as_ptr() as usize;
    start..start + piece.len()
}

struct Child<'a> {
    /// With its key.
    whole: Range<usize>,
    key: Option<&'a str>,
    value: &'a str,
}
