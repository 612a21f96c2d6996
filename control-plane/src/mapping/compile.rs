//! From the message to tables that can be applied: everything that could fail without an event is refused here, all of it at once, each at
//! its field.

mod around;
mod paths;
mod rows;

use std::collections::BTreeSet;

use hookplane_proto::v1::{self, RecordOperation};
use hookplane_rules::FieldError;
use hookplane_rules::filter::Expression;
use hookplane_rules::text::cut;
use prost::Message;

use super::found::Converter;
use super::path::Path;
use super::record::Value;
use super::seen::Reads;
use super::typed::Typed;
pub(super) use paths::paths;

/// Of a whole mapping, as it is stored.
pub const MAX_MAPPING_BYTES: usize = 256 * 1024;
/// Rows of all its records.
const MAX_ROWS: usize = 2_000;
const MAX_FIELDS: usize = 500;
const MAX_PARENTS: usize = 25;
const MAX_CHILDREN: usize = 25;
/// Up from a record, and down from the base.
const MAX_LEVELS: usize = 5;
const MAX_NAME_BYTES: usize = 128;
/// Regular expressions of all its rows: each is 256 KiB at most while it is compiled.
const MAX_PATTERNS: usize = 50;
const MAX_CONVERTERS: usize = 8;
const MAX_VALUES: usize = 500;
/// Of a value map's or a picklist's value, and of a default.
const MAX_VALUE_BYTES: usize = 4 * 1024;
/// Of a name that an error tells.
const MAX_SHOWN_BYTES: usize = 64;
/// Told at once.
const MAX_ERRORS: usize = 100;

const IN_A_LIST: [&str; 5] = ["payload", "headers", "query", "event", "item"];
const IN_AN_INNER_LIST: [&str; 6] = ["payload", "headers", "query", "event", "item", "parent"];

/// One object's rows, with those above and below it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) object: String,
    pub(super) operation: RecordOperation,
    pub(super) key: Option<String>,
    /// In order of the alphabet.
    pub(super) rows: Vec<Row>,
    pub(super) parents: Vec<Up>,
    pub(super) children: Vec<Down>,
}

#[derive(Debug)]
pub(super) struct Up {
    pub(super) field: String,
    pub(super) table: Table,
    /// Its key may be missing: then the record goes without it.
    pub(super) optional: bool,
}

#[derive(Debug)]
pub(super) struct Down {
    pub(super) parent_field: String,
    /// None makes one record.
    pub(super) list: Option<Path>,
    pub(super) table: Table,
}

/// Where a field's value comes from.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) convert: Vec<Converter>,
    /// By what it is, in order of the alphabet. Empty: it stays as it is.
    pub(super) values: Vec<(String, String)>,
    pub(super) typed: Typed,
    pub(super) missing: Missing,
}

#[derive(Debug)]
pub(super) enum Source {
    Path(Path),
    Cel(Expression),
    /// The default, always.
    Nothing,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Missing {
    Omit,
    Null,
    Default(Value),
    Fail,
}

/// A record's operation, key and rows are the same whatever it is to the others.
struct Given<'m> {
    object: &'m str,
    operation: RecordOperation,
    key: &'m str,
    fields: &'m std::collections::BTreeMap<String, v1::FieldMapping>,
    parents: &'m [v1::ParentMapping],
    children: &'m [v1::ChildMapping],
    /// A parent's key.
    may_be_missing: bool,
    /// The field that points to the record above, of a child.
    link: &'m str,
}

/// Where in the mapping we are.
#[derive(Clone, Copy)]
struct Place<'p> {
    at: &'p str,
    /// Lists around.
    items: usize,
    up: usize,
    down: usize,
}

impl Place<'_> {
    fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.at)
    }
}

#[derive(Default)]
pub(super) struct Compiler {
    errors: Vec<FieldError>,
    rows: usize,
    patterns: usize,
    pub(super) reads: Reads,
}

/// The base's table, what it reads, and how many patterns it has.
pub(super) fn compile(mapping: &v1::Mapping) -> Result<(Table, Reads, usize), Vec<FieldError>> {
    const AT: &str = "spec.mapping";
    let size = mapping.encoded_len();
    if size > MAX_MAPPING_BYTES {
        let message = format!("is {size} bytes large, at most {MAX_MAPPING_BYTES} are taken");
        return Err(vec![FieldError::new(AT, message)]);
    }
    let Some(base) = &mapping.base else {
        return Err(vec![FieldError::new(
            "spec.mapping.base",
            "is missing; it says which object an event becomes, and its fields",
        )]);
    };
    let mut compiler = Compiler::default();
    let given = Given {
        object: &base.object,
        operation: base.operation(),
        key: &base.key,
        fields: &base.fields,
        parents: &base.parents,
        children: &base.children,
        may_be_missing: false,
        link: "",
    };
    let place = Place {
        at: "spec.mapping.base",
        items: 0,
        up: 0,
        down: 0,
    };
    compiler.operation(base.operation, &place.field("operation"));
    let table = compiler.table(given, place);
    if compiler.rows > MAX_ROWS {
        let message = format!(
            "has {} rows in all, at most {MAX_ROWS} are taken",
            compiler.rows
        );
        compiler.error(AT, message);
    }
    match compiler.errors.is_empty() {
        true => Ok((table, compiler.reads, compiler.patterns)),
        false => Err(compiler.errors),
    }
}

