//! Events v2: `{"routing_key", "event_action", "dedup_key", "payload": {"summary", "source", "severity", …}}`, and change events.
//!
//! **Invariants**
//! - Refused is what is no JSON object, and an action that is not known. Whether the key is known is for whoever looks it up.

use serde_json::{Map, Value};

use super::Refused;
use super::lenient;
use super::members::{Members, SOURCE, SUMMARY, bounded_details, clipped, labels, links, text};
use crate::paging::{AlertAction, Change, Report, Signal};
use crate::secret::Secret;

/// All links of a change together, in bytes: the journal keeps them.
const CHANGE_LINKS: usize = 4 * 1024;

/// An event and the key it came with.
#[derive(Debug)]
pub struct Event<T> {
    /// Whose it is; empty when there was none.
    pub routing_key: Secret,
    /// What it says.
    pub says: T,
}

/// Reads an alert event.
///
/// # Errors
/// [`Refused`]
pub fn read(body: &[u8]) -> Result<Event<Signal>, Refused> {
    let mut event = members(body)?;
    let routing_key = routing_key(&event);
    let action = action(&mut event)?;
    let dedup_key = event.key("dedup_key");
    let client = event.text("client", SOURCE);
    let payload = payload(&mut event);
    let mut payload = Members { all: payload, notes: std::mem::take(&mut event.notes) };
    let report = report(&mut payload, &event, client, action);
    Ok(Event { routing_key, says: Signal { action, dedup_key, report, notes: payload.notes } })
}

/// Reads a change event.
///
/// # Errors
/// [`Refused::Unreadable`]
pub fn read_change(body: &[u8]) -> Result<Event<Change>, Refused> {
    let mut event = members(body)?;
    let routing_key = routing_key(&event);
    let payload = payload(&mut event);
    let mut payload = Members { all: payload, notes: std::mem::take(&mut event.notes) };
    let source = payload.text("source", SOURCE).unwrap_or_else(|| "unknown".to_owned());
    let summary = payload.text("summary", SUMMARY).unwrap_or_else(|| {
        payload.note("no summary");
        format!("A change of {source}")
    });
    let all = links(linked(&event));
    let named = all.len();
    let mut room = CHANGE_LINKS;
    let links: Vec<_> =
        all.into_iter().take_while(|link| room.checked_sub(link.len()).map(|left| room = left).is_some()).collect();
    if links.len() < named {
        payload.note(format!("links had more than {CHANGE_LINKS} bytes"));
    }
    Ok(Event { routing_key, says: Change { summary, source, links, notes: payload.notes } })
}

fn members(body: &[u8]) -> Result<Members, Refused> {
    match lenient::read(body)? {
        (Value::Object(all), notes) => Ok(Members { all, notes }),
        _ => Err(Refused::Unreadable("an event is an object".to_owned())),
    }
}

fn routing_key(event: &Members) -> Secret {
    Secret::new(event.all.get("routing_key").and_then(text).unwrap_or_default())
}

fn action(event: &mut Members) -> Result<AlertAction, Refused> {
    let said = event.all.get("event_action").and_then(text).unwrap_or_default();
    let word = said.to_lowercase();
    let known = [AlertAction::Trigger, AlertAction::Acknowledge, AlertAction::Resolve];
    let names = ["trigger", "acknowledge", "resolve"];
    let found = names.iter().position(|name| *name == word).map(|at| known[at]);
    if found.is_some() && word != said {
        event.note("event_action was not in lower case");
    }
    found.ok_or_else(|| {
        let blank = "'event_action' is missing or blank";
        let wrong = "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')";
        Refused::Invalid(vec![if said.is_empty() { blank } else { wrong }.to_owned()])
    })
}

/// The payload. Some senders write a text.
fn payload(event: &mut Members) -> Map<String, Value> {
    match event.all.remove("payload") {
        Some(Value::Object(payload)) => payload,
        None | Some(Value::Null) => Map::new(),
        Some(other) => {
            event.note("payload was no object");
            Map::from_iter([("summary".to_owned(), other)])
        }
    }
}

fn report(payload: &mut Members, event: &Members, client: Option<String>, action: AlertAction) -> Report {
    // Only what begins an alert has to say what it is.
    let quiet = action != AlertAction::Trigger;
    let source = payload.text("source", SOURCE).or(client).unwrap_or_else(|| {
        if !quiet {
            payload.note("no source");
        }
        "unknown".to_owned()
    });
    let mut notes = std::mem::take(&mut payload.notes);
    let severity = payload.severity("severity");
    if !quiet {
        notes.append(&mut payload.notes);
    }
    payload.notes = notes;
    let summary = payload.text("summary", SUMMARY).unwrap_or_else(|| {
        if !quiet {
            payload.note("no summary");
        }
        clipped(&format!("An alert from {source}"), SUMMARY).0
    });
    let details = details(payload);
    let mut labelled = labels(&details);
    for name in ["component", "group", "class"] {
        labelled.extend(payload.all.get(name).and_then(text).map(|value| (name.to_owned(), clipped(&value, 255).0)));
    }
    labelled.insert("source".to_owned(), source.clone());
    labelled.insert("severity".to_owned(), severity.as_str().to_owned());
    let mut cut = Vec::new();
    let details = Value::Object(bounded_details(details, &mut cut));
    if !quiet {
        for note in cut {
            payload.note(note);
        }
    }
    Report { summary, source, severity, details, labels: labelled, links: links(linked(event)) }
}

/// The details, and what else says something.
fn details(payload: &Members) -> Map<String, Value> {
    let mut details = match payload.all.get("custom_details") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(details)) => details.clone(),
        Some(other) => Map::from_iter([("custom_details".to_owned(), other.clone())]),
    };
    for name in ["component", "group", "class", "timestamp"] {
        if let Some(value) = payload.all.get(name).filter(|value| !value.is_null()) {
            details.entry(name).or_insert_with(|| value.clone());
        }
    }
    details
}

/// Every address that an event names.
fn linked(event: &Members) -> Vec<String> {
    let at = |value: &Value, name: &str| value.get(name).and_then(text);
    let hrefs = event.list("links").into_iter().filter_map(|link| at(&link, "href").or_else(|| text(&link)));
    let images = event.list("images").into_iter().filter_map(|image| at(&image, "href").or_else(|| at(&image, "src")));
    event.all.get("client_url").and_then(text).into_iter().chain(hrefs).chain(images).collect()
}

#[cfg(test)]
mod tests;
