//! Alertmanager's webhook (version 4): a group of alerts, which is one alert here, by its group key.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::members::{Members, SOURCE, SUMMARY, bounded_key, clipped, labels, links, severity, text};
use super::{Refused, generic, lenient};
use crate::paging::{AlertAction, Mapping, Report, Severity, Signal};

/// Alerts of a group that are written out.
const WRITTEN_OUT: usize = 30;

/// Reads a webhook. A body that was replaced by a template is read as [`generic`] reads it.
///
/// # Errors
/// [`Refused::Unreadable`]
pub fn read(body: &[u8]) -> Result<Vec<Signal>, Refused> {
    let (value, notes) = lenient::read(body)?;
    match value {
        Value::Object(all) if all.contains_key("alerts") || all.contains_key("groupKey") => {
            Ok(vec![group(Members { all, notes })])
        }
        other => generic::signals(other, notes, &Mapping::default()),
    }
}

/// A group as one signal.
pub(super) fn group(mut group: Members) -> Signal {
    let alerts: Vec<One> = group.list("alerts").iter().map(One::of).collect();
    let (firing, resolved): (Vec<&One>, Vec<&One>) = alerts.iter().partition(|alert| alert.fires);
    let common = labels(&group.object("commonLabels"));
    let action = action(&mut group, &firing, &resolved);
    let severity = worst(&mut group, &common, if firing.is_empty() { &resolved } else { &firing });
    let source = source(&group);
    let mut labels = common;
    labels.entry("source".to_owned()).or_insert_with(|| source.clone());
    labels.entry("severity".to_owned()).or_insert_with(|| severity.as_str().to_owned());
    let summary = summary(&mut group, &labels, &firing, &resolved);
    let dedup_key = key(&mut group);
    let links = links(linked(&group, &alerts));
    let details = details(&group, &firing, &resolved);
    let report = Report { summary, source, severity, details, labels, links };
    Signal { action, dedup_key, report, notes: group.notes }
}

/// One alert of a group.
struct One {
    fires: bool,
    fingerprint: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    all: Map<String, Value>,
}

impl One {
    fn of(value: &Value) -> Self {
        let all = value.as_object().cloned().unwrap_or_default();
        let member = |name: &str| all.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        let said = all.get("status").and_then(text);
        Self {
            fires: said.is_none_or(|word| word.to_lowercase() != "resolved"),
            fingerprint: all.get("fingerprint").and_then(text),
            labels: labels(&member("labels")),
            // A description is long and says most.
            annotations: member("annotations").iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect(),
            all,
        }
    }

    fn says(&self) -> Option<&String> {
        ["summary", "description", "message"].iter().find_map(|name| self.annotations.get(*name))
    }

    /// In a line.
    fn line(&self) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let says = self.says().map(|says| format!(": {says}")).unwrap_or_default();
        let since = self.all.get("startsAt").and_then(text).map(|at| format!(" (since {at})")).unwrap_or_default();
        clipped(&format!("{}{says}{since}", labels.join(" ")), 500).0
    }
}

fn action(group: &mut Members, firing: &[&One], resolved: &[&One]) -> AlertAction {
    let said = group.all.get("status").and_then(text).map(|word| word.to_lowercase());
    match said.as_deref() {
        Some("resolved") => AlertAction::Resolve,
        Some("firing") => AlertAction::Trigger,
        _ if firing.is_empty() && !resolved.is_empty() => AlertAction::Resolve,
        _ => {
            group.note("a status that is not known was taken as firing");
            AlertAction::Trigger
        }
    }
}

/// How bad the worst of it is.
fn worst(group: &mut Members, common: &BTreeMap<String, String>, alerts: &[&One]) -> Severity {
    let said: Vec<&String> = match common.get("severity") {
        Some(said) => vec![said],
        None => alerts.iter().filter_map(|alert| alert.labels.get("severity")).collect(),
    };
    let read: Vec<_> = said.iter().map(|said| severity(Some(said))).collect();
    let (worst, note) = read.into_iter().max_by_key(|(severity, _)| *severity).unwrap_or_else(|| severity(None));
    if let Some(note) = note {
        group.note(note);
    }
    worst
}

fn source(group: &Members) -> String {
    let said = group.all.get("externalURL").and_then(text).or_else(|| group.all.get("receiver").and_then(text));
    let host = said.as_deref().and_then(|url| url.split_once("://")).and_then(|(_, rest)| rest.split('/').next());
    clipped(host.or(said.as_deref()).unwrap_or("Alertmanager"), SOURCE).0
}

fn summary(group: &mut Members, labels: &BTreeMap<String, String>, firing: &[&One], resolved: &[&One]) -> String {
    if let Some(title) = group.text("title", SUMMARY) {
        return title;
    }
    let annotations = group.object("commonAnnotations");
    let says = ["summary", "description", "message"].iter().find_map(|name| annotations.get(*name).and_then(text));
    let named = labels.get("alertname").cloned();
    let first = firing.first().or(resolved.first()).and_then(|alert| alert.says().cloned());
    let what = says.or_else(|| if firing.len() > 1 { named.clone() } else { first.or_else(|| named.clone()) });
    let what = what.or(named).unwrap_or_else(|| {
        group.note("no summary");
        "An alert".to_owned()
    });
    let many = if firing.len() > 1 { format!("{what} ({} alerts)", firing.len()) } else { what };
    clipped(&many, SUMMARY).0
}

/// The group's key; without one, what makes it the same group next time.
fn key(group: &mut Members) -> Option<String> {
    if let Some(key) = group.key("groupKey") {
        return Some(key);
    }
    group.note("no groupKey");
    let labels = group.object("groupLabels");
    if !labels.is_empty() {
        return Some(bounded_key(Value::Object(labels).to_string()).0);
    }
    let mut prints: Vec<String> = group.list("alerts").iter().filter_map(|alert| One::of(alert).fingerprint).collect();
    prints.sort();
    (!prints.is_empty()).then(|| bounded_key(prints.join(" ")).0)
}

fn linked(group: &Members, alerts: &[One]) -> Vec<String> {
    let of_alert = |alert: &One| {
        let annotated = ["runbook_url", "dashboard_url"].iter().filter_map(|name| alert.annotations.get(*name).cloned());
        let named = ["generatorURL", "dashboardURL", "panelURL", "silenceURL"].iter();
        annotated.chain(named.filter_map(|name| alert.all.get(*name).and_then(text))).collect::<Vec<_>>()
    };
    alerts.iter().flat_map(of_alert).chain(group.all.get("externalURL").and_then(text)).collect()
}

fn details(group: &Members, firing: &[&One], resolved: &[&One]) -> Value {
    let lines = |alerts: &[&One]| alerts.iter().take(WRITTEN_OUT).map(|alert| alert.line()).collect::<Vec<_>>();
    let mut details = Map::new();
    if let Some(message) = group.all.get("message").and_then(text) {
        details.insert("message".to_owned(), json!(clipped(&message, 2000).0));
    }
    for (name, alerts) in [("firing", firing), ("resolved", resolved)] {
        if !alerts.is_empty() {
            details.insert(name.to_owned(), json!(lines(alerts)));
        }
    }
    let more = firing.len().max(resolved.len()).saturating_sub(WRITTEN_OUT);
    let truncated = group.all.get("truncatedAlerts").and_then(Value::as_u64).unwrap_or_default();
    let more = truncated.saturating_add(more as u64);
    if more > 0 {
        details.insert("more".to_owned(), json!(format!("and {more} more")));
    }
    Value::Object(details)
}