impl Compiler {
    fn error(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(FieldError::new(field, message));
        }
    }

    fn take<T>(&mut self, field: impl FnOnce() -> String, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.error(field(), message)).ok()
    }

    fn at_most(&mut self, field: String, count: usize, most: usize, what: &str) {
        if count > most {
            self.error(
                field,
                format!("has {count} {what}, at most {most} are taken"),
            );
        }
    }

    fn name(&mut self, field: String, name: &str, what: &str) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if name.is_empty() {
            self.error(field, format!("is missing; {what}"));
        } else if name.len() > MAX_NAME_BYTES || !name.bytes().all(plain) {
            self.error(
                field,
                format!("`{}` is no name; one has letters, digits, `_` and `-`, at most {MAX_NAME_BYTES}", shown(name)),
            );
        }
    }

    /// A number that is none of the operations.
    fn operation(&mut self, operation: i32, field: &str) {
        if RecordOperation::try_from(operation).is_err() {
            self.error(field, "is unknown; it is insert, update, upsert or delete");
        }
    }

    fn table(&mut self, given: Given<'_>, place: Place<'_>) -> Table {
        let object = place.field("object");
        self.name(
            object,
            given.object,
            "it is the object's name in the target",
        );
        let operation = match (given.operation, given.key) {
            (RecordOperation::Unspecified, "") => RecordOperation::Insert,
            (RecordOperation::Unspecified, _) => RecordOperation::Upsert,
            (said, _) => said,
        };
        self.key(&given, operation, place);
        self.names(&given, place);
        let fields = given.fields;
        self.at_most(place.field("fields"), fields.len(), MAX_FIELDS, "fields");
        if fields.is_empty() {
            self.error(
                place.field("fields"),
                "is empty; a record has one field or more",
            );
        }
        let mut rows = Vec::with_capacity(fields.len().min(MAX_FIELDS));
        for (name, field) in fields.iter().take(MAX_FIELDS) {
            let at = format!("{}.fields.{name}", place.at);
            let place = Place { at: &at, ..place };
            rows.extend(self.row(name, field, &given, place));
        }
        let parents = self.parents(given.parents, operation, place);
        let children = self.children(given.children, operation, place);
        Table {
            object: given.object.to_owned(),
            operation,
            key: Some(given.key.to_owned()).filter(|key| !key.is_empty()),
            rows,
            parents,
            children,
        }
    }

    fn key(&mut self, given: &Given<'_>, operation: RecordOperation, place: Place<'_>) {
        let at = place.field("key");
        let needed = match operation {
            RecordOperation::Update => "update",
            RecordOperation::Upsert => "upsert",
            RecordOperation::Delete => "delete",
            _ => "",
        };
        if given.key.is_empty() {
            if given.may_be_missing {
                self.error(
                    at,
                    "is missing; it is the field that the parent is found by",
                );
            } else if !needed.is_empty() {
                self.error(
                    at,
                    format!("is missing; {needed} needs the field that tells records apart"),
                );
            }
            return;
        }
        if !given.fields.contains_key(given.key) {
            self.error(
                at,
                format!(
                    "`{}` is none of the fields; add it, so that it has a value",
                    shown(given.key)
                ),
            );
        }
    }

    /// Fields, parents' relationships and the link to the record above share one space of names, and targets don't tell cases apart.
    fn names(&mut self, given: &Given<'_>, place: Place<'_>) {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        if !given.link.is_empty() {
            seen.insert(given.link.to_ascii_lowercase());
        }
        for name in given.fields.keys().take(MAX_FIELDS) {
            let at = format!("{}.fields.{name}", place.at);
            self.name(at.clone(), name, "a field has a name");
            if !seen.insert(name.to_ascii_lowercase()) {
                self.error(
                    at,
                    "is there twice, or points to a record as well; case doesn't tell names apart",
                );
            }
        }
        for (index, parent) in given.parents.iter().enumerate().take(MAX_PARENTS) {
            let at = format!("{}.parents[{index}].field", place.at);
            self.name(
                at.clone(),
                &parent.field,
                "it is the relationship's name in the record that points, such as Account__r",
            );
            if !parent.field.is_empty() && !seen.insert(parent.field.to_ascii_lowercase()) {
                self.error(
                    at,
                    "is there twice, or is a field as well; case doesn't tell names apart",
                );
            }
        }
    }
}

fn shown(name: &str) -> &str {
    cut(name, MAX_SHOWN_BYTES)
}
