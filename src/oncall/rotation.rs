//! People who take turns.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span as CivilSpan};

use super::schedule::instant;
use crate::clock::Timestamp;

/// How long one turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Hours of elapsed time.
    Hours(u16),
    /// Days by the wall clock.
    Days(u16),
    /// Weeks by the wall clock.
    Weeks(u16),
}

/// Longer turns are nobody's.
const MAX_HOURS: u16 = 24 * 7;
const MAX_DAYS: u16 = 366;
const MAX_WEEKS: u16 = 52;

/// A text that is no length of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a length like \"1 week\", \"2 days\" or \"12 hours\": at most {MAX_WEEKS} weeks, {MAX_DAYS} days or {MAX_HOURS} hours"
)]
pub struct NotALength;

impl FromStr for Length {
    type Err = NotALength;

    fn from_str(text: &str) -> Result<Self, NotALength> {
        let (number, unit) = text.trim().split_once(' ').ok_or(NotALength)?;
        let number: u16 = number.parse().map_err(|_| NotALength)?;
        let (length, most) = match unit.trim() {
            "hour" | "hours" => (Self::Hours(number), MAX_HOURS),
            "day" | "days" => (Self::Days(number), MAX_DAYS),
            "week" | "weeks" => (Self::Weeks(number), MAX_WEEKS),
            _ => return Err(NotALength),
        };
        if (1..=most).contains(&number) { Ok(length) } else { Err(NotALength) }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self {
            Self::Hours(number) => (number, "hour"),
            Self::Days(number) => (number, "day"),
            Self::Weeks(number) => (number, "week"),
        };
        write!(f, "{number} {unit}{}", if *number == 1 { "" } else { "s" })
    }
}

/// People who take turns of one length, the first from `first` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation<P> {
    /// Who, in order. Never empty.
    pub people: Vec<P>,
    /// How long a turn is.
    pub length: Length,
    /// When the first turn begins, by the wall clock: also the time of day, and for weeks the day, of every hand-over.
    pub first: DateTime,
}

impl<P> Rotation<P> {
    /// When turn `number` begins, from 0. Turns may be of no length where a day is skipped.
    pub(super) fn begins(&self, zone: &TimeZone, number: i64) -> Timestamp {
        let days = match self.length {
            Length::Hours(hours) => {
                let elapsed = SignedDuration::from_hours(i64::from(hours).saturating_mul(number));
                let micros = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
                return Timestamp::from_micros(instant(zone, self.first).as_micros().saturating_add(micros));
            }
            Length::Days(days) => i64::from(days),
            Length::Weeks(weeks) => 7 * i64::from(weeks),
        };
        // Beyond the year 9999 there is only one turn left.
        let begins = CivilSpan::new().try_days(days.saturating_mul(number)).and_then(|span| self.first.checked_add(span));
        begins.map_or(Timestamp::from_micros(i64::MAX), |begins| instant(zone, begins))
    }

    /// The number of the turn that `at` is in; none before the first.
    pub(super) fn number_at(&self, zone: &TimeZone, at: Timestamp) -> Option<i64> {
        if at < self.begins(zone, 0) {
            return None;
        }
        let elapsed = at.as_micros() - self.begins(zone, 0).as_micros();
        let hours = match self.length {
            Length::Hours(hours) => i64::from(hours),
            Length::Days(days) => 24 * i64::from(days),
            Length::Weeks(weeks) => 7 * 24 * i64::from(weeks),
        };
        // Clocks that changed put it at most a few turns beside.
        let mut number = elapsed / (hours * 3_600_000_000);
        while number > 0 && self.begins(zone, number) > at {
            number -= 1;
        }
        while self.begins(zone, number + 1) <= at {
            number += 1;
        }
        Some(number)
    }

    /// Whose turn `number` is.
    pub(super) fn turn(&self, number: i64) -> &P {
        let place = number.rem_euclid(i64::try_from(self.people.len()).expect("a handful"));
        &self.people[usize::try_from(place).expect("not negative")]
    }
}
