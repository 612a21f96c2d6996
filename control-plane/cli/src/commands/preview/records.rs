//! Records as a tree for people: a record, its fields, what it points to, what points to it.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Lines of a tree that are shown. One of thousands of children is not read to its end.
const MAX_LINES: usize = 500;

/// What a mapping made, as the API writes it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    object: String,
    operation: String,
    key: Option<String>,
    /// The relationship's name in the one that points to this one.
    field: Option<String>,
    /// The relationship's name in this one.
    parent_field: Option<String>,
    #[serde(default)]
    fields: Fields,
    #[serde(default)]
    parents: Vec<Record>,
    #[serde(default)]
    children: Vec<Record>,
}

/// In the order they stand in, values as they are written.
#[derive(Default)]
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of fields")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A line each.
pub(super) fn tree(records_json: &str) -> Vec<String> {
    let mut lines = Vec::new();
    match serde_json::from_str::<Vec<Record>>(records_json) {
        Ok(records) => {
            for record in &records {
                walk(record, 1, &mut lines);
            }
        }
        // Of a newer server: as it came.
        Err(_) => lines.push(format!("  {records_json}")),
    }
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        lines.truncate(MAX_LINES);
        lines.push(format!("  … {more} lines more; -o json has all of it"));
    }
    lines
}

/// As deep as the API's own bound.
fn walk(record: &Record, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let link = match (&record.field, &record.parent_field) {
        (Some(field), _) => format!("{field} -> "),
        (None, Some(field)) => format!("({field}) <- "),
        (None, None) => String::new(),
    };
    let by = match &record.key {
        Some(key) => format!(" by {key}"),
        None => String::new(),
    };
    lines.push(format!(
        "{indent}{link}{}  {}{by}",
        record.object, record.operation
    ));
    for (name, value) in &record.fields.0 {
        lines.push(format!("{indent}  {name} = {}", value.get()));
    }
    for one in record.parents.iter().chain(&record.children) {
        walk(one, depth + 1, lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_and_children_stand_below_their_record() {
        let json = r#"[{"object":"Order__c","operation":"upsert","key":"Id__c","fields":{"Z":1.10,"A":null},
            "parents":[{"field":"Account__r","object":"Account","operation":"upsert","key":"Email__c","fields":{"Email__c":"x"}}],
            "children":[{"parentField":"Order__r","object":"Line__c","operation":"insert","fields":{"Sku__c":"s"}}]}]"#;
        assert_eq!(
            tree(json),
            [
                "  Order__c  upsert by Id__c",
                "    Z = 1.10",
                "    A = null",
                "    Account__r -> Account  upsert by Email__c",
                "      Email__c = \"x\"",
                "    (Order__r) <- Line__c  insert",
                "      Sku__c = \"s\"",
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_shown_as_it_is() {
        assert_eq!(tree("[1]"), ["  [1]"]);
    }
}
