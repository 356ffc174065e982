//! What an administrator declares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::identity::Handle;
use crate::identity::members::by_name;
use crate::text::is_deceptive;

pub use crate::approvals::policy::Invalid;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Its name, by which help knows it: `restart`. That of a built-in command takes its place.
    pub name: Handle,
    /// Which lines it takes: a verb and, after one space, a regular expression with named groups:
    /// `restart (?<service>[a-z-]+) in (?<environment>[a-z]+)`. Upper and lower case are the same, and what the groups `environment` and `env` take is kept in lower case; white space in a line is one space.
    #[schemars(length(min = 1, max = 500))]
    pub pattern: String,
    /// What is to be allowed. In it, `{service}` is what the group of that name took.
    pub action: ActionTemplate,
    /// What is said once it is allowed: `you are restarting {service} in {environment}`.
    #[schemars(length(min = 1, max = 500))]
    pub success: String,
    /// What it is for, in a few words: `restart a service`.
    #[schemars(length(min = 1, max = 200))]
    pub help: String,
    /// A line that it takes, which help shows: `restart web in production`.
    #[schemars(length(min = 1, max = 500))]
    pub example: String,
}

/// A command as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// What it says.
    pub declaration: Declaration,
    /// When it became what it is.
    pub changed_at: Timestamp,
}

/// An action with places to fill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionTemplate {
    /// What kind of act, as policies match it. It has no places to fill.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 200))]
    pub kind: String,
    /// What it is done to: `{environment}`.
    #[schemars(length(min = 1, max = 200))]
    pub target: String,
    /// The details: `{"service": "{service}"}`. One that is nothing but a group that took nothing is left out.
    #[serde(default, deserialize_with = "by_name")]
    pub params: BTreeMap<String, String>,
}

/// More params than this are refused by the action itself.
const MAX_PARAMS: usize = 64;

impl Declaration {
    /// Nothing, when its texts are in bounds and show as what they are.
    pub(super) fn check_texts(&self) -> Result<(), Invalid> {
        let texts = [
            ("pattern", &self.pattern, 500),
            ("action.type", &self.action.kind, 200),
            ("action.target", &self.action.target, 200),
            ("success", &self.success, 500),
            ("help", &self.help, 200),
            ("example", &self.example, 500),
        ];
        for (field, text, max) in texts {
            plain(field, text, max)?;
        }
        if self.action.params.len() > MAX_PARAMS {
            return Err(invalid("action.params", "may have at most 64 entries"));
        }
        for (name, template) in &self.action.params {
            plain("action.params", name, 200)?;
            plain(&format!("action.params.{name}"), template, 2_000)?;
        }
        if self.action.kind.contains(['{', '}']) {
            return Err(invalid("action.type", "is a fixed text: what is typed does not choose which kind of action it is"));
        }
        Ok(())
    }
}

fn plain(field: &str, text: &str, max: usize) -> Result<(), Invalid> {
    let length = text.chars().count();
    if length == 0 || length > max || text.trim() != text {
        return Err(invalid(field, format!("must have 1 to {max} characters, and no white space around them")));
    }
    match text.chars().find(|&c| is_deceptive(c)) {
        None => Ok(()),
        Some(c) => Err(invalid(field, format!("must not hold the character U+{:04X}", u32::from(c)))),
    }
}

pub(super) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Invalid {
    Invalid { field: field.into(), why: why.into() }
}
