//! Chat identities: who somebody is in chat, linked to the person by a code that they type on their phone.
//!
//! **Invariants**
//! - A chat identity is linked to one person at most, and only by that person's own device, with a code that a bot gave to whoever has
//!   the identity in chat.
//! - A code is for one identity, ten minutes and one link. A new code for the same identity ends the one before.
//! - A link lets the identity ask and act in chat as the person. It never approves.
//! - Identities are told apart by the chat's own ids, never by names, which change and collide.

pub mod messages;
mod store;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use super::call::{Call, CallRefusal};
use super::code::LinkCode;
use super::model::{Bot, NotAUser, Scope, User, UserRef};
use super::service::{Error, Identity, Refusal, active_user, record};
use crate::clock::Timestamp;
use crate::db::{self, Db, Tx};
use crate::id::{BotId, ChatIdentityId, UserId};
use crate::journal::{Actor, Journal};
use crate::text::is_deceptive;

/// How long a code may be typed.
const CODE_LIFE: Duration = Duration::from_mins(10);

/// The longest id that is taken, in characters.
const MAX_ID: usize = 200;

/// Who somebody is in chat: the ids of the platform, not its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatIdentity {
    /// `slack`, `irc`, …
    pub platform: ChatId,
    /// The workspace, team or server.
    pub workspace: ChatId,
    /// The person's id there.
    pub user: ChatId,
}

impl fmt::Display for ChatIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.platform.0, self.workspace.0, self.user.0)
    }
}

/// One id of a chat platform: 1 to 200 characters without white space, controls or colons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[schemars(extend("maxLength" = 200, "minLength" = 1))]
pub struct ChatId(String);

impl ChatId {
    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is no id of a chat platform.
#[derive(Debug, Clone, thiserror::Error)]
#[error("expected 1 to 200 characters without white space, controls and colons")]
pub struct NotAChatId;

impl FromStr for ChatId {
    type Err = NotAChatId;

    fn from_str(text: &str) -> Result<Self, NotAChatId> {
        let odd = |c: char| c.is_whitespace() || c == ':' || is_deceptive(c);
        if text.is_empty() || text.chars().count() > MAX_ID || text.chars().any(odd) {
            return Err(NotAChatId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for ChatId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A person as a bot names them: by id, by handle, or as chat knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// `usr_…` or `@yannick`
    User(UserRef),
    /// `{platform, workspace, user}`
    Chat(ChatIdentity),
}

impl From<UserRef> for Who {
    fn from(user: UserRef) -> Self {
        Self::User(user)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Chat(identity) => identity.fmt(f),
        }
    }
}

/// As the command line has it: `@handle`, `usr_…` or `platform:workspace:user`.
impl FromStr for Who {
    type Err = NotAUser;

    fn from_str(text: &str) -> Result<Self, NotAUser> {
        let parts: Vec<_> = text.split(':').collect();
        let [platform, workspace, user] = parts[..] else { return text.parse().map(Self::User) };
        let part = |text: &str| text.parse().map_err(|NotAChatId| NotAUser);
        Ok(Self::Chat(ChatIdentity { platform: part(platform)?, workspace: part(workspace)?, user: part(user)? }))
    }
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::User(user) => user.serialize(serializer),
            Self::Chat(identity) => identity.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Who;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a person: @handle, usr_… or {platform, workspace, user}")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Who, E> {
                text.parse().map(Who::User).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Who, A::Error> {
                ChatIdentity::deserialize(MapAccessDeserializer::new(map)).map(Who::Chat)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl schemars::JsonSchema for Who {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Who".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (user, chat) = (generator.subschema_for::<UserRef>(), generator.subschema_for::<ChatIdentity>());
        schemars::json_schema!({
            "description": "A person: `@handle`, `usr_…`, or who they are in chat once that is linked.",
            "anyOf": [user, chat],
        })
    }
}

/// A chat identity that is somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// Its id.
    pub id: ChatIdentityId,
    /// Who they are in chat.
    pub identity: ChatIdentity,
    /// What chat calls them, as the bot said.
    pub name: Option<String>,
    /// Whose it is.
    pub user: UserId,
    /// The bot that gave the code.
    pub bot: BotId,
    /// Since when.
    pub linked_at: Timestamp,
}

/// What a code would link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Who they are in chat.
    pub identity: ChatIdentity,
    /// What chat calls them, as the bot said.
    pub name: Option<String>,
    /// The bot that gave the code.
    pub bot: BotId,
    /// Until when it may be typed.
    pub expires_at: Timestamp,
    /// What it has linked.
    linked: Option<ChatIdentityId>,
}

/// A code, shown once.
pub struct NewLinkCode {
    /// The code; none when an idempotent call is repeated, for it is not shown twice.
    pub code: Option<LinkCode>,
    /// Until when it may be typed.
    pub expires_at: Timestamp,
}

/// The bot that calls, when it may speak for people at all.
fn speaker(call: &Call) -> Result<&Bot, CallRefusal> {
    call.bot(Scope::ApprovalsRequest).or_else(|_| call.bot(Scope::IncidentsWrite))
}

impl Identity {
    /// A code for whoever has this identity in chat.
    ///
    /// # Errors
    /// Only bots that may ask or page may.
    pub async fn create_link_code(
        &self,
        call: &Call,
        identity: ChatIdentity,
        name: Option<String>,
    ) -> Result<NewLinkCode, Error> {
        let bot = speaker(call)?.id;
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        let code = LinkCode::generate();
        let (digest, made) = (code.hash(), ChatIdentityId::new(now));
        let offer = Offer { identity, name, bot, expires_at: now.after(CODE_LIFE), linked: None };
        let (this, expires_at) = call
            .write(&self.store, now, move |tx| {
                Box::pin(async move {
                    store::offer(tx, &offer, digest).await?;
                    let data = json!({"identity": offer.identity, "name": offer.name});
                    record(tx, &journal, now, actor, "chat_identity.offered", bot, data).await?;
                    Ok::<_, Error>((made, offer.expires_at))
                })
            })
            .await?;
        Ok(NewLinkCode { code: (this == made).then_some(code), expires_at })
    }

