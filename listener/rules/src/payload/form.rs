//! `application/x-www-form-urlencoded`, as the WHATWG URL standard splits it, but strict about what isn't text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::MAX_FORM_FIELDS;

/// Splits `application/x-www-form-urlencoded` text. None when it is not valid (bad percent escapes or UTF-8) or has more than
/// [`MAX_FORM_FIELDS`] fields.
pub fn decode_form(body: &[u8]) -> Option<BTreeMap<String, Vec<String>>> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    each_pair(body, |name, value| {
        fields.entry(name).or_default().push(value);
    })?;
    Some(fields)
}

/// The same in the order in which they came.
pub(crate) fn form_pairs(body: &[u8]) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    each_pair(body, |name, value| pairs.push((name, value)))?;
    Some(pairs)
}

fn each_pair(body: &[u8], mut see: impl FnMut(String, String)) -> Option<()> {
    let pieces = body.split(|b| *b == b'&').filter(|piece| !piece.is_empty());
    for (count, piece) in pieces.enumerate() {
        if count == MAX_FORM_FIELDS {
            return None;
        }
        let equals = piece.iter().position(|b| *b == b'=');
        let (name, value) = match equals {
            Some(at) => (&piece[..at], &piece[at + 1..]),
            None => (piece, &[][..]),
        };
        see(decode(name)?, decode(value)?);
    }
    Some(())
}

fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(rest.next())? << 4 | hex_digit(rest.next())?,
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex_digit(digit: Option<&u8>) -> Option<u8> {
    char::from(*digit?).to_digit(16).map(|digit| digit as u8)
}

/// As a JSON object: a field that came once is a string, one that came several times a list of strings.
pub fn form_json(fields: &BTreeMap<String, Vec<String>>) -> String {
    let object: BTreeMap<&str, Cow<'_, serde_json::Value>> = fields
        .iter()
        .map(|(name, values)| {
            let value = match values.as_slice() {
                [one] => one.as_str().into(),
                many => many.iter().map(String::as_str).collect(),
            };
            (name.as_str(), Cow::Owned(value))
        })
        .collect();
    // Strings and lists of strings always serialize.
    serde_json::to_string(&object).unwrap_or_default()
}
