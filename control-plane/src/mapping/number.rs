//! Numbers by their digits. None of them is ever a binary fraction.

/// The longest number: what the largest and the smallest double need, written out.
const MAX_DIGITS: usize = 400;

/// Written out without an exponent, with the digits it has: `1.250e1` is `12.50`. None for what is no number, or is longer than any double.
pub(super) fn exact(text: &str) -> Option<String> {
    scaled(text, 0)
}

/// The same times a power of ten.
pub(super) fn scaled(text: &str, power: i64) -> Option<String> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((mantissa, exponent)) => {
            let digits = exponent.trim_start_matches(['-', '+']);
            if exponent.len() > digits.len() + 1 || !is_digits(digits) {
                return None;
            }
            (
                mantissa,
                exponent
                    .strip_prefix('+')
                    .unwrap_or(exponent)
                    .parse::<i64>()
                    .ok()?,
            )
        }
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        None => (mantissa, ""),
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
    };
    if !is_digits(whole) || !(fraction.is_empty() || is_digits(fraction)) {
        return None;
    }
    let digits = [whole, fraction].concat();
    let zero = digits.bytes().all(|b| b == b'0');
    // Zero is zero, whatever it is multiplied with; only its places behind the point are kept.
    let shift = exponent.checked_add(power)?;
    let point = i64::try_from(whole.len()).ok()?.checked_add(shift)?;
    let point = if zero {
        point.clamp(1 - MAX_PLACES, 1)
    } else {
        point
    };
    let length = i64::try_from(digits.len()).ok()?;
    if digits.len() > MAX_DIGITS || point.unsigned_abs() > MAX_DIGITS as u64 {
        return None;
    }
    let mut out = String::with_capacity(digits.len() + 2);
    if negative && !zero {
        out.push('-');
    }
    if point <= 0 {
        out.push_str("0.");
        (point..0).for_each(|_| out.push('0'));
        out.push_str(&digits);
    } else if point >= length {
        out.push_str(whole_part(&digits));
        if !zero {
            (length..point).for_each(|_| out.push('0'));
        }
    } else {
        let (whole, fraction) = digits.split_at(usize::try_from(point).ok()?);
        out.push_str(whole_part(whole));
        out.push('.');
        out.push_str(fraction);
    }
    Some(out)
}

/// Places of a zero.
const MAX_PLACES: i64 = 20;

/// Without leading zeros, but for one.
fn whole_part(digits: &str) -> &str {
    let from = digits.len() - digits.trim_start_matches('0').len();
    &digits[from.min(digits.len() - 1)..]
}

/// Without a point. None where there are more than zeros behind it.
pub(super) fn whole(exact: &str) -> Option<&str> {
    match exact.split_once('.') {
        None => Some(exact),
        Some((whole, fraction)) => fraction.bytes().all(|b| b == b'0').then_some(match whole {
            "-0" => "0",
            whole => whole,
        }),
    }
}

/// Rounded down. None beyond 64 bits.
pub(super) fn floor(exact: &str) -> Option<i64> {
    let (whole, fraction) = exact.split_once('.').unwrap_or((exact, ""));
    let number: i64 = whole.parse().ok()?;
    let below = exact.starts_with('-') && fraction.bytes().any(|b| b != b'0');
    number.checked_sub(i64::from(below))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_kept_and_exponents_written_out() {
        for (text, expected) in [
            ("12.50", "12.50"),
            ("-12.50", "-12.50"),
            ("1.250e1", "12.50"),
            ("1.25E+3", "1250"),
            ("1.5e-3", "0.0015"),
            (
                "12345678901234567890.123456789012345678901",
                "12345678901234567890.123456789012345678901",
            ),
            ("0.10000000000000000001", "0.10000000000000000001"),
            ("007.50", "7.50"),
            ("+3", "3"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("0e999999999", "0"),
            (" 5 ", "5"),
            ("100e-2", "1.00"),
        ] {
            assert_eq!(exact(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(exact("1e308").unwrap().len(), 309);
        assert!(exact("5e-324").unwrap().ends_with('5'));
    }

    #[test]
    fn what_is_no_number_or_too_long_is_none() {
        for text in [
            "",
            "-",
            "1.",
            ".5",
            "1,5",
            "1e",
            "1e+",
            "1e--3",
            "0x1",
            "NaN",
            "Infinity",
            "1e999999999",
            "1e99999999999999999999",
            "1e-9999",
            "١",
            "1 2",
            "--1",
            "+-1",
        ] {
            assert_eq!(exact(text), None, "{text}");
        }
        assert_eq!(exact(&"9".repeat(401)), None);
    }

    #[test]
    fn hundredths_are_exact() {
        for (cents, expected) in [
            ("1250", "12.50"),
            ("5", "0.05"),
            ("0", "0.00"),
            ("-7", "-0.07"),
            ("12.5", "0.125"),
            ("1e2", "1"),
        ] {
            assert_eq!(scaled(cents, -2).as_deref(), Some(expected), "{cents}");
        }
    }

    #[test]
    fn whole_numbers_have_only_zeros_behind_the_point() {
        assert_eq!(whole("12.00"), Some("12"));
        assert_eq!(whole("12.50"), None);
        assert_eq!(whole("-12"), Some("-12"));
        assert_eq!(floor("-1.5"), Some(-2));
        assert_eq!(floor("-1.0"), Some(-1));
        assert_eq!(floor("1.9"), Some(1));
        assert_eq!(floor("-0.5"), Some(-1));
        assert_eq!(floor("99999999999999999999"), None);
    }
}