    /// What a code would link, for the person to look at before they confirm; and the bot that gave it.
    ///
    /// # Errors
    /// When the caller is not a person, or the code is unknown or over.
    pub async fn look_up_link_code(&self, call: &Call, code: &LinkCode) -> Result<(Offer, Bot), Error> {
        call.person()?;
        let (now, digest) = (self.clock.now(), code.hash());
        let found = self
            .store
            .read(move |db| {
                Box::pin(async move {
                    let offer =
                        store::find_offer(db, digest).await?.filter(|offer| offer.linked.is_none() && now < offer.expires_at);
                    let Some(offer) = offer else { return Ok::<_, db::Error>(None) };
                    Ok(Some((super::known_bot(db, offer.bot).await?, offer)))
                })
            })
            .await?;
        let (bot, offer) = found.ok_or(Refusal::LinkCodeUnknown)?;
        Ok((offer, bot))
    }

    /// Links the identity of a code to the caller.
    ///
    /// # Errors
    /// When the caller is not a person or their device is too new, the code is unknown or over, or the identity is somebody else's.
    pub async fn link_chat_identity(&self, call: &Call, code: &LinkCode) -> Result<LinkedIdentity, Error> {
        let user = call.established()?.user.id;
        let (now, journal, actor, digest) = (self.clock.now(), self.journal.clone(), call.actor(None), code.hash());
        let linked: ChatIdentityId = call
            .write(&self.store, now, move |tx| {
                Box::pin(async move { link(tx, &Linking { journal, actor, user, digest, now }).await })
            })
            .await?;
        let found = self.store.read(move |db| Box::pin(async move { store::find(db, linked).await })).await?;
        found.ok_or_else(|| Refusal::NotFound(linked.to_string()).into())
    }

    /// The chat identities of the caller, or everybody's; each with its person. The oldest first.
    ///
    /// # Errors
    /// Only administrators may see everybody's.
    pub async fn chat_identities(&self, call: &Call, everybody: bool) -> Result<Vec<(LinkedIdentity, User)>, Error> {
        let of = if everybody {
            call.admin()?;
            None
        } else {
            Some(call.person()?.user.id)
        };
        let all = self.store.scan(move |db| {
            Box::pin(async move {
                let mut all = Vec::new();
                for linked in store::list(db, of).await? {
                    let user = super::known_user(db, linked.user).await?;
                    all.push((linked, user));
                }
                Ok::<_, db::Error>(all)
            })
        });
        Ok(all.await?)
    }

    /// Who this is, for a bot that is spoken to in chat.
    ///
    /// # Errors
    /// Only bots that may ask or page may know; [`Refusal::ChatIdentityUnlinked`].
    pub async fn who_is(&self, call: &Call, identity: ChatIdentity) -> Result<User, Error> {
        speaker(call)?;
        let asked = identity.clone();
        let found = self.store.look(move |db| Box::pin(async move { store::person(db, &asked).await })).await?;
        found.ok_or_else(|| Refusal::ChatIdentityUnlinked(identity).into())
    }

