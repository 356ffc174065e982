//! Rooms: what is meant there where a line names nothing, and what they hear of unasked.
//!
//! **Invariants**
//! - A room is one bot's: what one bot's room hears of, or means, is nothing to another bot in the same room.
//! - What a room hears of unasked is an administrator's word; the people in it may only narrow it.

mod setting_up;
mod store;

use std::collections::BTreeMap;

use serde_json::json;

use super::ANY_LABEL;
use super::doing::{Chat, Error, Speaker};
use crate::approvals;
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::{BotId, ChatSubscriptionId};
use crate::identity::{Failure, Handle, Place};
use crate::journal::{Actor, Entry};
use crate::paging::{self, Urgency};

pub use setting_up::{NewSubscription, RoomView};

/// What holds in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Whose incidents and schedules are meant where a line names none.
    pub team: Option<Handle>,
    /// What breaks where a line does not say.
    pub service: Option<Handle>,
    /// Nothing is posted here unasked that has not all of these.
    pub only: BTreeMap<String, String>,
}

/// What a room hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hears {
    /// Incidents.
    Incidents,
    /// Requests for approval.
    Approvals,
}

/// What a room hears of unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: ChatSubscriptionId,
    /// Through which bot.
    pub bot: BotId,
    /// In which room.
    pub place: Place,
    /// Of what.
    pub of: Hears,
    /// Of this team alone: its incidents; the requests that it may approve, or that a member asks.
    pub team: Option<Handle>,
    /// Of this service alone.
    pub service: Option<Handle>,
    /// So loud alone.
    pub urgency: Option<Urgency>,
    /// With all of these alone.
    pub labels: BTreeMap<String, String>,
    /// Who said so.
    pub made_by: Actor,
    /// When.
    pub created_at: Timestamp,
}

/// What holds in a room.
///
/// # Errors
/// Storage errors.
pub(super) async fn of(db: &mut Db<'_>, bot: BotId, place: &Place) -> db::Result<Room> {
    Ok(store::room(db, bot, place).await?.unwrap_or_default())
}

/// What the rooms of a bot hear of, each with what its room is narrowed to.
///
/// # Errors
/// Storage errors.
pub(super) async fn subscriptions(db: &mut Db<'_>, bot: BotId) -> db::Result<Vec<(Subscription, BTreeMap<String, String>)>> {
    store::subscriptions(db, bot).await
}

/// Whether `facts` have all of `wanted`, in whatever case.
fn has_all(facts: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| {
        let named = |known: &str| name == ANY_LABEL || known.eq_ignore_ascii_case(name);
        facts.iter().any(|(known, fact)| named(known) && fact.eq_ignore_ascii_case(value))
    })
}

impl Subscription {
    /// Whether a room hears of an incident, narrowed to what has all of `only`.
    pub(super) fn takes_incident(&self, view: &paging::View, only: &BTreeMap<String, String>) -> bool {
        let incident = &view.incident;
        let mut facts = incident.labels.clone();
        for (name, fact) in [("service", &view.service), ("team", &view.team)] {
            if let Some(fact) = fact {
                facts.insert(name.to_owned(), fact.as_str().to_owned());
            }
        }
        facts.insert("urgency".to_owned(), if incident.urgency == Urgency::High { "high" } else { "low" }.to_owned());
        // People say environment where monitoring says env, and the other way round.
        for (name, other) in [("env", "environment"), ("environment", "env")] {
            if let Some(fact) = facts.get(name).cloned() {
                facts.entry(other.to_owned()).or_insert(fact);
            }
        }
        self.of == Hears::Incidents
            && (self.team.is_none() || self.team == view.team)
            && (self.service.is_none() || self.service == view.service)
            && self.urgency.is_none_or(|urgency| urgency == incident.urgency)
            && has_all(&facts, &self.labels)
            && has_all(&facts, only)
    }

    /// Whether a room hears of a request, narrowed to what has all of `only`. `teams` are those of whoever asks or may approve.
    pub(super) fn takes_approval(&self, view: &approvals::View, teams: &[Handle], only: &BTreeMap<String, String>) -> bool {
        let action = &view.approval.action;
        let texts = action.params.0.iter().filter_map(|(name, param)| match param {
            approvals::Param::Text(text) => Some((name.clone(), text.clone())),
            approvals::Param::Int(number) => Some((name.clone(), number.to_string())),
            approvals::Param::Bool(flag) => Some((name.clone(), flag.to_string())),
            approvals::Param::List(_) | approvals::Param::Map(_) => None,
        });
        let mut facts: BTreeMap<String, String> = texts.collect();
        for (name, fact) in [("type", &action.kind), ("target", &action.target), ("environment", &action.target), ("env", &action.target)] {
            facts.entry(name.to_owned()).or_insert_with(|| fact.clone());
        }
        let service = self.service.as_ref().map(|service| service.as_str().to_owned());
        self.of == Hears::Approvals
            && self.team.as_ref().is_none_or(|team| teams.contains(team))
            && service.is_none_or(|service| ["service", "app"].iter().any(|name| facts.get(*name) == Some(&service)))
            && has_all(&facts, &self.labels)
            && has_all(&facts, only)
    }
}

impl Chat {
    /// Narrows what the speaker's room hears of unasked; whether it hears of anything.
    pub(super) async fn set_filter(&self, speaker: &Speaker, only: BTreeMap<String, String>) -> Result<bool, Error> {
        let (bot, place, now, journal) = (speaker.bot, speaker.place.clone(), speaker.now, self.journal.clone());
        let (actor, origin) = speaker.recorded();
        let written = self.store.write(move |tx| {
            Box::pin(async move {
                store::set_only(tx, bot, &place, &only, now).await?;
                let data = json!({"only": only, "origin": origin});
                let entry = Entry { kind: "chat_room.changed", actor, subject: bot.to_string(), data };
                journal.append(tx, now, entry).await?;
                let all = store::subscriptions(tx.db(), bot).await?;
                Ok::<_, db::Error>(all.iter().any(|(one, _)| one.place.is_in_room_of(&place)))
            })
        });
        Ok(written.await?)
    }
}

/// What rooms' services return when they do not do as they were asked.
pub type RoomError = Failure<Refused>;

/// Why a room is not set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such room or subscription, bot, team or service.
    #[error("there is no {0}")]
    NotFound(String),
    /// A field makes no sense.
    #[error("{why}")]
    Field {
        /// Which.
        field: String,
        /// Why.
        why: String,
    },
    /// There are enough of them.
    #[error("the bot has {0} subscriptions already")]
    TooMany(usize),
}

impl From<Refused> for RoomError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}
