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
use super::input::{Path, name, optional_strict};
use super::output::{Created, NoContent};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::id::{CeremonyId, PasskeyId};
use crate::identity::{OfferedPasskey, Passkey, strict_json};

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
    /// What a passkey of mine has to sign first; absent when none has to.
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<GuardBody>,
}

/// What a passkey that is there already signs, to let another be made.
#[derive(Serialize, JsonSchema)]
struct GuardBody {
    /// The statement, canonical JSON (RFC 8785), as a string.
    statement: String,
    /// `PublicKeyCredentialRequestOptions` in JSON form (WebAuthn Level 3).
    public_key: Value,
}

async fn start(Extract(app): Extract<State>, Write(call, Nothing {}): Write<Nothing>) -> Result<Json<CeremonyBody>, Problem> {
    let OfferedPasskey { ceremony, public_key, guard } = app.identity.start_passkey(&call).await?;
    let guard = guard.map(|guard| GuardBody { statement: guard.statement, public_key: guard.public_key });
    Ok(Json(CeremonyBody { ceremony, public_key, guard }))
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
    /// `AuthenticationResponseJSON` over the guard's statement, where there was one.
    #[serde(default, deserialize_with = "optional_strict")]
    #[schemars(with = "Option<Value>")]
    guard: Option<Value>,
}

/// A passkey.
#[derive(Serialize, JsonSchema)]
pub(super) struct PasskeyBody {
    id: PasskeyId,
    name: String,
    created_at: Timestamp,
    /// When it signed last, give or take ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
}

impl From<Passkey> for PasskeyBody {
    fn from(passkey: Passkey) -> Self {
        Self { id: passkey.id, name: passkey.name, created_at: passkey.created_at, last_used_at: passkey.last_used_at }
    }
}

async fn finish(Extract(app): Extract<State>, Write(call, body): Write<FinishRequest>) -> Result<Created<PasskeyBody>, Problem> {
    let name = name("name", &body.name)?;
    Ok(Created(app.identity.finish_passkey(&call, body.ceremony, name, body.credential, body.guard).await?.into()))
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
