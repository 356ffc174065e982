//! How an installation is set up, as a file says it and as a server says it: the same words, in the same order, so that they compare.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::approvals::commands::ActionTemplate;
use crate::approvals::limits::Actions;
use crate::approvals::policy::{self, Match, Require};
use crate::chat::{Hears, PlaceId};
use crate::identity::chat::ChatId;
use crate::identity::{Handle, Scope, UserRef};
use crate::oncall::{self, WrittenLayer};
use crate::paging::services::{IntegrationKind, Mapping, Settings};
use crate::paging::{To, Urgency};

/// Everything that a file may say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct House {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) team: Vec<Team>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) bot: Vec<Bot>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) bot_limit: Vec<BotLimit>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) schedule: Vec<Schedule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) escalation_policy: Vec<EscalationPolicy>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) service: Vec<Service>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) integration: Vec<Integration>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) policy: Vec<Policy>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) chat_command: Vec<ChatCommand>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) room: Vec<Room>,
}

/// People who are paged and who approve together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Team {
    pub(super) name: Handle,
    #[serde(default)]
    pub(super) members: Vec<Person>,
}

/// An API client. Its token is never in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bot {
    pub(super) name: Handle,
    pub(super) scopes: Vec<Scope>,
}

/// What a bot may ask to have approved, for whom, and in which rooms. What is left out does not matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BotLimit {
    pub(super) bot: Handle,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) teams: Option<Vec<Handle>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) users: Option<Vec<UserRef>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) actions: Option<Vec<Actions>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rooms: Option<Vec<policy::Room>>,
}

/// Who is on call when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Schedule {
    pub(super) name: Handle,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) team: Option<Handle>,
    pub(super) zone: String,
    pub(super) layers: Vec<WrittenLayer>,
}

/// Who is paged, then who next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EscalationPolicy {
    pub(super) name: Handle,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) team: Option<Handle>,
    #[serde(default)]
    pub(super) repeats: u32,
    #[serde(default)]
    pub(super) last_resort: Vec<Target>,
    pub(super) steps: Vec<Step>,
}

/// Whom a step rings, and for how long before the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) to: Vec<Target>,
    pub(super) escalate_after_minutes: u32,
}

/// What breaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: Handle,
    pub(super) team: Handle,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<Handle>,
    #[serde(default)]
    pub(super) settings: Settings,
}

/// What reports that a service breaks. Its key is never in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Integration {
    pub(super) service: Handle,
    pub(super) name: Handle,
    pub(super) kind: IntegrationKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) every_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) grace_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mapping: Option<Mapping>,
}

/// Who must say yes to what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) name: Handle,
    #[serde(default, rename = "match")]
    pub(super) matching: Match,
    pub(super) require: Require,
}

/// What can be said in chat to ask for an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChatCommand {
    pub(super) name: Handle,
    pub(super) pattern: String,
    pub(super) success: String,
    pub(super) help: String,
    pub(super) example: String,
    pub(super) action: ActionTemplate,
}

/// What is meant in a room of chat where a line names nothing, and what the room hears of unasked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Room {
    pub(super) bot: Handle,
    pub(super) platform: ChatId,
    pub(super) workspace: ChatId,
    pub(super) room: PlaceId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) team: Option<Handle>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<Handle>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) only: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) hears: Vec<Heard>,
}

/// One thing that a room hears of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heard {
    pub(super) of: Hears,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) team: Option<Handle>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<Handle>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) urgency: Option<Urgency>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
}

/// A person by `@handle`: ids mean nothing to whoever reads a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Person(pub(super) Handle);

impl Serialize for Person {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("@{}", self.0))
    }
}

impl<'de> Deserialize<'de> for Person {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| serde::de::Error::custom(format!("{text}: {error}")))
    }
}

/// `@handle`, `team:NAME` or `schedule:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A person.
    Person(Handle),
    /// A team.
    Team(Handle),
    /// Whoever is on call.
    Schedule(Handle),
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Person(name) => serializer.collect_str(&format_args!("@{name}")),
            Self::Team(name) => serializer.collect_str(&format_args!("team:{name}")),
            Self::Schedule(name) => serializer.collect_str(&format_args!("schedule:{name}")),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let to = text.parse::<To>().map_err(|error| serde::de::Error::custom(format!("{text}: {error}")))?;
        match to {
            To::Team(name) => Ok(Self::Team(name)),
            To::Schedule(name) => Ok(Self::Schedule(name)),
            To::Person(_) => {
                text.parse().map(Self::Person).map_err(|_| serde::de::Error::custom(format!("{text}: expected @handle")))
            }
            To::Service(_) => Err(serde::de::Error::custom(format!(
                "{text}: a step names people, teams and schedules, so that no policy leads to itself"
            ))),
        }
    }
}

/// What a file speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Noun {
    Team,
    Bot,
    BotLimit,
    Schedule,
    EscalationPolicy,
    Service,
    Integration,
    Policy,
    ChatCommand,
    Room,
}

impl Noun {
    /// In the order in which they may refer to each other.
    pub(super) const ALL: [Self; 10] = [
        Self::Team,
        Self::Bot,
        Self::BotLimit,
        Self::Schedule,
        Self::EscalationPolicy,
        Self::Service,
        Self::Integration,
        Self::Policy,
        Self::ChatCommand,
        Self::Room,
    ];

