//! All that is wrong with a definition, each at its field, so that whoever wrote it is told at once.

use std::collections::BTreeMap;

use super::MAX_PROSE_BYTES;
use crate::FieldError;
use crate::location::Location;
use crate::template::{Template, Use};

/// What is wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    pub(crate) list: Vec<FieldError>,
    /// What `param:` and the fields that name a parameter may name, and whether it is secret.
    pub(super) parameters: BTreeMap<String, bool>,
}

impl Errors {
    /// Adds one, once: what several functions inherit is compiled for each of them.
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let error = FieldError::new(field, message);
        if !self.list.contains(&error) {
            self.list.push(error);
        }
    }

    /// Takes an error's message down at a field.
    pub(crate) fn take<T>(
        &mut self,
        field: impl Into<String>,
        result: Result<T, String>,
    ) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }

    /// Reads a location of this definition, or says at its field what is wrong with it.
    pub(crate) fn location(&mut self, text: &str, at: &str) -> Option<Location> {
        let location = self.take(at, Location::parse(text))?;
        if let Location::Param(name) = location.base() {
            self.parameter(name, at);
        }
        Some(location)
    }

    /// Reads a template of this definition, or says at its field what is wrong with it.
    pub(crate) fn template(&mut self, text: &str, purpose: Use, at: &str) -> Option<Template> {
        let template = self.take(at, Template::parse(text, purpose))?;
        for location in template.locations() {
            let Location::Param(name) = location.base() else {
                continue;
            };
            self.parameter(name, at);
            if matches!(purpose, Use::Reply | Use::Text) && self.is_secret(name) {
                self.add(
                    at,
                    format!("may not hold {{param:{name}}}, which is a secret"),
                );
            }
        }
        Some(template)
    }

    /// What names a parameter must name one of this definition's.
    pub(crate) fn parameter(&mut self, name: &str, at: &str) {
        if !self.parameters.contains_key(name) {
            self.add(at, format!("`{name}` is none of spec.parameters"));
        }
    }

    pub(super) fn is_secret(&self, parameter: &str) -> bool {
        self.parameters.get(parameter) == Some(&true)
    }

    pub(crate) fn at_most(&mut self, field: &str, count: usize, most: usize, what: &str) {
        if count > most {
            self.add(
                field,
                format!("has {count} {what}, at most {most} are taken"),
            );
        }
    }

    pub(super) fn prose(&mut self, field: String, text: &str) {
        if text.len() > MAX_PROSE_BYTES {
            self.add(
                field,
                format!(
                    "is {} bytes long, at most {MAX_PROSE_BYTES} are taken",
                    text.len()
                ),
            );
        }
    }
}
