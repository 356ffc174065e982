//! What the formats have in common: members of objects as texts, lists and labels, within bounds.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::paging::{AlertAction, Severity};
use crate::secret::{b64u, sha256};

/// The longest summary, in characters.
pub(super) const SUMMARY: usize = 1024;
/// The longest source, in characters.
pub(super) const SOURCE: usize = 255;
/// The longest key, in characters.
const KEY: usize = 255;
/// The longest value of a label, in characters.
const LABEL: usize = 255;
/// More labels say nothing.
const LABELS: usize = 60;
/// The longest link, in bytes.
const LINK: usize = 2000;
/// More links help nobody.
const LINKS: usize = 20;
/// More notes say nothing.
const NOTES: usize = 20;

/// An object, and what was made of it.
pub(super) struct Members {
    pub(super) all: Map<String, Value>,
    pub(super) notes: Vec<String>,
}

impl Members {
    pub(super) fn note(&mut self, note: impl Into<String>) {
        if self.notes.len() < NOTES {
            self.notes.push(note.into());
        }
    }

    /// A member as a text that is not blank; numbers and the like are written out.
    pub(super) fn text(&mut self, name: &str, max: usize) -> Option<String> {
        let value = self.all.get(name)?;
        let found = text(value)?;
        if !value.is_string() {
            self.note(format!("{name} was no text"));
        }
        let (text, cut) = clipped(&found, max);
        if cut {
            self.note(format!("{name} had more than {max} characters"));
        }
        Some(text)
    }

    /// A member as a key. A long one is replaced by its digest: cut, two of them would be one alert.
    pub(super) fn key(&mut self, name: &str) -> Option<String> {
        let value = self.all.get(name)?;
        let key = text(value)?;
        if !value.is_string() {
            self.note(format!("{name} was no text"));
        }
        let (key, long) = bounded_key(key);
        if long {
            self.note(format!("{name} had more than {KEY} characters: its SHA-256 stands for it"));
        }
        Some(key)
    }

    /// How bad it is.
    pub(super) fn severity(&mut self, name: &str) -> Severity {
        let said = self.all.get(name).and_then(text);
        let (severity, note) = severity(said.as_deref());
        if let Some(note) = note {
            self.note(note);
        }
        severity
    }

    /// A member as an object; none when it is something else.
    pub(super) fn object(&self, name: &str) -> Map<String, Value> {
        self.all.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// A member as a list; one that is something else has itself.
    pub(super) fn list(&self, name: &str) -> Vec<Value> {
        match self.all.get(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.clone(),
            Some(other) => vec![other.clone()],
        }
    }
}

/// A value as a text that is not blank.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

/// At most `max` characters of a text, and whether some were cut.
pub(super) fn clipped(text: &str, max: usize) -> (String, bool) {
    if text.chars().nth(max).is_none() {
        return (text.to_owned(), false);
    }
    (text.chars().take(max.saturating_sub(1)).chain(['…']).collect(), true)
}

/// A key, and whether its digest stands for it.
pub(super) fn bounded_key(key: String) -> (String, bool) {
    if key.chars().nth(KEY).is_none() {
        return (key, false);
    }
    (b64u(sha256(key.as_bytes())), true)
}

/// How bad something is, and what to note about the word: what nobody understands may be as bad as it gets.
pub(super) fn severity(said: Option<&str>) -> (Severity, Option<String>) {
    let Some(said) = said else { return (Severity::Critical, Some("no severity: taken as critical".to_owned())) };
    let word = said.to_lowercase();
    let (severity, exact) = match word.as_str() {
        "critical" => (Severity::Critical, true),
        "error" => (Severity::Error, true),
        "warning" => (Severity::Warning, true),
        "info" => (Severity::Info, true),
        "err" => (Severity::Error, false),
        "warn" => (Severity::Warning, false),
        "information" | "informational" | "notice" | "debug" | "none" => (Severity::Info, false),
        _ => (Severity::Critical, false),
    };
    let note = (!exact || word != said).then(|| format!("severity {:?} was taken as {}", clipped(said, 40).0, severity.as_str()));
    (severity, note)
}

/// What a status or action asks for; none when the word is not known.
pub(super) fn action(word: &str) -> Option<AlertAction> {
    Some(match word.trim().to_lowercase().as_str() {
        "trigger" | "triggered" | "firing" | "alerting" | "alert" | "open" | "opened" | "down" | "problem" | "critical"
        | "failed" => AlertAction::Trigger,
        "acknowledge" | "acknowledged" | "ack" => AlertAction::Acknowledge,
        "resolve" | "resolved" | "ok" | "close" | "closed" | "recovery" | "recovered" | "up" | "normal" => AlertAction::Resolve,
        _ => return None,
    })
}

/// The members of an object that are short texts, numbers or truths, as labels.
pub(super) fn labels(members: &Map<String, Value>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (name, value) in members {
        let plain = matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
        let Some(text) = text(value).filter(|text| plain && !name.is_empty() && text.chars().count() <= LABEL) else { continue };
        if labels.len() < LABELS && name.chars().count() <= LABEL {
            labels.insert(name.clone(), text);
        }
    }
    labels
}

/// Texts that are links, each once.
pub(super) fn links(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut links: Vec<String> = Vec::new();
    for text in texts {
        let link = (text.starts_with("https://") || text.starts_with("http://")) && text.len() <= LINK;
        if link && links.len() < LINKS && !links.contains(&text) && !text.chars().any(crate::text::is_deceptive) {
            links.push(text);
        }
    }
    links
}
