//! Reading values out of JSON text that was validated before.
//!
//! Nothing here checks anything, and nothing here panics: on text that was never validated the answers are merely wrong. `raw` is
//! always the text of one value, with or without whitespace around it.

use std::borrow::Cow;
use std::ops::Range;

/// A key, quoted as written, and its value in a text.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`, `false`
    Bool,
    /// `12.50`
    Number,
    /// `"text"`
    String,
    /// `[1]`
    Array,
    /// `{"a": 1}`
    Object,
}

/// Told by the first byte.
pub fn kind(raw: &str) -> Kind {
    match raw.trim_start().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'-' | b'0'..=b'9') => Kind::Number,
        _ => Kind::Null,
    }
}

/// The raw text of the value at a pointer's unescaped tokens.
pub(crate) fn at<'a>(raw: &'a str, pointer: &[String]) -> Option<&'a str> {
    pointer
        .iter()
        .try_fold(raw.trim(), |raw, token| match kind(raw) {
            Kind::Object => member(raw, token),
            Kind::Array => elements(raw).nth(array_index(token)?),
            _ => None,
        })
}

/// As RFC 6901 writes indexes: digits without a leading zero.
fn array_index(token: &str) -> Option<usize> {
    let plain =
        token.bytes().all(|b| b.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    plain.then(|| token.parse().ok()).flatten()
}

/// The value of a key in an object.
pub fn member<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    members(object)
        .find(|(raw_key, _)| is_key(raw_key, key))
        .map(|(_, value)| value)
}

pub(super) fn is_key(raw_key: &str, key: &str) -> bool {
    let content = raw_key
        .get(1..raw_key.len().saturating_sub(1))
        .unwrap_or_default();
    // The lengths tell most keys apart: an escape only makes a key longer than what it stands for.
    content.len() >= key.len()
        && match content.contains('\\') {
            true => unescape(raw_key) == key,
            false => content == key,
        }
}

/// The keys, quoted as written, and values of an object.
pub fn members(object: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut cursor = Cursor::inside(object);
    std::iter::from_fn(move || {
        let key = cursor.next_value()?;
        Some((key, cursor.next_value()?))
    })
}

/// The elements of an array.
pub fn elements(array: &str) -> impl Iterator<Item = &str> {
    let mut cursor = Cursor::inside(array);
    std::iter::from_fn(move || cursor.next_value())
}

/// A string's content. `raw` has its quotes.
pub fn unescape(raw: &str) -> Cow<'_, str> {
    let raw = raw.trim();
    let content = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    let Some(first) = content.find('\\') else {
        return Cow::Borrowed(content);
    };
    let mut out = String::with_capacity(content.len());
    out.push_str(&content[..first]);
    let mut rest = &content[first..];
    while let Some(place) = rest.find('\\') {
        out.push_str(&rest[..place]);
        let escape = &rest[place..];
        let (text, length) = one_escape(escape.as_bytes());
        out.push(text);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of the escape that bytes begin with, and the escape's length.
fn one_escape(escape: &[u8]) -> (char, usize) {
    let unit = |from: usize| escape.get(from..from + 4).and_then(hex_unit);
    match escape.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => {
            let high = unit(2).unwrap_or_default();
            let low = unit(8).unwrap_or_default();
            match char::decode_utf16([high, low]).next() {
                Some(Ok(pair)) if pair.len_utf16() == 2 => (pair, 12),
                Some(Ok(single)) => (single, 6),
                _ => (char::REPLACEMENT_CHARACTER, 6),
            }
        }
        Some(byte @ (b'"' | b'\\' | b'/')) => (char::from(*byte), 2),
        _ => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// Four hex digits.
pub(super) fn hex_unit(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |unit: u16, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

/// The places of all texts, numbers and booleans in a value, keys left out.
pub(crate) fn scalars(raw: &str, found: &mut dyn FnMut(Range<usize>)) {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = end_of_string(bytes, at);
                let rest = bytes.get(end..).unwrap_or_default();
                if rest.trim_ascii_start().first() != Some(&b':') {
                    found(at..end);
                }
                at = end;
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                let end = end_of_word(bytes, at);
                if *byte != b'n' {
                    found(at..end);
                }
                at = end;
            }
            _ => at += 1,
        }
    }
}

/// Steps over the values inside an array or object; a key counts as one.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn inside(container: &'a str) -> Self {
        let text = container.trim();
        Self { text, at: 1 }
    }

    fn next_value(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        // Between values there are only whitespace, commas and colons: that they are in the right places was checked before.
        while let Some(b' ' | b'\n' | b'\r' | b'\t' | b',' | b':') = bytes.get(self.at) {
            self.at += 1;
        }
        let start = self.at;
        self.at = match bytes.get(start)? {
            b']' | b'}' => return None,
            b'"' => end_of_string(bytes, start),
            b'{' | b'[' => end_of_container(bytes, start),
            _ => end_of_word(bytes, start),
        };
        self.text.get(start..self.at)
    }
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        at = end_of_plain(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            // No valid string holds one.
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

/// The place of the first quote, backslash or control character from `at` on; the end where there is none.
pub(super) fn end_of_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let found = special(u64::from_le_bytes(*eight));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    length.map_or(bytes.len(), |length| at + length)
}

/// The high bit of each of eight bytes that is a quote, a backslash or a control character. Exact up to the first one, which is all that is
/// asked for: a byte's subtraction borrows from the next one only where it has set its bit itself.
fn special(eight: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let is_below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let is = |byte: u8| is_below(eight ^ (ONES * u64::from(byte)), 1);
    (is(b'"') | is(b'\\') | is_below(eight, 0x20)) & (ONES << 7)
}

fn end_of_container(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn end_of_word(bytes: &[u8], start: usize) -> usize {
    bytes[start..]
        .iter()
        .position(|b| matches!(b, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t'))
        .map_or(bytes.len(), |length| start + length)
}
