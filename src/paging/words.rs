//! What people read on their phones about incidents, built by pure functions.

use super::{Incident, State};
use crate::delivery::Words;
use crate::text::line;

/// A ring. `opened_by` is the name of who reported it.
pub(super) fn ringing(incident: &Incident, ring: u32, opened_by: &str) -> Words {
    let again = if ring > 1 { format!(", ring {ring}") } else { String::new() };
    Words { title: line(&incident.title, 200), body: format!("Page {} from {}{again}", incident.reference, line(opened_by, 80)) }
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

/// A bot acted in somebody's name.
pub(super) fn acted_as_you(incident: &Incident, bot: &str) -> Words {
    let title = format!("{} as you via {}", did(incident.state), line(bot, 80));
    Words { title, body: format!("{}. Not you? Tap to re-open it.", incident.reference) }
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
