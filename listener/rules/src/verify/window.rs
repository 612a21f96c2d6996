//! The signed time, and how far it may be off. Looked at only after the signature matched: a stale forgery is a forgery.

use std::time::{Duration, UNIX_EPOCH};

use hookplane_proto::v1::{TimeUnit, TimeWindow};

use crate::connector::SignedTime;
use crate::{Refusal, RefusalKind, Timestamp};

/// The longest text of a time, in bytes.
const MAX_TIME_BYTES: usize = 40;
/// From so many digits on, a number of unknown unit counts milliseconds: as seconds it would be 5,000 years ahead.
const MILLISECOND_DIGITS: usize = 12;

/// Says why not when the time is no time, or outside the window.
pub(super) fn check(time: &SignedTime, text: &str, now: Timestamp) -> Result<(), Refusal> {
    let (signed, now) = match read(time.unit, text) {
        // Whole seconds are compared with whole seconds: the window would else depend on our milliseconds.
        Some(signed) if time.unit == TimeUnit::Seconds => {
            (signed, now.seconds().saturating_mul(1000))
        }
        Some(signed) => (signed, now.0),
        None => {
            return Err(Refusal::new(
                RefusalKind::Signature,
                format!(
                    "the signature matched, but {} is no time in {}",
                    time.location.describe(),
                    unit(time.unit)
                ),
            ));
        }
    };
    let age = now.saturating_sub(signed);
    let tolerance = i64::try_from(time.tolerance.as_millis()).unwrap_or(i64::MAX);
    let seconds = time.tolerance.as_secs();
    if age > tolerance {
        return Err(Refusal::new(
            RefusalKind::Timestamp,
            format!("timestamp is {} s old, {seconds} s are allowed", age / 1000),
        ));
    }
    let ahead = age.saturating_neg();
    let allowed = match time.window {
        TimeWindow::Both => tolerance,
        TimeWindow::Past => 0,
        TimeWindow::Age | TimeWindow::Unspecified => return Ok(()),
    };
    if ahead > allowed {
        return Err(Refusal::new(
            RefusalKind::Timestamp,
            format!(
                "timestamp is {} s ahead of our clock, {} s are allowed",
                ahead.saturating_add(999) / 1000,
                allowed / 1000
            ),
        ));
    }
    Ok(())
}

/// In milliseconds since 1970.
pub(crate) fn read(unit: TimeUnit, text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > MAX_TIME_BYTES {
        return None;
    }
    match unit {
        TimeUnit::Seconds => digits(text)?.checked_mul(1000),
        TimeUnit::Milliseconds => digits(text),
        TimeUnit::Rfc3339 => {
            let time: prost_types::Timestamp = match text.parse() {
                Ok(time) => time,
                // Some leave out the zone and mean UTC.
                Err(_) => format!("{text}Z").parse().ok()?,
            };
            time.seconds
                .checked_mul(1000)?
                .checked_add(i64::from(time.nanos / 1_000_000))
        }
        TimeUnit::HttpDate => {
            let since = httpdate::parse_http_date(text)
                .ok()?
                .duration_since(UNIX_EPOCH)
                .ok()?;
            i64::try_from(since.as_millis()).ok()
        }
        TimeUnit::Epoch if text.len() >= MILLISECOND_DIGITS => digits(text),
        TimeUnit::Epoch => digits(text)?.checked_mul(1000),
        TimeUnit::Unspecified => None,
    }
}

/// A number without sign, point or space.
fn digits(text: &str) -> Option<i64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A time as this unit writes it.
pub(crate) fn write(unit: TimeUnit, now: Timestamp) -> String {
    match unit {
        TimeUnit::Milliseconds => now.0.to_string(),
        TimeUnit::Rfc3339 => prost_types::Timestamp {
            seconds: now.seconds(),
            nanos: 0,
        }
        .to_string(),
        TimeUnit::HttpDate => {
            let since = Duration::from_secs(now.seconds().try_into().unwrap_or_default());
            httpdate::fmt_http_date(UNIX_EPOCH + since)
        }
        TimeUnit::Seconds | TimeUnit::Epoch | TimeUnit::Unspecified => now.seconds().to_string(),
    }
}

fn unit(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Milliseconds => "whole milliseconds since 1970",
        TimeUnit::Rfc3339 => "RFC 3339",
        TimeUnit::HttpDate => "the form of the header Date",
        TimeUnit::Epoch => "whole seconds or milliseconds since 1970",
        TimeUnit::Seconds | TimeUnit::Unspecified => "whole seconds since 1970",
    }
}
