//! Conditions over a request. Nothing that can't be read holds.

use hookplane_proto::v1;

use super::Errors;
use crate::location::Location;
use crate::request::{Around, Missing, Request, media_type, single};

/// All that is set must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    pub(crate) method: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) present: Option<Location>,
    absent: Option<Location>,
    compared: Option<(Location, Comparison)>,
    pub(crate) empty_body: bool,
}

#[derive(Debug, Clone)]
enum Comparison {
    Equals(String),
    StartsWith(String),
}

impl Condition {
    pub(crate) fn compile(
        condition: &v1::Condition,
        at: &str,
        errors: &mut Errors,
    ) -> Option<Self> {
        let before = errors.list.len();
        let mut location = |text: &str, field: &str| {
            if text.is_empty() {
                return None;
            }
            errors.location(text, &format!("{at}.{field}"))
        };
        let present = location(&condition.present, "present");
        let absent = location(&condition.absent, "absent");
        let left = location(&condition.location, "location");
        let comparison = match (condition.equals.as_str(), condition.starts_with.as_str()) {
            (equals, "") => Comparison::Equals(equals.to_owned()),
            ("", beginning) => Comparison::StartsWith(beginning.to_owned()),
            _ => {
                errors.add(
                    format!("{at}.startsWith"),
                    "stands instead of `equals`; leave one of them out",
                );
                return None;
            }
        };
        let compares = !condition.equals.is_empty() || !condition.starts_with.is_empty();
        if condition.location.is_empty() && compares {
            errors.add(
                format!("{at}.location"),
                "is missing; it says what must equal the text",
            );
        }
        let nothing = *condition == v1::Condition::default();
        if nothing {
            errors.add(at, "says nothing; leave it out, or set method, contentType, present, absent, location or emptyBody");
        }
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (errors.list.len() == before).then(|| Self {
            method: text(&condition.method),
            content_type: text(&condition.content_type),
            present,
            absent,
            compared: left.map(|left| (left, comparison)),
            empty_body: condition.empty_body,
        })
    }

    /// Where it looks.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &Location> {
        let compared = self.compared.as_ref().map(|(location, _)| location);
        [self.present.as_ref(), self.absent.as_ref(), compared]
            .into_iter()
            .flatten()
    }

    /// A value that it holds with, and where.
    pub(crate) fn compared(&self) -> Option<(&Location, &str)> {
        let (location, comparison) = self.compared.as_ref()?;
        let (Comparison::Equals(text) | Comparison::StartsWith(text)) = comparison;
        Some((location, text))
    }

    pub(crate) fn holds(&self, request: &Request, around: Around<'_>) -> bool {
        let callback = &request.callback;
        if let Some(method) = &self.method
            && callback.method.as_str() != method
        {
            return false;
        }
        if let Some(expected) = &self.content_type {
            let sent = single(&callback.headers, &http::header::CONTENT_TYPE).map(media_type);
            if !sent.is_some_and(|sent| sent.eq_ignore_ascii_case(expected)) {
                return false;
            }
        }
        // What is there twice is present: a scheme isn't avoided by repeating its header. So is an array or object.
        let is_there = |location| match request.read(location, around) {
            Ok(_) | Err(Missing::Repeated | Missing::Unreadable) => Some(true),
            Err(Missing::Absent) => Some(request.has_structure(location, around)),
            Err(Missing::Undecodable(_)) => None,
        };
        if let Some(location) = &self.present
            && is_there(location) != Some(true)
        {
            return false;
        }
        if let Some(location) = &self.absent
            && is_there(location) != Some(false)
        {
            return false;
        }
        if self.empty_body && !callback.body.is_empty() {
            return false;
        }
        let Some((location, comparison)) = &self.compared else {
            return true;
        };
        request
            .read(location, around)
            .is_ok_and(|value| match comparison {
                Comparison::Equals(text) => value == text.as_str(),
                Comparison::StartsWith(beginning) => value.starts_with(beginning.as_str()),
            })
    }
}
