//! `/v1/me/paging-rules`, `/v1/users/{user}/paging-rules` and `/v1/readiness`: how people want to be paged, and whether they would hear it.

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{Read, Write};
use super::input::Path;
use super::people::Person;
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::identity::UserRef;
use crate::paging::readiness::Responder;
use crate::paging::rules::Rules;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/me/paging-rules",
            get_with(mine, |op| op.id("getPagingRules").tag("me").summary("How I want to be paged")).put_with(set, |op| {
                op.id("setPagingRules").tag("me").summary("Say how I want to be paged, in place of what I said before").description(
                    "What is left out is as for whoever has said nothing. Filters and quiet hours do not apply to an urgent incident \
                     that nobody else has answered: at its last resort everybody rings.",
                )
            }),
        )
        .api_route(
            "/v1/users/{user}/paging-rules",
            get_with(theirs, |op| op.id("getUserPagingRules").tag("users").summary("How somebody wants to be paged")),
        )
        .api_route(
            "/v1/readiness",
            get_with(readiness, |op| {
                op.id("listResponders")
                    .tag("users")
                    .summary("Everybody who may be paged, and whether a phone of theirs said lately that a push came")
            }),
        )
}

async fn mine(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<Rules>, Problem> {
    Ok(Json(app.paging.rules(&call, None).await?))
}

async fn set(Extract(app): Extract<State>, Write(call, rules): Write<Rules>) -> Result<Json<Rules>, Problem> {
    Ok(Json(app.paging.set_rules(&call, rules).await?))
}

#[derive(Deserialize, JsonSchema)]
struct ByUser {
    /// `usr_…` or `@handle`.
    user: UserRef,
}

async fn theirs(
    Extract(app): Extract<State>,
    Path(ByUser { user }): Path<ByUser>,
    Read(call): Read,
) -> Result<Json<Rules>, Problem> {
    Ok(Json(app.paging.rules(&call, Some(user)).await?))
}

/// Somebody who may be paged.
#[derive(Serialize, JsonSchema)]
struct ResponderBody {
    user: Person,
    /// By what: `policy:NAME`, `schedule:NAME`, `service:NAME`, `fallback`.
    on: Vec<String>,
    /// Whether a phone of theirs said within the last 30 days that a push came.
    ready: bool,
    /// When one last said so, to within an hour; absent when none ever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct List {
    /// By handle.
    responders: Vec<ResponderBody>,
}

impl From<Responder> for ResponderBody {
    fn from(responder: Responder) -> Self {
        let Responder { user, on, heard_at, ready } = responder;
        Self { user: (&user).into(), on, ready, heard_at }
    }
}

async fn readiness(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let responders = app.paging.readiness(&call).await?.into_iter().map(ResponderBody::from).collect();
    Ok(Json(List { responders }))
}
