//! JSON written anew, without spaces, its numbers as they came.
//!
//! - NOWPayments sorts the members of every object by name and writes the rest as JavaScript's `JSON.stringify` does (its
//!   documentation, and several integrations that agree).
//! - Treezor signs one member of the body as PHP's `json_encode` writes it: in the order of the members, slashes as `\/`, what isn't
//!   ASCII as `\uXXXX`.

use super::{Unwritten, escaped};
use crate::payload::{Json, Kind, Payload, elements, kind, members, unescape};
use crate::request::{Missing, Request};

/// How it is written.
#[derive(Debug, Clone, Copy)]
struct Style {
    sorted: bool,
    php: bool,
}

pub(super) fn sorted(request: &Request, sink: &mut dyn FnMut(&[u8])) -> Result<(), Unwritten> {
    let style = Style {
        sorted: true,
        php: false,
    };
    style.value(body(request)?.text(), sink);
    Ok(())
}

pub(super) fn php(
    at: &[String],
    request: &Request,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Unwritten> {
    let style = Style {
        sorted: false,
        php: true,
    };
    let raw = body(request)?.at(at).ok_or_else(|| {
        (
            Missing::Absent,
            "the value that is signed is missing".to_owned(),
        )
    })?;
    style.value(raw, sink);
    Ok(())
}

/// A body that is JSON itself: what is signed is all of it.
fn body(request: &Request) -> Result<&Json, Unwritten> {
    let why = match request.payload() {
        Payload::Json(json) => return Ok(json),
        Payload::Form(_) | Payload::FormJson(..) => "it is a form, and what is signed is JSON",
        Payload::Opaque(why) => why,
    };
    Err((
        Missing::Undecodable(why.to_owned()),
        format!("the body can't be read as JSON: {why}"),
    ))
}

impl Style {
    /// As deep as valid JSON may be.
    fn value(self, raw: &str, sink: &mut dyn FnMut(&[u8])) {
        match kind(raw) {
            Kind::Object => {
                let mut all: Vec<_> = members(raw)
                    .map(|(key, value)| (unescape(key), value))
                    .collect();
                if self.sorted {
                    all.sort_by(|one, other| one.0.cmp(&other.0));
                }
                let mut separator: &[u8] = b"";
                sink(b"{");
                for (key, value) in all {
                    sink(separator);
                    self.quoted(&key, sink);
                    sink(b":");
                    self.value(value, sink);
                    separator = b",";
                }
                sink(b"}");
            }
            Kind::Array => {
                let mut separator: &[u8] = b"";
                sink(b"[");
                for value in elements(raw) {
                    sink(separator);
                    self.value(value, sink);
                    separator = b",";
                }
                sink(b"]");
            }
            Kind::String => self.quoted(&unescape(raw), sink),
            Kind::Number | Kind::Bool | Kind::Null => sink(raw.trim().as_bytes()),
        }
    }

    fn quoted(self, text: &str, sink: &mut dyn FnMut(&[u8])) {
        sink(b"\"");
        let mut plain = 0;
        for (at, char) in text.char_indices() {
            let is_plain = match char {
                '"' | '\\' | '\0'..='\u{1f}' => false,
                '/' | '\u{80}'.. => !self.php,
                _ => true,
            };
            if is_plain {
                continue;
            }
            sink(&text.as_bytes()[plain..at]);
            plain = at + char.len_utf8();
            match char {
                '"' => sink(b"\\\""),
                '\\' => sink(b"\\\\"),
                '/' => sink(b"\\/"),
                '\n' => sink(b"\\n"),
                '\r' => sink(b"\\r"),
                '\t' => sink(b"\\t"),
                '\u{8}' => sink(b"\\b"),
                '\u{c}' => sink(b"\\f"),
                other => escaped::unicode(other, sink),
            }
        }
        sink(&text.as_bytes()[plain..]);
        sink(b"\"");
    }
}
