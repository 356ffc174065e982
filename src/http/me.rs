//! `/v1/me`: who I am here, and whether my phone rings.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::away::AwayBody;
use super::caller::{Read, Write};
use super::devices::DeviceBody;
use super::passkeys::PasskeyBody;
use super::problem::Problem;
use super::users::UserBody;
use crate::clock::Timestamp;
use crate::delivery::is_ready;
use crate::identity::Handle;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route("/v1/me", get_with(me, |op| op.id("getMe").tag("me").summary("Who I am, on which device")))
        .api_route(
            "/v1/me/test-page",
            post_with(test_page, |op| op.id("testPage").tag("me").summary("Ring my own devices, to see that it arrives")),
        )
}

#[derive(Serialize, JsonSchema)]
struct MeBody {
    user: UserBody,
    /// The device that asks.
    device: DeviceBody,
    passkeys: Vec<PasskeyBody>,
    /// The names of my teams.
    teams: Vec<Handle>,
    /// Whether a phone of mine said within the last 30 days that a push came: `POST /v1/me/test-page` asks for one.
    ready: bool,
    /// When one last said so, to within an hour; absent when none ever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_at: Option<Timestamp>,
    /// That I am away, or will be; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<AwayBody>,
    issuer: String,
    /// What to subscribe to push with, base64url.
    vapid_public_key: String,
}

async fn me(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<MeBody>, Problem> {
    let person = call.person()?.clone();
    let passkeys = app.identity.passkeys(&call).await?.into_iter().map(PasskeyBody::from).collect();
    let heard_at = app.delivery.own_heard_at(&call).await?;
    Ok(Json(MeBody {
        user: person.user.into(),
        device: person.device.into(),
        passkeys,
        teams: app.identity.own_teams(&call).await?,
        ready: is_ready(heard_at, app.clock.now()),
        heard_at,
        away: app.policies.own_absence(&call).await?.map(AwayBody::from),
        issuer: app.issuer.clone(),
        vapid_public_key: app.vapid_public_key.clone(),
    }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize, JsonSchema)]
struct TestBody {
    /// On how many of my devices it is tried.
    devices: usize,
}

async fn test_page(Extract(app): Extract<State>, Write(call, Nothing {}): Write<Nothing>) -> Result<Json<TestBody>, Problem> {
    Ok(Json(TestBody { devices: app.delivery.test(&call).await? }))
}
