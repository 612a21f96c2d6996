//! From a record with its parents and children to a list of rows to write, in an order in which each finds what it points to.
//!
//! ```text
//!   parents that have more than their key ─▶ the base ─▶ its children ─▶ theirs
//!   parents with the key alone: a lookup inside the row that points to them
//! ```
//!
//! What can't be written as it is (a key without a value, a name that is no name) is refused here, before anything is sent.

use std::collections::{BTreeMap, HashMap};

use hookplane_proto::v1;
use hookplane_rules::text::clip;

use super::names::{id_field, is_name, relationship};
use crate::mapping::{Record, Value};

/// Salesforce's bound for an external id.
const MAX_KEY_CHARS: usize = 255;

/// What is done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Insert,
    /// A platform event: inserted, and never there.
    Publish,
    Update,
    Upsert,
    Delete,
}

/// What tells a row from others.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) field: String,
    pub(super) value: Value,
    /// The value as text.
    pub(super) text: String,
}

/// A row that is only pointed to, by its key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lookup {
    pub(super) relationship: String,
    pub(super) object: String,
    pub(super) key: Key,
}

/// A field that gets the id of another row of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) field: String,
    pub(super) to: usize,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) object: String,
    pub(super) action: Action,
    /// None of what is inserted.
    pub(super) key: Option<Key>,
    /// Without the key.
    pub(super) fields: Vec<(String, Value)>,
    pub(super) lookups: Vec<Lookup>,
    pub(super) links: Vec<Link>,
    /// Rows of a lower wave go first.
    pub(super) wave: usize,
}

/// The rows of one event. Links lead to earlier ones.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) rows: Vec<Row>,
}

impl Row {
    /// For an operator: `Order__c Shop_Id__c=450`.
    pub(super) fn name(&self) -> String {
        match &self.key {
            Some(key) => format!("{} {}={}", self.object, key.field, clip(&key.text, 80)),
            None => self.object.clone(),
        }
    }

    /// Its id, where that is its key.
    pub(super) fn own_id(&self) -> Option<&str> {
        let key = self.key.as_ref().filter(|key| by_id(Some(&key.field)))?;
        Some(&key.text)
    }

    /// Whether writing this one after the other leaves nothing of the other.
    pub(super) fn overwrites(&self, other: &Self) -> bool {
        let has = |name: &str| {
            self.fields.iter().any(|(field, _)| field == name)
                || self.links.iter().any(|link| link.field == name)
                || self
                    .lookups
                    .iter()
                    .any(|lookup| id_field(&lookup.relationship) == name)
        };
        other.fields.iter().all(|(name, _)| has(name))
            && other.links.iter().all(|link| has(&link.field))
            && other
                .lookups
                .iter()
                .all(|lookup| has(&id_field(&lookup.relationship)))
    }
}

impl Plan {
    /// The error says what to change.
    pub(super) fn of(record: &Record) -> Result<Self, String> {
        let mut planner = Planner::default();
        planner.add(record, None)?;
        Ok(Self { rows: planner.rows })
    }

    /// Waves that it takes.
    pub(super) fn depth(&self) -> usize {
        self.rows.iter().map(|row| row.wave + 1).max().unwrap_or(0)
    }

    /// The other rows, and where each of them is in this one. None: one of them points to one of these.
    pub(super) fn without<T>(&self, these: &BTreeMap<usize, T>) -> Option<(Self, Vec<usize>)> {
        let places: Vec<usize> = (0..self.rows.len())
            .filter(|place| !these.contains_key(place))
            .collect();
        let mut rows = Vec::with_capacity(places.len());
        for place in &places {
            let mut row = self.rows.get(*place)?.clone();
            for link in &mut row.links {
                link.to = places.binary_search(&link.to).ok()?;
            }
            rows.push(row);
        }
        Some((Self { rows }, places))
    }

    /// Records that are written or pointed to by their key: writing two requests with the same one at a time locks one of them out.
    pub(super) fn touched(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rows.iter().flat_map(|row| {
            let own = row.key.iter().map(|key| (&*row.object, &*key.text));
            let looked_up = row
                .lookups
                .iter()
                .map(|lookup| (&*lookup.object, &*lookup.key.text));
            own.chain(looked_up)
        })
    }
}

#[derive(Default)]
struct Planner {
    rows: Vec<Row>,
    /// Upserted rows by object and key: a parent that many children share is written once.
    upserts: HashMap<(String, String), Vec<usize>>,
}

