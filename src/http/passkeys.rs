//! `/v1/passkeys`: what a person signs approvals with.

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::caller::{Read, Write};
use super::input::{Path, name};
use super::output::{Created, NoContent};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::{CeremonyId, PasskeyId};
use crate::identity::{Passkey, strict_json};

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/passkeys/challenge",
            post_with(start, |op| op.id("startPasskey").tag("passkeys").summary("Begin to make a passkey")),
        )
        .api_route(
            "/v1/passkeys",
            post_with(finish, |op| op.id("createPasskey").tag("passkeys").summary("What the authenticator made"))
                .get_with(list, |op| op.id("listPasskeys").tag("passkeys").summary("My passkeys")),
        )
        .api_route(
            "/v1/passkeys/{id}",
            delete_with(revoke, |op| op.id("revokePasskey").tag("passkeys").summary("Trust a passkey of mine no more, at once")),
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize, JsonSchema)]
struct CeremonyBody {
    ceremony: CeremonyId,
    /// `PublicKeyCredentialCreationOptions` in JSON form (WebAuthn Level 3).
    public_key: Value,
}

async fn start(Extract(app): Extract<State>, Write(call, Nothing {}): Write<Nothing>) -> Result<Json<CeremonyBody>, Problem> {
    let (ceremony, public_key) = app.identity.start_passkey(&call).await?;
    Ok(Json(CeremonyBody { ceremony, public_key }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FinishRequest {
    ceremony: CeremonyId,
    /// What its owner calls it; 1 to 80 characters.
    #[schemars(length(min = 1, max = 80))]
    name: String,
    /// `RegistrationResponseJSON` (WebAuthn Level 3).
    #[serde(deserialize_with = "strict_json::deserialize")]
    credential: Value,
}

/// A passkey.
#[derive(Serialize, JsonSchema)]
pub(super) struct PasskeyBody {
    id: PasskeyId,
    name: String,
    created_at: Timestamp,
}

impl From<Passkey> for PasskeyBody {
    fn from(passkey: Passkey) -> Self {
        Self { id: passkey.id, name: passkey.name, created_at: passkey.created_at }
    }
}

async fn finish(Extract(app): Extract<State>, Write(call, body): Write<FinishRequest>) -> Result<Created<PasskeyBody>, Problem> {
    let name = name("name", &body.name)?;
    Ok(Created(app.identity.finish_passkey(&call, body.ceremony, name, body.credential).await?.into()))
}

#[derive(Serialize, JsonSchema)]
struct List {
    passkeys: Vec<PasskeyBody>,
}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    let passkeys = app.identity.passkeys(&call).await?.into_iter().map(PasskeyBody::from).collect();
    Ok(Json(List { passkeys }))
}

#[derive(Deserialize, JsonSchema)]
struct ById {
    id: PasskeyId,
}

async fn revoke(Extract(app): Extract<State>, Path(ById { id }): Path<ById>, Read(call): Read) -> Result<NoContent, Problem> {
    app.identity.revoke_passkey(&call, id).await?;
    Ok(NoContent)
}
