//! Lengths of time as people type them: `90s`, `30m`, `1h`, `7d`.

/// Seconds of `90s`, `30m`, `1h` or `7d`; a number alone is seconds. At most `longest` days.
pub(super) fn seconds(text: &str, longest: u32) -> Result<u32, String> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, "s"),
    };
    let seconds = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 1,
    };
    let all = digits.bytes().all(|digit| digit.is_ascii_digit());
    let time = digits.parse::<u32>().ok().filter(|_| all).and_then(|count| count.checked_mul(seconds));
    let fits = time.filter(|seconds| *seconds <= longest * 86_400);
    fits.ok_or_else(|| format!("expected a time like 90s, 30m, 1h or 7d, at most {longest}d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_a_limit() {
        for (text, expected) in [("0", 0), ("90", 90), ("90s", 90), ("30m", 1_800), ("1h", 3_600), ("7d", 604_800)] {
            assert_eq!(seconds(text, 7), Ok(expected), "{text}");
        }
        for text in ["", "h", "8d", "604801", "1w", "-1h", "+1h", "1.5h", "1 h", "99999999d"] {
            assert!(seconds(text, 7).is_err(), "{text}");
        }
        assert_eq!(seconds("8d", 31), Ok(691_200));
    }
}
