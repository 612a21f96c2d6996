//! Dates and date-times: ISO 8601 in, what Salesforce and most others take out: `2026-11-27`, `2026-11-27T10:00:00Z`, with milliseconds where
//! there are some.

const MILLIS_PER_SECOND: i64 = 1000;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// The day as it is written, of a date or of a date-time; the reason for what is neither.
pub(super) fn date(text: &str) -> Result<String, String> {
    let text = text.trim();
    let (day, rest) = day(text).ok_or_else(wrong_date)?;
    if !rest.is_empty() {
        clock(rest).ok_or_else(wrong_date)?;
    }
    let (year, month, day) = day;
    Ok(format!("{year:04}-{month:02}-{day:02}"))
}

fn wrong_date() -> String {
    "is no date; one is 2026-11-27, or a date-time".to_owned()
}

/// In UTC, cut to milliseconds.
pub(super) fn date_time(text: &str) -> Result<String, String> {
    let wrong =
        || "is no date-time; one is 2026-11-27T10:00:00Z or 2026-11-27T10:00:00+01:00".to_owned();
    let text = text.trim();
    let ((year, month, day), rest) = day(text).ok_or_else(wrong)?;
    if rest.is_empty() {
        return Err("is a date without a time; the type date takes it".to_owned());
    }
    let (millis, offset) = clock(rest).ok_or_else(wrong)?;
    let offset = offset.ok_or(
        "has no offset, so that nobody knows which hour it is; where it is UTC, cel says so: `payload.time + 'Z'`",
    )?;
    let at = days_since_1970(year, month, day) * MILLIS_PER_DAY + millis
        - offset * 60 * MILLIS_PER_SECOND;
    from_millis(at).ok_or_else(wrong)
}

/// Since 1970. None outside the years 0 to 9999.
pub(super) fn from_millis(at: i64) -> Option<String> {
    let (year, month, day) = civil(at.div_euclid(MILLIS_PER_DAY));
    if !(0..=9999).contains(&year) {
        return None;
    }
    let of_day = at.rem_euclid(MILLIS_PER_DAY);
    let (seconds, millis) = (of_day / MILLIS_PER_SECOND, of_day % MILLIS_PER_SECOND);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut out = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if millis > 0 {
        out.push_str(&format!(".{millis:03}"));
    }
    out.push('Z');
    Some(out)
}

/// The date that a text begins with, and what follows.
fn day(text: &str) -> Option<((i64, i64, i64), &str)> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let is_there = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    is_there.then_some(((year, month, day), rest))
}

/// A time of day in milliseconds, and its offset in minutes, if it has one. Nothing may follow.
fn clock(text: &str) -> Option<(i64, Option<i64>)> {
    let text = text.strip_prefix(['T', 't', ' '])?;
    let (hour, rest) = digits(text, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => digits(rest, 2)?,
        None => (0, rest),
    };
    let (millis, rest) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    // A leap second is the first of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let of_day = ((hour * 60 + minute) * 60 + second) * MILLIS_PER_SECOND + millis;
    Some((of_day, offset(rest)?))
}

/// Milliseconds; what is finer is cut.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let end = text
        .bytes()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let millis = digits
        .bytes()
        .chain(*b"00")
        .take(3)
        .fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
    Some((millis, rest))
}

/// `Z`, `+01:00`, `+0100`, `+01`; nothing is none.
fn offset(text: &str) -> Option<Option<i64>> {
    let (sign, rest) = match text.trim_start().split_at_checked(1) {
        None => return Some(None),
        Some(("Z" | "z", "")) => return Some(Some(0)),
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        Some(_) => return None,
    };
    let (hours, rest) = digits(rest, 2)?;
    let (minutes, rest) = match rest.strip_prefix(':').unwrap_or(rest) {
        "" => (0, ""),
        rest => digits(rest, 2)?,
    };
    let is_there = rest.is_empty() && hours <= 23 && minutes <= 59;
    is_there.then_some(Some(sign * (hours * 60 + minutes)))
}

fn digits(text: &str, count: usize) -> Option<(i64, &str)> {
    let (digits, rest) = text.split_at_checked(count)?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    Some((plain.then(|| digits.parse().ok())??, rest))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar, by Hinnant's arithmetic: eras of 400 years that begin with March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// And back.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_times_are_told_in_utc() {
        for (text, expected) in [
            ("2026-11-27T10:00:00Z", "2026-11-27T10:00:00Z"),
            ("2026-11-27T10:00:00.000Z", "2026-11-27T10:00:00Z"),
            ("2026-11-27T10:00:00.1234567Z", "2026-11-27T10:00:00.123Z"),
            ("2026-11-27T10:00:00-05:00", "2026-11-27T15:00:00Z"),
            ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"),
            ("2024-02-29 23:59:60 +0000", "2024-03-01T00:00:00Z"),
            ("2026-11-27t10:00z", "2026-11-27T10:00:00Z"),
            ("1969-12-31T23:59:59.5+00", "1969-12-31T23:59:59.500Z"),
            ("0000-03-01T00:00:00Z", "0000-03-01T00:00:00Z"),
        ] {
            assert_eq!(date_time(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_time_is_refused_with_a_reason() {
        for (text, part) in [
            ("2026-11-27T10:00:00", "no offset"),
            ("2026-11-27", "without a time"),
            ("2023-02-29T10:00:00Z", "no date-time"),
            ("2026-11-27T24:00:00Z", "no date-time"),
            ("2026-11-27T10:00:00Zjunk", "no date-time"),
            ("2026-11-27T10:00:00+25:00", "no date-time"),
            ("0000-01-01T00:00:00+01:00", "no date-time"),
            ("9999-12-31T23:59:59-01:00", "no date-time"),
            ("27.11.2026", "no date-time"),
            ("", "no date-time"),
            ("２０２６-11-27T10:00:00Z", "no date-time"),
        ] {
            let reason = date_time(text).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn a_date_is_the_day_as_it_is_written() {
        assert_eq!(date("2026-11-27").as_deref(), Ok("2026-11-27"));
        assert_eq!(
            date("2026-11-27T23:30:00-05:00").as_deref(),
            Ok("2026-11-27")
        );
        assert_eq!(date("2026-11-27 10:00:00").as_deref(), Ok("2026-11-27"));
        for text in ["2026-13-01", "2026-11-31", "26-11-27", "2026-11-27x"] {
            assert!(date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_day_is_itself_again() {
        for days in (-719_528..=2_932_896).step_by(13) {
            let (year, month, day) = civil(days);
            assert!((1..=days_in(year, month)).contains(&day));
            assert_eq!(days_since_1970(year, month, day), days);
        }
        assert_eq!(from_millis(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(
            from_millis(1_700_000_000_123).as_deref(),
            Some("2023-11-14T22:13:20.123Z")
        );
        assert_eq!(from_millis(i64::MAX), None);
        assert_eq!(from_millis(i64::MIN), None);
    }
}
