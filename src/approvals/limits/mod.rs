//! What a bot may ask to have approved at all: which actions, for whom, and in which rooms. Policies say what it then takes.
//!
//! **Invariants**
//! - A bot without limits may ask for everything, as policies allow; with limits, for nothing but what they name.
//! - They hold for whatever the bot asks, in chat and without it, and are looked at in the transaction of the request.

mod store;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Action;
use super::machine::Origin;
use super::policy::{Glob, Room};
use super::refused::{Error, Refused};
use super::service::Approvals;
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::id::BotId;
use crate::identity::members::optional_objects;
use crate::identity::{self, Bot, Call, Handle, User, UserRef};
use crate::journal::Entry;
use crate::text::is_deceptive;

/// Longest lists.
const MAX_ENTRIES: usize = 64;

/// What a bot may ask. What is left out does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Which actions. One must fit.
    #[serde(default, deserialize_with = "optional_objects", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub actions: Option<Vec<Actions>>,
    /// For members of these teams, and for `users`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub teams: Option<Vec<Handle>>,
    /// For these people, and for `teams`: `@handle` or `usr_…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub users: Option<Vec<UserRef>>,
    /// In these rooms of chat. What is asked nowhere in chat fits none.
    #[serde(default, deserialize_with = "optional_objects", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub rooms: Option<Vec<Room>>,
}

/// Some actions, by patterns: `*` is any run of characters, `?` any one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Actions {
    /// For the action's `type`.
    pub r#type: String,
    /// For its `target`; any when it is left out.
    #[serde(default = "any")]
    pub target: String,
}

fn any() -> String {
    "*".to_owned()
}

/// Limits as they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The limits.
    pub limits: Limits,
    /// Since when.
    pub changed_at: Timestamp,
}

fn fits(pattern: &str, text: &str) -> bool {
    // What is no pattern fits nothing: it was checked when it was kept.
    Glob::parse(pattern).is_ok_and(|glob| glob.matches(text))
}

