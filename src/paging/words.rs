//! What people read on their phones about incidents, built by pure functions.

use super::{Event, Incident, State};
use crate::delivery::Words;
use crate::text::line;

/// What is said of a ring besides what is wrong. Names are as people gave them.
#[derive(Debug, Default)]
pub(super) struct Ringing {
    /// Who reported it.
    pub(super) opened_by: String,
    /// Why it rings now, when not because it is its turn.
    pub(super) why: Option<Why>,
}

/// Why an incident rings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody handed it on, and perhaps said something.
    Handed(String, Option<String>),
    /// Somebody asks them to look as well.
    Asked(String),
    /// It was not over.
    Reopened,
    /// It was put off until now.
    Woken,
    /// It is with everybody now.
    LastResort,
}

impl Why {
    fn sentence(&self) -> String {
        match self {
            Self::Handed(name, None) => format!("{} hands it to you. ", line(name, 80)),
            Self::Handed(name, Some(message)) => format!("{} hands it to you: {}. ", line(name, 80), line(message, 300)),
            Self::Asked(name) => format!("{} asks you to look as well. ", line(name, 80)),
            Self::Reopened => "Re-opened. ".to_owned(),
            Self::Woken => "Back from snooze. ".to_owned(),
            Self::LastResort => "Nobody answered. ".to_owned(),
        }
    }
}

/// A ring.
pub(super) fn ringing(incident: &Incident, ring: u32, said: &Ringing) -> Words {
    let why = said.why.as_ref().map(Why::sentence).unwrap_or_default();
    let again = if ring > 1 { format!(", ring {ring}") } else { String::new() };
    let reports = if incident.reports > 1 { format!(", {} reports", incident.reports) } else { String::new() };
    let body = format!("{why}Page {} from {}{again}{reports}", incident.reference, line(&said.opened_by, 80));
    Words { title: line(&incident.title, 200), body }
}

/// A ring with its details, where there are any.
pub(super) fn in_full(incident: &Incident, words: &Words) -> Option<Words> {
    let details = incident.details.as_deref()?;
    Some(Words { title: words.title.clone(), body: format!("{}: {}", words.body, line(details, 1000)) })
}

/// What was done, in a word.
fn did(state: State) -> &'static str {
    match state {
        State::Triggered { .. } => "Re-opened",
        State::Acknowledged { snoozed: true, .. } => "Snoozed",
        State::Acknowledged { .. } => "Acknowledged",
        State::Resolved { merged_into: Some(_), .. } => "Merged",
        State::Resolved { .. } => "Resolved",
    }
}

/// A bot acted in somebody's name. `deed` is what it did, and what a tap does about it is what can be undone.
pub(super) fn acted_as_you(incident: &Incident, deed: &str, bot: &str) -> Words {
    let undo = match incident.state {
        State::Triggered { .. } => "say so",
        State::Acknowledged { .. } | State::Resolved { .. } => "re-open it",
    };
    let title = format!("{deed} as you via {}", line(bot, 80));
    Words { title, body: format!("{}. Not you? Tap to {undo}.", incident.reference) }
}

/// What an event is called where a bot did it in somebody's name.
pub(super) fn deed(event: &Event) -> &'static str {
    match event {
        Event::Acknowledged(_) => "Acknowledged",
        Event::Resolved(_) => "Resolved",
        Event::Snoozed { .. } => "Snoozed",
        Event::Merged { .. } => "Merged",
        Event::Escalated { .. } => "Escalated",
        Event::Reassigned(..) => "Handed on",
        Event::ResponderAdded(..) => "Asked others",
        Event::Woken(_) => "Woken",
        Event::UrgencyChanged(..) => "Urgency changed",
        Event::Reopened(_) => "Re-opened",
        Event::Disowned { .. }
        | Event::Retriggered { .. }
        | Event::TimerRang
        | Event::NobodyReachable
        | Event::AllQuiet { .. } => "Changed",
    }
}

/// Nothing left to do on this phone.
pub(super) fn answered(incident: &Incident, by: &str) -> Words {
    let title = format!("{} by {by}", did(incident.state));
    Words { title, body: format!("{} {}", incident.reference, line(&incident.title, 200)) }
}

/// Urgent incidents of a team, told together.
pub(super) fn storm(count: u32, team: &str, newest: &[String]) -> Words {
    Words { title: format!("{count} incidents on {team}"), body: listed(count, newest) }
}

/// What can wait, told together.
pub(super) fn low(count: u32, newest: &[String]) -> Words {
    Words { title: format!("{count} low-urgency incidents"), body: listed(count, newest) }
}

/// The newest by their titles, and how many more there are.
fn listed(count: u32, newest: &[String]) -> String {
    let named: Vec<_> = newest.iter().map(|title| line(title, 60)).collect();
    let named = named.join("; ");
    match count.saturating_sub(u32::try_from(newest.len()).unwrap_or(u32::MAX)) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_it_rings_is_said_first_and_nothing_of_it_is_obeyed() {
        let said = |why: Why| why.sentence();
        assert_eq!(said(Why::Handed("Ann".into(), None)), "Ann hands it to you. ");
        let message = Some("I need\nsome\u{202e} help".to_owned());
        assert_eq!(said(Why::Handed("Ann".into(), message)), "Ann hands it to you: I need some\\u{202e} help. ");
        assert_eq!(said(Why::Asked("Ann".into())), "Ann asks you to look as well. ");
        assert_eq!(
            [Why::Reopened, Why::Woken, Why::LastResort].map(said).concat(),
            "Re-opened. Back from snooze. Nobody answered. "
        );
    }
}
