//! A mapping as a form, both ways.
//!
//! ```text
//!   v1::Mapping ── Object::of ──▶ Object, Row (texts, as typed) ── names below ──▶ form ── Object::read ──▶ Object ── mapping ──▶ v1::Mapping
//! ```
//!
//! A row is in `row`, its texts of several lines in `lines`. A field's name is where it stands, with an object's rows in a list, since two may be called the same while somebody types:
//!
//! ```text
//!   base.object  base.operation  base.key                               of each object
//!   base.fields[3].name .how .from .type .missing .default .convert .values .picklist
//!   base.parents[0].object .field .key .fields[0]… .parents[0]…         a record it points to
//!   base.children[1].object .forEach .parentField .key .fields[0]…      records that point to it
//! ```
//!
//! Guarantees:
//! - What is stored goes to the form and back unchanged, whatever is in it: see the tests.
//! - What is typed and makes no sense stays as it was typed, with an error at its place.
//!
//! A large mapping isn't in the form with all of its rows: see `open`.

use std::collections::{BTreeMap, HashMap, HashSet};

use hookplane_proto::v1;

use super::open::{self, Place};
use super::row::{Row, UNKNOWN, word};
use super::tree;
use crate::form::Form;
use crate::problem::Faults;

/// What the API's paths of a mapping begin with.
pub(super) const SPEC: &str = "spec.mapping";
/// The base's place.
pub(super) const BASE: &str = "base";
/// Levels that are read. The API takes five each way and says so.
const MAX_LEVELS: usize = 12;
/// What is read at all, with some slack over what the API takes: the work of a page grows with it, and so do its errors.
const MAX_ROWS: usize = 2_500;
const MAX_OBJECTS: usize = 200;

/// What an object is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Kind {
    Base,
    Parent,
    Child,
}

/// One object, with those above and below it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) object: String,
    /// `upsert`; empty: the API chooses.
    pub(super) operation: String,
    pub(super) key: String,
    /// The relationship's name: a parent's `field`, a child's `parentField`.
    pub(super) link: String,
    pub(super) for_each: String,
    pub(super) rows: Vec<Row>,
    pub(super) parents: Vec<Object>,
    pub(super) children: Vec<Object>,
}

impl Object {
    pub(super) fn blank(kind: Kind) -> Self {
        Self {
            kind,
            object: String::new(),
            operation: String::new(),
            key: String::new(),
            link: String::new(),
            for_each: String::new(),
            rows: vec![Row::blank()],
            parents: Vec::new(),
            children: Vec::new(),
        }
    }

    /// The base of what is stored.
    pub(super) fn of(base: &v1::RecordMapping) -> Self {
        Self {
            kind: Kind::Base,
            object: base.object.clone(),
            operation: word(base.operation().as_str_name(), "RECORD_OPERATION_"),
            key: base.key.clone(),
            link: String::new(),
            for_each: String::new(),
            rows: rows(&base.fields),
            parents: base.parents.iter().map(Self::parent).collect(),
            children: base.children.iter().map(Self::child).collect(),
        }
    }

    fn parent(parent: &v1::ParentMapping) -> Self {
        Self {
            object: parent.object.clone(),
            key: parent.key.clone(),
            link: parent.field.clone(),
            rows: rows(&parent.fields),
            parents: parent.parents.iter().map(Self::parent).collect(),
            ..Self::blank(Kind::Parent)
        }
    }

    fn child(child: &v1::ChildMapping) -> Self {
        Self {
            object: child.object.clone(),
            operation: word(child.operation().as_str_name(), "RECORD_OPERATION_"),
            key: child.key.clone(),
            link: child.parent_field.clone(),
            for_each: child.for_each.clone(),
            rows: rows(&child.fields),
            parents: child.parents.iter().map(Self::parent).collect(),
            children: child.children.iter().map(Self::child).collect(),
            ..Self::blank(Kind::Child)
        }
    }

    /// Of a posted form. None: it is nested deeper than any of ours, or larger, or what goes along packed is none of ours.
    pub(super) fn read(form: &Form) -> Option<Self> {
        let fields = form.fields().collect();
        let packed = form.raw(open::REST);
        if packed.is_empty() {
            let base = read(&fields, BASE.to_owned(), Kind::Base, 0)?;
            return base.fits().then_some(base);
        }
        let mut base = open::unpack(packed).filter(Self::fits)?;
        let place = Place::read(form);
        if let Some(object) = tree::at_mut(&mut base, &place.at) {
            lay_over(object, &fields, &place);
        }
        base.fits().then_some(base)
    }

    fn fits(&self) -> bool {
        self.count() <= MAX_ROWS && self.objects() <= MAX_OBJECTS
    }

    /// It and those above and below it.
    pub(super) fn objects(&self) -> usize {
        let around = self.parents.iter().chain(&self.children);
        1 + around.map(Self::objects).sum::<usize>()
    }

    /// Rows of it and of those above and below it.
    pub(super) fn count(&self) -> usize {
        let around = self.parents.iter().chain(&self.children);
        self.rows.len() + around.map(Self::count).sum::<usize>()
    }

    /// Nothing is typed at all.
    pub(super) fn is_blank(&self) -> bool {
        self.object.is_empty()
            && self.key.is_empty()
            && self.rows.iter().all(Row::is_blank)
            && self.parents.is_empty()
            && self.children.is_empty()
    }

    /// Of the texts of all its rows, in a page.
    pub(super) fn weight(&self) -> usize {
        let around = self.parents.iter().chain(&self.children);
        let rows: usize = self.rows.iter().map(Row::weight).sum();
        rows + around.map(Self::weight).sum::<usize>()
    }

