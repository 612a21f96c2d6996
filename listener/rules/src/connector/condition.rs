//! Conditions over a request. Nothing that can't be read holds.

use hookplane_proto::v1;

use super::Errors;
use crate::location::Location;
use crate::request::{Around, Missing, Request, media_type, single};

/// All that is set must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Condition {
    method: Option<String>,
    content_type: Option<String>,
    present: Option<Location>,
    absent: Option<Location>,
    equals: Option<(Location, String)>,
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
            errors.take(format!("{at}.{field}"), Location::parse(text))
        };
        let present = location(&condition.present, "present");
        let absent = location(&condition.absent, "absent");
        let left = location(&condition.location, "location");
        if condition.location.is_empty() && !condition.equals.is_empty() {
            errors.add(
                format!("{at}.location"),
                "is missing; it says what must equal the text",
            );
        }
        let nothing = *condition == v1::Condition::default();
        if nothing {
            errors.add(at, "says nothing; leave it out, or set method, contentType, present, absent or location");
        }
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (errors.list.len() == before).then(|| Self {
            method: text(&condition.method),
            content_type: text(&condition.content_type),
            present,
            absent,
            equals: left.map(|left| (left, condition.equals.clone())),
        })
    }

    /// Where it looks.
    pub(crate) fn locations(&self) -> impl Iterator<Item = &Location> {
        let equals = self.equals.as_ref().map(|(location, _)| location);
        [self.present.as_ref(), self.absent.as_ref(), equals]
            .into_iter()
            .flatten()
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
        if let Some(location) = &self.present {
            // What is there twice is present: a scheme isn't avoided by repeating its header.
            match request.read(location, around) {
                Ok(_) | Err(Missing::Repeated | Missing::Unreadable) => {}
                Err(Missing::Absent | Missing::Undecodable(_)) => return false,
            }
        }
        if let Some(location) = &self.absent
            && request.read(location, around) != Err(Missing::Absent)
        {
            return false;
        }
        if let Some((location, expected)) = &self.equals {
            return request
                .read(location, around)
                .is_ok_and(|value| value == expected.as_str());
        }
        true
    }
}
