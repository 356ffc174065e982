//! `/v1/me/email` and `/v1/users/{user}/email`: where somebody reads e-mail.

use aide::axum::ApiRouter;
use aide::axum::routing::put_with;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::Deserialize;

use super::State;
use super::caller::Write;
use super::input::Path;
use super::output::NoContent;
use super::problem::Problem;
use crate::identity::UserRef;
use crate::push::MailAddress;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/me/email",
            put_with(own, |op| {
                op.id("setEmail")
                    .tag("me")
                    .summary("Where I read e-mail: the channel of last resort")
                    .description("Mail is sent when no device of mine hears. Without an address, none is.")
            }),
        )
        .api_route(
            "/v1/users/{user}/email",
            put_with(of_somebody, |op| op.id("setUserEmail").tag("users").summary("Where somebody reads e-mail")),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Request {
    /// The address; null for none.
    email: Option<MailAddress>,
}

#[derive(Deserialize, JsonSchema)]
struct ByUser {
    /// `usr_…` or `@handle`.
    user: UserRef,
}

async fn own(Extract(app): Extract<State>, Write(call, Request { email }): Write<Request>) -> Result<NoContent, Problem> {
    app.identity.set_email(&call, None, email).await?;
    Ok(NoContent)
}

async fn of_somebody(
    Extract(app): Extract<State>,
    Path(ByUser { user }): Path<ByUser>,
    Write(call, Request { email }): Write<Request>,
) -> Result<NoContent, Problem> {
    app.identity.set_email(&call, Some(user), email).await?;
    Ok(NoContent)
}
