//! People, bots and actors as every resource shows them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::id::{BotId, UserId};
use crate::identity::{Bot, Handle, PersonName, User};

/// A person, by name.
#[derive(Serialize, JsonSchema)]
pub(super) struct Person {
    id: UserId,
    handle: Handle,
    name: PersonName,
}

impl From<&User> for Person {
    fn from(user: &User) -> Self {
        Self { id: user.id, handle: user.handle.clone(), name: user.name.clone() }
    }
}

/// A bot, by name.
#[derive(Serialize, JsonSchema)]
pub(super) struct BotName {
    id: BotId,
    name: Handle,
}

impl From<&Bot> for BotName {
    fn from(bot: &Bot) -> Self {
        Self { id: bot.id, name: bot.name.clone() }
    }
}
