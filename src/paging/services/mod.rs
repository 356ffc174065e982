//! Services: what breaks, whose it is, and who is paged when it does.
//!
//! **Invariants**
//! - A service always has a team, and without an escalation policy the whole team is paged: no service breaks in silence.
//! - With a service end its integrations and its maintenance. Its open incidents go on: whoever removes it may not be whom they page.

mod changing;
mod integrations;
mod store;

use serde::{Deserialize, Serialize};

use super::escalation;
use super::machine::Urgency;
use super::plan::{NobodyNamed, Plan, Step, Target, Tempo};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{EscalationPolicyId, ServiceId, TeamId};
use crate::identity::Handle;

pub use changing::{NewService, ServiceView};
pub use integrations::{
    AlertAction, Beats, Integration, IntegrationKind, IntegrationSettings, IntegrationView, MAX_KEY_OVERLAP, Mapped, Mapping,
    NewIntegration, NotAKind, NotAPointer, Pointer, count_keys, integration_by_key, integration_name,
};

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its name.
    pub name: Handle,
    /// Whose it is.
    pub team: TeamId,
    /// Who is paged; the team when there is none.
    pub policy: Option<EscalationPolicyId>,
    /// How its alerts become incidents.
    pub settings: Settings,
    /// When it was made.
    pub created_at: Timestamp,
}

/// How a service's alerts become incidents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether its incidents wake people.
    pub urgency: UrgencyRule,
    /// Seconds after which an acknowledged incident rings again; 0 for never, and what the installation says when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 604_800))]
    pub acknowledgement_seconds: Option<u32>,
    /// The labels whose alerts become one incident when they agree; `[]` makes one incident of all, none one of each alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub group_by: Option<Vec<String>>,
    /// For how many seconds after an incident began alerts still join it.
    #[schemars(range(max = 604_800))]
    pub group_seconds: u32,
    /// Within how many seconds of its end an alert that comes back re-opens its incident, in place of beginning another.
    #[schemars(range(max = 86_400))]
    pub reopen_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            urgency: UrgencyRule::default(),
            acknowledgement_seconds: None,
            group_by: None,
            group_seconds: 3600,
            reopen_seconds: 300,
        }
    }
}

/// Whether a service's incidents wake people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UrgencyRule {
    /// Critical and error wake people, warning and info can wait.
    #[default]
    BySeverity,
    /// Always.
    High,
    /// Never.
    Low,
}

/// How bad it is, by the words of Events v2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// May become bad.
    Warning,
    /// Bad.
    Error,
    /// As bad as it gets; also what nobody understands.
    #[default]
    Critical,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl UrgencyRule {
    /// How loud an alert of that severity is.
    #[must_use]
    pub fn urgency(self, severity: Severity) -> Urgency {
        match self {
            Self::High => Urgency::High,
            Self::BySeverity if severity >= Severity::Error => Urgency::High,
            Self::Low | Self::BySeverity => Urgency::Low,
        }
    }
}

/// Seconds in which the team of a service without a policy is tried before everybody else.
const TEAM_STEP: u32 = 1800;

impl Service {
    /// Who is rung when it breaks. `fallback` are those of the installation; `tempo` is the installation's.
    ///
    /// # Errors
    /// Storage errors.
    pub async fn plan(&self, db: &mut Db<'_>, fallback: &[Target], tempo: Tempo) -> db::Result<Plan> {
        let policy = match self.policy {
            None => None,
            Some(policy) => escalation::known(db, policy).await?,
        };
        let acknowledgement_seconds = match self.settings.acknowledgement_seconds {
            None => tempo.acknowledgement_seconds,
            Some(0) => None,
            Some(seconds) => Some(seconds),
        };
        let tempo = Tempo { acknowledgement_seconds, ..tempo };
        let team = Target::Team(self.team);
        let (steps, repeats, mut last_resort) = match policy {
            Some(policy) => (policy.steps, policy.repeats, policy.last_resort),
            None => (vec![Step { targets: vec![team], escalate_after: TEAM_STEP }], 0, Vec::new()),
        };
        last_resort.push(team);
        last_resort.extend(fallback);
        Plan::new(steps, repeats, last_resort, tempo)
            .map_err(|NobodyNamed| db::Error::inconsistent("services", self.id, "its plan names nobody"))
    }
}

/// The service of that id.
///
/// # Errors
/// Storage errors.
pub async fn known(db: &mut Db<'_>, id: ServiceId) -> db::Result<Option<Service>> {
    store::find(db, id).await
}

/// The service of that name, unless it was removed.
///
/// # Errors
/// Storage errors.
pub async fn find(db: &mut Db<'_>, name: &Handle) -> db::Result<Option<Service>> {
    store::find_named(db, name).await
}

/// The service of that name, kept from being removed until the transaction ends.
pub(super) async fn keep(tx: &mut Tx<'_>, name: &Handle) -> db::Result<Option<Service>> {
    store::keep(tx, name).await
}
