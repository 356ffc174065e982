//! What people read on their phones about schedules, built by pure functions.

use jiff::tz::TimeZone;

use crate::clock::Timestamp;
use crate::delivery::Words;
use crate::oncall::Span;

/// Times nearer than this are told by the day of the week alone.
const WEEK: i64 = 6 * 24 * 3600;

/// A schedule as its pushes name it.
pub(super) struct Told<'a> {
    pub(super) name: &'a str,
    pub(super) zone: &'a TimeZone,
    pub(super) now: Timestamp,
}

impl Told<'_> {
    /// `Mon 09:00`, or `Mon 7 Dec 09:00` when that could be another week.
    fn time(&self, at: Timestamp) -> String {
        let wall = self.zone.to_datetime(jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(jiff::Timestamp::MAX));
        let near = at.as_seconds() - self.now.as_seconds() < WEEK;
        wall.strftime(if near { "%a %H:%M" } else { "%a %-d %b %H:%M" }).to_string()
    }

    fn zone(&self) -> String {
        self.zone.iana_name().map(|name| format!(" ({name})")).unwrap_or_default()
    }

    /// Somebody comes on.
    pub(super) fn comes_on(&self, until: Option<Timestamp>, given_by: Option<&str>) -> Words {
        let until = until.map_or_else(|| "Until further notice".into(), |at| format!("Until {}{}", self.time(at), self.zone()));
        let given = given_by.map(|by| format!(", given by {by}")).unwrap_or_default();
        Words { title: format!("You are on call for {}", self.name), body: format!("{until}{given}") }
    }

    /// Somebody goes off, and who has it now.
    pub(super) fn goes_off(&self, next: Option<&str>) -> Words {
        let body = next.map_or_else(|| "Nobody has it".into(), |next| format!("{next} has it"));
        Words { title: format!("Your shift on {} is over", self.name), body }
    }

    /// The schedule is no more.
    pub(super) fn removed(&self) -> Words {
        Words { title: format!("Your shift on {} is over", self.name), body: "The schedule was removed".into() }
    }

    fn span(&self, span: Span) -> String {
        format!("{} until {}{}", self.time(span.from), self.time(span.until), self.zone())
    }

    /// Somebody will have the pager for a while.
    pub(super) fn given(&self, span: Span, by: &str) -> Words {
        Words { title: format!("You take the pager of {}", self.name), body: format!("{}, given by {by}", self.span(span)) }
    }

    /// Somebody will not have the pager after all.
    pub(super) fn taken_back(&self, span: Span, by: &str) -> Words {
        Words {
            title: format!("You do not take the pager of {}", self.name),
            body: format!("{}, taken back by {by}", self.span(span)),
        }
    }

    /// Nobody will have it.
    pub(super) fn gap(&self, from: Timestamp, until: Option<Timestamp>, by_hours: bool) -> Words {
        let from = if from <= self.now { "Now".into() } else { format!("From {}", self.time(from)) };
        let until = until.map(|at| format!(" until {}", self.time(at))).unwrap_or_default();
        let weekly = if by_hours { ", as every week: its hours leave that out" } else { "" };
        Words { title: format!("Nobody is on call for {}", self.name), body: format!("{from}{until}{}{weekly}", self.zone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_by_the_clock_of_the_schedule_and_name_the_day_when_it_is_far() {
        let zone = TimeZone::get("Europe/Paris").unwrap();
        let told = Told { name: "nights", zone: &zone, now: "2026-11-22T20:00:00Z".parse().unwrap() };
        let on = |at: &str| told.comes_on(Some(at.parse().unwrap()), None).body;
        assert_eq!(on("2026-11-23T08:00:00Z"), "Until Mon 09:00 (Europe/Paris)");
        assert_eq!(on("2026-12-07T08:00:00Z"), "Until Mon 7 Dec 09:00 (Europe/Paris)");
        assert_eq!(told.comes_on(None, Some("Ann")).body, "Until further notice, given by Ann");
        assert_eq!(told.goes_off(Some("ys")).body, "ys has it");
        assert_eq!(told.gap("2026-11-22T19:00:00Z".parse().unwrap(), None, false).body, "Now (Europe/Paris)");
    }
}
