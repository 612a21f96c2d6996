//! What two mappings have not in common, row by row. An object is the same where it hangs at the same ones by the same name.

use std::collections::BTreeMap;

use hookplane_proto::v1;

use super::form::{Kind, Object};
use super::outline;
use super::row::Row;
use crate::weight::cut;

/// More nobody reads on a page.
pub(super) const SHOWN: usize = 100;
/// Of a row's text, in bytes.
const TEXT: usize = 300;

/// A row that isn't the same in both.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// The object's, from the base on: `Order__c › Account by Account__r`.
    pub(super) object: String,
    /// Empty: the object's own facts.
    pub(super) field: String,
    /// Empty: there is no such row.
    pub(super) one: String,
    pub(super) other: String,
}

/// By object and field, in the form's order.
type Rows = BTreeMap<(String, String), String>;

pub(super) fn between(one: Option<&v1::Mapping>, other: Option<&v1::Mapping>) -> Vec<Difference> {
    let (one, mut other) = (rows(one), rows(other));
    let mut differences = Vec::new();
    for ((object, field), text) in one {
        let key = (object, field);
        let there = other.remove(&key).unwrap_or_default();
        if there != text {
            differences.push(Difference {
                object: key.0,
                field: key.1,
                one: cut(&text, TEXT),
                other: cut(&there, TEXT),
            });
        }
    }
    differences.extend(other.into_iter().map(|((object, field), text)| Difference {
        object,
        field,
        one: String::new(),
        other: cut(&text, TEXT),
    }));
    differences.sort_by(|a, b| (&a.object, &a.field).cmp(&(&b.object, &b.field)));
    differences
}

/// `2 rows changed, 1 new`.
pub(super) fn in_words(differences: &[Difference]) -> String {
    let count = |is: fn(&Difference) -> bool| differences.iter().filter(|one| is(one)).count();
    let counts = [
        (
            count(|d| !d.one.is_empty() && !d.other.is_empty()),
            "changed",
        ),
        (count(|d| d.one.is_empty()), "new"),
        (count(|d| d.other.is_empty()), "gone"),
    ];
    let some = counts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = some
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match words.is_empty() {
        true => "nothing".to_owned(),
        false => words.join(", "),
    }
}

fn rows(mapping: Option<&v1::Mapping>) -> Rows {
    let mut rows = Rows::new();
    if let Some(base) = mapping.and_then(|mapping| mapping.base.as_ref()) {
        walk(&Object::of(base), String::new(), &mut rows);
    }
    rows
}

fn walk(object: &Object, above: String, into: &mut Rows) {
    let name = match object.kind {
        Kind::Base => object.object.clone(),
        _ => format!("{above} › {} by {}", object.object, object.link),
    };
    // Two that are called the same are told apart by their order.
    let mut at = name.clone();
    let mut number = 1;
    while into.contains_key(&(at.clone(), String::new())) {
        number += 1;
        at = format!("{name} ({number})");
    }
    let facts = [
        ("operation", &object.operation),
        ("key", &object.key),
        ("for each of", &object.for_each),
    ];
    let facts = facts.iter().filter(|(_, text)| !text.is_empty());
    let facts: Vec<String> = facts.map(|(what, text)| format!("{what} {text}")).collect();
    let facts = match facts.is_empty() {
        true => "there".to_owned(),
        false => facts.join(", "),
    };
    into.insert((at.clone(), String::new()), facts);
    for row in &object.rows {
        into.insert((at.clone(), row.name.clone()), text(row));
    }
    for object in object.parents.iter().chain(&object.children) {
        walk(object, at.clone(), into);
    }
}

/// All of a row in a line.
fn text(row: &Row) -> String {
    let mut parts = vec![outline::source(row)];
    for (what, value) in [
        ("as", &row.kind),
        ("converted by", &row.convert),
        ("values", &row.values),
        ("picklist", &row.picklist),
        ("if missing", &row.missing),
    ] {
        if !value.is_empty() {
            parts.push(format!("{what} {}", value.replace('\n', ", ")));
        }
    }
    if row.how != "fixed" && !row.default.is_empty() {
        parts.push(format!("default {}", row.default));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(from: &str) -> v1::FieldMapping {
        v1::FieldMapping {
            from: from.to_owned(),
            ..Default::default()
        }
    }

    fn mapping(fields: &[(&str, &str)], parents: &[&str]) -> v1::Mapping {
        let of = |(name, from): &(&str, &str)| ((*name).to_owned(), field(from));
        v1::Mapping {
            active: true,
            base: Some(v1::RecordMapping {
                object: "Order".to_owned(),
                fields: fields.iter().map(of).collect(),
                parents: parents
                    .iter()
                    .map(|object| v1::ParentMapping {
                        object: (*object).to_owned(),
                        field: "Up__r".to_owned(),
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            }),
        }
    }

    #[test]
    fn rows_are_compared_by_object_and_field_and_nothing_is_left_out() {
        let one = mapping(&[("A", "payload.a"), ("B", "payload.b")], &["Account"]);
        let mut other = mapping(&[("B", "payload.c"), ("C", "payload.d")], &[]);
        assert!(between(Some(&one), Some(&one)).is_empty());
        let found = between(Some(&one), Some(&other));
        let found: Vec<_> = found
            .iter()
            .map(|d| (&*d.object, &*d.field, &*d.one, &*d.other))
            .collect();
        assert_eq!(
            found,
            [
                ("Order", "A", "payload.a", ""),
                ("Order", "B", "payload.b", "payload.c"),
                ("Order", "C", "", "payload.d"),
                ("Order › Account by Up__r", "", "there", ""),
            ]
        );
        assert_eq!(
            in_words(&between(Some(&one), Some(&other))),
            "1 changed, 1 new, 2 gone"
        );
        assert_eq!(in_words(&[]), "nothing");
        // Also what the outline leaves out.
        let before = other.clone();
        let fields = &mut other.base.as_mut().unwrap().fields;
        fields.get_mut("B").unwrap().picklist = vec!["x".to_owned()];
        assert_eq!(between(Some(&before), Some(&other)).len(), 1);
        assert_eq!(between(None, Some(&before)).len(), 3);
    }

    #[test]
    fn two_objects_of_one_name_are_two() {
        let one = mapping(&[], &["Account", "Account"]);
        let other = mapping(&[], &["Account"]);
        assert_eq!(between(Some(&one), Some(&other)).len(), 1);
    }
}
