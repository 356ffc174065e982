//! `/v1/bots`: API clients and their tokens, made and revoked by administrators.

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::Path;
use super::output::{Created, NoContent};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::BotId;
use crate::identity::{Bot, Handle, Scope};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/bots",
            post_with(create, |op| {
                op.id("createBot")
                    .tag("bots")
                    .summary("Make a bot; its token is shown this once")
                    .description("A call repeated with the same `Idempotency-Key` answers the same bot without its token.")
            })
            .get_with(list, |op| op.id("listBots").tag("bots").summary("The bots, by name")),
        )
        .api_route(
            "/v1/bots/{id}",
            delete_with(revoke, |op| op.id("revokeBot").tag("bots").summary("End a bot's token, at once")),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    name: Handle,
    /// What it may do. At least one.
    #[schemars(length(min = 1, max = 5))]
    scopes: Vec<Scope>,
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: BotId,
}

/// A bot.
#[derive(Serialize, JsonSchema)]
struct BotBody {
    id: BotId,
    name: Handle,
    scopes: Vec<Scope>,
    created_at: Timestamp,
    /// When it called last, give or take ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct NewBotBody {
    #[serde(flatten)]
    bot: BotBody,
    /// The bearer token. It cannot be shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct List {
    bots: Vec<BotBody>,
}

impl From<Bot> for BotBody {
    fn from(bot: Bot) -> Self {
        Self { id: bot.id, name: bot.name, scopes: bot.scopes, created_at: bot.created_at, last_used_at: bot.last_used_at }
    }
}

async fn create(Extract(app): Extract<State>, Write(call, body): Write<Request>) -> Result<Created<NewBotBody>, Problem> {
    if body.scopes.is_empty() {
        return Err(Problem::field("scopes", "must name at least one scope"));
    }
    if body.scopes.iter().enumerate().any(|(at, scope)| body.scopes[..at].contains(scope)) {
        return Err(Problem::field("scopes", "must name each scope once"));
    }
    let (bot, token) = app.identity.create_bot(&call, body.name, body.scopes).await?;
    Ok(Created(NewBotBody { bot: bot.into(), token: token.map(|token| token.expose().to_owned()) }))
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let bots = app.identity.bots(&call).await?.into_iter().map(BotBody::from).collect();
    Ok(Json(List { bots }))
}

async fn revoke(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<NoContent, Problem> {
    app.identity.revoke_bot(&call, id).await?;
    Ok(NoContent)
}
