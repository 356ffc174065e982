//! What was said in chat: by whom, where, in which words. Fronts vouch for all of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::identity::ChatIdentity;
use crate::text::is_deceptive;

/// A line that somebody said to the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Who, by the chat's own ids.
    pub by: ChatIdentity,
    /// What chat calls them.
    pub name: Option<String>,
    /// Where, in the workspace of `by`.
    pub room: PlaceId,
    /// The thread in the room, where the chat has such.
    pub thread: Option<PlaceId>,
    /// The message that the line stands in.
    pub message: Option<PlaceId>,
    /// The words, without the bot's name.
    pub line: String,
    /// The bot's key that the front vouches with, by its name; none when that is the bot's token.
    pub key: Option<String>,
    /// Whether it was pressed rather than typed; what was pressed is said of the message that has the button.
    pub pressed: bool,
}

/// The longest id of a place, in characters.
const MAX_ID: usize = 200;

/// The id of a room, a thread or a message: 1 to 200 characters without controls and what is invisible. Matrix has colons in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[schemars(extend("maxLength" = 200, "minLength" = 1))]
pub struct PlaceId(String);

impl PlaceId {
    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no id of a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 200 characters, none of them a control or invisible")]
pub struct NotAPlaceId;

impl FromStr for PlaceId {
    type Err = NotAPlaceId;

    fn from_str(text: &str) -> Result<Self, NotAPlaceId> {
        if text.is_empty() || text.chars().count() > MAX_ID || text.chars().any(is_deceptive) {
            return Err(NotAPlaceId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for PlaceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
