//! `/v1/bots/{id}/keys`: the keys by which a chat's own bot signs its calls (ChatOps RPC), for administrators.

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::bots::ById;
use super::caller::{Read, Write};
use super::input::Path;
use super::output::{Created, NoContent};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::{BotId, BotKeyId};
use crate::identity::chat::ChatId;
use crate::identity::{BotKey, KeyName, NewBotKey, NotAKeyName, NotAnRsaKey, RsaPublicKey};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/bots/{id}/keys",
            post_with(add, |op| {
                op.id("addBotKey")
                    .tag("bots")
                    .summary("Let a bot sign its calls with a key")
                    .description("For ChatOps RPC. Two keys of a bot work at most: bring the next one in, then revoke the last.")
            })
            .get_with(list, |op| op.id("listBotKeys").tag("bots").summary("The keys of a bot that work, the oldest first")),
        )
        .api_route(
            "/v1/bots/{id}/keys/{key}",
            delete_with(revoke, |op| op.id("revokeBotKey").tag("bots").summary("End a key of a bot, at once")),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// An RSA public key of 2048 to 8192 bits in PEM, beginning with `-----BEGIN PUBLIC KEY-----`.
    #[schemars(length(max = 4_000))]
    public_key: String,
    /// What calls name it by (`keyid`): 1 to 100 characters without white space, commas and equals signs. Its id when left out.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100))]
    name: Option<String>,
    /// The chat that the bot speaks in: `irc`, `matrix`, … People link their identity there.
    platform: ChatId,
    /// The workspace, team or server there.
    workspace: ChatId,
}

#[derive(Deserialize, JsonSchema)]
struct ByKey {
    id: BotId,
    key: BotKeyId,
}

/// A key of a bot.
#[derive(Serialize, JsonSchema)]
struct KeyBody {
    id: BotKeyId,
    /// What calls name it by.
    name: String,
    /// SHA-256 of its DER, base64url.
    fingerprint: String,
    platform: ChatId,
    workspace: ChatId,
    created_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct List {
    keys: Vec<KeyBody>,
}

impl From<BotKey> for KeyBody {
    fn from(key: BotKey) -> Self {
        let BotKey { id, name, public_key, platform, workspace, created_at, .. } = key;
        let (name, fingerprint) = (name.as_str().to_owned(), public_key.fingerprint());
        Self { id, name, fingerprint, platform, workspace, created_at }
    }
}

async fn add(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, body): Write<Request>,
) -> Result<Created<KeyBody>, Problem> {
    let public_key =
        RsaPublicKey::from_pem(&body.public_key).map_err(|error: NotAnRsaKey| Problem::field("public_key", error.to_string()))?;
    let name: Option<KeyName> =
        body.name.map(|name| name.parse()).transpose().map_err(|error: NotAKeyName| Problem::field("name", error.to_string()))?;
    let new = NewBotKey { name, public_key, platform: body.platform, workspace: body.workspace };
    Ok(Created(app.identity.add_bot_key(&call, id, new).await?.into()))
}

async fn list(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<Json<List>, Problem> {
    let keys = app.identity.bot_keys(&call, id).await?.into_iter().map(KeyBody::from).collect();
    Ok(Json(List { keys }))
}

async fn revoke(
    Extract(app): Extract<State>,
    Path(ByKey { id, key }): Path<ByKey>,
    Read(call): Read,
) -> Result<NoContent, Problem> {
    app.identity.revoke_bot_key(&call, id, key).await?;
    Ok(NoContent)
}
