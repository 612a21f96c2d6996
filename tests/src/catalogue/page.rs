//! The table in the page beside the catalogue, so that a reader sees it without running anything.

use super::{Table, path};

const PAGE: &str = "../control-plane/connectors/README.md";
const BEGIN: &str =
    "<!-- what the catalogue holds: written by the tests' `catalogue` command -->\n";
const END: &str = "<!-- end -->";

/// What stands in the page.
pub fn page() -> Result<String, String> {
    let text = std::fs::read_to_string(path(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
    let (_, rest) = text.split_once(BEGIN).ok_or("the page has lost its mark")?;
    let (table, _) = rest
        .split_once(END)
        .ok_or("the page has lost its end mark")?;
    Ok(table.to_owned())
}

/// Puts this one there.
pub fn write_page(table: &Table) -> Result<(), String> {
    let text = std::fs::read_to_string(path(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
    let (before, rest) = text.split_once(BEGIN).ok_or("the page has lost its mark")?;
    let (_, after) = rest
        .split_once(END)
        .ok_or("the page has lost its end mark")?;
    let text = format!("{before}{BEGIN}{table}{END}{after}");
    std::fs::write(path(PAGE), text).map_err(|error| format!("{PAGE}: {error}"))
}
