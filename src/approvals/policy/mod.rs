//! Who must say yes to what, and how strongly: policies, pure and without a database.
//!
//! ```json
//! { "match":   { "types": ["deploy"], "targets": ["prod-*"], "params": { "app": ["api/*", {"absent": false}] }, "bots": ["heimdall"],
//!                "rooms": [ { "platform": "slack", "workspace": "T1", "room": "C*" } ] },
//!   "require": { "requester": true, "groups": [ { "quorum": 2, "teams": ["ops"], "users": ["@ys"] } ], "factor": "passkey",
//!                "expires_in": 300, "requester_excluded": true, "delay": 0, "on_no_answer": "refuse",
//!                "bound_grant": false, "break_glass": true } }
//! ```
//!
//! - `order` says which of two policies is stricter, and when a change weakens.
//! - `set` finds the one policy that rules an action, fast, with an `index` by type and target.
//! - `delegation` says who answers for whoever is away.
//! - `requirement` is what of a policy is frozen into an approval, and when it is met.
//!
//! **Invariants**
//! - The strictest matching policy rules; the order is total, so there is always exactly one.
//! - No policy at all: the requester's own passkey. Once any exists, an action that none matches is refused.
//! - A condition that cannot be judged allows nothing. Where a policy would match but for a param that is missing, a list, a map or of a
//!   kind that the condition names no value of, and no stricter one matches, the action is refused. `{"absent": true}` among the values
//!   says that a missing param fits, and `{"absent": false}` that the policy is not about actions without it.
//! - One policy has one canonical form, and its digest stands in every statement that was signed under it.

mod delegation;
mod glob;
mod index;
mod order;
mod requirement;
mod set;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::action::canonical;
use crate::identity::{Handle, UserRef, members};
use crate::secret::{b64u, tagged_sha256};
use crate::text::is_deceptive;
pub(super) use glob::Glob;

pub use delegation::{Absences, Delegation, Staffed};
pub use order::{Weakening, weakening};
pub use requirement::{Factor, Given, PolicyRef, Quorum, Requirement, SignedWith};
pub use set::{Doubt, Facts, Fit, PolicySet, Ruling, Unclear, WhyNot};

/// The name of the built-in policy, which no other can have: names have no slash.
pub const BUILTIN: &str = "builtin/requester-passkey";

/// Longest lists in a policy.
const MAX_ENTRIES: usize = 64;

/// Most groups that are asked one after the other.
const MAX_GROUPS: usize = 5;

/// Longest time to answer, and longest delay: a day, in seconds.
const MAX_SECONDS: u32 = 86_400;

/// A rule: which actions, and what they take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name: 2 to 32 of `a–z 0–9 . _ -`, starting with a letter.
    pub name: Handle,
    /// Which actions it is about.
    #[serde(rename = "match")]
    pub matching: Match,
    /// What they take.
    pub require: Require,
}

/// Which actions a policy is about. What is left out does not matter; an empty policy matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Patterns for the action's `type`: `*` is any run of characters, `?` any one. One must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub types: Option<Vec<String>>,
    /// Patterns for its `target`. One must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub targets: Option<Vec<String>>,
    /// For each named param: patterns, integers or booleans, one of which must match. An action whose param is missing, a list, a map or
    /// of a kind that none of them is of is refused, unless `{"absent": …}` says what a missing one means.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "members::by_name")]
    pub params: BTreeMap<String, Vec<Accepted>>,
    /// Names of bots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub bots: Option<Vec<Handle>>,
    /// Rooms in chat. An action that was asked for nowhere matches none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "members::optional_objects")]
    #[schemars(length(min = 1, max = 64))]
    pub rooms: Option<Vec<Room>>,
}

/// What a param may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Accepted {
    /// Exactly this.
    Bool(bool),
    /// Exactly this.
    Int(i64),
    /// A text that matches this pattern.
    Text(String),
    /// What it means that the param is missing.
    Absent(#[serde(deserialize_with = "members::object")] Absent),
}

/// What it means that an action has no such param. Without this it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    /// `true`: it fits, as a value that is named would. `false`: it does not, and the policy is not about such actions.
    pub absent: bool,
}

/// A room in chat; each member is a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// `slack`, `irc`, …
    pub platform: String,
    /// The workspace, team or server.
    pub workspace: String,
    /// The room or channel.
    pub room: String,
}

/// What an action takes.
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the policy's JSON")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Require {
    /// Whether the requester must approve it themselves, whoever else must.
    #[serde(default)]
    pub requester: bool,
    /// Who else must approve. The first is asked; another only after nobody answered, and then either is enough.
    #[serde(default, deserialize_with = "members::objects")]
    #[schemars(length(max = 5))]
    pub groups: Vec<Group>,
    /// The least factor an approval needs.
    #[serde(default)]
    pub factor: Factor,
    /// Seconds that each group has to answer; 10 to 86400.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 10, max = 86_400))]
    pub expires_in: u32,
    /// Whether the requester, though a member of a group, does not count in it.
    #[serde(default = "yes")]
    pub requester_excluded: bool,
    /// The bot that redeems the grant, when it is not the one that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<Handle>,
    /// Seconds between the last approval needed and its effect, in which anybody who was asked can still deny; 0 to 86400.
    #[serde(default)]
    #[schemars(range(max = 86_400))]
    pub delay: u32,
    /// What happens when a group does not answer in time.
    #[serde(default)]
    pub on_no_answer: OnNoAnswer,
    /// Whether the grant must be bound to a key of its redeemer (RFC 9449): a request without `bind` is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bound_grant: bool,
    /// Whether the operator, on the server itself, may open a request that nobody answers, after a wait in which everybody can deny it.
    #[serde(default = "yes", skip_serializing_if = "bool::clone")]
    pub break_glass: bool,
}

