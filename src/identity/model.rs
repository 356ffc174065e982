//! The people, bots and devices, as the rest of the house sees them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::device_key::DeviceKey;
use super::handle::{Handle, PersonName};
use crate::clock::Timestamp;
use crate::id::{BotId, DeviceId, PasskeyId, UserId};
use crate::push::MailAddress;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// `@yannick`
    pub handle: Handle,
    /// `Yannick Schutz`
    pub name: PersonName,
    /// What they may administer.
    pub role: Role,
    /// Where they read e-mail, where somebody said so.
    pub email: Option<MailAddress>,
    /// When they joined.
    pub created_at: Timestamp,
    /// When they left; then they may do nothing.
    pub removed_at: Option<Timestamp>,
}

impl User {
    /// `Yannick Schutz (@yannick)`
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{} (@{})", self.name.as_str(), self.handle.as_str())
    }
}

/// What a person may administer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Their own devices.
    #[default]
    Member,
}

/// An API client that people's chat speaks through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bot {
    /// Its id.
    pub id: BotId,
    /// `heimdall`
    pub name: Handle,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its token stopped working.
    pub revoked_at: Option<Timestamp>,
    /// When it called last, give or take ten minutes.
    pub last_used_at: Option<Timestamp>,
    /// Which of its tokens is meant, from 0: the newest, or the one that a call came with.
    pub token_number: i64,
    /// Until when the token before the newest works; in the past when it does not.
    pub previous_token_until: Option<Timestamp>,
}

impl Bot {
    /// One that speaks by another proof than a token, which it may do until it is revoked: no change of its tokens ends that.
    pub(crate) fn without_token(self) -> Self {
        Self { token_number: i64::MAX - 1, ..self }
    }
}

/// Something a bot may do. No scope lets a bot approve or administer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Scope {
    #[serde(rename = "approvals:request")]
    ApprovalsRequest,
    #[serde(rename = "grants:redeem")]
    GrantsRedeem,
    #[serde(rename = "incidents:write")]
    IncidentsWrite,
    #[serde(rename = "incidents:read")]
    IncidentsRead,
    #[serde(rename = "events:read")]
    EventsRead,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] =
        [Self::ApprovalsRequest, Self::GrantsRedeem, Self::IncidentsWrite, Self::IncidentsRead, Self::EventsRead];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApprovalsRequest => "approvals:request",
            Self::GrantsRedeem => "grants:redeem",
            Self::IncidentsWrite => "incidents:write",
            Self::IncidentsRead => "incidents:read",
            Self::EventsRead => "events:read",
        }
    }
}

/// A text that is not a scope.
#[derive(Debug, Clone, thiserror::Error)]
#[error("unknown scope; known are approvals:request, grants:redeem, incidents:write, incidents:read, events:read")]
pub struct NotAScope;

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(NotAScope)
    }
}

/// A phone, browser or command line of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Whose it is.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// What it is.
    pub platform: Platform,
    /// Its public key.
    pub key: DeviceKey,
    /// When it claimed its code.
    pub enrolled_at: Timestamp,
    /// When it became theirs: with the claim, or when another device of theirs confirmed it.
    pub confirmed_at: Timestamp,
    /// How another device confirmed it; none when it did not need that.
    pub confirmed_with: Option<ConfirmedWith>,
    /// From when on it may answer and administer, when it recovers its person; else at once.
    pub approves_from: Option<Timestamp>,
    /// When it called last, give or take ten minutes.
    pub last_used_at: Option<Timestamp>,
    /// When it stopped being trusted.
    pub revoked_at: Option<Timestamp>,
}

/// How one device confirmed another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmedWith {
    /// With a passkey of their person.
    Passkey,
    /// With its own key: their person had no passkey.
    Device,
}

impl ConfirmedWith {
    /// As it stands in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::Device => "device",
        }
    }
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Platform {
    Ios,
    Android,
    Web,
    Cli,
}

impl Platform {
    /// As it stands in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Android => "android",
            Self::Web => "web",
            Self::Cli => "cli",
        }
    }
}

/// A passkey, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// Its id.
    pub id: PasskeyId,
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it signed last, give or take ten minutes.
    pub last_used_at: Option<Timestamp>,
}

/// A person as others name them: by id or by handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRef {
    /// `usr_…`
    Id(UserId),
    /// `@yannick`
    Handle(Handle),
}

/// A text that names no person.
#[derive(Debug, Clone, thiserror::Error)]
#[error("expected a person: @handle or usr_…")]
pub struct NotAUser;

impl FromStr for UserRef {
    type Err = NotAUser;

    fn from_str(text: &str) -> Result<Self, NotAUser> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        text.parse().map(Self::Handle).map_err(|_| NotAUser)
    }
}

impl fmt::Display for UserRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Handle(handle) => write!(f, "@{}", handle.as_str()),
        }
    }
}

impl Serialize for UserRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UserRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for UserRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UserRef".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "A person: `@handle` or `usr_…`"})
    }
}
