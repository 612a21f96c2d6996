//! What is printed. Data goes to stdout through [`line`]; the rest to stderr through [`note`].

pub(crate) mod json;
pub(crate) mod table;
pub(crate) mod yaml;

use std::io::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::args::Format;
use crate::failure::Failure;
use table::Table;

/// One resource as all formats show it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Item<M, S> {
    /// Only on what can be applied.
    #[serde(rename = "apiVersion", skip_serializing_if = "Option::is_none")]
    pub(crate) api_version: Option<&'static str>,
    pub(crate) kind: &'static str,
    pub(crate) metadata: M,
    pub(crate) spec: S,
    pub(crate) status: Value,
}

/// Prints a list in the format asked for.
pub(crate) fn list<M: Serialize, S: Serialize>(
    format: Format,
    items: &[Item<M, S>],
    table: Table,
) -> Result<(), Failure> {
    match format {
        Format::Table if items.is_empty() => {
            // For people: a script that counts lines of data counts none.
            note("none");
            Ok(())
        }
        Format::Table => text(&table.render()),
        Format::Json => text(&json::list(items)?),
        Format::Yaml => text(&yaml::documents(items)?),
    }
}

/// A line of data, flushed.
pub(crate) fn line(line: &str) -> Result<(), Failure> {
    text(&format!("{line}\n"))
}

/// Data, flushed.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// A line for people. With stderr closed there is nobody to tell.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The same, without ending the line.
pub(crate) fn note_part(text: &str) {
    let mut out = std::io::stderr();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A name of a protobuf enum without its prefix, as the command line writes it: `suspected-replay`.
pub(crate) fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix)
        .to_ascii_lowercase()
        .replace('_', "-")
}

/// Text from outside for a terminal: control characters, which could move the cursor or worse, are shown instead of obeyed.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || is_invisible(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// Characters that turn the direction of what follows, end lines, or take no room: they make one name look like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enum_names_become_words() {
        assert_eq!(
            word("EVENT_FLAG_SUSPECTED_REPLAY", "EVENT_FLAG_"),
            "suspected-replay"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!visible("a\u{1b}[2Jb\nc").contains(['\u{1b}', '\n']));
        assert_eq!(visible("a\u{202e}b\u{200b}"), "a\u{fffd}b\u{fffd}");
    }
}
