//! Writing one row: what the org refuses, and with which code.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::org::{Fields, Kind, Object, Org, plain};

/// A row as it came.
pub(super) type Sent = BTreeMap<String, Box<RawValue>>;

/// Which record is meant.
#[derive(Debug, Clone)]
pub(super) enum Target {
    New,
    Id(String),
    Key {
        field: String,
        value: String,
        update_only: bool,
    },
}

#[derive(Debug)]
pub(super) struct Saved {
    pub(super) id: String,
    pub(super) created: bool,
}

/// Why not.
#[derive(Debug)]
pub(super) enum Refused {
    /// One error of the row.
    Row {
        code: &'static str,
        message: String,
        fields: Vec<String>,
    },
    /// The whole request can't be read.
    Request {
        message: String,
    },
    NotFound,
    /// These have the key.
    Several(Vec<String>),
}

fn row(code: &'static str, message: String, field: &str) -> Refused {
    let fields = if field.is_empty() {
        Vec::new()
    } else {
        vec![field.to_owned()]
    };
    Refused::Row {
        code,
        message,
        fields,
    }
}

impl Org {
    /// The record that is meant, where there is one.
    pub(super) fn find(&self, object: &str, target: &Target) -> Result<Option<String>, Refused> {
        let there = self.objects.get(object).ok_or(Refused::NotFound)?;
        match target {
            Target::New => Ok(None),
            Target::Id(id) if there.records.contains_key(id) => Ok(Some(id.clone())),
            Target::Id(_) => Err(Refused::NotFound),
            Target::Key {
                field,
                value,
                update_only,
            } => {
                if !there.field(field).is_some_and(|field| field.external_id) {
                    return Err(Refused::NotFound);
                }
                let mut found = there.found(field, value);
                match found.len() {
                    0 if *update_only => Err(Refused::NotFound),
                    0 => Ok(None),
                    1 => Ok(found.pop()),
                    _ => Err(Refused::Several(found)),
                }
            }
        }
    }

    pub(super) fn save(
        &mut self,
        object: &str,
        target: &Target,
        sent: Sent,
    ) -> Result<Saved, Refused> {
        let mut fields = self.read(object, sent)?;
        let there = self.find(object, target)?;
        if let Target::Key { field, value, .. } = target {
            fields.insert(
                field.clone(),
                serde_json::to_string(value).unwrap_or_default(),
            );
        }
        self.check_required(object, &fields, there.is_none())?;
        self.check_unique(object, &fields, there.as_deref())?;
        let created = there.is_none();
        let id = there.unwrap_or_else(|| self.new_id());
        self.lock(object, &id, &fields)?;
        if let Some(object) = self.objects.get_mut(object) {
            let record = object.records.entry(id.clone()).or_default();
            for (name, value) in fields {
                if value == "null" {
                    record.remove(&name);
                } else {
                    record.insert(name, value);
                }
            }
        }
        Ok(Saved { id, created })
    }

    pub(super) fn delete(&mut self, object: &str, target: &Target) -> Result<String, Refused> {
        let id = self.find(object, target)?.ok_or(Refused::NotFound)?;
        self.lock(object, &id, &Fields::new())?;
        if let Some(object) = self.objects.get_mut(object) {
            object.records.remove(&id);
        }
        Ok(id)
    }

    /// Types, and lookups resolved to ids.
    fn read(&self, object: &str, sent: Sent) -> Result<Fields, Refused> {
        let there = self.objects.get(object).ok_or(Refused::NotFound)?;
        let mut fields = Fields::new();
        for (name, json) in sent {
            if name == "attributes" {
                continue;
            }
            let json = json.get();
            if let Some((field, of)) = relation(there, &name) {
                let id = self.looked_up(of, json)?;
                fields.insert(
                    field.to_owned(),
                    serde_json::to_string(&id).unwrap_or_default(),
                );
                continue;
            }
            let Some(field) = there.field(&name) else {
                return Err(row(
                    "INVALID_FIELD",
                    format!("No such column '{name}' on sobject of type {object}"),
                    "",
                ));
            };
            if !field.writable {
                return Err(row(
                    "INVALID_FIELD_FOR_INSERT_UPDATE",
                    format!(
                        "Unable to create/update fields: {name}. Please check the security settings of this field and verify that it is read/write for your profile or permission set."
                    ),
                    &name,
                ));
            }
            if json != "null" {
                self.check_value(&field.kind, field.name, json)?;
            }
            fields.insert(field.name.to_owned(), json.to_owned());
        }
        Ok(fields)
    }

