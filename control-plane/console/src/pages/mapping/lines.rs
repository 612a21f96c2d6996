//! Texts that stand in an area of a form, a line each: a value map, a picklist. One that a line can't hold as it is stands in quotes, as JSON has them.

use std::collections::BTreeMap;

/// A text in a line of its own: as it is where that says the same, else in quotes, as JSON has them.
pub(super) fn quoted(text: &str) -> String {
    let plain = !text.is_empty()
        && text.trim() == text
        && !text.starts_with('"')
        && !text.contains(['=', '\n', '\r']);
    if plain {
        text.to_owned()
    } else {
        serde_json::to_string(text).unwrap_or_default()
    }
}

pub(super) fn lines<'t>(texts: impl Iterator<Item = &'t String>) -> String {
    let lines: Vec<_> = texts.map(|text| quoted(text)).collect();
    lines.join("\n")
}

fn unquoted(text: &str) -> Result<String, String> {
    let text = text.trim();
    if !text.starts_with('"') {
        return Ok(text.to_owned());
    }
    serde_json::from_str(text)
        .map_err(|_| format!("`{text}` begins with a quote and isn't JSON's way to quote a text"))
}

/// `from = to` a line; either may be quoted.
pub(super) fn value_map(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut values = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let split = match line.starts_with('"') {
            true => end_of_quote(line).and_then(|end| {
                let rest = line[end..].trim_start().strip_prefix('=')?;
                Some((&line[..end], rest))
            }),
            false => line.split_once('='),
        };
        let (from, to) = split.ok_or_else(|| {
            format!("the values have `{line}`, which is not `what it is = what it becomes`")
        })?;
        let from = unquoted(from)?;
        if values.insert(from.clone(), unquoted(to)?).is_some() {
            return Err(format!("the values have `{from}` twice"));
        }
    }
    Ok(values)
}

/// Behind the closing one.
fn end_of_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

pub(super) fn picklist(text: &str) -> Result<Vec<String>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(unquoted).collect()
}
