//! Times, as a page shows them: for the machine exact, for people short; a script turns the short one into the viewer's zone.

use std::fmt;

use time::OffsetDateTime;
use time::macros::format_description;

/// A moment. In a template it is a `time` element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(OffsetDateTime);

impl Moment {
    /// None: there is no time, or none that a calendar has.
    pub(crate) fn of(wire: Option<&prost_types::Timestamp>) -> Option<Self> {
        let wire = wire?;
        let nanos = i128::from(wire.seconds) * 1_000_000_000 + i128::from(wire.nanos);
        OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .ok()
            .map(Self)
    }

    /// `2026-11-27T20:11:19.123Z`
    pub(crate) fn exact(self) -> String {
        let form = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        // A form of numbers alone can't fail.
        self.0.format(&form).unwrap_or_default()
    }

    /// `2026-11-27 20:11:19 UTC`
    pub(crate) fn short(self) -> String {
        let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
        self.0.format(&form).unwrap_or_default()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.exact();
        // Digits, dashes and colons: nothing to escape.
        write!(
            f,
            r#"<time datetime="{exact}" title="{exact}">{}</time>"#,
            self.short()
        )
    }
}

impl askama::filters::HtmlSafe for Moment {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_exact_to_the_machine_and_short_to_people() {
        let wire = prost_types::Timestamp {
            seconds: 1_764_274_279,
            nanos: 123_456_789,
        };
        assert_eq!(
            Moment::of(Some(&wire)).unwrap().to_string(),
            r#"<time datetime="2025-11-27T20:11:19.123Z" title="2025-11-27T20:11:19.123Z">2025-11-27 20:11:19 UTC</time>"#
        );
        assert!(Moment::of(None).is_none());
        let never = prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        };
        assert!(Moment::of(Some(&never)).is_none());
    }
}
