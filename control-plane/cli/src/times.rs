//! Times and lengths of time as people type them.

use hookplane_rules::Timestamp;
use hookplane_rules::time::to_wire;

use crate::failure::Failure;

/// `90d` in seconds.
pub(crate) fn length(text: &str) -> Result<u32, Failure> {
    let wrong = || {
        Failure::Usage(format!(
            "`{text}` is no length of time: write a number and s, m, h, d or w, as in 90d"
        ))
    };
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        Some('w') => 7 * 86_400,
        _ => return Err(wrong()),
    };
    // The unit is one byte.
    let number = &text[..text.len() - 1];
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u32 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(unit) {
        // 0 would be for ever.
        None | Some(0) => Err(wrong()),
        Some(seconds) => Ok(seconds),
    }
}

/// A time in RFC 3339.
pub(crate) fn rfc3339(text: &str) -> Result<Timestamp, String> {
    let time: prost_types::Timestamp = text
        .parse()
        .map_err(|_| format!("`{text}` is no time in RFC 3339, as in 2026-11-27T12:00:00Z"))?;
    Ok(hookplane_rules::time::from_wire(&time))
}

/// `2h`, which is so long ago, or a time in RFC 3339.
pub(crate) fn point(text: &str, now: Timestamp) -> Result<prost_types::Timestamp, Failure> {
    if let Ok(seconds) = length(text) {
        let ago = i64::from(seconds).saturating_mul(1_000);
        return Ok(to_wire(Timestamp(now.0.saturating_sub(ago))));
    }
    let time = rfc3339(text).map_err(|_| {
        Failure::Usage(format!(
            "`{text}` is no time: write how long ago, as in 90m, 2h or 3d, or RFC 3339, as in 2026-11-27T12:00:00Z"
        ))
    })?;
    Ok(to_wire(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_number_and_a_unit() -> Result<(), Failure> {
        assert_eq!(length("90d")?, 90 * 86_400);
        assert_eq!(length("1s")?, 1);
        assert_eq!(length("2w")?, 14 * 86_400);
        for wrong in [
            "",
            "d",
            "90",
            "0d",
            "-1d",
            "+1d",
            "1.5h",
            "90 d",
            "99999999w",
            "9é",
            "1y",
        ] {
            assert!(matches!(length(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn a_time_is_so_long_ago_or_in_rfc_3339() -> Result<(), Failure> {
        let now = Timestamp(1_700_000_000_000);
        assert_eq!(point("2h", now)?.seconds, 1_700_000_000 - 7_200);
        assert_eq!(point("1970-01-01T00:01:00Z", now)?.seconds, 60);
        for wrong in ["yesterday", "2h30m", "5"] {
            assert!(
                matches!(point(wrong, now), Err(Failure::Usage(_))),
                "{wrong}"
            );
        }
        Ok(())
    }
}
