//! Where in the JSON of a generic hook its alert is.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::super::Severity;
use crate::identity::strict_json;

/// A place in JSON (RFC 6901): `/alert/message`, and nothing for the whole of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer(String);

/// A text that is no place in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a JSON pointer like /alert/message, of at most 200 characters and without controls")]
pub struct NotAPointer;

impl Pointer {
    /// What is there; none when there is nothing.
    #[must_use]
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        document.pointer(&self.0)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pointer {
    type Err = NotAPointer;

    fn from_str(text: &str) -> Result<Self, NotAPointer> {
        // A tilde stands before 0 or 1 (RFC 6901 section 3).
        let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let plain = text.chars().count() <= 200 && !text.chars().any(char::is_control);
        let fits = plain && (text.is_empty() || text.starts_with('/'));
        if fits && escaped { Ok(Self(text.to_owned())) } else { Err(NotAPointer) }
    }
}

impl Serialize for Pointer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Pointer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pointer".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "maxLength": 200, "pattern": "^(/([^~]|~0|~1)*)?$",
            "description": "A JSON pointer (RFC 6901): `/alert/message`",
        })
    }
}

/// What a report asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertAction {
    /// Something broke.
    Trigger,
    /// Somebody looks at it.
    Acknowledge,
    /// It is well again.
    Resolve,
}

/// A place whose texts mean something: `{"at": "/status", "values": {"firing": "trigger", "ok": "resolve"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, bound(deserialize = "T: Deserialize<'de>"))]
pub struct Mapped<T> {
    /// Where.
    pub at: Pointer,
    /// What its texts mean, beside the words of the API itself. Compared without regard to capitals.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, T>,
}

impl<T: Copy + serde::de::DeserializeOwned> Mapped<T> {
    /// What a document says there; none when it says nothing, or nothing that is known.
    #[must_use]
    pub fn find(&self, document: &Value) -> Option<T> {
        let said = match self.at.find(document)? {
            Value::String(text) => text.trim().to_lowercase(),
            value @ (Value::Bool(_) | Value::Number(_)) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        let mapped = self.values.iter().find(|(text, _)| text.to_lowercase() == said).map(|(_, value)| *value);
        mapped.or_else(|| serde_json::from_value(Value::String(said)).ok())
    }
}

/// Where in the JSON of a generic hook its alert is. What is left out is where the defaults say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// What is wrong, in a line.
    pub summary: Pointer,
    /// What broke.
    pub source: Pointer,
    /// What makes reports one alert.
    pub dedup_key: Pointer,
    /// How bad it is.
    #[serde(deserialize_with = "mapped")]
    pub severity: Mapped<Severity>,
    /// What is asked for; when there is nothing, to trigger.
    #[serde(deserialize_with = "mapped")]
    pub action: Mapped<AlertAction>,
    /// More of it.
    pub details: Pointer,
}

/// An object and nothing else, with no member twice: derived code would take an array of its members too, and the last of two texts.
fn mapped<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(deserializer: D) -> Result<Mapped<T>, D::Error> {
    use serde::de::Error as _;
    match strict_json::deserialize(deserializer)? {
        members @ Value::Object(_) => serde_json::from_value(members).map_err(D::Error::custom),
        _ => Err(D::Error::custom("expected an object like {\"at\": \"/status\", \"values\": {}}")),
    }
}

impl Default for Mapping {
    fn default() -> Self {
        let at = |name: &str| Pointer(format!("/{name}"));
        Self {
            summary: at("summary"),
            source: at("source"),
            dedup_key: at("dedup_key"),
            severity: Mapped { at: at("severity"), values: BTreeMap::new() },
            action: Mapped { at: at("action"), values: BTreeMap::new() },
            details: at("details"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_is_one_of_rfc_6901() {
        for text in ["", "/a", "/a/0", "/a~1b/~0", "/"] {
            assert_eq!(text.parse::<Pointer>().unwrap().as_str(), text);
        }
        for text in ["a", "a/b", "/a~2", "/a~", "/a\0", &format!("/{}", "a".repeat(200))] {
            assert_eq!(text.parse::<Pointer>(), Err(NotAPointer), "{text}");
        }
    }

    #[test]
    fn a_mapping_reads_what_a_hook_sends() {
        let written = json!({
            "summary": "/alert/title",
            "action": {"at": "/alert/status", "values": {"Resolved": "resolve", "2": "acknowledge"}},
            "severity": {"at": "/alert/level", "values": {"page": "critical"}},
        });
        let mapping: Mapping = serde_json::from_value(written).unwrap();
        let hook = |status: Value| json!({"alert": {"title": "Down", "status": status, "level": "Page"}, "dedup_key": "x"});
        let heard = hook(json!("RESOLVED"));
        assert_eq!(mapping.summary.find(&heard), Some(&json!("Down")));
        assert_eq!(mapping.dedup_key.find(&heard), Some(&json!("x")));
        assert_eq!(mapping.severity.find(&heard), Some(Severity::Critical));
        assert_eq!(mapping.action.find(&heard), Some(AlertAction::Resolve));
        assert_eq!(mapping.action.find(&hook(json!(2))), Some(AlertAction::Acknowledge));
        assert_eq!(mapping.action.find(&hook(json!("trigger"))), Some(AlertAction::Trigger), "its own words are known");
        assert_eq!(mapping.action.find(&hook(json!("who knows"))), None);
        assert_eq!(mapping.action.find(&json!({})), None);
    }
}