/// People of whom so many must approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// How many; at least 1.
    #[schemars(range(min = 1, max = 64))]
    pub quorum: u32,
    /// People: `@handle` or `usr_…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub users: Vec<UserRef>,
    /// Names of teams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub teams: Vec<Handle>,
}

/// What happens when a group does not answer in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnNoAnswer {
    /// The request expires.
    #[default]
    Refuse,
    /// The next group is asked too; after the last the request expires.
    AskNextGroup,
}

fn five_minutes() -> u32 {
    300
}

fn yes() -> bool {
    true
}

/// Why a policy makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Invalid {
    /// Which part, as a path: `require.groups[0].quorum`.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

fn invalid<T>(field: impl Into<String>, why: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid { field: field.into(), why: why.into() })
}

impl Policy {
    /// `H("phoneops.policy.v1", JCS(policy))`, and the name.
    #[must_use]
    pub fn reference(&self) -> PolicyRef {
        PolicyRef { name: self.name.as_str().to_owned(), sha256: b64u(tagged_sha256("phoneops.policy.v1", &canonical(self))) }
    }

    /// Nothing, when the policy makes sense by itself: whether its people and bots exist is another question.
    ///
    /// # Errors
    /// The first part that does not.
    pub fn check(&self) -> Result<(), Invalid> {
        self.matching.check()?;
        self.require.check()
    }
}

impl Match {
    fn check(&self) -> Result<(), Invalid> {
        patterns("match.types", self.types.as_deref())?;
        patterns("match.targets", self.targets.as_deref())?;
        bounded("match.params", self.params.len(), 0)?;
        for (name, accepted) in &self.params {
            let field = format!("match.params.{name}");
            bounded(&field, accepted.len(), 1)?;
            plain(&field, name)?;
            accepted.iter().try_for_each(|one| if let Accepted::Text(text) = one { pattern(&field, text) } else { Ok(()) })?;
            let absent = accepted.iter().filter(|one| matches!(one, Accepted::Absent(_))).count();
            if absent > 1 || absent == accepted.len() {
                return invalid(field, "says `absent` at most once, and beside at least one value");
            }
        }
        bounded("match.bots", self.bots.as_ref().map_or(1, Vec::len), 1)?;
        bounded("match.rooms", self.rooms.as_ref().map_or(1, Vec::len), 1)?;
        for room in self.rooms.iter().flatten() {
            [&room.platform, &room.workspace, &room.room].into_iter().try_for_each(|text| pattern("match.rooms", text))?;
        }
        Ok(())
    }
}

fn patterns(field: &str, list: Option<&[String]>) -> Result<(), Invalid> {
    let Some(list) = list else { return Ok(()) };
    bounded(field, list.len(), 1)?;
    list.iter().try_for_each(|text| pattern(field, text))
}

fn pattern(field: &str, text: &str) -> Result<(), Invalid> {
    plain(field, text)?;
    Glob::parse(text).map(|_| ()).or_else(|dangling| invalid(field, dangling.to_string()))
}

fn plain(field: &str, text: &str) -> Result<(), Invalid> {
    if text.is_empty() || text.chars().count() > 200 {
        return invalid(field, "must have 1 to 200 characters");
    }
    match text.chars().find(|&c| is_deceptive(c)) {
        Some(c) => invalid(field, format!("must not hold the character U+{:04X}", u32::from(c))),
        None => Ok(()),
    }
}

fn bounded(field: &str, length: usize, least: usize) -> Result<(), Invalid> {
    if (least..=MAX_ENTRIES).contains(&length) { Ok(()) } else { invalid(field, format!("must have {least} to 64 entries")) }
}

impl Require {
    fn check(&self) -> Result<(), Invalid> {
        if !self.requester && self.groups.is_empty() {
            return invalid("require", "nobody would be asked: set `requester`, or name a group");
        }
        if self.groups.len() > MAX_GROUPS {
            return invalid("require.groups", "may have at most 5 groups");
        }
        let on = self.on_no_answer;
        if (self.groups.len() > 1) != (on == OnNoAnswer::AskNextGroup) {
            return invalid("require.on_no_answer", "is `ask_next_group` exactly when there are several groups");
        }
        if !(10..=MAX_SECONDS).contains(&self.expires_in) {
            return invalid("require.expires_in", "must be 10 to 86400 seconds");
        }
        if self.delay > MAX_SECONDS {
            return invalid("require.delay", "must be at most 86400 seconds");
        }
        self.groups.iter().enumerate().try_for_each(|(at, group)| group.check(&format!("require.groups[{at}]")))
    }
}

impl Group {
    fn check(&self, field: &str) -> Result<(), Invalid> {
        let entries = self.users.len() + self.teams.len();
        bounded(field, entries, 1)?;
        let twice = |at: usize| self.users[..at].contains(&self.users[at]);
        if (0..self.users.len()).any(twice) || (0..self.teams.len()).any(|at| self.teams[..at].contains(&self.teams[at])) {
            return invalid(field, "names somebody twice");
        }
        if !(1..=64).contains(&self.quorum) {
            return invalid(format!("{field}.quorum"), "must be 1 to 64");
        }
        // How many people a team has may change; how many are named does not.
        if self.teams.is_empty() && self.quorum as usize > entries {
            return invalid(format!("{field}.quorum"), "is more than there are people in the group");
        }
        Ok(())
    }
}
