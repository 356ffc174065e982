//! iCalendar (RFC 5545), written by a pure function.
//!
//! **Invariants**
//! - Lines end in CRLF and have at most 75 octets; a character is never cut in two (section 3.1).
//! - No text of a person begins a line or ends one: what would is escaped (section 3.3.11).

use std::fmt::Write as _;

use crate::clock::Timestamp;
use crate::oncall::Span;

/// A time in a calendar.
pub(super) struct Event {
    /// Its name for ever, however often the calendar is fetched.
    pub(super) uid: String,
    /// When.
    pub(super) span: Span,
    /// What a calendar shows.
    pub(super) summary: String,
    /// More of it.
    pub(super) description: String,
    /// When it was changed last.
    pub(super) changed_at: Timestamp,
}

/// Octets of a line, its end apart.
const LINE: usize = 75;

/// The calendar of that name.
pub(super) fn calendar(name: &str, events: &[Event]) -> String {
    let mut out = String::new();
    let head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//PhoneOps//On call//EN", "CALSCALE:GREGORIAN"];
    for text in head {
        line(&mut out, text);
    }
    line(&mut out, &format!("X-WR-CALNAME:{}", text(name)));
    // RFC 7986 section 5.7.
    line(&mut out, "REFRESH-INTERVAL;VALUE=DURATION:PT1H");
    for event in events {
        line(&mut out, "BEGIN:VEVENT");
        line(&mut out, &format!("UID:{}", text(&event.uid)));
        line(&mut out, &format!("DTSTAMP:{}", instant(event.changed_at)));
        line(&mut out, &format!("DTSTART:{}", instant(event.span.from)));
        line(&mut out, &format!("DTEND:{}", instant(event.span.until)));
        line(&mut out, &format!("SUMMARY:{}", text(&event.summary)));
        line(&mut out, &format!("DESCRIPTION:{}", text(&event.description)));
        // Being on call keeps nobody from meetings.
        line(&mut out, "TRANSP:TRANSPARENT");
        line(&mut out, "END:VEVENT");
    }
    line(&mut out, "END:VCALENDAR");
    out
}

/// `20261123T080000Z`
fn instant(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A value of the type TEXT.
fn text(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' | ';' | ',' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// Adds a content line, folded.
fn line(out: &mut String, text: &str) {
    let mut room = LINE;
    for c in text.chars() {
        if c.len_utf8() > room {
            out.push_str("\r\n ");
            room = LINE - 1;
        }
        room -= c.len_utf8();
        // Writing to a text cannot fail.
        let _ = out.write_char(c);
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(summary: &str) -> Event {
        let at = |text: &str| text.parse().unwrap();
        let span = Span::new(at("2026-11-23T08:00:00Z"), at("2026-11-30T08:00:00Z")).unwrap();
        let (uid, summary) = ("1@phoneops.example".into(), summary.to_owned());
        Event { uid, span, summary, description: "primary".into(), changed_at: at("2026-11-20T12:00:00Z") }
    }

    /// RFC 5545 section 3.1: what was folded is joined again.
    fn unfolded(calendar: &str) -> Vec<String> {
        calendar.replace("\r\n ", "").split_terminator("\r\n").map(str::to_owned).collect()
    }

    #[test]
    fn an_event_has_what_calendars_need() {
        let written = unfolded(&calendar("api-nights", &[event("On call: api-nights")]));
        assert_eq!(
            written[6..],
            [
                "BEGIN:VEVENT",
                "UID:1@phoneops.example",
                "DTSTAMP:20261120T120000Z",
                "DTSTART:20261123T080000Z",
                "DTEND:20261130T080000Z",
                "SUMMARY:On call: api-nights",
                "DESCRIPTION:primary",
                "TRANSP:TRANSPARENT",
                "END:VEVENT",
                "END:VCALENDAR",
            ]
        );
    }

    #[test]
    fn lines_have_at_most_75_octets_and_no_character_is_cut() {
        for summary in ["x".repeat(400), "é".repeat(200), "🚨".repeat(100), format!("{}🚨", "x".repeat(66))] {
            let written = calendar("n", &[event(&summary)]);
            for line in written.split_terminator("\r\n") {
                assert!(line.len() <= LINE && !line.contains(['\r', '\n']), "{line}");
            }
            assert!(unfolded(&written).contains(&format!("SUMMARY:{summary}")), "{written}");
        }
        let exact = calendar("n", &[event(&"x".repeat(LINE - "SUMMARY:".len()))]);
        assert!(!exact.contains("\r\n "), "a line of exactly 75 octets is not folded");
    }

    #[test]
    fn no_text_becomes_another_line() {
        let written = calendar("a,b", &[event("a;b,c\\d\r\nEND:VEVENT\u{7}")]);
        assert!(unfolded(&written).contains(&"SUMMARY:a\\;b\\,c\\\\d\\nEND:VEVENT".to_owned()), "{written}");
        assert!(written.contains("X-WR-CALNAME:a\\,b\r\n"));
        assert_eq!(written.matches("\r\nEND:VEVENT\r\n").count(), 1);
    }
}
