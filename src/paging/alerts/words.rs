//! What people read about alerts, and what the journal keeps of them, built by pure functions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::machine::{Alert, FLAPS_WITHIN, Report};
use super::services::{AlertAction, Integration, Severity};
use super::{Change, Signal};
use crate::clock::Timestamp;
use crate::id::MaintenanceWindowId;
use crate::journal::{Actor, Entry};
use crate::text::line;

/// Rules, as the journal names them.
pub(super) const NOTHING_OPEN: &str = "nothing_open";
pub(super) const GROUP: &str = "group";
pub(super) const FLAPS: &str = "flaps";

/// The most that is shown of what an integration says, in characters.
const DETAILS: usize = 4000;

/// The rule that a service is being maintained.
pub(super) fn maintenance(window: MaintenanceWindowId) -> String {
    format!("maintenance {window}")
}

/// An incident's title.
pub(super) fn title(report: &Report) -> String {
    line(&report.summary, 1024)
}

/// An incident's details: whether it flaps, how bad it is and where, and what else its integration says.
pub(super) fn details(alert: &Alert, now: Timestamp) -> String {
    let report = &alert.report;
    let mut lines = vec![format!("{} from {}", report.severity.as_str(), line(&report.source, 200))];
    if alert.flaps(now) {
        let minutes = FLAPS_WITHIN.as_secs() / 60;
        lines.push(format!("Flapping: opened {} times in {minutes} minutes.", alert.openings.len()));
    }
    if let Value::Object(members) = &report.details {
        lines.extend(members.iter().map(|(name, value)| format!("{name}: {}", plain(value))));
    }
    let whole = lines.join("\n");
    if whole.chars().count() <= DETAILS {
        return whole;
    }
    whole.chars().take(DETAILS - 1).chain(['…']).collect()
}

/// A value as people read it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let lines: Vec<_> = std::iter::once("").chain(items.iter().filter_map(Value::as_str)).collect();
            lines.join("\n- ")
        }
        other => other.to_string(),
    }
}

/// What the journal keeps of an alert, and `more`; members that are null are left out.
pub(super) fn facts(alert: &Alert, notes: &[String], more: Value) -> Value {
    let mut facts = json!({
        "alert": alert.id,
        "integration": alert.integration,
        "service": alert.service,
        "severity": alert.report.severity,
        "source": line(&alert.report.source, 200),
        "summary": line(&alert.report.summary, 200),
    });
    // A text that strangers chose is not to look like an id.
    facts["key"] = json!({"dedup_key": alert.key});
    if !notes.is_empty() {
        facts["normalised"] = json!({"notes": notes});
    }
    if let Value::Object(more) = more {
        for (name, value) in more.into_iter().filter(|(_, value)| !value.is_null()) {
            facts[name] = value;
        }
    }
    facts
}

/// The entry of a change that was reported.
pub(super) fn changed(integration: &Integration, change: &Change) -> Entry {
    let mut data = json!({
        "integration": integration.id,
        "summary": line(&change.summary, 1024),
        "source": line(&change.source, 200),
        "links": {"urls": change.links},
    });
    if !change.notes.is_empty() {
        data["normalised"] = json!({"notes": change.notes});
    }
    let actor = Actor::Integration { integration: integration.id };
    Entry { kind: "change.reported", actor, subject: integration.service.to_string(), data }
}

/// That an integration is over its quota, or, where it is known how many reports were refused, that it no longer is.
pub(super) fn over_quota(name: &str, per_minute: u32, refused: Option<u64>, key: &str) -> Signal {
    let report = Report {
        summary: format!("{name} is over its quota: reports are refused"),
        source: name.to_owned(),
        severity: Severity::Critical,
        details: json!({"reports_per_minute": per_minute, "refused": refused}),
        labels: BTreeMap::from([("source".to_owned(), name.to_owned())]),
        links: Vec::new(),
    };
    let action = if refused.is_some() { AlertAction::Resolve } else { AlertAction::Trigger };
    Signal { action, dedup_key: Some(key.to_owned()), report, notes: Vec::new() }
}

/// A heartbeat's silence, as people read it.
pub(super) fn silence(name: &str, lasted: Duration) -> String {
    let seconds = lasted.as_secs();
    let lasted = match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    };
    format!("No heartbeat from {name} for {lasted}")
}
