//! Shifts as a calendar in the terminal, built by pure functions.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::super::reply::Person;
use super::{days, wall};
use crate::clock::Timestamp;
use crate::oncall::Span;
use crate::text::line;

/// What a shift is called where nobody is on call.
const NOBODY: &str = "nobody";

/// Columns: a day, a time from and until, and at most so many of a handle; what is left of 80 says why.
const WHO: usize = 22;
const WHY: usize = 80 - "Mon 23 Nov  00:00-24:00  ".len() - 2;

/// A shift, as `/v1/schedules/{name}/shifts` shows it; a gap without `who`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Shift {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) who: Option<Person>,
    layer: Option<String>,
    made_by: Option<String>,
    instead_of: Option<Person>,
}

/// A line of the calendar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// Whether it is one of a gap.
    pub(super) gap: bool,
}

impl Shift {
    fn who(&self) -> String {
        self.who.as_ref().map_or_else(|| NOBODY.into(), |who| format!("@{}", line(&who.handle, WHO - 1)))
    }

    fn why(&self) -> String {
        match (&self.who, &self.layer, &self.made_by, &self.instead_of) {
            (None, ..) => "!! gap".into(),
            (_, Some(layer), ..) => layer.clone(),
            (_, _, Some(by), None) => format!("override by {by}"),
            (_, _, Some(by), Some(of)) => format!("override by {by}, instead of @{}", of.handle),
            (_, None, None, _) => String::new(),
        }
    }
}

/// `23:30`, or `24:00` for the end of the day.
fn clock(zone: &TimeZone, day: Span, at: Timestamp) -> String {
    if at == day.until { "24:00".into() } else { wall(zone, at).strftime("%H:%M").to_string() }
}

/// The shifts of so many days, day by day, within 80 columns.
pub(super) fn by_day(shifts: &[Shift], zone: &TimeZone, first: Date, count: u16) -> Vec<Line> {
    let width = shifts.iter().map(|shift| shift.who().chars().count()).max().unwrap_or(0).min(WHO);
    let mut lines = Vec::new();
    for number in 0..count {
        let date = first.checked_add(jiff::Span::new().days(number)).unwrap_or(Date::MAX);
        let Some(day) = days(zone, date, 1) else { continue };
        let mut name = date.strftime("%a %d %b").to_string();
        for shift in shifts {
            let Some(part) = Span::new(shift.from, shift.until).and_then(|span| span.and(day)) else { continue };
            let (from, until) = (clock(zone, day, part.from), clock(zone, day, part.until));
            let why = line(&shift.why(), WHY - width);
            let text = format!("{name:<10}  {from}-{until}  {:<width$}  {why}", shift.who());
            lines.push(Line { text: text.trim_end().to_owned(), gap: shift.who.is_none() });
            name.clear();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shift(from: &str, until: &str, more: &serde_json::Value) -> Shift {
        let mut body = json!({"from": from, "until": until});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(body).unwrap()
    }

    fn person(handle: &str) -> serde_json::Value {
        json!({"id": "usr_1", "handle": handle, "name": handle})
    }

    #[test]
    fn a_day_says_who_has_the_pager_and_when_nobody_has() {
        let zone = TimeZone::get("Europe/Paris").unwrap();
        let by = json!({"who": person("bea"), "override": "ovr_1", "made_by": "Ann Example", "instead_of": person("ys")});
        let shifts = [
            shift("2027-03-27T08:00:00Z", "2027-03-28T07:00:00Z", &json!({"who": person("ann"), "layer": "primary"})),
            shift("2027-03-28T07:00:00Z", "2027-03-28T10:00:00Z", &by),
            shift("2027-03-28T10:00:00Z", "2027-03-29T07:00:00Z", &json!({})),
        ];
        let lines = by_day(&shifts, &zone, "2027-03-27".parse().unwrap(), 3);
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Sat 27 Mar  09:00-24:00  @ann    primary",
                "Sun 28 Mar  00:00-09:00  @ann    primary",
                "            09:00-12:00  @bea    override by Ann Example, instead of @ys",
                "            12:00-24:00  nobody  !! gap",
                "Mon 29 Mar  00:00-09:00  nobody  !! gap",
            ]
        );
        assert_eq!(lines.iter().map(|line| line.gap).collect::<Vec<_>>(), [false, false, false, true, true]);
    }

    #[test]
    fn a_line_fits_a_terminal_whatever_people_are_called() {
        let zone = TimeZone::UTC;
        let long = person(&"x".repeat(32));
        let by = json!({"who": long, "override": "ovr_1", "made_by": "y".repeat(80), "instead_of": long});
        let shifts = [
            shift("2027-03-27T00:00:00Z", "2027-03-28T00:00:00Z", &by),
            shift("2027-03-28T00:00:00Z", "2027-03-29T00:00:00Z", &json!({"who": long, "layer": "\u{202e}".repeat(80)})),
        ];
        for line in by_day(&shifts, &zone, "2027-03-27".parse().unwrap(), 2) {
            assert!(line.text.chars().count() <= 80, "{} {}", line.text.chars().count(), line.text);
        }
    }
}
