//! What a field takes: a value of its type, or the reason why this is none.

use std::borrow::Cow;

use hookplane_proto::v1::FieldType;

use super::found::Found;
use super::record::Value;
use super::{number, time};

/// A record's id, in bytes.
const MAX_REFERENCE_BYTES: usize = 255;

/// A field's type.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) kind: FieldType,
    /// What a picklist takes, in order of the alphabet. Empty: anything.
    pub(super) picklist: Vec<String>,
    /// The text holds several of them.
    pub(super) several: bool,
}

impl Typed {
    /// None for a text without anything in it, where the type has no such value.
    pub(super) fn value(&self, found: Found<'_>) -> Result<Option<Value>, String> {
        if let (false, Found::Text(text)) = (self.takes_empty(), &found)
            && text.trim().is_empty()
        {
            return Ok(None);
        }
        match self.kind {
            FieldType::Unspecified => match found {
                Found::Text(text) => Ok(Value::Text(text.into_owned())),
                Found::Number(digits) => Ok(Value::Number(digits.into_owned())),
                Found::Boolean(value) => Ok(Value::Boolean(value)),
                found => Err(format!(
                    "is {}: give the field the type json, or a converter that makes text of it",
                    found.shown()
                )),
            },
            FieldType::String => text(found, "text").map(|text| Value::Text(text.into_owned())),
            FieldType::Integer => digits(&found)
                .and_then(|exact| number::whole(&exact).map(str::to_owned))
                .map(Value::Number)
                .ok_or_else(|| format!("{} is no whole number", found.shown())),
            FieldType::Decimal => digits(&found)
                .map(Value::Number)
                .ok_or_else(|| format!("{} is no number", found.shown())),
            FieldType::Boolean => boolean(&found)
                .map(Value::Boolean)
                .ok_or_else(|| format!("{} is neither true nor false", found.shown())),
            FieldType::Date => self.time(found, time::date),
            FieldType::Datetime => self.time(found, time::date_time),
            FieldType::Picklist => self.picked(found),
            FieldType::Reference => {
                let text = text(found, "a reference")?;
                let text = text.trim();
                match text.len() <= MAX_REFERENCE_BYTES {
                    true => Ok(Value::Text(text.to_owned())),
                    false => Err(format!(
                        "is {} bytes long, and a reference at most {MAX_REFERENCE_BYTES}",
                        text.len()
                    )),
                }
            }
            FieldType::Json => Ok(Value::Json(match found {
                Found::List(raw) | Found::Object(raw) | Found::Number(raw) => raw.into_owned(),
                Found::Boolean(value) => value.to_string(),
                // Strings always serialize.
                Found::Text(text) => serde_json::to_string(&text).unwrap_or_default(),
            })),
        }
        .map(Some)
    }

    fn takes_empty(&self) -> bool {
        match self.kind {
            FieldType::Unspecified | FieldType::String | FieldType::Json => true,
            FieldType::Picklist => self.picklist.iter().any(String::is_empty),
            _ => false,
        }
    }

    fn time(
        &self,
        found: Found<'_>,
        read: fn(&str) -> Result<String, String>,
    ) -> Result<Value, String> {
        match &found {
            Found::Text(text) => read(text)
                .map(Value::Text)
                .map_err(|reason| format!("{} {reason}", found.shown())),
            Found::Number(_) => Err(format!(
                "{} is a number; the converters unix-seconds and unix-milliseconds make a time of it",
                found.shown()
            )),
            _ => Err(format!("is {}, no time", found.shown())),
        }
    }

    fn picked(&self, found: Found<'_>) -> Result<Value, String> {
        let shown = found.shown();
        let text = text(found, "a picklist's value")?;
        let is_known = |value: &str| {
            let known = self
                .picklist
                .binary_search_by(|known| known.as_str().cmp(value));
            self.picklist.is_empty() || known.is_ok()
        };
        let known = match self.several {
            true => text.split(';').all(is_known),
            false => is_known(&text),
        };
        match known {
            true => Ok(Value::Text(text.into_owned())),
            false => Err(format!("{shown} is no value of the picklist")),
        }
    }
}

fn text<'e>(found: Found<'e>, what: &str) -> Result<Cow<'e, str>, String> {
    found
        .into_text()
        .map_err(|found| format!("is {}, no {}", found.shown(), what.trim_start_matches("a ")))
}

fn digits(found: &Found<'_>) -> Option<String> {
    match found {
        Found::Number(text) | Found::Text(text) => number::exact(text),
        _ => None,
    }
}

/// As forms and spreadsheets write them, too.
fn boolean(found: &Found<'_>) -> Option<bool> {
    match found {
        Found::Boolean(value) => Some(*value),
        Found::Text(text) | Found::Number(text) => {
            match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Some(true),
                "false" | "no" | "0" => Some(false),
                _ => None,
            }
        }
        _ => None,
    }
}
