//! What happened to an incident, in plain sentences, from the journal.
//!
//! **Invariants**
//! - Every entry about the incident is there, one that nobody has words for by its kind.
//! - What strangers wrote is shown and never obeyed.

mod sentences;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::service::{Error, Paging, Refused};
use super::{Reference, schedules, services, store};
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::{BotId, EventId, IncidentId, ScheduleId, TeamId, UserId};
use crate::identity::{self, Call, Handle, Scope};
use crate::journal::{self, Actor, Happened};

/// Something that happened to an incident.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its entry in the journal.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What, as the journal names it.
    pub kind: String,
    /// What, in a sentence.
    pub text: String,
    /// Who did it.
    pub actor: Actor,
    /// The facts of the entry.
    pub facts: Value,
}

/// A page of what happened.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// In the order in which it happened.
    pub lines: Vec<Line>,
    /// Whether there is more behind them.
    pub more: bool,
}

impl Paging {
    /// What happened to an incident after `after`, in order; at most `limit` lines.
    ///
    /// # Errors
    /// When there is none, or the caller may not read it.
    pub async fn timeline(
        &self,
        call: &Call,
        reference: Reference,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Timeline, Error> {
        call.person_or_bot(Scope::IncidentsRead)?;
        self.store
            .scan(move |db| {
                Box::pin(async move {
                    let incident = store::find(db, &reference).await?.ok_or(Refused::NotFound(reference))?;
                    let mut entries = journal::about(db, &incident.id.to_string(), after, limit.saturating_add(1)).await?;
                    let more = entries.len() > limit as usize;
                    entries.truncate(limit as usize);
                    let names = names(db, &entries).await?;
                    let lines = entries.into_iter().map(|entry| line(entry, &names)).collect();
                    Ok(Timeline { lines, more })
                })
            })
            .await
    }
}

fn line(entry: Happened, names: &Names) -> Line {
    let text = sentences::sentence(&entry, names);
    Line { id: entry.id, at: entry.at, kind: entry.kind, text, actor: entry.actor, facts: entry.data }
}

/// What the ids of some entries are called.
#[derive(Debug, Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn of(&self, id: &str) -> String {
        self.0.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }
}

/// The names of everybody and everything that entries are about.
async fn names(db: &mut Db<'_>, entries: &[Happened]) -> db::Result<Names> {
    let mut ids = BTreeSet::new();
    let mut names = BTreeMap::new();
    for entry in entries {
        collect(&entry.data, &mut ids);
        match entry.actor {
            Actor::User { user, .. } => drop(ids.insert(user.to_string())),
            Actor::Bot { bot, user } => ids.extend([bot.to_string()].into_iter().chain(user.map(|user| user.to_string()))),
            Actor::Integration { integration } => {
                names.insert(integration.to_string(), services::integration_name(db, integration).await?);
            }
            Actor::Operator | Actor::System | Actor::Enrollee => {}
        }
    }
    for id in ids {
        if let Some(name) = name(db, &id).await? {
            names.insert(id, name);
        }
    }
    Ok(Names(names))
}

/// Every text of a value that may be an id.
fn collect(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.len() <= LONGEST_ID && text.contains('_') => drop(ids.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| collect(item, ids)),
        Value::Object(members) => members.values().for_each(|member| collect(member, ids)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A prefix, an underscore and 32 digits.
const LONGEST_ID: usize = 40;

/// What an id is called. Texts of strangers look like one, too.
async fn name(db: &mut Db<'_>, id: &str) -> db::Result<Option<String>> {
    let called = |kind: &str, name: &Handle| format!("{kind} {}", name.as_str());
    Ok(match Id::of(id) {
        None => None,
        Some(Id::User(user)) => identity::name_of_user(db, user).await?,
        Some(Id::Bot(bot)) => identity::name_of_bot(db, bot).await?,
        Some(Id::Team(team)) => identity::known_team(db, team).await?.map(|team| called("team", &team.name)),
        Some(Id::Schedule(schedule)) => schedules::known(db, schedule).await?.map(|found| called("schedule", &found.name)),
        Some(Id::Incident(incident)) => store::reference(db, incident).await?.map(|reference| reference.to_string()),
    })
}

/// What has a name.
enum Id {
    User(UserId),
    Bot(BotId),
    Team(TeamId),
    Schedule(ScheduleId),
    Incident(IncidentId),
}

impl Id {
    fn of(text: &str) -> Option<Self> {
        let user = text.parse().map(Self::User);
        let bot = || text.parse().map(Self::Bot);
        let team = || text.parse().map(Self::Team);
        let schedule = || text.parse().map(Self::Schedule);
        let incident = || text.parse().map(Self::Incident);
        user.or_else(|_| bot()).or_else(|_| team()).or_else(|_| schedule()).or_else(|_| incident()).ok()
    }
}
