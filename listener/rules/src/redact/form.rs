//! Redaction in a form's text. What stays, stays byte for byte.

use std::borrow::Cow;

use super::rule::{Rule, Said};
use crate::payload::Kind;

const MASK: &str = "***";

/// What becomes of one field.
pub(super) enum Becomes {
    Gone,
    /// This value, which is escaped here.
    Value(Cow<'static, str>),
}

/// The form with its fields as `becomes` says: of a name and which of those of that name it is. None: as it is. The body has been read as a
/// form before.
pub(super) fn rewrite(
    body: &[u8],
    becomes: &mut dyn FnMut(&str, usize) -> Option<Becomes>,
) -> Vec<u8> {
    let mut seen: std::collections::HashMap<String, usize> = Default::default();
    let mut kept: Vec<Cow<'_, [u8]>> = Vec::new();
    for piece in body.split(|byte| *byte == b'&') {
        if piece.is_empty() {
            kept.push(piece.into());
            continue;
        }
        let end = piece.iter().position(|byte| *byte == b'=');
        let raw_name = &piece[..end.unwrap_or(piece.len())];
        // Names are decoded as the strict reading did, which took them.
        let name = form_urlencoded::parse(raw_name)
            .next()
            .map(|(name, _)| name.into_owned())
            .unwrap_or_default();
        let count = seen.entry(name.clone()).or_default();
        let said = becomes(&name, *count);
        *count += 1;
        match said {
            None => kept.push(piece.into()),
            Some(Becomes::Gone) => {}
            Some(Becomes::Value(value)) => {
                let mut pair = raw_name.to_vec();
                pair.push(b'=');
                form_urlencoded::byte_serialize(value.as_bytes())
                    .for_each(|part| pair.extend_from_slice(part.as_bytes()));
                kept.push(pair.into());
            }
        }
    }
    kept.join(&b'&')
}

/// What rules say of a field of a form without a payload of its own, and which of them.
pub(super) fn of_rules(
    rules: &[Rule],
    name: &str,
    count: usize,
    hit: &mut dyn FnMut(usize),
) -> Option<Becomes> {
    let mut said = None;
    for (index, rule) in rules.iter().enumerate() {
        if let Some(of_rule) = of_rule(rule, name, count) {
            hit(index);
            said = said.max(Some(of_rule));
        }
    }
    said.map(|said| match said {
        Said::Gone => Becomes::Gone,
        Said::Emptied => Becomes::Value("".into()),
        Said::Masked => masked(),
    })
}

/// A field that came several times reads as a list of texts, and one that came once as a text.
fn of_rule(rule: &Rule, name: &str, count: usize) -> Option<Said> {
    let field = rule.member(rule.settle(0, Kind::Object), name)?;
    if rule.ends(field) {
        return Some(rule.said());
    }
    let text = rule.settle(rule.item(field, count)?, Kind::String);
    rule.ends(text).then(|| rule.said_of_item(field))
}

pub(super) fn masked() -> Becomes {
    Becomes::Value(MASK.into())
}
