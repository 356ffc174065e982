//! `/v1/bots`: API clients and their tokens, made, rotated and revoked by administrators; a bot may rotate its own.

use std::time::Duration;

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
use crate::identity::{Bot, Handle, MAX_OVERLAP, Scope};
use crate::secret::Secret;

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
            delete_with(revoke, |op| op.id("revokeBot").tag("bots").summary("End a bot's tokens, at once")),
        )
        .api_route(
            "/v1/bots/{id}/rotate",
            post_with(rotate, |op| {
                op.id("rotateBot").tag("bots").summary("Give a bot its next token, which is shown this once").description(
                    "The old token works until the overlap is over, and the one before it no more. A call repeated with the same \
                     `Idempotency-Key` answers without the token.",
                )
            }),
        )
        .api_route(
            "/v1/bots/me/rotate",
            post_with(rotate_own, |op| {
                op.id("rotateOwnToken")
                    .tag("bots")
                    .summary("Give the calling bot its next token, which is shown this once")
                    .description(
                        "For any bot, with its newest token: one that is being replaced gets no next. Otherwise as `rotateBot`.",
                    )
            }),
        )
}

/// How long the old token works, unless the call says.
const OVERLAP: u32 = 86_400;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// Seconds that the old token works beside the new one: at most seven days; 0 ends it at once. A day when left out.
    #[serde(default)]
    #[schemars(range(max = 604_800))]
    overlap_seconds: Option<u32>,
}

impl Rotation {
    fn overlap(&self) -> Result<Duration, Problem> {
        let overlap = Duration::from_secs(self.overlap_seconds.unwrap_or(OVERLAP).into());
        if overlap > MAX_OVERLAP {
            return Err(Problem::field("overlap_seconds", "must be at most 604800, which is seven days"));
        }
        Ok(overlap)
    }
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
pub(super) struct ById {
    pub(super) id: BotId,
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
    /// Until when the token before the newest works; absent when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_token_until: Option<Timestamp>,
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

impl BotBody {
    fn of(bot: Bot, now: Timestamp) -> Self {
        let Bot { id, name, scopes, created_at, last_used_at, previous_token_until, .. } = bot;
        let previous_token_until = previous_token_until.filter(|until| *until > now);
        Self { id, name, scopes, created_at, last_used_at, previous_token_until }
    }
}

impl NewBotBody {
    fn of((bot, token): (Bot, Option<Secret>), now: Timestamp) -> Self {
        Self { bot: BotBody::of(bot, now), token: token.map(|token| token.expose().to_owned()) }
    }
}

async fn create(Extract(app): Extract<State>, Write(call, body): Write<Request>) -> Result<Created<NewBotBody>, Problem> {
    if body.scopes.is_empty() {
        return Err(Problem::field("scopes", "must name at least one scope"));
    }
    if body.scopes.iter().enumerate().any(|(at, scope)| body.scopes[..at].contains(scope)) {
        return Err(Problem::field("scopes", "must name each scope once"));
    }
    let made = app.identity.create_bot(&call, body.name, body.scopes).await?;
    Ok(Created(NewBotBody::of(made, app.clock.now())))
}

async fn rotate(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, body): Write<Rotation>,
) -> Result<Json<NewBotBody>, Problem> {
    let rotated = app.identity.rotate_bot(&call, id, body.overlap()?).await?;
    Ok(Json(NewBotBody::of(rotated, app.clock.now())))
}

async fn rotate_own(Extract(app): Extract<State>, Write(call, body): Write<Rotation>) -> Result<Json<NewBotBody>, Problem> {
    let rotated = app.identity.rotate_own(&call, body.overlap()?).await?;
    Ok(Json(NewBotBody::of(rotated, app.clock.now())))
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let now = app.clock.now();
    let bots = app.identity.bots(&call).await?.into_iter().map(|bot| BotBody::of(bot, now)).collect();
    Ok(Json(List { bots }))
}

async fn revoke(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<NoContent, Problem> {
    app.identity.revoke_bot(&call, id).await?;
    Ok(NoContent)
}
