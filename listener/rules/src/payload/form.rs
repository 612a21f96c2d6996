//! `application/x-www-form-urlencoded`, as the WHATWG URL standard splits it, but strict about what isn't text.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

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
    form_json_within(fields, usize::MAX).0
}

/// The same, or its beginning: no more is made than so many bytes. Says whether it is cut.
pub(super) fn form_json_within(
    fields: &BTreeMap<String, Vec<String>>,
    max: usize,
) -> (String, bool) {
    let mut out = Bounded {
        bytes: Vec::new(),
        max,
    };
    // Strings and lists of strings always serialize: what fails is that there is no room.
    let cut = write_json(fields, &mut out).is_err();
    let text = String::from_utf8(out.bytes).unwrap_or_else(|error| {
        // Cut within a character.
        let whole = error.utf8_error().valid_up_to();
        let mut bytes = error.into_bytes();
        bytes.truncate(whole);
        String::from_utf8(bytes).unwrap_or_default()
    });
    (text, cut)
}

fn write_json(fields: &BTreeMap<String, Vec<String>>, out: &mut Bounded) -> io::Result<()> {
    let mut before: &[u8] = b"{";
    for (name, values) in fields {
        out.write_all(before)?;
        before = b",";
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b":")?;
        match values.as_slice() {
            [one] => serde_json::to_writer(&mut *out, one)?,
            many => serde_json::to_writer(&mut *out, many)?,
        }
    }
    if fields.is_empty() {
        out.write_all(before)?;
    }
    out.write_all(b"}")
}

/// Takes so many bytes, and no more.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fitting = bytes.len().min(self.max - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..fitting]);
        Ok(fitting)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
