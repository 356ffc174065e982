//! Hours of the week, by the wall clock.

use std::str::FromStr;

use jiff::Span as CivilSpan;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use super::schedule::{Span, instant};
use crate::clock::Timestamp;

/// A part of every week, from one time of a day to another; to the same one is the whole week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeekSpan {
    /// Its first instant.
    pub from: (Weekday, Time),
    /// The first instant that is not in it.
    pub until: (Weekday, Time),
}

/// Parts of every week. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours(Vec<WeekSpan>);

/// A text that is no part of a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("are not hours like \"mon-fri 09:00-18:00\" or \"fri 18:00 - mon 09:00\"")]
pub struct NotHours;

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

fn day(text: &str) -> Result<Weekday, NotHours> {
    DAYS.iter().find(|(name, _)| *name == text).map(|(_, day)| *day).ok_or(NotHours)
}

/// `09:00`, or `24:00` for the end of the day; whether it is that end.
fn time(text: &str) -> Result<(Time, bool), NotHours> {
    let (hour, minute) = text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2).ok_or(NotHours)?;
    let number = |text: &str| text.parse::<i8>().ok().filter(|number| *number >= 0).ok_or(NotHours);
    match (number(hour)?, number(minute)?) {
        (24, 0) => Ok((Time::midnight(), true)),
        (hour, minute) => Ok((Time::new(hour, minute, 0, 0).map_err(|_| NotHours)?, false)),
    }
}

fn end(day: Weekday, text: &str) -> Result<(Weekday, Time), NotHours> {
    let (time, next_day) = time(text)?;
    Ok((if next_day { day.next() } else { day }, time))
}

impl Hours {
    /// Those parts; none when there are none, for that would be never.
    #[must_use]
    pub fn new(parts: Vec<WeekSpan>) -> Option<Self> {
        if parts.is_empty() { None } else { Some(Self(parts)) }
    }

    /// Those that any of `texts` says.
    ///
    /// # Errors
    /// The place of the one that says nothing.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Option<Self>, (usize, NotHours)> {
        let mut parts = Vec::new();
        for (place, text) in texts.into_iter().enumerate() {
            parts.extend(parse(text).map_err(|error| (place, error))?);
        }
        Ok(Self::new(parts))
    }

    /// The parts.
    #[must_use]
    pub fn parts(&self) -> &[WeekSpan] {
        &self.0
    }

    /// The span of these hours that `at` is in, no further than a week and a day ahead; none when they do not cover it.
    #[must_use]
    pub fn covering(&self, zone: &TimeZone, at: Timestamp) -> Option<Span> {
        let within = Span::new(at, at.after(std::time::Duration::from_hours(8 * 24)))?;
        self.spans(zone, within).into_iter().next().filter(|span| span.from == at)
    }

    /// What of these hours is in `within`, in order and apart from each other.
    pub(super) fn spans(&self, zone: &TimeZone, within: Span) -> Vec<Span> {
        let mut spans: Vec<Span> = weeks(zone, within).flat_map(|monday| self.in_week(zone, monday)).collect();
        spans.sort_by_key(|span| span.from);
        let mut apart: Vec<Span> = Vec::new();
        for span in spans.into_iter().filter_map(|span| span.and(within)) {
            match apart.last_mut() {
                Some(last) if span.from <= last.until => last.until = last.until.max(span.until),
                _ => apart.push(span),
            }
        }
        apart
    }

    fn in_week(&self, zone: &TimeZone, monday: Date) -> impl Iterator<Item = Span> {
        let at = move |(day, time): (Weekday, Time), weeks: i64| {
            let days = i64::from(day.to_monday_zero_offset()) + 7 * weeks;
            monday.checked_add(CivilSpan::new().days(days)).ok().map(|date| date.to_datetime(time))
        };
        self.0.iter().filter_map(move |part| {
            let key = |(day, time): (Weekday, Time)| (day.to_monday_zero_offset(), time);
            let (from, until) = (at(part.from, 0)?, at(part.until, i64::from(key(part.until) <= key(part.from)))?);
            Span::new(instant(zone, from), instant(zone, until))
        })
    }
}

/// The Mondays of every week that may have something in `within`.
fn weeks(zone: &TimeZone, within: Span) -> impl Iterator<Item = Date> {
    let date = |at: Timestamp| {
        let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(jiff::Timestamp::MAX);
        zone.to_datetime(at).date()
    };
    let (first, last) = (date(within.from), date(within.until));
    let back = i64::from(first.weekday().to_monday_zero_offset()) + 14;
    let mut monday = first.checked_sub(CivilSpan::new().days(back)).ok();
    std::iter::from_fn(move || {
        let this = monday.filter(|monday| *monday <= last)?;
        monday = this.checked_add(CivilSpan::new().days(7)).ok();
        Some(this)
    })
}

/// `mon-fri 09:00-18:00` is five parts, `fri 18:00 - mon 09:00` one.
fn parse(text: &str) -> Result<Vec<WeekSpan>, NotHours> {
    let text = text.trim().to_ascii_lowercase();
    if let Some((from, until)) = text.split_once(" - ") {
        let part = |text: &str| {
            let (day, time) = text.trim().split_once(' ').ok_or(NotHours)?;
            Ok((self::day(day)?, time.trim().to_owned()))
        };
        let (from, until) = (part(from)?, part(until)?);
        return Ok(vec![WeekSpan { from: (from.0, time(&from.1).map(plain)??), until: end(until.0, &until.1)? }]);
    }
    let (days, times) = text.split_once(' ').ok_or(NotHours)?;
    let (from, until) = times.trim().split_once('-').ok_or(NotHours)?;
    let start = time(from).map(plain)??;
    let (first, last) = days.split_once('-').map_or((days, days), |days| days);
    let (first, last) = (day(first)?, day(last)?);
    let mut parts = Vec::new();
    let mut day = first;
    loop {
        let (mut last_day, until) = end(day, until)?;
        // "22:00-06:00" ends on the next day.
        if last_day == day && until <= start {
            last_day = day.next();
        }
        parts.push(WeekSpan { from: (day, start), until: (last_day, until) });
        if day == last {
            return Ok(parts);
        }
        day = day.next();
    }
}

/// Nothing begins at 24:00.
fn plain((time, next_day): (Time, bool)) -> Result<Time, NotHours> {
    if next_day { Err(NotHours) } else { Ok(time) }
}

impl FromStr for Hours {
    type Err = NotHours;

    fn from_str(text: &str) -> Result<Self, NotHours> {
        parse(text).map(Self)
    }
}
