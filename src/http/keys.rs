//! `/v1/keys`: what the installation signs with, and `/.well-known/jwks.json`: what strangers verify with.

use std::sync::Arc;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};
use axum::Json;
use axum::extract::State as Extract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::State;
use super::caller::{Read, Write};
use super::problem::Problem;
use crate::clock::Timestamp;
use crate::identity::IssuerKey;

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new()
        .api_route(
            "/v1/keys",
            get_with(list, |op| op.id("listKeys").tag("keys").summary("The issuer keys, the one that signs last: for administrators")),
        )
        .api_route(
            "/v1/keys/rotate",
            post_with(rotate, |op| {
                op.id("rotateKeys").tag("keys").summary("Make the next issuer key and retire those before it").description(
                    "For administrators. A retired key signs nothing more and still verifies: grants under way, attestations and receipts.",
                )
            }),
        )
        .api_route(
            "/.well-known/jwks.json",
            get_with(jwks, |op| {
                op.id("getKeys").tag("keys").summary("The keys, old and new, that grants, attestations and receipts verify with (RFC 7517)")
            }),
        )
}

/// A public key of the installation.
#[derive(Serialize, JsonSchema)]
struct KeyBody {
    /// Its name in `kid`.
    id: String,
    created_at: Timestamp,
    /// Since when it signs nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct List {
    keys: Vec<KeyBody>,
}

impl From<Vec<Arc<IssuerKey>>> for List {
    fn from(keys: Vec<Arc<IssuerKey>>) -> Self {
        let body = |key: &Arc<IssuerKey>| KeyBody { id: key.id.clone(), created_at: key.created_at, retired_at: key.retired_at };
        Self { keys: keys.iter().map(body).collect() }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn list(Extract(app): Extract<State>, Read(call): Read) -> Result<Json<List>, Problem> {
    call.admin()?;
    Ok(Json(app.identity.issuer_keys().await?.into()))
}

async fn rotate(Extract(app): Extract<State>, Write(call, Nothing {}): Write<Nothing>) -> Result<Json<List>, Problem> {
    Ok(Json(app.identity.rotate_keys(&call).await?.into()))
}

#[derive(Serialize, JsonSchema)]
struct Keys {
    /// JWKs.
    keys: Vec<Value>,
}

async fn jwks(Extract(app): Extract<State>) -> Result<Json<Keys>, Problem> {
    let keys = app.identity.issuer_keys().await?;
    Ok(Json(Keys { keys: keys.iter().map(|key| key.jwk()).collect() }))
}
