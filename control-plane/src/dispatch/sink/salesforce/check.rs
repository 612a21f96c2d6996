//! A mapping against what the org has, before it runs: pure.
//!
//! Only what is certain without an event is told: names, keys, types that don't fit, and values that are written in the mapping itself.

use std::collections::{BTreeMap, BTreeSet};

use hookplane_proto::v1;
use hookplane_rules::text::clip;

use super::names::{id_field, relationship};
use super::plan::by_id;
use crate::dispatch::sink::Sink;

/// What is told of one mapping.
const MAX_PROBLEMS: usize = 200;
/// What is described for one. Admission allows fewer.
const MAX_OBJECTS: usize = 100;
/// Records above one another that are looked at. Admission allows fewer.
const MAX_DEPTH: usize = 16;

/// The objects that a mapping writes or points to: what has to be described to check it.
pub fn objects(mapping: &v1::Mapping) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(mapping, &mut |part| {
        found.insert(part.object.to_owned());
    });
    found
}

/// Where the mapping doesn't fit the objects that it names, by the mapping's own names: `base.fields.Total__c`. An object without a description is
/// one that isn't there.
pub fn check(mapping: &v1::Mapping, objects: &[v1::ObjectDescription]) -> Vec<v1::FieldProblem> {
    let described: BTreeMap<&str, &v1::ObjectDescription> = objects
        .iter()
        .map(|object| (&*object.name, object))
        .collect();
    let mut checker = Checker {
        described,
        problems: Vec::new(),
    };
    walk(mapping, &mut |part| checker.part(&part));
    checker.problems.truncate(MAX_PROBLEMS);
    checker.problems
}

/// The same, with what the org says now. The error says why it can't be asked.
pub async fn check_against(
    sink: &dyn Sink,
    mapping: &v1::Mapping,
) -> Result<Vec<v1::FieldProblem>, String> {
    let there = sink.describe("").await.unwrap_or_else(|| Ok(Vec::new()))?;
    let there: BTreeSet<String> = there.into_iter().map(|object| object.name).collect();
    let mut described = Vec::new();
    for object in objects(mapping).intersection(&there).take(MAX_OBJECTS) {
        if let Some(object) = sink.describe(object).await {
            described.extend(object?);
        }
    }
    Ok(check(mapping, &described))
}

/// A record of the mapping, whatever its place.
struct Part<'a> {
    /// `base.children[0]`
    at: &'a str,
    object: &'a str,
    action: v1::RecordOperation,
    key: &'a str,
    fields: &'a BTreeMap<String, v1::FieldMapping>,
    parents: &'a [v1::ParentMapping],
    /// A parent with its key alone is never written.
    lookup: bool,
    /// Of a child: its relationship, and the object that it leads to.
    points_to: Option<(&'a str, &'a str)>,
}