    fn check_value(&self, kind: &Kind, name: &str, json: &str) -> Result<(), Refused> {
        let value: Value = serde_json::from_str(json).map_err(|error| Refused::Request {
            message: error.to_string(),
        })?;
        let unreadable = |kind: &str| Refused::Request {
            message: format!("Cannot deserialize instance of {kind} from {json}"),
        };
        match (kind, &value) {
            (Kind::Text(length), Value::String(text))
                if text.chars().count() > *length as usize =>
            {
                Err(row(
                    "STRING_TOO_LONG",
                    format!("{name}: data value too large: {text} (max length={length})"),
                    name,
                ))
            }
            (Kind::Text(_), Value::String(_))
            | (Kind::Boolean, Value::Bool(_))
            | (Kind::Number, Value::Number(_)) => Ok(()),
            (Kind::Integer, Value::Number(_)) if !json.contains(['.', 'e', 'E']) => Ok(()),
            (Kind::Date, Value::String(text)) if is_date(text) => Ok(()),
            (Kind::DateTime, Value::String(text)) if is_date_time(text) => Ok(()),
            (Kind::Picklist(values), Value::String(text)) => {
                match values.iter().any(|value| value == text) {
                    true => Ok(()),
                    false => Err(row(
                        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                        format!("{name}: bad value for restricted picklist field: {text}"),
                        name,
                    )),
                }
            }
            (Kind::Reference(object, _), Value::String(id)) => {
                match self
                    .objects
                    .get(*object)
                    .is_some_and(|object| object.records.contains_key(id))
                {
                    true => Ok(()),
                    false => Err(row(
                        "INVALID_CROSS_REFERENCE_KEY",
                        "invalid cross reference id".to_owned(),
                        name,
                    )),
                }
            }
            (kind, _) => Err(unreadable(match kind {
                Kind::Text(_) | Kind::Picklist(_) | Kind::Reference(..) => "string",
                Kind::Number => "double",
                Kind::Integer => "int",
                Kind::Boolean => "boolean",
                Kind::Date => "date",
                Kind::DateTime => "datetime",
            })),
        }
    }

    /// `{"Email__c": "a@example.com"}`, with attributes or without.
    fn looked_up(&self, object: &str, json: &str) -> Result<String, Refused> {
        let nested: Sent = serde_json::from_str(json).map_err(|error| Refused::Request {
            message: error.to_string(),
        })?;
        let (field, value) = nested
            .iter()
            .find(|(name, _)| *name != "attributes")
            .ok_or_else(|| row("INVALID_FIELD", "a lookup without a key".to_owned(), ""))?;
        let value = plain(value.get());
        let target = Target::Key {
            field: field.clone(),
            value: value.clone(),
            update_only: true,
        };
        match self.find(object, &target) {
            Ok(Some(id)) => Ok(id),
            Err(Refused::Several(_)) => Err(row(
                "INVALID_FIELD",
                format!("Foreign key external ID: {value} matches several in entity {object}"),
                "",
            )),
            _ => Err(row(
                "INVALID_FIELD",
                format!(
                    "Foreign key external ID: {} not found for field {field} in entity {object}",
                    value.to_lowercase()
                ),
                "",
            )),
        }
    }

    fn check_required(&self, object: &str, fields: &Fields, creates: bool) -> Result<(), Refused> {
        let there = self.objects.get(object).ok_or(Refused::NotFound)?;
        let missing: Vec<String> = there
            .fields
            .iter()
            .filter(|field| field.required)
            .filter(|field| {
                fields
                    .get(field.name)
                    .map_or(creates, |json| json == "null")
            })
            .map(|field| field.name.to_owned())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Refused::Row {
            code: "REQUIRED_FIELD_MISSING",
            message: format!("Required fields are missing: [{}]", missing.join(", ")),
            fields: missing,
        })
    }

    fn check_unique(
        &self,
        object: &str,
        fields: &Fields,
        own: Option<&str>,
    ) -> Result<(), Refused> {
        let there = self.objects.get(object).ok_or(Refused::NotFound)?;
        for field in there.fields.iter().filter(|field| field.unique) {
            let Some(json) = fields.get(field.name).filter(|json| *json != "null") else {
                continue;
            };
            if let Some(other) = there
                .found(field.name, &plain(json))
                .iter()
                .find(|id| Some(id.as_str()) != own)
            {
                return Err(row(
                    "DUPLICATE_VALUE",
                    format!(
                        "duplicate value found: {} duplicates value on record with id: {other}",
                        field.name
                    ),
                    "",
                ));
            }
        }
        Ok(())
    }

    /// The record and all that it points to.
    fn lock(&mut self, object: &str, id: &str, fields: &Fields) -> Result<(), Refused> {
        let there = self.objects.get(object).ok_or(Refused::NotFound)?;
        let mut ids = vec![id.to_owned()];
        let old = there.records.get(id);
        for field in there
            .fields
            .iter()
            .filter(|field| matches!(field.kind, Kind::Reference(..)))
        {
            let json = fields.get(field.name).or_else(|| old?.get(field.name));
            ids.extend(json.map(|json| plain(json)));
        }
        let keys = there.fields.iter().filter(|field| field.external_id);
        let told = keys.filter_map(|field| fields.get(field.name).or_else(|| old?.get(field.name)));
        let told: Vec<String> = told.map(|json| plain(json)).collect();
        let mut locked = ids.iter().any(|id| self.held.contains(id));
        for key in told {
            if let Some(left) = self.locks.get_mut(&key).filter(|left| **left > 0) {
                *left -= 1;
                locked = true;
            }
        }
        if locked {
            return Err(row(
                "UNABLE_TO_LOCK_ROW",
                format!("unable to obtain exclusive access to this record or 1 records: {id}"),
                "",
            ));
        }
        self.locking.extend(ids);
        Ok(())
    }
}

/// The field and the object behind a relationship's name.
fn relation<'a>(object: &'a Object, name: &str) -> Option<(&'a str, &'a str)> {
    object.fields.iter().find_map(|field| match &field.kind {
        Kind::Reference(to, relationship) if *relationship == name => Some((field.name, *to)),
        _ => None,
    })
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits =
        |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts[..], [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2))
}

fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return false;
    };
    let zone = time.ends_with('Z') || time.get(8..).is_some_and(|rest| rest.contains(['+', '-']));
    is_date(date) && zone && time.len() >= 9 && time.as_bytes().get(2) == Some(&b':')
}
