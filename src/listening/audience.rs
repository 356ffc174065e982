//! Whom an event concerns.
//!
//! An event is about an approval or an incident when it names one as its subject or among its facts. It concerns the bot that
//! asked or paged, and the people it names, asks, tells or is told by. An event about anything else concerns the people it names.
//!
//! **Invariants**
//! - Who is not known to be concerned is not: a new kind of entry is heard by administrators and by whom it names.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use uuid::Uuid;

use super::store;
use crate::db::{Db, Result};
use crate::id::{ApprovalId, BotId, IncidentId, UserId};
use crate::identity::{Call, CallRefusal, Caller, Scope};
use crate::journal::{Actor, Sealed};

/// Who looks, as far as it decides what they see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// An administrator, or the operator.
    All,
    /// A person.
    Person(UserId),
    /// A bot.
    Bot(BotId),
}

impl Viewer {
    /// Whoever calls.
    ///
    /// # Errors
    /// When the caller may hear nothing: nobody, and bots without `events:read`.
    pub fn of(call: &Call) -> Result<Self, CallRefusal> {
        match &call.caller {
            Caller::Operator => Ok(Self::All),
            Caller::Person(_) if call.admin().is_ok() => Ok(Self::All),
            Caller::Person(person) => Ok(Self::Person(person.user.id)),
            Caller::Bot(_) | Caller::Anonymous => Ok(Self::Bot(call.bot(Scope::EventsRead)?.id)),
        }
    }
}

/// Whom an event concerns, administrators apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Audience {
    users: BTreeSet<UserId>,
    bots: BTreeSet<BotId>,
}

impl Audience {
    pub(super) fn has(&self, viewer: Viewer) -> bool {
        match viewer {
            Viewer::All => true,
            Viewer::Person(user) => self.users.contains(&user),
            Viewer::Bot(bot) => self.bots.contains(&bot),
        }
    }
}

/// Somebody who has to do with an approval or an incident.
pub(super) struct Party {
    pub(super) subject: Uuid,
    pub(super) user: Option<UserId>,
    pub(super) bot: Option<BotId>,
    pub(super) opened_by: Option<Actor>,
}

impl Party {
    fn join(self, audience: &mut Audience) {
        audience.users.extend(self.user);
        audience.bots.extend(self.bot);
        match self.opened_by {
            Some(Actor::Bot { bot, user }) => {
                audience.bots.insert(bot);
                audience.users.extend(user);
            }
            Some(Actor::User { user, .. }) => drop(audience.users.insert(user)),
            Some(Actor::Integration { .. } | Actor::Operator | Actor::System | Actor::Enrollee) | None => {}
        }
    }
}

/// Whom each of `entries` concerns.
pub(super) async fn audiences(db: &mut Db<'_>, entries: &[Sealed]) -> Result<Vec<Audience>> {
    let subjects: Vec<_> = entries.iter().map(about).collect();
    let asked: BTreeSet<Uuid> = subjects.iter().flatten().copied().collect();
    let mut known: HashMap<Uuid, Audience> = HashMap::new();
    if !asked.is_empty() {
        for party in store::parties(db, asked).await? {
            let audience = known.entry(party.subject).or_default();
            party.join(audience);
        }
    }
    let whole = |(entry, subject): (&Sealed, &Option<Uuid>)| {
        let mut audience = subject.and_then(|subject| known.get(&subject)).cloned().unwrap_or_default();
        audience.users.extend(named(entry));
        audience
    };
    Ok(entries.iter().zip(&subjects).map(whole).collect())
}

/// The approval or incident that an entry is about.
fn about(entry: &Sealed) -> Option<Uuid> {
    let text = |name: &str| entry.data[name].as_str();
    let candidates = [Some(entry.subject.as_str()), text("approval"), text("incident")];
    candidates.into_iter().flatten().find_map(|id| {
        let approval = id.parse().map(|ApprovalId(id)| id);
        approval.or_else(|_| id.parse().map(|IncidentId(id)| id)).ok()
    })
}

/// Facts that are somebody's own words, which name nobody.
const WORDS: [&str; 6] = ["title", "summary", "source", "message", "text", "reason"];

/// The people that an entry names: as actor, as subject, or as one of its facts.
fn named(entry: &Sealed) -> BTreeSet<UserId> {
    let facts = entry.data.as_object().into_iter().flatten();
    let ours = facts.filter(|(name, _)| !WORDS.contains(&name.as_str())).map(|(_, fact)| fact);
    let listed = ours.flat_map(|fact| match fact {
        Value::Array(items) => items.iter().collect(),
        fact => vec![fact],
    });
    let texts = listed.filter_map(Value::as_str).chain(entry.actor["user"].as_str()).chain([entry.subject.as_str()]);
    texts.filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;
    use crate::id::EventId;

    fn entry(subject: &str, actor: Value, data: Value) -> Sealed {
        let at = Timestamp::from_seconds(1_800_000_000);
        let (subject, kind, sha256) = (subject.to_owned(), "x.y".to_owned(), String::new());
        Sealed { seq: 1, id: EventId::new(at), at, kind, actor, subject, data, sha256 }
    }

    #[test]
    fn people_are_found_wherever_they_are_named_and_strangers_words_name_nobody() {
        let id = |n: u128| UserId(Uuid::from_u128(n));
        let data = json!({"by": id(1), "approvers": [id(2), id(3)], "reason": format!("ask {}", id(9)), "n": 4});
        let entry = entry(&id(4).to_string(), json!({"kind": "user", "user": id(5), "device": "dev_1"}), data);
        assert_eq!(named(&entry).into_iter().collect::<Vec<_>>(), [id(1), id(2), id(3), id(4), id(5)]);
    }

    #[test]
    fn an_entry_is_about_its_subject_or_the_approval_among_its_facts() {
        let (approval, incident) = (ApprovalId(Uuid::from_u128(7)), IncidentId(Uuid::from_u128(8)));
        let about = |subject: &str, data| about(&entry(subject, json!({"kind": "system"}), data));
        assert_eq!(about(&approval.to_string(), json!({})), Some(approval.0));
        assert_eq!(about(&incident.to_string(), json!({})), Some(incident.0));
        assert_eq!(about("grt_1", json!({"approval": approval})), Some(approval.0));
        assert_eq!(about("usr_1", json!({"user": "usr_1"})), None);
    }
}
