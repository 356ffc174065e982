//! `/v1/users/{user}/role`: who administers, among those who are here.

use aide::axum::ApiRouter;
use aide::axum::routing::put_with;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::Deserialize;

use super::State;
use super::acts::ActBody;
use super::caller::Write;
use super::input::Path;
use super::output::DoneOrWaits;
use super::problem::Problem;
use crate::approvals::policies::Changed;
use crate::identity::{Caller, Role, UserRef};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new().api_route(
        "/v1/users/{user}/role",
        put_with(set, |op| {
            op.id("setUserRole").tag("users").summary("What somebody may administer").description(
                "204 when it was done, also when it was so before. 202 with an act when they become an administrator, which an \
                 administrator confirms with a passkey (`/v1/acts`), except from the operator. The last administrator stays one.",
            )
        }),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    role: Role,
}

#[derive(Deserialize, JsonSchema)]
struct ByUser {
    /// `usr_…` or `@handle`.
    user: UserRef,
}

async fn set(
    Extract(app): Extract<State>,
    Path(ByUser { user }): Path<ByUser>,
    Write(call, Request { role }): Write<Request>,
) -> Result<DoneOrWaits<ActBody>, Problem> {
    if role == Role::Admin && !matches!(call.caller, Caller::Operator) {
        return Ok(match app.policies.grant_admin(&call, user).await? {
            Changed::Made(()) => DoneOrWaits::Done,
            Changed::Waits(act) => DoneOrWaits::Waits((*act).into()),
        });
    }
    app.identity.set_role(&call, user, role).await?;
    Ok(DoneOrWaits::Done)
}
