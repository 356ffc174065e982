//! How long, and when.

use std::time::Duration;

use super::words::{Words, unmarked};
use crate::clock::Timestamp;

/// Longer is a mistake.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// The seconds of a unit.
pub(super) fn unit(word: &str) -> Option<u64> {
    Some(match word.to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    })
}

/// What is left of a line, as a time: `2h`, `90m`, `60` (minutes), `2h30m`, `1 hour and 30 minutes`.
pub(super) fn duration(words: Words<'_>) -> Result<Duration, String> {
    let mut seconds: u64 = 0;
    let mut number: Option<u64> = None;
    let mut said = false;
    let not = |word: &str| format!("“{}” is no time like 2h, 90m or 60", crate::text::line(word, 40));
    for word in words.rest().split(' ').filter(|word| !word.is_empty()) {
        let word = unmarked(word);
        if super::words::is_connector(word) {
            continue;
        }
        said = true;
        for part in parts(word) {
            match (part.parse::<u64>(), number) {
                (Ok(digits), None) if part.starts_with(|c: char| c.is_ascii_digit()) => number = Some(digits),
                (Err(_), Some(of)) => {
                    let each = unit(part).ok_or_else(|| not(word))?;
                    seconds = of.checked_mul(each).and_then(|more| seconds.checked_add(more)).ok_or_else(|| not(word))?;
                    number = None;
                }
                _ => return Err(not(word)),
            }
        }
    }
    if let Some(minutes) = number {
        let more = minutes.checked_mul(60).and_then(|more| seconds.checked_add(more));
        seconds = more.ok_or("That is too long")?;
    }
    match Duration::from_secs(seconds) {
        _ if !said => Err("For how long is missing".to_owned()),
        Duration::ZERO => Err("That is no time at all".to_owned()),
        time if time > LONGEST => Err("That is too long".to_owned()),
        time => Ok(time),
    }
}

/// One word that is a time by itself.
pub(super) fn simple(word: &str) -> Option<Duration> {
    duration(Words::of(word)).ok()
}

/// `2h30m` as `2`, `h`, `30`, `m`.
fn parts(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c: char| c.is_ascii_digit() != first.is_ascii_digit()).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(part)
    })
}

/// As [`duration`] reads it.
pub(super) fn shown(time: Duration) -> String {
    let mut left = time.as_secs();
    let mut shown = String::new();
    for (each, unit) in [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")] {
        if left >= each {
            shown.push_str(&format!("{}{unit}", left / each));
            left %= each;
        }
    }
    shown
}

/// An instant, with an offset: `2027-01-10T08:00Z`, `2027-01-10T09:00+01:00`.
pub(super) fn instant(word: &str) -> Result<Timestamp, String> {
    let word = word.trim_end_matches([',', ';', '.', '?', '!']);
    word.parse().map_err(|_| format!("“{}” is no time like 2027-01-10T08:00Z", crate::text::line(word, 40)))
}