impl Planner {
    /// Adds what it points to, then itself, then what points to it. The place of its row.
    fn add(&mut self, record: &Record, above: Option<Link>) -> Result<usize, String> {
        let object = &record.object;
        if !is_name(object) {
            return Err(format!(
                "`{}` is no object's name: letters, digits and `_`",
                clip(object, 80)
            ));
        }
        let action = action(record);
        if action == Action::Delete {
            return self.add_delete(record);
        }
        let key = match action {
            Action::Insert | Action::Publish => None,
            Action::Update | Action::Upsert | Action::Delete => Some(key_of(record)?),
        };
        if action == Action::Publish && !record.children.is_empty() {
            return Err(format!(
                "{object} is a platform event: no record can point to it"
            ));
        }
        let mut row = Row {
            object: object.clone(),
            action,
            fields: fields_of(record, key.as_ref())?,
            key,
            lookups: Vec::new(),
            links: above.into_iter().collect(),
            wave: 0,
        };
        for parent in &record.parents {
            if !is_name(&parent.field) {
                return Err(format!(
                    "{object}: `{}` is no relationship's name",
                    clip(&parent.field, 80)
                ));
            }
            if parent.record.fields.len() <= 1 && parent.record.parents.is_empty() {
                if !is_name(&parent.record.object) {
                    return Err(format!(
                        "`{}` is no object's name",
                        clip(&parent.record.object, 80)
                    ));
                }
                row.lookups.push(Lookup {
                    relationship: relationship(&parent.field),
                    object: parent.record.object.clone(),
                    key: key_of(&parent.record)?,
                });
            } else {
                let to = self.add(&parent.record, None)?;
                row.links.push(Link {
                    field: id_field(&parent.field),
                    to,
                });
            }
        }
        for link in &row.links {
            let twice = row
                .links
                .iter()
                .filter(|other| other.field == link.field)
                .count()
                > 1
                || row.fields.iter().any(|(name, _)| *name == link.field)
                || row
                    .lookups
                    .iter()
                    .any(|lookup| id_field(&lookup.relationship) == link.field);
            if twice {
                return Err(format!(
                    "{}: {} is filled twice, by a parent and otherwise",
                    row.name(),
                    link.field
                ));
            }
        }
        row.wave = row
            .links
            .iter()
            .filter_map(|link| Some(self.rows.get(link.to)?.wave + 1))
            .max()
            .unwrap_or(0);
        let place = self.place(row);
        for child in &record.children {
            if !is_name(&child.parent_field) {
                return Err(format!(
                    "{}: `{}` is no relationship's name",
                    child.record.object,
                    clip(&child.parent_field, 80)
                ));
            }
            let link = Link {
                field: id_field(&child.parent_field),
                to: place,
            };
            self.add(&child.record, Some(link))?;
        }
        Ok(place)
    }

    /// Children go first, and only if they are deleted as well.
    fn add_delete(&mut self, record: &Record) -> Result<usize, String> {
        let key = key_of(record)?;
        let mut wave = 0;
        for child in &record.children {
            if action(&child.record) != Action::Delete {
                return Err(format!(
                    "{} is deleted: a {} can't point to it, only be deleted with it",
                    record.object, child.record.object
                ));
            }
            let place = self.add(&child.record, None)?;
            wave = wave.max(self.rows.get(place).map_or(0, |row| row.wave + 1));
        }
        self.rows.push(Row {
            object: record.object.clone(),
            action: Action::Delete,
            key: Some(key),
            fields: Vec::new(),
            lookups: Vec::new(),
            links: Vec::new(),
            wave,
        });
        Ok(self.rows.len() - 1)
    }

    fn place(&mut self, row: Row) -> usize {
        let place = self.rows.len();
        if let (Action::Upsert, Some(key)) = (row.action, &row.key) {
            let same = self
                .upserts
                .entry((row.object.clone(), key.text.clone()))
                .or_default();
            if let Some(there) = same
                .iter()
                .find(|there| self.rows.get(**there) == Some(&row))
            {
                return *there;
            }
            same.push(place);
        }
        self.rows.push(row);
        place
    }
}

fn action(record: &Record) -> Action {
    match record.operation {
        _ if record.object.ends_with("__e") => Action::Publish,
        v1::RecordOperation::Insert => Action::Insert,
        v1::RecordOperation::Update => Action::Update,
        v1::RecordOperation::Delete => Action::Delete,
        v1::RecordOperation::Upsert | v1::RecordOperation::Unspecified if record.key.is_none() => {
            Action::Insert
        }
        // A record's own id is nothing to insert with.
        v1::RecordOperation::Upsert | v1::RecordOperation::Unspecified
            if by_id(record.key.as_deref()) =>
        {
            Action::Update
        }
        v1::RecordOperation::Upsert | v1::RecordOperation::Unspecified => Action::Upsert,
    }
}

/// Whether the key is the record's own id.
pub(super) fn by_id(key: Option<&str>) -> bool {
    key.is_some_and(|key| key.eq_ignore_ascii_case("id"))
}

fn key_of(record: &Record) -> Result<Key, String> {
    let object = &record.object;
    let field = record.key.clone().ok_or_else(|| {
        format!("{object} has no key: name the field that tells its records apart")
    })?;
    if !is_name(&field) {
        return Err(format!(
            "{object}: `{}` is no field's name",
            clip(&field, 80)
        ));
    }
    let value = record.key_value().cloned().unwrap_or(Value::Null);
    let text = match &value {
        Value::Text(text) | Value::Number(text) if !text.trim().is_empty() => text.clone(),
        Value::Text(_) | Value::Number(_) | Value::Null => {
            return Err(format!(
                "{object}: its key {field} has no value; it needs one, or `onMissing: fail`"
            ));
        }
        Value::Boolean(_) | Value::Json(_) => {
            return Err(format!(
                "{object}: its key {field} has to be text or a number"
            ));
        }
    };
    if text.chars().count() > MAX_KEY_CHARS {
        return Err(format!(
            "{object}: its key {field} has {} characters, {MAX_KEY_CHARS} are allowed",
            text.chars().count()
        ));
    }
    Ok(Key { field, value, text })
}

fn fields_of(record: &Record, key: Option<&Key>) -> Result<Vec<(String, Value)>, String> {
    let mut fields = Vec::with_capacity(record.fields.len());
    for (name, value) in &record.fields {
        if !is_name(name) || name == "attributes" {
            return Err(format!(
                "{}: `{}` is no field's name",
                record.object,
                clip(name, 80)
            ));
        }
        if key.is_some_and(|key| key.field == *name) {
            continue;
        }
        let value = match value {
            // No field holds structure.
            Value::Json(json) => Value::Text(json.clone()),
            other => other.clone(),
        };
        fields.push((name.clone(), value));
    }
    Ok(fields)
}
