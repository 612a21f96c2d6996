//! What is typed to narrow a list or a replay, as requests have it.

use hookplane_rules::Clock as _;

use crate::args::Narrow;
use crate::failure::Failure;
use crate::servers::clock::SystemClock;
use crate::times;

/// Read once, so that all pages of a list mean the same time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Narrowed {
    pub(crate) event_type: String,
    pub(crate) since: Option<prost_types::Timestamp>,
    pub(crate) until: Option<prost_types::Timestamp>,
    pub(crate) text: String,
    pub(crate) destination: String,
}

impl Narrowed {
    pub(crate) fn of(narrow: &Narrow) -> Result<Self, Failure> {
        let now = SystemClock.now();
        let time = |text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| times::point(text, now)).transpose()
        };
        Ok(Self {
            event_type: narrow.event_type.clone().unwrap_or_default(),
            since: time(&narrow.since)?,
            until: time(&narrow.until)?,
            text: narrow.text.clone().unwrap_or_default(),
            destination: narrow.destination.clone().unwrap_or_default(),
        })
    }
}

impl Narrow {
    /// The first that is given, for what takes none.
    pub(crate) fn given(&self) -> Option<&'static str> {
        [
            ("--type", &self.event_type),
            ("--since", &self.since),
            ("--until", &self.until),
            ("--text", &self.text),
            ("--destination", &self.destination),
        ]
        .into_iter()
        .find_map(|(flag, value)| value.is_some().then_some(flag))
    }
}
