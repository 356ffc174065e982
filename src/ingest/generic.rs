//! Any JSON: where its alert is says the mapping of the integration, and beside it the names that most tools use.

use serde_json::{Map, Value, json};

use super::members::{self, Members, SOURCE, SUMMARY, bounded_details, bounded_key, clipped, labels, links, severity, text};
use super::{MOST, Refused, lenient};
use crate::paging::{AlertAction, Mapping, Report, Signal};

/// Names that are looked for where the mapping finds nothing.
const SUMMARIES: [&str; 8] = ["summary", "title", "message", "msg", "text", "name", "subject", "description"];
const KEYS: [&str; 7] = ["dedup_key", "key", "alias", "fingerprint", "incident_key", "alert_id", "id"];
const SOURCES: [&str; 6] = ["source", "host", "hostname", "instance", "monitor", "service"];
const SEVERITIES: [&str; 3] = ["severity", "level", "priority"];
const ACTIONS: [&str; 5] = ["action", "event_action", "status", "state", "event_type"];

/// The alert of what came beyond [`MOST`].
const TOO_MANY: &str = "phoneops:more";

/// Reads a hook: an object, or a list of them.
///
/// # Errors
/// [`Refused::Unreadable`]
pub fn read(body: &[u8], mapping: &Mapping) -> Result<Vec<Signal>, Refused> {
    let (value, notes) = lenient::read(body)?;
    signals(value, notes, mapping)
}

/// The signals of a value.
pub(super) fn signals(value: Value, notes: Vec<String>, mapping: &Mapping) -> Result<Vec<Signal>, Refused> {
    match value {
        Value::Object(_) => Ok(vec![one(&value, notes, mapping)]),
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_object) => {
            let over = items.len().saturating_sub(MOST);
            let mut signals: Vec<_> = items.into_iter().take(MOST).map(|item| one(&item, notes.clone(), mapping)).collect();
            if over > 0 {
                // One alert, however often a report is too long.
                let summary = format!("{over} more alerts came in one report");
                let rest = json!({"summary": summary, "severity": "critical", "dedup_key": TOO_MANY});
                signals.push(one(&rest, vec![format!("a report has at most {MOST} alerts")], &Mapping::default()));
            }
            Ok(signals)
        }
        _ => Err(Refused::Unreadable("an alert is an object, and several are a list of objects".to_owned())),
    }
}

fn one(value: &Value, notes: Vec<String>, mapping: &Mapping) -> Signal {
    let at = |names: &[&str]| names.iter().find_map(|name| value.get(*name).and_then(plain));
    let mut heard = Members { all: Map::new(), notes };
    let action = action(value, mapping, &mut heard);
    let severity = mapping.severity.find(value).unwrap_or_else(|| {
        let said = mapping.severity.at.find(value).and_then(plain).or_else(|| at(&SEVERITIES));
        let (severity, note) = severity(said.as_deref());
        if let Some(note) = note {
            heard.note(note);
        }
        severity
    });
    let source = mapping.source.find(value).and_then(plain).or_else(|| at(&SOURCES)).unwrap_or_else(|| "unknown".to_owned());
    let source = clipped(&source, SOURCE).0;
    let summary = mapping.summary.find(value).and_then(plain).or_else(|| at(&SUMMARIES)).unwrap_or_else(|| {
        heard.note("no summary");
        format!("An alert from {source}")
    });
    let (summary, cut) = clipped(&summary, SUMMARY);
    if cut {
        heard.note(format!("summary had more than {SUMMARY} characters"));
    }
    let dedup_key = mapping.dedup_key.find(value).and_then(plain).or_else(|| at(&KEYS)).map(|key| bounded_key(key).0);
    let mut labelled = labels(&object(value, "labels"));
    for (name, text) in labels(value.as_object().unwrap_or(&Map::new())) {
        labelled.entry(name).or_insert(text);
    }
    labelled.insert("source".to_owned(), source.clone());
    labelled.insert("severity".to_owned(), severity.as_str().to_owned());
    let links = links(["url", "link", "href", "client_url"].iter().filter_map(|name| value.get(*name).and_then(text)));
    let details = Value::Object(bounded_details(details(value, mapping), &mut heard.notes));
    let report = Report { summary, source, severity, details, labels: labelled, links };
    Signal { action, dedup_key, report, notes: heard.notes }
}

/// A text or a number; what is a list or an object is not meant.
fn plain(value: &Value) -> Option<String> {
    if value.is_array() || value.is_object() { None } else { text(value) }
}

fn object(value: &Value, name: &str) -> Map<String, Value> {
    value.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

fn action(value: &Value, mapping: &Mapping, heard: &mut Members) -> AlertAction {
    if let Some(action) = mapping.action.find(value) {
        return action;
    }
    let mapped = mapping.action.at.find(value).and_then(plain);
    let said = mapped.or_else(|| ACTIONS.iter().find_map(|name| value.get(*name).and_then(plain)));
    let Some(said) = said else { return AlertAction::Trigger };
    members::action(&said).unwrap_or_else(|| {
        heard.note(format!("{:?} is no action that is known: taken as trigger", clipped(&said, 40).0));
        AlertAction::Trigger
    })
}

/// What the mapping says, and else the whole.
fn details(value: &Value, mapping: &Mapping) -> Map<String, Value> {
    match mapping.details.find(value) {
        Some(Value::Object(details)) => details.clone(),
        Some(Value::Null) | None => value.as_object().cloned().unwrap_or_default(),
        Some(other) => Map::from_iter([("details".to_owned(), other.clone())]),
    }
}

#[cfg(test)]
mod tests;
