//! What people read on their phones about incidents, built by pure functions.

use super::{Incident, Reference};
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

/// A bot acted in somebody's name.
pub(super) fn acted_as_you(reference: &Reference, resolved: bool, bot: &str) -> Words {
    let did = if resolved { "Resolved" } else { "Acknowledged" };
    Words { title: format!("{did} as you via {}", line(bot, 80)), body: format!("{reference}. Not you? Tap to re-open it.") }
}

/// Nothing left to do on this phone.
pub(super) fn answered(incident: &Incident, by: &str, resolved: bool) -> Words {
    let did = if resolved { "Resolved" } else { "Acknowledged" };
    Words { title: format!("{did} by {by}"), body: format!("{} {}", incident.reference, line(&incident.title, 200)) }
}
