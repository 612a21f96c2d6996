//! Which paths a payload has, and of which kinds their values are.

use std::collections::BTreeMap;

use hookplane_rules::payload::{Json, Kind, elements, kind, members, unescape};
use hookplane_rules::{Path, PathPart};

use super::shape::MAX_PATHS;

/// How deep it is looked.
const MAX_DEPTH: usize = 12;
/// Items of one list that are looked at.
const MAX_ITEMS: usize = 20;
/// Members of an object of which it is taken that their names are no data.
const MAX_NAMED: usize = 50;
/// A longer path is not learned.
const MAX_PATH_BYTES: usize = 256;
/// A longer name is data.
const MAX_NAME_BYTES: usize = 64;
/// Stands for names that are data, as `[*]` for the items of a list.
const ANY_NAME: &str = ".*";

/// How many kinds there are.
pub(super) const KINDS: u32 = 6;
/// The number of the kind that says nothing of what else a value may be.
pub(super) const NULL: u32 = 0;

/// Each path with a bit for each kind that was there.
pub(super) type Found = BTreeMap<String, u8>;

/// All paths of a payload, within bounds.
pub(super) fn paths(payload: &Json) -> Found {
    let mut found = Found::new();
    walk(payload.text(), "payload", 0, &mut found);
    found
}

/// A path as a mapping or filter writes it, in the form in which they are found. None for one that is not of the payload.
pub(super) fn as_found(path: &str) -> Option<String> {
    let path = Path::parse(path).ok()?;
    let parts = path.parts().iter().map(|part| match part {
        PathPart::Name(name) => step(name),
        PathPart::Index(_) | PathPart::Each => PathPart::Each.to_string(),
    });
    Some(std::iter::once("payload".to_owned()).chain(parts).collect())
}

/// What an operator is told: `a number`.
pub(super) fn name(number: u32) -> &'static str {
    match number {
        1 => "a boolean",
        2 => "a number",
        3 => "text",
        4 => "a list",
        5 => "an object",
        _ => "null",
    }
}

fn number(kind: Kind) -> u32 {
    match kind {
        Kind::Null => NULL,
        Kind::Bool => 1,
        Kind::Number => 2,
        Kind::String => 3,
        Kind::Array => 4,
        Kind::Object => 5,
    }
}

fn walk(raw: &str, path: &str, depth: usize, found: &mut Found) {
    if depth == MAX_DEPTH {
        return;
    }
    match kind(raw) {
        Kind::Object => {
            let is_map = members(raw).nth(MAX_NAMED).is_some();
            for (key, value) in members(raw) {
                let step = match is_map {
                    true => ANY_NAME.to_owned(),
                    false => step(&unescape(key)),
                };
                see(value, format!("{path}{step}"), depth, found);
            }
        }
        Kind::Array => {
            for value in elements(raw).take(MAX_ITEMS) {
                see(value, format!("{path}{}", PathPart::Each), depth, found);
            }
        }
        _ => {}
    }
}

fn see(value: &str, path: String, depth: usize, found: &mut Found) {
    if path.len() > MAX_PATH_BYTES || (found.len() >= MAX_PATHS && !found.contains_key(&path)) {
        return;
    }
    *found.entry(path.clone()).or_default() |= 1 << number(kind(value));
    walk(value, &path, depth + 1, found);
}

fn step(name: &str) -> String {
    match is_data(name) {
        true => ANY_NAME.to_owned(),
        false => PathPart::Name(name.to_owned()).to_string(),
    }
}

/// Names that look like ids, dates, addresses: of those an object has others each time.
fn is_data(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let is_hex = || name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    name.is_empty()
        || name.len() > MAX_NAME_BYTES
        || name.contains(['@', '/'])
        || digits == name.len()
        // `2024-05-01`, `550e8400-…`, `cus_9s6XKzkNRiz8i3`; and not `address_line_1`, `sha256`, `oauth2`.
        || (digits >= 4 && (digits * 3 >= name.len() || name.len() >= 12))
        || (name.len() >= 16 && digits > 0 && is_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(String, u8)> {
        let payload = Json::validate(text.to_owned().into()).unwrap();
        paths(&payload).into_iter().collect()
    }

    #[test]
    fn a_list_is_one_path_and_so_is_a_map_that_data_names() {
        let found = of(
            r#"{"a b": [{"x": 1}, {"x": "t", "y": null}], "users": {"cus_9s6XKzkNRiz8i3": {"ok": true}, "2024-05-01": {"ok": false}}}"#,
        );
        let expected = [
            ("payload.users", 1 << 5),
            ("payload.users.*", 1 << 5),
            ("payload.users.*.ok", 1 << 1),
            ("payload[\"a b\"]", 1 << 4),
            ("payload[\"a b\"][*]", 1 << 5),
            ("payload[\"a b\"][*].x", 1 << 2 | 1 << 3),
            ("payload[\"a b\"][*].y", 1),
        ];
        let expected = expected.map(|(path, bits)| (path.to_owned(), bits));
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_payload_is_cannot_make_it_grow_without_bound() {
        let wide: Vec<String> = (0..5_000)
            .map(|n| format!("\"k{n}x\": {{\"v\": {n}}}"))
            .collect();
        assert!(of(&format!("{{{}}}", wide.join(","))).len() <= 2 + 1);
        let some = |n: usize| {
            format!(
                "\"n{}\": {{{}}}",
                "x".repeat(n),
                (0..40)
                    .map(|m| format!("\"m{}\": 1", "y".repeat(m)))
                    .collect::<Vec<_>>()
                    .join(",")
            )
        };
        let many: Vec<String> = (0..45).map(some).collect();
        assert_eq!(of(&format!("{{{}}}", many.join(","))).len(), MAX_PATHS);
        let deep = format!("{}1{}", "{\"a\":".repeat(60), "}".repeat(60));
        assert_eq!(of(&deep).len(), MAX_DEPTH);
    }

    #[test]
    fn a_path_that_is_read_is_found_in_whatever_form_it_is_written() {
        for (read, found) in [
            ("payload.lines[0]['a.b']", "payload.lines[*][\"a.b\"]"),
            (
                "payload.users.cus_9s6XKzkNRiz8i3.name",
                "payload.users.*.name",
            ),
            ("payload.address_line_1", "payload.address_line_1"),
            ("payload.sha256", "payload.sha256"),
        ] {
            assert_eq!(as_found(read).as_deref(), Some(found));
        }
        assert_eq!(as_found("headers.x"), None);
        assert_eq!(as_found("payload"), None);
    }
}
