//! Mistakes with the signed time: the signature fits, so this is what was signed.

use hookplane_proto::v1::TimeUnit;
use http::header::DATE;

use super::trial::Patient;
use super::{Cause, Diagnosis};
use crate::Timestamp;
use crate::request::single;
use crate::verify::window;

const HOUR: i64 = 3_600_000;
/// How far zones are from UTC.
const MOST_ZONE_HOURS: i64 = 14;
/// What clocks that are right may differ by, with the way between them.
const NEAR: i64 = 30_000;

/// `text`: the value at the time's location, where it can be read.
pub(super) fn examine(patient: Patient<'_>, text: Option<&str>) -> Diagnosis {
    let (Some(time), Some(text)) = (&patient.scheme.timestamp, text) else {
        return Diagnosis::new(
            Cause::TimestampStale,
            "the token says itself that it is not valid at this time: it is an old one sent again, or one of the clocks is off",
        );
    };
    let tolerance = i64::try_from(time.tolerance.as_millis()).unwrap_or(i64::MAX);
    let is_near = |signed: i64| age(patient.now, signed).abs() <= tolerance.max(NEAR);
    let units = [
        (TimeUnit::Seconds, "seconds"),
        (TimeUnit::Milliseconds, "milliseconds"),
        (TimeUnit::Rfc3339, "RFC 3339"),
        (TimeUnit::HttpDate, "the form of the header Date"),
    ];
    let signed = window::read(time.unit, text);
    for (unit, name) in units {
        if unit != time.unit && window::read(unit, text).is_some_and(is_near) {
            return Diagnosis::new(
                Cause::TimestampUnit,
                format!(
                    "the signature fits, and its time is written in {name}, which this connector doesn't expect: the sender is not the \
                     provider's own code, or the connector's `timestamp.unit` is wrong"
                ),
            );
        }
    }
    let Some(signed) = signed else {
        return Diagnosis::new(
            Cause::TimestampUnit,
            "the signature fits, and its time is in no form that is known here: compare it with the provider's documentation",
        );
    };
    let age = age(patient.now, signed);
    let hours = age.saturating_add(age.signum() * HOUR / 2) / HOUR;
    let seconds = age.unsigned_abs() / 1000;
    if hours != 0
        && hours.abs() <= MOST_ZONE_HOURS
        && age.saturating_sub(hours * HOUR).abs() <= NEAR
    {
        return Diagnosis::new(
            Cause::TimestampZone,
            format!(
                "the signature fits, and its time is {} whole hours {}, as a local time is that was taken for UTC: mend the sender's zone{}",
                hours.abs(),
                if age > 0 { "behind" } else { "ahead" },
                if age > 0 {
                    ", unless it is an old request sent again"
                } else {
                    ""
                },
            ),
        );
    }
    let sender = sender_clock(patient);
    if age < 0 {
        let whose = match sender {
            Some(off) if off.abs() <= NEAR => {
                "the request's header Date agrees with our clock, so the sender signs with another"
            }
            Some(_) => {
                "the request's header Date is off as well, so one of the two machines' clocks is wrong"
            }
            None => "no request comes before it is signed, so one of the two clocks is wrong",
        };
        return Diagnosis::new(
            Cause::TimestampAhead,
            format!(
                "the signature fits, and its time is {seconds} s ahead of ours: {whose}; see that both keep time by NTP"
            ),
        );
    }
    let whose = match sender {
        Some(off) if off.abs() <= NEAR => {
            "the request's header Date agrees with our clock, so it was signed long before it was sent: an old request sent again, or one \
             that waited"
        }
        Some(off) if (off - age).abs() <= NEAR => {
            "the request's header Date is as old, so the sender's clock is slow or ours fast, or the request waited on its way"
        }
        _ => "an old request sent again by hand or a queue, or one of the two clocks is off",
    };
    Diagnosis::new(
        Cause::TimestampStale,
        format!(
            "the signature fits, and it is {seconds} s old where {} s are allowed: {whose}",
            tolerance / 1000
        ),
    )
}

fn age(now: Timestamp, signed: i64) -> i64 {
    now.0.saturating_sub(signed)
}

/// How far the sender's clock is behind ours, where it says what it shows.
fn sender_clock(patient: Patient<'_>) -> Option<i64> {
    let date = single(&patient.callback.headers, &DATE)?;
    Some(age(patient.now, window::read(TimeUnit::HttpDate, date)?))
}
