//! `/v1/chat-identities`: who people are in chat, linked by a code that they type on their phone.

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, Query, optional_text};
use super::output::{Created, NoContent};
use super::people::{BotName, Person};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::ChatIdentityId;
use crate::identity::chat::{ChatId, LinkedIdentity};
use crate::identity::code::LinkCode;
use crate::identity::{ChatIdentity, User};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/chat-identities/codes",
            post_with(offer, |op| {
                op.id("createLinkCode").tag("chat identities").summary("A code for whoever has this identity in chat").description(
                    "For bots that may ask or page. Show the code to that person alone, and to nobody else: whoever types it on their \
                     phone within ten minutes is meant from then on when this identity asks or acts. A new code ends the one before.",
                )
            }),
        )
        .api_route(
            "/v1/chat-identities/look-up",
            post_with(look_up, |op| {
                op.id("lookUpLinkCode").tag("chat identities").summary("What a code would link, to be shown before it is confirmed")
            }),
        )
        .api_route(
            "/v1/chat-identities/person",
            get_with(who, |op| op.id("findPersonInChat").tag("chat identities").summary("Who this is in chat; for bots")),
        )
        .api_route(
            "/v1/chat-identities",
            post_with(link, |op| op.id("linkChatIdentity").tag("chat identities").summary("This chat identity is me"))
                .get_with(list, |op| op.id("listChatIdentities").tag("chat identities").summary("My chat identities, or everybody's")),
        )
        .api_route(
            "/v1/chat-identities/{id}",
            delete_with(unlink, |op| op.id("unlinkChatIdentity").tag("chat identities").summary("This chat identity is nobody any more")),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfferRequest {
    /// `slack`, `irc`, …
    platform: ChatId,
    /// The workspace, team or server.
    workspace: ChatId,
    /// The person's id there; not their name, which changes.
    user: ChatId,
    /// What chat calls them, to be shown on the phone; at most 200 characters.
    #[serde(default)]
    #[schemars(length(max = 200))]
    name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct CodeBody {
    /// The code, in groups of four. It cannot be shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// A link to the web app with the code behind `#`, which browsers send to nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    expires_at: Timestamp,
}

async fn offer(Extract(app): Extract<State>, Write(call, body): Write<OfferRequest>) -> Result<Created<CodeBody>, Problem> {
    let name = optional_text("name", body.name.as_deref(), 200)?;
    let identity = ChatIdentity { platform: body.platform, workspace: body.workspace, user: body.user };
    let new = app.identity.create_link_code(&call, identity, name).await?;
    let code = new.code.map(|code| code.expose_grouped());
    let link = code.as_ref().map(|code| format!("{}/me#link-{code}", app.issuer));
    Ok(Created(CodeBody { code, link, expires_at: new.expires_at }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CodeRequest {
    /// The code, as it was read or typed.
    #[schemars(length(max = 60))]
    code: String,
}

impl CodeRequest {
    fn parse(&self) -> Result<LinkCode, Problem> {
        LinkCode::parse(&self.code).map_err(|error| Problem::field("code", error.to_string()))
    }
}

/// What a code would link.
#[derive(Serialize, JsonSchema)]
struct OfferBody {
    platform: ChatId,
    workspace: ChatId,
    user: ChatId,
    /// What chat calls them, as the bot said.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The bot that gave the code.
    bot: BotName,
    expires_at: Timestamp,
}

async fn look_up(Extract(app): Extract<State>, Write(call, body): Write<CodeRequest>) -> Result<Json<OfferBody>, Problem> {
    let (offer, bot) = app.identity.look_up_link_code(&call, &body.parse()?).await?;
    let ChatIdentity { platform, workspace, user } = offer.identity;
    Ok(Json(OfferBody { platform, workspace, user, name: offer.name, bot: (&bot).into(), expires_at: offer.expires_at }))
}

/// A chat identity that is somebody's.
#[derive(Serialize, JsonSchema)]
struct IdentityBody {
    id: ChatIdentityId,
    platform: ChatId,
    workspace: ChatId,
    user: ChatId,
    /// What chat called them when it was linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whose it is.
    person: Person,
    linked_at: Timestamp,
}

impl IdentityBody {
    fn of(linked: LinkedIdentity, person: &User) -> Self {
        let ChatIdentity { platform, workspace, user } = linked.identity;
        Self { id: linked.id, platform, workspace, user, name: linked.name, person: person.into(), linked_at: linked.linked_at }
    }
}

async fn link(Extract(app): Extract<State>, Write(call, body): Write<CodeRequest>) -> Result<Created<IdentityBody>, Problem> {
    let linked = app.identity.link_chat_identity(&call, &body.parse()?).await?;
    Ok(Created(IdentityBody::of(linked, &call.person()?.user)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// `true` for everybody's, which administrators may see.
    #[serde(default)]
    all: bool,
}

#[derive(Serialize, JsonSchema)]
struct List {
    chat_identities: Vec<IdentityBody>,
}

async fn list(Extract(app): Extract<State>, Query(query): Query<ListQuery>, Read(call): Read) -> Result<Json<List>, Problem> {
    let all = app.identity.chat_identities(&call, query.all).await?;
    Ok(Json(List { chat_identities: all.into_iter().map(|(linked, person)| IdentityBody::of(linked, &person)).collect() }))
}

#[derive(Serialize, JsonSchema)]
struct PersonBody {
    person: Person,
}

async fn who(
    Extract(app): Extract<State>,
    Query(identity): Query<ChatIdentity>,
    Read(call): Read,
) -> Result<Json<PersonBody>, Problem> {
    let person = app.identity.who_is(&call, identity).await?;
    Ok(Json(PersonBody { person: (&person).into() }))
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: ChatIdentityId,
}

async fn unlink(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<NoContent, Problem> {
    app.identity.unlink_chat_identity(&call, id).await?;
    Ok(NoContent)
}
