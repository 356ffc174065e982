//! `/v1/grants`: proof that an action was approved.

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{ProofHeader, Write};
use super::input::{Path, object, optional_text};
use super::problem::Problem;
use crate::approvals::{Action, Outcome, Reported};
use crate::clock::Timestamp;
use crate::id::{ApprovalId, GrantId};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/grants/redeem",
            post_with(redeem, |op| {
                op.id("redeemGrant").tag("grants").summary("Use a grant up, for exactly this action").description(
                    "For the bot named in the grant, with `grants:redeem`. Do what was approved only after a 200. With an `Idempotency-Key` \
                     a repeated call gets the first reply; without one a second redemption is 409 `grant_redeemed`. A grant with `cnf` is \
                     bound to a key: send a `DPoP` header with a proof (RFC 9449) of this call by that key, whose `ath` is the digest of \
                     the grant.",
                )
            }),
        )
        .api_route(
            "/v1/grants/{id}/outcome",
            post_with(report, |op| {
                op.id("reportOutcome").tag("grants").summary("Tell what became of what a grant allowed, once").description(
                    "For the bot that redeemed it, with `grants:redeem`. Those who approved are told on their phones. A second report is \
                     409 `outcome_reported`.",
                )
            }),
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

async fn redeem(
    Extract(app): Extract<State>,
    ProofHeader(proof): ProofHeader,
    Write(call, body): Write<Request>,
) -> Result<Json<Redeemed>, Problem> {
    let redeemed = app.approvals.redeem(&call, &body.grant, &body.action, proof).await?;
    Ok(Json(Redeemed { grant: redeemed.grant, approval: redeemed.approval, redeemed_at: redeemed.at }))
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: GrantId,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Report {
    outcome: Outcome,
    /// More about it: an exit code, a link. At most 1000 characters.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    detail: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct OutcomeBody {
    grant: GrantId,
    approval: ApprovalId,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    reported_at: Timestamp,
}

async fn report(
    Extract(app): Extract<State>,
    Path(ById { id }): Path<ById>,
    Write(call, body): Write<Report>,
) -> Result<Json<OutcomeBody>, Problem> {
    let detail = optional_text("detail", body.detail.as_deref(), 1000)?;
    let (approval, reported) = app.approvals.report(&call, id, body.outcome, detail).await?;
    let Reported { outcome, detail, at } = reported;
    Ok(Json(OutcomeBody { grant: id, approval, outcome, detail, reported_at: at }))
}
