//! What a bot may ask to have approved at all: which actions, for whom, and in which rooms. Policies say what it then takes.
//!
//! **Invariants**
//! - A bot without limits may ask for everything, as policies allow; with limits, for nothing but what they name.
//! - They hold for whatever the bot asks, in chat and without it, and are looked at in the transaction of the request.
//! - They change as policies do ([`Policies::limit`](super::Policies::limit)): what lets a bot ask for more waits for a passkey.

pub(super) mod store;
#[cfg(test)]
mod tests;
mod widening;

use serde::{Deserialize, Serialize};

use super::Action;
use super::machine::Origin;
use super::policy::{Glob, Invalid, Room};
use super::refused::{Error, Refused};
use crate::clock::Timestamp;
use crate::db::{self, Db};
use crate::identity::members::optional_objects;
use crate::identity::{self, Bot, Handle, User, UserRef};
use crate::text::is_deceptive;

pub(super) use widening::widening;

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
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let wrong = |field: String, why: String| Invalid { field, why };
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

    /// Whether it may be asked for this person, who is in these of the named teams.
    fn take_for(&self, requester: &User, teams: &[Handle]) -> bool {
        let named = |user: &UserRef| match user {
            UserRef::Id(id) => *id == requester.id,
            UserRef::Handle(handle) => *handle == requester.handle,
        };
        self.take_anybody()
            || self.users.iter().flatten().any(named)
            || self.teams.iter().flatten().any(|team| teams.contains(team))
    }

    /// Whether it may be asked for everybody.
    fn take_anybody(&self) -> bool {
        self.users.is_none() && self.teams.is_none()
    }

    /// Those of the named teams that somebody is in.
    async fn teams_with(&self, db: &mut Db<'_>, requester: &User) -> db::Result<Vec<Handle>> {
        let mut with = Vec::new();
        let Some(named) = &self.teams else { return Ok(with) };
        let theirs = identity::teams_of(db, requester.id).await?;
        for name in named {
            if identity::find_team(db, name).await?.is_some_and(|team| theirs.contains(&team.id)) {
                with.push(name.clone());
            }
        }
        Ok(with)
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
    } else if limits.take_for(requester, &limits.teams_with(db, requester).await?) {
        return Ok(());
    } else {
        format!("{name} may not ask for approvals for {}", requester.full_name())
    };
    Err(Refused::OutsideLimits(why).into())
}
