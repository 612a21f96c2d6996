//! Which values are read out of a genuine callback.

use std::collections::BTreeMap;

use hookplane_proto::v1;

use super::{Condition, Errors};
use crate::location::Location;
use crate::payload::PayloadAt;

/// Alternatives for one value.
const MAX_VALUES: usize = 16;
/// Names that don't count.
const MAX_SKIPPED: usize = 64;
/// Values that others stand for.
const MAX_MAPPED: usize = 256;
/// The longest of them, in bytes.
const MAX_MAPPED_BYTES: usize = 200;

/// What is read, compiled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extraction {
    pub(crate) event_type: Vec<Value>,
    pub(crate) delivery_id: Vec<Value>,
    pub(crate) delivery_id_is_unique: bool,
    pub(crate) external_id: Vec<Value>,
    pub(crate) payload: Option<PayloadAt>,
}

/// One value.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) source: Source,
    pub(crate) when: Option<Condition>,
    /// Values as posted, and what stands for them.
    pub(crate) values: BTreeMap<String, String>,
}

/// What it is made of.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Several are joined. Parts after the first may be missing.
    Parts {
        parts: Vec<Location>,
        separator: String,
    },
    /// The name of the first member whose value isn't null.
    MemberOf {
        /// A JSON object.
        location: Location,
        /// Names that don't count.
        skip: Vec<String>,
        /// What the name must end with.
        ending: String,
    },
}

impl Value {
    /// Whether each item of a batch may have another.
    pub(crate) fn is_of_item(&self) -> bool {
        let is_in_source = match &self.source {
            Source::Parts { parts, .. } => parts.iter().any(Location::is_of_item),
            Source::MemberOf { location, .. } => location.is_of_item(),
        };
        is_in_source
            || self
                .when
                .as_ref()
                .is_some_and(|when| when.locations().any(Location::is_of_item))
    }
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
    errors.take(at, PayloadAt::parse(text))
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
        let source = match (
            value.from.is_empty(),
            value.join.is_empty(),
            value.member_of.is_empty(),
        ) {
            (false, true, true) | (true, false, true) => parts(value, at, errors),
            (true, true, false) => member_of(value, at, errors),
            _ => {
                errors.add(
                    at,
                    "needs exactly one of `from` with a location, `join` with several, and `memberOf` with an object's",
                );
                None
            }
        };
        check_values(&value.values, &format!("{at}.values"), errors);
        let when = match &value.when {
            Some(when) => Some(Condition::compile(when, &format!("{at}.when"), errors)?),
            None => None,
        };
        Some(Self {
            source: source?,
            when,
            values: value.values.clone(),
        })
    }
}

fn parts(value: &v1::Value, at: &str, errors: &mut Errors) -> Option<Source> {
    if !value.skip.is_empty() || !value.ending.is_empty() {
        errors.add(
            at,
            "has `skip` or `ending`, which are of use only with `memberOf`",
        );
    }
    let texts: Vec<(String, &String)> = match value.from.is_empty() {
        false => vec![(format!("{at}.from"), &value.from)],
        true => (0..)
            .zip(&value.join)
            .map(|(index, text): (usize, _)| (format!("{at}.join[{index}]"), text))
            .collect(),
    };
    errors.at_most(at, texts.len(), MAX_VALUES, "parts");
    let parts = texts
        .into_iter()
        .take(MAX_VALUES)
        .map(|(field, text)| source(text, &field, errors))
        .collect::<Option<_>>()?;
    Some(Source::Parts {
        parts,
        separator: value.separator.clone(),
    })
}

fn member_of(value: &v1::Value, at: &str, errors: &mut Errors) -> Option<Source> {
    errors.at_most(
        &format!("{at}.skip"),
        value.skip.len(),
        MAX_SKIPPED,
        "names",
    );
    let field = format!("{at}.memberOf");
    let location = source(&value.member_of, &field, errors)?;
    if !matches!(
        location,
        Location::Json(_) | Location::Item(_) | Location::Parent(_)
    ) {
        errors.add(
            field,
            "must be an object's place: json:, item: or parent: with a pointer, without steps",
        );
        return None;
    }
    Some(Source::MemberOf {
        location,
        skip: value.skip.clone(),
        ending: value.ending.clone(),
    })
}

/// A location whose value may become an event's.
fn source(text: &str, field: &str, errors: &mut Errors) -> Option<Location> {
    let location = errors.location(text, field)?;
    match location.base() {
        Location::Url => {
            errors.add(
                field,
                "the URL is a group's own and says nothing of an event",
            );
            None
        }
        Location::Param(name) if errors.is_secret(name) => {
            errors.add(
                field,
                format!("`{name}` is a secret and stays out of events"),
            );
            None
        }
        _ => Some(location),
    }
}

fn check_values(values: &BTreeMap<String, String>, at: &str, errors: &mut Errors) {
    errors.at_most(at, values.len(), MAX_MAPPED, "values");
    for (from, to) in values {
        if to.is_empty() || from.len().max(to.len()) > MAX_MAPPED_BYTES {
            errors.add(
                format!("{at}.{from}"),
                format!("must be a text of 1 to {MAX_MAPPED_BYTES} bytes"),
            );
        }
    }
}
