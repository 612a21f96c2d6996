//! JSON as PHP writes it, within a text: slashes as `\/`, what isn't ASCII as `\uXXXX`.
//!
//! Box signs its bodies in this form or as they are (npm box-node-sdk 10.12, `jsonStringifyWithEscapedUnicode`): characters from U+007F
//! on in lower-case digits, and a slash that no backslash stands before.

use super::Unwritten;
use crate::location::Location;
use crate::request::{Missing, Request};

pub(super) fn body(request: &Request, sink: &mut dyn FnMut(&[u8])) -> Result<(), Unwritten> {
    let text = std::str::from_utf8(&request.callback.body).map_err(|_| {
        let missing = Missing::Unreadable;
        let why = missing.explain(&Location::Body);
        (missing, why)
    })?;
    let mut plain = 0;
    let mut before = ' ';
    for (at, char) in text.char_indices() {
        let is_slash = char == '/' && before != '\\';
        before = char;
        if !is_slash && char < '\u{7f}' {
            continue;
        }
        sink(&text.as_bytes()[plain..at]);
        plain = at + char.len_utf8();
        match is_slash {
            true => sink(b"\\/"),
            false => unicode(char, sink),
        }
    }
    sink(&text.as_bytes()[plain..]);
    Ok(())
}

/// As one or two UTF-16 units.
pub(super) fn unicode(char: char, sink: &mut dyn FnMut(&[u8])) {
    for unit in char.encode_utf16(&mut [0; 2]) {
        sink(format!("\\u{unit:04x}").as_bytes());
    }
}