    /// As the API takes it; what the API could not be told is a fault here.
    pub(super) fn base(&self, faults: &mut Faults) -> v1::RecordMapping {
        v1::RecordMapping {
            object: self.object.clone(),
            operation: operation(&self.operation),
            key: self.key.clone(),
            fields: self.fields(BASE, faults),
            parents: self.above(BASE, faults),
            children: self.below(BASE, faults),
        }
    }

    fn above(&self, at: &str, faults: &mut Faults) -> Vec<v1::ParentMapping> {
        let parents = self.parents.iter().enumerate().map(|(index, parent)| {
            let at = format!("{at}.parents[{index}]");
            v1::ParentMapping {
                object: parent.object.clone(),
                field: parent.link.clone(),
                key: parent.key.clone(),
                fields: parent.fields(&at, faults),
                parents: parent.above(&at, faults),
            }
        });
        parents.collect()
    }

    fn below(&self, at: &str, faults: &mut Faults) -> Vec<v1::ChildMapping> {
        let children = self.children.iter().enumerate().map(|(index, child)| {
            let at = format!("{at}.children[{index}]");
            v1::ChildMapping {
                object: child.object.clone(),
                operation: operation(&child.operation),
                key: child.key.clone(),
                for_each: child.for_each.clone(),
                parent_field: child.link.clone(),
                fields: child.fields(&at, faults),
                parents: child.above(&at, faults),
                children: child.below(&at, faults),
            }
        });
        children.collect()
    }

    fn fields(&self, at: &str, faults: &mut Faults) -> BTreeMap<String, v1::FieldMapping> {
        let mut fields = BTreeMap::new();
        for (index, row) in self.rows.iter().enumerate() {
            if row.is_blank() {
                continue;
            }
            let here = format!("{SPEC}.{at}.fields[{index}]");
            if row.name.is_empty() {
                faults.add(&here, "has no field: say which one gets the value");
                continue;
            }
            match row.field() {
                Ok(field) if !fields.contains_key(&row.name) => {
                    fields.insert(row.name.clone(), field);
                }
                Ok(_) => faults.add(&here, "is there twice: one row a field"),
                Err(why) => faults.add(&here, &why),
            }
        }
        fields
    }
}

fn rows(fields: &BTreeMap<String, v1::FieldMapping>) -> Vec<Row> {
    fields
        .iter()
        .map(|(name, field)| Row::of(name, field))
        .collect()
}

fn operation(text: &str) -> i32 {
    let name = format!("RECORD_OPERATION_{}", text.to_ascii_uppercase());
    match text {
        "" => 0,
        _ => v1::RecordOperation::from_str_name(&name).map_or(UNKNOWN, i32::from),
    }
}

type Fields<'f> = HashMap<&'f str, &'f str>;

fn read(fields: &Fields<'_>, at: String, kind: Kind, level: usize) -> Option<Object> {
    if level > MAX_LEVELS {
        return None;
    }
    let mut object = Object {
        rows: Vec::new(),
        ..Object::blank(kind)
    };
    let place = Place {
        at: at.clone(),
        from: 0,
    };
    lay_over(&mut object, fields, &place);
    for (part, kind, into) in [
        ("parents", Kind::Parent, &mut object.parents),
        ("children", Kind::Child, &mut object.children),
    ] {
        loop {
            let at = format!("{at}.{part}[{}]", into.len());
            if !fields.contains_key(format!("{at}.object").as_str()) {
                break;
            }
            into.push(read(fields, at, kind, level + 1)?);
        }
    }
    Some(object)
}

/// What is typed of an object itself, and of its rows from one on.
fn lay_over(object: &mut Object, fields: &Fields<'_>, Place { at, from }: &Place) {
    let text = |name: &str| {
        let found = fields.get(format!("{at}.{name}").as_str());
        found.map_or_else(String::new, |text| text.trim().to_owned())
    };
    object.object = text("object");
    object.operation = text("operation");
    object.key = text("key");
    object.link = text(link_name(object.kind));
    object.for_each = text("forEach");
    // From where there is a row to lay it over, or right behind the last.
    for index in (*from).min(object.rows.len()).. {
        let Some(row) = read_row(fields, &format!("{at}.fields[{index}]")) else {
            break;
        };
        match object.rows.get_mut(index) {
            Some(known) => *known = row,
            None => object.rows.push(row),
        }
    }
}

/// What the relationship's name is called in the form, as in a manifest.
pub(super) fn link_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Parent => "field",
        _ => "parentField",
    }
}

fn read_row(fields: &Fields<'_>, at: &str) -> Option<Row> {
    let raw = |name: &str| {
        let found = fields.get(format!("{at}.{name}").as_str());
        // Browsers end lines with both.
        found.map(|text| text.replace("\r\n", "\n"))
    };
    let text = |name: &str| raw(name).map_or_else(String::new, |text| text.trim().to_owned());
    let name = raw("name")?;
    let how = text("how");
    let from = raw("from").unwrap_or_default();
    Some(Row {
        name: name.trim().to_owned(),
        from: match how.as_str() {
            "cel" => from,
            _ => from.trim().to_owned(),
        },
        how,
        kind: text("type"),
        missing: text("missing"),
        default: raw("default").unwrap_or_default(),
        convert: text("convert"),
        values: raw("values").unwrap_or_default(),
        picklist: raw("picklist").unwrap_or_default(),
        new: false,
    })
}

/// Field names of one object, for a hint beside the key.
pub(super) fn names(object: &Object) -> Vec<&str> {
    let mut seen = HashSet::new();
    let names = object.rows.iter().map(|row| row.name.as_str());
    names
        .filter(|name| !name.is_empty() && seen.insert(*name))
        .collect()
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
