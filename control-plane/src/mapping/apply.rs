//! From an event to records, by compiled tables. All problems are told, as far as there is room for them; to who tries a mapping also which
//! fields go without a value, for a path that has a typo is one that is missing.

use std::borrow::Cow;

use hookplane_proto::v1;
use hookplane_rules::filter::BASE_UNITS;
use hookplane_rules::payload::{Kind, elements, kind};

use super::compile::{Down, Missing, Row, Source, Table, Up};
use super::found::Found;
use super::path::{Path, Stopped, Units, pay};
use super::record::{Child, Parent, Record, Value};
use super::seen::Seen;

/// Records made of one event, parents included.
pub const MAX_RECORDS: usize = 2_000;
/// Items of one list.
const MAX_ITEMS: usize = 2_000;
/// Of all fields of an event's records, names and values, in bytes.
pub const MAX_VALUES_BYTES: usize = 4 * 1024 * 1024;
/// Told of one event.
pub const MAX_PROBLEMS: usize = 100;
/// What a row costs besides what it reads.
const UNITS_PER_ROW: Units = 10;

const NO_LIST: &str = "what is there is no list";

pub(super) fn too_much() -> String {
    "the mapping does more work on this event than is allowed: many looks at a large payload, or loops over long lists"
        .to_owned()
}

/// What becomes of one event, for who tries a mapping.
#[derive(Debug, Default)]
pub struct Tried {
    /// With problems it lacks the fields that have one, and is made of by nobody.
    pub record: Option<Record>,
    /// Why there would be no record.
    pub problems: Vec<v1::FieldProblem>,
    /// What goes without a value or with its default, and why.
    pub without: Vec<v1::FieldProblem>,
}

/// One event's record.
pub(super) fn apply(table: &Table, seen: &Seen) -> Result<Record, Vec<v1::FieldProblem>> {
    let mut run = Run::of(seen, None);
    match run.record(table, &[], &BASE) {
        Some(record) if run.problems.is_empty() => Ok(record),
        _ => Err(run.problems),
    }
}

/// The same, with all that can be told.
pub(super) fn attempt(table: &Table, seen: &Seen) -> Tried {
    let mut run = Run::of(seen, Some(Vec::new()));
    Tried {
        record: run.record(table, &[], &BASE),
        problems: run.problems,
        without: run.without.unwrap_or_default(),
    }
}

const BASE: Place<'_> = Place {
    above: None,
    part: Part::Base,
};

/// Where in the records we are. Written out for a problem alone.
struct Place<'p> {
    above: Option<&'p Place<'p>>,
    part: Part,
}

enum Part {
    Base,
    Parent(usize),
    Child(usize),
    Item(usize),
}

impl Place<'_> {
    fn below(&self, part: Part) -> Place<'_> {
        Place {
            above: Some(self),
            part,
        }
    }

    fn written(&self) -> String {
        let mut out = self.above.map(Place::written).unwrap_or_default();
        match self.part {
            Part::Base => out.push_str("base"),
            Part::Parent(index) => out.push_str(&format!(".parents[{index}]")),
            Part::Child(index) => out.push_str(&format!(".children[{index}]")),
            Part::Item(index) => out.push_str(&format!("[{index}]")),
        }
        out
    }
}

struct Run<'e> {
    seen: &'e Seen,
    units: Units,
    records: usize,
    bytes: usize,
    problems: Vec<v1::FieldProblem>,
    /// None where nobody wants to know.
    without: Option<Vec<v1::FieldProblem>>,
    /// Whatever else is wrong isn't looked for any more.
    ended: bool,
}

impl<'e> Run<'e> {
    fn of(seen: &'e Seen, without: Option<Vec<v1::FieldProblem>>) -> Self {
        Self {
            seen,
            units: BASE_UNITS + 2 * seen.payload.text().len() as Units,
            records: 0,
            bytes: 0,
            problems: Vec::new(),
            without,
            ended: false,
        }
    }

    /// Tells what goes without a value, as far as there is room.
    fn note(&mut self, told: impl FnOnce(&mut Self) -> (String, String)) {
        if matches!(&self.without, Some(told) if told.len() < MAX_PROBLEMS) {
            let (field, reason) = told(self);
            let without = self.without.iter_mut();
            without.for_each(|all| {
                all.push(v1::FieldProblem {
                    field: field.clone(),
                    reason: reason.clone(),
                });
            });
        }
    }

    fn problem(&mut self, field: String, reason: impl Into<String>) {
        if self.ended {
            return;
        }
        self.ended = self.problems.len() + 1 == MAX_PROBLEMS;
        self.problems.push(v1::FieldProblem {
            field,
            reason: reason.into(),
        });
    }

    /// The last problem.
    fn end(&mut self, field: String, reason: impl Into<String>) {
        self.problem(field, reason);
        self.ended = true;
    }

