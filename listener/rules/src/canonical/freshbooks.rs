//! FreshBooks' callbacks: the form's fields, in the order they came, as the JSON object that Python's `json.dumps` makes of them (as
//! their documentation of webhooks shows): all values texts, `, ` and `: ` between, what isn't ASCII as `\uXXXX`.

use super::{Unwritten, escaped, unlike};
use crate::payload::form_pairs;
use crate::request::Request;

pub(super) fn write(request: &Request, sink: &mut dyn FnMut(&[u8])) -> Result<(), Unwritten> {
    // That it is a form, and a valid one, is seen here; in which order its fields came, only in the body.
    let fields = request.form_fields()?;
    let pairs = form_pairs(&request.callback.body).unwrap_or_default();
    if pairs.len() != fields.len() {
        return Err(unlike("a form field is there more than once"));
    }
    let mut separator: &[u8] = b"{";
    for (name, value) in &pairs {
        sink(separator);
        quoted(name, sink);
        sink(b": ");
        quoted(value, sink);
        separator = b", ";
    }
    sink(if pairs.is_empty() { b"{}" } else { b"}" });
    Ok(())
}

fn quoted(text: &str, sink: &mut dyn FnMut(&[u8])) {
    sink(b"\"");
    for char in text.chars() {
        match char {
            '"' => sink(b"\\\""),
            '\\' => sink(b"\\\\"),
            '\n' => sink(b"\\n"),
            '\r' => sink(b"\\r"),
            '\t' => sink(b"\\t"),
            '\u{8}' => sink(b"\\b"),
            '\u{c}' => sink(b"\\f"),
            ' '..='~' => sink(&[char as u8]),
            other => escaped::unicode(other, sink),
        }
    }
    sink(b"\"");
}
