//! A JSON body as other programs would have written it. The order of members is lost to nobody but those that sort.

use crate::payload::{Kind, elements, kind, members, unescape};

/// How one program writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    comma: &'static str,
    colon: &'static str,
    /// None: on one line.
    indent: Option<&'static str>,
    sorted: bool,
    escapes: Escapes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// As they came.
    Kept,
    /// What must be escaped.
    Few,
    /// And slashes.
    Slashes,
    /// And what isn't ASCII.
    Ascii,
    /// Both.
    AsciiAndSlashes,
    /// `<`, `>` and `&`, for pages.
    Html,
}

const COMPACT: Style = Style {
    comma: ",",
    colon: ":",
    indent: None,
    sorted: false,
    escapes: Escapes::Kept,
};
const SPACED: Style = Style {
    comma: ", ",
    colon: ": ",
    ..COMPACT
};
const INDENTED: Style = Style {
    comma: ",",
    colon: ": ",
    indent: Some("  "),
    ..COMPACT
};

/// The usual ones first.
pub(super) const STYLES: [(&str, Style); 14] = [
    ("without spaces between its values", COMPACT),
    (
        "without spaces, and what isn't ASCII as it is",
        COMPACT.escaping(Escapes::Few),
    ),
    (
        "without spaces, and what isn't ASCII escaped",
        COMPACT.escaping(Escapes::Ascii),
    ),
    (
        "without spaces, with slashes escaped",
        COMPACT.escaping(Escapes::Slashes),
    ),
    (
        "without spaces, with slashes and what isn't ASCII escaped",
        COMPACT.escaping(Escapes::AsciiAndSlashes),
    ),
    (
        "without spaces, with `<`, `>` and `&` escaped",
        COMPACT.escaping(Escapes::Html),
    ),
    ("with a space after commas and colons", SPACED),
    (
        "with a space after commas and colons, and what isn't ASCII escaped",
        SPACED.escaping(Escapes::Ascii),
    ),
    (
        "with a space after commas and colons, and what isn't ASCII as it is",
        SPACED.escaping(Escapes::Few),
    ),
    ("indented by two spaces", INDENTED),
    (
        "indented by four spaces",
        Style {
            indent: Some("    "),
            ..INDENTED
        },
    ),
    (
        "indented by tabs",
        Style {
            indent: Some("\t"),
            ..INDENTED
        },
    ),
    (
        "without spaces, its members sorted",
        Style {
            sorted: true,
            ..COMPACT.escaping(Escapes::Few)
        },
    ),
    (
        "with spaces, its members sorted",
        Style {
            sorted: true,
            ..SPACED.escaping(Escapes::Ascii)
        },
    ),
];

impl Style {
    const fn escaping(self, escapes: Escapes) -> Self {
        Self { escapes, ..self }
    }

    /// Of text that was validated.
    pub(super) fn write(self, json: &str) -> String {
        let mut out = String::with_capacity(json.len() + json.len() / 4);
        self.value(json, 0, &mut out);
        out
    }

    /// As deep as valid JSON may be.
    fn value(self, raw: &str, depth: usize, out: &mut String) {
        match kind(raw) {
            Kind::Object => {
                let mut all: Vec<(&str, &str)> = members(raw).collect();
                if self.sorted {
                    all.sort_by_cached_key(|(key, _)| unescape(key).into_owned());
                }
                self.container(['{', '}'], all.len(), depth, out, |index, out| {
                    let (key, value) = all[index];
                    self.string(key, out);
                    out.push_str(self.colon);
                    self.value(value, depth + 1, out);
                });
            }
            Kind::Array => {
                let all: Vec<&str> = elements(raw).collect();
                self.container(['[', ']'], all.len(), depth, out, |index, out| {
                    self.value(all[index], depth + 1, out);
                });
            }
            Kind::String => self.string(raw.trim(), out),
            Kind::Number | Kind::Bool | Kind::Null => out.push_str(raw.trim()),
        }
    }

    fn container(
        self,
        [open, close]: [char; 2],
        length: usize,
        depth: usize,
        out: &mut String,
        mut item: impl FnMut(usize, &mut String),
    ) {
        out.push(open);
        for index in 0..length {
            if index > 0 {
                out.push_str(self.comma);
            }
            self.line(depth + 1, out);
            item(index, out);
        }
        if length > 0 {
            self.line(depth, out);
        }
        out.push(close);
    }

    fn line(self, depth: usize, out: &mut String) {
        if let Some(indent) = self.indent {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str(indent));
        }
    }

    fn string(self, raw: &str, out: &mut String) {
        if self.escapes == Escapes::Kept {
            out.push_str(raw);
            return;
        }
        let (slashes, ascii) = match self.escapes {
            Escapes::Slashes => (true, false),
            Escapes::Ascii => (false, true),
            Escapes::AsciiAndSlashes => (true, true),
            Escapes::Kept | Escapes::Few | Escapes::Html => (false, false),
        };
        out.push('"');
        for char in unescape(raw).chars() {
            match char {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '/' if slashes => out.push_str("\\/"),
                '\0'..='\u{1f}' => escaped(char, out),
                '<' | '>' | '&' if self.escapes == Escapes::Html => escaped(char, out),
                '\u{80}'.. if ascii => escaped(char, out),
                other => out.push(other),
            }
        }
        out.push('"');
    }
}

fn escaped(char: char, out: &mut String) {
    for unit in char.encode_utf16(&mut [0; 2]) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_written_as_others_write_it() {
        let json = "{\"b\": [1.0, {}, []],\r\n \"a\":\"\\u00e9/<\\n\"}";
        let written = |wanted: &str| {
            let (_, style) = STYLES.iter().find(|(what, _)| *what == wanted).unwrap();
            style.write(json)
        };
        for (what, expected) in [
            (
                "without spaces between its values",
                "{\"b\":[1.0,{},[]],\"a\":\"\\u00e9/<\\n\"}",
            ),
            (
                "without spaces, its members sorted",
                "{\"a\":\"é/<\\n\",\"b\":[1.0,{},[]]}",
            ),
            (
                "without spaces, with slashes and what isn't ASCII escaped",
                "{\"b\":[1.0,{},[]],\"a\":\"\\u00e9\\/<\\n\"}",
            ),
            (
                "with a space after commas and colons, and what isn't ASCII as it is",
                "{\"b\": [1.0, {}, []], \"a\": \"é/<\\n\"}",
            ),
            (
                "without spaces, with `<`, `>` and `&` escaped",
                "{\"b\":[1.0,{},[]],\"a\":\"é/\\u003c\\n\"}",
            ),
            (
                "indented by two spaces",
                "{\n  \"b\": [\n    1.0,\n    {},\n    []\n  ],\n  \"a\": \"\\u00e9/<\\n\"\n}",
            ),
        ] {
            assert_eq!(written(what), expected, "{what}");
        }
    }
}