    /// Where there is a problem, without what has it; or none, where there is no room for more.
    fn record(&mut self, table: &Table, items: &[&'e str], place: &Place<'_>) -> Option<Record> {
        if self.ended {
            return None;
        }
        if self.records == MAX_RECORDS {
            self.end(
                place.written(),
                format!("the event makes more than {MAX_RECORDS} records"),
            );
            return None;
        }
        self.records += 1;
        let mut fields = Vec::with_capacity(table.rows.len());
        for row in &table.rows {
            let is_key = table.key.as_ref() == Some(&row.name);
            match self.row(row, is_key, items, place) {
                Ok(Some(value)) => fields.push((row.name.clone(), value)),
                Ok(None) => {}
                Err(reason) => {
                    let field = format!("{}.fields.{}", place.written(), row.name);
                    match (self.units, self.bytes) {
                        (0, _) => self.end(field, too_much()),
                        (_, bytes) if bytes > MAX_VALUES_BYTES => self.end(field, reason),
                        _ => self.problem(field, reason),
                    }
                }
            }
            if self.ended {
                return None;
            }
        }
        let parents = self.parents(&table.parents, items, place);
        let children = self.children(&table.children, items, place);
        Some(Record {
            object: table.object.clone(),
            operation: table.operation,
            key: table.key.clone(),
            fields,
            parents,
            children,
        })
    }

    fn parents(&mut self, ups: &[Up], items: &[&'e str], place: &Place<'_>) -> Vec<Parent> {
        let mut parents = Vec::with_capacity(ups.len());
        for (index, up) in ups.iter().enumerate() {
            let place = place.below(Part::Parent(index));
            if up.optional && self.is_absent(up, items) {
                self.note(|_| (place.written(), "left out: its key has no value".to_owned()));
                continue;
            }
            parents.extend(self.record(&up.table, items, &place).map(|record| Parent {
                field: up.field.clone(),
                record,
            }));
        }
        parents
    }

    /// A parent that may be missing is, when its key is. What else is wrong with the key is told when the record is made.
    fn is_absent(&mut self, up: &Up, items: &[&'e str]) -> bool {
        let key = up
            .table
            .rows
            .iter()
            .find(|row| up.table.key.as_ref() == Some(&row.name));
        key.is_some_and(
            |row| matches!(self.value(row, items), Ok(value) if is_no_key(value.as_ref())),
        )
    }

    fn children(&mut self, downs: &[Down], items: &[&'e str], place: &Place<'_>) -> Vec<Child> {
        let mut children = Vec::new();
        for (index, down) in downs.iter().enumerate() {
            let place = place.below(Part::Child(index));
            let mut add = |record: Option<Record>| {
                children.extend(record.map(|record| Child {
                    parent_field: down.parent_field.clone(),
                    record,
                }));
            };
            let Some(list) = &down.list else {
                add(self.record(&down.table, items, &place));
                continue;
            };
            let found = match self.list(list, items) {
                Ok(found) => found,
                Err(reason) => {
                    let field = format!("{}.forEach", place.written());
                    match self.units {
                        0 => self.end(field, too_much()),
                        _ => self.problem(field, reason),
                    }
                    continue;
                }
            };
            if found.is_empty() {
                let why = |_: &mut Self| {
                    let reason = format!("no records: `{list}` is missing or has no items");
                    (format!("{}.forEach", place.written()), reason)
                };
                self.note(why);
            }
            let mut inner = Vec::with_capacity(items.len() + 1);
            inner.extend_from_slice(items);
            inner.push("");
            for (index, item) in found.into_iter().enumerate() {
                inner[items.len()] = item;
                add(self.record(&down.table, &inner, &place.below(Part::Item(index))));
                if self.ended {
                    return children;
                }
            }
        }
        children
    }

    /// A list that is missing or null has no items.
    fn list(&mut self, path: &Path, items: &[&'e str]) -> Result<Vec<&'e str>, String> {
        let lists = path
            .each(self.seen, items, MAX_ITEMS, &mut self.units)
            .map_err(|stopped| match stopped {
                Stopped::Spent => too_much(),
                Stopped::NoList => NO_LIST.to_owned(),
            })?;
        let mut found = Vec::new();
        let ends_with_each = path.ends_with_each();
        for raw in lists {
            match kind(raw) {
                _ if ends_with_each => found.push(raw),
                Kind::Null => {}
                Kind::Array => {
                    if !pay(&mut self.units, raw.len()) {
                        return Err(too_much());
                    }
                    found.extend(elements(raw).take(MAX_ITEMS + 1));
                }
                _ if path.one_is_a_list(self.seen) => found.push(raw),
                _ => return Err(NO_LIST.to_owned()),
            }
            if found.len() > MAX_ITEMS {
                return Err(format!("has more than {MAX_ITEMS} items"));
            }
        }
        Ok(found)
    }

    /// The field's value. None: the record goes without it.
    fn row(
        &mut self,
        row: &Row,
        is_key: bool,
        items: &[&'e str],
        place: &Place<'_>,
    ) -> Result<Option<Value>, String> {
        let value = match (self.value(row, items)?, &row.missing) {
            (Some(value), _) => Some(value),
            (None, Missing::Fail) => return Err(self.why(row, items)),
            (None, _) if is_key => None,
            (None, missing) => {
                let (given, instead) = match missing {
                    Missing::Null => (Some(Value::Null), "emptied"),
                    Missing::Default(value) => (Some(value.clone()), "its default"),
                    Missing::Omit | Missing::Fail => (None, "left out"),
                };
                // A default alone is what was asked for.
                if !matches!(row.source, Source::Nothing) {
                    self.note(|run| {
                        let field = format!("{}.fields.{}", place.written(), row.name);
                        (field, format!("{instead}: {}", run.why(row, items)))
                    });
                }
                given
            }
        };
        if is_key && is_no_key(value.as_ref()) {
            return Err(match value {
                None => format!("is the key, and {}", self.why(row, items)),
                Some(_) => "is the key, and has no value".to_owned(),
            });
        }
        self.bytes += value
            .as_ref()
            .map_or(0, |value| row.name.len() + size(value));
        if self.bytes > MAX_VALUES_BYTES {
            return Err(format!(
                "with it the event's records are larger than {MAX_VALUES_BYTES} bytes"
            ));
        }
        Ok(value)
    }

    /// Why a row has no value.
    fn why(&mut self, row: &Row, items: &[&'e str]) -> String {
        let path = match &row.source {
            Source::Path(path) => path,
            Source::Cel(_) => return "its expression has no value here".to_owned(),
            Source::Nothing => return "it has no source".to_owned(),
        };
        let why = match path.read(self.seen, items, &mut self.units) {
            Ok(None) => "is missing",
            Ok(Some(raw)) if kind(raw) == Kind::Null => "is null",
            _ if row.convert.is_empty() => "is empty",
            _ => "comes to nothing",
        };
        format!("`{path}` {why}")
    }

    /// What the event has. None where it is missing, null, or empty in a type that has no such value.
    fn value(&mut self, row: &Row, items: &[&'e str]) -> Result<Option<Value>, String> {
        self.units = self.units.saturating_sub(UNITS_PER_ROW);
        let found = match &row.source {
            Source::Nothing => None,
            Source::Path(path) => path
                .read(self.seen, items, &mut self.units)
                .map_err(|_| too_much())?
                .and_then(|raw| Found::of(Cow::Borrowed(raw))),
            Source::Cel(expression) => {
                let texts = self.texts(expression.variables(), items);
                expression
                    .evaluate(&texts, &mut self.units)?
                    .and_then(|raw| Found::of(Cow::Owned(raw)))
            }
        };
        let Some(mut found) = found else {
            return Ok(None);
        };
        if !pay(&mut self.units, found.len()) {
            return Err(too_much());
        }
        let one_is_a_list = match &row.source {
            Source::Path(path) => path.one_is_a_list(self.seen),
            Source::Cel(_) | Source::Nothing => self.seen.one_is_a_list,
        };
        for converter in &row.convert {
            if !pay(&mut self.units, found.len()) {
                return Err(too_much());
            }
            // It is the first, the last and all of its list.
            if one_is_a_list && converter.is_of_a_list() && !matches!(found, Found::List(_)) {
                continue;
            }
            match converter.apply(found, &mut self.units)? {
                Some(next) => found = next,
                None => return Ok(None),
            }
        }
        if !row.values.is_empty() {
            found = mapped(&row.values, found)?;
        }
        row.typed.value(found)
    }

    /// What the variables of an expression read.
    fn texts(&self, variables: &[&'static str], items: &[&'e str]) -> Vec<(&'static str, &'e str)> {
        let seen = self.seen;
        let text = |name: &'static str| match name {
            "payload" => seen.payload.text(),
            "headers" => &seen.headers,
            "query" => &seen.query,
            "event" => &seen.event,
            "item" => items.last().copied().unwrap_or("null"),
            _ => items.iter().rev().nth(1).copied().unwrap_or("null"),
        };
        variables.iter().map(|name| (*name, text(name))).collect()
    }
}

/// What a value becomes by what it is.
fn mapped<'v>(values: &'v [(String, String)], found: Found<'_>) -> Result<Found<'v>, String> {
    let shown = found.shown();
    let text = found
        .into_text()
        .map_err(|found| format!("is {}, and values are told by text", found.shown()))?;
    let becomes = |what: &str| {
        let at = values
            .binary_search_by(|(from, _)| from.as_str().cmp(what))
            .ok()?;
        Some(Found::Text(Cow::Borrowed(values[at].1.as_str())))
    };
    becomes(&text)
        .or_else(|| becomes("*"))
        .ok_or_else(|| format!("{shown} is none of the values; `*` takes all others"))
}

/// Records are told apart by text or a number that is there.
fn is_no_key(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Json(_)) => true,
        Some(Value::Text(text)) => text.trim().is_empty(),
        Some(Value::Number(_) | Value::Boolean(_)) => false,
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Boolean(_) => 1,
        Value::Text(text) | Value::Number(text) | Value::Json(text) => text.len(),
    }
}
