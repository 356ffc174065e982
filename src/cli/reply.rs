//! What the server answers, as far as the command line reads it. Members that it does not know are left alone.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Failure;
use crate::clock::Timestamp;

/// A person, as every resource shows them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Person {
    /// `usr_…`
    pub(super) id: String,
    /// Without `@`.
    pub(super) handle: String,
    /// As others see it.
    pub(super) name: String,
}

/// A bot, as every resource shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct BotName {
    /// `heimdall`
    pub(super) name: String,
}

/// Who acknowledged or resolved an incident.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Act {
    /// The person; none when it was a monitoring system.
    pub(super) by: Option<Person>,
    /// The monitoring system, by the name of its integration.
    pub(super) integration: Option<String>,
    /// The bot that said so in their name.
    pub(super) via: Option<BotName>,
    /// When.
    pub(super) at: Timestamp,
}

impl Act {
    /// What whoever did it is called.
    pub(super) fn name(&self) -> String {
        let name = self.by.as_ref().map(|person| person.name.as_str()).or(self.integration.as_deref());
        crate::text::line(name.unwrap_or_default(), 80)
    }
}

/// Reads a body.
pub(super) fn read<T: DeserializeOwned>(body: &Value) -> Result<T, Failure> {
    Ok(T::deserialize(body)?)
}
