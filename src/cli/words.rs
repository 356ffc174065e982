//! How the command line puts times and names, built by pure functions.

use std::time::Duration;

use super::reply::Person;
use crate::clock::Timestamp;
use crate::text::line;

/// `45 seconds`, `1 minute`, `3 hours`, `2 days`: the largest whole unit.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// `3 minutes ago`, `just now`.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> String {
    let passed = then.until(now);
    if passed < Duration::from_secs(1) { "just now".into() } else { format!("{} ago", span(passed)) }
}

/// `4:59`, `1:00:00`: what is left, for a line that counts down.
pub(super) fn countdown(left: Duration) -> String {
    // Rounded up, so that it starts with the whole and reaches zero only at the end.
    let seconds = left.as_millis().div_ceil(1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `Yannick Schutz`, `Yannick Schutz and Zoë Lang`, `Yannick Schutz, Zoë Lang and Ada Byron`.
pub(super) fn names(people: &[Person]) -> String {
    let names: Vec<_> = people.iter().map(|person| line(&person.name, 80)).collect();
    match names.split_last() {
        None => "nobody".into(),
        Some((only, [])) => only.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// Rows under each other, two spaces between the columns. The last column is as long as it is.
pub(super) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let padded = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(padded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_largest_whole_unit() {
        let said = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(
            [0, 1, 59, 60, 119, 600].map(said).join(", "),
            "0 seconds, 1 second, 59 seconds, 1 minute, 1 minute, 10 minutes"
        );
        assert_eq!([3_599, 3_600, 86_399, 86_400, 200_000].map(said).join(", "), "59 minutes, 1 hour, 23 hours, 1 day, 2 days");
        let now = Timestamp::from_seconds(1_000);
        assert_eq!(ago(Timestamp::from_seconds(820), now), "3 minutes ago");
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now.after(Duration::from_secs(5)), now), "just now");
    }

    #[test]
    fn a_countdown_starts_with_the_whole_and_ends_with_zero() {
        let said = |millis| countdown(Duration::from_millis(millis));
        assert_eq!([300_000, 299_999, 61_000, 1, 0, 3_600_000].map(said).join(" "), "5:00 5:00 1:01 0:01 0:00 1:00:00");
    }

    #[test]
    fn names_are_listed_as_people_do_and_hide_nothing() {
        let person = |name: &str| Person { id: "usr_1".into(), handle: "zoe".into(), name: name.into() };
        let people = ["Yannick Schutz", "Zoë Lang", "Ada\u{202e} Byron"].map(person);
        assert_eq!(names(&people), "Yannick Schutz, Zoë Lang and Ada\\u{202e} Byron");
        assert_eq!(names(&people[..2]), "Yannick Schutz and Zoë Lang");
        assert_eq!(names(&people[..1]), "Yannick Schutz");
        assert_eq!(names(&[]), "nobody");
    }

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [vec!["@ys".into(), "Zoë".into(), "admin".into()], vec!["@yannick".into(), "Y".into(), String::new()]];
        assert_eq!(table(&rows), ["@ys       Zoë  admin", "@yannick  Y"]);
    }
}
