//! The signed time, and the window it must be in.

use crate::connector::{SignedTime, Unit, Window};
use crate::error::{Refusal, RefusalKind};
use crate::location::{SigFields, Source};
use crate::time::Timestamp;

/// For `past`: how far ahead a clock may be before a time counts as the future, in milliseconds. Whole seconds are rounded somewhere.
const ROUNDING_MS: i64 = 1_000;

pub(super) fn check(
    time: &SignedTime,
    source: &Source<'_>,
    sig: Option<&SigFields>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let refused = |reason: String| Refusal::new(RefusalKind::Timestamp, reason);
    let text = time
        .location
        .read(source, sig, None)
        .ok_or_else(|| refused(format!("{} is missing", time.location.text())))?;
    let signed = parse(time.unit, &text).ok_or_else(|| {
        refused(format!(
            "{} is no time in {}",
            time.location.text(),
            unit(time.unit)
        ))
    })?;
    let age = now.0.saturating_sub(signed);
    let tolerance = i64::from(time.tolerance_seconds) * 1_000;
    if age > tolerance {
        return Err(refused(format!(
            "timestamp is {} s old, {} s are allowed",
            age / 1_000,
            time.tolerance_seconds
        )));
    }
    let ahead = age.saturating_neg();
    let may_be_ahead = match time.window {
        Window::Both => tolerance,
        Window::Age => i64::MAX,
        Window::Past => ROUNDING_MS,
    };
    if ahead > may_be_ahead {
        return Err(refused(format!(
            "timestamp is {} s ahead of our clock, {} s are allowed",
            ahead / 1_000,
            may_be_ahead / 1_000
        )));
    }
    Ok(())
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "seconds",
        Unit::Milliseconds => "milliseconds",
        Unit::Rfc3339 => "RFC 3339",
    }
}

/// Milliseconds since 1970.
fn parse(unit: Unit, text: &str) -> Option<i64> {
    let whole = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i64>().ok()).flatten()
    };
    match unit {
        Unit::Seconds => whole(text)?.checked_mul(1_000),
        Unit::Milliseconds => whole(text),
        Unit::Rfc3339 => {
            let time: prost_types::Timestamp = text.parse().ok()?;
            time.seconds
                .checked_mul(1_000)?
                .checked_add(i64::from(time.nanos) / 1_000_000)
        }
    }
}

/// A time as a provider writes it.
pub(crate) fn format(unit: Unit, now: Timestamp) -> String {
    match unit {
        Unit::Seconds => now.seconds().to_string(),
        Unit::Milliseconds => now.0.to_string(),
        Unit::Rfc3339 => rfc3339_seconds(now),
    }
}

/// Whole seconds as `2026-11-23T20:00:00Z`.
pub(crate) fn rfc3339_seconds(now: Timestamp) -> String {
    prost_types::Timestamp {
        seconds: now.seconds(),
        nanos: 0,
    }
    .to_string()
}
