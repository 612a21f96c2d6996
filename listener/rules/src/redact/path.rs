//! Paths in a payload, as people write them: `payload.customer.email`, `payload.lines[*].sku`, `payload["first name"]`.

use std::fmt;

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 512;
/// What every path begins with.
const ROOT: &str = "payload";

/// A path that was parsed. Its parts are one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    parts: Vec<Part>,
}

/// One part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The member of this name.
    Name(String),
    /// The item at this place of a list, from 0.
    Index(usize),
    /// Each item of a list.
    Each,
}

impl Path {
    /// Reads one, or says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PATH_BYTES {
            return Err(format!(
                "is {} bytes long, at most {MAX_PATH_BYTES} are taken",
                text.len()
            ));
        }
        let wrong = || {
            format!(
                "`{text}` is no path; one is payload.customer.email, payload.lines[0].sku, payload.lines[*].sku or \
                 payload[\"first name\"]"
            )
        };
        let mut rest = text.strip_prefix(ROOT).ok_or_else(wrong)?;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (part, after) = part(rest).ok_or_else(wrong)?;
            parts.push(part);
            rest = after;
        }
        match parts.is_empty() {
            true => Err(format!("`{text}` is the whole payload; name a part of it")),
            false => Ok(Self { parts }),
        }
    }

    /// From the payload on.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

/// The first part, and what follows it.
fn part(text: &str) -> Option<(Part, &str)> {
    if let Some(name) = text.strip_prefix('.') {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (name, after) = name.split_at(end);
        return is_plain(name).then(|| (Part::Name(name.to_owned()), after));
    }
    let inside = text.strip_prefix('[')?;
    if let Some(after) = inside.strip_prefix("*]") {
        return Some((Part::Each, after));
    }
    if let Some(quote) = inside.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let (name, after) = quoted(&inside[1..], quote)?;
        return Some((Part::Name(name), after.strip_prefix(']')?));
    }
    let (digits, after) = inside.split_once(']')?;
    let is_index = digits.bytes().all(|b| b.is_ascii_digit()) && digits.len() <= 9;
    Some((
        Part::Index(digits.parse().ok().filter(|_| is_index)?),
        after,
    ))
}

/// A name up to its closing quote; a backslash stands before a quote and before itself.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.push(
                characters
                    .next()
                    .map(|(_, c)| c)
                    .filter(|c| matches!(c, '\\' | '"' | '\''))?,
            ),
            c if c == quote => return Some((name, &text[at + c.len_utf8()..])),
            c => name.push(c),
        }
    }
    None
}

/// True for a name that can stand without quotes.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "[]\"'*\\".contains(c))
}

/// As it is written.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ROOT)?;
        self.parts.iter().try_for_each(|part| write!(f, "{part}"))
    }
}

/// With what joins it to the part before.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) if is_plain(name) && !name.contains('.') => write!(f, ".{name}"),
            Self::Name(name) => {
                let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "[\"{escaped}\"]")
            }
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Each => f.write_str("[*]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_it_was_read() {
        for text in [
            "payload.customer.email",
            "payload.lines[*].sku",
            "payload[0].a-b.ä",
            "payload[\"first name\"][\"a\\\"b\\\\\"]",
            "payload[*][*]",
        ] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
        let single = Path::parse("payload['a.b'].c").unwrap();
        assert_eq!(single.to_string(), "payload[\"a.b\"].c");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            "payload",
            "customer.email",
            "payloads.a",
            "payload.",
            "payload..a",
            "payload[",
            "payload[-1]",
            "payload[1",
            "payload[\"a]",
            "payload.a b",
            "payload.*",
            "payload[]",
            "payload[\"a\"",
            "payload[99999999999]",
            "payload[\"a\\n\"]",
        ] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
        let long = format!("payload.{}", "a".repeat(MAX_PATH_BYTES));
        assert!(Path::parse(&long).unwrap_err().contains("at most"));
    }
}
