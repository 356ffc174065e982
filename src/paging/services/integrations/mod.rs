//! Integrations: how a monitoring system reports that a service breaks, and the keys by which it is known.
//!
//! **Invariants**
//! - At most two keys of an integration work: the newest, and the one before it until its overlap is over.
//! - A key is shown once, to the call that made it, and stored as its digest. A repeated call learns only that it was made.
//! - Nothing of a service that was removed, or of an integration that was revoked, is found by its key.

mod changing;
mod mapping;
pub(super) mod store;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::{IntegrationId, ServiceId};
use crate::identity::Handle;

pub use changing::{IntegrationView, MAX_KEY_OVERLAP, NewIntegration};
pub use mapping::{AlertAction, Mapped, Mapping, NotAPointer, Pointer};

/// How a monitoring system reports that a service breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Its id.
    pub id: IntegrationId,
    /// What breaks.
    pub service: ServiceId,
    /// Its name, unique among those of its service.
    pub name: Handle,
    /// What it speaks.
    pub kind: IntegrationKind,
    /// What its kind needs to know beside the key.
    pub settings: IntegrationSettings,
}

/// What an integration speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntegrationKind {
    /// Events v2, as most monitoring systems know it.
    Events,
    /// Alertmanager's webhook.
    Alertmanager,
    /// Grafana's webhook.
    Grafana,
    /// Any JSON, read by a mapping.
    Generic,
    /// A beat now and then; it is silence that reports.
    Heartbeat,
}

impl IntegrationKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Events, Self::Alertmanager, Self::Grafana, Self::Generic, Self::Heartbeat];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
            Self::Generic => "generic",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// A text that is no kind of integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind; known are events, alertmanager, grafana, generic, heartbeat")]
pub struct NotAKind;

impl std::str::FromStr for IntegrationKind {
    type Err = NotAKind;

    fn from_str(text: &str) -> Result<Self, NotAKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(NotAKind)
    }
}

/// What an integration's kind needs to know beside the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntegrationSettings {
    /// Nothing: its format says everything.
    Nothing,
    /// Where in a generic hook's JSON to look.
    Mapping(Mapping),
    /// How often a heartbeat beats.
    Beats(Beats),
}

/// How often a heartbeat beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Beats {
    /// Seconds from one beat to the next.
    #[schemars(range(min = 1, max = 2_678_400))]
    pub every_seconds: u32,
    /// Seconds that a beat may be late before silence is an incident.
    #[serde(default)]
    #[schemars(range(max = 604_800))]
    pub grace_seconds: u32,
}

impl Beats {
    /// How long silence may last.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_secs(u64::from(self.every_seconds) + u64::from(self.grace_seconds))
    }
}

impl IntegrationSettings {
    /// Those of a kind when nothing is said; a heartbeat has none.
    #[must_use]
    pub fn of_nothing_said(kind: IntegrationKind) -> Self {
        match kind {
            IntegrationKind::Generic => Self::Mapping(Mapping::default()),
            IntegrationKind::Events | IntegrationKind::Alertmanager | IntegrationKind::Grafana | IntegrationKind::Heartbeat => {
                Self::Nothing
            }
        }
    }

    /// As they are stored; [`IntegrationKind`] says which they are.
    fn stored(&self) -> serde_json::Value {
        match self {
            Self::Nothing => serde_json::json!({}),
            Self::Mapping(mapping) => serde_json::json!(mapping),
            Self::Beats(beats) => serde_json::json!(beats),
        }
    }
}

/// The integration with this key, or with this key until its overlap is over; none when it was revoked or its service removed.
///
/// # Errors
/// Storage errors.
pub async fn integration_by_key(db: &mut Db<'_>, key_sha256: &[u8; 32], now: Timestamp) -> db::Result<Option<Integration>> {
    store::find_by_key(db, key_sha256, now).await
}

/// How many keys of integrations work.
///
/// # Errors
/// Storage errors.
pub async fn count_keys(db: &mut Db<'_>, now: Timestamp) -> db::Result<i64> {
    store::count_keys(db, now).await
}

/// What people call an integration: its name and its service's.
///
/// # Errors
/// Storage errors.
pub async fn integration_name(db: &mut Db<'_>, id: IntegrationId) -> db::Result<String> {
    store::name(db, id).await
}
