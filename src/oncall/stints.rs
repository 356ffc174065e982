//! Who has the pager from when until when, whatever puts it into their hands: what hand-overs, calendars and gaps are made of.

use std::time::Duration;

use super::schedule::{Covered, Schedule, Span, Why};
use crate::clock::Timestamp;

/// One person's time on call, or a gap, between two hand-overs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stint<P> {
    /// When, as far as it was asked for.
    pub span: Span,
    /// Who; nobody in a gap.
    pub who: Option<P>,
    /// Why, at its beginning.
    pub why: Option<Why>,
}

/// The stint that an instant is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current<P> {
    /// Who; nobody in a gap.
    pub who: Option<P>,
    /// Why, at that instant.
    pub why: Option<Why>,
    /// Since when, unless that is further away than was looked.
    pub since: Option<Timestamp>,
    /// Until when, unless that is further away than was looked.
    pub until: Option<Timestamp>,
}

/// How far is looked at first; most hand-overs are nearer.
const NEAR: Duration = Duration::from_hours(36);

impl<P: Clone + Eq> Schedule<P> {
    /// Who has the pager during `within`, one after the other. Whoever is not `here` is nobody: they left.
    #[must_use]
    pub fn stints(&self, within: Span, here: impl Fn(&P) -> bool) -> Vec<Stint<P>> {
        let mut stints: Vec<Stint<P>> = Vec::new();
        for shift in self.shifts(within) {
            let (who, why) = match shift.covered {
                Covered::By(who, why) if here(&who) => (Some(who), Some(why)),
                Covered::By(..) | Covered::Gap => (None, None),
            };
            match stints.last_mut() {
                Some(last) if last.who == who => last.span.until = shift.span.until,
                _ => stints.push(Stint { span: shift.span, who, why }),
            }
        }
        stints
    }

    /// The stint that `at` is in, with its own beginning and end where these are not further away than `reach`.
    #[must_use]
    pub fn stint_at(&self, at: Timestamp, reach: Duration, here: impl Fn(&P) -> bool + Copy) -> Current<P> {
        let (who, why) = match self.at(at) {
            Covered::By(who, why) if here(&who) => (Some(who), Some(why)),
            Covered::By(..) | Covered::Gap => (None, None),
        };
        let next = Timestamp::from_micros(at.as_micros().saturating_add(1));
        let since = further(reach, |far| {
            let from = at.before(far);
            let begins = self.stints(Span::new(from, next)?, here).last()?.span.from;
            (begins > from).then_some(begins)
        });
        let until = further(reach, |far| {
            let end = at.after(far);
            let ends = self.stints(Span::new(at, end)?, here).first()?.span.until;
            (ends < end).then_some(ends)
        });
        Current { who, why, since, until }
    }

    /// Whether nobody is on call during all of `gap` because it is outside the hours of the layers, and not because one has ended or has
    /// not begun: that is how the schedule was made.
    #[must_use]
    pub fn is_outside_hours(&self, gap: Span) -> bool {
        let lives = self.layers.iter().filter_map(|layer| layer.life(&self.zone));
        lives.into_iter().any(|life| life.and(gap) == Some(gap)) && self.gaps(gap) == [gap]
    }
}

/// What is found by looking further and further, up to `reach`.
fn further(reach: Duration, find: impl Fn(Duration) -> Option<Timestamp>) -> Option<Timestamp> {
    let mut far = NEAR.min(reach);
    loop {
        match find(far) {
            None if far < reach => far = (far * 5).min(reach),
            found => return found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(more: &str) -> Schedule<String> {
        let layer = "name = \"primary\"\npeople = [\"@yannick\", \"@ys\"]\nshift = \"1 week\"\nfirst = \"2026-11-02T09:00\"\n";
        read(&format!("zone = \"Europe/Paris\"\n[[layers]]\n{layer}{more}")).unwrap()
    }

    #[test]
    fn turns_of_one_person_are_one_stint_whatever_puts_them_there() {
        let over = "[[overrides]]\nwho = \"@yannick\"\nfrom = \"2026-11-04T09:00\"\nuntil = \"2026-11-10T09:00\"\n";
        let schedule = schedule(over);
        let within = Span::new(at("2026-11-02T08:00:00Z"), at("2026-11-16T08:00:00Z")).unwrap();
        let stints = schedule.stints(within, |_| true);
        let said: Vec<_> = stints.iter().map(|stint| (stint.who.as_deref(), stint.span.until.to_string())).collect();
        assert_eq!(
            said,
            [(Some("@yannick"), "2026-11-10T08:00:00Z".to_owned()), (Some("@ys"), "2026-11-16T08:00:00Z".to_owned())]
        );
    }

    #[test]
    fn a_stint_has_its_own_ends_unless_they_are_too_far_away() {
        let schedule = schedule("");
        let now = at("2026-11-11T12:00:00Z");
        let found = schedule.stint_at(now, 30 * DAY, |_| true);
        assert_eq!((found.who.as_deref(), found.why), (Some("@ys"), Some(Why::Layer(0))));
        assert_eq!((found.since, found.until), (Some(at("2026-11-09T08:00:00Z")), Some(at("2026-11-16T08:00:00Z"))));
        let near = schedule.stint_at(now, DAY, |_| true);
        assert_eq!((near.who, near.since, near.until), (Some("@ys".into()), None, None));
    }

    #[test]
    fn whoever_left_leaves_a_gap() {
        let schedule = schedule("");
        let found = schedule.stint_at(at("2026-11-11T12:00:00Z"), 30 * DAY, |who| who != "@ys");
        assert_eq!((found.who, found.why), (None, None));
        assert_eq!((found.since, found.until), (Some(at("2026-11-09T08:00:00Z")), Some(at("2026-11-16T08:00:00Z"))));
    }

    #[test]
    fn hours_leave_time_out_and_the_end_of_a_layer_does_not() {
        let span = |from: &str, until: &str| Span::new(at(from), at(until)).unwrap();
        let days = schedule("hours = [\"mon-fri 09:00-18:00\"]\nuntil = \"2026-11-30T09:00\"\n");
        assert!(days.is_outside_hours(span("2026-11-11T18:00:00Z", "2026-11-12T07:00:00Z")));
        assert!(!days.is_outside_hours(span("2026-11-11T12:00:00Z", "2026-11-12T07:00:00Z")), "somebody is on call");
        assert!(!days.is_outside_hours(span("2026-11-30T09:00:00Z", "2026-11-30T10:00:00Z")), "it has ended");
        assert!(!days.is_outside_hours(span("2026-11-01T18:00:00Z", "2026-11-02T07:00:00Z")), "it has not begun");
    }
}
