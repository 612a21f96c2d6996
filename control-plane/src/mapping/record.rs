//! What a mapping makes: one record with its parents above and its children below it.

use hookplane_proto::v1;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// One object's record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// As the target names it.
    pub object: String,
    /// Never unspecified.
    pub operation: v1::RecordOperation,
    /// The field that tells records apart. It is among the fields.
    pub key: Option<String>,
    /// By the target's name, in order of the alphabet.
    pub fields: Vec<(String, Value)>,
    /// Records that it points to.
    pub parents: Vec<Parent>,
    /// Records that point to it.
    pub children: Vec<Child>,
}

/// A record that another points to.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    /// The relationship's name in the one that points.
    pub field: String,
    /// With more than the key among its fields it is upserted first; with the key alone it has to be there.
    pub record: Record,
}

/// A record that points to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// The relationship's name in the child.
    pub parent_field: String,
    /// The child.
    pub record: Record,
}

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Emptied.
    Null,
    /// Text, a picklist's value, a reference's id, a date or a date-time.
    Text(String),
    /// A number, with the digits it came with. Always valid JSON.
    Number(String),
    /// True or false.
    Boolean(bool),
    /// A list or an object, as JSON text. Always valid JSON.
    Json(String),
}

impl Record {
    /// The value of its key.
    pub fn key_value(&self) -> Option<&Value> {
        let key = self.key.as_ref()?;
        let field = self.fields.iter().find(|(name, _)| name == key)?;
        Some(&field.1)
    }

    /// Bytes in memory, near enough.
    pub(crate) fn weight(&self) -> usize {
        const OF_EACH: usize = 64;
        let fields: usize = self
            .fields
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::Text(text) | Value::Number(text) | Value::Json(text) => text.len(),
                    Value::Boolean(_) | Value::Null => 0,
                };
                OF_EACH + name.len() + value
            })
            .sum();
        let parents = self.parents.iter().map(|parent| parent.record.weight());
        let children = self.children.iter().map(|child| child.record.weight());
        OF_EACH + self.object.len() + fields + parents.sum::<usize>() + children.sum::<usize>()
    }

    /// As subscribers and HTTP get it: a list with the one base record in it.
    pub fn to_json(&self) -> String {
        // Texts, booleans and numbers that are valid JSON: there is nothing in it that can't be written.
        serde_json::to_string(&[self]).unwrap_or_default()
    }
}

/// As the API's texts have it.
pub(super) fn operation_name(operation: v1::RecordOperation) -> &'static str {
    match operation {
        v1::RecordOperation::Unspecified | v1::RecordOperation::Insert => "insert",
        v1::RecordOperation::Update => "update",
        v1::RecordOperation::Upsert => "upsert",
        v1::RecordOperation::Delete => "delete",
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            // Digits and structure as they are: see `serde_json::value::RawValue`.
            Self::Number(json) | Self::Json(json) => {
                serde_json::value::RawValue::from_string(json.clone())
                    .map_err(serde::ser::Error::custom)?
                    .serialize(serializer)
            }
        }
    }
}

struct Fields<'a>(&'a [(String, Value)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The link comes first, then the record's own.
fn write<S: Serializer>(
    record: &Record,
    link: Option<(&str, &str)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    if let Some((name, value)) = link {
        map.serialize_entry(name, value)?;
    }
    map.serialize_entry("object", &record.object)?;
    map.serialize_entry("operation", operation_name(record.operation))?;
    if let Some(key) = &record.key {
        map.serialize_entry("key", key)?;
    }
    map.serialize_entry("fields", &Fields(&record.fields))?;
    if !record.parents.is_empty() {
        map.serialize_entry("parents", &record.parents)?;
    }
    if !record.children.is_empty() {
        map.serialize_entry("children", &record.children)?;
    }
    map.end()
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(self, None, serializer)
    }
}

impl Serialize for Parent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(&self.record, Some(("field", &self.field)), serializer)
    }
}

impl Serialize for Child {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let link = ("parentField", &*self.parent_field);
        write(&self.record, Some(link), serializer)
    }
}
