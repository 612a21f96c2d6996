//! JSON: `{"items": […]}`, stable, with payloads exactly as they came.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Item;
use crate::failure::Failure;

#[derive(Serialize)]
struct List<'a, T> {
    items: &'a [T],
}

/// A list of items, for people and programs.
pub(crate) fn list<M: Serialize, S: Serialize>(items: &[Item<M, S>]) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(&List { items }).map_err(failed)?;
    text.push('\n');
    Ok(text)
}

/// One object on one line.
pub(crate) fn line<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(failed)
}

/// A JSON text as a value that is printed as it came: `12.50` stays `12.50`. None when there is none.
pub(crate) fn raw(text: &str) -> Option<Box<RawValue>> {
    if text.is_empty() {
        return None;
    }
    RawValue::from_string(on_one_line(text)).ok()
}

/// Takes out the white space between tokens, line breaks among it: a line of output is one record.
fn on_one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            (in_string, escaped) = (c != '"' || escaped, c == '\\' && !escaped);
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

fn failed(error: serde_json::Error) -> Failure {
    Failure::new(format!("write JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_strings_and_escapes_stay_as_they_came() {
        let text =
            "{\n \"a\" : 12.50,\r\n \"b\":\"x \\\" y\\\\\" , \"c\": \"\\u00e9 z\", \"d\": 1e400 }";
        let raw = raw(text).unwrap();
        assert_eq!(
            raw.get(),
            "{\"a\":12.50,\"b\":\"x \\\" y\\\\\",\"c\":\"\\u00e9 z\",\"d\":1e400}"
        );
    }

    #[test]
    fn what_is_no_json_is_null() {
        assert!(raw("").is_none());
        assert!(raw("{").is_none());
    }

    #[test]
    fn a_list_has_items_with_metadata_spec_and_status() {
        let items = [Item {
            api_version: None,
            kind: "Event",
            metadata: json!({"name": "e"}),
            spec: json!({"type": "push"}),
            status: json!({}),
        }];
        let text = list(&items).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            json!({"items": [{"kind": "Event", "metadata": {"name": "e"}, "spec": {"type": "push"}, "status": {}}]})
        );
        let none: [Item<(), ()>; 0] = [];
        assert_eq!(list(&none).unwrap(), "{\n  \"items\": []\n}\n");
    }
}
