//! What narrows a scope to the events or deliveries that are meant: type, time, text, destination. The same for lists and replays.

use hookplane_proto::v1;
use hookplane_rules::time::from_wire;

use super::status::Problem;
use crate::dispatch::target::SUBSCRIBE;
use crate::log::{Selection, words};

/// Of a text that is searched for, in characters.
const MAX_TEXT: usize = 200;
/// Of an event type or a destination's name, in bytes: nothing longer is ever kept.
const MAX_NAME_BYTES: usize = 512;

/// As requests have it: what is empty or none means any.
#[derive(Debug, Default)]
pub(super) struct Narrow {
    pub(super) event_type: String,
    pub(super) since: Option<prost_types::Timestamp>,
    pub(super) until: Option<prost_types::Timestamp>,
    pub(super) text: String,
    pub(super) destination: String,
}

impl Narrow {
    /// Within the selection, whose own bounds stay.
    pub(super) fn apply(self, selection: &mut Selection) -> Result<(), Problem> {
        for (field, text) in [
            ("type", &self.event_type),
            ("destination", &self.destination),
        ] {
            if text.len() > MAX_NAME_BYTES {
                return Err(Problem::field(
                    field,
                    format!("is longer than {MAX_NAME_BYTES} bytes"),
                ));
            }
        }
        if self.text.chars().count() > MAX_TEXT {
            return Err(Problem::field(
                "text",
                format!("is longer than {MAX_TEXT} characters"),
            ));
        }
        if words::are_too_many(&self.text) {
            return Err(Problem::field(
                "text",
                format!(
                    "has more than {} words: narrow it with other filters",
                    words::MAX_SEARCHED
                ),
            ));
        }
        if !self.text.is_empty() && words::searched(&self.text).is_empty() {
            return Err(Problem::field(
                "text",
                "has no word in it: letters or digits are searched for",
            ));
        }
        let since = self.since.as_ref().map(from_wire);
        selection.event_type = Some(self.event_type).filter(|text| !text.is_empty());
        // Of a name used again, nothing older than the org is the caller's.
        selection.since = since.max(selection.since);
        selection.until = self.until.as_ref().map(from_wire);
        selection.text = Some(self.text).filter(|text| !text.is_empty());
        selection.destination = match self.destination.as_str() {
            "" => None,
            SUBSCRIBE => Some(String::new()),
            _ => Some(self.destination),
        };
        Ok(())
    }
}

/// As people are shown it: in the log a subscriber's has no destination.
pub(crate) fn shown(mut delivery: v1::Delivery) -> v1::Delivery {
    if delivery.destination.is_empty() {
        SUBSCRIBE.clone_into(&mut delivery.destination);
    }
    delivery
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookplane_rules::Timestamp;

    fn narrowed(narrow: Narrow) -> Result<Selection, Problem> {
        let mut selection = Selection {
            since: Some(Timestamp(5_000)),
            ..Default::default()
        };
        narrow.apply(&mut selection).map(|()| selection)
    }

    #[test]
    fn nothing_older_than_the_callers_org_is_selected() -> Result<(), Problem> {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let early = narrowed(Narrow {
            since: at(1),
            ..Default::default()
        })?;
        assert_eq!(early.since, Some(Timestamp(5_000)));
        let late = narrowed(Narrow {
            since: at(9),
            until: at(10),
            ..Default::default()
        })?;
        assert_eq!(late.since, Some(Timestamp(9_000)));
        assert_eq!(late.until, Some(Timestamp(10_000)));
        Ok(())
    }

    #[test]
    fn what_is_searched_for_is_bounded_and_has_a_word_in_it() -> Result<(), Problem> {
        // What goes beyond is refused, never left out: a replay would take more than was meant.
        for text in ["x".repeat(201), "-- !".to_owned(), "x ".repeat(17)] {
            let narrow = Narrow {
                text,
                ..Default::default()
            };
            assert!(matches!(narrowed(narrow), Err(Problem::Fields(_))));
        }
        for text in ["ä".repeat(200), "x ".repeat(16)] {
            let found = narrowed(Narrow {
                text,
                ..Default::default()
            })?;
            assert!(found.text.is_some());
        }
        Ok(())
    }

    #[test]
    fn subscribers_have_a_name_for_people() -> Result<(), Problem> {
        let of = |destination: &str| {
            narrowed(Narrow {
                destination: destination.to_owned(),
                ..Default::default()
            })
        };
        assert_eq!(of("")?.destination, None);
        assert_eq!(of("subscribe")?.destination.as_deref(), Some(""));
        assert_eq!(of("crm")?.destination.as_deref(), Some("crm"));
        assert_eq!(shown(v1::Delivery::default()).destination, "subscribe");
        Ok(())
    }
}
