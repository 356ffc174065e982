//! What bots said in chat about requests and incidents, and where, so that whoever follows those is told there.
//!
//! **Invariants**
//! - That a room has to hear of a request or an incident is written down in the transaction that makes it.
//! - A request keeps the words it was made with, whatever becomes of the message.

mod store;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{ApprovalId, BotId, ChatMessageId, IncidentId};
use crate::identity::model::User;

/// Where and how a line was said that a bot calls for. The bot's front vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The person whose chat identity said it.
    pub by: User,
    /// Where.
    pub place: Place,
    /// The message that the line stands in; when it was pressed, the one that has the button.
    pub message: Option<String>,
    /// Whether it was pressed rather than typed.
    pub pressed: bool,
    /// The bot's key that vouched for it, by name; none when that was its token.
    pub key: Option<String>,
    /// The words.
    pub line: String,
    /// What is said there once what the line asks for is allowed.
    pub success: Option<String>,
}

/// Where in chat.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// `slack`, `irc`, …
    pub platform: String,
    /// The workspace, team or server.
    pub workspace: String,
    /// The room.
    pub room: String,
    /// The thread in it, where the chat has such.
    pub thread: Option<String>,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A request.
    Approval(ApprovalId),
    /// An incident.
    Incident(IncidentId),
}

/// That a bot said something about a request or an incident in a place, or has to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Its id.
    pub id: ChatMessageId,
    /// Which bot.
    pub bot: BotId,
    /// Where.
    pub place: Place,
    /// About what.
    pub about: About,
    /// The message that asked for it.
    pub asked: Option<String>,
    /// What that said.
    pub line: Option<String>,
    /// What is said once it is allowed.
    pub success: Option<String>,
    /// The bot's own message, once its front told which it is.
    pub message: Option<String>,
    /// When.
    pub said_at: Timestamp,
}

impl Place {
    /// Whether this is in the room of `other`, whatever the thread.
    #[must_use]
    pub fn is_in_room_of(&self, other: &Self) -> bool {
        (&self.platform, &self.workspace, &self.room) == (&other.platform, &other.workspace, &other.room)
    }
}

impl About {
    /// As it stands in the database.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Approval(_) => "approval",
            Self::Incident(_) => "incident",
        }
    }

    /// Its id without its kind.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        match self {
            Self::Approval(id) => id.0,
            Self::Incident(id) => id.0,
        }
    }

    fn of(kind: &str, id: Uuid) -> Option<Self> {
        match kind {
            "approval" => Some(Self::Approval(ApprovalId(id))),
            "incident" => Some(Self::Incident(IncidentId(id))),
            _ => None,
        }
    }
}

impl Heard {
    /// What the journal says of it: where, in which message, and by which key.
    #[must_use]
    pub fn facts(&self) -> Value {
        let Place { platform, workspace, room, thread } = &self.place;
        let mut facts = json!({"platform": platform, "workspace": workspace, "room": room});
        for (name, fact) in [("thread", thread), ("message", &self.message), ("key", &self.key)] {
            if let Some(fact) = fact {
                facts[name] = json!(fact);
            }
        }
        facts
    }
}

/// Writes down that the place of a line has to hear what becomes of what the line asked for.
///
/// # Errors
/// Storage errors.
pub async fn asked(tx: &mut Tx<'_>, bot: BotId, heard: &Heard, about: About, now: Timestamp) -> db::Result<()> {
    let message = ChatMessage {
        id: ChatMessageId::new(now),
        bot,
        place: heard.place.clone(),
        about,
        asked: heard.message.clone().filter(|_| !heard.pressed),
        line: Some(heard.line.clone()),
        success: heard.success.clone(),
        message: None,
        said_at: now,
    };
    store::insert(tx, &message).await
}

/// Writes down in which message a front showed what is said about something.
///
/// # Errors
/// Storage errors.
pub async fn posted(tx: &mut Tx<'_>, bot: BotId, place: &Place, (about, message): (About, &str), now: Timestamp) -> db::Result<()> {
    let known = store::in_place(tx.db(), bot, place, about).await?;
    if known.iter().any(|known| known.message.as_deref() == Some(message)) {
        return Ok(());
    }
    if let Some(unshown) = known.iter().rev().find(|known| known.message.is_none()) {
        return store::shown(tx, unshown.id, message).await;
    }
    let message = ChatMessage {
        id: ChatMessageId::new(now),
        bot,
        place: place.clone(),
        about,
        asked: None,
        line: None,
        success: None,
        message: Some(message.to_owned()),
        said_at: now,
    };
    store::insert(tx, &message).await
}

/// Writes down that a room was told of something that nobody asked for there, unless it is known; whether it is news.
///
/// # Errors
/// Storage errors.
pub async fn told(tx: &mut Tx<'_>, bot: BotId, place: &Place, about: About, now: Timestamp) -> db::Result<bool> {
    if !store::in_place(tx.db(), bot, place, about).await?.is_empty() {
        return Ok(false);
    }
    let message = ChatMessage {
        id: ChatMessageId::new(now),
        bot,
        place: place.clone(),
        about,
        asked: None,
        line: None,
        success: None,
        message: None,
        said_at: now,
    };
    store::insert(tx, &message).await?;
    Ok(true)
}

/// What a bot said about each of these, in the order it was said.
///
/// # Errors
/// Storage errors.
pub async fn said_about(db: &mut Db<'_>, bot: BotId, about: &[About]) -> db::Result<Vec<ChatMessage>> {
    let subjects: Vec<_> = about.iter().map(|about| about.uuid()).collect();
    store::about(db, bot, &subjects).await
}

/// What is said when a request is allowed, in the place where it was asked; none when it was not asked in chat.
///
/// # Errors
/// Storage errors.
pub async fn success(db: &mut Db<'_>, id: ApprovalId) -> db::Result<Option<String>> {
    store::success(db, id.0).await
}

/// The incident that a bot spoke of last in a room; in the thread, where the place is one and it spoke of one there.
///
/// # Errors
/// Storage errors.
pub async fn last_incident(db: &mut Db<'_>, bot: BotId, place: &Place) -> db::Result<Option<IncidentId>> {
    if place.thread.is_some()
        && let Some(found) = store::last_incident_in_thread(db, bot, place).await?
    {
        return Ok(Some(found));
    }
    store::last_incident(db, bot, place).await
}

/// What was asked for in a message, the newest first.
///
/// # Errors
/// Storage errors.
pub async fn asked_in(db: &mut Db<'_>, bot: BotId, place: &Place, message: &str) -> db::Result<Vec<ChatMessage>> {
    store::asked_in(db, bot, place, message).await
}

/// Forgets what was said about what is forgotten.
///
/// # Errors
/// Storage errors.
pub async fn forget(tx: &mut Tx<'_>, subjects: &[Uuid]) -> db::Result<()> {
    store::forget(tx, subjects).await
}
