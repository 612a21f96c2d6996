//! Two records field by field, each by its place: `base.fields.Total__c`, `base.children[3].parents[0].fields.Sku__c`.

use std::collections::BTreeMap;

use hookplane_proto::v1;

use crate::mapping::Record;

/// What differs, in order of the places. None is no mapping: then all of the other's differ.
pub(super) fn difference(old: Option<&Record>, new: Option<&Record>) -> Vec<v1::FieldDifference> {
    if old == new {
        return Vec::new();
    }
    let (old, mut new) = (flat(old), flat(new));
    let mut differences = Vec::new();
    for (field, old) in old {
        let new = new.remove(&field).unwrap_or_default();
        if old != new {
            differences.push(v1::FieldDifference { field, old, new });
        }
    }
    differences.extend(new.into_iter().map(|(field, new)| v1::FieldDifference {
        field,
        old: String::new(),
        new,
    }));
    differences.sort_by(|one, other| one.field.cmp(&other.field));
    differences
}

/// A place with `*` for each index.
pub(super) fn any_index(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut within = false;
    for c in field.chars() {
        match c {
            '[' => {
                within = true;
                out.push_str("[*");
            }
            ']' => {
                within = false;
                out.push(c);
            }
            _ if within => {}
            _ => out.push(c),
        }
    }
    out
}

/// Every value by its place, as JSON.
fn flat(record: Option<&Record>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    if let Some(record) = record {
        walk("base", record, &mut out);
    }
    out
}

fn walk(at: &str, record: &Record, out: &mut BTreeMap<String, String>) {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    out.insert(format!("{at}.object"), text(&record.object));
    let operation = record.operation.as_str_name();
    let operation = operation.trim_start_matches("RECORD_OPERATION_");
    out.insert(
        format!("{at}.operation"),
        text(&operation.to_ascii_lowercase()),
    );
    if let Some(key) = &record.key {
        out.insert(format!("{at}.key"), text(key));
    }
    for (name, value) in &record.fields {
        // Its texts, booleans and numbers are JSON: there is nothing in it that can't be written.
        let value = serde_json::to_string(value).unwrap_or_default();
        out.insert(format!("{at}.fields.{name}"), value);
    }
    for (index, parent) in record.parents.iter().enumerate() {
        let at = format!("{at}.parents[{index}]");
        out.insert(format!("{at}.field"), text(&parent.field));
        walk(&at, &parent.record, out);
    }
    for (index, child) in record.children.iter().enumerate() {
        let at = format!("{at}.children[{index}]");
        out.insert(format!("{at}.parentField"), text(&child.parent_field));
        walk(&at, &child.record, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Child, Value};

    fn record(fields: &[(&str, Value)]) -> Record {
        Record {
            object: "Order__c".to_owned(),
            operation: v1::RecordOperation::Upsert,
            key: Some("Id__c".to_owned()),
            fields: fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            parents: Vec::new(),
            children: Vec::new(),
        }
    }

    fn number(digits: &str) -> Value {
        Value::Number(digits.to_owned())
    }

    fn told(old: Option<&Record>, new: Option<&Record>) -> Vec<(String, String, String)> {
        let told = difference(old, new);
        told.into_iter()
            .map(|one| (one.field, one.old, one.new))
            .collect()
    }

    fn is(told: &(String, String, String), expected: (&str, &str, &str)) -> bool {
        (told.0.as_str(), told.1.as_str(), told.2.as_str()) == expected
    }

    #[test]
    fn a_field_that_changes_comes_or_goes_is_told_with_both_values() {
        let old = record(&[
            ("Gone__c", Value::Boolean(true)),
            ("Total__c", number("12.50")),
        ]);
        let new = record(&[
            ("New__c", Value::Text("a\"b".to_owned())),
            ("Total__c", number("12.5")),
        ]);
        let told = told(Some(&old), Some(&new));
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(is(&told[0], ("base.fields.Gone__c", "true", "")));
        assert!(is(&told[1], ("base.fields.New__c", "", r#""a\"b""#)));
        // Digits are kept as they came, so these differ.
        assert!(is(&told[2], ("base.fields.Total__c", "12.50", "12.5")));
        assert!(difference(Some(&old), Some(&old.clone())).is_empty());
    }

    #[test]
    fn a_child_is_told_by_its_index_and_counted_without() {
        let child = |sku: &str| Child {
            parent_field: "Order__r".to_owned(),
            record: record(&[("Sku__c", Value::Text(sku.to_owned()))]),
        };
        let of = |skus: &[&str]| Record {
            children: skus.iter().map(|sku| child(sku)).collect(),
            ..record(&[])
        };
        let told = told(Some(&of(&["a", "b"])), Some(&of(&["a", "c"])));
        assert_eq!(told.len(), 1, "{told:?}");
        let expected = ("base.children[1].fields.Sku__c", r#""b""#, r#""c""#);
        assert!(is(&told[0], expected));
        assert_eq!(
            any_index("base.children[12].parents[0].fields.A"),
            "base.children[*].parents[*].fields.A"
        );
    }

    #[test]
    fn without_a_mapping_on_one_side_all_of_the_others_differ() {
        let mapped = record(&[("A", Value::Null)]);
        let told = told(None, Some(&mapped));
        assert!(
            told.iter()
                .any(|one| is(one, ("base.fields.A", "", "null")))
        );
        assert!(told.iter().all(|one| one.1.is_empty()));
        assert!(difference(None, None).is_empty());
    }
}