    /// Ends a link. Its person may, and an administrator.
    ///
    /// # Errors
    /// When the caller may not, or there is no such link.
    pub async fn unlink_chat_identity(&self, call: &Call, id: ChatIdentityId) -> Result<(), Error> {
        let owner = call.person().ok().map(|person| person.user.id);
        let (admin, established) = (call.admin(), call.established().map(|_| ()));
        let (now, journal, actor) = (self.clock.now(), self.journal.clone(), call.actor(None));
        call.write(&self.store, now, move |tx| {
            Box::pin(async move {
                let linked = store::find(tx.db(), id).await?;
                if linked.as_ref().is_none_or(|linked| Some(linked.user) != owner) {
                    // Strangers learn nothing about which links exist.
                    admin?;
                } else {
                    established?;
                }
                let linked = linked.ok_or_else(|| Refusal::NotFound(id.to_string()))?;
                unlink(tx, &journal, actor, &linked, now).await
            })
        })
        .await
    }
}

/// A code on its way into the transaction.
struct Linking {
    journal: Journal,
    actor: Actor,
    user: UserId,
    digest: [u8; 32],
    now: Timestamp,
}

async fn link(tx: &mut Tx<'_>, linking: &Linking) -> Result<ChatIdentityId, Error> {
    let Linking { journal, actor, user, digest, now } = linking;
    let offer = store::lock_offer(tx, *digest).await?.ok_or(Refusal::LinkCodeUnknown)?;
    if let Some(linked) = offer.linked {
        // The reply was lost and the phone asks again, or somebody else has the code too.
        let linked = store::find(tx.db(), linked).await?.filter(|linked| linked.user == *user);
        return linked.map(|linked| linked.id).ok_or_else(|| Refusal::LinkCodeUnknown.into());
    }
    if *now >= offer.expires_at {
        return Err(Refusal::LinkCodeUnknown.into());
    }
    if let Some(before) = store::find_linked(tx.db(), &offer.identity).await? {
        match active_user(tx.db(), &UserRef::Id(before.user)).await? {
            Some(owner) if owner.id != *user => return Err(Refusal::ChatIdentityTaken.into()),
            // Who left needs it no more; one's own is linked anew.
            _ => unlink(tx, journal, Actor::System, &before, *now).await?,
        }
    }
    let Offer { identity, name, bot, .. } = offer;
    let linked = LinkedIdentity { id: ChatIdentityId::new(*now), identity, name, user: *user, bot, linked_at: *now };
    store::link(tx, &linked, *digest).await?;
    let data = json!({"identity": linked.identity, "name": linked.name, "user": user, "bot": bot});
    record(tx, journal, *now, *actor, "chat_identity.linked", linked.id, data).await?;
    crate::crash_point!("chat-identity-linked");
    Ok(linked.id)
}

async fn unlink(tx: &mut Tx<'_>, journal: &Journal, actor: Actor, linked: &LinkedIdentity, now: Timestamp) -> Result<(), Error> {
    if !store::unlink(tx, linked.id, now).await? {
        return Err(Refusal::NotFound(linked.id.to_string()).into());
    }
    let data = json!({"identity": linked.identity, "user": linked.user});
    record(tx, journal, now, actor, "chat_identity.unlinked", linked.id, data).await
}

/// Why nobody is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nobody {
    /// There is no such person, or they left.
    #[error("there is no {0}")]
    Unknown(UserRef),
    /// Chat knows them and PhoneOps does not, yet.
    #[error("{0} is linked to nobody: a code from `POST /v1/chat-identities/codes`, typed on a phone, links it")]
    Unlinked(ChatIdentity),
}

/// Who is meant, unless they left.
///
/// # Errors
/// [`Nobody`] inside, storage errors outside.
pub async fn person_meant(db: &mut Db<'_>, who: &Who) -> db::Result<Result<User, Nobody>> {
    Ok(match who {
        Who::User(user) => active_user(db, user).await?.ok_or_else(|| Nobody::Unknown(user.clone())),
        Who::Chat(identity) => store::person(db, identity).await?.ok_or_else(|| Nobody::Unlinked(identity.clone())),
    })
}

/// Forgets codes that nobody can type any more.
pub(super) use store::sweep;

pub use messages::{About, Heard, Place};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_named_by_text_or_by_who_they_are_in_chat() {
        let read = |text: &str| serde_json::from_str::<Who>(text);
        assert_eq!(read(r#""@yannick""#).unwrap().to_string(), "@yannick");
        let chat = r#"{"platform":"slack","workspace":"T0","user":"U1"}"#;
        let who = read(chat).unwrap();
        assert_eq!(who, "slack:T0:U1".parse().unwrap());
        assert_eq!(serde_json::to_string(&who).unwrap(), chat);
        for bad in [
            r#""slack:T0:U1""#,
            r#"{"platform":"slack","workspace":"T0"}"#,
            r#"{"platform":"slack","workspace":"T0","user":"U1","name":"y"}"#,
            r#"{"platform":"slack","workspace":"","user":"U1"}"#,
            r#"{"platform":"slack","workspace":"T0 ","user":"U1"}"#,
            r#"{"platform":"slack","workspace":"T0","user":"U:1"}"#,
            r#"["slack","T0","U1"]"#,
            "7",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        for bad in ["slack:T0", "slack::U1", "a:b:c:d", ""] {
            assert!(bad.parse::<Who>().is_err(), "{bad}");
        }
        assert!("x".repeat(200).parse::<ChatId>().is_ok());
        assert!("x".repeat(201).parse::<ChatId>().is_err());
    }
}
