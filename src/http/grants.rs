//! `/v1/grants` and the keys they verify with.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::caller::Write;
use super::input::object;
use super::problem::Problem;
use crate::approvals::Action;
use crate::clock::Timestamp;
use crate::id::{ApprovalId, GrantId};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/grants/redeem",
            post_with(redeem, |op| {
                op.id("redeemGrant").tag("grants").summary("Use a grant up, for exactly this action").description(
                    "For the bot named in the grant, with `grants:redeem`. Do what was approved only after a 200. With an `Idempotency-Key` \
                     a repeated call gets the first reply; without one a second redemption is 409 `grant_redeemed`.",
                )
            }),
        )
        .api_route(
            "/.well-known/jwks.json",
            get_with(keys, |op| op.id("getKeys").tag("grants").summary("The keys that grants verify with (RFC 7517)")),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// The grant, as it was given.
    #[schemars(length(max = 40_000))]
    grant: String,
    /// What is about to be done.
    #[serde(deserialize_with = "object")]
    action: Action,
}

#[derive(Serialize, JsonSchema)]
struct Redeemed {
    grant: GrantId,
    approval: ApprovalId,
    redeemed_at: Timestamp,
}

async fn redeem(Extract(app): Extract<State>, Write(call, body): Write<Request>) -> Result<Json<Redeemed>, Problem> {
    let redeemed = app.approvals.redeem(&call, &body.grant, &body.action).await?;
    Ok(Json(Redeemed { grant: redeemed.grant, approval: redeemed.approval, redeemed_at: redeemed.at }))
}

#[derive(Serialize, JsonSchema)]
struct Keys {
    /// JWKs.
    keys: Vec<Value>,
}

async fn keys(Extract(app): Extract<State>) -> Json<Keys> {
    let mut set = app.approvals.jwks();
    let keys = set["keys"].as_array_mut().map(std::mem::take).unwrap_or_default();
    Json(Keys { keys })
}