    /// What its table is called in a file.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Bot => "bot",
            Self::BotLimit => "bot_limit",
            Self::Schedule => "schedule",
            Self::EscalationPolicy => "escalation_policy",
            Self::Service => "service",
            Self::Integration => "integration",
            Self::Policy => "policy",
            Self::ChatCommand => "chat_command",
            Self::Room => "room",
        }
    }

    /// The key of a file that names one, or the first of those that do together.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::BotLimit | Self::Room => "bot",
            _ => "name",
        }
    }

    /// Where the API has them; integrations below their services, limits below their bots.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Team => "/v1/teams",
            Self::Bot | Self::BotLimit => "/v1/bots",
            Self::Schedule => "/v1/schedules",
            Self::EscalationPolicy => "/v1/escalation-policies",
            Self::Service | Self::Integration => "/v1/services",
            Self::Policy => "/v1/policies",
            Self::ChatCommand => "/v1/chat/commands",
            Self::Room => "/v1/chat/rooms",
        }
    }

    /// What the API calls a list of them.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::Team => "teams",
            Self::Bot | Self::BotLimit => "bots",
            Self::Schedule => "schedules",
            Self::EscalationPolicy => "escalation_policies",
            Self::Service => "services",
            Self::Integration => "integrations",
            Self::Policy => "policies",
            Self::ChatCommand => "commands",
            Self::Room => "rooms",
        }
    }
}

impl std::fmt::Display for Noun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EscalationPolicy => "escalation policy",
            Self::Policy => "approval policy",
            Self::ChatCommand => "chat command",
            Self::BotLimit => "bot limit",
            other => other.table(),
        })
    }
}

/// One thing, in the form in which two of a name are compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Thing {
    pub(super) noun: Noun,
    /// Of an integration `SERVICE/NAME`, of a limit its bot, of a room `BOT PLATFORM:WORKSPACE:ROOM`.
    pub(super) name: String,
    /// Where it stands among those of its noun, from 0.
    pub(super) place: usize,
    pub(super) body: Value,
}

/// Sorted, and each once.
fn in_one_order<T: PartialEq, K: Ord>(list: &mut Option<Vec<T>>, key: impl FnMut(&T) -> K) {
    if let Some(list) = list {
        list.sort_by_cached_key(key);
        list.dedup();
    }
}

impl House {
    /// With lists that have no order in one: people by handle, scopes as they are listed everywhere, and what limits a bot.
    pub(super) fn in_order(mut self) -> Self {
        for team in &mut self.team {
            team.members.sort();
            team.members.dedup();
        }
        for bot in &mut self.bot {
            bot.scopes = Scope::ALL.into_iter().filter(|scope| bot.scopes.contains(scope)).collect();
        }
        for limit in &mut self.bot_limit {
            in_one_order(&mut limit.teams, |team| team.as_str().to_owned());
            in_one_order(&mut limit.users, ToString::to_string);
            in_one_order(&mut limit.actions, |one| (one.r#type.clone(), one.target.clone()));
            in_one_order(&mut limit.rooms, |room| (room.platform.clone(), room.workspace.clone(), room.room.clone()));
        }
        for room in &mut self.room {
            // Hearing of the same twice is hearing of it once.
            room.hears.sort_by_cached_key(|heard| serde_json::to_string(heard).unwrap_or_default());
            room.hears.dedup();
        }
        for schedule in &mut self.schedule {
            // Zones are named as the server names them: europe/paris is Europe/Paris.
            if let Ok(zone) = oncall::zone(&schedule.zone) {
                schedule.zone = zone.iana_name().unwrap_or(&schedule.zone).to_owned();
            }
        }
        for integration in &mut self.integration {
            // As the server has them when nothing is said.
            match integration.kind {
                IntegrationKind::Generic => drop(integration.mapping.get_or_insert_default()),
                IntegrationKind::Heartbeat => drop(integration.grace_seconds.get_or_insert_default()),
                IntegrationKind::Events | IntegrationKind::Alertmanager | IntegrationKind::Grafana => {}
            }
        }
        for layer in self.schedule.iter_mut().flat_map(|schedule| &mut schedule.layers) {
            for person in &mut layer.people {
                if let Ok(handle) = person.parse::<Handle>() {
                    *person = format!("@{handle}");
                }
            }
        }
        self
    }

    /// Everything, in the order in which it may refer to each other.
    pub(super) fn things(&self) -> Vec<Thing> {
        let whole = serde_json::to_value(self).expect("what a file may say is JSON");
        let of = |noun: Noun| {
            let all = whole[noun.table()].as_array().cloned().unwrap_or_default();
            all.into_iter().enumerate().map(move |(place, body)| {
                let text = |key: &str| body[key].as_str().unwrap_or_default();
                let name = match noun {
                    Noun::Integration => format!("{}/{}", text("service"), text("name")),
                    Noun::BotLimit => text("bot").to_owned(),
                    Noun::Room => {
                        format!("{} {}:{}:{}", text("bot"), text("platform"), text("workspace"), text("room"))
                    }
                    _ => text("name").to_owned(),
                };
                Thing { noun, name, place, body }
            })
        };
        Noun::ALL.into_iter().flat_map(of).collect()
    }
}
