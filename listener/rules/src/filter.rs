//! Filters: CEL within bounds, over borrowed data.

use std::collections::BTreeMap;

use crate::payload::Payload;

/// A filter that compiled and is within bounds.
#[derive(Debug)]
pub struct Filter {}

/// What a filter sees.
#[derive(Debug, Clone, Copy)]
pub struct FilterInput<'a> {
    /// `payload`
    pub payload: &'a Payload,
    /// `headers`: lower-case names, credentials removed.
    pub headers: &'a BTreeMap<String, String>,
    /// `query`: as received, decoded here.
    pub query: &'a str,
    /// `event.type`
    pub event_type: &'a str,
    /// `event.deliveryId`
    pub delivery_id: &'a str,
    /// `event.externalId`
    pub external_id: &'a str,
}

/// What a filter said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Match,
    /// It doesn't, or a path is missing. The reason says at which term.
    NoMatch(String),
    /// It can't be told: the delivery is held.
    Error(String),
}

impl Filter {
    /// Compiles a source of at most 1,024 bytes. The error says what is wrong, at which place, or which bound it passes.
    pub fn compile(_source: &str) -> Result<Self, String> {
        todo!()
    }

    /// Runs it.
    pub fn evaluate(&self, _input: FilterInput<'_>) -> Verdict {
        todo!()
    }
}
