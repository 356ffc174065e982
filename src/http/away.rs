//! `/v1/me/away` and `/v1/users/{user}/away`: from when to when somebody is away, and who answers for them.

use aide::axum::ApiRouter;
use aide::axum::routing::put_with;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::acts::ActBody;
use super::caller::{Read, Write};
use super::input::Path;
use super::output::{NoContent, NowOrWaits};
use super::people::Person;
use super::problem::Problem;
use crate::approvals::policies::{AbsenceView, Away, Changed};
use crate::clock::Timestamp;
use crate::identity::{Call, UserRef};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/me/away",
            put_with(leave, |op| {
                op.id("setAway").tag("me").summary("I am away, and who answers for me").description(
                    "200 when nobody answers meanwhile. 202 with an act when there is a delegate: their yes would have the weight of \
                     mine, which I confirm with my passkey (`/v1/acts`).",
                )
            })
            .delete_with(back, |op| op.id("endAway").tag("me").summary("I am back, and answer for myself")),
        )
        .api_route(
            "/v1/users/{user}/away",
            put_with(send, |op| {
                op.id("setUserAway").tag("users").summary("Somebody is away, and who answers for them").description(
                    "200 when nobody answers meanwhile. 202 with an act when there is a delegate, which an administrator confirms with a \
                     passkey (`/v1/acts`).",
                )
            })
            .delete_with(fetch, |op| op.id("endUserAway").tag("users").summary("Somebody is back, and answers for themselves")),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// From when; from now on when it is left out.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Until when, at most 366 days later.
    until: Timestamp,
    /// Who answers meanwhile: `@handle` or `usr_…`.
    #[serde(default)]
    delegate: Option<UserRef>,
}

#[derive(Deserialize, JsonSchema)]
struct ByUser {
    /// `usr_…` or `@handle`.
    user: UserRef,
}

/// That somebody is away, or will be.
#[derive(Serialize, JsonSchema)]
pub(super) struct AwayBody {
    from: Timestamp,
    until: Timestamp,
    /// Who answers meanwhile; absent when nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    delegate: Option<Person>,
}

impl From<AbsenceView> for AwayBody {
    fn from(absence: AbsenceView) -> Self {
        Self { from: absence.from, until: absence.until, delegate: absence.delegate.as_ref().map(Person::from) }
    }
}

async fn set(app: &State, call: &Call, who: Option<UserRef>, body: Request) -> Result<NowOrWaits<AwayBody, ActBody>, Problem> {
    let away = Away { from: body.from, until: body.until, delegate: body.delegate };
    Ok(match app.policies.set_away(call, who, away).await? {
        Changed::Made(absence) => NowOrWaits::Now(absence.into()),
        Changed::Waits(act) => NowOrWaits::Waits((*act).into()),
    })
}

async fn leave(
    Extract(app): Extract<State>,
    Write(call, body): Write<Request>,
) -> Result<NowOrWaits<AwayBody, ActBody>, Problem> {
    set(&app, &call, None, body).await
}

async fn send(
    Extract(app): Extract<State>,
    Path(ByUser { user }): Path<ByUser>,
    Write(call, body): Write<Request>,
) -> Result<NowOrWaits<AwayBody, ActBody>, Problem> {
    set(&app, &call, Some(user), body).await
}

async fn back(Extract(app): Extract<State>, Read(call): Read) -> Result<NoContent, Problem> {
    app.policies.end_away(&call, None).await?;
    Ok(NoContent)
}

async fn fetch(
    Extract(app): Extract<State>,
    Path(ByUser { user }): Path<ByUser>,
    Read(call): Read,
) -> Result<NoContent, Problem> {
    app.policies.end_away(&call, Some(user)).await?;
    Ok(NoContent)
}