impl Limits {
    /// That every list and pattern makes sense.
    fn check(&self) -> Result<(), Refused> {
        let wrong = |field: String, why: String| Refused::LimitsInvalid { field, why };
        let lengths = [
            ("actions", self.actions.as_ref().map(Vec::len)),
            ("teams", self.teams.as_ref().map(Vec::len)),
            ("users", self.users.as_ref().map(Vec::len)),
            ("rooms", self.rooms.as_ref().map(Vec::len)),
        ];
        for (field, length) in lengths {
            if length.is_some_and(|length| !(1..=MAX_ENTRIES).contains(&length)) {
                return Err(wrong(field.to_owned(), format!("must have 1 to {MAX_ENTRIES} entries, or be left out")));
            }
        }
        let actions = self.actions.iter().flatten().enumerate();
        let actions = actions
            .flat_map(|(at, one)| [(format!("actions[{at}].type"), &one.r#type), (format!("actions[{at}].target"), &one.target)]);
        let rooms = self.rooms.iter().flatten().enumerate().flat_map(|(at, room)| {
            [("platform", &room.platform), ("workspace", &room.workspace), ("room", &room.room)]
                .map(|(name, pattern)| (format!("rooms[{at}].{name}"), pattern))
        });
        for (field, pattern) in actions.chain(rooms) {
            let long = pattern.is_empty() || pattern.chars().count() > 200;
            if long || pattern.chars().any(is_deceptive) || Glob::parse(pattern).is_err() {
                return Err(wrong(
                    field,
                    "must be a pattern of 1 to 200 characters, none of them a control or invisible".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// Whether an action is one of those that may be asked.
    fn take(&self, action: &Action) -> bool {
        self.actions
            .as_ref()
            .is_none_or(|all| all.iter().any(|one| fits(&one.r#type, &action.kind) && fits(&one.target, &action.target)))
    }

    /// Whether it may be asked there.
    fn take_in(&self, origin: Option<&Origin>) -> bool {
        let Some(rooms) = &self.rooms else { return true };
        let Some(origin) = origin else { return false };
        rooms.iter().any(|room| {
            fits(&room.room, &origin.room) && fits(&room.workspace, &origin.workspace) && fits(&room.platform, &origin.platform)
        })
    }

    /// Whether it may be asked for this person.
    async fn take_for(&self, db: &mut Db<'_>, requester: &User) -> db::Result<bool> {
        if self.users.is_none() && self.teams.is_none() {
            return Ok(true);
        }
        let named = |user: &UserRef| match user {
            UserRef::Id(id) => *id == requester.id,
            UserRef::Handle(handle) => *handle == requester.handle,
        };
        if self.users.iter().flatten().any(named) {
            return Ok(true);
        }
        let teams = identity::teams_of(db, requester.id).await?;
        for name in self.teams.iter().flatten() {
            if identity::find_team(db, name).await?.is_some_and(|team| teams.contains(&team.id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Refused, unless the bot may ask this, for this person, there.
pub(super) async fn within(
    db: &mut Db<'_>,
    bot: &Bot,
    requester: &User,
    (action, origin): (&Action, Option<&Origin>),
) -> Result<(), Error> {
    let Some(Limited { limits, .. }) = store::find(db, bot.id).await? else { return Ok(()) };
    let name = bot.name.as_str();
    let why = if !limits.take(action) {
        format!("{name} may not ask to {} {}", action.kind, action.target)
    } else if !limits.take_in(origin) {
        format!("{name} may not ask for approvals in this room")
    } else if limits.take_for(db, requester).await? {
        return Ok(());
    } else {
        format!("{name} may not ask for approvals for {}", requester.full_name())
    };
    Err(Refused::OutsideLimits(why).into())
}

impl Approvals {
    /// What a bot may ask; nothing where it may ask for everything.
    ///
    /// # Errors
    /// Only administrators may look; there may be no such bot.
    pub async fn limits(&self, call: &Call, bot: BotId) -> Result<Option<Limited>, Error> {
        call.admin()?;
        self.store
            .read(move |db| {
                Box::pin(async move {
                    known(db, bot).await?;
                    Ok(store::find(db, bot).await?)
                })
            })
            .await
    }

    /// Limits a bot, in the place of what limited it before.
    ///
    /// # Errors
    /// Only administrators may; the limits must make sense, and name teams and people that are there.
    pub async fn limit(&self, call: &Call, bot: BotId, limits: Limits) -> Result<Limited, Error> {
        call.admin()?;
        limits.check()?;
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                known(tx.db(), bot).await?;
                named(tx.db(), &limits).await?;
                store::set(tx, bot, &limits, now).await?;
                let data = json!({"limits": limits});
                parts.journal.append(tx, now, Entry { kind: "bot.limited", actor, subject: bot.to_string(), data }).await?;
                Ok::<_, Error>(())
            })
        })
        .await?;
        let found = self.limits(call, bot).await?;
        found.ok_or_else(|| Refused::NotFound(format!("limits of {bot}")).into())
    }

    /// Lets a bot ask for everything again.
    ///
    /// # Errors
    /// Only administrators may; the bot must be limited.
    pub async fn unlimit(&self, call: &Call, bot: BotId) -> Result<(), Error> {
        call.admin()?;
        let (now, parts, actor) = (self.clock.now(), self.parts(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                known(tx.db(), bot).await?;
                if !store::remove(tx, bot).await? {
                    return Err(Refused::NotFound(format!("limits of {bot}")).into());
                }
                parts
                    .journal
                    .append(tx, now, Entry { kind: "bot.unlimited", actor, subject: bot.to_string(), data: json!({}) })
                    .await?;
                Ok(())
            })
        })
        .await
    }
}

async fn known(db: &mut Db<'_>, bot: BotId) -> Result<(), Error> {
    match identity::trusted_bot(db, bot).await? {
        Some(_) => Ok(()),
        None => Err(Refused::NotFound(bot.to_string()).into()),
    }
}

async fn named(db: &mut Db<'_>, limits: &Limits) -> Result<(), Error> {
    let wrong = |field: String, why: String| Error::from(Refused::LimitsInvalid { field, why });
    for (at, team) in limits.teams.iter().flatten().enumerate() {
        if identity::find_team(db, team).await?.is_none() {
            return Err(wrong(format!("teams[{at}]"), format!("there is no team {team}")));
        }
    }
    for (at, user) in limits.users.iter().flatten().enumerate() {
        if identity::active_user(db, user).await?.is_none() {
            return Err(wrong(format!("users[{at}]"), format!("there is no {user}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approvals::Params;

    fn action(kind: &str, target: &str) -> Action {
        Action { kind: kind.into(), target: target.into(), params: Params::default() }
    }

    fn limits(json: serde_json::Value) -> Limits {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_not_named_may_not_be_asked() {
        let some = limits(json!({"actions": [{"type": "deploy", "target": "stag*"}, {"type": "merge"}]}));
        assert!(some.check().is_ok());
        assert!(some.take(&action("deploy", "staging")) && some.take(&action("merge", "anything")));
        assert!(!some.take(&action("deploy", "production")) && !some.take(&action("deploys", "staging")));
        assert!(Limits::default().take(&action("deploy", "production")));
    }

    #[test]
    fn what_is_asked_nowhere_is_in_no_room() {
        let origin = Origin { platform: "slack".into(), workspace: "T1".into(), room: "C1".into(), message: None };
        let some = limits(json!({"rooms": [{"platform": "slack", "workspace": "T1", "room": "C?"}]}));
        assert!(some.take_in(Some(&origin)) && !some.take_in(None));
        assert!(!some.take_in(Some(&Origin { workspace: "T2".into(), ..origin })));
        assert!(Limits::default().take_in(None));
    }

    #[test]
    fn limits_that_could_name_nothing_are_refused() {
        for bad in [
            json!({"actions": []}),
            json!({"actions": [{"type": ""}]}),
            json!({"actions": [{"type": "x".repeat(201)}]}),
            json!({"rooms": [{"platform": "slack", "workspace": "", "room": "*"}]}),
            json!({"users": []}),
        ] {
            assert!(limits(bad.clone()).check().is_err(), "{bad}");
        }
        for bad in [json!({"actions": [{"kind": "deploy"}]}), json!({"for": ["@ys"]}), json!({"users": ["nobody nowhere"]})] {
            assert!(serde_json::from_value::<Limits>(bad.clone()).is_err(), "{bad}");
        }
    }
}
