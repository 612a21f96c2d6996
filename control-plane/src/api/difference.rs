//! What differs between two versions of a resource's spec: the fields, as a manifest writes them, or each value, for a diff.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::status::Problem;

/// Lines of a diff. A definition that was written anew differs everywhere, and nobody reads on.
const MAX_LINES: usize = 50;
/// Of a value shown in one, in characters.
const MAX_VALUE_CHARS: usize = 80;

/// The fields of two specs that differ, as a manifest writes them.
pub(super) fn fields<T: Serialize>(old: &T, new: &T) -> Result<Vec<String>, Problem> {
    let (Value::Object(old), Value::Object(new)) = (value(old)?, value(new)?) else {
        return Err(Problem::Internal("a spec is no object".to_owned()));
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    Ok(names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| format!("spec.{name}"))
        .collect())
}

/// Every value that differs, a line each: `functions[0].events[2].name: "a" -> "b"`.
pub(super) fn lines<T: Serialize>(old: &T, new: &T) -> Result<Vec<String>, Problem> {
    let mut lines = Vec::new();
    walk(String::new(), &value(old)?, &value(new)?, &mut lines);
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        lines.truncate(MAX_LINES);
        lines.push(format!("and {more} more"));
    }
    Ok(lines)
}

fn value<T: Serialize>(spec: &T) -> Result<Value, Problem> {
    serde_json::to_value(spec).map_err(|e| Problem::Internal(format!("compare specs: {e}")))
}

/// As deep as the message itself is, which is decoded within protobuf's own bound.
fn walk(path: String, old: &Value, new: &Value, lines: &mut Vec<String>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let none = &Value::Null;
                let (a, b) = (a.get(name).unwrap_or(none), b.get(name).unwrap_or(none));
                walk(path, a, b, lines);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for at in 0..a.len().max(b.len()) {
                let none = &Value::Null;
                let (a, b) = (a.get(at).unwrap_or(none), b.get(at).unwrap_or(none));
                walk(format!("{path}[{at}]"), a, b, lines);
            }
        }
        (Value::Null, new) => lines.push(format!("{path}: added {}", shown(new))),
        (old, Value::Null) => lines.push(format!("{path}: removed {}", shown(old))),
        (old, new) => lines.push(format!("{path}: {} -> {}", shown(old), shown(new))),
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use hookplane_proto::v1;
    use serde_json::json;

    use super::*;

    #[test]
    fn differing_fields_are_named_as_in_a_manifest() {
        let old = v1::WebhookGroupSpec::default();
        let new = v1::WebhookGroupSpec {
            registered_events: vec!["*".into()],
            disabled: true,
            ..Default::default()
        };
        assert_eq!(
            fields(&old, &new).unwrap(),
            ["spec.disabled", "spec.registeredEvents"]
        );
    }

    #[test]
    fn a_diff_names_each_value_by_its_place() {
        let old = json!({"functions": [{"events": ["a", "b"], "url": "x"}], "title": "T"});
        let new = json!({"functions": [{"events": ["a", "c", "d"]}], "title": "T", "order": 1});
        assert_eq!(
            lines(&old, &new).unwrap(),
            [
                r#"functions[0].events[1]: "b" -> "c""#,
                r#"functions[0].events[2]: added "d""#,
                r#"functions[0].url: removed "x""#,
                "order: added 1",
            ]
        );
        assert!(lines(&old, &old).unwrap().is_empty());
    }

    #[test]
    fn a_diff_is_bounded() {
        let old: Vec<u32> = (0..200).collect();
        let new = vec!["é".repeat(1000); 200];
        let lines = lines(&json!(old), &json!(new)).unwrap();
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert_eq!(lines[MAX_LINES], "and 150 more");
        assert!(lines.iter().all(|line| line.chars().count() < 100));
    }
}