fn walk(mapping: &v1::Mapping, see: &mut dyn FnMut(Part<'_>)) {
    let Some(base) = &mapping.base else { return };
    see(Part {
        at: "base",
        object: &base.object,
        action: action(base.operation(), &base.key),
        key: &base.key,
        fields: &base.fields,
        parents: &base.parents,
        lookup: false,
        points_to: None,
    });
    walk_parents("base", &base.parents, see, 1);
    walk_children("base", &base.object, &base.children, see, 1);
}

fn walk_parents(
    above: &str,
    parents: &[v1::ParentMapping],
    see: &mut dyn FnMut(Part<'_>),
    depth: usize,
) {
    for (place, parent) in parents.iter().enumerate().filter(|_| depth < MAX_DEPTH) {
        let at = format!("{above}.parents[{place}]");
        see(Part {
            at: &at,
            object: &parent.object,
            action: v1::RecordOperation::Upsert,
            key: &parent.key,
            fields: &parent.fields,
            parents: &parent.parents,
            lookup: parent.fields.len() <= 1 && parent.parents.is_empty(),
            points_to: None,
        });
        walk_parents(&at, &parent.parents, see, depth + 1);
    }
}

fn walk_children(
    above: &str,
    object: &str,
    children: &[v1::ChildMapping],
    see: &mut dyn FnMut(Part<'_>),
    depth: usize,
) {
    for (place, child) in children.iter().enumerate().filter(|_| depth < MAX_DEPTH) {
        let at = format!("{above}.children[{place}]");
        see(Part {
            at: &at,
            object: &child.object,
            action: action(child.operation(), &child.key),
            key: &child.key,
            fields: &child.fields,
            parents: &child.parents,
            lookup: false,
            points_to: Some((&child.parent_field, object)),
        });
        walk_parents(&at, &child.parents, see, depth + 1);
        walk_children(&at, &child.object, &child.children, see, depth + 1);
    }
}

fn action(operation: v1::RecordOperation, key: &str) -> v1::RecordOperation {
    match operation {
        v1::RecordOperation::Unspecified if key.is_empty() => v1::RecordOperation::Insert,
        v1::RecordOperation::Unspecified => v1::RecordOperation::Upsert,
        given => given,
    }
}

struct Checker<'a> {
    described: BTreeMap<&'a str, &'a v1::ObjectDescription>,
    problems: Vec<v1::FieldProblem>,
}

impl<'a> Checker<'a> {
    fn tell(&mut self, field: String, reason: String) {
        self.problems.push(v1::FieldProblem { field, reason });
    }

    fn part(&mut self, part: &Part<'_>) {
        let Some(object) = self.described.get(part.object).copied() else {
            let reason = format!(
                "there is no object {}, or the destination's user can't see it",
                clip(part.object, 80)
            );
            return self.tell(format!("{}.object", part.at), reason);
        };
        self.key(part, object);
        if part.action == v1::RecordOperation::Delete {
            return;
        }
        if !part.lookup {
            for (name, row) in part.fields {
                let at = format!("{}.fields.{name}", part.at);
                match field(object, name) {
                    Some(field) => self.field(at, part, row, field),
                    None => self.tell(
                        at,
                        format!(
                            "{} has no such field, or the destination's user can't see it",
                            object.name
                        ),
                    ),
                }
            }
            self.required(part, object);
        }
        for (place, parent) in part.parents.iter().enumerate() {
            let at = format!("{}.parents[{place}].field", part.at);
            self.reference(at, object, &parent.field, &parent.object);
        }
        if let Some((relation, to)) = part.points_to {
            self.reference(format!("{}.parentField", part.at), object, relation, to);
        }
    }

    fn key(&mut self, part: &Part<'_>, object: &v1::ObjectDescription) {
        if part.key.is_empty() || by_id(Some(part.key)) {
            return;
        }
        let at = format!("{}.key", part.at);
        match field(object, part.key) {
            Some(field) if field.key => {}
            Some(_) => self.tell(
                at,
                format!(
                    "{} can't be a key: only external ids and fields for lookups can",
                    part.key
                ),
            ),
            // Among the fields it is told of there.
            None if !part.lookup && part.fields.contains_key(part.key) => {}
            None => self.tell(
                at,
                format!(
                    "{} has no field {}, or the destination's user can't see it",
                    object.name,
                    clip(part.key, 80)
                ),
            ),
        }
    }

    fn field(
        &mut self,
        at: String,
        part: &Part<'_>,
        row: &v1::FieldMapping,
        field: &v1::FieldDescription,
    ) {
        let creates = matches!(
            part.action,
            v1::RecordOperation::Insert | v1::RecordOperation::Upsert
        );
        let updates = matches!(
            part.action,
            v1::RecordOperation::Update | v1::RecordOperation::Upsert
        ) && part.key != field.name;
        if creates && !field.createable && !by_id(Some(&field.name)) {
            self.tell(
                at.clone(),
                "can't be set when a record is created".to_owned(),
            );
        } else if updates && !field.updateable {
            self.tell(
                at.clone(),
                "can't be changed once the record is there".to_owned(),
            );
        }
        if let Some(expected) = misfit(row.r#type(), &field.r#type) {
            self.tell(
                at.clone(),
                format!(
                    "is {} in the target: its type has to be {expected}",
                    field.r#type
                ),
            );
        }
        let texts = row
            .default
            .iter()
            .chain(row.values.values())
            .chain(&row.picklist);
        for text in texts {
            let shown = clip(text, 60);
            if !field.picklist.is_empty() {
                // Of several, each is one.
                let odd = text
                    .split(';')
                    .find(|value| !field.picklist.iter().any(|there| there == value));
                if odd.is_some() {
                    self.tell(
                        at.clone(),
                        format!("`{shown}` isn't among the picklist's values"),
                    );
                }
            } else if field.length > 0 && text.chars().count() > field.length as usize {
                self.tell(
                    at.clone(),
                    format!(
                        "`{shown}` is longer than the {} characters that are allowed",
                        field.length
                    ),
                );
            }
        }
    }

    fn required(&mut self, part: &Part<'_>, object: &v1::ObjectDescription) {
        if !matches!(
            part.action,
            v1::RecordOperation::Insert | v1::RecordOperation::Upsert
        ) {
            return;
        }
        let linked = |name: &str| {
            let fills = |relation: &str| id_field(relation) == name;
            part.parents.iter().any(|parent| fills(&parent.field))
                || part.points_to.is_some_and(|(relation, _)| fills(relation))
        };
        for field in object.fields.iter().filter(|field| field.required) {
            if !part.fields.contains_key(&field.name) && !linked(&field.name) {
                self.tell(
                    format!("{}.fields.{}", part.at, field.name),
                    format!(
                        "{} can't be created without it, and no row fills it",
                        object.name
                    ),
                );
            }
        }
    }

    fn reference(&mut self, at: String, object: &v1::ObjectDescription, given: &str, to: &str) {
        // What is written is the field for an id, and the relationship for a lookup: both have to be what the rule makes of the name.
        let (name, relation) = (id_field(given), relationship(given));
        match field(object, &name) {
            Some(field) if field.references.is_empty() => self.tell(
                at,
                format!("{name} points to nothing: it is {}", field.r#type),
            ),
            Some(field) if !field.references.iter().any(|there| there == to) => {
                self.tell(
                    at,
                    format!(
                        "{name} points to {}, not to {to}",
                        clip(&field.references.join(", "), 200)
                    ),
                );
            }
            Some(field) if !field.relationship.is_empty() && field.relationship != relation => {
                self.tell(
                    at,
                    format!("the relationship is named {}", field.relationship),
                );
            }
            Some(_) => {}
            None => self.tell(
                at,
                format!(
                    "{} has no field {name}, or the destination's user can't see it",
                    object.name
                ),
            ),
        }
    }
}

/// Names are the same whatever their case.
fn field<'a>(object: &'a v1::ObjectDescription, name: &str) -> Option<&'a v1::FieldDescription> {
    object
        .fields
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case(name))
}

/// What the mapping's type has to be. None: it fits, or what the event has decides.
fn misfit(given: v1::FieldType, there: &str) -> Option<&'static str> {
    use v1::FieldType as Type;
    let (fits, expected): (&[Type], _) = match there {
        "int" | "long" => (&[Type::Integer], "integer"),
        "double" | "currency" | "percent" => {
            (&[Type::Integer, Type::Decimal], "decimal or integer")
        }
        "boolean" => (&[Type::Boolean], "boolean"),
        "date" => (&[Type::Date], "date"),
        "datetime" => (&[Type::Datetime], "datetime"),
        "id" | "reference" => (&[Type::Reference, Type::String], "reference or string"),
        "picklist" | "multipicklist" | "combobox" => {
            (&[Type::Picklist, Type::String], "picklist or string")
        }
        "string" | "textarea" | "email" | "phone" | "url" | "encryptedstring" => (
            &[
                Type::String,
                Type::Picklist,
                Type::Reference,
                Type::Date,
                Type::Datetime,
                Type::Json,
            ],
            "string",
        ),
        _ => return None,
    };
    let known = given != Type::Unspecified;
    (known && !fits.contains(&given)).then_some(expected)
}
