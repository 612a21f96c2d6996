//! From the message to tables that can be applied: everything that could fail without an event is refused here, all of it at once, each at
//! its field.

use std::collections::BTreeSet;

use hookplane_proto::v1::{self, FieldType, OnMissing, RecordOperation};
use hookplane_rules::FieldError;
use hookplane_rules::filter::Expression;
use prost::Message;

use super::found::{Converter, Found};
use super::path::{Path, Root};
use super::record::Value;
use super::seen::Reads;
use super::typed::Typed;

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
/// Told at once.
const MAX_ERRORS: usize = 100;

const ROOTS: [&str; 4] = ["payload", "headers", "query", "event"];
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

    fn parents(
        &mut self,
        parents: &[v1::ParentMapping],
        operation: RecordOperation,
        place: Place<'_>,
    ) -> Vec<Up> {
        let at = place.field("parents");
        self.at_most(at.clone(), parents.len(), MAX_PARENTS, "parents");
        if parents.is_empty() {
            return Vec::new();
        }
        if operation == RecordOperation::Delete {
            self.error(at, "has no meaning: the record is deleted");
            return Vec::new();
        }
        if place.up == MAX_LEVELS {
            self.error(at, format!("more than {MAX_LEVELS} levels up"));
            return Vec::new();
        }
        let mut ups = Vec::new();
        for (index, parent) in parents.iter().enumerate().take(MAX_PARENTS) {
            let at = format!("{at}[{index}]");
            let table = self.table(
                Given {
                    object: &parent.object,
                    operation: RecordOperation::Upsert,
                    key: &parent.key,
                    fields: &parent.fields,
                    parents: &parent.parents,
                    children: &[],
                    may_be_missing: true,
                    link: "",
                },
                Place {
                    at: &at,
                    up: place.up + 1,
                    ..place
                },
            );
            let key = parent.fields.get(&parent.key);
            ups.push(Up {
                field: parent.field.clone(),
                table,
                optional: key.is_some_and(|key| key.on_missing() == OnMissing::Omit),
            });
        }
        ups
    }

    fn children(
        &mut self,
        children: &[v1::ChildMapping],
        operation: RecordOperation,
        place: Place<'_>,
    ) -> Vec<Down> {
        let at = place.field("children");
        self.at_most(at.clone(), children.len(), MAX_CHILDREN, "children");
        if children.is_empty() {
            return Vec::new();
        }
        if operation == RecordOperation::Delete {
            self.error(at, "would point to a record that is deleted");
            return Vec::new();
        }
        if place.down == MAX_LEVELS {
            self.error(at, format!("more than {MAX_LEVELS} levels down"));
            return Vec::new();
        }
        let mut downs = Vec::new();
        for (index, child) in children.iter().enumerate().take(MAX_CHILDREN) {
            let at = format!("{at}[{index}]");
            self.operation(child.operation, &format!("{at}.operation"));
            self.name(
                format!("{at}.parentField"),
                &child.parent_field,
                "it is the relationship's name in the child, such as Order__r",
            );
            let list = match child.for_each.as_str() {
                "" => None,
                text => {
                    let list = self.take(
                        || format!("{at}.forEach"),
                        Path::parse(text, place.items, true),
                    );
                    if let Some(list) = &list {
                        self.reads.note(list.root.name());
                    }
                    list
                }
            };
            let table = self.table(
                Given {
                    object: &child.object,
                    operation: child.operation(),
                    key: &child.key,
                    fields: &child.fields,
                    parents: &child.parents,
                    children: &child.children,
                    may_be_missing: false,
                    link: &child.parent_field,
                },
                Place {
                    at: &at,
                    items: place.items + usize::from(!child.for_each.is_empty()),
                    up: 0,
                    down: place.down + 1,
                },
            );
            downs.push(Down {
                parent_field: child.parent_field.clone(),
                list,
                table,
            });
        }
        downs
    }

    fn row(
        &mut self,
        name: &str,
        field: &v1::FieldMapping,
        given: &Given<'_>,
        place: Place<'_>,
    ) -> Option<Row> {
        self.rows += 1;
        let typed = self.typed(field, place);
        let source = self.source(field, place);
        self.at_most(
            place.field("convert"),
            field.convert.len(),
            MAX_CONVERTERS,
            "converters",
        );
        let mut convert = Vec::new();
        for (index, name) in field.convert.iter().enumerate().take(MAX_CONVERTERS) {
            convert.extend(self.take(
                || format!("{}.convert[{index}]", place.at),
                Converter::named(name),
            ));
        }
        let values = self.values(field, &typed, place);
        let missing = self.missing(name, field, given, &typed, place);
        if name == given.key && typed.kind == FieldType::Json {
            self.error(place.field("type"), "a key is text or a number, not json");
        }
        Some(Row {
            name: name.to_owned(),
            source: source?,
            convert,
            values,
            typed,
            missing,
        })
    }

    fn source(&mut self, field: &v1::FieldMapping, place: Place<'_>) -> Option<Source> {
        match (field.from.as_str(), field.cel.as_str()) {
            ("", "") if field.default.is_some() => Some(Source::Nothing),
            ("", "") => {
                self.error(place.at, "says nothing; it has `from`, `cel`, or `default` alone for what is always the same");
                None
            }
            (from, "") => {
                let path = self.take(
                    || place.field("from"),
                    Path::parse(from, place.items, false),
                )?;
                self.reads.note(path.root.name());
                Some(Source::Path(path))
            }
            ("", cel) => {
                let variables: &[&'static str] = match place.items {
                    0 => &ROOTS,
                    1 => &IN_A_LIST,
                    _ => &IN_AN_INNER_LIST,
                };
                if self.patterns > MAX_PATTERNS {
                    // Said of the one before, and none is compiled any more.
                    return None;
                }
                let compiled = Expression::compile(cel, variables);
                let expression = self.take(|| place.field("cel"), compiled)?;
                self.patterns += expression.patterns();
                if self.patterns > MAX_PATTERNS {
                    let message =
                        format!("has one pattern too many: a mapping has {MAX_PATTERNS} at most");
                    self.error(place.field("cel"), message);
                }
                for variable in expression.variables() {
                    self.reads.note(variable);
                }
                Some(Source::Cel(expression))
            }
            _ => {
                self.error(
                    place.field("cel"),
                    "is there beside `from`; keep one of them",
                );
                None
            }
        }
    }

    fn typed(&mut self, field: &v1::FieldMapping, place: Place<'_>) -> Typed {
        let kind = match FieldType::try_from(field.r#type) {
            Ok(FieldType::Unspecified) if !field.picklist.is_empty() => FieldType::Picklist,
            Ok(kind) => kind,
            Err(_) => {
                self.error(place.field("type"), "is unknown");
                FieldType::Unspecified
            }
        };
        let at = place.field("picklist");
        if kind != FieldType::Picklist && !field.picklist.is_empty() {
            self.error(at.clone(), "is for the type picklist");
        }
        self.at_most(at.clone(), field.picklist.len(), MAX_VALUES, "values");
        if field
            .picklist
            .iter()
            .any(|value| value.len() > MAX_VALUE_BYTES)
        {
            self.error(
                at,
                format!("has a value of more than {MAX_VALUE_BYTES} bytes"),
            );
        }
        let mut picklist: Vec<String> = field.picklist.iter().take(MAX_VALUES).cloned().collect();
        picklist.sort_unstable();
        Typed {
            kind,
            picklist,
            several: field.convert.iter().any(|name| name == "join-semicolon"),
        }
    }

    fn values(
        &mut self,
        field: &v1::FieldMapping,
        typed: &Typed,
        place: Place<'_>,
    ) -> Vec<(String, String)> {
        let at = place.field("values");
        self.at_most(at.clone(), field.values.len(), MAX_VALUES, "values");
        for (from, to) in field.values.iter().take(MAX_VALUES) {
            if from.len().max(to.len()) > MAX_VALUE_BYTES {
                self.error(
                    at.clone(),
                    format!("has a value of more than {MAX_VALUE_BYTES} bytes"),
                );
            } else if let Err(reason) = typed.value(Found::Text(to.as_str().into())) {
                self.error(at.clone(), format!("of `{}`: {reason}", shown(from)));
            }
        }
        let values = field.values.iter().take(MAX_VALUES);
        values
            .map(|(from, to)| (from.clone(), to.clone()))
            .collect()
    }

    fn missing(
        &mut self,
        name: &str,
        field: &v1::FieldMapping,
        given: &Given<'_>,
        typed: &Typed,
        place: Place<'_>,
    ) -> Missing {
        let at = place.field("onMissing");
        let is_key = name == given.key;
        let said = match OnMissing::try_from(field.on_missing) {
            Ok(said) => said,
            Err(_) => {
                self.error(at.clone(), "is unknown; it is omit, null, default or fail");
                OnMissing::Unspecified
            }
        };
        let default = self.default_of(field, typed, place);
        match said {
            OnMissing::Unspecified | OnMissing::Default => match default {
                Some(value) => Missing::Default(value),
                None if said == OnMissing::Default && field.default.is_none() => {
                    self.error(at, "is default, and there is no `default`");
                    Missing::Fail
                }
                None if is_key => Missing::Fail,
                None => Missing::Omit,
            },
            other => {
                if field.default.is_some() {
                    let name = other
                        .as_str_name()
                        .trim_start_matches("ON_MISSING_")
                        .to_ascii_lowercase();
                    self.error(
                        place.field("default"),
                        format!("is never taken with onMissing: {name}"),
                    );
                }
                match other {
                    OnMissing::Fail => Missing::Fail,
                    OnMissing::Omit if !is_key || given.may_be_missing => Missing::Omit,
                    OnMissing::Null if !is_key => Missing::Null,
                    _ => {
                        let but = match given.may_be_missing {
                            true => "; with omit the record goes without this parent",
                            false => "",
                        };
                        self.error(at, format!("a key can't go without a value: leave this out, or say fail or default{but}"));
                        Missing::Fail
                    }
                }
            }
        }
    }

    /// As the field takes it.
    fn default_of(
        &mut self,
        field: &v1::FieldMapping,
        typed: &Typed,
        place: Place<'_>,
    ) -> Option<Value> {
        let default = field.default.as_deref()?;
        let at = || place.field("default");
        if default.len() > MAX_VALUE_BYTES {
            let message = format!(
                "is {} bytes long, at most {MAX_VALUE_BYTES} are taken",
                default.len()
            );
            self.error(at(), message);
            return None;
        }
        match typed.value(Found::Text(default.into())) {
            Ok(Some(value)) => Some(value),
            Ok(None) => {
                self.error(at(), "is empty, and the field's type has no such value; onMissing: null empties a field");
                None
            }
            Err(reason) => {
                self.error(at(), reason);
                None
            }
        }
    }
}

fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(64)]
}

/// What the rows of a table and of those around it read.
pub(super) fn paths(table: &Table, lists: &mut Vec<String>, into: &mut BTreeSet<String>) {
    for row in &table.rows {
        match &row.source {
            Source::Path(path) => drop(into.insert(path.absolute(lists))),
            Source::Cel(expression) => {
                into.extend(expression.paths().iter().map(|path| absolute(path, lists)));
            }
            Source::Nothing => {}
        }
    }
    for up in &table.parents {
        paths(&up.table, lists, into);
    }
    for down in &table.children {
        let Some(list) = &down.list else {
            paths(&down.table, lists, into);
            continue;
        };
        let list = list.absolute(lists);
        into.insert(list.clone());
        lists.push(format!("{list}[*]"));
        paths(&down.table, lists, into);
        lists.pop();
    }
}

/// Of an expression's path.
fn absolute(path: &str, lists: &[String]) -> String {
    for (root, up) in [(Root::Item(0), 0), (Root::Item(1), 1)] {
        if let (Some(rest), Some(list)) =
            (path.strip_prefix(root.name()), lists.iter().rev().nth(up))
            && (rest.is_empty() || rest.starts_with(['.', '[']))
        {
            return format!("{list}{rest}");
        }
    }
    path.to_owned()
}
