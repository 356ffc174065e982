//! What an incident is, and who acts on one. What becomes of it is [`machine`](super::machine)'s.
//!
//! **Invariants**
//! - Every act has somebody who did it: a person, or a monitoring system.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Reference;
use super::machine::State;
use super::plan::Plan;
use crate::clock::Timestamp;
use crate::id::{BotId, IncidentId, IntegrationId, ServiceId, TeamId, UserId};

/// Something a human must look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// What people call it: `PIHXOC6`.
    pub reference: Reference,
    /// What is wrong, in a line: what was said last.
    pub title: String,
    /// More of it.
    pub details: Option<String>,
    /// Where to look.
    pub links: Vec<String>,
    /// What it is about, for filters and grouping.
    pub labels: BTreeMap<String, String>,
    /// How loud.
    pub urgency: Urgency,
    /// Who reported it.
    pub opened_by: crate::journal::Actor,
    /// What breaks, when a service does.
    pub service: Option<ServiceId>,
    /// Whose members may act on it besides those it rings.
    pub team: Option<TeamId>,
    /// How often integrations reported it.
    pub reports: u32,
    /// Who is rung, in which order, how often.
    pub plan: Plan,
    /// What became of it.
    pub state: State,
    /// When it was reported.
    pub created_at: Timestamp,
}

/// How loud an incident is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Wakes people.
    #[default]
    High,
    /// Can wait for the morning.
    Low,
}

/// Who acted on an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// A person.
    Person {
        /// Who.
        user: UserId,
        /// The bot that said so in their name; none when it was their own device.
        via: Option<BotId>,
    },
    /// A monitoring system.
    Integration(IntegrationId),
}

/// What somebody did, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// Who.
    pub by: Agent,
    /// When.
    pub at: Timestamp,
}

impl Act {
    /// The person; none when a monitoring system acted.
    #[must_use]
    pub fn person(self) -> Option<UserId> {
        match self.by {
            Agent::Person { user, .. } => Some(user),
            Agent::Integration(_) => None,
        }
    }

    /// The person and bot, when a bot acted.
    pub(super) fn through_bot(self) -> Option<(UserId, BotId)> {
        match self.by {
            Agent::Person { user, via } => via.map(|via| (user, via)),
            Agent::Integration(_) => None,
        }
    }
}
