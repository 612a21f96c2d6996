//! Which values are read out of a genuine callback, and how it is split into events.

use hookplane_proto::v1;

use super::{Condition, Errors};
use crate::location::{Location, MAX_TEXT_BYTES};
use crate::payload::PayloadAt;

/// Alternatives for one value.
const MAX_VALUES: usize = 16;
/// Items of a batch when the definition doesn't say.
const DEFAULT_MAX_ITEMS: usize = 1_000;
/// What a definition may allow.
const MOST_ITEMS: u32 = 10_000;

/// What is read, compiled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extraction {
    pub(crate) event_type: Vec<Value>,
    pub(crate) delivery_id: Vec<Value>,
    pub(crate) delivery_id_is_unique: bool,
    pub(crate) external_id: Vec<Value>,
    pub(crate) payload: Option<PayloadAt>,
}

/// One value: parts after the first may be missing.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) parts: Vec<Location>,
    pub(crate) separator: String,
    pub(crate) when: Option<Condition>,
}

impl Value {
    /// Whether each item of a batch may have another.
    pub(crate) fn is_of_item(&self) -> bool {
        let of_item = |location: &Location| matches!(location, Location::Item(_));
        self.parts.iter().any(of_item)
            || self
                .when
                .as_ref()
                .is_some_and(|when| when.locations().any(of_item))
    }
}

/// How a callback that holds several events is split.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) items: Vec<String>,
    pub(crate) max_items: usize,
}

impl Extraction {
    pub(crate) fn compile(extraction: &v1::Extraction, at: &str, errors: &mut Errors) -> Self {
        Self {
            event_type: values(&extraction.event_type, &format!("{at}.eventType"), errors),
            delivery_id: values(&extraction.delivery_id, &format!("{at}.deliveryId"), errors),
            delivery_id_is_unique: extraction.delivery_id_is_unique,
            external_id: values(&extraction.external_id, &format!("{at}.externalId"), errors),
            payload: payload(&extraction.payload, &format!("{at}.payload"), errors),
        }
    }
}

fn payload(text: &str, at: &str, errors: &mut Errors) -> Option<PayloadAt> {
    if text.is_empty() {
        return None;
    }
    if text.len() > MAX_TEXT_BYTES {
        errors.add(
            at,
            format!(
                "is {} bytes long, at most {MAX_TEXT_BYTES} are taken",
                text.len()
            ),
        );
        return None;
    }
    let place = errors.take(at, PayloadAt::parse(text))?;
    if place == PayloadAt::Token {
        errors.add(at, "needs a `jwt` scheme, whose claims it is");
        return None;
    }
    Some(place)
}

fn values(list: &[v1::Value], at: &str, errors: &mut Errors) -> Vec<Value> {
    errors.at_most(at, list.len(), MAX_VALUES, "alternatives");
    list.iter()
        .take(MAX_VALUES)
        .enumerate()
        .filter_map(|(index, value)| Value::compile(value, &format!("{at}[{index}]"), errors))
        .collect()
}

impl Value {
    fn compile(value: &v1::Value, at: &str, errors: &mut Errors) -> Option<Self> {
        let texts: Vec<(String, &String)> = match (value.from.is_empty(), value.join.is_empty()) {
            (false, true) => vec![(format!("{at}.from"), &value.from)],
            (true, false) => (0..)
                .zip(&value.join)
                .map(|(index, text): (usize, _)| (format!("{at}.join[{index}]"), text))
                .collect(),
            _ => {
                errors.add(
                    at,
                    "needs either `from` with a location or `join` with several",
                );
                return None;
            }
        };
        errors.at_most(at, texts.len(), MAX_VALUES, "parts");
        let mut parts = Vec::new();
        for (field, text) in texts.into_iter().take(MAX_VALUES) {
            let location = errors.take(field.clone(), Location::parse(text))?;
            if matches!(location, Location::Url) {
                errors.add(
                    field,
                    "the URL is a group's own and says nothing of an event",
                );
                return None;
            }
            parts.push(location);
        }
        let when = match &value.when {
            Some(when) => Some(Condition::compile(when, &format!("{at}.when"), errors)?),
            None => None,
        };
        Some(Self {
            parts,
            separator: value.separator.clone(),
            when,
        })
    }
}

impl Batch {
    pub(crate) fn compile(batch: &v1::Batch, at: &str, errors: &mut Errors) -> Option<Self> {
        if batch.max_items > MOST_ITEMS {
            errors.add(
                format!("{at}.maxItems"),
                format!("is {}, at most {MOST_ITEMS} are taken", batch.max_items),
            );
        }
        match Location::parse(&batch.items) {
            Ok(Location::Json(items)) => Some(Self {
                items,
                max_items: match batch.max_items {
                    0 => DEFAULT_MAX_ITEMS,
                    count => count as usize,
                },
            }),
            _ => {
                errors.add(
                    format!("{at}.items"),
                    "must be `json:` for a body that is an array, or `json:/pointer` for an array inside",
                );
                None
            }
        }
    }
}
